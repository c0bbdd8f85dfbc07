//! Making a process, holding it by its pidfd, ending it, and being one.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

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

/// A child process. Dropping it kills and reaps it: no child outlives the value that stands for it.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    pidfd: Option<OwnedFd>,
    exit: OnceLock<Exit>,
}

/// Forks; the child runs `life` and leaves by `_exit` with the status it returns.
///
/// Before `life` runs, the child has arranged to be killed when the forking thread ends, whatever ends it.
///
/// # Safety
/// The child must not use what another thread of this process may have held at the time of the fork (locks, pools):
/// either this process has one thread, or the caller vouches for what `life` does.
pub(crate) unsafe fn spawn(life: impl FnOnce() -> i32) -> io::Result<Child> {
    let parent = getpid();
    // SAFETY: the caller vouches for the child's use of what it inherits; the child ends by _exit below.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Child { pid: child, pidfd: pidfd_open(child).ok(), exit: OnceLock::new() }),
        ForkResult::Child => {
            // An unwinding out of `life` would go on in the parent's code, a second time.
            let _stop = LeaveOnUnwind;
            leave(match die_with(parent) {
                Ok(()) => life(),
                Err(_) => ORPHANED,
            })
        }
    }
}

/// Exit status of a child that found its parent gone at birth; nobody is left to read it.
const ORPHANED: i32 = 125;

/// Exit status of a child whose `life` unwound, Rust's own for a panic.
const UNWOUND: i32 = 101;

/// Dropped only by unwinding, for a child leaves before the end of its scope.
struct LeaveOnUnwind;

impl Drop for LeaveOnUnwind {
    fn drop(&mut self) {
        leave(UNWOUND)
    }
}

/// Asks for SIGKILL when the parent ends. It may have ended already, in which case no signal comes: so look again.
fn die_with(parent: Pid) -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // A coordinator may have blocked signals for its own ends; a worker has no such business.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Leaves this process now: no destructor, exit handler or buffer inherited from the parent runs.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: _exit ends the process without touching its memory.
    unsafe { libc::_exit(status) }
}

/// Among the flags in a task's `stat`: it is in the kernel for good (PF_EXITING of linux/sched.h).
const EXITING: u32 = 4;

/// The fields of a `stat` after the name, which is in parentheses and may hold anything.
fn after_name(stat: &str) -> std::str::SplitAsciiWhitespace<'_> {
    stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace()
}

fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor (close-on-exec by itself) for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

impl Child {
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw() as u32
    }

    /// Sends SIGKILL, unless it was reaped already (its pid may be another's by now).
    pub(crate) fn kill(&self) {
        if self.exit.get().is_some() {
            return;
        }
        match &self.pidfd {
            Some(pidfd) => {
                let (pidfd, info) = (pidfd.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
                // SAFETY: three integers and a null pointer, for which the kernel fills in the usual.
                unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, libc::SIGKILL, info, 0) };
            }
            None => drop(kill(self.pid, Signal::SIGKILL)),
        }
    }

    /// How it ended, if it has; does not wait.
    pub(crate) fn ended(&self) -> Option<Exit> {
        self.reap(libc::WEXITED | libc::WNOHANG)
    }

    /// Waits for its end, which must be certain: it was killed, or it has said that it is about to leave.
    pub(crate) fn wait(&self) -> Exit {
        loop {
            if let Some(exit) = self.reap(libc::WEXITED) {
                return exit;
            }
        }
    }

    /// How it will have ended, as soon as none of its threads can execute another instruction of its program; `None` if that
    /// is not so yet, or cannot be told. Long before [`ended`](Self::ended) if it has much memory: the kernel settles the
    /// status first, then tells robust locks, then gives back the memory, and only then lets the parent know.
    pub(crate) fn foretold(&self) -> Option<Exit> {
        if let Some(exit) = self.exit.get() {
            return Some(*exit);
        }
        // Its number is its own until it is reaped, which only this value does; if somebody else in this program has, all
        // reads fail or tell of a process that is not exiting.
        let folder = format!("/proc/{}/task", self.pid);
        for task in std::fs::read_dir(&folder).ok()? {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            let flags: u32 = after_name(&stat).nth(6)?.parse().ok()?;
            if flags & EXITING == 0 {
                return None;
            }
        }
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let code: i32 = after_name(&stat).next_back()?.parse().ok()?;
        // As `wait` encodes it. 0 is also what the kernel says to those who may not know.
        match (code & 0x7f, code >> 8 & 0xff) {
            (0, 0) => None,
            (0, status) => Some(Exit::Status(status)),
            (signal, _) => Some(Exit::Signal(signal)),
        }
    }

    fn reap(&self, how: i32) -> Option<Exit> {
        if let Some(exit) = self.exit.get() {
            return Some(*exit);
        }
        let (kind, id) = match &self.pidfd {
            Some(pidfd) => (libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t),
            None => (libc::P_PID, self.pid.as_raw() as libc::id_t),
        };
        // Not nix's waitid, which reaps a child that a real-time signal ended and then has no name for the signal.
        // SAFETY: plain integers and pointers, for which all zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is live for the kernel to fill.
        let failed = unsafe { libc::waitid(kind, id, &mut info, how) } != 0;
        if failed && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            return None;
        }
        // SAFETY: waitid fills these fields, or leaves them zero when nothing has ended.
        let (pid, status) = (unsafe { info.si_pid() }, unsafe { info.si_status() });
        let exit = match info.si_code {
            _ if failed => Exit::Unknown,
            _ if pid == 0 => return None,
            libc::CLD_EXITED => Exit::Status(status),
            _ => Exit::Signal(status),
        };
        Some(*self.exit.get_or_init(|| exit))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
            self.wait();
        }
    }
}

/// Writes out what std and C still hold in buffers, so that a child cannot write it a second time.
pub(crate) fn flush_buffers() {
    use std::io::Write;
    // An error here is for the one who writes next to meet; a fork does not make it worse.
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    // SAFETY: a null stream means all of them; stdio takes its own locks.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}
