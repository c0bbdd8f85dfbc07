//! TIFF: written by ourselves, read through the crate of that name.

mod colours;
mod decode;
mod encode;
mod rewritten;

pub(in crate::picture) use decode::TiffDecoder;
pub(in crate::picture) use encode::encode;

/// Tags of an XMP packet, and of the profile of colours.
const XMP: u16 = 700;
const ICC: u16 = 34675;
