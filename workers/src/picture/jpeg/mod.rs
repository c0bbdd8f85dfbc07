//! JPEG: written by workers, read through `image`, and beside it where that goes wrong.

mod decode;
mod encode;
mod scans;
mod segments;
mod settings;

pub(in crate::picture) use decode::Jpeg;
pub(in crate::picture) use encode::{code, encode};
pub use settings::{JpegSettings, Sampling};
