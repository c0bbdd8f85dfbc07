//! Inputs: in memory, or in the file where they lie.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use ndarray::{ArrayView, Dimension, Ix1};
use parfork::formats::InputFile;
use parfork::formats::npy::{ArrayFile, Header};
use parfork::{Element, Input, Job, Mapped, Result, Shared};

use crate::picture::{self, DecodeWarning, Metadata, Picture};

/// How inputs are opened.
pub struct Files<'f> {
    maps: bool,
    job: &'f dyn Fn() -> Job<'static>,
    keeps_metadata: bool,
    warnings: RefCell<Vec<(PathBuf, DecodeWarning)>>,
    metadata: RefCell<Metadata>,
}

impl<'f> Files<'f> {
    /// Arrays stay where they lie if they can and `maps` says so: then worker processes alone can look at them. Pictures are
    /// decoded as `job` says.
    pub fn new(maps: bool, job: &'f dyn Fn() -> Job<'static>) -> Self {
        Self { maps, job, keeps_metadata: false, warnings: RefCell::default(), metadata: RefCell::default() }
    }

    /// The same, but what pictures' files have beside them is kept.
    pub fn keep_metadata(self, keeps_metadata: bool) -> Self {
        Self { keeps_metadata, ..self }
    }

    /// An array of elements of a type, from an input that is open.
    ///
    /// # Errors
    /// As [`ArrayFile::load`].
    pub fn array<T: Element, D: Dimension>(&self, file: ArrayFile) -> Result<Source<T, D>> {
        match if self.maps { file.map()? } else { None } {
            Some(mapped) => Ok(Source::Mapped(mapped)),
            None => file.load().map(Source::Read),
        }
    }

    /// Opens an array as bytes, whatever their type.
    ///
    /// # Errors
    /// As [`ArrayFile::open`] and [`ArrayFile::load_bytes`].
    pub fn bytes(&self, path: &Path) -> Result<(Header, Source<u8, Ix1>)> {
        self.bytes_of(ArrayFile::open(path)?)
    }

    /// An array as bytes, from an input that is open.
    ///
    /// # Errors
    /// As [`ArrayFile::load_bytes`].
    pub fn bytes_of(&self, file: ArrayFile) -> Result<(Header, Source<u8, Ix1>)> {
        if self.maps
            && let Some(mapped) = file.map_bytes()
        {
            return Ok((file.header().clone(), Source::Mapped(mapped)));
        }
        let (header, bytes) = file.load_bytes()?;
        Ok((header, Source::Read(bytes)))
    }

    /// Reads a picture.
    ///
    /// # Errors
    /// As [`picture::read_with`].
    pub fn picture(&self, path: &Path) -> Result<Picture> {
        self.picture_of(InputFile::open(path)?)
    }

    /// Reads a picture from an input that is open.
    ///
    /// # Errors
    /// As [`picture::read_with`].
    pub fn picture_of(&self, input: InputFile) -> Result<Picture> {
        let (path, (spec, _, hooks)) = (input.path().to_owned(), (self.job)().into_parts());
        let file = picture::read_from(&spec, hooks, input, self.keeps_metadata)?;
        self.warnings.borrow_mut().extend(file.warning.map(|warning| (path, warning)));
        self.metadata.replace(file.metadata);
        Ok(file.picture)
    }

    /// What there is to say of the files that were read, and what the last picture's had beside it.
    pub fn into_parts(self) -> (Vec<(PathBuf, DecodeWarning)>, Metadata) {
        (self.warnings.into_inner(), self.metadata.into_inner())
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
