//! The public header of a control page, for processes that have no part in the job: whose it is, how it is laid out, how far it is.
//! The coordinator writes it when a job begins, a few words that nobody in the job reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::sys::futex;

/// `parfork`, and the version of everything that is read of a control page from outside.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"parfork\x04");

/// Bytes of a job's name that are kept.
pub(super) const NAME: usize = 64;

/// The words by which a control page is known.
#[repr(C, align(128))]
pub(crate) struct PublicHeader {
    /// [`MAGIC`], when all else is there.
    pub(super) magic: AtomicU64,
    /// How many bytes the head of the page and a worker's slot have: another build may have others.
    pub(super) sizes: [AtomicU64; 2],
    /// The coordinator, as it calls itself.
    pub(super) pid: AtomicU64,
    /// When the control page's clock began: nanoseconds of CLOCK_MONOTONIC.
    pub(super) epoch: AtomicU64,
    /// Odd while the words below change.
    pub(super) version: AtomicU64,
    /// 1 while a job runs.
    pub(super) runs: AtomicU64,
    /// How many jobs have begun.
    pub(super) jobs: AtomicU64,
    /// When the last one did, in nanoseconds of the control page's clock.
    pub(super) began: AtomicU64,
    /// Of the last one: room for slots; workers, slices, loans, bytes of an answer, entries of an event log, steps.
    pub(super) layout: [AtomicU64; 7],
    /// The first slice that is to be run, and the one after the last.
    pub(super) run: [AtomicU64; 2],
    /// Its place in [`Engine::ALL`](crate::Engine::ALL).
    pub(super) engine: AtomicU64,
    pub(super) schedule: AtomicU64,
    /// Bytes of all arrays lent.
    pub(super) lent: AtomicU64,
    /// UTF-8, and zeros.
    pub(super) name: [AtomicU64; NAME / 8],
}

impl PublicHeader {
    /// Says whose control page it is, with things of these [`sizes`](Self::sizes), and whose clock shows this now.
    pub(super) fn publish(&self, sizes: [u64; 2], clock: Duration) {
        self.sizes.iter().zip(sizes).for_each(|(word, size)| word.store(size, Ordering::Relaxed));
        self.pid.store(u64::from(std::process::id()), Ordering::Relaxed);
        self.epoch.store(futex::monotonic().saturating_sub(clock).as_nanos() as u64, Ordering::Relaxed);
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// Whether that is still there.
    pub(super) fn is_published(&self, sizes: [u64; 2]) -> bool {
        let known = [MAGIC, sizes[0], sizes[1], u64::from(std::process::id())];
        let words = [&self.magic, &self.sizes[0], &self.sizes[1], &self.pid];
        words.into_iter().zip(known).all(|(word, known)| word.load(Ordering::Relaxed) == known)
    }
}
