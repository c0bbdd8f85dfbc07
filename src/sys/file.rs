//! Files as the kernel gives them: opened without waiting, and outputs that have no name until they are done.

use std::ffi::{CString, OsStr};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, FallocateFlags, OFlag, fallocate, open, openat, renameat};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, linkat, unlinkat};

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
    let (most, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    let len = i64::try_from(bytes).map_err(|_| Errno::EFBIG)?;
    if most != RLIM_INFINITY && bytes > most {
        return Err(Errno::EFBIG.into());
    }
    if bytes == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, len) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        other => Ok(other?),
    }
}
