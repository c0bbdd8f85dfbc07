//! Pictures: PNG, JPEG, TIFF, BMP and PNM, 8 or 16 bits a sample, 1 to 4 channels.
//!
//! What a file is, its first bytes say; what it is to become, the extension of the target. Decoders write straight into
//! the shared segment, after its size has been found possible for a file of that length.
//!
//! ```
//! use parfork::Shared;
//! use parfork_workers::picture::{self, Picture};
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("photo.png");
//! let ramp = Shared::from_array(&ndarray::Array3::from_shape_fn((2, 256, 1), |(_, x, _)| x as u8))?;
//! picture::save(&path, &Picture::U8(ramp))?;
//! let photo = picture::read_u8(&path)?; // rows, columns, channels
//! assert_eq!(photo.shape(), [2, 256, 1]);
//! assert_eq!(photo.view()[[1, 200, 0]], 200);
//! # Ok::<(), parfork::Error>(())
//! ```

mod apart;
mod bands;
mod decode;
mod decoder;
mod encode;
mod error;
mod format;
mod guess;
mod jpeg;
mod metadata;
mod plausible;
mod png;
mod pnm;
mod thumbnail;
mod tiff;
mod warning;
mod ycbcr;

use std::path::Path;

use ndarray::Ix3;

pub use apart::{PictureFile, read_from, read_with};
pub use decode::read;
#[cfg(any(test, fuzzing))]
pub(crate) use decode::{Header as PictureHeader, Target, decode};
pub use decoder::serve_decoder;
pub use encode::{prepare, save, write, write_with};
pub use error::PictureError;
pub use format::Format;
pub use jpeg::{JpegSettings, Sampling};
pub use metadata::Metadata;
pub use thumbnail::thumbnail;
pub use warning::DecodeWarning;

use parfork::{Error, Result, Shared};

/// A picture in shared memory: rows (height), columns (width), channels, in C order.
///
/// One channel is gray, two are gray and alpha, three red, green and blue, four those and alpha. Alpha is not multiplied
/// into the colours. Values are as in the file: no gamma, no colour profile is applied.
#[derive(Debug)]
pub enum Picture {
    /// 8 bits a sample.
    U8(Shared<u8, Ix3>),
    /// 16 bits a sample.
    U16(Shared<u16, Ix3>),
}

impl Picture {
    /// Height, width and channels.
    pub fn shape(&self) -> [usize; 3] {
        let shape = match self {
            Self::U8(samples) => samples.raw_dim(),
            Self::U16(samples) => samples.raw_dim(),
        };
        [shape[0], shape[1], shape[2]]
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.shape()[0]
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.shape()[1]
    }

    /// 1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha.
    pub fn channels(&self) -> usize {
        self.shape()[2]
    }

    /// The same samples as a picture of another shape.
    fn of_shape(self, shape: [usize; 3]) -> Result<Self> {
        Ok(match self {
            Self::U8(samples) => Self::U8(samples.into_shape(shape)?),
            Self::U16(samples) => Self::U16(samples.into_shape(shape)?),
        })
    }

    /// Bits of a sample: 8 or 16.
    pub fn bits(&self) -> u32 {
        match self {
            Self::U8(_) => 8,
            Self::U16(_) => 16,
        }
    }
}

impl From<Shared<u8, Ix3>> for Picture {
    fn from(samples: Shared<u8, Ix3>) -> Self {
        Self::U8(samples)
    }
}

impl From<Shared<u16, Ix3>> for Picture {
    fn from(samples: Shared<u16, Ix3>) -> Self {
        Self::U16(samples)
    }
}

/// Reads a picture of 8 bits a sample: rows, columns, channels.
///
/// # Errors
/// As [`read`]; also if it has 16 bits a sample.
pub fn read_u8(path: impl AsRef<Path>) -> Result<Shared<u8, Ix3>> {
    match read(path.as_ref())? {
        Picture::U8(samples) => Ok(samples),
        Picture::U16(_) => Err(other_depth(path.as_ref(), 16, "picture::read_u16")),
    }
}

/// Reads a picture of 16 bits a sample: rows, columns, channels.
///
/// # Errors
/// As [`read`]; also if it has 8 bits a sample.
pub fn read_u16(path: impl AsRef<Path>) -> Result<Shared<u16, Ix3>> {
    match read(path.as_ref())? {
        Picture::U16(samples) => Ok(samples),
        Picture::U8(_) => Err(other_depth(path.as_ref(), 8, "picture::read_u8")),
    }
}

fn other_depth(path: &Path, bits: u32, remedy: &str) -> Error {
    let what = format!("it has {bits} bits a sample, where the program asks for {}", 24 - bits);
    wrong(path, what, format!("read it with {remedy}, or convert it to {} bits", 24 - bits))
}

/// [`Error::File`] in one line.
fn wrong(path: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), what: what.into(), remedy: remedy.into() }
}
