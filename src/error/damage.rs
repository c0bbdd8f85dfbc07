//! How it was noticed that a worker wrote over the control page.

/// What on the control page is not as those write it who have part in the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlPageDamage {
    /// A slice that was given to a worker is another's.
    #[error("slice {slice} was dealt to a worker and was not free, or no longer its own")]
    Dealt {
        /// The slice.
        slice: usize,
    },
    /// A crew's job.
    #[error("what the workers of a crew are told to do is not what the coordinator wrote")]
    Descriptor,
    /// The end of the job.
    #[error("the job was ended there by nobody who could, or all wait for what will never come")]
    End,
    /// What a worker did.
    #[error("the slices of worker {rank} are not those that it says it has done")]
    WorkDone {
        /// The worker.
        rank: usize,
    },
    /// The state of a slice, or its answer.
    #[error("the word of slice {slice}, or its answer, is not one that a worker writes")]
    Slice {
        /// The slice.
        slice: usize,
    },
    /// How many steps of a slice are done.
    #[error("the word that counts the steps of slice {slice} is not one that a worker writes")]
    Steps {
        /// The slice.
        slice: usize,
    },
    /// A slice that all have left undone.
    #[error(
        "slice {slice} is {} at the end of the job, and no worker died that could have left it so",
        .taken_by.map_or("free".to_owned(), |rank| format!("taken by worker {rank}"))
    )]
    NotDone {
        /// The slice.
        slice: usize,
        /// Who has it.
        taken_by: Option<usize>,
    },
    /// Some slices, of which nobody knows.
    #[error("slices are missing though nobody died")]
    Missing,
}
