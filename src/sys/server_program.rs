//! A program that is started to serve this process: it is told some words over a pipe, which stays open. When this process ends,
//! the kernel closes its end, and kills the program for that.
//!
//! `PR_SET_PDEATHSIG` would be simpler, but is bound to the thread that starts a program, not to the process.
#![allow(unsafe_code)]

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::getpid;

use super::child::Child;
use super::exit::{ORPHANED, is_child_of, leave};
use super::lease::F_SETSIG;

/// What a program finds in its environment that is to serve.
const VARIABLE: &str = "PARFORK_SERVE";

/// The most words that it is told.
const MOST: usize = 1 << 12;

/// Whether this process has asked whether it is to serve, so that it would, if it was started to.
static ASKS: AtomicBool = AtomicBool::new(false);

/// Whether this program asks whether it is to serve.
pub(crate) fn asks() -> bool {
    ASKS.load(Ordering::Relaxed)
}

/// This program, as it is started again: also when its file was replaced since.
pub(crate) fn this() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(std::env::args_os().next().unwrap_or_default());
    command
}

/// Starts a program to serve this process, in a process group of its own, and tells it that. It lives until both ends of the pipe
/// that is told on are gone.
///
/// # Errors
/// The system's. A program that ends before it is told is one that was started.
pub(crate) fn start(command: &mut Command, words: &[u64]) -> io::Result<(Child, ChildStdin)> {
    let mut program = command.env(VARIABLE, "1").stdin(Stdio::piped()).process_group(0).spawn()?;
    let line = program.stdin.take();
    let child = Child::of(program);
    let mut line = line.ok_or_else(|| io::Error::other("the program has no standard input"))?;
    let all = [words.len() as u64].into_iter().chain(words.iter().copied());
    match line.write_all(&all.flat_map(u64::to_ne_bytes).collect::<Vec<_>>()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok((child, line)),
    }
}

/// Whether this process was started to serve.
pub(crate) fn is_asked() -> bool {
    ASKS.store(true, Ordering::Relaxed);
    std::env::var_os(VARIABLE).is_some()
}

/// What one that was started to serve is told. From then on it ends with who started it, and what it starts itself does not serve.
///
/// # Errors
/// If that is not to be read.
///
/// # Safety
/// This process has one thread.
pub(crate) unsafe fn listen() -> io::Result<Vec<u64>> {
    // SAFETY: nobody else can look at the environment, as the caller vouches.
    unsafe { std::env::remove_var(VARIABLE) };
    let next = || {
        let mut word = [0; size_of::<u64>()];
        io::stdin().lock().read_exact(&mut word).map(|()| u64::from_ne_bytes(word))
    };
    let count = next()? as usize;
    if count > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let words = (0..count).map(|_| next()).collect::<io::Result<Vec<_>>>()?;
    end_with_writer()?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(words)
}

/// Lets the kernel kill this process when nobody has the other end of its standard input, which becomes empty.
fn end_with_writer() -> io::Result<()> {
    // SAFETY: makes a new descriptor.
    let line = Errno::result(unsafe { libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: made just now, and nobody else's.
    let line = unsafe { OwnedFd::from_raw_fd(line) };
    let nothing = std::fs::File::open("/dev/null")?;
    // SAFETY: two open descriptors; standard input is nobody's in particular.
    Errno::result(unsafe { libc::dup2(nothing.as_raw_fd(), 0) })?;
    for (what, argument) in
        [(libc::F_SETOWN, getpid().as_raw()), (F_SETSIG, libc::SIGKILL), (libc::F_SETFL, libc::O_ASYNC)]
    {
        // SAFETY: an open descriptor, and numbers.
        Errno::result(unsafe { libc::fcntl(line.as_raw_fd(), what, argument) })?;
    }
    // It may have been closed before.
    let mut ends = [PollFd::new(std::os::fd::AsFd::as_fd(&line), PollFlags::empty())];
    if poll(&mut ends, PollTimeout::ZERO)? > 0 {
        leave(ORPHANED);
    }
    // For as long as this process lives.
    std::mem::forget(line);
    Ok(())
}

/// In a program that was told who has started it: leaves if that is another process by now.
pub(crate) fn ensure_started_by(parent: u32) {
    if !is_child_of(parent) {
        leave(ORPHANED);
    }
}
