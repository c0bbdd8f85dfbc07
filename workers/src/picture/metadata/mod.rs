//! What a file has beside its picture: EXIF, the profile of its colours (ICC), XMP. It goes from file to file as the bytes that it is,
//! but for what the work makes untrue.

mod directory;
mod exif;
#[cfg(test)]
mod tests;

use super::{DecodeWarning, Format};
pub(super) use directory::{ByteOrder, Entry, HEADER, bounded, first, read, written};
pub(super) use exif::{for_tiff, of_tiff};

/// More is not read.
pub(super) const MOST: usize = 8 << 20;

/// The longest that one segment of a JPEG holds, behind its name.
const SEGMENT: usize = 65_533;

/// What EXIF and XMP begin with in a segment of a JPEG, and each part of an ICC profile.
pub(super) const EXIF_NAME: &[u8] = b"Exif\0\0";
pub(super) const XMP_NAME: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
pub(super) const ICC_NAME: &[u8] = b"ICC_PROFILE\0";

/// The longest part of an ICC profile that a segment holds, behind its name, its number and how many there are.
pub(super) const ICC_PART: usize = SEGMENT - 14;

/// What a file has beside its picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// What a camera noted: EXIF, from the order of bytes on.
    pub exif: Option<Vec<u8>>,
    /// The profile of its colours.
    pub icc: Option<Vec<u8>>,
    /// An XMP packet.
    pub xmp: Option<Vec<u8>>,
}

impl Metadata {
    /// What of it stays behind when a picture of this height, width and channels is written in this format.
    pub fn left_behind(&self, format: Format, shape: [usize; 3]) -> Vec<DecodeWarning> {
        self.fitted(format, shape).1
    }

    /// What is written with such a picture, and what is not.
    ///
    /// The picture was turned upright, and may have got other sides: EXIF and XMP say so then. A thumbnail shows what it was before,
    /// and is left out.
    pub(super) fn fitted(&self, format: Format, shape @ [height, width, _]: [usize; 3]) -> (Self, Vec<DecodeWarning>) {
        let jpeg = matches!(format, Format::Jpeg(_));
        let short = |bytes: Vec<u8>, name: &[u8]| match jpeg && bytes.len() > SEGMENT - name.len() {
            true => Err("it is longer than 64 KB"),
            false => Ok(bytes),
        };
        let exif = |bytes: &[u8]| short(exif::of_result(bytes, [height, width]).ok_or("it cannot be read")?, EXIF_NAME);
        let icc = |bytes: &[u8]| match suits(bytes, shape) {
            true if jpeg && bytes.len() > 255 * ICC_PART => Err("it is longer than 16 MB"),
            true => Ok(bytes.to_vec()),
            false => Err("it is of other colours than the result"),
        };
        let xmp = |bytes: &[u8]| short(upright(bytes), XMP_NAME);
        let mut left = Vec::new();
        let mut part = |what, fitted: Option<Result<Vec<u8>, &'static str>>| {
            let fitted = fitted.map(|fitted| if format.has_metadata() { fitted } else { Err("") })?;
            fitted.map_err(|why| left.push(DecodeWarning::LeftBehind { what, why, format: format.name() })).ok()
        };
        let fitted = Self {
            exif: part("EXIF", self.exif.as_deref().map(exif)),
            icc: part("ICC profile", self.icc.as_deref().map(icc)),
            xmp: part("XMP", self.xmp.as_deref().map(xmp)),
        };
        (fitted, left)
    }

    /// All of it in a row, for [`from_bytes`](Self::from_bytes).
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let parts = [&self.exif, &self.icc, &self.xmp];
        let lengths = parts.iter().flat_map(|part| (part.as_ref().map_or(0, Vec::len) as u64).to_le_bytes());
        lengths.chain(parts.iter().flat_map(|part| part.iter().flatten().copied())).collect()
    }

    /// What was so written, if anything like it was: it comes from a process that is not trusted.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (lengths, mut rest) = bytes.split_at_checked(24)?;
        let mut parts = lengths.as_chunks::<8>().0.iter().map(|length| {
            let (part, behind) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
            rest = behind;
            Some((!part.is_empty()).then(|| part.to_vec()))
        });
        Some(Self { exif: parts.next()??, icc: parts.next()??, xmp: parts.next()?? })
    }

    /// The first part of it that is longer than can be meant, and how long it is.
    pub(super) fn too_long(&self) -> Option<(&'static str, usize)> {
        let parts = [("EXIF", &self.exif), ("ICC profile", &self.icc), ("XMP", &self.xmp)];
        let lengths = parts.map(|(what, part)| (what, part.as_ref().map_or(0, Vec::len)));
        lengths.into_iter().find(|(_, length)| *length > MOST)
    }
}

/// Whether an ICC profile is of the kind of colours that such a picture has.
fn suits(icc: &[u8], [.., channels]: [usize; 3]) -> bool {
    icc.get(16..20) == Some(if channels < 3 { b"GRAY" } else { b"RGB " })
}

/// An XMP packet that says no more that its picture is to be turned.
fn upright(xmp: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    let mut xmp = xmp.to_vec();
    let mut at = 0;
    while let Some(found) = xmp[at..].windows(NAME.len()).position(|bytes| bytes == NAME) {
        at += found + NAME.len();
        // An attribute, or an element: which way up is one digit.
        let digit = match xmp.get(at..at + 3) {
            Some(&[b'=', b'"' | b'\'', digit]) if digit.is_ascii_digit() => Some(at + 2),
            Some(&[b'>', digit, b'<']) if digit.is_ascii_digit() => Some(at + 1),
            _ => None,
        };
        if let Some(digit) = digit {
            xmp[digit] = b'1';
        }
    }
    xmp
}
