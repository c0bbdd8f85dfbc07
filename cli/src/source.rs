//! Inputs: in memory, or in the file where they lie.

use std::path::Path;

use ndarray::{Dimension, Ix1};
use parfork::formats::npy::{self, Element, Header};
use parfork::{Engine, Input, Mapped, Result, Shared};

use crate::args::Common;

/// An array of a .npy file.
pub enum Source<T, D> {
    Read(Shared<T, D>),
    Mapped(Mapped<T, D>),
}

impl Common {
    /// Whether inputs are used only by worker processes: so they can be mapped, and need not be read.
    fn maps(&self) -> bool {
        self.engine == Engine::Processes && !self.verify
    }

    /// Opens an input.
    pub fn open<T: Element, D: Dimension>(&self, path: &Path) -> Result<Source<T, D>> {
        match if self.maps() { Mapped::open(path)? } else { None } {
            Some(mapped) => Ok(Source::Mapped(mapped)),
            None => Shared::load(path).map(Source::Read),
        }
    }

    /// Opens an input as bytes, whatever their type.
    pub fn open_bytes(&self, path: &Path) -> Result<(Header, Source<u8, Ix1>)> {
        if self.maps()
            && let (header, Some(mapped)) = Mapped::open_bytes(path)?
        {
            return Ok((header, Source::Mapped(mapped)));
        }
        let (header, bytes) = npy::read_bytes(path)?;
        Ok((header, Source::Read(bytes)))
    }
}

impl<T: Element, D: Dimension> Source<T, D> {
    /// For kernels.
    pub fn input(&self) -> Input<'_, T, D> {
        match self {
            Self::Read(array) => array.into(),
            Self::Mapped(array) => array.into(),
        }
    }
}
