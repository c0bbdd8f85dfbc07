//! `parfork shm put`, `get`, `cp`: elements to and from files.

use std::fmt::Display;
use std::path::Path;

use ndarray::{Dimension, Ix3, IxDyn};
use parfork::formats::InputFile;
use parfork::formats::npy::{self, ArrayFile};
use parfork::named::{self, Named};
use parfork::{Dtype, Element, Error, Hooks, JobSpec, Shared};
use parfork_workers::picture::{self, Format, Picture};

use super::args::{Cp, Get, Put, Turn};
use super::dtype::with_dtype;
use crate::failure::Failure;
use crate::files;

/// What is in a file.
pub enum Contents {
    /// An array, of which nothing but the header was read.
    Array(ArrayFile),
    /// A picture.
    Picture(Picture),
}

impl Contents {
    /// Looks at its first bytes, and reads it if it is a picture.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        let input = InputFile::open(path)?;
        match input.is_array()? {
            true => Ok(Self::Array(ArrayFile::of(input)?)),
            false => {
                let file = picture::read_from(&JobSpec::default(), Hooks::default(), input, false)?;
                file.warning.into_iter().for_each(|warning| files::warning(path, warning, false));
                Ok(Self::Picture(file.picture))
            }
        }
    }
}

/// What to tell of elements that segments cannot have.
pub fn refused(dtype: Dtype, of: impl Display) -> Failure {
    let what = "and segments have u8 to u64, i8 to i64, f32 or f64. Convert it with NumPy: a.astype('f8').";
    Failure::input(format!("{of} has elements of type {dtype}, {what}"))
}

/// The elements of a file take the place of those that are there.
pub fn put(args: &Put) -> Result<(), Failure> {
    match Contents::of(&args.file)? {
        Contents::Array(file) => {
            with_dtype!(file.header().dtype, args.file.display(), T => {
                fill(args, &file.load::<T, IxDyn>()?)
            })
        }
        Contents::Picture(Picture::U8(samples)) => fill::<u8, Ix3>(args, &samples),
        Contents::Picture(Picture::U16(samples)) => fill::<u16, Ix3>(args, &samples),
    }
}

fn fill<T: Element, D: Dimension>(args: &Put, from: &Shared<T, D>) -> Result<(), Failure> {
    let mut segment = Named::<T, D>::open_mut(&args.name)?;
    let mut held = segment.write_within(args.turn.wait(true))?;
    held.copy_from(from)?;
    held.publish()?;
    Ok(())
}

/// The elements, to a file.
pub fn get(args: &Get) -> Result<(), Failure> {
    let info = named::info(&args.name)?;
    let is_array = files::is_array(&args.output);
    if !is_array && let Err(error) = Format::for_target(&args.output) {
        return Err(Failure::usage(format!("{error} An array of any kind goes to one that ends in .npy.")));
    }
    match (info.dtype, info.shape.len()) {
        _ if is_array => with_dtype!(info.dtype, &args.name, T => {
            let copy = copy::<T, IxDyn>(&args.name, args.unfinished, &args.turn)?;
            npy::save(&args.output, copy.view()).map_err(Failure::filing)
        }),
        (u8::DTYPE, 3) => save::<u8>(args),
        (u16::DTYPE, 3) => save::<u16>(args),
        (dtype, _) => Err(Failure::usage(format!(
            "{} is {dtype} of shape {:?}, and pictures are rows, columns and channels of 8 or 16 bits. Write it to a .npy file.",
            args.name, info.shape
        ))),
    }
}

fn save<T: Element>(args: &Get) -> Result<(), Failure>
where
    Picture: From<Shared<T, Ix3>>,
{
    let samples = copy::<T, Ix3>(&args.name, args.unfinished, &args.turn)?;
    picture::save(&args.output, &Picture::from(samples)).map_err(Failure::filing)
}

fn copy<T: Element, D: Dimension>(name: &str, unfinished: bool, turn: &Turn) -> Result<Shared<T, D>, Error> {
    Named::<T, D>::open(name)?.read_within(turn.wait(unfinished))?.copy()
}

/// A copy under another name.
pub fn cp(args: &Cp) -> Result<(), Failure> {
    let info = named::info(&args.from)?;
    with_dtype!(info.dtype, &args.from, T => {
        let copy = copy::<T, IxDyn>(&args.from, args.unfinished, &args.turn)?;
        drop(Named::create(&args.to).keep(true).copy_of(&copy)?);
        Ok(())
    })
}
