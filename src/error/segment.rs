//! What can be the matter with a named segment.

use std::time::Duration;

/// Why a named segment cannot be made, or used now, as what follows its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentErrorKind {
    /// No segment has this name.
    #[error("there is no such segment. `parfork shm ls` lists those that there are")]
    Absent,
    /// One has this name already.
    #[error("there is a segment of this name already. Open it, take another name, or remove it (parfork shm rm)")]
    Exists,
    /// This process may not use what belongs to somebody else, or may not share with that group.
    #[error("{0}")]
    Forbidden(String),
    /// It was opened to be read.
    #[error("it was opened to be read. Open it with open_mut")]
    ReadOnly,
    /// Whoever wrote it last died, panicked or gave up in the middle.
    #[error(
        "whoever wrote it last did not finish after generation {generation}, so that a part of it may be old and a part new. \
         Write all of it anew, or take it as it is: both with Wait::accept_torn (parfork shm: --unfinished)"
    )]
    Unfinished {
        /// How often it had been written whole.
        generation: u64,
    },
    /// Others had it for as long as this process was ready to wait.
    #[error("what was waited for did not happen within {0:?}. Wait longer, or look who has it (parfork shm info)")]
    Deadline(Duration),
    /// The wait was asked to stop.
    #[error("the wait was stopped")]
    Stopped,
    /// Nobody is left who could write what is waited for.
    #[error(
        "nobody else has it attached to be written any more, so that generation {generation} stays the last. Start who is to \
         write it again, or wait for new writers with Wait::wait_for_new_writers"
    )]
    Deserted {
        /// The last generation.
        generation: u64,
    },
    /// It was removed. What is attached stays as it is.
    #[error("it was removed while it was waited for")]
    Removed,
    /// Its file is shorter than it was.
    #[error("somebody has cut its file off at {found} of {expected} bytes. Remove it and make it anew")]
    CutOff {
        /// The length of the file now.
        found: u64,
        /// What it has to be.
        expected: u64,
    },
}
