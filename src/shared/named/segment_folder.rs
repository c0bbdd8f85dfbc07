//! Where segments are: a folder of the user's own in /dev/shm, and one for each group that he shares with.
//!
//! A folder is opened once, looked at through its descriptor, and used through that from then on, so that what was looked at
//! is what is used. Only its owner can make names in it, and list them: who may list a folder can also lock it (flock), and would
//! keep its owner waiting.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::name::Name;
use crate::error::{Error, Result, SegmentErrorKind};
use crate::sys::file::{Folder, share, user};
use crate::sys::holders;

/// The permissions of a folder that is shared with a group: its members can open what they know the name of.
const SHARED: u32 = 0o710;

/// How long to wait for other processes of this user who remove names, which takes them microseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a folder may vanish under whoever makes a name in it: who removes the last name removes the folder.
const TRIES: usize = 100;

/// A folder of segments, open and checked.
#[derive(Debug)]
pub(super) struct SegmentFolder {
    base: Folder,
    folder: Folder,
    own: OsString,
    path: PathBuf,
    pub(super) user: u32,
    pub(super) group: Option<u32>,
}

/// Where folders are: /dev/shm, or what `PARFORK_SHM` says.
fn base() -> PathBuf {
    std::env::var_os("PARFORK_SHM").filter(|path| !path.is_empty()).map_or("/dev/shm".into(), PathBuf::from)
}

/// What the folder of a user, shared with a group, is called.
fn called(user: u32, group: Option<u32>) -> OsString {
    group.map_or(format!("parfork-{user}"), |group| format!("parfork-{user}-{group}")).into()
}

impl SegmentFolder {
    /// A folder that is there.
    ///
    /// # Errors
    /// `Absent` if it is not; [`Error::File`] if something else has its name, or it is not only its owner's to change.
    pub(super) fn of(name: &Name) -> Result<Self> {
        Self::find(name.user, name.group)?.ok_or_else(|| name.error(SegmentErrorKind::Absent))
    }

    /// The folder of a user, if it is there.
    pub(super) fn find(user: u32, group: Option<u32>) -> Result<Option<Self>> {
        let (base, own) = (base(), called(user, group));
        let path = base.join(&own);
        let base = Folder::open(&base).map_err(|error| unusable(&base, &error))?;
        let folder = match base.folder(&own) {
            Ok(folder) => folder,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let place = Self { base, folder, own, path, user, group };
        place.check()?;
        Ok(Some(place))
    }

    /// All folders of this user.
    pub(super) fn all() -> Result<Vec<Self>> {
        let (base, me) = (base(), user());
        let names = Folder::open(&base).and_then(|base| base.names()).map_err(|error| unusable(&base, &error))?;
        let plain = called(me, None).to_string_lossy().into_owned();
        let mut groups: Vec<Option<u32>> = vec![None];
        groups.extend(names.into_iter().filter_map(|name| {
            let group = name.to_str()?.strip_prefix(&plain)?.strip_prefix('-')?.parse().ok();
            group.filter(|&group| name == called(me, Some(group))).map(Some)
        }));
        groups.sort_unstable();
        groups.into_iter().filter_map(|group| Self::find(me, group).transpose()).collect()
    }

    /// This user's folder for such a name, made if it is not there.
    fn make(name: &Name) -> Result<Self> {
        let (base, own) = (base(), called(name.user, name.group));
        let path = base.join(&own);
        let made = Folder::open(&base).and_then(|base| base.make_folder(&own));
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(&path, &error)),
        }
        let place = Self::of(name)?;
        if let Some(group) = name.group {
            // Also one that was made a moment ago, or long ago by a process that was killed before it came to this.
            let found = place.folder.metadata().map_err(|error| unusable(&path, &error))?;
            let shared = (found.mode() & 0o777, found.gid()) == (SHARED, group);
            if !shared && let Err(error) = place.folder.share(group, SHARED) {
                let _ = place.base.remove_folder(&own);
                return Err(name.error(SegmentErrorKind::Group { group, why: error.to_string() }));
            }
        }
        Ok(place)
    }

    /// Makes a file of this name, which `fill` has filled before anybody can see it. Where that fails nothing is left, nor a folder
    /// that was made for it.
    pub(super) fn put(name: &Name, mode: u32, fill: impl FnOnce(&Self, &File) -> Result<()>) -> Result<(Self, File)> {
        let made = Self::try_put(name, mode, fill);
        if made.is_err()
            && let Ok(Some(place)) = Self::find(name.user, name.group)
        {
            place.tidy();
        }
        made
    }

    fn try_put(name: &Name, mode: u32, fill: impl FnOnce(&Self, &File) -> Result<()>) -> Result<(Self, File)> {
        let mut fill = Some(fill);
        let mut made: Option<File> = None;
        for _ in 0..TRIES {
            let place = match Self::make(name) {
                Err(Error::Segment { kind: SegmentErrorKind::Absent, .. }) => continue,
                place => place?,
            };
            if place.folder.inode(name.file()).is_ok() {
                return Err(name.error(SegmentErrorKind::Exists));
            }
            let file = match made.take() {
                Some(file) => file,
                None => match place.folder.nameless(mode) {
                    Ok(Some(file)) => file,
                    Ok(None) => return Err(unusable(&place.path, &io::ErrorKind::Unsupported.into())),
                    Err(error) if is_gone(&error) => continue,
                    Err(error) => return Err(unusable(&place.path, &error)),
                },
            };
            if let Some(fill) = fill.take() {
                fill(&place, &file)?;
            }
            let permitted = match name.group {
                Some(group) => share(&file, group, mode),
                None => crate::sys::file::permit(&file, mode),
            };
            permitted.map_err(|error| unusable(&place.path, &error))?;
            match place.folder.link(&file, name.file()) {
                Ok(()) => return Ok((place, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(name.error(SegmentErrorKind::Exists));
                }
                Err(error) if is_gone(&error) => made = Some(file),
                Err(error) => return Err(unusable(&place.path, &error)),
            }
        }
        Err(name.error(SegmentErrorKind::FolderRemoved { times: TRIES }))
    }

    /// Opens a file, if it is one that only its owner, and the group that it is shared with, can get at.
    pub(super) fn open(&self, name: &Name, write: bool) -> Result<(File, Metadata)> {
        let path = self.path.join(name.file());
        let refuse = |what: &str, remedy: &str| {
            Err(Error::File { path: path.clone(), what: what.to_owned(), remedy: remedy.to_owned() })
        };
        let opened = self.folder.file(name.file(), write).and_then(|file| Ok((file.metadata()?, file)));
        let (found, file) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(name.error(SegmentErrorKind::Absent)),
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                return refuse("it is a link, in place of a segment", "remove it; segments are files and nothing else");
            }
            Err(error)
                if write
                    && error.kind() == io::ErrorKind::PermissionDenied
                    && self.folder.file(name.file(), false).is_ok() =>
            {
                return refuse("this user may read it and not write to it", "open it to be read");
            }
            Err(error) => return Err(unusable(&path, &error)),
        };
        let expected = if self.group.is_some() { 0o660 } else { 0o600 };
        match () {
            () if !found.is_file() => {
                refuse("it is not a regular file", "remove it; segments are files and nothing else")
            }
            () if found.uid() != self.user => refuse(
                &format!("it belongs to user {}, not {}", found.uid(), self.user),
                "have it removed; its owner can do that",
            ),
            () if found.mode() & 0o777 & !expected != 0 => refuse(
                &format!("its permissions are {:o}, where {expected:o} is the most", found.mode() & 0o7777),
                "take them away (chmod) after a look at who may have written to it",
            ),
            () if found.nlink() > 1 => {
                refuse(&format!("it has {} names (hard links)", found.nlink()), "remove the others")
            }
            () => Ok((file, found)),
        }
    }

    /// All names in it that can be those of segments, and how many others.
    pub(super) fn names(&self) -> Result<(Vec<Name>, Vec<OsString>)> {
        let names = self.folder.names().map_err(|error| unusable(&self.path, &error))?;
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        for name in names {
            match name.to_str().and_then(|name| Name::found(name, self.user, self.group)) {
                Some(name) => ours.push(name),
                None => others.push(name),
            }
        }
        ours.sort_unstable_by_key(Name::to_string);
        Ok((ours, others))
    }

    /// Takes a name away, if it is `inode`'s; whether it was. The folder goes with its last name.
    pub(super) fn remove(&self, name: &OsStr, inode: u64) -> Result<bool> {
        // Nobody else of this user takes it away between the look and the deed, so that it cannot be another's by then.
        let lock = self.folder.lock(PATIENCE).map_err(|error| self.locked(&error))?;
        let same = self.folder.inode(name).is_ok_and(|found| found == inode);
        if same {
            self.folder.remove(name).map_err(|error| unusable(&self.path, &error))?;
        }
        drop(lock);
        self.tidy();
        Ok(same)
    }

    /// Removes the folder if it is empty, which is what the kernel asks; who makes a name in it then makes it anew.
    pub(super) fn tidy(&self) {
        let _ = self.base.remove_folder(&self.own);
    }

    /// The inode that has this name, whatever it is.
    pub(super) fn inode(&self, name: &OsStr) -> Option<u64> {
        self.folder.inode(name).ok()
    }

    /// Bytes that can still be written here.
    pub(super) fn room(&self) -> Option<u64> {
        self.folder.room().ok()
    }

    /// Whether this user can take names away here.
    pub(super) fn is_own(&self) -> bool {
        self.user == user()
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn locked(&self, error: &io::Error) -> Error {
        if error.kind() != io::ErrorKind::TimedOut {
            return unusable(&self.path, error);
        }
        let holder = self.folder.metadata().ok().and_then(|folder| holders::who_locked(&folder));
        let who = holder.map_or("another process".to_owned(), |pid| format!("process {pid}"));
        let (what, remedy) =
            (format!("{who} has kept it locked for {PATIENCE:?}"), "see whether it was stopped, and end it");
        Error::File { path: self.path.clone(), what, remedy: remedy.to_owned() }
    }

    fn check(&self) -> Result<()> {
        let found = self.folder.metadata().map_err(|error| unusable(&self.path, &error))?;
        let (mode, expected) = (found.mode() & 0o777, if self.group.is_some() { SHARED } else { 0o700 });
        let what = match self.group {
            _ if found.uid() != self.user => format!("it belongs to user {}, not {}", found.uid(), self.user),
            // Its owner's alone yet: who made it has not come to share it.
            Some(group) if found.gid() != group && mode & 0o077 != 0 => {
                format!("it belongs to group {}, not {group}", found.gid())
            }
            _ if mode & !expected != 0 => format!("its permissions are {mode:o}, where {expected:o} is the most"),
            _ => return Ok(()),
        };
        let remedy = "have it removed by its owner or the administrator, or name another place with PARFORK_SHM";
        Err(Error::File { path: self.path.clone(), what, remedy: remedy.to_owned() })
    }
}

/// Whether a folder has been removed meanwhile.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// [`Error::File`] for what the system said.
fn unusable(path: &Path, error: &io::Error) -> Error {
    let (what, remedy) = match error.raw_os_error() {
        Some(libc::ELOOP | libc::ENOTDIR) => {
            ("it is a link or a file, where a folder of segments should be".to_owned(), "remove it".to_owned())
        }
        _ if error.kind() == io::ErrorKind::PermissionDenied => {
            ("this user may not use it".to_owned(), "ask its owner to share it (--group)".to_owned())
        }
        _ => (format!("it cannot be used ({error})"), "look at its permissions and its file system".to_owned()),
    };
    Error::File { path: path.to_owned(), what, remedy }
}
