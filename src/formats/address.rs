//! What the name of an input or an output means: the one place where that is decided.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the name of an input or an output means.
///
/// ```
/// use parfork::formats::Address;
/// assert_eq!(Address::of("-".as_ref()), Address::Standard);
/// assert_eq!(Address::of("shm:plate".as_ref()), Address::Segment("plate".as_ref()));
/// // A file of such a name is meant with its folder.
/// assert_eq!(Address::of("./shm:plate".as_ref()), Address::File("./shm:plate".as_ref()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'p> {
    /// `-`: standard input, or standard output.
    Standard,
    /// `shm:NAME`: a named segment.
    Segment(&'p OsStr),
    /// Anything else: a path, of a file or a pipe.
    File(&'p Path),
}

impl<'p> Address<'p> {
    /// What a name means.
    pub fn of(name: &'p Path) -> Self {
        match name.as_os_str().as_bytes() {
            b"-" => Self::Standard,
            bytes => {
                bytes.strip_prefix(b"shm:").map_or(Self::File(name), |name| Self::Segment(OsStr::from_bytes(name)))
            }
        }
    }
}
