//! Inputs: in memory, or in the file where they lie.

use std::path::Path;

use ndarray::{ArrayView, Dimension, Ix1};
use parfork::formats::npy::{self, Element, Header};
use parfork::{Input, Job, Mapped, Result, Shared};

use crate::picture::{self, Picture};

/// How inputs are opened.
pub struct Files<'f> {
    maps: bool,
    job: &'f dyn Fn() -> Job<'static>,
}

impl<'f> Files<'f> {
    /// Arrays stay where they lie if they can and `maps` says so: then worker processes alone can look at them. Pictures are
    /// decoded as `job` says.
    pub fn new(maps: bool, job: &'f dyn Fn() -> Job<'static>) -> Self {
        Self { maps, job }
    }

    /// Opens an array of elements of a type.
    ///
    /// # Errors
    /// As [`Shared::load`].
    pub fn array<T: Element, D: Dimension>(&self, path: &Path) -> Result<Source<T, D>> {
        match if self.maps { Mapped::open(path)? } else { None } {
            Some(mapped) => Ok(Source::Mapped(mapped)),
            None => Shared::load(path).map(Source::Read),
        }
    }

    /// Opens an array as bytes, whatever their type.
    ///
    /// # Errors
    /// As [`npy::read_bytes`].
    pub fn bytes(&self, path: &Path) -> Result<(Header, Source<u8, Ix1>)> {
        if self.maps
            && let (header, Some(mapped)) = Mapped::open_bytes(path)?
        {
            return Ok((header, Source::Mapped(mapped)));
        }
        let (header, bytes) = npy::read_bytes(path)?;
        Ok((header, Source::Read(bytes)))
    }

    /// Reads a picture.
    ///
    /// # Errors
    /// As [`picture::read_with`].
    pub fn picture(&self, path: &Path) -> Result<Picture> {
        let (spec, _, hooks) = (self.job)().into_parts();
        picture::read_with(&spec, hooks, path)
    }
}

/// An array to read.
pub enum Source<T, D> {
    /// In memory.
    Read(Shared<T, D>),
    /// In its file.
    Mapped(Mapped<T, D>),
}

impl<T: Element, D: Dimension> Source<T, D> {
    /// To be lent.
    pub fn input(&self) -> Input<'_, T, D> {
        match self {
            Self::Read(array) => array.into(),
            Self::Mapped(array) => array.into(),
        }
    }

    /// To be looked at, if it is in memory.
    pub fn view(&self) -> Option<ArrayView<'_, T, D>> {
        match self {
            Self::Read(array) => Some(array.view()),
            Self::Mapped(_) => None,
        }
    }
}
