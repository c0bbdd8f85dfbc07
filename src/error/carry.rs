//! Why a slice gets nothing from those before it, or hands nothing on.

use crate::slices::Schedule;

/// Why a body cannot [carry](crate::Worker::carry).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CarryError {
    /// Slices are not dealt one by one.
    #[error(
        "slices can hand on to the next only if they are dealt one by one, in order, and the schedule is {schedule}. Use \
         Schedule::DYNAMIC, which is the default."
    )]
    NotInOrder {
        /// How they are.
        schedule: Schedule,
    },
    /// A job of steps, where slices wait for their neighbours.
    #[error("in a job of steps slices hand nothing on to the next: they read what others wrote in the step before")]
    InSteps,
    /// One slice of a job.
    #[error("slice {slice} is run alone, without those that would hand on to it. Leave only_slice out, and run all.")]
    OnlySlice {
        /// Its number.
        slice: usize,
    },
    /// A body that carries again.
    #[error(
        "the body has called carry() twice for slice {slice}. Call it once, with all that the next slice is to know."
    )]
    Twice {
        /// Its number.
        slice: usize,
    },
    /// A slice that has handed nothing on.
    #[error(
        "slice {slice} is done and has handed nothing on to the next one. The body has to call carry() for every slice, with values of \
         the same type."
    )]
    Missing {
        /// Its number.
        slice: usize,
    },
    /// A second try that came to another value.
    #[error(
        "slice {slice} was tried again and hands on another value than the first time, which others have gone on with. What a body \
         hands on must depend on its slice and on what it was given alone."
    )]
    Changed {
        /// Its number.
        slice: usize,
    },
    /// It is to be done again later.
    #[error(
        "slice {slice} is called back, because a worker died that had one before it. Return: it is done again after that."
    )]
    CalledBack {
        /// Its number.
        slice: usize,
    },
    /// The job is over.
    #[error("nothing is handed on any more, because the job was ended")]
    JobEnded,
}
