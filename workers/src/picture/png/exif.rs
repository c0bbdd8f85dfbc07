//! Which way up a PNG is, where that stands behind its samples, which readers of headers do not see.

use std::fs::File;
use std::os::unix::fs::FileExt;

use image::metadata::Orientation;

/// No EXIF is longer: in JPEG it is one segment.
const LONGEST: u32 = 1 << 16;

/// What the first chunk of EXIF says. The file is read at places, not from where it is being read.
pub(in crate::picture) fn orientation(file: &File) -> Option<Orientation> {
    // Behind the signature: chunk after chunk, each a length, a name, so many bytes, and four of checksum.
    let mut at = 8;
    loop {
        let mut head = [0; 8];
        file.read_exact_at(&mut head, at).ok()?;
        let [a, b, c, d, name @ ..] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        match &name {
            b"eXIf" if length <= LONGEST => {
                let mut exif = vec![0; length as usize];
                file.read_exact_at(&mut exif, at + 8).ok()?;
                return Orientation::from_exif_chunk(&exif);
            }
            b"IEND" => return None,
            _ => at += 12 + u64::from(length),
        }
    }
}
