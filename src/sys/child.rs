//! Making a process, holding it by its pidfd, ending it, and being one.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

use super::usage::Usage;

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

/// A child process. Dropping it kills and reaps it: no child outlives the value that stands for it.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    pidfd: Option<OwnedFd>,
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
    // SAFETY: the caller vouches for the child's use of what it inherits; the child ends by _exit below.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            Ok(Child { pid: child, pidfd: pidfd_open(child).ok(), exit: OnceLock::new(), usage: OnceLock::new() })
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

/// Exit status of a child that found its parent gone at birth; nobody is left to read it.
pub(super) const ORPHANED: i32 = 125;

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
    super::signals::be_a_worker();
    if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Leaves this process now: no destructor, exit handler or buffer inherited from the parent runs.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: _exit ends the process without touching its memory.
    unsafe { libc::_exit(status) }
}

pub(super) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
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

    /// Sends SIGKILL.
    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Lets it go on if it was stopped.
    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Sends a signal, unless it was reaped already (its pid may be another's by now).
    fn signal(&self, signal: Signal) {
        if self.exit.get().is_some() {
            return;
        }
        match &self.pidfd {
            Some(pidfd) => send(pidfd, signal as i32),
            None => drop(kill(self.pid, signal)),
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

    /// How it will have ended, as soon as it can do nothing more; `None` if that is not so yet, or cannot be told. See
    /// [`foretold`].
    pub(crate) fn foretold(&self) -> Option<Exit> {
        // Its number is its own until it is reaped, which only this value does; if somebody else in this program has, all
        // reads fail or tell of a process that is not exiting.
        self.exit.get().copied().or_else(|| foretold(self.pid()))
    }

    fn reap(&self, how: i32) -> Option<Exit> {
        if let Some(exit) = self.exit.get() {
            return Some(*exit);
        }
        let (kind, id) = match &self.pidfd {
            Some(pidfd) => (libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t),
            None => (libc::P_PID, self.pid.as_raw() as libc::id_t),
        };
        // Not nix's waitid, which reaps a child that a real-time signal ended and then has no name for the signal; and not
        // libc's, which does not pass on what the kernel tells of its cost.
        // SAFETY: plain integers and pointers, for which all zero is a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
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
            _ => Exit::Signal(status),
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

/// How a process will have ended, as soon as none of its threads can execute another instruction of its program. Long before
/// it has ended if it has much memory: the kernel settles the status first, then tells robust locks, then gives back the
/// memory, and only then lets the parent know.
fn foretold(pid: u32) -> Option<Exit> {
    let code = super::proc::code_of_exiting(pid)?;
    // As `wait` encodes it. 0 is also what the kernel says to those who may not know.
    match (code & 0x7f, code >> 8 & 0xff) {
        (0, 0) => None,
        (0, status) => Some(Exit::Status(status)),
        (signal, _) => Some(Exit::Signal(signal)),
    }
}

/// Lets a process go on if it was stopped.
pub(crate) fn resume(pid: u32) {
    let _ = kill(Pid::from_raw(pid as i32), Signal::SIGCONT);
}

/// A process that a child of this one made and will reap, held by its pidfd.
#[derive(Debug)]
pub(crate) struct Ward {
    pid: u32,
    pidfd: OwnedFd,
}

impl Ward {
    /// Takes hold of a process.
    ///
    /// # Errors
    /// If it is not a child of `parent`, who does not reap it meanwhile: the number may come from a place that others write.
    pub(crate) fn hold(pid: u32, parent: u32) -> io::Result<Self> {
        let raw = i32::try_from(pid).map_err(io::Error::other)?;
        let ward = Self { pid, pidfd: pidfd_open(Pid::from_raw(raw))? };
        if super::proc::parent(pid)? == parent { Ok(ward) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(&self) {
        send(&self.pidfd, libc::SIGKILL);
    }

    /// As [`Child::foretold`].
    pub(crate) fn foretold(&self) -> Option<Exit> {
        // Looked up before the question whether it is dead: until then its number was its own.
        foretold(self.pid).filter(|_| !self.is_dead())
    }

    /// Whether it has ended.
    pub(crate) fn is_dead(&self) -> bool {
        comes(&self.pidfd, libc::POLLIN, 0)
    }

    /// Waits for its end, which must be certain.
    pub(crate) fn wait(&self) {
        while !comes(&self.pidfd, libc::POLLIN, -1) {}
    }
}

/// Sends a signal to the process behind a pidfd.
fn send(pidfd: &OwnedFd, signal: i32) {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: three integers and a null pointer, for which the kernel fills in the usual.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
}

/// Whether something comes on a descriptor within some milliseconds (-1: for ever); also false after a signal.
fn comes(fd: &OwnedFd, what: i16, patience: i32) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: what, revents: 0 };
    // SAFETY: one live record, and its number.
    unsafe { libc::poll(&mut poll, 1, patience) == 1 }
}

/// Tells when the last of some processes is gone, whoever made them: dropping it waits for that.
///
/// A pipe through which nothing is sent. Its other end is inherited, and closed by each one's death. It is closed on exec, so
/// that programs which a body starts and leaves running are not waited for.
#[derive(Debug)]
pub(crate) struct Lifeline(OwnedFd);

impl Lifeline {
    /// A line, and the end that those processes are to hold.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let (watched, held) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        Ok((Self(watched), held))
    }
}

impl Lifeline {
    /// How long to wait before looking who is still there.
    const PATIENCE: i32 = 100;

    /// Continues whoever holds the line and was stopped. A process that was stopped at birth has not asked yet to be ended with
    /// its parent, and may be known to nobody if that was killed meanwhile: continued, it finds its parent gone and leaves.
    fn resume_holders(&self) {
        let Ok(inode) = nix::sys::stat::fstat(&self.0).map(|it| it.st_ino) else { return };
        let line = std::path::PathBuf::from(format!("pipe:[{inode}]"));
        let own = std::process::id();
        let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        for pid in std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(number) {
            let stopped = |pid| super::proc::state(pid).is_ok_and(|state| state == super::proc::STOPPED);
            let Ok(held) = pidfd_open(Pid::from_raw(pid as i32)) else { continue };
            let mut fds = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            if pid != own && stopped(pid) && fds.any(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to == line)) {
                send(&held, libc::SIGCONT);
            }
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        while !comes(&self.0, 0, Self::PATIENCE) {
            self.resume_holders();
        }
    }
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
