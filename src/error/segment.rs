//! What can be the matter with a named segment.

use std::time::Duration;

use crate::dtype::Dtype;

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
    /// No segment can have this name.
    #[error("{why}")]
    Name {
        /// What is wrong with it, and what may be in one.
        why: String,
    },
    /// It would be in another user's folder.
    #[error("segments are made in the folder of the user who makes them. Leave out the user")]
    OthersFolder,
    /// It is another user's, and to be removed.
    #[error("only its owner can remove it. Ask there")]
    NotOwner,
    /// A group that this user is not in.
    #[error("this user may not share with group {group} ({why}). Share with a group of yours (id)")]
    Group {
        /// Its number.
        group: u32,
        /// The system's reason.
        why: String,
    },
    /// Somebody removes its folder again and again.
    #[error("its folder was removed {times} times while it was made. Look who does that")]
    FolderRemoved {
        /// How often.
        times: usize,
    },
    /// It is another array than was asked for.
    #[error(
        "it is an array of {found} of shape {shape:?}, where one of {wanted} with {axes} axes is asked for. Open it as what it is"
    )]
    OtherArray {
        /// The type of its elements.
        found: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// The type asked for.
        wanted: Dtype,
        /// How many axes were asked for.
        axes: usize,
    },
    /// It is another array than is to go there.
    #[error(
        "it holds {found} of shape {shape:?}, and what is to go there is {new} of shape {new_shape:?}. Remove it (parfork shm rm), or \
         name another"
    )]
    DoesNotFit {
        /// The type of its elements.
        found: Dtype,
        /// Its shape.
        shape: Vec<usize>,
        /// The type of the elements that are to go there.
        new: Dtype,
        /// Their shape.
        new_shape: Vec<usize>,
    },
    /// Elements that segments do not have.
    #[error(
        "segments hold u8 to u64, i8 to i64, f32 and f64, not elements of type {dtype}. Write the result to a .npy file"
    )]
    Elements {
        /// Their type.
        dtype: Dtype,
    },
    /// More axes than its header has room for.
    #[error("segments have {most} axes at most, and shape {shape:?} has {}. Join some of them", .shape.len())]
    Axes {
        /// The most there can be.
        most: usize,
        /// The shape asked for.
        shape: Vec<usize>,
    },
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
