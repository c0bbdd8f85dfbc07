//! TIFF, written: one image, uncompressed, in one strip, the bytes of the shared array as they are.
//!
//! `image` writes TIFF too, but no gray with alpha. A directory of 12 tags is all there is to it.

use std::io::{self, Write};

use crate::picture::Picture;

const HEADER: usize = 8;
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// Writes `bytes`, the samples of `picture` in this machine's byte order, which the file names in its first two bytes.
/// The directory comes first, so that nothing has to be sought.
pub(in crate::picture) fn encode(out: &mut impl Write, picture: &Picture, bytes: &[u8]) -> io::Result<()> {
    let [height, width, channels] = picture.shape();
    let alpha = channels % 2 == 0;
    let number = |value: usize| u32::try_from(value).map_err(io::Error::other);
    let bits = picture.bits();
    let tags = 9 + usize::from(alpha) + usize::from(channels > 1);
    let depths_at = HEADER + 2 + 12 * tags + 4;
    let data_at = (depths_at + 2 * channels).next_multiple_of(16);

    let mut directory = Vec::with_capacity(data_at);
    directory.extend(if cfg!(target_endian = "little") { b"II" } else { b"MM" });
    directory.extend(42_u16.to_ne_bytes());
    directory.extend(number(HEADER)?.to_ne_bytes());
    directory.extend((tags as u16).to_ne_bytes());
    let mut tag = |id: u16, kind: u16, count: u32, value: u32| {
        directory.extend(id.to_ne_bytes());
        directory.extend(kind.to_ne_bytes());
        directory.extend(count.to_ne_bytes());
        if kind == SHORT && count == 1 {
            // A short value stands at the left end of its four bytes.
            directory.extend((value as u16).to_ne_bytes());
            directory.extend([0, 0]);
        } else {
            directory.extend(value.to_ne_bytes());
        }
    };
    tag(256, LONG, 1, number(width)?);
    tag(257, LONG, 1, number(height)?);
    match channels {
        1 => tag(258, SHORT, 1, bits),
        // Two shorts fit where the others have an offset.
        2 => tag(258, SHORT, 2, bits << 16 | bits),
        _ => tag(258, SHORT, number(channels)?, number(depths_at)?),
    }
    tag(259, SHORT, 1, 1); // no compression
    tag(262, SHORT, 1, if channels < 3 { 1 } else { 2 }); // black is 0; RGB
    tag(273, LONG, 1, number(data_at)?);
    tag(277, SHORT, 1, number(channels)?);
    tag(278, LONG, 1, number(height)?); // all rows in one strip
    tag(279, LONG, 1, number(bytes.len())?);
    if channels > 1 {
        tag(284, SHORT, 1, 1); // channels side by side
    }
    if alpha {
        tag(338, SHORT, 1, 2); // the last channel is alpha, not multiplied in
    }
    directory.extend(0_u32.to_ne_bytes()); // no further image
    for _ in 0..channels {
        directory.extend((bits as u16).to_ne_bytes());
    }
    directory.resize(data_at, 0);
    out.write_all(&directory)?;
    out.write_all(bytes)
}
