//! Which inputs there are: those that were named, and the pictures in folders.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use parfork_workers::picture::Format;

/// An input.
#[derive(Debug)]
pub struct Found {
    pub path: PathBuf,
    /// Its path below the folder that was named, or its name.
    pub below: PathBuf,
    /// Why it cannot be one, if that is known.
    pub wrong: Option<String>,
}

impl Found {
    fn new(path: &Path, below: &Path, wrong: Option<String>) -> Self {
        Self { path: path.to_owned(), below: below.to_owned(), wrong }
    }
}

/// The inputs that some names mean. Of folders, if they are to be looked into, all whose names end as pictures' do, but for those that are
/// hidden, in the order of names; not those in the folder `output`.
pub fn find(names: &[impl AsRef<Path>], recursive: bool, output: Option<&Path>) -> Vec<Found> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let output = output.and_then(identity);
    let mut inputs = Vec::new();
    for name in names.iter().map(AsRef::as_ref) {
        if !name.is_dir() {
            inputs.push(Found::new(name, Path::new(name.file_name().unwrap_or_default()), None));
            continue;
        }
        if !recursive {
            let what = "it is a folder. Add --recursive to take the pictures in it.".to_owned();
            inputs.push(Found::new(name, Path::new(name.file_name().unwrap_or_default()), Some(what)));
            continue;
        }
        // The next one is the last.
        let mut open = vec![PathBuf::new()];
        while let Some(below) = open.pop() {
            let path = name.join(&below);
            let is_first = below.as_os_str().is_empty();
            if !is_first && !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
                // A link that leads nowhere is told; pipes, devices and folders behind links are none.
                let is_file = fs::metadata(&path).map_or(true, |found| found.is_file());
                if is_file && Format::for_target(&path).is_ok() {
                    inputs.push(Found::new(&path, &below, None));
                }
                continue;
            }
            if !is_first && output.is_some() && identity(&path) == output {
                continue;
            }
            match names_in(&path) {
                Ok(names) => open.extend(names.into_iter().rev().map(|name| below.join(name))),
                Err(error) => {
                    let what = format!("this folder cannot be read ({error}). Have its owner allow it (chmod a+rx).");
                    inputs.push(Found::new(&path, &below, Some(what)));
                }
            }
        }
    }
    inputs
}

/// The names in a folder that are not hidden, in order.
fn names_in(folder: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let names =
        fs::read_dir(folder)?.map(|entry| entry.as_ref().map(DirEntry::file_name).map_err(|error| error.kind().into()));
    let mut names: Vec<_> = names.collect::<io::Result<_>>()?;
    names.retain(|name| !name.as_bytes().starts_with(b"."));
    names.sort();
    Ok(names)
}
