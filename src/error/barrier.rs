//! Why a barrier cannot be crossed.

use std::time::Duration;

/// Why the workers of a job cannot meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// Not every worker has one slice.
    #[error(
        "workers can meet only if each has one slice, but {workers} workers share {slices}. Use Schedule::Static and \
         Split::rows().into_pieces({workers})."
    )]
    NotInStep {
        /// How many workers there are.
        workers: usize,
        /// How many slices there are.
        slices: usize,
    },
    /// Others did not come in time.
    #[error(
        "the workers cannot meet, because {came} of {living} came within {span:?}: {who}. Give them more time, or let them do less between \
         meetings"
    )]
    TimedOut {
        /// How many came.
        came: usize,
        /// How many have not died.
        living: usize,
        /// The time they had.
        span: Duration,
        /// Who did not come, in words.
        who: String,
    },
    /// The coordinator ended the job.
    #[error("the workers cannot meet, because the coordinator ended the job")]
    JobEnded,
    /// One will not come any more.
    #[error("the workers cannot meet, because {why}")]
    Broken {
        /// Its rank, as far as the control page can be believed.
        rank: usize,
        /// Who, and why, in words.
        why: String,
    },
}
