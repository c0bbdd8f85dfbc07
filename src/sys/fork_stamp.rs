//! Which of all forks of this program a value was made in: a number that every process has for itself.
//!
//! It stands in a page that the kernel wipes in each child (MADV_WIPEONFORK), whoever forks it: libc, a raw system call, a tracer.
//! A child finds 0 there and takes the next number when it is asked for one. Where the kernel cannot wipe, a handler of
//! `pthread_atfork` does it, which sees the forks of libc alone.
//!
//! Numbers ascend along each line of descent, and only there: what one process made, none but itself and its descendants have.
//! Siblings may have the same.
#![allow(unsafe_code)]

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The number of one process. As long as [`is_current`](Self::is_current), this is the process that the stamp was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// The word in the page that is wiped; null before the first stamp of the program.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(null_mut());

/// The word if there is no memory for a page.
static SPARE: AtomicU64 = AtomicU64::new(0);

/// No stamp in use, in this process or in one that it descends from, is higher.
static HIGHEST: AtomicU64 = AtomicU64::new(0);

/// The stamp of this process. After the first call, two loads.
pub(crate) fn current() -> Stamp {
    let word = word();
    match word.load(Ordering::Relaxed) {
        0 => {
            // Before it is in use: whoever is forked from here on takes a higher one. Of threads that come at the same time, one is
            // right.
            let next = HIGHEST.fetch_add(1, Ordering::Relaxed) + 1;
            Stamp(word.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|won| won, |_| next))
        }
        stamp => Stamp(stamp),
    }
}

impl Stamp {
    /// Whether this process is the one that took the stamp.
    pub(crate) fn is_current(self) -> bool {
        word().load(Ordering::Relaxed) == self.0
    }
}

fn word() -> &'static AtomicU64 {
    let word = WORD.load(Ordering::Acquire);
    // SAFETY: null, or a word that `make_word` has made, which is never unmapped.
    unsafe { word.as_ref() }.unwrap_or_else(make_word)
}

/// Maps the page, once. Without a lock, which another thread might hold at a fork.
#[cold]
fn make_word() -> &'static AtomicU64 {
    let (read_write, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let len = super::page::page_size();
    // SAFETY: new memory, at an address of the kernel's choice.
    let page = unsafe { libc::mmap(null_mut(), len, read_write, private, -1, 0) };
    let word = if page == libc::MAP_FAILED { (&raw const SPARE).cast_mut() } else { page.cast() };
    if page != libc::MAP_FAILED {
        // SAFETY: the page just made. If the kernel refuses, there is the handler below.
        unsafe { libc::madvise(page, len, libc::MADV_WIPEONFORK) };
    }
    match WORD.compare_exchange(null_mut(), word, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            // SAFETY: called in each child, where it stores to one atomic.
            unsafe { libc::pthread_atfork(None, None, Some(wipe)) };
        }
        Err(_) if page != libc::MAP_FAILED => {
            // SAFETY: the page just made, of which nobody knows.
            unsafe { libc::munmap(page, len) };
        }
        Err(_) => {}
    }
    // SAFETY: not null any more; a page that is never unmapped, of zeros at first, or a static; aligned for any word.
    unsafe { &*WORD.load(Ordering::Acquire) }
}

/// What the kernel has done already if it can.
extern "C" fn wipe() {
    word().store(0, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether all holds in a child made by `fork`, which does nothing but atomics and leaves.
    fn in_child(fork: fn() -> i32, holds: impl Fn() -> bool) -> bool {
        match fork() {
            // SAFETY: ends the child without touching its memory.
            0 => unsafe { libc::_exit(i32::from(!holds())) },
            pid => {
                let mut status = -1;
                // SAFETY: a live word for the kernel to fill.
                let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
                waited == pid && status == 0
            }
        }
    }

    // SAFETY: the child uses atomics alone until it leaves.
    const FORKS: [fn() -> i32; 2] = [
        || unsafe { libc::fork() },
        || unsafe {
            // A fork that libc does not know of.
            libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32
        },
    ];

    #[test]
    fn every_fork_has_another_stamp_than_all_it_descends_from() {
        let parent = current();
        for fork in FORKS {
            assert!(in_child(fork, || {
                let child = current();
                let is_new = !parent.is_current() && child.is_current() && child != parent;
                is_new
                    && FORKS.into_iter().all(|fork| {
                        in_child(fork, || {
                            // Also before it has a stamp.
                            !child.is_current() && !parent.is_current() && ![child, parent].contains(&current())
                        })
                    })
            }));
        }
        assert!(parent.is_current() && current() == parent);
    }

    #[test]
    fn threads_that_ask_at_once_are_told_the_same() {
        let stamps: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..8).map(|_| scope.spawn(current)).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert!(stamps.iter().all(|stamp| *stamp == current()));
    }
}
