//! What is wrong with a manifest, or with a line of the protocol between a worker and its program.

use crate::dtype::DtypeError;
use crate::slices::{Split, SplitError};

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// They are no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is of another version.
    #[error("it is of version `{found}`, and `{known}` is known here")]
    Version {
        /// The version it says.
        found: String,
        /// The one that can be read.
        known: &'static str,
    },
    /// A field is missing, or is not what it should be.
    #[error("`{name}` is {what}")]
    Field {
        /// Its name.
        name: &'static str,
        /// What it is instead, as in `no list`.
        what: &'static str,
    },
    /// A field is none of the words that it can be.
    #[error("`{name}` is none of {}", .known.join(", "))]
    Choice {
        /// Its name.
        name: &'static str,
        /// The words.
        known: &'static [&'static str],
    },
    /// An array's type of elements.
    #[error(transparent)]
    Dtype(#[from] DtypeError),
    /// How the first output is cut.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// An array that no memory has room for.
    #[error("an array of shape {shape:?} is larger than memory can be")]
    TooLarge {
        /// Its shape.
        shape: Vec<usize>,
    },
    /// An array that does not lie as its shape says.
    #[error("strides, offset or bytes of `{name}` are not those of its shape")]
    Layout {
        /// Its name.
        name: String,
    },
    /// The first output cannot be cut so.
    #[error("an array of shape {shape:?} cannot be cut by `{split}`")]
    Cut {
        /// Its shape.
        shape: Vec<usize>,
        /// How it is to be cut.
        split: Split,
    },
    /// Planes that cannot be stepped on as it says.
    #[error(
        "`axes` and `steps` do not go with planes `{name}`: of shape {shape:?}, with a margin of {margin:?} cells, of which {padding:?} come before the array"
    )]
    Planes {
        /// Their name.
        name: String,
        /// The shape of each.
        shape: Vec<usize>,
        /// How many cells a slice reads beyond its own, on each axis.
        margin: Vec<usize>,
        /// Where the array begins.
        padding: Vec<usize>,
    },
    /// A worker or a slice that does not exist.
    #[error(
        "`rank`, `count` or `mine` are more than there is: rank {rank} of {size}, {count} slices of {slices}, those of this worker up to {end}"
    )]
    MoreThanThereIs {
        /// The worker's rank.
        rank: usize,
        /// How many workers it says there are.
        size: usize,
        /// How many slices it says there are.
        count: usize,
        /// How many there are.
        slices: usize,
        /// The end of the slices that are fixed for this worker.
        end: usize,
    },
}

/// Why bytes are no JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// They are no text.
    #[error("it is not UTF-8 at byte {at}")]
    Utf8 {
        /// The first byte that is not.
        at: usize,
    },
    /// Something comes after the value.
    #[error("it goes on at byte {at}, after its end")]
    GoesOn {
        /// Where that begins.
        at: usize,
    },
    /// It is deeper than any manifest.
    #[error("it is nested more than {most} deep")]
    TooDeep {
        /// The deepest that is read.
        most: usize,
    },
    /// Something else stands where something is expected.
    #[error("'{}' stands at byte {at} instead of {wanted}", .found.escape_debug())]
    Unexpected {
        /// Where.
        at: usize,
        /// What stands there.
        found: char,
        /// What should.
        wanted: &'static str,
    },
    /// It ends too early.
    #[error("it ends where {wanted} is missing")]
    Ends {
        /// What should come.
        wanted: &'static str,
    },
    /// Digits that are no number.
    #[error("`{digits}` is not a number")]
    Number {
        /// As they stand there.
        digits: String,
    },
    /// A backslash before what it cannot escape.
    #[error("no letter is escaped as at byte {at}")]
    Escape {
        /// Where the backslash is.
        at: usize,
    },
    /// A control character in a string.
    #[error("a control character stands in a string at byte {at}")]
    Control {
        /// Where.
        at: usize,
    },
}

/// A line that is none of the protocol's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" where {expected} was expected", shown(.read))]
pub struct ProtocolError {
    /// What was read, without its newline.
    pub read: Vec<u8>,
    /// What should have been there.
    pub expected: String,
}

/// Bytes as people can read them, no more than 80 letters.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 80;
    let text = bytes[..bytes.len().min(MOST + 1)].escape_ascii().to_string();
    if text.len() <= MOST { text } else { format!("{}...", &text[..MOST]) }
}
