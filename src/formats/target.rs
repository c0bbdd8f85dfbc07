//! Where an output goes: a folder, opened once, and a name in it that is no link.
//!
//! Each symbolic link that the target's name leads through is looked up once, and what was looked at is what is followed, so that
//! nobody can change it between the look and the use. Who may put names in a folder with the sticky bit is not trusted by those who
//! share it: links and files of theirs are refused, as by the kernel's fs.protected_symlinks and fs.protected_regular, but also where
//! those are off, and by root.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::{FileStat, SFlag};

use super::input::wrong;
use crate::error::{Error, Result, limit};
use crate::sys::file::{Bounded, Entry, Folder, reserve, user};
use crate::sys::limits::memory_room;
use crate::sys::memory::growing;
use crate::sys::signals::SignalGuard;

/// How many links the kernel follows.
const MOST_LINKS: usize = 40;

/// Where an output goes.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) folder: Folder,
    pub(super) name: OsString,
    /// The file that is replaced.
    pub(super) old: Option<Entry>,
}

impl Target {
    /// Follows `path` to its end; that nothing is there yet is no error.
    ///
    /// # Errors
    /// If there is no such folder, or what is there cannot or must not be replaced.
    pub(super) fn find(path: &Path) -> Result<Self> {
        let unusable = |folder: &Path| {
            let folder = folder.to_owned();
            move |error: io::Error| unusable_folder(path, &folder, &error)
        };
        let (parent, name) = split(path).ok_or_else(|| match path.is_dir() {
            true => is_a_folder(path),
            false => wrong(path, "it is not the name of a file", "name a file in a folder"),
        })?;
        let mut folder = Folder::open(parent).map_err(unusable(parent))?;
        let mut name = name.to_owned();
        for _ in 0..=MOST_LINKS {
            let Some(entry) = folder.entry(&name).map_err(unusable(parent))? else {
                return Ok(Self { folder, name, old: None });
            };
            let found = &entry.metadata;
            let within = folder.metadata().map_err(unusable(parent))?;
            if is_planted(&within, found) {
                let what = match found.is_symlink() {
                    true => "is a symbolic link of",
                    false => "belongs to",
                };
                let what = format!(
                    "`{}` {what} user {}, in a folder where that user and others can put names (sticky bit, mode {:o})",
                    name.display(),
                    found.uid(),
                    within.mode() & 0o7777
                );
                return Err(wrong(path, what, "name a file in a folder of your own"));
            }
            if !found.is_symlink() {
                check(path, &folder, &name, &entry)?;
                return Ok(Self { folder, name, old: Some(entry) });
            }
            if let Some(behind) = entry.behind_proc(&folder, &name).map_err(unusable(parent))?
                && !is_named_file(&behind)
            {
                return Err(no_file(path));
            }
            let link = entry.link_target().map_err(unusable(parent))?;
            let (parent, next) = split(&link).ok_or_else(|| is_a_folder(path))?;
            folder = folder.below(parent).map_err(unusable(parent))?;
            name = next.to_owned();
        }
        Err(wrong(path, format!("it leads through more than {MOST_LINKS} symbolic links"), "name the file itself"))
    }
}

/// The folder and the name in it that a path has, if it can be one of a file.
fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    let bytes = path.as_os_str().as_bytes();
    let name = path.file_name().filter(|_| !bytes.ends_with(b"/") && !bytes.ends_with(b"/."))?;
    Some((path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")), name))
}

/// Whether somebody may have put this in a folder for another user to fall for it.
fn is_planted(folder: &Metadata, found: &Metadata) -> bool {
    let (sticky, others_write) = (folder.mode() & 0o1000 != 0, folder.mode() & 0o022 != 0);
    sticky && others_write && found.uid() != user() && found.uid() != folder.uid()
}

/// Whether it is a regular file that still has a name.
fn is_named_file(found: &FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() && found.st_nlink > 0
}

/// Whether what is there can be replaced, or, where it is mounted, written.
fn check(path: &Path, folder: &Folder, name: &OsStr, found: &Entry) -> Result<()> {
    if found.metadata.is_dir() {
        return Err(is_a_folder(path));
    }
    if !found.metadata.is_file() {
        return Err(no_file(path));
    }
    folder.may_write(name).map_err(|error| {
        wrong(path, format!("it is there and write-protected ({error})"), "name another file, or allow it (chmod u+w)")
    })?;
    if found.is_mounted_on(folder) || folder.may_replace(name) {
        return Ok(());
    }
    let owner = found.metadata.uid();
    let what = format!(
        "it is there, belongs to user {owner}, and this user may not replace it: the folder has the sticky bit, or the file cannot be \
         changed (chattr -i)"
    );
    Err(wrong(path, what, "name another file"))
}

/// A file that is there and is mounted by itself: no other can take its name, so that it is written. What goes there is kept aside
/// until it is whole.
#[derive(Debug)]
pub(super) struct MountedFile {
    there: Entry,
    /// Whether it is kept in memory: whoever mounts a file may have given no other place to write.
    in_memory: bool,
    /// Whether what was there has been begun to be written over.
    begun: bool,
}

impl MountedFile {
    /// With the file to keep it in.
    pub(super) fn new(there: Entry, folder: &Folder) -> io::Result<(Self, File)> {
        match folder.nameless(0o600) {
            Ok(Some(file)) => Ok((Self { there, in_memory: false, begun: false }, file)),
            _ => Ok((Self { there, in_memory: true, begun: false }, growing(c"parfork-output")?)),
        }
    }

    /// Whether there is room for an output of `bytes`.
    ///
    /// # Errors
    /// If not.
    pub(super) fn reserve(&self, aside: &File, bytes: u64) -> io::Result<()> {
        let room = self.there.room()?.saturating_add(self.there.metadata.len());
        let memory = if self.in_memory { memory_room().map_or(u64::MAX, |room| room.bytes) } else { u64::MAX };
        if room.min(memory) < bytes { Err(io::ErrorKind::StorageFull.into()) } else { reserve(aside, bytes) }
    }

    /// Copies what is kept `aside` into the file, which is open as `target`.
    pub(super) fn write(&mut self, mut aside: &File, target: File) -> io::Result<()> {
        let mut target = Bounded(target);
        let _not_halfway = SignalGuard::new();
        self.begun = true;
        target.set_len(0)?;
        aside.rewind()?;
        io::copy(&mut aside, &mut target)?;
        target.sync_data()
    }

    /// Whether that was begun, so that what was there is lost.
    pub(super) fn is_begun(&self) -> bool {
        self.begun
    }
}

fn is_a_folder(path: &Path) -> Error {
    wrong(path, "it is a folder", "name a file in it")
}

fn no_file(path: &Path) -> Error {
    wrong(path, "it is a device, a pipe or a socket, and would be replaced", "name an ordinary file")
}

/// The error for what the system said of the folder of `path`.
pub(super) fn unusable_folder(path: &Path, folder: &Path, error: &io::Error) -> Error {
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
        _ if error.raw_os_error() == Some(libc::ENAMETOOLONG) => {
            wrong(path, "its name is longer than names can be", "give it a shorter one")
        }
        _ => {
            let remedy = limit(error).unwrap_or_else(|| "name another folder".to_owned());
            wrong(path, format!("nothing can be written in the folder {folder} ({error})"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    fn refusal(path: &Path) -> String {
        Target::find(path).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_target_is_found_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(&folder.path().join("none/out")).contains("mkdir -p"));
        assert!(refusal(folder.path()).contains("it is a folder"));
        assert!(refusal(&folder.path().join(".")).contains("it is a folder"));
        assert!(refusal(&folder.path().join("..")).contains("it is a folder"));
        assert!(refusal(&folder.path().join("none/")).contains("not the name of a file"));
        assert!(refusal(Path::new("/dev/null")).contains("device"));
        assert!(refusal(Path::new("")).contains("not the name"));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refusal(&file.join("out")).contains("is not a folder"));
        assert!(refusal(&file.join(".")).contains("not the name"));
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        symlink(&one, &two).unwrap();
        symlink(&two, &one).unwrap();
        assert!(refusal(&one).contains("40 symbolic links"));
        symlink("/", folder.path().join("root")).unwrap();
        assert!(refusal(&folder.path().join("root")).contains("it is a folder"));
    }

    /// Links of /proc have paths that name nothing, or something else by now.
    #[test]
    fn open_files_are_targets_if_they_have_names() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        let link = |fd: i32| Path::new("/proc/self/fd").join(fd.to_string());
        let found = Target::find(&link(file.as_raw_fd())).unwrap();
        assert_eq!(
            (found.name.as_os_str(), found.old.unwrap().metadata.ino()),
            (OsStr::new("file"), file.metadata().unwrap().ino())
        );
        fs::remove_file(&path).unwrap();
        assert!(refusal(&link(file.as_raw_fd())).contains("would be replaced"));
        let (pipe, _other) = io::pipe().unwrap();
        assert!(refusal(&link(pipe.as_raw_fd())).contains("pipe"));
    }

    #[test]
    fn what_others_put_in_a_sticky_folder_is_neither_followed_nor_replaced() {
        let work = tempfile::tempdir().unwrap();
        let (open, own) = (work.path().join("open"), work.path().join("own"));
        fs::create_dir(&open).unwrap();
        fs::create_dir(&own).unwrap();
        fs::write(own.join("precious"), "").unwrap();
        let mode = |mode| fs::set_permissions(&open, PermissionsExt::from_mode(mode)).unwrap();
        mode(0o1777);
        symlink("../own/precious", open.join("link")).unwrap();
        fs::write(open.join("file"), "").unwrap();
        symlink("../open/link", own.join("first")).unwrap();
        let targets = [open.join("link"), open.join("file"), own.join("first")];
        // One's own are.
        targets.iter().for_each(|target| drop(Target::find(target).unwrap()));
        if lchown(open.join("link"), Some(65534), None)
            .and_then(|()| lchown(open.join("file"), Some(65534), None))
            .is_err()
        {
            return println!("skipped: only root can play another user");
        }
        for (bits, refused) in [(0o1777, true), (0o1775, true), (0o777, false), (0o1755, false), (0o755, false)] {
            mode(bits);
            for target in &targets {
                match Target::find(target) {
                    Ok(_) => assert!(!refused, "{bits:o} {target:?}"),
                    Err(error) => {
                        let error = error.to_string();
                        assert!(refused && error.contains("user 65534") && error.contains("sticky bit"), "{error}");
                    }
                }
            }
        }
        // The owner of the folder can do anything in it all the same.
        mode(0o1777);
        lchown(&open, Some(65534), None).unwrap();
        targets.iter().for_each(|target| drop(Target::find(target).unwrap()));
    }
}
