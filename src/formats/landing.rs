//! Outputs that appear whole or not at all.
//!
//! A landing opens its file before the work begins, in the folder of the target but without a name (O_TMPFILE), and names
//! it in one step when everything is written. Until then the target is what it was, and a program that is killed leaves
//! nothing behind. Where a file system has no nameless files (NFS, some FUSE), a hidden name is used and removed again.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::source::wrong;
use crate::error::{Error, Result};
use crate::sys::file::{Bounded, Folder, may_write, permit_like, reserve};
use crate::sys::signals::Hold;

/// An output file that is not there until [`land`](Self::land).
///
/// It is a buffered [`Write`] and [`Seek`]. Dropped without landing, it leaves nothing, and an older file stays as it was.
///
/// ```
/// use parfork::formats::Landing;
/// use std::io::Write;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("answer.txt");
/// let mut out = Landing::at(&path)?; // a missing or read-only folder is found here
/// out.write_all(b"42").map_err(|error| out.failed(&error))?; // hours later
/// assert!(!path.exists());
/// out.land()?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"42");
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct Landing {
    /// The target as the user named it.
    path: PathBuf,
    folder: Folder,
    /// The target's name in `folder`, all symbolic links followed.
    name: OsString,
    file: BufWriter<Bounded>,
    /// The name until then, where the file system wants one; meanwhile a signal that asks this process to end is put off,
    /// for the file would stay.
    hidden: Option<OsString>,
    _hold: Option<Hold>,
    replaces: bool,
    reserved: bool,
    /// Why writing failed; encoders wrap the error until nobody can tell.
    trouble: Option<io::ErrorKind>,
}

impl Landing {
    /// Opens an output that will be at `path`.
    ///
    /// A symbolic link is followed: the file that it points at is replaced, the link stays. The new file has the
    /// permissions of the one it replaces, else those that the umask leaves; its owner is this user.
    ///
    /// # Errors
    /// If the folder is missing or may not be written; if the target is a folder, write-protected, or anything else than
    /// a regular file (a device, a pipe: a file renamed onto /dev/null would take its place).
    pub fn at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let replaced = replaceable(path)?;
        let real = behind_links(path);
        let name = real.file_name().filter(|_| !path.as_os_str().as_bytes().ends_with(b"/"));
        let name =
            name.ok_or_else(|| wrong(path, "it is not the name of a file", "name a file in a folder"))?.to_owned();
        let parent = real.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let unusable = |error| unusable_folder(path, parent, &error);
        let folder = Folder::open(parent).map_err(unusable)?;
        let (file, hidden) = match folder.nameless().map_err(unusable)? {
            Some(file) => (file, None),
            None => {
                let (hidden, file) = under_unused_name(|name| folder.create(name)).map_err(unusable)?;
                (file, Some(hidden))
            }
        };
        let replaces = replaced.is_some();
        let file = BufWriter::with_capacity(1 << 18, Bounded(file));
        let _hold = hidden.as_ref().map(|_| Hold::new());
        let path = path.to_owned();
        let landing = Self { path, folder, name, file, hidden, _hold, replaces, reserved: false, trouble: None };
        if let Some(old) = replaced {
            permit_like(landing.file.get_ref(), &old).map_err(|error| landing.failed(&error))?;
        }
        Ok(landing)
    }

    /// The target, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets disk space aside for an output of `bytes`, so that a full disk is found before the work; file systems that
    /// cannot do so say nothing. Space that turns out not to be needed is given back on landing.
    ///
    /// # Errors
    /// If there is too little space, quota, or the file would be longer than this process may make one.
    pub fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.reserved = true;
        reserve(self.file.get_ref(), bytes).map_err(|error| self.no_room(&error, format!("its {bytes} bytes")))
    }

    /// Puts the file in its place. What was there is replaced in the same step.
    ///
    /// The data are forced to disk first where an older file would be lost in exchange, or where the file system reports
    /// a lack of space only then; a new file on a local disk is left to the system, as `cp` does.
    ///
    /// # Errors
    /// If not everything can be written, or the folder is no longer what it was; the target stays as it was.
    pub fn land(mut self) -> Result<()> {
        self.settle().map_err(|error| self.failed(&error))
    }

    fn settle(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_ref();
        if self.reserved {
            file.set_len(file.metadata()?.len())?;
        }
        if self.replaces || self.hidden.is_some() {
            file.sync_data()?;
        }
        let _no_hidden_file_stays = Hold::new();
        if self.hidden.is_none() {
            match self.folder.link(file, &self.name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.hidden = Some(under_unused_name(|name| self.folder.link(file, name))?.0);
                }
                other => return other,
            }
        }
        if let Some(hidden) = &self.hidden {
            self.folder.rename(hidden, &self.name)?;
        }
        self.hidden = None;
        Ok(())
    }

    /// The error of this crate for an error in writing to this file.
    pub fn failed(&self, error: &io::Error) -> Error {
        let written = self.file.get_ref().metadata().map_or(0, |metadata| metadata.len());
        self.no_room(error, format!("more than {written} of its bytes"))
    }

    fn no_room(&self, error: &io::Error, wanted: String) -> Error {
        let (what, remedy) = match self.trouble.unwrap_or(error.kind()) {
            io::ErrorKind::StorageFull => ("the disk has no room for", "free some space or name another disk"),
            io::ErrorKind::QuotaExceeded => ("this user's disk quota has no room for", "free some space"),
            io::ErrorKind::FileTooLarge => {
                ("a file here, or of this process, must not have", "raise `ulimit -f`, or use another file system")
            }
            _ => {
                let what = format!("it cannot be written ({error})");
                return wrong(&self.path, what, "check its folder and the disk; what was there before is unchanged");
            }
        };
        wrong(&self.path, format!("{what} {wanted} ({error})"), remedy)
    }
}

impl Write for Landing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| self.trouble = Some(error.kind()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().inspect_err(|error| self.trouble = Some(error.kind()))
    }
}

impl Seek for Landing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to).inspect_err(|error| self.trouble = Some(error.kind()))
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            // There is nobody left to tell, and what remains is a hidden file.
            let _ = self.folder.remove(hidden);
        }
    }
}

/// The file at `path`, if there is one and it may be replaced.
fn replaceable(path: &Path) -> Result<Option<Metadata>> {
    let old = match fs::metadata(path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable_folder(path, path.parent().unwrap_or(path), &error)),
    };
    if old.is_dir() {
        return Err(wrong(path, "it is a folder", "name a file in it"));
    }
    if !old.is_file() {
        return Err(wrong(path, "it is a device, a pipe or a socket, and would be replaced", "name an ordinary file"));
    }
    may_write(path).map_err(|error| {
        wrong(path, format!("it is there and write-protected ({error})"), "name another file, or allow it (chmod u+w)")
    })?;
    Ok(Some(old))
}

/// Where a chain of symbolic links ends, also if nothing is there yet.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // The kernel gives up after 40 links, and says so before this is asked.
    for _ in 0..40 {
        let Ok(link) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    path
}

/// Tries names that nobody can guess until one is free: in a folder that others may write too, one could be there before us.
fn under_unused_name<T>(mut attempt: impl FnMut(&OsStr) -> io::Result<T>) -> io::Result<(OsString, T)> {
    loop {
        let number = RandomState::new().build_hasher().finish();
        let name = OsString::from(format!(".parfork-{}-{number:016x}", std::process::id()));
        match attempt(&name) {
            Ok(made) => return Ok((name, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn unusable_folder(path: &Path, folder: &Path, error: &io::Error) -> Error {
    let folder = folder.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            wrong(path, format!("there is no folder {folder}"), format!("make it (mkdir -p {folder}) or name another"))
        }
        io::ErrorKind::NotADirectory => wrong(path, format!("{folder} is not a folder"), "name a file in a folder"),
        io::ErrorKind::PermissionDenied => {
            wrong(path, format!("this user may not write in the folder {folder}"), "name a file in another folder")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            wrong(path, format!("the folder {folder} is on a read-only file system"), "name a file in another folder")
        }
        _ => wrong(path, format!("nothing can be written in the folder {folder} ({error})"), "name another folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    /// As on a file system without nameless files.
    fn with_hidden_name(path: &Path) -> Landing {
        let mut landing = Landing::at(path).unwrap();
        let (hidden, file) = under_unused_name(|name| landing.folder.create(name)).unwrap();
        landing.file = BufWriter::new(file);
        landing.hidden = Some(hidden);
        landing
    }

    #[test]
    fn it_lands_whole_or_not_at_all() {
        for open in [|path: &Path| Landing::at(path).unwrap(), with_hidden_name] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out");
            drop(open(&path));
            assert!(names(folder.path()).is_empty());
            for text in ["first", "second, longer"] {
                let before = fs::read(&path).ok();
                let mut out = open(&path);
                out.reserve(1 << 20).unwrap();
                out.write_all(text.as_bytes()).unwrap();
                out.flush().unwrap();
                assert_eq!(fs::read(&path).ok(), before, "the target changes on landing only");
                out.land().unwrap();
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
                assert_eq!(names(folder.path()), ["out"]);
            }
            let mut out = open(&path);
            out.write_all(b"never mind").unwrap();
            drop(out);
            assert_eq!(fs::read(&path).unwrap(), b"second, longer");
            assert_eq!(names(folder.path()), ["out"]);
        }
    }

    #[test]
    fn permissions_stay_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        symlink("target", &link).unwrap();
        Landing::at(&link).unwrap().land().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && target.is_file(), "also a link to nothing yet");
        fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
        Landing::at(&link).unwrap().land().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o640);
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        symlink(&one, &two).unwrap();
        symlink(&two, &one).unwrap();
        assert!(Landing::at(&one).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_target_is_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| Landing::at(path).unwrap_err().to_string();
        assert!(refusal(&folder.path().join("none/out")).contains("mkdir -p"));
        assert!(refusal(folder.path()).contains("it is a folder"));
        assert!(refusal(&folder.path().join("none/")).contains("not the name of a file"));
        assert!(refusal(Path::new("/dev/null")).contains("device"));
        assert!(refusal(Path::new("")).contains("not the name"));
        assert!(refusal(Path::new("/proc/out")).contains("/proc"));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refusal(&file.join("out")).contains("is not a folder"));
    }

    #[test]
    fn a_full_disk_is_found_before_the_work_with_the_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Landing::at(folder.path().join("out")).unwrap();
        let error = out.reserve(1 << 62).unwrap_err().to_string();
        assert!(error.contains("4611686018427387904 bytes"), "{error}");
        let error = out.failed(&io::ErrorKind::StorageFull.into()).to_string();
        assert!(error.contains("no room for more than 0 of its bytes"), "{error}");
    }

    #[test]
    fn who_lands_last_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let (mut one, mut two) = (Landing::at(&path).unwrap(), Landing::at(&path).unwrap());
        one.write_all(b"one").unwrap();
        two.write_all(b"two").unwrap();
        two.land().unwrap();
        one.land().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["out"]);
    }
}
