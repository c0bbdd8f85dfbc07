//! What the name of an input or an output means: the one place where that is decided.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::sys::file::takes_all;

/// What the name of an input or an output means.
///
/// ```
/// use parfork::formats::Address;
/// assert_eq!(Address::of("-".as_ref()), Address::Standard);
/// assert_eq!(Address::of("shm:plate".as_ref()), Address::Segment("plate".as_ref()));
/// // A file of such a name is meant with its folder.
/// assert_eq!(Address::of("./shm:plate".as_ref()), Address::File("./shm:plate".as_ref()));
/// ```
///
/// Of an input, `FILE.npz:NAME` is the array of that name in an archive, where there is no file of the whole name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'p> {
    /// `-`, and `/dev/stdin` and `/dev/stdout`: standard input, or standard output.
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
            b"-" | b"/dev/stdin" | b"/dev/stdout" => Self::Standard,
            bytes => {
                bytes.strip_prefix(b"shm:").map_or(Self::File(name), |name| Self::Segment(OsStr::from_bytes(name)))
            }
        }
    }

    /// Whether bytes go through it and are nowhere afterwards: standard streams, pipes, and the devices that take all (`/dev/null`,
    /// `/dev/zero`, and `/dev/full`, which says that it has no room).
    pub fn is_stream(self) -> bool {
        match self {
            Self::Standard => true,
            Self::Segment(_) => false,
            Self::File(path) => fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo() || takes_all(&found)),
        }
    }

    /// The file that is to be opened for an input, and which array of that archive is meant.
    pub(super) fn member(path: &'p Path) -> (&'p Path, Option<&'p OsStr>) {
        let bytes = path.as_os_str().as_bytes();
        let colon = bytes.windows(5).rposition(|five| five.eq_ignore_ascii_case(b".npz:")).map(|at| at + 4);
        match colon {
            Some(colon) if !path.exists() => {
                (Path::new(OsStr::from_bytes(&bytes[..colon])), Some(OsStr::from_bytes(&bytes[colon + 1..])))
            }
            _ => (path, None),
        }
    }
}
