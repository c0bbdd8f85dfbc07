//! What confined processes print: it goes into pipes, and the coordinator writes it to its own standard output and error.
//!
//! A worker that had the terminal would read what is typed there, and one that had a log's descriptor could write over it, or make it shorter.
//! The coordinator looks for something to forward whenever it looks at its workers, and never waits for who reads it but at the end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, pipe2, read, write};

use crate::sys::reserve::{Late, never};

/// Bytes that may wait in a pipe until the coordinator looks, where the system allows that.
const CAPACITY: i32 = 1 << 20;

/// Bytes that a pipe takes without waiting if it says that it can be written to (PIPE_BUF).
const PIECE: usize = 4096;

/// Milliseconds between two looks whether it is too late to wait.
const ROUND: u8 = 50;

/// Pipes in place of the standard streams.
#[derive(Debug)]
pub(crate) struct Outputs {
    /// At its end.
    input: OwnedFd,
    output: Pipe,
    error: Pipe,
}

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // With less room workers wait more often.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(CAPACITY));
        Ok(Self { read, write })
    }

    /// Writes what is there to `to`, until that takes no more for so long, or has to be waited for when it is too `late` for that. What cannot be
    /// written is lost, as it would be for who prints it.
    fn forward(&self, to: impl AsFd, patience: Duration, late: Late<'_>) {
        let mut bytes = [0; PIECE];
        let mut until = Instant::now() + patience;
        loop {
            let mut room = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
            let is_over = Instant::now() >= until || late();
            match poll(&mut room, if is_over { 0 } else { ROUND }) {
                Ok(1..) => until = Instant::now() + patience,
                Err(Errno::EINTR) => continue,
                Ok(_) if !is_over => continue,
                _ => return,
            }
            let mut left = match read(&self.read, &mut bytes) {
                Ok(count @ 1..) => &bytes[..count],
                _ => return,
            };
            while !left.is_empty() {
                match write(to.as_fd(), left) {
                    Ok(count) => left = &left[count..],
                    Err(Errno::EINTR) => {}
                    Err(_) => break,
                }
            }
        }
    }
}

impl Outputs {
    /// How long the one who reads what the coordinator prints may take nothing, before the rest of what workers printed is lost.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> io::Result<Self> {
        let (input, _) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Self { input, output: Pipe::new()?, error: Pipe::new()? })
    }

    /// In the process that is to be confined: the pipes become its standard streams.
    pub(crate) fn take_over(&self) -> io::Result<()> {
        dup2_stdin(&self.input)?;
        dup2_stdout(&self.output.write)?;
        Ok(dup2_stderr(&self.error.write)?)
    }

    /// In the coordinator: forwards what can be forwarded now.
    pub(crate) fn forward(&self) {
        self.forward_within(Duration::ZERO, &never);
    }

    /// As [`forward`](Self::forward), when nobody prints any more: waits for who reads it, within limits, and not when it is too `late`.
    pub(crate) fn forward_rest(&self, late: Late<'_>) {
        self.forward_within(Self::PATIENCE, late);
    }

    fn forward_within(&self, patience: Duration, late: Late<'_>) {
        // Their own locks are not taken: another thread may hold one and wait for this job. All of the coordinator's own was flushed before.
        self.output.forward(io::stdout(), patience, late);
        self.error.forward(io::stderr(), patience, late);
    }
}
