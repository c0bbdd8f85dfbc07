//! Memory that is there before it is touched: the kernel gives all of an array's pages when it is made, or says that it cannot.
//!
//! In huge pages where it can: first use of 1 GiB costs about 72 ms that way on one CPU, against 650 ms in pages of 4 KiB.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow};

use super::cpu;
use super::memory::{HUGE, Mapping, allocate};

/// Bytes for which it pays to start another thread, or to ask whether it has become too late: some milliseconds of work in huge pages,
/// some forty in small ones.
const PORTION: usize = 64 << 20;

/// More threads than this would not clear memory any faster.
const MOST_THREADS: usize = 8;

/// Asked between portions: whether it has become too late to go on.
pub(crate) type Late<'l> = &'l (dyn Fn() -> bool + Sync);

/// For what is made without a deadline.
pub(crate) fn never() -> bool {
    false
}

/// As [`allocate`], in portions.
///
/// # Errors
/// The kernel's; [`TimedOut`](io::ErrorKind::TimedOut) if it becomes too late, with a part of it allocated.
pub(crate) fn allocate_in_time(fd: impl AsFd, bytes: Range<usize>, late: Late<'_>) -> io::Result<()> {
    bytes.clone().step_by(PORTION).try_for_each(|start| match late() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => allocate(&fd, start..bytes.end.min(start.saturating_add(PORTION))),
    })
}

impl Mapping {
    /// Makes the kernel give every page of `fd` that this maps, from `at` on, now rather than at first touch: in huge pages where
    /// it can, else in small ones. Nobody has touched them yet: they are zero.
    ///
    /// # Errors
    /// The kernel's, when there is no room; nothing is killed and nothing faults. [`TimedOut`](io::ErrorKind::TimedOut) if it becomes
    /// too late.
    pub(crate) fn reserve(&self, fd: impl AsFd, at: usize, late: Late<'_>) -> io::Result<()> {
        let huge = self.len() / HUGE * HUGE;
        let collapsed = if huge > 0 && self.collapse(fd.as_fd(), at, huge, late) { huge } else { 0 };
        allocate_in_time(fd, at + collapsed..at + self.len(), late)
    }

    /// Turns the first `huge` bytes into 2 MiB pages; false where the kernel cannot (before 6.1, no memory in one piece), and if it
    /// becomes too late.
    ///
    /// On as many CPUs as there is enough to do for: two take 0.6 of the time of one. Their threads are gone when it returns.
    fn collapse(&self, fd: BorrowedFd<'_>, at: usize, huge: usize, late: Late<'_>) -> bool {
        let Ok(file) = fd.try_clone_to_owned().map(File::from) else { return false };
        let collapse = |blocks: Range<usize>| {
            let mut portions = blocks.clone().step_by(PORTION).map(|start| start..blocks.end.min(start + PORTION));
            portions.all(|portion| !late() && self.collapse_blocks(&file, at, portion))
        };
        let others = (huge / PORTION).clamp(1, cpu::count().min(MOST_THREADS)) - 1;
        let portion = (huge / HUGE).div_ceil(others + 1) * HUGE;
        let mut portions = (0..huge).step_by(portion).map(|start| start..huge.min(start + portion));
        let own = portions.next();
        // What a signal is to do is not to be done by a thread that is about to end.
        let blocked = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK);
        let done = thread::scope(|scope| {
            let collapse = &collapse;
            let spawn = |blocks: Range<usize>| {
                let thread = thread::Builder::new().stack_size(64 << 10);
                let run = blocks.clone();
                thread.spawn_scoped(scope, move || collapse(run)).map_err(|_| blocks)
            };
            let others: Vec<_> = portions.map(spawn).collect();
            let own = own.is_none_or(collapse);
            others.into_iter().fold(own, |done, other| match other {
                Ok(thread) => thread.join().unwrap_or(false) && done,
                // There can be no more threads.
                Err(blocks) => collapse(blocks) && done,
            })
        });
        if let Ok(before) = blocked {
            let _ = before.thread_set_mask();
        }
        done
    }

    /// The same for blocks of 2 MiB, on this thread.
    fn collapse_blocks(&self, file: &File, at: usize, blocks: Range<usize>) -> bool {
        // A block without any page cannot be collapsed (EINVAL), so each gets one first: by a call, which fails where a touch
        // of the mapping would be SIGBUS, for /dev/shm may be full.
        if !blocks.clone().step_by(HUGE).all(|block| matches!(file.write_at(&[0], (at + block) as u64), Ok(1))) {
            return false;
        }
        // SAFETY: below the mapping's length, which the range does not exceed.
        let start = unsafe { self.base().as_ptr().add(blocks.start) };
        // SAFETY: the range is inside this mapping; a collapse changes how bytes are held, never what they are.
        unsafe { libc::madvise(start.cast(), blocks.len(), libc::MADV_COLLAPSE) == 0 }
    }
}
