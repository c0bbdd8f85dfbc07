//! A program that forks the fork servers of any number of crews: started when the first one is asked for, and again if it has died.

use std::io;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::worker_set::cause_of;
use crate::sys::fork_stamp::{self, Stamp};
use crate::sys::pidfd::{ForeignProcess, LEAVING};
use crate::sys::reserve::Late;
use crate::sys::server_program::Running;

/// How long it may take until it serves: it may have to be read from a slow disk, with all its libraries.
const STARTING: Duration = Duration::from_secs(60);

/// How long it may take even when time is up. It needs some milliseconds.
const GRACE: Duration = Duration::from_millis(300);

/// How often to look whether it is still there.
const ROUND: Duration = Duration::from_millis(10);

/// The program, as the coordinator holds it. Dropping it ends the program, and whom it has forked with it.
#[derive(Debug)]
pub(crate) struct ForkProgram {
    /// What it is told first.
    words: Vec<u64>,
    /// The process that has it. In a fork of that it is not to be used.
    by: Stamp,
    program: Mutex<(Command, Option<Running>)>,
}

impl ForkProgram {
    /// One that is not started yet.
    pub(crate) fn new(command: Command, words: Vec<u64>) -> Self {
        Self { words, by: fork_stamp::current(), program: Mutex::new((command, None)) }
    }

    /// Whether this process has it, and not one from which this one was forked.
    pub(crate) fn is_own(&self) -> bool {
        self.by.is_current()
    }

    /// Has a process forked that is told these words.
    ///
    /// # Errors
    /// If the program cannot be started, ends instead, takes too long, or makes no more processes.
    pub(crate) fn fork(&self, words: &[u64], late: Late<'_>) -> io::Result<ForeignProcess> {
        let mut program = self.lock(late)?;
        let (command, running) = &mut *program;
        if running.as_ref().is_some_and(|running| running.child().ended().is_some()) {
            *running = None;
        }
        let is_new = running.is_none();
        for is_last in if is_new { &[true][..] } else { &[false, true] } {
            if running.is_none() {
                *running = Some(Running::start(command, &self.words)?);
            }
            let Some(asked) = running else { unreachable!("started above") };
            match ask(asked, &command.get_program().display(), words, late) {
                // Also if it could not: it lives, for others.
                Ok(forked) => return forked,
                Err(error) => {
                    *running = None;
                    if *is_last || error.kind() == io::ErrorKind::TimedOut {
                        return Err(error);
                    }
                }
            }
        }
        unreachable!("the last time it returns")
    }

    fn lock(&self, late: Late<'_>) -> io::Result<MutexGuard<'_, (Command, Option<Running>)>> {
        let begun = Instant::now();
        loop {
            match self.program.try_lock() {
                Ok(program) => return Ok(program),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begun.elapsed() > GRACE && late() => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // Another crew asks, which takes a millisecond, or the time of a start.
                Err(TryLockError::WouldBlock) => std::thread::sleep(ROUND / 10),
            }
        }
    }
}

/// Asks a program. The inner error is one of whom it forked, or could not fork; after the outer one it is to be ended, for its answer
/// may still come.
fn ask(
    program: &Running,
    name: &dyn std::fmt::Display,
    words: &[u64],
    late: Late<'_>,
) -> io::Result<io::Result<ForeignProcess>> {
    let begun = Instant::now();
    program.tell(words)?;
    loop {
        // Somebody may have stopped it, or may do so now.
        program.child().resume();
        if let Some(pid) = program.answer(ROUND)? {
            return Ok(match pid {
                0 => Err(io::Error::other("the system makes no more processes")),
                pid => ForeignProcess::hold(pid as u32, program.child().pid()),
            });
        }
        // What it has closed it does before its end.
        if let Some(exit) = program.child().ended_by(Instant::now() + LEAVING / 200) {
            let cause = cause_of(exit);
            return Err(io::Error::other(format!("{name}, the program that was to fork them, {cause} before it did")));
        }
        if begun.elapsed() > GRACE && late() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if begun.elapsed() > STARTING {
            return Err(io::Error::other(format!(
                "{name}, the program that was to fork them, has not called parfork::serve() within {STARTING:?}"
            )));
        }
    }
}

impl Drop for ForkProgram {
    fn drop(&mut self) {
        if let (false, Ok((_, Some(running)))) = (self.is_own(), self.program.get_mut().map(|(c, r)| (c, r.take()))) {
            running.let_go();
        }
    }
}
