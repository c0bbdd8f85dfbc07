//! Leases of files: whoever wants to write to a file that this process has leased waits until it is given back.
#![allow(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use nix::sys::statfs::{FsType, fstatfs};

use super::fork_stamp::{self, Stamp};
use super::futex;

/// The file systems whose files change by nothing but this kernel's opening them to write, which a lease keeps waiting. Others grant leases
/// and do not keep them: what a server changes of a file (FUSE, NFS, CIFS, 9p, cluster file systems), or somebody in the layers below
/// (overlayfs), breaks none. Numbers of statfs(2).
const KEEP_LEASES: [i64; 6] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0x0102_1994, // tmpfs
    0xF2F5_2010, // F2FS
    0xCA45_1A4E, // bcachefs
];

/// fcntl(2) in the kernel's asm-generic/fcntl.h, which x86-64 and aarch64 use; libc does not name it.
pub(super) const F_SETSIG: i32 = 10;

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
    /// When it was last seen that nobody had asked for it, on the monotonic clock, in milliseconds.
    seen: AtomicU64,
    /// Whether it may have been taken while this process was stopped in the middle of asking.
    lost: AtomicBool,
}

/// How long the lease is still relied on when somebody has asked for it and nobody waits any more, as `touch` does; the kernel takes it
/// only after [`break_time`], which must be three times that.
const RELIANCE: Duration = Duration::from_secs(15);

impl Lease {
    /// Leases a file that was opened for reading.
    ///
    /// # Errors
    /// If somebody has it open to write, or it is another user's, or its file system has no leases or is not known to keep them.
    pub(crate) fn take(file: File) -> io::Result<Self> {
        if !keeps_leases(fstatfs(&file)?.filesystem_type()) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // What tells of a wish for it is SIGIO otherwise, which ends a process that does not expect it; SIGURG is ignored by those.
        // SAFETY: the call takes integers only.
        let done = unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        // Before the call, after which this process may be stopped.
        let seen = AtomicU64::new(now());
        // SAFETY: as above.
        match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) } {
            0 => {
                let found = state(&file)?;
                Ok(Self { file, by: fork_stamp::current(), found, seen, lost: AtomicBool::new(false) })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// What is leased.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether the file was written to since: by somebody whom the kernel let after its time, because this process was stopped.
    pub(crate) fn is_void(&self) -> bool {
        self.is_asked_for() && !self.is_relied_on() && state(&self.file).ok() != Some(self.found)
    }

    /// Whether somebody waits for its end, or it has ended, or soon may have.
    pub(crate) fn is_wanted(&self) -> bool {
        if !self.is_asked_for() {
            return false;
        }
        if self.is_relied_on() && !self.has_writer() {
            // Asking takes a lease where there is none any more: it was there only if there was still time afterwards.
            if self.is_relied_on() {
                return false;
            }
            self.lost.store(true, Ordering::Relaxed);
        }
        true
    }

    /// Whether anybody has asked for it, though he may not wait for it, or it has ended.
    fn is_asked_for(&self) -> bool {
        // Before the call, after which this process may be stopped.
        let seen = now();
        // SAFETY: the call takes integers only.
        let asked = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_GETLEASE) != libc::F_RDLCK };
        let asked = asked || self.lost.load(Ordering::Relaxed);
        if !asked {
            self.seen.store(seen, Ordering::Relaxed);
        }
        asked
    }

    /// Whether it holds though somebody has asked for it: the kernel's time is not nearly over.
    fn is_relied_on(&self) -> bool {
        let since = Duration::from_millis(now().saturating_sub(self.seen.load(Ordering::Relaxed)));
        !self.lost.load(Ordering::Relaxed) && since < RELIANCE && break_time().is_some_and(|time| time >= 3 * RELIANCE)
    }

    /// Whether somebody is about to open the file to write: one who waits for that counts as if he had. The kernel answers by what it
    /// says to who asks for the lease that he has already, which changes nothing.
    fn has_writer(&self) -> bool {
        // SAFETY: the call takes integers only.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) != 0 }
    }
}

/// After how long the kernel takes a lease that somebody has asked for.
fn break_time() -> Option<Duration> {
    let seconds = fs::read_to_string("/proc/sys/fs/lease-break-time").ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

fn now() -> u64 {
    futex::monotonic().as_millis() as u64
}

fn keeps_leases(kind: FsType) -> bool {
    // Some of these numbers are negative where the field has 32 bits.
    KEEP_LEASES.iter().any(|&known| known as u32 == kind.0 as u32)
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
    use std::os::unix::fs::OpenOptionsExt;
    use std::time::Instant;

    /// A file of ten bytes, leased; none where there are no leases.
    fn leased(path: &std::path::Path) -> Option<Lease> {
        std::fs::write(path, b"some bytes").unwrap();
        let lease = Lease::take(File::open(path).unwrap());
        lease.inspect_err(|error| eprintln!("no leases here: {error}")).ok()
    }

    /// As `touch` does: it opens the file to write but does not wait, and sets its time by name.
    #[test]
    fn who_does_not_wait_takes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let Some(lease) = leased(&path) else { return };
        let touched = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(&path);
        assert_eq!(touched.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(lease.is_asked_for() && !lease.is_wanted() && !lease.is_void());
        // It still keeps others waiting, and they are heard.
        let waits = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, b"others").unwrap()
        });
        let patience = Instant::now() + Duration::from_secs(30);
        while !lease.is_wanted() {
            assert!(Instant::now() < patience);
            std::thread::yield_now();
        }
        assert!(!lease.is_void() && std::fs::metadata(&path).unwrap().len() == 10);
        // Nobody has looked for longer than it can be relied on: the kernel may have taken it.
        lease.seen.store(now().saturating_sub(RELIANCE.as_millis() as u64), Ordering::Relaxed);
        assert!(lease.is_wanted() && lease.is_void());
        // Nor can it be told once it may have been taken while somebody asked, whatever the clock says then.
        lease.lost.store(true, Ordering::Relaxed);
        lease.seen.store(now(), Ordering::Relaxed);
        assert!(lease.is_wanted() && lease.is_void());
        drop(lease);
        waits.join().unwrap();
    }

    #[test]
    fn who_wants_to_write_waits_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let Some(lease) = leased(&path) else { return };
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
        lease.seen.store(0, Ordering::Relaxed);
        reader.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(lease.is_void());
        drop(lease);
        writer.join().unwrap();
        assert_eq!(reader.metadata().unwrap().len(), 6);
    }

    /// Numbers of linux/magic.h, by name.
    #[test]
    fn leases_are_trusted_where_the_kernel_alone_changes_files() {
        use nix::sys::statfs as magic;
        let known = [magic::EXT4_SUPER_MAGIC, magic::BTRFS_SUPER_MAGIC, magic::TMPFS_MAGIC, magic::XFS_SUPER_MAGIC];
        assert!(known.into_iter().all(keeps_leases));
        assert!(keeps_leases(FsType(0xF2F5_2010_u32 as _)) && keeps_leases(FsType(0xCA45_1A4E_u32 as _)));
        let others =
            [magic::FUSE_SUPER_MAGIC, magic::NFS_SUPER_MAGIC, magic::OVERLAYFS_SUPER_MAGIC, magic::PROC_SUPER_MAGIC];
        assert!(!others.into_iter().any(keeps_leases));
        // 9p, CIFS, SMB2, Ceph, GFS2, OCFS2, AFS, VFAT, exFAT, NTFS3, ZFS, ecryptfs, and what nobody knows.
        for kind in [
            0x0102_1997_u32,
            0xFF53_4D42,
            0xFE53_4D42,
            0x00C3_6400,
            0x0116_1970,
            0x7461_636F,
            0x5346_414F,
            0x4D44,
            0x2011_BAB0,
            0x7366_746E,
            0x2FC1_2FC1,
            0xF15F,
            0,
            0xFFFF_FFFF,
        ] {
            assert!(!keeps_leases(FsType(kind as _)), "{kind:x}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"some bytes").unwrap();
        let file = File::open(&path).unwrap();
        let kind = fstatfs(&file).unwrap().filesystem_type();
        assert!(keeps_leases(kind) || Lease::take(file).is_err(), "{kind:?}");
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
