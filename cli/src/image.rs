//! `parfork image`: a picture through a chain of filters.

use std::cell::Cell;
use std::time::Instant;

use ndarray::Ix3;
use parfork::formats::AtomicFile;
use parfork::{Report, Settings, Shared};
use parfork_workers::filter::{self, Border, Filter, Run, Sample};
use parfork_workers::picture::{self, Picture};
use serde_json::{Map, json};

use crate::args::{Common, Image};
use crate::failure::Failure;
use crate::job::{Summary, verify};
use crate::views::Views;

/// Reads, filters, writes.
pub fn run(args: Image) -> Result<(), Failure> {
    let began = Instant::now();
    let format = picture::Format::for_target(&args.output).map_err(Failure::usage)?;
    let views = args.common.views("image")?;
    let input = picture::read_with(args.common.settings("reading", &views), &args.input)?;
    let (shape, bits) = (input.shape(), input.bits());
    let filters = &args.filters[..args.until.map_or(usize::MAX, usize::from).min(args.filters.len())];
    let result = final_shape(filters, shape).map_err(Failure::usage)?;
    format.holds(result, bits).map_err(Failure::usage)?;
    let mut target_file = AtomicFile::at(&args.output).map_err(Failure::job)?;
    let (output, reports) = match input {
        Picture::U8(picture) => {
            let (output, reports) = checked_chain(&args.common, &views, filters, args.border, picture)?;
            (Picture::U8(output), reports)
        }
        Picture::U16(picture) => {
            let (output, reports) = checked_chain(&args.common, &views, filters, args.border, picture)?;
            (Picture::U16(output), reports)
        }
    };
    Failure::if_stopped()?;
    let mut filing = None;
    views.keep_picture(&output);
    if args.common.only_slice.is_none() {
        let settings = args.common.settings("writing", &views);
        filing = picture::write_with(settings, &mut target_file, &output, format).map_err(Failure::filing)?;
        target_file.commit().map_err(Failure::job)?;
    }
    let names: Vec<String> = filters.iter().map(ToString::to_string).collect();
    let kind = ["gray", "gray+alpha", "RGB", "RGBA"][result[2] - 1];
    let mut facts = Map::new();
    facts.insert("input".into(), json!(args.input));
    facts.insert("output".into(), json!(args.output));
    facts.insert("filters".into(), json!(names));
    facts.insert("border".into(), json!(args.border.to_string()));
    facts.insert("shape".into(), json!(result));
    facts.insert("bits".into(), json!(bits));
    Summary {
        command: "image",
        facts,
        line: format!("{} of {}x{} {kind} {bits}-bit", names.join(", "), result[1], result[0]),
        reports,
        names: Run::split(filters).iter().map(ToString::to_string).collect(),
        filing,
        wall: began.elapsed(),
        verified: args.common.verify.then_some(true),
        views,
    }
    .tell(&args.common)
}

/// The shape after all filters, if each can be applied.
fn final_shape(filters: &[Filter], shape: [usize; 3]) -> Result<[usize; 3], filter::FilterError> {
    filters.iter().try_fold(shape, |shape, filter| filter.output_shape(shape))
}

/// Runs the chain as the flags ask, and once more serially if they ask for that.
fn checked_chain<S: Sample>(
    common: &Common,
    views: &Views,
    filters: &[Filter],
    border: Border,
    picture: Shared<S, Ix3>,
) -> Result<(Shared<S, Ix3>, Vec<Report>), Failure> {
    let runs = Run::split(filters);
    // A slice that is to be run alone is the last job's.
    let of_last = |at: usize, settings: Settings<'static>| {
        let only_slice = settings.only_slice.filter(|_| at + 1 == runs.len());
        Settings { only_slice, ..settings }
    };
    let begun = Cell::new(0);
    let settings = |at: usize, name: &str| {
        begun.set(begun.get() + runs[at].filters().len());
        of_last(at, common.settings(name, views))
    };
    let (output, reports) = chain(settings, &runs, border, &picture).map_err(|error| match error {
        parfork::Error::WorkerDied(death) => {
            Failure::died(&death, Some(begun.get()).filter(|&begun| begun < filters.len()))
        }
        other => other.into(),
    })?;
    if common.verify {
        let (serial, _) = chain(|at, _| of_last(at, common.serially()), &runs, border, &picture)?;
        verify(output.as_slice(), serial.as_slice())?;
    }
    Ok((output, reports))
}

/// Runs one job for each run of filters, on the result of the one before, with settings for its place and its filters.
pub fn chain<S: Sample>(
    settings: impl Fn(usize, &str) -> Settings<'static>,
    runs: &[Run],
    border: Border,
    picture: &Shared<S, Ix3>,
) -> parfork::Result<(Shared<S, Ix3>, Vec<Report>)> {
    let mut current: Option<Shared<S, Ix3>> = None;
    let mut reports = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let source = current.as_ref().unwrap_or(picture);
        let shape = source.shape();
        let shape = run
            .output_shape([shape[0], shape[1], shape[2]])
            .map_err(|error| parfork::Error::Shape(error.to_string()))?;
        let mut result = Shared::zeros(shape)?;
        let done = filter::run_together(settings(at, &run.to_string()), run, border, source, &mut result)?;
        reports.push(done.report().clone());
        current = Some(result);
    }
    match current {
        Some(result) => Ok((result, reports)),
        None => Ok((Shared::from_array(&picture.view())?, reports)),
    }
}
