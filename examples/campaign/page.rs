//! Words that the harness, a trial's coordinator and its workers share: when the job began and ended, and which faults have
//! really happened, to whom, when.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// The most faults of one trial.
pub(crate) const MOST_FAULTS: usize = 4;

/// The most landings of one fault that are remembered by name.
const LANDINGS: usize = 8;

/// The most daemons of one trial: so many faults come to so many.
const DAEMONS: usize = MOST_FAULTS * LANDINGS;

/// All zero at first. Times are nanoseconds of CLOCK_MONOTONIC, which is the same in all processes.
#[repr(C)]
pub(crate) struct Words {
    pub(crate) began: AtomicU64,
    pub(crate) ended: AtomicU64,
    faults: [Landed; MOST_FAULTS],
    /// Processes that bodies have left running, which the harness ends.
    daemons: [AtomicU64; DAEMONS],
}

#[repr(C)]
struct Landed {
    /// How often the place was come to.
    reached: AtomicU64,
    /// How often it happened.
    landed: AtomicU64,
    /// When it happened last.
    at: AtomicU64,
    /// Whom it befell: pid * 2^32 + rank + 1, without the rank if that is not known.
    victims: [AtomicU64; LANDINGS],
}

/// Somebody whom a fault befell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Victim {
    pub(crate) pid: u32,
    pub(crate) rank: Option<usize>,
}

impl Words {
    /// Counts that the place of a fault was come to; how often before.
    pub(crate) fn reach(&self, fault: usize) -> u64 {
        self.faults[fault].reached.fetch_add(1, SeqCst)
    }

    /// Notes that a fault is about to befall somebody.
    pub(crate) fn mark(&self, fault: usize, victim: Victim) {
        let words = &self.faults[fault];
        let value = (u64::from(victim.pid) << 32) + victim.rank.map_or(0, |rank| rank as u64 + 1);
        // Before the name: who is ended between the two is no victim yet.
        words.at.store(now(), SeqCst);
        let free = words.victims.iter().find(|word| word.compare_exchange(0, value, SeqCst, SeqCst).is_ok());
        assert!(free.is_some(), "a fault happens {LANDINGS} times at most");
    }

    /// Counts that a fault has befallen somebody before the job's end.
    pub(crate) fn land(&self, fault: usize) {
        self.faults[fault].landed.fetch_add(1, SeqCst);
    }

    pub(crate) fn landed(&self, fault: usize) -> u64 {
        self.faults[fault].landed.load(SeqCst)
    }

    /// Notes that this process is a daemon of the trial.
    pub(crate) fn tell_daemon(&self, pid: u32) {
        let free = self.daemons.iter().find(|word| word.compare_exchange(0, pid.into(), SeqCst, SeqCst).is_ok());
        assert!(free.is_some(), "a trial has {DAEMONS} daemons at most");
    }

    pub(crate) fn daemons(&self) -> impl Iterator<Item = u32> {
        self.daemons.iter().map(|word| word.load(SeqCst) as u32).filter(|&pid| pid != 0)
    }

    /// When a fault happened last.
    pub(crate) fn at(&self, fault: usize) -> u64 {
        self.faults[fault].at.load(SeqCst)
    }

    /// Whom a fault befell.
    pub(crate) fn victims(&self, fault: usize) -> impl Iterator<Item = Victim> {
        let values = self.faults[fault].victims.iter().map(|word| word.load(SeqCst)).filter(|&value| value != 0);
        values.map(|value| Victim {
            pid: (value >> 32) as u32,
            rank: (value & u64::from(u32::MAX)).checked_sub(1).map(|rank| rank as usize),
        })
    }
}

/// Memory that holds the words, and the file it is of.
pub(crate) struct Page {
    pub(crate) file: File,
    words: memmap2::MmapRaw,
}

impl Page {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the name is a C string; the call returns a new descriptor or -1.
        let fd = unsafe { libc::memfd_create(c"campaign".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: made just now for us alone.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(size_of::<Words>() as u64)?;
        Self::of(file)
    }

    /// The page that a trial was given as its standard input.
    pub(crate) fn given() -> io::Result<Self> {
        Self::of(File::from(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// The page that another process of the trial was given, by its path.
    pub(crate) fn at(path: &OsStr) -> io::Result<Self> {
        Self::of(File::options().read(true).write(true).open(path)?)
    }

    fn of(file: File) -> io::Result<Self> {
        Ok(Self { words: memmap2::MmapOptions::new().len(size_of::<Words>()).map_raw(&file)?, file })
    }
}

impl std::ops::Deref for Page {
    type Target = Words;

    fn deref(&self) -> &Words {
        // SAFETY: page-aligned, as long as `Words`, of a file that nobody cuts; atomics, for which all bits are values.
        unsafe { &*self.words.as_ptr().cast() }
    }
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is live for the kernel to fill.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The time from one moment to another; none if they are the wrong way round.
pub(crate) fn span(from: u64, to: u64) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}
