//! JPEG: written by workers, read through `image`, and beside it where that goes wrong.

mod canonical;
mod decode;
mod encode;
mod huffman;
mod scans;
mod segments;
mod settings;

use image::error::{DecodingError, UnsupportedError, UnsupportedErrorKind};
use image::{ImageError, ImageFormat};

pub(in crate::picture) use decode::Jpeg;
pub(in crate::picture) use encode::{code, encode};
pub use settings::{JpegSettings, Sampling};

fn unsupported(what: String) -> ImageError {
    let kind = UnsupportedErrorKind::GenericFeature(what);
    ImageError::Unsupported(UnsupportedError::from_format_and_kind(ImageFormat::Jpeg.into(), kind))
}

fn damaged(how: &str) -> ImageError {
    ImageError::Decoding(DecodingError::new(ImageFormat::Jpeg.into(), how))
}
