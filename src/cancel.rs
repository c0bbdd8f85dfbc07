//! Asking jobs to stop, from another thread, a handler, or by a signal.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};
use crate::sys::{futex, signals};

pub use crate::sys::signals::SignalGuard;

/// A request to stop, which jobs look at that were given it with [`Job::cancel_token`](crate::Job::cancel_token).
///
/// ```
/// use parfork::{Error, Job, Shared, CancelToken};
/// static STOP: CancelToken = CancelToken::new();
///
/// let mut cells = Shared::<u8, _>::zeros(1000)?;
/// STOP.cancel(); // from another thread, a signal handler, ...
/// let stopped = Job::new(&mut cells).workers(2).cancel_token(&STOP).run(|_, mut slice| slice.fill(1));
/// assert!(matches!(stopped, Err(Error::Stopped { signal: None, .. })));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Default)]
pub struct CancelToken {
    /// | value | meaning                                |
    /// |-------|----------------------------------------|
    /// | 0     | go on                                  |
    /// | 1     | stop                                   |
    /// | n + 2 | stop, because this process got signal n |
    word: AtomicU32,
}

impl CancelToken {
    /// No request yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(0) }
    }

    /// Asks for it, for ever. May be called in a signal handler.
    pub fn cancel(&self) {
        let _ = self.word.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed);
        futex::wake_all(&self.word);
    }

    /// Whether it was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.word.load(Ordering::Acquire) != 0
    }

    /// The signal that asked for it, if it was one.
    pub fn signal(&self) -> Option<i32> {
        let word = self.word.load(Ordering::Acquire);
        word.checked_sub(signals::FIRST).map(|signal| signal as i32)
    }

    /// The request that Ctrl-C (SIGINT), SIGTERM and SIGHUP make, for programs that consist of jobs.
    ///
    /// While a job runs that was given this `CancelToken`, or an output is open that would leave a file behind
    /// ([`AtomicFile`](crate::formats::AtomicFile)), the first such signal is a request; at any other time, and the second in any
    /// case, it ends the process with status 128 + signal. Signals that are ignored when this is first called stay ignored.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    pub fn at_signals() -> Result<&'static Self> {
        static ASKED: CancelToken = CancelToken::new();
        signals::note_in(&ASKED.word).map_err(Error::system("handle SIGINT, SIGTERM and SIGHUP"))?;
        Ok(&ASKED)
    }

    /// While what it returns lives, the first such signal is only a request, also when no job runs: for programs that have
    /// something of their own to tidy up (a terminal, a file) and look at [`is_cancelled`](Self::is_cancelled) now and then.
    pub fn hold() -> SignalGuard {
        SignalGuard::new()
    }

    /// The word to sleep on, and its value as long as nobody has asked.
    pub(crate) fn word(&self) -> (&AtomicU32, u32) {
        (&self.word, 0)
    }
}
