//! The same job run serially, on threads, or in processes.
//!
//! A job reaches an engine as a [`Work`]: body, loans, grid and board. An engine decides only who runs
//! [`Work::labour`] and at which addresses the loans are; what is dealt, run, journalled and gathered is the same code.

mod processes;
mod serial;
mod threads;
mod work;

use std::fmt;
use std::str::FromStr;

pub(crate) use work::{Orders, Work};

use crate::error::Result;
use crate::lend::Lend;
use crate::worker::Worker;

/// Who does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The calling thread alone.
    Serial,
    /// Threads of this process (rayon). No protection from each other.
    Threads,
    /// Processes forked for this job.
    #[default]
    Processes,
}

impl Engine {
    /// All engines.
    pub const ALL: [Self; 3] = [Self::Serial, Self::Threads, Self::Processes];

    pub(crate) fn run<L, R, B>(self, work: &Work<'_, L, B>, orders: &mut Orders<'_>) -> Result<()>
    where
        L: Lend + Sync,
        R: crate::Answer,
        B: Fn(&Worker<'_>, L::Part) -> R + Sync,
    {
        match self {
            Self::Serial => serial::run(work, orders),
            Self::Threads => threads::run(work, orders),
            Self::Processes => processes::run_alone(work, orders),
        }
    }
}

pub(crate) use processes::{run_alone, run_beside_threads};

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Serial => "serial",
            Self::Threads => "threads",
            Self::Processes => "processes",
        })
    }
}

/// A text that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an engine. Write processes, threads or serial.")]
pub struct EngineError(String);

/// Reads `processes`, `threads` or `serial`.
impl FromStr for Engine {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        Self::ALL.into_iter().find(|engine| engine.to_string() == text).ok_or_else(|| EngineError(text.to_owned()))
    }
}
