//! A robust futex: a word that the kernel marks when the process that holds it dies.
//!
//! A robust lock, taken at birth and never released: when the signer ends in whatever way, the kernel sets
//! FUTEX_OWNER_DIED in the lock's word and wakes who sleeps on it. That comes before the dead process's memory is
//! torn down, so with 1 GiB mapped it is noticed within a millisecond or two, where a pidfd takes thirty.
//!
//! It is a real `pthread_mutex_t`, because glibc keeps a robust list of its own per thread: entering through its own
//! door leaves the locks of the user's code as they are.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};

/// Set by the kernel in the word of a dead signer (linux/futex.h).
const OWNER_DIED: u32 = 0x4000_0000;
/// Tells the kernel that somebody sleeps on the word, so that it wakes them.
const WAITERS: u32 = 0x8000_0000;

/// Where the lock word stands in a `pthread_mutex_t`, in bytes.
const WORD_AT: usize = if cfg!(target_env = "musl") { 4 } else { 0 };

/// One per worker, in memory shared with the coordinator.
#[repr(C)]
pub(crate) struct RobustLock {
    lock: UnsafeCell<libc::pthread_mutex_t>,
}

// SAFETY: a process-shared pthread mutex is made to be used by many threads and processes at once; outside of
// `prepare` every access goes through pthread calls or the atomic word.
unsafe impl Sync for RobustLock {}

impl RobustLock {
    /// Makes the lock, before anybody else knows of it.
    ///
    /// # Safety
    /// Nobody uses this robust lock yet, in any process.
    pub(crate) unsafe fn prepare(&self) {
        let mut kind = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        // SAFETY: `kind` is room for the attributes that this call makes.
        unsafe { libc::pthread_mutexattr_init(kind.as_mut_ptr()) };
        // SAFETY: `kind` was made by the call above.
        unsafe { libc::pthread_mutexattr_setpshared(kind.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED) };
        // SAFETY: as above.
        unsafe { libc::pthread_mutexattr_setrobust(kind.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST) };
        // SAFETY: the caller vouches that nobody uses the lock yet.
        unsafe { libc::pthread_mutex_init(self.lock.get(), kind.as_ptr()) };
        // SAFETY: made above, not used again.
        unsafe { libc::pthread_mutexattr_destroy(kind.as_mut_ptr()) };
    }

    /// From now on the end of the calling thread is written here. To be called once, by the worker it stands for.
    pub(crate) fn acquire(&self) {
        // SAFETY: `prepare` made the lock before this worker was born. Nobody else takes it; but another worker may have
        // written over it, so it is tried and not waited for.
        let taken = unsafe { libc::pthread_mutex_trylock(self.lock.get()) };
        // Without the mark the coordinator knows that it will not be told of this one, and asks.
        if taken == 0 {
            self.word().fetch_or(WAITERS, Ordering::Release);
        }
    }

    /// The word to sleep on.
    pub(crate) fn word(&self) -> &AtomicU32 {
        // SAFETY: the offset is inside of a pthread_mutex_t.
        let word = unsafe { self.lock.get().cast::<u8>().add(WORD_AT) };
        // SAFETY: both libraries keep the lock word as an aligned 32-bit integer there; it is only ever accessed
        // atomically, by them, by the kernel and here.
        unsafe { AtomicU32::from_ptr(word.cast()) }
    }

    /// Whether that process holds it, and the kernel will say of its end here: nobody has written over it.
    pub(crate) fn is_held_by(&self, pid: u32) -> bool {
        self.word().load(Ordering::Acquire) == pid | WAITERS
    }

    /// Whether a value read from [`word`](Self::word) says that the signer is dead.
    pub(crate) fn says_dead(word: u32) -> bool {
        word & OWNER_DIED != 0
    }

    /// Whether a value read from [`word`](Self::word) says that the worker has signed: not only taken the lock but also
    /// marked it, without which the kernel writes of its death but wakes nobody.
    pub(crate) fn says_signed(word: u32) -> bool {
        word & WAITERS != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_thread_is_written_and_wakes() {
        let lock = RobustLock { lock: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER) };
        // SAFETY: nobody else knows of it yet.
        unsafe { lock.prepare() };
        assert!(!RobustLock::says_signed(lock.word().load(Ordering::Acquire)));
        std::thread::scope(|threads| {
            threads.spawn(|| lock.acquire());
            loop {
                let word = lock.word().load(Ordering::Acquire);
                if RobustLock::says_dead(word) {
                    break;
                }
                super::super::futex::wait(lock.word(), word, None);
            }
        });
    }
}
