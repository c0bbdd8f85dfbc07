//! Signals that ask this process to end: Ctrl-C, a closed terminal, `kill`.
//!
//! The first is only noted while somebody holds on to what must be tidied up, and ends the process at once otherwise; the
//! second ends it in any case. A worker is ended by its coordinator, not by the Ctrl-C that both receive.
#![allow(unsafe_code)]

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::{exit, futex};

/// Those that ask a process to end and may be refused.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Where the first is noted, as signal number + [`FIRST`]; who sleeps on the word is woken.
static NOTED: OnceLock<&'static AtomicU32> = OnceLock::new();

/// What the number of a signal is added to in the word.
pub(crate) const FIRST: u32 = 2;

/// How many hold on.
static HOLDS: AtomicU32 = AtomicU32::new(0);

/// From now on notes such a signal in `word`. Signals that are ignored (`nohup`, a shell's `&`) stay so. The first call
/// decides on the word.
pub(crate) fn note_in(word: &'static AtomicU32) -> io::Result<()> {
    if NOTED.set(word).is_err() {
        return Ok(());
    }
    // No other one in the middle of the first, which would be the second then.
    let others = SigSet::from_iter(ENDING);
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), others);
    for signal in ENDING {
        // SAFETY: the handler does nothing but atomics and system calls, which may be done at any moment.
        let before = unsafe { sigaction(signal, &action) }?;
        if matches!(before.handler(), SigHandler::SigIgn) {
            // SAFETY: what was there is put back.
            unsafe { sigaction(signal, &before) }?;
        }
    }
    Ok(())
}

/// The signal that has asked this process to end, if one has and was only noted.
pub(crate) fn noted() -> Option<i32> {
    let word = NOTED.get()?.load(Ordering::Acquire);
    word.checked_sub(FIRST).map(|signal| signal as i32)
}

extern "C" fn note(signal: i32) {
    let status = 128 + signal;
    match NOTED.get() {
        Some(word) if HOLDS.load(Ordering::Acquire) > 0 => {
            if word.swap(signal as u32 + FIRST, Ordering::AcqRel) >= FIRST {
                exit::leave(status);
            }
            // A wake of a live word does not fail, so errno of the code in between stays as it is.
            futex::wake_all(word);
        }
        _ => exit::leave(status),
    }
}

/// In a worker just born: `kill` ends it, and Ctrl-C on the terminal of both is for the coordinator to act on. Not ignored
/// but answered with nothing, since programs that a body starts would inherit the former.
pub(super) fn be_a_worker() {
    extern "C" fn nothing(_: i32) {}
    if NOTED.get().is_none() {
        return;
    }
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let nothing = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    for (signal, action) in ENDING.into_iter().zip([&nothing, &default, &default]) {
        // SAFETY: the default, or a handler that does nothing.
        let before = unsafe { sigaction(signal, action) };
        if let Ok(before) = before
            && matches!(before.handler(), SigHandler::SigIgn)
        {
            // SAFETY: what was there is put back. It cannot fail where the call before did not.
            let _ = unsafe { sigaction(signal, &before) };
        }
    }
}

/// While it lives, the first signal is only noted. See [`CancelToken::hold`](crate::CancelToken::hold).
#[derive(Debug)]
#[must_use = "dropped at once it holds nothing"]
pub struct SignalGuard(());

impl SignalGuard {
    pub(crate) fn new() -> Self {
        HOLDS.fetch_add(1, Ordering::AcqRel);
        Self(())
    }
}

impl Drop for SignalGuard {
    fn drop(&mut self) {
        HOLDS.fetch_sub(1, Ordering::AcqRel);
    }
}
