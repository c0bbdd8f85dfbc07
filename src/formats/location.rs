//! Which file an input or an output is, whatever it is called.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::Address;
use super::target::Target;
#[cfg(feature = "named")]
use crate::shared::named::Destination;
use crate::sys::file::takes_all;

/// Which file, pipe or segment an [`Address`] leads to: the same for all names of one, by which two outputs that would hit each other
/// are found.
///
/// ```
/// use parfork::formats::Location;
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// std::fs::create_dir(folder.join("below")).unwrap();
/// assert_eq!(Location::of_output(folder.join("out")), Location::of_output(folder.join("below/../out")));
/// assert_ne!(Location::of_output(folder.join("out")), Location::of_output(folder.join("below/out")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location(LocationKind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum LocationKind {
    /// Something that is there: its device and its inode.
    There(u64, u64),
    /// A name in a folder, which has a device and an inode.
    New(u64, u64, OsString),
    /// A segment that is to be made.
    #[cfg(feature = "named")]
    NewSegment(String),
    StandardInput,
    StandardOutput,
}

impl Location {
    /// Where an input is; `None` if it is nowhere.
    pub fn of_input(path: impl AsRef<Path>) -> Option<Self> {
        Some(Self(match Address::of(path.as_ref()) {
            Address::Standard => standard(std::io::stdin(), LocationKind::StandardInput),
            Address::Segment(_) => return Self::of_output(path),
            Address::File(path) => there(&fs::metadata(path).ok()?),
        }))
    }

    /// Where an output will be; `None` if it cannot be anywhere, or is nowhere afterwards (`/dev/null`).
    pub fn of_output(path: impl AsRef<Path>) -> Option<Self> {
        Some(Self(match Address::of(path.as_ref()) {
            Address::Standard => standard(std::io::stdout(), LocationKind::StandardOutput),
            #[cfg(feature = "named")]
            Address::Segment(name) => {
                let found = Destination::find(&name.to_string_lossy()).ok()?;
                let there = found.file().and_then(|file| file.metadata().ok()).as_ref().map(there);
                there.unwrap_or_else(|| LocationKind::NewSegment(found.key()))
            }
            #[cfg(not(feature = "named"))]
            Address::Segment(_) => return None,
            // What is nobody's alone, two can write to.
            Address::File(path) if fs::metadata(path).is_ok_and(|found| takes_all(&found)) => return None,
            Address::File(path) => match Target::find(path) {
                Ok(Target { old: Some(old), .. }) => there(&old.metadata),
                Ok(Target { folder, name, old: None }) => {
                    let folder = folder.metadata().ok()?;
                    LocationKind::New(folder.dev(), folder.ino(), name)
                }
                Err(_) => there(&fs::metadata(path).ok()?),
            },
        }))
    }
}

fn there(found: &Metadata) -> LocationKind {
    LocationKind::There(found.dev(), found.ino())
}

/// A file or a pipe that a standard stream was redirected to is known by other names too; a device is nobody's alone.
fn standard(stream: impl AsFd, otherwise: LocationKind) -> LocationKind {
    let copy = stream.as_fd().try_clone_to_owned().map(File::from);
    let found = copy.and_then(|file| file.metadata()).ok();
    let found = found.filter(|found| !found.file_type().is_char_device());
    found.as_ref().map_or(otherwise, there)
}
