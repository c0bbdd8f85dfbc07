//! Outputs that appear whole or not at all.
//!
//! A output file opens its file before the work begins, in the folder of the target but without a name (O_TMPFILE), and names
//! it in one step when everything is written. Until then the target is what it was, and a program that is killed leaves
//! nothing behind. What replaces an older file has a hidden name for a moment, and for all the time where a file system has no
//! nameless files (NFS, some FUSE); who is killed then leaves one, which the next output file on the same target removes.

use std::ffi::OsString;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::hidden;
use super::input::wrong;
use super::target::{MountedFile, Target, unusable_folder};
use crate::error::{Error, Result, limit};
use crate::sys::file::{Bounded, Folder, permit_like, reserve, user};
use crate::sys::fork_stamp::{self, Stamp};
use crate::sys::signals::SignalGuard;

/// An output file that is not there until [`commit`](Self::commit).
///
/// It is a buffered [`Write`] and [`Seek`]. Dropped without output file, it leaves nothing, and an older file stays as it was.
///
/// ```
/// use parfork::formats::AtomicFile;
/// use std::io::Write;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("answer.txt");
/// let mut out = AtomicFile::at(&path)?; // a missing or read-only folder is found here
/// out.write_all(b"42").map_err(|error| out.failed(&error))?; // hours later
/// assert!(!path.exists());
/// out.commit()?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"42");
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    /// The target as the user named it.
    path: PathBuf,
    folder: Folder,
    /// The target's name in `folder`, all symbolic links followed when it was opened.
    name: OsString,
    pub(super) file: BufWriter<Bounded>,
    /// The name until then, where the file system wants one; meanwhile a signal that asks this process to end is put off,
    /// for the file would stay.
    hidden: Option<OsString>,
    _hold: Option<SignalGuard>,
    replaces: bool,
    mounted: Option<MountedFile>,
    reserved: bool,
    /// Why writing failed; encoders wrap the error until nobody can tell.
    failure: Option<io::ErrorKind>,
    /// The process that opened it; forks have the descriptor and a copy of the buffer.
    by: Stamp,
}

impl AtomicFile {
    /// Opens an output that will be at `path`.
    ///
    /// A symbolic link is followed, here and once: the file that it points at is replaced, the link stays. Not one that somebody else
    /// has put in a folder with the sticky bit, as /tmp. A link that is put there later is itself replaced.
    ///
    /// The new file has the permissions and group of the one it replaces, if that was this user's, else those that the umask
    /// leaves; its owner is this user. Other names of an older file (hard links) go on to be names of that. A file that is mounted
    /// (`mount --bind`, `docker -v FILE:FILE`) cannot be replaced; it [is written in place](Self::is_in_place).
    ///
    /// # Errors
    /// If the folder is missing or may not be written; if the target is a folder, write-protected, another user's in a folder with
    /// the sticky bit, or anything else than a regular file (a device, a pipe: a file renamed onto /dev/null would take its place).
    pub fn at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let Target { folder, name, old } = Target::find(path)?;
        let unusable = |error| unusable_folder(path, path.parent().unwrap_or(path), &error);
        hidden::sweep(&folder, &name);
        // Who may not read the older file must not be able to open the new one in between either.
        let mode = match old.as_ref().map(|old| &old.metadata) {
            None => 0o666,
            Some(old) if old.uid() == user() => 0o600,
            Some(old) => old.mode() & 0o666,
        };
        let (old, mounted, file, hidden) = match old {
            Some(there) if there.is_mounted_on(&folder) => {
                let (mounted, file) = MountedFile::new(there, &folder).map_err(unusable)?;
                (None, Some(mounted), file, None)
            }
            old => match folder.nameless(mode).map_err(unusable)? {
                Some(file) => (old, None, file, None),
                None => {
                    let (hidden, file) = hidden::create(&folder, &name, mode).map_err(unusable)?;
                    (old, None, file, Some(hidden))
                }
            },
        };
        let replaces = old.is_some();
        let file = BufWriter::with_capacity(1 << 18, Bounded(file));
        let _hold = hidden.as_ref().map(|_| SignalGuard::new());
        let (path, by) = (path.to_owned(), fork_stamp::current());
        let target_file =
            Self { path, folder, name, file, hidden, _hold, replaces, mounted, reserved: false, failure: None, by };
        if let Some(old) = old.filter(|old| old.metadata.uid() == user()) {
            permit_like(target_file.file.get_ref(), &old).map_err(|error| target_file.failed(&error))?;
        }
        Ok(target_file)
    }

    /// The target, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets disk space aside for an output of `bytes`, so that a full disk is found before the work; file systems that
    /// cannot do so say nothing. Space that turns out not to be needed is given back on output file.
    ///
    /// # Errors
    /// If there is too little space, quota, or the file would be longer than this process may make one.
    pub fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.reserved = true;
        let reserved = match &self.mounted {
            Some(mounted) => mounted.reserve(self.file.get_ref(), bytes),
            None => reserve(self.file.get_ref(), bytes),
        };
        reserved.map_err(|error| self.no_room(&error, format!("its {bytes} bytes")))
    }

    /// Whether the target is mounted, as a container's files can be, and is written in place: not in one step, and what was there is
    /// lost if this process is killed meanwhile.
    pub fn is_in_place(&self) -> bool {
        self.mounted.is_some()
    }

    /// Puts the file in its place. What was there is replaced in the same step.
    ///
    /// The data are forced to disk first where an older file would be lost in exchange, or where the file system reports
    /// a lack of space only then; a new file on a local disk is left to the system, as `cp` does.
    ///
    /// # Errors
    /// If not everything can be written, or the folder is no longer what it was, or this is a fork of the process that opened it; the
    /// target stays as it was, but for one that [is written in place](Self::is_in_place), of which the error says so.
    pub fn commit(mut self) -> Result<()> {
        if self.is_copy() {
            let what = format!("this process, {}, was forked from the one that opened it", std::process::id());
            return Err(wrong(&self.path, what, "write and land it in one process; workers write to arrays"));
        }
        self.settle().map_err(|error| self.failed(&error))
    }

    fn settle(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_ref();
        if self.reserved {
            file.set_len(file.metadata()?.len())?;
        }
        if let Some(mounted) = &mut self.mounted {
            return mounted.write(file, self.folder.file(&self.name, true)?);
        }
        if self.replaces || self.hidden.is_some() {
            file.sync_data()?;
        }
        let _no_hidden_file_stays = SignalGuard::new();
        if self.hidden.is_none() {
            match self.folder.link(file, &self.name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.hidden = Some(hidden::link(&self.folder, file, &self.name)?);
                }
                other => return other,
            }
        }
        if let Some(hidden) = &self.hidden {
            self.folder.rename(hidden, &self.name)?;
            // Forks of this process would keep it.
            let _ = file.unlock();
        }
        self.hidden = None;
        Ok(())
    }

    /// Whether this is a fork of the process that it belongs to.
    fn is_copy(&self) -> bool {
        !self.by.is_current()
    }

    /// The error of this crate for an error in writing to this file.
    pub fn failed(&self, error: &io::Error) -> Error {
        let written = self.file.get_ref().metadata().map_or(0, |metadata| metadata.len());
        self.no_room(error, format!("more than {written} of its bytes"))
    }

    /// What an error says of what was there before.
    fn what_is_there(&self) -> &'static str {
        match self.mounted.as_ref().is_some_and(MountedFile::is_begun) {
            true => "it is mounted and was being written in place: what was there before is lost",
            false => "what was there before is unchanged",
        }
    }

    fn no_room(&self, error: &io::Error, wanted: String) -> Error {
        let (what, remedy) = match self.failure.unwrap_or(error.kind()) {
            io::ErrorKind::StorageFull => ("the disk has no room for", "free some space or name another disk"),
            io::ErrorKind::QuotaExceeded => ("this user's disk quota has no room for", "free some space"),
            io::ErrorKind::FileTooLarge => {
                ("a file here, or of this process, must not have", "raise `ulimit -f`, or use another file system")
            }
            _ => {
                let what = format!("it cannot be written ({error})");
                let remedy = limit(error).unwrap_or_else(|| "check its folder and the disk".to_owned());
                return wrong(&self.path, what, format!("{remedy}; {}", self.what_is_there()));
            }
        };
        wrong(&self.path, format!("{what} {wanted} ({error})"), format!("{remedy}; {}", self.what_is_there()))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| self.failure = Some(error.kind()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().inspect_err(|error| self.failure = Some(error.kind()))
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to).inspect_err(|error| self.failure = Some(error.kind()))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.is_copy() {
            // What is in the buffer will be written by the process that it belongs to.
            if let Ok(same) = self.file.get_ref().try_clone() {
                drop(std::mem::replace(&mut self.file, BufWriter::with_capacity(0, Bounded(same))).into_parts());
            }
        } else if let Some(hidden) = &self.hidden {
            // There is nobody left to tell, and what remains is a hidden file.
            let _ = self.folder.remove(hidden);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    /// As on a file system without nameless files.
    fn with_hidden_name(path: &Path) -> AtomicFile {
        let mut target_file = AtomicFile::at(path).unwrap();
        let (hidden, file) = hidden::create(&target_file.folder, &target_file.name, 0o666).unwrap();
        target_file.file = BufWriter::new(Bounded(file));
        target_file.hidden = Some(hidden);
        target_file
    }

    #[test]
    fn it_lands_whole_or_not_at_all() {
        for open in [|path: &Path| AtomicFile::at(path).unwrap(), with_hidden_name] {
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
                out.commit().unwrap();
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
        AtomicFile::at(&link).unwrap().commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && target.is_file(), "also a link to nothing yet");
        fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
        AtomicFile::at(&link).unwrap().commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o640);
    }

    #[test]
    fn permissions_are_never_more_than_they_were_for_anybody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let after = |mode, owner, group| {
            fs::write(&path, "").unwrap();
            chown(&path, owner, group).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            AtomicFile::at(&path).unwrap().commit().unwrap();
            let found = fs::metadata(&path).unwrap();
            fs::remove_file(&path).unwrap();
            (found.mode() & 0o7777, found.uid(), found.gid())
        };
        let own = after(0o660, None, None);
        assert_eq!((own.0, own.1), (0o660, user()));
        if user() != 0 {
            return println!("skipped: only root can give files away");
        }
        assert_eq!(after(0o660, None, Some(4242)), (0o660, 0, 4242));
        // What another user has left, open to everybody, is no way to have the new one so.
        let (mode, owner, group) = after(0o666, Some(4242), Some(4242));
        assert_eq!((mode & 0o022, owner, group), (0, 0, own.2));
        assert_eq!(after(0o600, Some(4242), None).0, 0o600);
    }

    #[test]
    fn a_link_put_there_later_is_replaced_and_not_followed() {
        for open in [|path: &Path| AtomicFile::at(path).unwrap(), with_hidden_name] {
            let folder = tempfile::tempdir().unwrap();
            let (path, other) = (folder.path().join("out"), folder.path().join("other"));
            fs::write(&other, "precious").unwrap();
            let mut out = open(&path);
            symlink("other", &path).unwrap();
            out.write_all(b"result").unwrap();
            out.commit().unwrap();
            assert_eq!(
                (fs::read_to_string(&path).unwrap(), fs::read_to_string(&other).unwrap()),
                ("result".into(), "precious".into())
            );
            assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
        }
    }

    #[test]
    fn what_the_killed_have_left_is_removed_by_the_next_and_nothing_of_the_living() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let living = with_hidden_name(&path);
        // As a process leaves it that is killed between link and rename.
        let (left, file) = hidden::create(&living.folder, OsStr::new("out"), 0o644).unwrap();
        drop(file);
        assert!(folder.path().join(&left).exists());
        drop(AtomicFile::at(&path).unwrap());
        assert_eq!(names(folder.path()), [living.hidden.clone().unwrap()]);
        living.commit().unwrap();
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn a_full_disk_is_found_before_the_work_with_the_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = AtomicFile::at(folder.path().join("out")).unwrap();
        let error = out.reserve(1 << 62).unwrap_err().to_string();
        assert!(error.contains("4611686018427387904 bytes"), "{error}");
        let error = out.failed(&io::ErrorKind::StorageFull.into()).to_string();
        assert!(error.contains("no room for more than 0 of its bytes"), "{error}");
    }

    #[test]
    fn a_target_that_was_begun_to_be_written_in_place_is_not_told_as_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        let mut out = AtomicFile::at(&path).unwrap();
        let told = |out: &AtomicFile| out.failed(&io::Error::other("it burns")).to_string();
        assert!(told(&out).contains("is unchanged"));
        // As a mounted one, whose disk fails: it can only be read.
        let (mut mounted, aside) = MountedFile::new(Target::find(&path).unwrap().old.unwrap(), &out.folder).unwrap();
        mounted.write(&aside, fs::File::open(&path).unwrap()).unwrap_err();
        out.mounted = Some(mounted);
        assert!(told(&out).contains("what was there before is lost"), "{}", told(&out));
    }

    #[test]
    fn who_lands_last_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let (mut one, mut two) = (AtomicFile::at(&path).unwrap(), AtomicFile::at(&path).unwrap());
        one.write_all(b"one").unwrap();
        two.write_all(b"two").unwrap();
        two.commit().unwrap();
        one.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["out"]);
    }
}
