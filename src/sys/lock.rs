//! Locks of parts of a file that belong to an open file description: the kernel gives them back when its last descriptor is
//! closed, however the process ends that had it.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// What a lock keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Who wants it alone. Needs a descriptor for reading.
    Shared,
    /// Everybody. Needs a descriptor for writing.
    Alone,
}

impl Lock {
    fn kind(self) -> i32 {
        match self {
            Self::Shared => libc::F_RDLCK,
            Self::Alone => libc::F_WRLCK,
        }
    }
}

fn record(bytes: Range<u64>, kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: bytes.start as libc::off_t,
        l_len: (bytes.end - bytes.start) as libc::off_t,
        l_pid: 0,
    }
}

/// Takes a lock, or changes the one that this description has, if that can be done now.
pub(crate) fn take(fd: impl AsFd, bytes: Range<u64>, lock: Lock) -> io::Result<bool> {
    match fcntl(fd, FcntlArg::F_OFD_SETLK(&record(bytes, lock.kind()))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives it back.
pub(crate) fn give_back(fd: impl AsFd, bytes: Range<u64>) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_OFD_SETLK(&record(bytes, libc::F_UNLCK)))?;
    Ok(())
}

/// What others have locked of these bytes.
pub(crate) fn of_others(fd: impl AsFd, bytes: Range<u64>) -> io::Result<Option<Lock>> {
    let mut found = record(bytes, libc::F_WRLCK);
    fcntl(fd, FcntlArg::F_OFD_GETLK(&mut found))?;
    Ok(match i32::from(found.l_type) {
        libc::F_UNLCK => None,
        libc::F_RDLCK => Some(Lock::Shared),
        _ => Some(Lock::Alone),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_are_of_descriptions_and_gone_with_the_last_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let open = || std::fs::File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let (one, other) = (open(), open());
        assert!(take(&one, 0..1, Lock::Shared).unwrap() && take(&other, 0..1, Lock::Shared).unwrap());
        assert!(!take(&one, 0..1, Lock::Alone).unwrap() && take(&one, 1..2, Lock::Alone).unwrap());
        assert_eq!(of_others(&other, 1..2).unwrap(), Some(Lock::Alone));
        assert_eq!(of_others(&one, 0..1).unwrap(), Some(Lock::Shared));
        give_back(&other, 0..1).unwrap();
        assert!(take(&one, 0..1, Lock::Alone).unwrap());
        let copy = one.try_clone().unwrap();
        drop(one);
        assert!(!take(&other, 0..1, Lock::Shared).unwrap());
        drop(copy);
        assert!(take(&other, 0..2, Lock::Alone).unwrap() && of_others(&other, 0..2).unwrap().is_none());
    }
}
