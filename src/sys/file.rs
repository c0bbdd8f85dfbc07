//! Files as the kernel gives them: opened without waiting, and outputs that have no name until they are done.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{
    AT_FDCWD, AtFlags, FallocateFlags, OFlag, PosixFadviseAdvice, fallocate, open, openat, posix_fadvise, readlinkat,
    renameat,
};
use nix::sys::stat::{FileStat, Mode, fchmod, fstatat, mkdirat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use nix::unistd::{AccessFlags, Gid, Group, UnlinkatFlags, User, faccessat, fchown, geteuid, linkat, unlinkat};

use super::limits::check_file_length;

/// Opens a file for reading; a FIFO without a writer does not keep the caller waiting, nor does a terminal become its own.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

/// Whether it is one of the devices that swallow what is written to them: null, zero and full. To any other device a write does something.
pub(crate) fn takes_all(found: &Metadata) -> bool {
    use nix::sys::stat::{major, minor};
    let is_memory = found.file_type().is_char_device() && major(found.rdev()) == 1;
    is_memory && matches!(minor(found.rdev()), 3 | 5 | 7)
}

/// A folder held open, so that names in it mean the same even if the working directory changes meanwhile.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

/// What had a name in a folder when it was looked up, and not what has the name now: no link is followed, nothing is opened.
#[derive(Debug)]
pub(crate) struct Entry {
    itself: OwnedFd,
    pub(crate) metadata: Metadata,
}

impl Entry {
    /// The path in a symbolic link.
    pub(crate) fn link_target(&self) -> io::Result<PathBuf> {
        Ok(readlinkat(&self.itself, "")?.into())
    }

    /// Whether it has an access list, in which case its mode's bits for the group are those that the list may give to anybody.
    #[allow(unsafe_code)]
    fn has_access_list(&self) -> bool {
        let Ok(itself) = CString::new(format!("/proc/self/fd/{}", self.itself.as_raw_fd())) else { return true };
        let name = c"system.posix_acl_access";
        // SAFETY: two texts that end, and no buffer, whose length is 0.
        let length = unsafe { libc::getxattr(itself.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
        length > 0
    }

    /// Whether it is mounted by itself (`mount --bind FILE NAME`), so that nothing else can take its name in this folder.
    pub(crate) fn is_mounted_on(&self, folder: &Folder) -> bool {
        let mount = |fd: &OwnedFd| mount_id(fd.as_raw_fd());
        matches!((mount(&self.itself), mount(&folder.0)), (Some(own), Some(around)) if own != around)
    }

    /// Bytes that can still be written on its file system.
    pub(crate) fn room(&self) -> io::Result<u64> {
        room(&self.itself)
    }

    /// What a link of /proc leads to, which its path does not always name (`pipe:[7]`); `None` for links elsewhere.
    pub(crate) fn behind_proc(&self, folder: &Folder, name: &OsStr) -> io::Result<Option<FileStat>> {
        match fstatfs(&self.itself)?.filesystem_type() {
            PROC_SUPER_MAGIC => Ok(Some(fstatat(&folder.0, name, AtFlags::empty())?)),
            _ => Ok(None),
        }
    }
}

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    /// The folder that a relative path means here; an absolute one means the same everywhere.
    pub(crate) fn below(&self, path: &Path) -> io::Result<Self> {
        Ok(Self(openat(&self.0, path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    /// What has this name now, if anything has.
    pub(crate) fn entry(&self, name: &OsStr) -> io::Result<Option<Entry>> {
        match openat(&self.0, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()) {
            Ok(itself) => {
                let itself = File::from(itself);
                Ok(Some(Entry { metadata: itself.metadata()?, itself: itself.into() }))
            }
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this process may write to an existing file.
    pub(crate) fn may_write(&self, name: &OsStr) -> io::Result<()> {
        Ok(faccessat(&self.0, name, AccessFlags::W_OK, AtFlags::AT_EACCESS | AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Whether this process may take a name of a file away, as far as the kernel says so before it is done: not in a folder with the
    /// sticky bit if the file is another's, nor one that was made unchangeable. What is asked is to remove a folder of this name,
    /// which a file is not; that it may not be removed is said first.
    pub(crate) fn may_replace(&self, name: &OsStr) -> bool {
        !matches!(unlinkat(&self.0, name, UnlinkatFlags::RemoveDir), Err(Errno::EPERM))
    }

    /// A new file without a name, on the file system of this folder, with what the umask leaves of `mode`; gone with its last
    /// descriptor unless linked. `None` where the file system has no such files.
    pub(crate) fn nameless(&self, mode: u32) -> io::Result<Option<File>> {
        match openat(&self.0, ".", OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, bits(mode)) {
            Ok(fd) => Ok(Some(File::from(fd))),
            // EISDIR, ENOENT, EINVAL: the file system took the flag for an ordinary open of a directory.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::ENOENT | Errno::EINVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A new file of this name, with what the umask leaves of `mode`.
    pub(crate) fn create(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        Ok(File::from(openat(&self.0, name, flags, bits(mode))?))
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
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
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
        room(&self.0)
    }

    /// Shares it with a group.
    pub(crate) fn share(&self, group: u32, mode: u32) -> io::Result<()> {
        share(self.opened()?, group, mode)
    }

    /// The folder itself, opened to be listed, locked and changed.
    fn opened(&self) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.0, ".", flags, Mode::empty())?))
    }

    /// Keeps everybody else out who asks, until it is dropped; tries for `patience`.
    pub(crate) fn lock(&self, patience: Duration) -> io::Result<FolderLock> {
        let file = self.opened()?;
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

/// Bytes that this user can still write on the file system of a file.
fn room(fd: &OwnedFd) -> io::Result<u64> {
    let system = nix::sys::statvfs::fstatvfs(fd)?;
    Ok(system.blocks_available() as u64 * system.fragment_size() as u64)
}

/// The number of the mount that an open file is in.
fn mount_id(fd: RawFd) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
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
    Ok(fchmod(file, bits(mode))?)
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

fn bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode)
}

/// Gives a file the group and the permissions of another. Where the mode does not say what the group may, or this user may not give it
/// to that group, the group it has then may do what everybody may.
pub(crate) fn permit_like(file: &File, other: &Entry) -> io::Result<()> {
    let (mode, group) = (other.metadata.mode() & 0o777, other.metadata.gid());
    let same_group = !other.has_access_list()
        && (file.metadata()?.gid() == group || fchown(file, None, Some(Gid::from_raw(group))).is_ok());
    let everybody = mode & 0o007;
    permit(file, if same_group { mode } else { mode & !0o070 | mode & everybody << 3 })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Where there is an access list, the mode's bits for the group are a limit for all whom it names.
    #[test]
    #[allow(unsafe_code)]
    fn a_limit_of_an_access_list_is_not_what_the_group_may() {
        let work = tempfile::tempdir().unwrap();
        let folder = Folder::open(work.path()).unwrap();
        let new = || folder.nameless(0o600).unwrap().expect("a file system with nameless files");
        let mode = |file: &File| file.metadata().unwrap().mode() & 0o777;
        let old = File::create(work.path().join("old")).unwrap();
        old.set_permissions(std::fs::Permissions::from_mode(0o664)).unwrap();
        let file = new();
        permit_like(&file, &folder.entry(OsStr::new("old")).unwrap().unwrap()).unwrap();
        assert_eq!(mode(&file), 0o664);
        // Its version, then tag, permissions and number: its owner, user 4242, its group, the limit, everybody.
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, may, id) in [(1_u16, 6_u16, !0), (2, 6, 4242_u32), (4, 0, !0), (0x10, 6, !0), (0x20, 4, !0)] {
            list.extend([&tag.to_le_bytes()[..], &may.to_le_bytes(), &id.to_le_bytes()].concat());
        }
        let name = c"system.posix_acl_access";
        // SAFETY: a text that ends, and bytes with their number.
        let set = unsafe { libc::fsetxattr(old.as_raw_fd(), name.as_ptr(), list.as_ptr().cast(), list.len(), 0) };
        if set != 0 {
            return println!("skipped: no access lists here ({})", io::Error::last_os_error());
        }
        assert_eq!(mode(&old), 0o664);
        let file = new();
        permit_like(&file, &folder.entry(OsStr::new("old")).unwrap().unwrap()).unwrap();
        assert_eq!(mode(&file), 0o644);
    }
}
