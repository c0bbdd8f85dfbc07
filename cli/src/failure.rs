//! How the command fails: an exit code, what is wrong, what to do.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use parfork::{CancelToken, Death, Error, ExecError, SegmentErrorKind};

use crate::replay;

/// Why the command ends without having done what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The job failed: exit code 1.
    Job(String),
    /// Wrong usage: exit code 2, as for what clap finds.
    Usage(String),
    /// Bad input: exit code 3.
    Input(String),
    /// Asked to stop: exit code 128 + signal, as shells count.
    Stopped {
        /// Which signal it was.
        signal: i32,
        /// What was not done.
        text: String,
    },
    /// What was asked cannot be told from the runs there are: exit code 4.
    Unclear(String),
    /// What was wrong has been said, by a program that was run or of each file; this is the exit code.
    Left(u8),
    /// Nobody reads the output any more; there is nobody to tell, and nothing is wrong.
    Unheard,
}

impl Failure {
    /// A job that failed; `what` is a sentence of what is wrong and one of what to do.
    pub fn job(what: impl Display) -> Self {
        Self::Job(what.to_string())
    }

    /// As [`job`](Self::job), for the command line.
    pub fn usage(what: impl Display) -> Self {
        Self::Usage(what.to_string())
    }

    /// As [`job`](Self::job), for input files.
    pub fn input(what: impl Display) -> Self {
        Self::Input(what.to_string())
    }

    /// Fails if a signal has asked to stop while no job ran that would have looked at it.
    pub fn if_stopped() -> Result<(), Self> {
        match CancelToken::at_signals()?.signal() {
            Some(signal) => {
                Err(Self::Stopped { signal, text: "stopped before the result was written. Run it again.".to_owned() })
            }
            None => Ok(()),
        }
    }

    /// A job whose worker died, with the command that runs its slice alone; of a chain of filters as far as it came.
    pub fn died(death: &Death, until: Option<usize>) -> Self {
        let again = death.slice.map(|slice| replay::command(std::env::args_os(), slice.0.index(), until));
        Self::Job(match again {
            Some(command) => format!("{death:#} To run that slice alone:\n  {command}"),
            None => format!("{death:#}"),
        })
    }

    /// The output could not be written: a request to stop is still one, and a slice on which a worker died is none that the
    /// command could run alone.
    pub fn filing(error: Error) -> Self {
        match error {
            Error::Stopped { .. } => error.into(),
            Error::System { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => Self::Unheard,
            other => Self::job(other),
        }
    }

    /// Its exit code, and what is wrong and what to do; no words where nothing is left to say.
    pub fn into_parts(self) -> (u8, String) {
        match self {
            Self::Job(text) => (1, text),
            Self::Usage(text) => (2, text),
            Self::Input(text) => (3, text),
            Self::Unclear(text) => (4, text),
            Self::Stopped { signal, text } => (128 + signal as u8, text),
            Self::Left(status) => (status, String::new()),
            Self::Unheard => (0, String::new()),
        }
    }

    /// Prints what is wrong and what to do, on stderr; the exit code.
    pub fn tell(self) -> ExitCode {
        let (code, text) = self.into_parts();
        if !text.is_empty() {
            // Not eprintln, which panics where stderr was a terminal that is closed by now.
            let _ = writeln!(io::stderr(), "parfork: {text}");
        }
        ExitCode::from(code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // In the words of flags, where the library speaks of its own.
            Error::Engine { what, engine } => Self::usage(format!(
                "{what} needs workers that are processes, and --engine is {engine}. Leave one of the two out."
            )),
            Error::ThreadsRunning { threads } => Self::job(format!(
                "this process has {threads} threads, and a worker forked now could find a lock held for ever by one of them. Find out what \
                 has started them (LD_PRELOAD), or use --engine threads."
            )),
            Error::RetriesForbidden { .. } => Self::usage(
                "what a worker leaves that dies cannot be done again here, for it may read what it writes. Leave out --retries.",
            ),
            Error::Split(_) | Error::Workers { .. } => Self::usage(error),
            Error::Stopped { signal: Some(signal), .. } => Self::Stopped { signal, text: error.to_string() },
            Error::File { .. } | Error::Shape(_) | Error::Kernel(_) | Error::TooManySlices { .. } => Self::input(error),
            Error::Exec(
                ExecError::NoArrays
                | ExecError::SameVariable { .. }
                | ExecError::Elements { .. }
                | ExecError::OtherElements { .. },
            ) => Self::input(error),
            Error::NoSuchSlice { .. } => Self::usage(error),
            Error::Segment {
                kind:
                    SegmentErrorKind::Absent
                    | SegmentErrorKind::Exists
                    | SegmentErrorKind::Name { .. }
                    | SegmentErrorKind::OthersFolder
                    | SegmentErrorKind::NotOwner
                    | SegmentErrorKind::Group { .. }
                    | SegmentErrorKind::FolderRemoved { .. }
                    | SegmentErrorKind::OtherArray { .. }
                    | SegmentErrorKind::DoesNotFit { .. }
                    | SegmentErrorKind::Elements { .. }
                    | SegmentErrorKind::Axes { .. },
                ..
            } => Self::input(error),
            Error::WorkerDied(death) => Self::died(&death, None),
            _ => Self::job(error),
        }
    }
}

/// What writing to stdout may fail with.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unheard,
            _ => Self::job(format!("writing to standard output failed ({error}). Look at where it goes.")),
        }
    }
}
