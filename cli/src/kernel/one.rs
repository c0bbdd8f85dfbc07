//! One result of a kernel, the same way for all of them: open the inputs, run the jobs, verify, write the result.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use parfork::formats::{Address, OutputFile, npy};
use parfork::{Engine, Error, Job, Order, Report};
use parfork_workers::kernel::{
    Arg, ArgValues, Fact, Files, Form, Kernel, KernelError, Kind, Number, Output, Step, Task,
};
use parfork_workers::picture::{self, Format, Metadata};
use serde_json::{Map, Value, json};

use crate::args::common::Common;
use crate::failure::Failure;
use crate::files::{self, FileUses};
use crate::job::{SAME_BITS, Summary, differs};
use crate::output;
use crate::views::Views;

use super::args::{Jpeg, Typed};

/// How long it may take to read one of many pictures, if nothing is said of it: a decoder that never ends is to take no others with
/// it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Does what was typed, with one input for each argument; what there is to tell of it. Whether it is one `of_many`, which are told
/// together.
pub fn run(typed: &Typed, of_many: bool) -> Result<Summary, Failure> {
    let Typed { kernel, ref given, format, jpeg, strip, ref common, .. } = *typed;
    let began = Instant::now();
    let format = picture_format(kernel, given, format, jpeg)?;
    let output = output_path(kernel, given);
    refuse_pictures_of_arrays(kernel, given)?;
    let FileUses { others, prints, .. } = common.uses();
    let prints = if output.is_none() { Some("the number that comes out") } else { prints };
    FileUses { inputs: inputs(kernel, given).collect(), results: output.into_iter().collect(), others, prints }
        .keep_apart()?;
    let views = common.views(kernel.name())?;
    // What only worker processes look at can stay in its file.
    let maps = common.engine == Engine::Processes && !common.verify;
    let reading = || {
        let mut job = common.job("reading", &views);
        job.spec_mut().deadline = common.deadline.or(of_many.then_some(PATIENCE));
        job
    };
    let files = Files::new(maps, &reading).keep_metadata(!strip && output.is_some_and(is_file));
    let task = kernel.open(given, &files)?;
    let (mut warnings, metadata) = files.into_parts();
    if let (Some(format), Form::Picture { shape, bits }) = (format, task.form()) {
        format.holds(shape, bits).map_err(Failure::usage)?;
        let left = metadata.left_behind(format, shape);
        let input = inputs(kernel, given).next().unwrap_or(Path::new(""));
        warnings.extend(left.into_iter().map(|left| (input.to_owned(), left)));
    }
    let mut result = task.output()?;
    let target = output.map(|path| Target::open(path, format, &task.form(), common.quiet)).transpose()?;
    let in_place = target.as_ref().is_some_and(|target| target.file.is_in_place());
    let (names, reports) = jobs(task.as_ref(), typed, of_many, &views, &mut result)?;
    let verified = if common.verify { Some(verify(task.as_ref(), common, &result)?) } else { None };
    Failure::if_stopped()?;
    let whole = common.only_slice.is_none();
    let number = if let Output::Number(number) = result { Some(number.filter(|_| whole)) } else { None };
    let (line, form, facts) = (task.line(), task.form(), facts(kernel, given, task.as_ref(), number));
    // Its inputs are of no more use, and coding the result takes memory.
    drop(task);
    if let Output::Picture(picture) = &result {
        views.keep_picture(picture);
    }
    let filing = match target {
        Some(target) if whole => target.write(&form, &result, &metadata, || common.job("writing", &views))?,
        _ => None,
    };
    if let (Some(Some(number)), false) = (number, common.json) {
        let name = given_name(typed).map_or(String::new(), |name| format!(" {name}"));
        output::print(&format!("{number}{name}\n"))?;
    }
    let wall = began.elapsed();
    Ok(Summary {
        command: kernel.name(),
        facts,
        line,
        warnings,
        in_place,
        reports,
        names,
        filing,
        wall,
        verified,
        views,
    })
}

/// Runs the jobs as the flags ask; what each did, and its report.
fn jobs(
    task: &dyn Task,
    Typed { kernel, given, common, .. }: &Typed,
    of_many: bool,
    views: &Views,
    result: &mut Output,
) -> Result<(Vec<String>, Vec<Report>), Failure> {
    let links = chain(*kernel).map_or(0, |chain| given.all(chain.name).len());
    let begun = RefCell::new((Vec::new(), 0));
    let mut jobs = |step: Step<'_>| {
        let (names, links) = &mut *begun.borrow_mut();
        names.push(step.name.to_owned());
        *links = step.begun;
        of_last(step, common.job(step.name, views))
    };
    let done = task.run(&mut jobs, result);
    let (names, begun) = begun.into_inner();
    match done {
        Ok(reports) => Ok((names, reports)),
        // No command line names the slice of one of many.
        Err(Error::WorkerDied(death)) if of_many => Err(Failure::job(format!("{death:#}"))),
        // Its slice can be run alone after so much of the chain.
        Err(Error::WorkerDied(death)) => Err(Failure::died(&death, Some(begun).filter(|&begun| begun < links))),
        Err(other) => Err(other.into()),
    }
}

/// A slice that is to be run alone is the last job's.
fn of_last(step: Step<'_>, mut job: Job<'static>) -> Job<'static> {
    job.spec_mut().only_slice.take_if(|_| !step.last);
    job
}

/// Compares the result bit by bit with that of the serial engine, and with a naive program's if there is one; what was found to
/// be the same.
fn verify(task: &dyn Task, common: &Common, result: &Output) -> Result<String, Failure> {
    let mut serial = task.output()?;
    task.run(&mut |step| of_last(step, common.serially()), &mut serial)?;
    if let Some(difference) = result.differs_from(&serial) {
        return Err(differs(&difference));
    }
    let naive = if common.only_slice.is_none() { task.reference(result) } else { None };
    match naive {
        Some(Err(difference)) => Err(differs(&difference)),
        Some(Ok(compared)) => Ok(format!("{SAME_BITS}, {compared}")),
        None => Ok(SAME_BITS.to_owned()),
    }
}

/// The file that a result is written to.
struct Target {
    file: OutputFile,
    /// Of a picture.
    format: Option<Format>,
}

impl Target {
    /// Opens it before the work: what stands in its way is found then.
    fn open(path: &Path, format: Option<Format>, form: &Form, quiet: bool) -> Result<Self, Failure> {
        let mut file = files::open(path, quiet)?;
        let prepared = match (form, format) {
            (Form::Array { dtype, shape }, _) => npy::prepare(&mut file, *dtype, shape),
            (Form::Picture { shape, bits }, Some(format)) => picture::prepare(&mut file, format, *shape, *bits),
            _ => Ok(()),
        };
        prepared.map_err(Failure::job)?;
        Ok(Self { file, format })
    }

    /// Writes the result, all of it or none; the report of the job that coded it, if there was one.
    fn write(
        mut self,
        form: &Form,
        result: &Output,
        metadata: &Metadata,
        job: impl FnOnce() -> Job<'static>,
    ) -> Result<Option<Report>, Failure> {
        let filing = match (result, form, self.format) {
            (Output::Array(cells), Form::Array { dtype, shape }, _) => {
                npy::write_bytes(&mut self.file, *dtype, shape, Order::C, cells.bytes())
                    .map(|()| None)
                    .map_err(Failure::filing)?
            }
            (Output::Picture(picture), _, Some(format)) => {
                picture::write_with(job(), &mut self.file, picture, format, metadata).map_err(Failure::filing)?
            }
            _ => unreachable!("a result has the form that its task says, and a picture a format"),
        };
        self.file.commit().map_err(Failure::filing)?;
        Ok(filing)
    }
}

/// The format of a picture that is to be written: as asked, or what its name says.
fn picture_format(
    kernel: &dyn Kernel,
    given: &ArgValues,
    asked: Option<Format>,
    jpeg: Jpeg,
) -> Result<Option<Format>, Failure> {
    let arg = kernel.args().iter().find(|arg| match arg.kind {
        Kind::OutputEither => Arg::is_picture(given.path(arg.name)),
        kind => matches!(kind, Kind::OutputPicture),
    });
    let format = arg.map(|arg| asked.map_or_else(|| Format::for_target(given.path(arg.name)), Ok));
    let format = format.map(|format| format.and_then(|format| format.with_jpeg(jpeg.quality, jpeg.sampling)));
    format.transpose().map_err(Failure::usage)
}

/// An array in a file that is called as a picture is one that nothing opens.
fn refuse_pictures_of_arrays(kernel: &dyn Kernel, given: &ArgValues) -> Result<(), Failure> {
    let arrays = kernel.args().iter().filter(|arg| matches!(arg.kind, Kind::OutputArray));
    let is_picture = |path: &&Path| is_file(path) && path.extension().is_some() && Format::for_target(path).is_ok();
    match arrays.flat_map(|arg| given.all(arg.name)).map(Path::new).find(is_picture) {
        Some(path) => {
            let (path, npy) = (path.display(), path.with_extension("npy"));
            Err(Failure::usage(format!(
                "the result is an array and no picture, as {path} would be. Name {}.",
                npy.display()
            )))
        }
        None => Ok(()),
    }
}

/// Where the result of a kernel goes, if to a file.
fn output_path<'g>(kernel: &dyn Kernel, given: &'g ArgValues) -> Option<&'g Path> {
    let output = kernel.args().iter().find(|arg| arg.is_output())?;
    given.all(output.name).first().map(Path::new)
}

/// The name of the input, if that is told with the number that comes out.
fn given_name(Typed { kernel, given, is_named, .. }: &Typed) -> Option<String> {
    inputs(*kernel, given).next().filter(|_| *is_named).map(|input| input.display().to_string())
}

/// Whether what goes there is a file, and not samples alone.
fn is_file(output: &Path) -> bool {
    !matches!(Address::of(output), Address::Segment(_))
}

/// The argument that is a chain.
fn chain(kernel: &dyn Kernel) -> Option<&'static Arg> {
    kernel.args().iter().find(|arg| matches!(arg.kind, Kind::Chain(_)))
}

/// What is told to programs: files as they were typed, what the task says, the number that came out.
fn facts(
    kernel: &dyn Kernel,
    given: &ArgValues,
    task: &dyn Task,
    number: Option<Option<Number>>,
) -> Map<String, Value> {
    let mut facts: Map<String, Value> =
        task.facts().into_iter().map(|(name, fact)| (name.to_owned(), fact_json(fact))).collect();
    let inputs: Vec<_> = inputs(kernel, given).collect();
    match &inputs[..] {
        [] => {}
        [input] => drop(facts.insert("input".into(), files::name(input))),
        inputs => drop(facts.insert("inputs".into(), inputs.iter().map(files::name).collect())),
    }
    let output = output_path(kernel, given);
    facts.extend(output.map(|output| ("output".into(), files::name(output))));
    facts.insert("lossy".into(), files::lossy(inputs.into_iter().chain(output)));
    if let Some(number) = number {
        // JSON has no NaN, no infinities, and readers that round integers beyond 2^53: so also as text.
        facts.insert("answer".into(), json!(number.map(Number::to_f64)));
        facts.insert("answer_text".into(), json!(number.map(|number| number.to_string())));
    }
    facts
}

/// The files that a kernel reads.
pub fn inputs<'g>(kernel: &dyn Kernel, given: &'g ArgValues) -> impl Iterator<Item = &'g Path> {
    let inputs = kernel.args().iter().filter(|arg| arg.is_input());
    inputs.flat_map(|arg| given.all(arg.name)).map(Path::new)
}

fn fact_json(fact: Fact) -> Value {
    match fact {
        Fact::Text(text) => json!(text),
        Fact::Whole(number) => json!(number),
        Fact::Real(number) => json!(number),
        Fact::List(list) => list.into_iter().map(fact_json).collect(),
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        match error {
            KernelError::Arguments(error) => Self::usage(error),
            KernelError::Input(error) => Self::input(error),
            KernelError::Failed(error) => error.into(),
        }
    }
}
