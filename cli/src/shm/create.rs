//! `parfork shm create`.

use std::path::Path;

use ndarray::{Dimension, IntoDimension, Ix3, IxDyn};
use parfork::Element;
use parfork::named::{self, CreateOptions, Named};
use parfork_workers::picture::Picture;

use super::args::Create;
use super::data::Contents;
use super::dtype::with_dtype;
use super::program;
use crate::failure::Failure;
use crate::output;

/// Makes it; runs the program, if there is one.
pub fn run(args: Create) -> Result<(), Failure> {
    if !args.keep && args.program.is_empty() {
        return Err(Failure::usage(
            "a segment goes with its creator, and this command would end at once. Keep it with --keep, or give a program to run \
             while it is there: -- PROGRAM ARGS...",
        ));
    }
    match &args.from {
        None => {
            let shape = args.shape.as_ref().map(|shape| shape.0.clone()).unwrap_or_default();
            with_dtype!(args.dtype, "--dtype", T => done(&args, settings::<T, IxDyn>(&args).zeros(shape.into_dimension())?))
        }
        Some(file) => from(&args, file),
    }
}

fn from(args: &Create, file: &Path) -> Result<(), Failure> {
    match Contents::of(file)? {
        Contents::Array(array) => {
            with_dtype!(array.header().dtype, file.display(), T => {
                done(args, settings(args).copy_of(&array.load::<T, IxDyn>()?)?)
            })
        }
        Contents::Picture(Picture::U8(samples)) => done(args, settings::<u8, Ix3>(args).copy_of(&samples)?),
        Contents::Picture(Picture::U16(samples)) => done(args, settings::<u16, Ix3>(args).copy_of(&samples)?),
    }
}

fn settings<T: Element, D: Dimension>(args: &Create) -> CreateOptions<T, D> {
    let settings = Named::<T, D>::create(&args.name).keep(args.keep).group_writes(args.group_writes);
    match &args.group {
        Some(group) => settings.group(group),
        None => settings,
    }
}

/// It is there: says so, or runs the program before it goes.
fn done<T: Element, D: Dimension>(args: &Create, made: Named<T, D>) -> Result<(), Failure> {
    let name = args.group.as_ref().map_or(args.name.clone(), |group| format!("{group}/{}", args.name));
    let info = named::info(&name)?;
    if args.program.is_empty() {
        let shape: Vec<String> = info.shape.iter().map(usize::to_string).collect();
        let (shape, bytes) = (shape.join("x"), output::bytes(info.bytes));
        return output::print(&format!("{name}: {} of {shape}, {bytes}, in {}\n", info.dtype, info.path.display()));
    }
    let status = program::run(&args.program, &info.path);
    drop(made);
    status
}
