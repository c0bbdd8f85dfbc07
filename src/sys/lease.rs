//! Leases of files: whoever wants to write to a file that this process has leased waits until it is given back.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::time::SystemTime;

use super::fork_stamp::{self, Stamp};

/// fcntl(2) in the kernel's asm-generic/fcntl.h, which x86-64 and aarch64 use; libc does not name it.
const F_SETSIG: i32 = 10;

/// A lease for reading, F_SETLEASE in fcntl(2): opening the file to write, and cutting it off, wait for its end. The kernel takes it
/// back by force after `/proc/sys/fs/lease-break-time`, 45 s where nobody has changed it, so who holds one looks now and then
/// whether it [is wanted back](Self::is_wanted).
#[derive(Debug)]
pub(crate) struct Lease {
    file: File,
    /// The process that took it; forks share it.
    by: Stamp,
    /// The file's length, and when it was written last.
    found: (u64, SystemTime),
}

impl Lease {
    /// Leases a file that was opened for reading.
    ///
    /// # Errors
    /// If somebody has it open to write, or it is another user's, or its file system has no leases.
    pub(crate) fn take(file: File) -> io::Result<Self> {
        // What tells of a wish for it is SIGIO otherwise, which ends a process that does not expect it; SIGURG is ignored by those.
        // SAFETY: the call takes integers only.
        let done = unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) } {
            0 => {
                let found = state(&file)?;
                Ok(Self { file, by: fork_stamp::current(), found })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Whether the file was written to since: by somebody whom the kernel let after its time, because this process was stopped.
    pub(crate) fn is_void(&self) -> bool {
        self.is_wanted() && state(&self.file).ok() != Some(self.found)
    }

    /// Whether somebody waits for its end, or it has ended.
    pub(crate) fn is_wanted(&self) -> bool {
        // SAFETY: the call takes integers only.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_GETLEASE) != libc::F_RDLCK }
    }
}

fn state(file: &File) -> io::Result<(u64, SystemTime)> {
    let found = file.metadata()?;
    Ok((found.len(), found.modified()?))
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.by.is_current() {
            // It ends with the last descriptor at the latest.
            // SAFETY: the call takes integers only.
            unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn who_wants_to_write_waits_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"some bytes").unwrap();
        let lease = match Lease::take(File::open(&path).unwrap()) {
            Ok(lease) => lease,
            Err(error) => return eprintln!("no leases here: {error}"),
        };
        assert!(!lease.is_wanted());
        let reader = File::open(&path).unwrap();
        assert!(!lease.is_wanted(), "reading is free");
        let writer = std::thread::spawn(move || std::fs::write(&path, b"others").unwrap());
        let patience = Instant::now() + Duration::from_secs(30);
        while !lease.is_wanted() {
            assert!(Instant::now() < patience);
            std::thread::yield_now();
        }
        assert_eq!(reader.metadata().unwrap().len(), 10);
        assert!(!lease.is_void(), "who waits has not written");
        // As somebody leaves it whom the kernel has let.
        reader.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(lease.is_void());
        drop(lease);
        writer.join().unwrap();
        assert_eq!(reader.metadata().unwrap().len(), 6);
    }

    #[test]
    fn what_is_being_written_is_not_leased() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let writer = File::create(&path).unwrap();
        assert!(Lease::take(File::open(&path).unwrap()).is_err());
        drop(writer);
    }
}
