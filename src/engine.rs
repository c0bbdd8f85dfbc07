//! Which engine runs a job: the choice, as data. How each runs it is in `engines/`.

use std::fmt;
use std::str::FromStr;

/// The most workers that one job takes.
pub const MOST_WORKERS: usize = 1024;

/// Who does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// The calling thread alone.
    Serial,
    /// Threads of this process (rayon). No protection from each other.
    #[cfg(feature = "threads")]
    Threads,
    /// Processes forked for this job.
    #[default]
    Processes,
}

impl Engine {
    /// All engines.
    pub const ALL: [Self; 2 + cfg!(feature = "threads") as usize] = [
        Self::Serial,
        #[cfg(feature = "threads")]
        Self::Threads,
        Self::Processes,
    ];
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Serial => "serial",
            #[cfg(feature = "threads")]
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
