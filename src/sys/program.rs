//! Another program as a child: started with what it needs and nothing else, talked to over pipes, never left behind.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, killpg, sigaction};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpgid, getpid, getppid, setpgid, setsid};

use super::descriptors;
use super::exit::{self, Exit};
use super::pidfd::Pidfd;
use super::proc;
use super::sandbox::{Support, enter_as_program};
use super::subreaper::{TIDYING, tidies_up};

/// How a program is started.
pub(crate) struct Start<'s> {
    pub(crate) program: &'s OsStr,
    pub(crate) arguments: &'s [OsString],
    /// Set on top of what is inherited.
    pub(crate) environment: &'s [(OsString, OsString)],
    /// Whether nothing is inherited.
    pub(crate) clear: bool,
    /// Descriptors that it is to have, under the same numbers.
    pub(crate) keep: &'s [BorrowedFd<'s>],
    /// Bytes of memory of its own that it may have (RLIMIT_DATA).
    pub(crate) memory: Option<u64>,
    /// What it may read in a sandbox, if it is to be in one, and what of a sandbox there can be.
    pub(crate) confine: Option<(Support, &'s [PathBuf])>,
    /// Whether its standard input and output are pipes to this process; else /dev/null and this process's standard error.
    pub(crate) pipes: bool,
    /// The process that becomes the parent of those that it leaves behind.
    pub(crate) subreaper: u32,
}

/// A program that was started. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// Where the system has them.
    pidfd: Option<Pidfd>,
    orders: Option<ChildStdin>,
    answers: Option<ChildStdout>,
    subreaper: u32,
}

/// What came of listening to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// So many bytes.
    Bytes(usize),
    /// It has ended, and will say no more.
    Ended,
    /// It has closed its end of the pipe, and goes on.
    Closed,
    /// Nothing: somebody has stopped it.
    Stopped,
}

impl Program {
    /// How long one that has closed its end may take to end, before it is said to go on: a process's pipes are closed after its
    /// memory was taken apart and before its parent is told.
    const ENDING: u16 = 4000;

    /// How often, where the system has no descriptors of processes.
    const GLANCE: u16 = 5;

    /// How often one that says nothing is looked at.
    pub(crate) const LOOK: u16 = 1000;

    /// Starts it, in a session of its own: the terminal's Ctrl-C is for the coordinator alone to act on, and a program that opens the
    /// terminal is refused instead of being stopped. It is killed when this process ends.
    ///
    /// # Errors
    /// If there is no such program, or it cannot be executed.
    pub(crate) fn start(start: &Start<'_>) -> io::Result<Self> {
        let mut command = Command::new(start.program);
        command.args(start.arguments);
        if start.clear {
            command.env_clear();
        }
        command.envs(start.environment.iter().map(|(name, value)| (name, value)));
        match start.pipes {
            true => command.stdin(Stdio::piped()).stdout(Stdio::piped()),
            false => command.stdin(Stdio::null()).stdout(io::stderr().as_fd().try_clone_to_owned()?),
        };
        // Where the ends of children are ignored nobody can wait for them, and programs would inherit that.
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default; this process is a worker, which has no other use for the signal.
        unsafe { sigaction(Signal::SIGCHLD, &default) }?;
        let (parent, memory) = (getpid(), start.memory);
        let confine = start.confine.map(|(support, readable)| (support, readable.to_vec()));
        let keep: Vec<RawFd> = start.keep.iter().map(AsRawFd::as_raw_fd).collect();
        let prepare = move || {
            set_pdeathsig(Signal::SIGKILL)?;
            if getppid() != parent {
                // Nobody is there to be told.
                exit::leave(exit::ORPHANED);
            }
            // A group of its own at least, where the system refuses a session.
            setsid().map(drop).or_else(|_| setpgid(Pid::from_raw(0), Pid::from_raw(0)))?;
            close_all_but(&keep)?;
            if let Some(bytes) = memory {
                let (_, hard) = getrlimit(Resource::RLIMIT_DATA)?;
                let bytes = bytes.min(hard);
                // One that is confined cannot allow itself more.
                setrlimit(Resource::RLIMIT_DATA, bytes, if confine.is_some() { bytes } else { hard })?;
            }
            confine.as_ref().map_or(Ok(()), |(support, readable)| enter_as_program(*support, readable))
        };
        // SAFETY: the child of a process with one thread, which may do anything.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn()?;
        let pidfd = Pidfd::open(child.id()).ok();
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        Ok(Self { child, pidfd, orders, answers, subreaper: start.subreaper })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    pub(crate) fn tell(&mut self, text: &[u8]) -> io::Result<()> {
        self.orders.as_mut().map_or_else(|| Err(io::ErrorKind::BrokenPipe.into()), |orders| orders.write_all(text))
    }

    /// Whether it has read all that it was told, as far as the system says. One that ended without that has not begun.
    pub(crate) fn has_read(&self) -> bool {
        let Some(orders) = &self.orders else { return true };
        let mut left: libc::c_int = 0;
        // SAFETY: the call writes one integer, which lives here; the descriptor is open.
        let told = unsafe { libc::ioctl(orders.as_raw_fd(), libc::FIONREAD, &raw mut left) };
        told != 0 || left == 0
    }

    /// Whether it has written something that was not read yet.
    pub(crate) fn has_spoken(&self) -> io::Result<bool> {
        let Some(answers) = &self.answers else { return Ok(false) };
        let mut answers = [PollFd::new(answers.as_fd(), PollFlags::POLLIN)];
        patiently(&mut answers, PollTimeout::ZERO)?;
        Ok(answers[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)))
    }

    /// Waits until it writes something, and reads that, or until it ends. One that has left its end of the pipe to children of
    /// its own has ended all the same.
    pub(crate) fn listen(&mut self, room: &mut [u8]) -> io::Result<ReadOutcome> {
        let Some(answers) = &mut self.answers else { return Ok(ReadOutcome::Closed) };
        let patience = if self.pidfd.is_some() { Self::LOOK } else { Self::GLANCE };
        loop {
            let mut both = vec![PollFd::new(answers.as_fd(), PollFlags::POLLIN)];
            both.extend(self.pidfd.as_ref().map(|pidfd| PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)));
            let events = patiently(&mut both, patience.into())?;
            if both[0].revents().is_some_and(|events| !events.is_empty()) {
                break;
            }
            if events > 0 || self.child.try_wait()?.is_some() {
                return Ok(ReadOutcome::Ended);
            }
            if is_stopped(self.child.id()) {
                return Ok(ReadOutcome::Stopped);
            }
        }
        match answers.read(room)? {
            0 => self.is_ending().map(|ending| if ending { ReadOutcome::Ended } else { ReadOutcome::Closed }),
            bytes => Ok(ReadOutcome::Bytes(bytes)),
        }
    }

    /// Whether one that has closed an end of a pipe has done so because it ends.
    pub(crate) fn is_ending(&self) -> io::Result<bool> {
        self.has_ended_within(Self::ENDING)
    }

    /// Waits so many milliseconds at most for its end; whether that came.
    pub(crate) fn has_ended_within(&self, patience: u16) -> io::Result<bool> {
        if let Some(pidfd) = &self.pidfd {
            return Ok(patiently(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], patience.into())? > 0);
        }
        let until = Instant::now() + Duration::from_millis(patience.into());
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(Pid::from_raw(self.child.id() as i32)), flags)? == WaitStatus::StillAlive {
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(Self::GLANCE.into()));
        }
        Ok(true)
    }

    /// Waits for its end, however long that takes; how it ended. Whoever it has left behind in its process group is ended.
    pub(crate) fn wait(&mut self) -> io::Result<Exit> {
        while !self.has_ended_within(Self::LOOK)? {}
        self.end_group();
        let status = self.child.wait()?;
        Ok(status.code().map(Exit::Status).or(status.signal().map(Exit::Signal)).unwrap_or(Exit::Unknown))
    }

    /// Tells it that there is nothing more to do, and waits so many milliseconds at most for it to leave; how it did, if so. Dropping
    /// this kills it otherwise; one that cannot be killed (it has become another user's) is left for the coordinator to tell of.
    pub(crate) fn dismiss(&mut self, patience: u16) -> io::Result<Option<Exit>> {
        drop(self.orders.take());
        let leaves = self.has_ended_within(patience)?;
        if leaves { self.wait().map(Some) } else { Ok(None) }
    }

    /// Sends SIGKILL to all in its process group, whose number is its own until it is reaped. Those that tidy up when the others are
    /// gone have their time for it.
    fn end_group(&self) {
        let group = Pid::from_raw(self.child.id() as i32);
        let is_member = |pid: &u32| getpgid(Some(Pid::from_raw(*pid as i32))) == Ok(group);
        let left = proc::children(self.subreaper).into_iter().filter(is_member);
        let tidying: Vec<u32> = left.filter(|&pid| tidies_up(pid)).collect();
        if !tidying.is_empty() {
            for pid in proc::all().into_iter().flatten().filter(is_member).filter(|pid| !tidying.contains(pid)) {
                let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
            }
            let until = Instant::now() + TIDYING;
            for pidfd in tidying.into_iter().filter_map(|pid| Pidfd::open(pid).ok()) {
                pidfd.ends_by(until);
            }
        }
        let _ = killpg(group, Signal::SIGKILL);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            // Or else it cannot be ended from here, and is no reason to wait for ever.
            let ends = self.is_ending().unwrap_or(false);
            self.end_group();
            if ends {
                let _ = self.child.wait();
            }
        }
    }
}

/// Whether somebody has stopped a process, which does not end then.
pub(crate) fn is_stopped(pid: u32) -> bool {
    proc::state(pid).is_ok_and(|state| state == proc::STOPPED)
}

/// As `poll`, also if signals come.
fn patiently(all: &mut [PollFd<'_>], patience: PollTimeout) -> io::Result<i32> {
    loop {
        match poll(all, patience) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

/// In a child that is about to become another program: lets it inherit its standard streams and these descriptors alone.
fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    const STREAMS: u32 = 2;
    // Marked and not closed: std has a pipe of its own open, through which it tells of a program that is not there.
    // SAFETY: three integers.
    let marked = unsafe {
        libc::syscall(libc::SYS_close_range, STREAMS + 1, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_uint)
    };
    if marked != 0 {
        // Older kernels and the profiles of some containers do not know the call.
        for fd in descriptors::all().into_iter().filter(|&fd| fd > STREAMS as RawFd) {
            // SAFETY: three integers; one that was closed meanwhile is none of those that stay open.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    for &fd in keep {
        // SAFETY: two integers and no flags.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
