//! Making a process, holding it by its pidfd, ending it, and being one.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::prctl::{get_pdeathsig, set_pdeathsig};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

use super::exit::{self, Exit, ORPHANED, early_exit_status, leave};
use super::pidfd::{ENDING, LEAVING, Obstacle, Pidfd, Remaining};
use super::usage::Usage;

/// A child process. Dropping it kills and reaps it: no child outlives the value that stands for it, but for one that the system
/// does not let this process end, which is said on stderr.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    pidfd: Option<Pidfd>,
    /// Whether it could not be killed.
    refused: AtomicBool,
    exit: OnceLock<Exit>,
    /// What it has cost, once it is reaped.
    usage: OnceLock<Usage>,
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
    // Where this is refused no child can bind itself to this process, and could not say why it leaves.
    get_pdeathsig()?;
    // SAFETY: the caller vouches for the child's use of what it inherits; the child ends by _exit below.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            reap_remaining();
            let (pidfd, refused) = (Pidfd::open(child.as_raw() as u32).ok(), AtomicBool::new(false));
            Ok(Child { pid: child, pidfd, refused, exit: OnceLock::new(), usage: OnceLock::new() })
        }
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
    exit::note_parent(parent);
    set_pdeathsig(Signal::SIGKILL)?;
    // A coordinator may have blocked signals for its own ends; a worker has no such business.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    super::signals::be_a_worker();
    if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

impl Child {
    /// One that was started as a program.
    pub(crate) fn of(program: std::process::Child) -> Self {
        let pidfd = Pidfd::open(program.id()).ok();
        let pid = Pid::from_raw(program.id() as i32);
        Self { pid, pidfd, refused: AtomicBool::new(false), exit: OnceLock::new(), usage: OnceLock::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw() as u32
    }

    /// What tells its end, where the system has that.
    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Sends SIGKILL; whether that was permitted.
    pub(crate) fn kill(&self) -> bool {
        let sent = self.signal(Signal::SIGKILL);
        self.refused.store(!sent, Ordering::Relaxed);
        sent
    }

    /// Whether the last try to kill it was not permitted.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Lets it go on if it was stopped.
    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Sends a signal, unless it was reaped already (its pid may be another's by now); whether that was permitted.
    fn signal(&self, signal: Signal) -> bool {
        if self.exit.get().is_some() {
            return true;
        }
        // Where only the call for pidfds is not permitted (old seccomp profiles): it was not reaped, so that its number is its own.
        self.pidfd.as_ref().is_some_and(|pidfd| pidfd.signal(signal as i32).is_ok())
            || kill(self.pid, signal) != Err(nix::errno::Errno::EPERM)
    }

    /// How it ended, if it has. Waits for a moment if it has and somebody who traces it has not let go of it.
    pub(crate) fn ended(&self) -> Option<Exit> {
        if let Some(exit) = self.exit.get() {
            return Some(*exit);
        }
        // Asked for first: of a child that this process traces `waitid` tells a stop as well, which is no end.
        if self.pidfd.as_ref().is_some_and(|pidfd| !pidfd.is_dead()) {
            return None;
        }
        let until = Instant::now() + LEAVING;
        loop {
            match self.reap() {
                None if self.pidfd.is_none() => return None,
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
                // Reaped when that is possible.
                None => return Some(self.give_up()),
                reaped => return reaped,
            }
        }
    }

    /// Waits for its end until then, which should be certain: it was killed, or it has said that it is about to leave.
    pub(crate) fn ended_by(&self, until: Instant) -> Option<Exit> {
        loop {
            let exit = self.ended();
            if exit.is_some() || Instant::now() >= until {
                return exit;
            }
            match &self.pidfd {
                Some(pidfd) => drop(pidfd.ends_by(until)),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Waits for the end of one that was killed, until then or for a moment if that was not permitted. One that is there after
    /// that is no longer this value's.
    pub(crate) fn end_by(&self, until: Instant) -> Option<Remaining> {
        let refused = self.refused.load(Ordering::Relaxed);
        let until = if refused { until.min(Instant::now() + LEAVING) } else { until };
        if self.ended_by(until).is_some() {
            return None;
        }
        self.give_up();
        let obstacle = if refused { Obstacle::NotPermitted } else { Obstacle::Slow };
        Some(Remaining { pid: self.pid(), obstacle })
    }

    /// Leaves it to be reaped whenever that is possible. How it will have ended, as far as that is known.
    fn give_up(&self) -> Exit {
        let again = self.pidfd.as_ref().and_then(|pidfd| pidfd.as_fd().try_clone_to_owned().ok());
        if let Some((mut unreaped, pidfd)) = UNREAPED.try_lock().ok().zip(again) {
            unreaped.push(pidfd);
        }
        *self.exit.get_or_init(|| early_exit_status(self.pid()).unwrap_or(Exit::Unknown))
    }

    /// How it will have ended, as soon as it can do nothing more; `None` if that is not so yet, or cannot be told. See
    /// [`early_exit_status`].
    pub(crate) fn early_exit_status(&self) -> Option<Exit> {
        // Its number is its own until it is reaped, which only this value does; if somebody else in this program has, all
        // reads fail or tell of a process that is not exiting.
        self.exit.get().copied().or_else(|| early_exit_status(self.pid()))
    }

    fn reap(&self) -> Option<Exit> {
        let (kind, id) = match &self.pidfd {
            Some(pidfd) => (libc::P_PIDFD, pidfd.as_fd().as_raw_fd() as libc::id_t),
            None => (libc::P_PID, self.pid.as_raw() as libc::id_t),
        };
        // Not nix's waitid, which reaps a child that a real-time signal ended and then has no name for the signal; and not
        // libc's, which does not pass on what the kernel tells of its cost.
        // SAFETY: plain integers and pointers, for which all zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        let how = libc::WEXITED | libc::WNOHANG;
        // SAFETY: `info` and `usage` are live for the kernel to fill.
        let failed = unsafe { libc::syscall(libc::SYS_waitid, kind, id, &mut info, how, &mut usage) } != 0;
        if failed && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            return None;
        }
        // SAFETY: waitid fills these fields, or leaves them zero when nothing has ended.
        let (pid, status) = (unsafe { info.si_pid() }, unsafe { info.si_status() });
        let exit = match info.si_code {
            _ if failed => Exit::Unknown,
            _ if pid == 0 => return None,
            libc::CLD_EXITED => Exit::Status(status),
            libc::CLD_KILLED | libc::CLD_DUMPED => Exit::Signal(status),
            // It was stopped, or goes on.
            _ => return None,
        };
        if !failed {
            let _ = self.usage.set(Usage::of(&usage));
        }
        Some(*self.exit.get_or_init(|| exit))
    }

    /// What it has cost: all of it if it is reaped, else what the system tells of it until now, if anything.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage.get().copied().or_else(|| Usage::of_process(self.pid()).ok())
    }
}

/// Lets a process go on if it was stopped.
pub(crate) fn resume(pid: u32) {
    let _ = kill(Pid::from_raw(pid as i32), Signal::SIGCONT);
}

/// Children that could not be reaped in time: killed and not at their end, not to be killed, or held by somebody who traces them.
static UNREAPED: Mutex<Vec<std::os::fd::OwnedFd>> = Mutex::new(Vec::new());

/// Reaps those of them that have ended since.
fn reap_remaining() {
    // Whoever has it is at the same; and in a fork nobody may be.
    let Ok(mut unreaped) = UNREAPED.try_lock() else { return };
    let is_there = |pidfd: &std::os::fd::OwnedFd| {
        let how = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOHANG;
        let ended = nix::sys::wait::waitid(nix::sys::wait::Id::PIDFd(pidfd.as_fd()), how);
        ended == Ok(nix::sys::wait::WaitStatus::StillAlive)
    };
    unreaped.retain(is_there);
}

/// Names this process as `ps` and `top` show it, in 15 bytes.
pub(crate) fn name(name: &str) {
    // A name is for people: without one it works as well.
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
            if let Some(remaining) = self.end_by(Instant::now() + ENDING) {
                eprintln!("parfork: {remaining}");
            }
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

/// Whether this process is a worker whose buffers hold nothing but its own, and whose locks nobody held at its birth.
static FLUSHES: AtomicBool = AtomicBool::new(false);

/// In a worker just born: from now on what its bodies print is written out at their end, if its parent was `alone` when it flushed its
/// own buffers and forked. Beside other threads there may be half a line of theirs, or a lock that nobody will release.
pub(crate) fn flush_what_bodies_print(alone: bool) {
    FLUSHES.store(alone, Ordering::Relaxed);
}

/// In a worker that has no more slices, or is about to fail: writes out what bodies have printed, for it leaves by `_exit`.
pub(crate) fn flush_own_buffers() {
    if FLUSHES.load(Ordering::Relaxed) {
        flush_buffers();
    }
}
