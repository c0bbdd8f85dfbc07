//! EXIF of a PNG that stands behind its samples, which readers of headers do not see.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::picture::metadata::MOST;

/// The first chunk of EXIF. The file is read at places, not from where it is being read.
pub(in crate::picture) fn late_exif(file: &File) -> Option<Vec<u8>> {
    // Behind the signature: chunk after chunk, each a length, a name, so many bytes, and four of checksum.
    let mut at = 8;
    loop {
        let mut head = [0; 8];
        file.read_exact_at(&mut head, at).ok()?;
        let [a, b, c, d, name @ ..] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        match &name {
            b"eXIf" if length as usize <= MOST => {
                let mut exif = vec![0; length as usize];
                file.read_exact_at(&mut exif, at + 8).ok()?;
                return Some(exif);
            }
            b"IEND" => return None,
            _ => at += 12 + u64::from(length),
        }
    }
}
