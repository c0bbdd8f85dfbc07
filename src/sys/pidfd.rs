//! A process held by a descriptor, so that its number cannot come to mean another one; whose child it is does not matter.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::exit::{Exit, early_exit_status};

/// How long a process that was killed may take to end: its memory is taken apart first, and what it does in the kernel may
/// not be to be interrupted.
pub(crate) const ENDING: Duration = Duration::from_secs(10);

/// How long one is waited for that may not be killed. One that had done its work leaves by itself, and meanwhile.
pub(crate) const LEAVING: Duration = Duration::from_millis(200);

/// Why a process has not ended though it should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// This process may not signal it: it belongs to another user by now, or this one does.
    NotPermitted,
    /// It was killed, and has not ended in time.
    Slow,
}

/// A process that was to end and is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Its process id.
    pub pid: u32,
    /// What keeps it.
    pub obstacle: Obstacle,
}

/// What keeps it, and what to do.
impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, obstacle } = self;
        match obstacle {
            Obstacle::NotPermitted => write!(
                f,
                "process {pid} cannot be ended: this process may not signal it, because one of both has changed its user since it was \
                 started. End it by hand (kill -9 {pid}, as root or its user)"
            ),
            Obstacle::Slow => write!(
                f,
                "process {pid} was killed and has not ended within {ENDING:?}: it is in a system call that cannot be interrupted, \
                 is frozen, or writes a large core file. Look at it (ps -o stat,wchan {pid})"
            ),
        }
    }
}

/// A process's descriptor.
#[derive(Debug)]
pub(crate) struct Pidfd(OwnedFd);

impl Pidfd {
    /// Takes hold of a process.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
        // SAFETY: the call takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor (close-on-exec by itself) for us alone.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Sends a signal. To one that is gone there is nothing to send, and that is no error.
    pub(crate) fn signal(&self, signal: i32) -> io::Result<()> {
        let info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: three integers and a null pointer, for which the kernel fills in the usual.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, info, 0) };
        match io::Error::last_os_error() {
            error if sent != 0 && error.raw_os_error() != Some(libc::ESRCH) => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether it has ended: all of it, not its first thread alone, and whether anybody has reaped it or not. One that was
    /// stopped, or that somebody traces, has not.
    pub(crate) fn is_dead(&self) -> bool {
        self.polls(0)
    }

    /// Waits for its end until then; whether that came.
    pub(crate) fn ends_by(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            // Rounded up, or the last part of a millisecond is spent looking.
            if self.polls(left.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// Whether it ends within some milliseconds; false also after a signal.
    fn polls(&self, patience: i32) -> bool {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live record, and its number.
        unsafe { libc::poll(&mut poll, 1, patience) == 1 }
    }
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A process that a child of this one made and will reap.
#[derive(Debug)]
pub(crate) struct ForeignProcess {
    pid: u32,
    pidfd: Pidfd,
}

impl ForeignProcess {
    /// Takes hold of a process.
    ///
    /// # Errors
    /// If it is not a child of `parent`, who does not reap it meanwhile: the number may come from a place that others write.
    pub(crate) fn hold(pid: u32, parent: u32) -> io::Result<Self> {
        let foreign = Self { pid, pidfd: Pidfd::open(pid)? };
        if super::proc::parent(pid)? == parent { Ok(foreign) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends SIGKILL; whether that was permitted.
    pub(crate) fn kill(&self) -> bool {
        self.pidfd.signal(libc::SIGKILL).is_ok()
    }

    /// Lets it go on if it was stopped.
    pub(crate) fn resume(&self) {
        let _ = self.pidfd.signal(libc::SIGCONT);
    }

    /// As [`Child::early_exit_status`](super::child::Child::early_exit_status).
    pub(crate) fn early_exit_status(&self) -> Option<Exit> {
        // Looked up before the question whether it is dead: until then its number was its own.
        early_exit_status(self.pid).filter(|_| !self.is_dead())
    }

    /// Whether it has ended.
    pub(crate) fn is_dead(&self) -> bool {
        self.pidfd.is_dead()
    }

    /// Waits for its end until then; whether that came.
    pub(crate) fn ends_by(&self, until: Instant) -> bool {
        self.pidfd.ends_by(until)
    }
}
