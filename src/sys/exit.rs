//! How a process ends: its own leaving, and what others can tell of its end.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicI32, Ordering};

use nix::unistd::{Pid, getppid};

use super::proc;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It left with this status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
    /// Somebody else in this program reaped it (a SIGCHLD handler, `waitpid(-1)`, SIGCHLD ignored).
    Unknown,
}

impl Exit {
    /// As a word that can be shared; 0 is none.
    ///
    /// | bits 8..10 | bits 0..8 |
    /// |------------|-----------|
    /// | 1          | status    |
    /// | 2          | signal    |
    /// | 3          | unknown   |
    pub(crate) fn word(self) -> u32 {
        match self {
            Self::Status(status) => 1 << 8 | (status as u32 & 0xff),
            Self::Signal(signal) => 2 << 8 | (signal as u32 & 0xff),
            Self::Unknown => 3 << 8,
        }
    }

    /// What a word stands for.
    pub(crate) fn of(word: u32) -> Option<Self> {
        let number = (word & 0xff) as i32;
        match word >> 8 {
            0 => None,
            1 => Some(Self::Status(number)),
            2 => Some(Self::Signal(number)),
            _ => Some(Self::Unknown),
        }
    }
}

/// Exit status of a child that found its parent gone at birth; nobody is left to read it.
pub(super) const ORPHANED: i32 = 125;

/// Leaves this process now: no destructor, exit handler or buffer inherited from the parent runs.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: _exit ends the process without touching its memory.
    unsafe { libc::_exit(status) }
}

/// Whether this process's parent is that one.
pub(crate) fn is_child_of(parent: u32) -> bool {
    getppid().as_raw() as u32 == parent
}

/// The process that has forked this one; 0 in one that was not made here.
static PARENT: AtomicI32 = AtomicI32::new(0);

/// In a child: who has forked it.
pub(super) fn note_parent(parent: Pid) {
    PARENT.store(parent.as_raw(), Ordering::Relaxed);
}

/// Leaves if this process was forked here and its parent has ended. The kernel kills it for that, unless one of both has changed
/// its user since: who sleeps looks now and then.
pub(super) fn leave_if_orphaned() {
    let parent = PARENT.load(Ordering::Relaxed);
    if parent != 0 && getppid().as_raw() != parent {
        leave(ORPHANED);
    }
}

/// How a process will have ended, as soon as none of its threads can execute another instruction of its program. Long before
/// it has ended if it has much memory: the kernel settles the status first, then tells robust locks, then gives back the
/// memory, and only then lets the parent know.
pub(super) fn early_exit_status(pid: u32) -> Option<Exit> {
    let code = proc::code_of_exiting(pid)?;
    // As `wait` encodes it. 0 is also what the kernel says to those who may not know.
    match (code & 0x7f, code >> 8 & 0xff) {
        (0, 0) => None,
        (0, status) => Some(Exit::Status(status)),
        (signal, _) => Some(Exit::Signal(signal)),
    }
}
