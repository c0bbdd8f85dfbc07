//! TIFF, written: one image, uncompressed, in one strip, the bytes of the shared array as they are.
//!
//! `image` writes TIFF too, but no gray with alpha. A directory of tags is all there is to it.

use std::io::{self, Write};

use crate::picture::Picture;
use crate::picture::metadata::{ByteOrder, Entry, HEADER, Metadata, for_tiff, written};

use super::{ICC, XMP};

const ORDER: ByteOrder = ByteOrder::NATIVE;

/// Writes `bytes`, the samples of `picture` in this machine's byte order, which the file names in its first two bytes.
/// The directory comes first, so that nothing has to be sought.
pub(in crate::picture) fn encode(
    out: &mut impl Write,
    picture: &Picture,
    bytes: &[u8],
    metadata: &Metadata,
) -> io::Result<()> {
    let [height, width, channels] = picture.shape();
    let number = |value: usize| u32::try_from(value).map_err(io::Error::other);
    let long = |tag, value| Entry::long(tag, value, ORDER);
    let short = |tag, value| Entry::shorts(tag, &[value], ORDER);
    let mut entries = vec![
        long(256, number(width)?),
        long(257, number(height)?),
        Entry::shorts(258, &[picture.bits() as u16; 4][..channels], ORDER),
        short(259, 1),                                // no compression
        short(262, if channels < 3 { 1 } else { 2 }), // black is 0; RGB
        long(273, 0),                                 // where the samples are
        short(277, channels as u16),
        long(278, number(height)?), // all rows in one strip
        long(279, number(bytes.len())?),
    ];
    if channels > 1 {
        entries.push(short(284, 1)); // channels side by side
    }
    if channels % 2 == 0 {
        entries.push(short(338, 2)); // the last channel is alpha, not multiplied in
    }
    entries.extend(metadata.exif.iter().flat_map(|exif| for_tiff(exif, ORDER)));
    entries.extend(metadata.xmp.iter().map(|xmp| Entry::bytes(XMP, 1, xmp.clone())));
    entries.extend(metadata.icc.iter().map(|icc| Entry::bytes(ICC, 7, icc.clone())));
    entries.sort_by_key(|entry| entry.tag);
    // Its length does not depend on where they are.
    let data_at = (HEADER as usize + written(&entries, ORDER, HEADER).len()).next_multiple_of(16);
    if let Some(place) = entries.iter_mut().find(|entry| entry.tag == 273) {
        *place = long(273, number(data_at)?);
    }
    let mut directory = [ORDER.head(), written(&entries, ORDER, HEADER)].concat();
    directory.resize(data_at, 0);
    out.write_all(&directory)?;
    out.write_all(bytes)
}
