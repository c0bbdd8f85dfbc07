//! What there is to say of files that were read nevertheless.

use std::fmt;

/// What there is to say of a file from which a picture was read nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeWarning {
    /// The marker that ends a JPEG is not there; the picture is.
    Unended,
    /// Not all that the file has beside its picture is written with the result.
    LeftBehind {
        /// EXIF, the ICC profile or XMP.
        what: &'static str,
        /// Why, of a result that could hold some; else empty.
        why: &'static str,
        /// That of the result.
        format: &'static str,
    },
}

impl fmt::Display for DecodeWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unended => f.write_str("the file lacks the marker that ends a JPEG; its picture is whole"),
            Self::LeftBehind { what, why: "", format } => write!(f, "its {what} is left out: {format} holds none"),
            Self::LeftBehind { what, why, format } => write!(f, "its {what} is left out of the {format}: {why}"),
        }
    }
}
