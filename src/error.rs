//! What can go wrong, each with the numbers and what to do.

mod advice;
mod barrier;
mod carry;
mod cause;
mod crew;
mod damage;
mod death;
mod exec;
mod fault;
mod how_far;
mod manifest;
mod segment;
mod shape;
mod signal;
mod steps;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::engine::Engine;
use crate::slices::SplitError;
use crate::sys::limits;
pub use crate::sys::pidfd::{Obstacle, Remaining};
pub(crate) use advice::{advice, limit};
pub(crate) use how_far::HowFar;
use signal::name_of;

pub use barrier::{Absent, Attendance, BarrierError};
pub use carry::CarryError;
pub use cause::Cause;
pub use crew::CrewError;
pub use damage::ControlPageDamage;
pub use death::{BodyFailure, Death, SliceName};
pub use exec::ExecError;
pub use fault::{AccessKind, ArrayName, CellOwner, Fault, FaultLocation};
#[cfg(feature = "exec")]
pub(crate) use manifest::shown;
pub use manifest::{JsonError, ManifestError, ProtocolError};
pub use segment::SegmentErrorKind;
pub use shape::ShapeError;
pub use steps::StepsError;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed, where, and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The array cannot be cut as asked.
    #[error(transparent)]
    Split(#[from] SplitError),

    /// A safe fork needs a process with one thread.
    #[error(
        "this process has {threads} threads, and a worker forked now could find a lock held for ever by one of them. \
         Fork before starting threads, have a crew's workers forked by a program (Crew::in_program), use Engine::Threads, or read the \
         contract of Job::run_in_threaded_process."
    )]
    ThreadsRunning {
        /// How many threads there are.
        threads: usize,
    },

    /// More workers than a job can have, or none.
    #[error("{asked} workers were asked for, and a job takes 1 to {most}. Ask for a number in between.")]
    Workers {
        /// How many were asked for.
        asked: usize,
        /// The most there can be.
        most: usize,
    },

    /// The one slice to be run is not there.
    #[error("slice {slice} does not exist: the job has {slices}, numbered from 0. Give a smaller number.")]
    NoSuchSlice {
        /// Its number.
        slice: usize,
        /// How many there are.
        slices: usize,
    },

    /// Children of this process would be in another PID namespace than it is.
    #[error(
        "workers would be born into a PID namespace that this process is not in (unshare --pid), where the end of the first ends all \
         others. Start it in that namespace: unshare --pid --fork."
    )]
    ChildrenApart,

    /// The system made fewer processes than asked for.
    #[error(
        "the system made only {started} of {asked} worker processes ({source}{}). {}.",
        .limit.filter(|_| .source.raw_os_error() == Some(libc::EAGAIN))
            .map(|limit| format!(", the limit of processes for this user is {limit}")).unwrap_or_default(),
        match .source.raw_os_error() {
            Some(libc::EAGAIN) | None => "Ask for fewer workers or raise the limit".to_owned(),
            _ => advice(.source),
        }
    )]
    Fork {
        /// How many were made (and ended again).
        started: usize,
        /// How many were asked for.
        asked: usize,
        /// The limit of processes for this user (RLIMIT_NPROC), if there is one.
        limit: Option<u64>,
        /// The system's reason.
        source: io::Error,
    },

    /// Too little memory for an array; found out before any of it was used.
    #[error(
        "{what} needs {need} bytes, but {by} leaves {room}. {}, use a smaller element type, or free memory.",
        .fits.as_ref().map_or("Use a smaller array".to_owned(), |shape| format!("Use a shape of {shape:?} at most"))
    )]
    Memory {
        /// What needs it.
        what: String,
        /// Bytes needed.
        need: u64,
        /// Bytes there are.
        room: u64,
        /// What limits it.
        by: &'static str,
        /// The shape with the same axes but the first that would fit, if one would.
        fits: Option<Vec<usize>>,
    },

    /// A shape that cannot be, or shapes that do not go together.
    #[error(transparent)]
    Shape(#[from] ShapeError),

    /// Planes that cannot be, or a job of steps that cannot.
    #[error(transparent)]
    Steps(#[from] StepsError),

    /// What a kernel, of this project's or a user's, has against its input: an error of its own, to be downcast.
    #[error(transparent)]
    Kernel(Box<dyn std::error::Error + Send + Sync>),

    /// More slices, answers and workers than the page of control words has room for.
    #[error(
        "the table of {slices} slices with answers of {answer} bytes each, worked on by {workers} workers, does not fit the {room} \
         bytes that a control page has{}. Cut into fewer slices, or write results to an array instead of returning them.",
        if *.limited { " under this process's limit of file sizes (ulimit -f)" } else { "" }
    )]
    TooManySlices {
        /// How many slices there are.
        slices: usize,
        /// Bytes of each answer.
        answer: usize,
        /// How many workers there are.
        workers: usize,
        /// Bytes that there are.
        room: usize,
        /// Whether that is for a limit of this process.
        limited: bool,
    },

    /// A worker ended before its work was done.
    #[error(transparent)]
    WorkerDied(#[from] Box<Death>),

    /// A body returned an error.
    #[error(transparent)]
    BodyFailed(#[from] Box<BodyFailure>),

    /// The job took longer than it was given.
    #[error(
        "the job was ended after its deadline of {deadline:?} with {} done. Give it more time, or more workers.",
        HowFar { done: *.done, slices: *.slices, steps: *.steps }
    )]
    Deadline {
        /// The time it was given.
        deadline: Duration,
        /// Slices done by then; in a job of [steps](crate::Job::steps), steps of slices.
        done: usize,
        /// Slices there are.
        slices: usize,
        /// How many steps each has; 0 in a job without.
        steps: u32,
    },

    /// The job was asked to stop.
    #[error("the job was stopped{} with {} done. Run it again when it may take its time.",
        .signal.map(|signal| format!(" by {}", name_of(signal))).unwrap_or_default(),
        HowFar { done: *.done, slices: *.slices, steps: *.steps })]
    Stopped {
        /// The signal that asked for it, if it was one.
        signal: Option<i32>,
        /// Slices done by then; in a job of [steps](crate::Job::steps), steps of slices.
        done: usize,
        /// Slices there are.
        slices: usize,
        /// How many steps each has; 0 in a job without.
        steps: u32,
    },

    /// Something between a program and `parfork exec` that is not as it should be.
    #[error(transparent)]
    Exec(#[from] ExecError),

    /// Something that a crew cannot do.
    #[error(transparent)]
    Crew(#[from] CrewError),

    /// Something that a fork of its owner has only a copy of.
    #[error(
        "{what} is the property of the process that this one was forked from: what a body has around it are copies, and there is no \
         array, lock or worker behind them. Lend it to the job, or make one here."
    )]
    NotOwner {
        /// What was to be used.
        what: &'static str,
    },

    /// A setting that this engine cannot keep.
    #[error(
        "{what} needs workers that are processes, and the engine is {engine}. Use Engine::Processes, or leave it out."
    )]
    Engine {
        /// What was asked for.
        what: &'static str,
        /// The engine that was chosen.
        engine: Engine,
    },

    /// Retries of a job that may read its outputs.
    #[error(
        "with {retries} retries a slice may be worked on again after a worker died in the middle of it. If the body writes \
         every cell before it reads it, say so with body_overwrites(); otherwise use restore_outputs(), or retries(0)."
    )]
    RetriesForbidden {
        /// How many were asked for.
        retries: u32,
    },

    /// Processes of the job that this one cannot end, or that do not end. They may still write to what was lent.
    #[error("{}{}.", .error.as_ref().map(|error| format!("{error} And ")).unwrap_or_default(), several(.processes))]
    Remaining {
        /// Which, and why.
        processes: Vec<Remaining>,
        /// What else went wrong with the job.
        error: Option<Box<Self>>,
    },

    /// A sandbox that this kernel cannot make as it is asked for.
    #[error(
        "a strict sandbox needs {missing}, which this kernel, or the container, lacks. Use a kernel that has it, or a sandbox that is \
         not strict."
    )]
    Sandbox {
        /// What there is not.
        missing: &'static str,
    },

    /// The words that coordinator and workers share were written over, so that nobody knows what was done.
    #[error(
        "a worker wrote outside of its slice, over the control page: {what}. What this job has done cannot be trusted. Look for unsafe \
         or foreign code in the body that writes where it should not; with guard(true) (--guard) the first stray write to a lent array \
         ends its worker."
    )]
    ControlPageDamaged {
        /// How that was noticed.
        what: ControlPageDamage,
    },

    /// A barrier that a body waits at cannot be crossed.
    #[error(transparent)]
    Barrier(#[from] BarrierError),

    /// What a slice gets from those before it, or hands on, cannot be.
    #[error(transparent)]
    Carry(#[from] CarryError),

    /// A named segment that cannot be had, or not now.
    #[error("segment {name}: {kind}.")]
    Segment {
        /// Its name.
        name: String,
        /// What is the matter.
        kind: SegmentErrorKind,
    },

    /// A file that is not what it should be.
    #[error("{}: {what}. {}.", .path.display(), sentence(.remedy))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do, as half a sentence.
        remedy: String,
    },

    /// The system refused something that it normally does.
    #[error(
        "the system refused to {doing}: {source}. {}.", advice(.source)
    )]
    System {
        /// What was to be done.
        doing: &'static str,
        /// Its reason.
        source: io::Error,
    },
}

/// One after the other.
fn several(all: &[impl fmt::Display]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Begins with a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl Error {
    /// A kernel's own error.
    pub fn kernel(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Kernel(error.into())
    }

    /// The system made only `started` of `asked` processes, by default for want of more.
    pub(crate) fn too_few_processes(started: usize, asked: usize, source: Option<io::Error>) -> Self {
        let source = source.unwrap_or_else(|| io::Error::from_raw_os_error(libc::EAGAIN));
        Self::Fork { started, asked, limit: limits::process_limit(), source }
    }

    /// For `map_err`: what was being done when the system said no.
    pub(crate) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }
}
