//! Files as the kernel gives them: opened without waiting, and outputs that have no name until they are done.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{
    AT_FDCWD, AtFlags, FallocateFlags, OFlag, PosixFadviseAdvice, fallocate, open, openat, posix_fadvise, renameat,
};
use nix::sys::stat::{Mode, fchmod, fstatat, mkdirat};
use nix::unistd::{AccessFlags, Gid, Group, UnlinkatFlags, User, faccessat, fchown, geteuid, linkat, unlinkat};

use super::limits::check_file_length;

/// Opens a file for reading; a FIFO without a writer does not keep the caller waiting.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Whether this process may write to an existing file.
pub(crate) fn may_write(path: &Path) -> io::Result<()> {
    Ok(faccessat(AT_FDCWD, path, AccessFlags::W_OK, AtFlags::AT_EACCESS)?)
}

/// A folder held open, so that names in it mean the same even if the working directory changes meanwhile.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    /// A new file without a name, on the file system of this folder; gone with its last descriptor unless linked.
    /// `None` where the file system has no such files.
    pub(crate) fn nameless(&self) -> io::Result<Option<File>> {
        match openat(&self.0, ".", OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, anyone()) {
            Ok(fd) => Ok(Some(File::from(fd))),
            // EISDIR, ENOENT, EINVAL: the file system took the flag for an ordinary open of a directory.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A new file of this name.
    pub(crate) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(File::from(openat(&self.0, name, flags, anyone())?))
    }

    /// Gives a nameless file a name that nothing has yet (else `AlreadyExists`).
    pub(crate) fn link(&self, file: &File, name: &OsStr) -> io::Result<()> {
        let itself = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(io::Error::other)?;
        Ok(linkat(AT_FDCWD, itself.as_c_str(), &self.0, name, AtFlags::AT_SYMLINK_FOLLOW)?)
    }

    /// Moves `from` onto `to` in one step; what `to` was is gone.
    pub(crate) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// A folder in this one, which is no link.
    pub(crate) fn folder(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self(openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Makes a folder in this one that is for its owner alone.
    pub(crate) fn make_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(&self.0, name, Mode::S_IRWXU)?)
    }

    /// Removes a folder in this one that is empty.
    pub(crate) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, UnlinkatFlags::RemoveDir)?)
    }

    /// Opens what is no link, without waiting for anybody and without becoming anybody's terminal.
    pub(crate) fn file(&self, name: &OsStr, write: bool) -> io::Result<File> {
        let access = if write { OFlag::O_RDWR } else { OFlag::O_RDONLY };
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.0, name, flags, Mode::empty())?))
    }

    /// The inode that has this name now.
    pub(crate) fn inode(&self, name: &OsStr) -> io::Result<u64> {
        Ok(fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_ino)
    }

    /// All names in it.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let entries = std::fs::read_dir(format!("/proc/self/fd/{}", self.0.as_raw_fd()))?;
        entries.map(|entry| Ok(entry?.file_name())).collect()
    }

    /// What the system knows of it.
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        File::from(self.0.try_clone()?).metadata()
    }

    /// Bytes that this user can still write on its file system.
    pub(crate) fn room(&self) -> io::Result<u64> {
        let system = nix::sys::statvfs::fstatvfs(&self.0)?;
        Ok(system.blocks_available() as u64 * system.fragment_size() as u64)
    }

    /// Shares it with a group, whose members may look into it.
    pub(crate) fn share(&self, group: u32) -> io::Result<()> {
        share(&self.0, group, 0o750)
    }

    /// Keeps everybody else out who asks, until it is dropped; tries for `patience`.
    pub(crate) fn lock(&self, patience: Duration) -> io::Result<FolderLock> {
        let file = File::from(self.0.try_clone()?);
        let until = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(FolderLock(file)),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() > until => return Err(io::ErrorKind::TimedOut.into()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

/// See [`Folder::lock`].
#[derive(Debug)]
pub(crate) struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // It is given back with the folder's descriptor at the latest.
        let _ = self.0.unlock();
    }
}

/// Says that a part of a file will be read soon; no more than a hint.
pub(crate) fn will_need(file: impl AsFd, at: usize, len: usize) {
    let _ = posix_fadvise(file, at as i64, len as i64, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
}

/// Gives a file to a group, with these permissions.
pub(crate) fn share(file: impl AsFd, group: u32, mode: u32) -> io::Result<()> {
    fchown(&file, None, Some(Gid::from_raw(group)))?;
    permit(&file, mode)
}

/// Sets the permissions of a file, whatever the umask.
pub(crate) fn permit(file: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(fchmod(file, Mode::from_bits_truncate(mode))?)
}

/// The user that this process acts for.
pub(crate) fn user() -> u32 {
    geteuid().as_raw()
}

/// The number of a user by name, or the number itself.
pub(crate) fn user_named(name: &str) -> io::Result<Option<u32>> {
    match name.parse() {
        Ok(uid) => Ok(Some(uid)),
        Err(_) => Ok(User::from_name(name)?.map(|user| user.uid.as_raw())),
    }
}

/// The number of a group by name, or the number itself.
pub(crate) fn group_named(name: &str) -> io::Result<Option<u32>> {
    match name.parse() {
        Ok(gid) => Ok(Some(gid)),
        Err(_) => Ok(Group::from_name(name)?.map(|group| group.gid.as_raw())),
    }
}

/// The mode of a new file: everything that the umask leaves.
fn anyone() -> Mode {
    Mode::from_bits_truncate(0o666)
}

/// Gives a file the permissions (not the owner) of another.
pub(crate) fn permit_like(file: &File, other: &Metadata) -> io::Result<()> {
    Ok(fchmod(file, Mode::from_bits_truncate(other.mode() & 0o777))?)
}

/// Keeps `bytes` of disk for a file, whose length stays as it is; a file system that cannot is no error.
///
/// # Errors
/// If there is no room, or a file may not become as long (`ulimit -f`, which would be a deadly signal later).
pub(crate) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let len = i64::try_from(bytes).map_err(|_| Errno::EFBIG)?;
    check_file_length(bytes)?;
    if bytes == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, len) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        other => Ok(other?),
    }
}

/// A file that fails with EFBIG where it would become longer than this process may make one; the kernel sends a deadly signal.
#[derive(Debug)]
pub(crate) struct Bounded(pub(crate) File);

impl Deref for Bounded {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check_file_length(self.0.stream_position().unwrap_or(0).saturating_add(bytes.len() as u64))?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}
