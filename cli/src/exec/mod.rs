//! `parfork exec`: copies of any program as workers.

pub mod args;
mod names;

use std::path::Path;
use std::time::Instant;

use args::{Client, Exec};
use names::{Input, Output};
use parfork::exec::{self, Array, Program, ProgramPlanes};
use parfork::formats::npy::{self, ArrayFile};
use parfork::formats::{InputFile, OutputFile};
use parfork::{Border, Dtype, Element, Job, Report, SegmentErrorKind};
use parfork_workers::kernel::difference;
use parfork_workers::picture::{self, Metadata, Picture, PictureError, PictureFile};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::files::{self, FileUses};
use crate::job::{SAME_BITS, Summary, differs};
use crate::output;
use crate::views::Views;

/// Reads, runs, writes; or prints a client.
pub fn run(args: Exec) -> Result<(), Failure> {
    if let Some(client) = args.client {
        return output::print(match client {
            Client::Python => include_str!("../../clients/parfork.py"),
            Client::C => include_str!("../../clients/parfork.h"),
        });
    }
    let began = Instant::now();
    let formats = args.outputs.iter().map(|output| Format::of(output).map_err(Failure::usage));
    let formats = formats.collect::<Result<Vec<_>, _>>()?;
    let common = &args.common;
    let results = args.outputs.iter().map(|output| output.path.as_path()).collect();
    FileUses {
        inputs: args.inputs.iter().chain(&args.planes).map(|input| input.path.as_path()).collect(),
        results,
        ..common.uses()
    }
    .keep_apart()?;
    let mut landings = Vec::new();
    for output in &args.outputs {
        landings.push(files::open(&output.path, common.quiet)?);
    }
    let views = args.common.views("exec")?;
    let inputs = read(&args, &args.inputs, &views)?;
    let starts = read(&args, &args.planes, &views)?;
    match_planes(&args)?;
    let outputs = plan(&args, &inputs, &starts, &formats)?;
    for ((target_file, format), (dtype, shape)) in landings.iter_mut().zip(&formats).zip(&outputs) {
        if let Format::Npy = format {
            npy::prepare(target_file, *dtype, shape).map_err(not_prepared)?;
        }
    }
    let program = program(&args);
    let title = Path::new(&args.program[0]).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let facts = facts(&args, &inputs, &outputs);
    // What is compared afterwards stays in memory.
    let file = |(target_file, format)| matches!(format, &Format::Npy if !args.common.verify).then_some(target_file);
    let files: Vec<_> = landings.iter().zip(&formats).map(file).collect();
    let given = (inputs, starts);
    let (report, given, results) = run_job(args.common.job("exec", &views), &program, given, &args, &outputs, &files)?;
    if args.common.verify {
        let mut alone = Job::default().workers(1);
        (alone.spec_mut().split, alone.spec_mut().only_slice) = (args.common.split, args.common.only_slice);
        let (_, _, serial) = run_job(alone, &program, given, &args, &outputs, &[])?;
        for (ours, serial) in results.iter().zip(&serial) {
            let [ours, serial] = [ours, serial].map(|array| array.as_bytes().expect("what is compared is in memory"));
            if let Some(difference) = difference(ours, serial, 1) {
                return Err(differs(&difference));
            }
        }
    } else {
        // A result may be put where one lies.
        drop(given);
    }
    Failure::if_stopped()?;
    let slices: usize = report.grid.slices();
    let mut filing = None;
    for ((array, mut target_file), format) in results.into_iter().zip(landings).zip(formats) {
        match format {
            Format::Npy if args.common.only_slice.is_none() => {
                array.write_npy(&mut target_file).map_err(Failure::filing)?
            }
            Format::Npy => {}
            Format::Picture(format) => {
                let picture = picture_of(array)?;
                views.keep_picture(&picture);
                if args.common.only_slice.is_none() {
                    let job = args.common.job("writing", &views);
                    filing = picture::write_with(job, &mut target_file, &picture, format, &Metadata::default())
                        .map_err(Failure::filing)?;
                }
            }
        }
        if args.common.only_slice.is_none() {
            target_file.commit().map_err(Failure::filing)?;
        }
    }
    Summary {
        command: "exec",
        facts,
        line: format!("{title} on {}", output::count(slices, "slice")),
        // Told when the inputs were read.
        warnings: Vec::new(),
        // Told when they were opened.
        in_place: false,
        reports: vec![report],
        names: vec![title],
        filing,
        wall: began.elapsed(),
        verified: args.common.verify.then(|| SAME_BITS.to_owned()),
        views,
    }
    .tell(&args.common)
}

/// What an output is written as.
enum Format {
    Npy,
    Picture(picture::Format),
}

impl Format {
    fn of(output: &Output) -> parfork::Result<Self> {
        match files::is_array(&output.path) {
            true => Ok(Self::Npy),
            false => picture::Format::for_target(&output.path).map(Self::Picture),
        }
    }
}

fn read(args: &Exec, inputs: &[Input], views: &Views) -> Result<Vec<Array>, Failure> {
    let job = || args.common.job("reading", views);
    inputs.iter().map(|input| Ok(open(job(), input, args.common.quiet)?)).collect()
}

/// An array or a picture, which is decoded in a sandbox.
fn open(job: Job<'_>, Input { name, path }: &Input, quiet: bool) -> parfork::Result<Array> {
    let input = InputFile::open(path)?;
    // What is called .npy and is none is told so.
    if files::is_npy(path) || input.is_array()? {
        return Array::input_file(name, ArrayFile::of(input)?);
    }
    let (spec, _, hooks) = job.into_parts();
    let PictureFile { picture, warning, .. } = picture::read_from(&spec, hooks, input, false)?;
    warning.into_iter().for_each(|warning| files::warning(path, warning, quiet));
    match picture {
        Picture::U8(samples) => Array::input_of(name, samples),
        Picture::U16(samples) => Array::input_of(name, samples),
    }
}

/// An output that an array does not fit into: exit code 2 if its shape is at fault, as for a picture.
fn not_prepared(error: parfork::Error) -> Failure {
    match error {
        parfork::Error::Shape(_)
        | parfork::Error::Kernel(_)
        | parfork::Error::Segment {
            kind:
                SegmentErrorKind::DoesNotFit { .. } | SegmentErrorKind::Elements { .. } | SegmentErrorKind::Axes { .. },
            ..
        } => Failure::usage(error),
        other => Failure::job(other),
    }
}

/// An array as a picture: 8 or 16 bits, and rows, columns and perhaps channels.
fn picture_of(array: Array) -> parfork::Result<Picture> {
    let shape = picture_shape(array.dtype(), array.shape())?;
    match array.dtype() {
        u8::DTYPE => array.into_shared(shape).map(Picture::U8),
        _ => array.into_shared(shape).map(Picture::U16),
    }
}

/// Rows, columns and channels of an array of such elements, if it can be a picture.
fn picture_shape(dtype: Dtype, shape: &[usize]) -> parfork::Result<[usize; 3]> {
    match (dtype, shape) {
        (u8::DTYPE | u16::DTYPE, &[rows, cols]) => Ok([rows, cols, 1]),
        (u8::DTYPE | u16::DTYPE, &[rows, cols, channels @ 1..=4]) => Ok([rows, cols, channels]),
        _ => Err(parfork::Error::kernel(PictureError::OtherArray { dtype, shape: shape.to_vec() })),
    }
}

/// What the last step leaves has somewhere to go, and nothing else has.
fn match_planes(args: &Exec) -> Result<(), Failure> {
    let names = |one: &Output, other: &Input| one.name == other.name;
    if let Some(Input { name, .. }) =
        args.planes.iter().find(|planes| args.outputs.iter().all(|output| !names(output, planes)))
    {
        return Err(Failure::usage(format!(
            "what the last step leaves of {name} goes nowhere. Say where, as in --out {name}=after.npy."
        )));
    }
    let mut outputs = args.outputs.iter().filter(|_| !args.planes.is_empty());
    match outputs.find(|output| args.planes.iter().all(|planes| !names(output, planes))) {
        Some(Output { name, .. }) => Err(Failure::usage(format!(
            "there are no planes {name}, and programs that do steps write to nothing else. Leave that --out away, or give --planes {name}=START."
        ))),
        None => Ok(()),
    }
}

/// The types and shapes of outputs: those of the planes of that name, those given, else the first input's; checked against the format of
/// each.
fn plan(
    args: &Exec,
    inputs: &[Array],
    starts: &[Array],
    formats: &[Format],
) -> Result<Vec<(Dtype, Vec<usize>)>, Failure> {
    let one = |(output, format): (&Output, &Format)| {
        let planes = starts.iter().find(|start| start.name() == output.name);
        if let Some(name) = planes.filter(|_| output.dtype.is_some()).map(Array::name) {
            return Err(Failure::usage(format!(
                "the output {name} has the type and shape of the planes {name}. Leave them out behind its file."
            )));
        }
        let first = planes.or(inputs.first());
        let dtype = output.dtype.or(first.map(Array::dtype));
        let shape = output.shape.clone().or(first.map(|first| first.shape().to_vec()));
        let (Some(dtype), Some(shape)) = (dtype, shape) else {
            let path = output.path.display();
            return Err(Failure::usage(format!(
                "there is no input whose type and shape {path} could have. Give them, as in {path}:f64:1000x1000."
            )));
        };
        if let Format::Picture(format) = format {
            let bits = 8 * dtype.size() as u32;
            picture_shape(dtype, &shape).and_then(|shape| format.holds(shape, bits)).map_err(Failure::usage)?;
        }
        Ok((dtype, shape))
    };
    args.outputs.iter().zip(formats).map(one).collect()
}

fn program(args: &Exec) -> Program {
    let (name, arguments) = args.program.split_first().expect("clap wants one word at least");
    let mut program = Program::new(name).args(arguments).each(args.each).clear_environment(args.clear_env);
    for path in &args.allow_read {
        program = program.allow_read(path);
    }
    for variable in &args.env {
        let (name, value) = names::variable(variable);
        if let Some(value) = value.or_else(|| std::env::var_os(&name)) {
            program = program.env(name, value);
        }
    }
    program
}

/// Inputs, and what steps begin with.
type Given = (Vec<Array>, Vec<Array>);

/// One job; its report, what was given as it was, and the outputs, by slices to those files that there are.
fn run_job(
    mut job: Job<'_>,
    program: &Program,
    (mut arrays, starts): Given,
    args: &Exec,
    outputs: &[(Dtype, Vec<usize>)],
    files: &[Option<&OutputFile>],
) -> Result<(Report, Given, Vec<Array>), Failure> {
    job.spec_mut().bounds.clone_from(&args.bounds);
    if !starts.is_empty() {
        return run_steps(job, program, (arrays, starts), args);
    }
    for (number, (Output { name, .. }, (dtype, shape))) in args.outputs.iter().zip(outputs).enumerate() {
        arrays.push(match files.get(number) {
            Some(Some(file)) => Array::output_file(name, *dtype, shape, file)?,
            _ => Array::output(name, *dtype, shape)?,
        });
    }
    let (done, arrays) = exec::run(job, program, arrays)?;
    let (results, inputs) = arrays.into_iter().partition(Array::is_output);
    Ok((done.report().clone(), (inputs, starts), results))
}

/// A job of steps; as [`run_job`]. There are no outputs but what the last step leaves, which come in the order of outputs.
fn run_steps(
    mut job: Job<'_>,
    program: &Program,
    (inputs, starts): Given,
    args: &Exec,
) -> Result<(Report, Given, Vec<Array>), Failure> {
    let border = args.border.unwrap_or(Border::Keep);
    let spec = job.spec_mut();
    (spec.steps, spec.depth) = (args.steps, args.depth);
    let planes = |start: &Array| match &args.margin {
        None => Ok(ProgramPlanes::new(start, 1, border)?),
        Some(margin) => {
            let margins = margin.of(start.shape().len()).map_err(Failure::usage)?;
            Ok(ProgramPlanes::with_margins(start, &margins, border)?)
        }
    };
    let planes = starts.iter().map(planes).collect::<Result<Vec<_>, Failure>>()?;
    let (done, inputs, planes) = exec::run_steps(job, program, inputs, planes)?;
    let mut results = planes.into_iter().map(ProgramPlanes::into_array).collect::<Result<Vec<_>, _>>()?;
    results.sort_by_key(|result| args.outputs.iter().position(|output| output.name == result.name()));
    Ok((done.report().clone(), (inputs, starts), results))
}

fn facts(args: &Exec, inputs: &[Array], outputs: &[(Dtype, Vec<usize>)]) -> Map<String, Value> {
    let command: Vec<_> = args.program.iter().map(files::name).collect();
    let paths = args.inputs.iter().map(|input| &input.path).chain(args.outputs.iter().map(|output| &output.path));
    let names = paths.map(|path| path.as_os_str()).chain(args.program.iter().map(|word| word.as_os_str()));
    let input = |(typed, array): (&Input, &Array)| json!({ "name": typed.name, "file": files::name(&typed.path), "dtype": array.dtype().to_string(), "shape": array.shape() });
    let output = |(typed, (dtype, shape)): (&Output, &(Dtype, Vec<usize>))| json!({ "name": typed.name, "file": files::name(&typed.path), "dtype": dtype.to_string(), "shape": shape });
    let mut facts = Map::new();
    facts.insert("program".into(), json!(command));
    facts.insert("each".into(), json!(args.each));
    facts.insert("lossy".into(), files::lossy(names));
    facts.insert("inputs".into(), args.inputs.iter().zip(inputs).map(input).collect());
    facts.insert("outputs".into(), args.outputs.iter().zip(outputs).map(output).collect());
    if let Some(steps) = args.steps {
        let planes = |typed: &Input| json!({ "name": typed.name, "file": files::name(&typed.path) });
        facts.insert("planes".into(), args.planes.iter().map(planes).collect());
        facts.insert("steps".into(), steps.into());
    }
    facts
}
