//! A program that is started to serve this process: it forks whom this process asks for.
//!
//! It is asked over a socket, which is its standard input, and answers there. That it ends with this process is for a pipe, of which
//! it opens the end to read: when this process ends, the kernel closes the other one, and kills the program for that, also if it
//! was stopped. A fork of this process has that end too; so the program also waits for the end of this process itself.
//!
//! `PR_SET_PDEATHSIG` would be simpler, but is bound to the thread that starts a program, not to the process.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::unistd::getpid;

use super::child::Child;
use super::exit::{ORPHANED, is_child_of, leave};
use super::lease::F_SETSIG;
use super::pidfd::Pidfd;

/// What a program finds in its environment that is to serve.
const VARIABLE: &str = "PARFORK_SERVE";

/// The most words that it is told at once.
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

/// A program that was started to serve this process, as this process holds it. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    socket: UnixStream,
    line: PipeWriter,
}

impl Running {
    /// Starts it, in a process group of its own, and tells it some words.
    ///
    /// # Errors
    /// The system's. A program that ends before it is told is one that was started.
    pub(crate) fn start(command: &mut Command, words: &[u64]) -> io::Result<Self> {
        let (socket, its) = UnixStream::pair()?;
        let (_, line) = io::pipe()?;
        let its = Stdio::from(OwnedFd::from(its));
        let child = Child::of(command.env(VARIABLE, "1").stdin(its).process_group(0).spawn()?);
        // Its end is not to stay open here.
        command.stdin(Stdio::null());
        let running = Self { child, socket, line };
        let own = [u64::from(std::process::id()), running.line.as_raw_fd() as u64];
        running.tell(&[&own, words].concat())?;
        Ok(running)
    }

    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Tells it some words.
    ///
    /// # Errors
    /// The system's; but that it is gone is for [`child`](Self::child) to say.
    pub(crate) fn tell(&self, words: &[u64]) -> io::Result<()> {
        let all = [words.len() as u64].into_iter().chain(words.iter().copied());
        match (&self.socket).write_all(&all.flat_map(u64::to_ne_bytes).collect::<Vec<_>>()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    /// What it answers, if that comes within some time.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn answer(&self, patience: Duration) -> io::Result<Option<u64>> {
        self.socket.set_read_timeout(Some(patience))?;
        let mut word = [0; size_of::<u64>()];
        match (&self.socket).read(&mut word) {
            // Words come whole. None comes of one that is about to end.
            Ok(read) => Ok((read == word.len()).then(|| u64::from_ne_bytes(word))),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// In a process that was forked from the one that has started it: lets go of it, which is not this one's to end.
    pub(crate) fn let_go(self) {
        std::mem::forget(self.child);
    }
}

/// Whether this process was started to serve.
pub(crate) fn is_asked() -> bool {
    ASKS.store(true, Ordering::Relaxed);
    std::env::var_os(VARIABLE).is_some()
}

/// The socket of a program that serves: its standard input.
struct Socket;

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(nix::unistd::read(io::stdin(), bytes)?)
    }
}

fn read_words() -> io::Result<Vec<u64>> {
    let mut count = [0; size_of::<u64>()];
    Socket.read_exact(&mut count)?;
    let count = u64::from_ne_bytes(count) as usize;
    if count > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; count * size_of::<u64>()];
    Socket.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect())
}

/// Who has started this process to serve it.
pub(crate) struct Asker {
    pid: u32,
    pidfd: Pidfd,
}

/// Who has started this process to serve it, and the words that it is told first. From then on it ends with who has started it, and
/// what it starts itself does not serve.
///
/// # Errors
/// If that is not to be read.
///
/// # Safety
/// This process has one thread.
pub(crate) unsafe fn listen() -> io::Result<(Asker, Vec<u64>)> {
    // SAFETY: nobody else can look at the environment, as the caller vouches.
    unsafe { std::env::remove_var(VARIABLE) };
    let mut words = read_words()?;
    if words.len() < 2 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let rest = words.split_off(2);
    let (pid, line) = (words[0] as u32, words[1]);
    let pidfd = Pidfd::open(pid)?;
    let line = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(format!("/proc/{pid}/fd/{line}"))?;
    if !is_child_of(pid) {
        leave(ORPHANED);
    }
    end_with_writer(line)?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok((Asker { pid, pidfd }, rest))
}

/// Lets the kernel kill this process when nobody has the other end of that pipe.
fn end_with_writer(line: File) -> io::Result<()> {
    for (what, argument) in
        [(libc::F_SETOWN, getpid().as_raw()), (F_SETSIG, libc::SIGKILL), (libc::F_SETFL, libc::O_ASYNC)]
    {
        // SAFETY: an open descriptor, and numbers.
        Errno::result(unsafe { libc::fcntl(line.as_raw_fd(), what, argument) })?;
    }
    // It may have been closed before.
    if poll(&mut [PollFd::new(line.as_fd(), PollFlags::empty())], PollTimeout::ZERO)? > 0 {
        leave(ORPHANED);
    }
    // For as long as this process lives.
    std::mem::forget(line);
    Ok(())
}

impl Asker {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it asks for something, in words, or one of these children may have ended. Leaves with it.
    ///
    /// # Errors
    /// If what it asks is not to be read.
    pub(crate) fn wait(&self, children: &[Child]) -> io::Result<Option<Vec<u64>>> {
        let stdin = io::stdin();
        let ends = [self.pidfd.as_fd()].into_iter().chain(children.iter().filter_map(Child::pidfd));
        let mut ready: Vec<_> =
            [stdin.as_fd()].into_iter().chain(ends).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut ready, PollTimeout::NONE) {
            Err(Errno::EINTR) => return Ok(None),
            other => other?,
        };
        let is_ready = |of: usize| ready[of].revents().is_some_and(|events| !events.is_empty());
        if is_ready(1) {
            leave(ORPHANED);
        }
        is_ready(0).then(read_words).transpose()
    }

    /// Answers it.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn tell(&self, word: u64) -> io::Result<()> {
        nix::unistd::write(io::stdin(), &word.to_ne_bytes())?;
        Ok(())
    }
}

/// In a fork of a program that serves: lets go of the socket. Standard input is empty from then on.
///
/// # Errors
/// The system's.
pub(crate) fn let_go_of_socket() -> io::Result<()> {
    let nothing = File::open("/dev/null")?;
    // SAFETY: two open descriptors; standard input is nobody's in particular.
    Errno::result(unsafe { libc::dup2(nothing.as_raw_fd(), 0) })?;
    Ok(())
}
