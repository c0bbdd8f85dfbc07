//! Waiting on words in shared memory.
//!
//! The std and parking_lot futexes are process-private and never wake another process; these are the shared kind,
//! the only kind here, so the wrong flag cannot be passed.
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// Most words that [`wait_any`] takes: the kernel's FUTEX_WAITV_MAX.
pub(crate) const MOST_WORDS: usize = 128;

/// How often a sleeper looks whether the process that would wake it is still there.
const LOOK: Duration = Duration::from_secs(1);

/// Sleeps while `word` holds `expected`, until woken, interrupted by a signal or `deadline`. May return early: look again. A worker
/// whose parent has ended meanwhile ends here.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) {
    let limit = timespec(deadline.map_or(LOOK, |at| at.saturating_duration_since(Instant::now()).min(LOOK)));
    // SAFETY: the word is a live, aligned 32-bit word for the call; the limit is a live timespec; the kernel only reads both.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const limit) };
    if woken != 0 {
        super::exit::leave_if_orphaned();
    }
}

/// Wakes all who sleep on `word`.
pub(crate) fn wake_all(word: &AtomicU32) {
    // SAFETY: the kernel uses the address of a live word as a key and does not touch the word.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// Sleeps while every word holds the value beside it, until one is woken, a signal, or `deadline`.
/// May return early: look again.
///
/// # Errors
/// `Unsupported` where the call cannot be used: kernels before 5.16, old seccomp profiles.
///
/// # Panics
/// With more than [`MOST_WORDS`] words.
pub(crate) fn wait_any(words: &[(&AtomicU32, u32)], deadline: Option<Instant>) -> io::Result<()> {
    assert!(words.len() <= MOST_WORDS, "{} words, the kernel waits on at most {MOST_WORDS}", words.len());
    let waiters: Vec<Waiter> = words
        .iter()
        .map(|(word, expected)| Waiter {
            val: u64::from(*expected),
            uaddr: word.as_ptr().addr() as u64,
            flags: SIZE_U32,
            reserved: 0,
        })
        .collect();
    // futex_waitv takes a point in time, not a span.
    let until = deadline.map(|at| monotonic_in(at.saturating_duration_since(Instant::now())));
    let until = until.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `waiters` is a live array of that many of the kernel's records, each naming a live word (borrowed for
    // the call); the kernel only reads them.
    let woken = unsafe {
        libc::syscall(libc::SYS_futex_waitv, waiters.as_ptr(), waiters.len(), 0, until, libc::CLOCK_MONOTONIC)
    };
    let refused = (woken < 0).then(io::Error::last_os_error);
    match refused.and_then(|error| error.raw_os_error()) {
        // A word had changed, a signal came, time is up: all ends of a wait.
        None | Some(libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT) => Ok(()),
        // ENOSYS before 5.16, EPERM under a seccomp profile that does not know the call.
        Some(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// `struct futex_waitv` of linux/futex.h.
#[repr(C)]
struct Waiter {
    val: u64,
    uaddr: u64,
    flags: u32,
    reserved: u32,
}

/// FUTEX2_SIZE_U32, without FUTEX2_PRIVATE.
const SIZE_U32: u32 = 2;

fn timespec(span: Duration) -> libc::timespec {
    // 68 years is for ever, and keeps seconds within any time_t.
    let seconds = span.as_secs().min(i32::MAX as u64);
    libc::timespec { tv_sec: seconds as libc::time_t, tv_nsec: span.subsec_nanos() as libc::c_long }
}

fn monotonic_in(span: Duration) -> libc::timespec {
    timespec(monotonic().saturating_add(span))
}

/// What the clock shows by which this room tells time: the same in all processes since the machine was started.
pub(crate) fn monotonic() -> Duration {
    let mut now = timespec(Duration::ZERO);
    // SAFETY: `now` is a live timespec for the kernel to fill; CLOCK_MONOTONIC always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_changed_word_is_not_waited_for() {
        let word = AtomicU32::new(1);
        wait(&word, 0, None);
        wait_any(&[(&word, 0)], None).unwrap();
    }

    #[test]
    fn a_deadline_ends_the_wait() {
        let word = AtomicU32::new(0);
        let soon = || Some(Instant::now() + Duration::from_millis(1));
        wait(&word, 0, soon());
        wait_any(&[(&word, 0), (&word, 0)], soon()).unwrap();
        wait(&word, 0, Some(Instant::now()));
    }

    #[test]
    fn any_of_many_words_wakes() {
        let words: Vec<AtomicU32> = (0..MOST_WORDS).map(|_| AtomicU32::new(0)).collect();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                words[77].store(1, Ordering::Release);
                wake_all(&words[77]);
            });
            let pairs: Vec<_> = words.iter().map(|word| (word, 0)).collect();
            while words[77].load(Ordering::Acquire) == 0 {
                wait_any(&pairs, Some(Instant::now() + Duration::from_secs(10))).unwrap();
            }
        });
    }
}
