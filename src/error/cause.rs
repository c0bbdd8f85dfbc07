//! What ends workers, in words, and what to do about it.

use std::fmt;
use std::time::Duration;

use super::fault::Fault;
use super::signal::{in_words, name_of};

/// What ended a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The body panicked.
    Panicked {
        /// The panic's message.
        message: String,
        /// `file:line:column`; empty if unknown.
        location: String,
    },
    /// The process left by itself, through `exit` or the like.
    Exited {
        /// The status it left with.
        status: i32,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// A fault ended it: an access to memory, or an instruction, that could not be.
    Faulted(Box<Fault>),
    /// The kernel ended it, because memory was short.
    OutOfMemory {
        /// What the memory cgroup of this process may use, in bytes; `None` if it has no limit, so that the machine was short.
        limit: Option<u64>,
    },
    /// It aborted itself, in a job that limits the memory of workers: mostly because an allocation beyond the limit failed.
    AbortedWithin {
        /// How many bytes it may have added.
        limit: u64,
    },
    /// The program that it watched over ended before its slice was done; see [`exec`](crate::exec).
    Program {
        /// The program's name.
        program: String,
        /// Its process id.
        pid: u32,
        /// Whether it had read what it was to do by then. One that has not is blamed on no slice: it could not begin.
        began: bool,
        /// What ended it.
        cause: Box<Cause>,
    },
    /// It took too long for one slice, or stood still between slices, and was killed for that.
    Stalled {
        /// How long a slice may take.
        limit: Duration,
        /// What it was doing when it was killed.
        state: &'static str,
    },
    /// It made a system call that its [sandbox](crate::Sandbox) forbids.
    Forbidden {
        /// What the call is called; `None` if the kernel could not tell (before Linux 5.0, and in some containers).
        call: Option<String>,
    },
    /// It was killed because the process that had made it (which replaces dead workers) was.
    ForkServerDied,
    /// It is gone and somebody else in this program took its status.
    Unknown,
}

impl Cause {
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Panicked { .. } => "Mend the body, which panics on this slice",
            Self::Exited { .. } => "Let the body return instead of ending the process",
            Self::Signalled { signal: libc::SIGKILL } => "Find out who sent SIGKILL and run again",
            Self::Faulted(fault) => fault.remedy(),
            Self::OutOfMemory { limit: Some(_) } => "Use fewer workers or smaller arrays, or raise the limit",
            Self::OutOfMemory { limit: None } => "Use fewer workers or smaller arrays, or free memory",
            Self::Signalled { signal: libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT } => {
                "Somebody asked it to end; run again"
            }
            Self::Signalled { .. } => {
                "Look for unsafe or foreign code in the body that touches memory it was not given"
            }
            Self::AbortedWithin { .. } => "Give workers more memory (memory_limit, --mem-limit) if that was too little",
            Self::Program { cause, .. } => match **cause {
                Self::Exited { status: 127 } => {
                    "127 is what shells say of a command that is not there: look for its name"
                }
                Self::Exited { status: 126 } => "126 is what shells say of a command that may not be executed",
                Self::Exited { status: 0 } => {
                    "A program answers `done` and stays until its standard input ends; one that does not know of slices runs with --each"
                }
                Self::Exited { .. } => "Look at what the program wrote on standard error",
                ref cause => cause.remedy(),
            },
            Self::Stalled { .. } => "Look for what the body waits for on this slice, or give slices more time",
            Self::Forbidden { .. } => "Do it before the job or after it, or leave the sandbox out",
            Self::ForkServerDied => "Find out who killed it and run again",
            Self::Unknown => "Let this program's SIGCHLD handler leave parfork's children alone",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked { message, location } if location.is_empty() => write!(f, "panicked: {message}"),
            Self::Panicked { message, location } => write!(f, "panicked at {location}: {message}"),
            Self::Exited { status } => write!(f, "exited with status {status}"),
            Self::Signalled { signal } => {
                write!(f, "was ended by signal {signal} ({}{})", name_of(*signal), in_words(*signal))
            }
            Self::Faulted(fault) => {
                write!(f, "was ended by signal {} ({}: {fault})", fault.signal, name_of(fault.signal))
            }
            Self::OutOfMemory { limit } => {
                write!(f, "was ended by signal 9 (SIGKILL: the kernel killed it for want of memory: ")?;
                match limit {
                    Some(limit) => write!(f, "the memory cgroup is limited to {limit} bytes)"),
                    None => write!(f, "the machine had none left)"),
                }
            }
            Self::AbortedWithin { limit } => {
                write!(
                    f,
                    "was ended by signal 6 (SIGABRT: it aborted itself, as programs do that get no more memory; it may have "
                )?;
                write!(f, "{limit} bytes beyond what it began with)")
            }
            Self::Program { program, pid, began, cause } => {
                let when = if *began { "" } else { " before it had read what it was to do" };
                write!(f, "lost its program `{program}` (pid {pid}), which {cause}{when},")
            }
            Self::Stalled { limit, state } => {
                write!(f, "kept the job waiting for longer than {limit:?} and was killed; it was {state}")
            }
            Self::Forbidden { call: Some(call) } => {
                write!(f, "was killed before it could make the system call {call}, which its sandbox forbids")
            }
            Self::Forbidden { call: None } => {
                write!(
                    f,
                    "was ended by signal 31 (SIGSYS: it made a system call that its sandbox forbids; which one, this kernel does not \
                     tell)"
                )
            }
            Self::ForkServerDied => write!(f, "was killed because the fork server that had made it was"),
            Self::Unknown => write!(f, "ended in a way that somebody else was told of"),
        }
    }
}
