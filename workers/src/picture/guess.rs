//! How large a picture seems to be, by the few bytes that say so in JPEG and PNG.
//!
//! It is looked at by the coordinator, to whom the file is a stranger's: nothing is decoded, what is read are single bytes at places that are
//! looked up with their bounds, and what comes out is how much memory is made, which is not more than such a file can explain. Whether it
//! is right, the process says that reads the file.

use image::{ExtendedColorType, ImageFormat};
use parfork::Result;
use parfork::formats::InputFile;

use super::decode::Header;
use super::plausible::{ClaimedShape, least_file};

/// Where the size of most stands: behind EXIF, its thumbnail and a profile of colours.
const HEAD: u64 = 256 << 10;

/// What a file seems to hold, but for which side is up.
pub(super) fn guess(source: &InputFile) -> Result<Option<Header>> {
    let head = source.head(HEAD)?;
    let found =
        jpeg(&head).map(|claim| (ImageFormat::Jpeg, claim)).or(png(&head).map(|claim| (ImageFormat::Png, claim)));
    Ok(found.and_then(|(format, claim)| {
        let is_possible = claim.bytes() > 0 && least_file(format, &head, ExtendedColorType::L8, claim) <= source.len();
        let shape = [claim.height, claim.width, claim.channels].map(|length| length as usize);
        is_possible.then_some(Header { shape, bits: claim.bits as u32 })
    }))
}

/// What the header of the frame says, wherever it stands.
fn jpeg(head: &[u8]) -> Option<ClaimedShape> {
    let mut at = head.starts_with(&[0xFF, 0xD8]).then_some(2)?;
    loop {
        let &[0xFF, marker, high, low] = head.get(at..)?.first_chunk()? else { return None };
        let length = |high: u8, low: u8| u64::from(u16::from_be_bytes([high, low]));
        if matches!(marker, 0xC0..=0xC2) {
            let &[_, rows, row, columns, column, components] = head.get(at + 4..)?.first_chunk()?;
            let channels = if components == 1 { 1 } else { 3 };
            return Some(ClaimedShape { width: length(columns, column), height: length(rows, row), channels, bits: 8 });
        }
        at += 2 + length(high, low).max(2) as usize;
    }
}

/// What the first chunk says.
fn png(head: &[u8]) -> Option<ClaimedShape> {
    if !head.starts_with(b"\x89PNG\r\n\x1a\n") || head.get(12..16)? != b"IHDR" {
        return None;
    }
    let length = |at: usize| head.get(at..)?.first_chunk().map(|bytes| u64::from(u32::from_be_bytes(*bytes)));
    let (depth, colours) = (*head.get(24)?, *head.get(25)?);
    let channels = match colours {
        2 | 3 => 3,
        4 => 2,
        6 => 4,
        _ => 1,
    };
    let bits = if depth == 16 { 16 } else { 8 };
    Some(ClaimedShape { width: length(16)?, height: length(20)?, channels, bits })
}
