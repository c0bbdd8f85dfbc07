//! Hidden names that a new file has until it takes the place of its target.
//!
//! There are [`SLOTS`] for each target, so that what a killed process left under one of them is found without a search. Whoever has
//! a hidden file has it locked; the kernel gives the lock back when its holder is dead, on whatever machine and in whatever
//! namespace it was. So a file that can be locked is nobody's any more, and is removed.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::sys::file::{Folder, user};

/// How many processes can have a hidden file for the same target at one time.
const SLOTS: u32 = 16;

/// How often to look whether one has become free, a millisecond apart.
const TRIES: usize = 1000;

fn name(target: &OsStr, slot: u32) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    // FNV-1a: the same in every build, and a name as long as the target's could be too long with more before it.
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = target.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
    format!(".parfork-{hash:016x}-{slot}").into()
}

/// Removes what killed processes of this user have left of a target.
pub(super) fn sweep(folder: &Folder, target: &OsStr) {
    (0..SLOTS).for_each(|slot| remove_if_left(folder, &name(target, slot)));
}

fn remove_if_left(folder: &Folder, name: &OsStr) {
    // Opened to write as well: NFS wants that for a lock that keeps others out.
    let Ok(file) = folder.file(name, true) else { return };
    let Ok(found) = file.metadata() else { return };
    let ours = found.is_file() && found.uid() == user();
    // With the lock nobody else removes it or gives it another name.
    if ours && file.try_lock().is_ok() && folder.inode(name).is_ok_and(|inode| inode == found.ino()) {
        // What stays is tried again by the next.
        let _ = folder.remove(name);
    }
}

/// Gives a nameless file a hidden name.
pub(super) fn link(folder: &Folder, file: &File, target: &OsStr) -> io::Result<OsString> {
    lock(file)?;
    let (name, ()) = under_free_name(folder, target, |name| folder.link(file, name))?;
    Ok(name)
}

/// A new file with a hidden name.
pub(super) fn create(folder: &Folder, target: &OsStr, mode: u32) -> io::Result<(OsString, File)> {
    under_free_name(folder, target, |name| {
        let file = folder.create(name, mode)?;
        lock(&file)?;
        // Who came between these two has taken it for one of the dead.
        match folder.inode(name) {
            Ok(inode) if inode == file.metadata()?.ino() => Ok(file),
            _ => Err(io::ErrorKind::AlreadyExists.into()),
        }
    })
}

/// Where the file system has no locks nobody gets one, so that nothing is removed.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Tries all names until one is free. In a folder that others may write too, they can be there before us.
fn under_free_name<T>(
    folder: &Folder,
    target: &OsStr,
    mut attempt: impl FnMut(&OsStr) -> io::Result<T>,
) -> io::Result<(OsString, T)> {
    for _ in 0..TRIES {
        for name in (0..SLOTS).map(|slot| name(target, slot)) {
            match attempt(&name) {
                Ok(made) => return Ok((name, made)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        sweep(folder, target);
        std::thread::sleep(Duration::from_millis(1));
    }
    let (first, last) = (name(target, 0), name(target, SLOTS - 1));
    let (first, last) = (first.display(), last.display());
    Err(io::Error::other(format!("all of its {SLOTS} hidden names, {first} to {last}, are taken by others")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_what_nobody_holds_is_removed() {
        let work = tempfile::tempdir().unwrap();
        let folder = Folder::open(work.path()).unwrap();
        let target = OsStr::new("out.png");
        let names = || folder.names().unwrap().len();
        let (first, file) = create(&folder, target, 0o600).unwrap();
        let nameless = folder.nameless(0o600).unwrap().expect("a file system with nameless files");
        let second = link(&folder, &nameless, target).unwrap();
        assert_ne!(first, second);
        sweep(&folder, target);
        assert_eq!(names(), 2, "both are held");
        drop(file);
        sweep(&folder, OsStr::new("other.png"));
        assert_eq!(names(), 2);
        sweep(&folder, target);
        assert!(names() == 1 && folder.inode(&second).is_ok());
        drop(nameless);
        // What is no file of ours stays, and the next name is taken.
        fs::create_dir(work.path().join(&first)).unwrap();
        std::os::unix::fs::symlink("nowhere", work.path().join(name(target, 2))).unwrap();
        let third = create(&folder, target, 0o600).unwrap();
        assert_eq!(third.0, name(target, 3), "{second:?} is left, and is found when all are tried");
        sweep(&folder, target);
        assert_eq!(names(), 3);
        assert!(name(OsStr::new(&"x".repeat(255)), 15).len() < 40);
    }
}
