//! TIFF: written by ourselves, read through the crate of that name.

mod colours;
mod decode;
mod encode;
mod rewritten;

pub(in crate::picture) use decode::TiffDecoder;
pub(in crate::picture) use encode::encode;
