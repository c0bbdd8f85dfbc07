//! Why a job of steps cannot be.

use crate::slices::Region;

/// What is wrong with planes, or with a job of steps on them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepsError {
    /// Steps, and nothing that has any.
    #[error(
        "{steps} steps were asked for, and no Planes are lent. Lend &mut Planes, which are what a step reads and the next one writes, or \
         leave steps() out."
    )]
    NoPlanes {
        /// How many were asked for.
        steps: u32,
    },
    /// No steps.
    #[error("0 steps were asked for. Ask for 1 or more.")]
    None,
    /// A depth that no job of steps can have.
    #[error("depth {depth} cannot be kept: {why}.")]
    Depth {
        /// The depth.
        depth: u32,
        /// Why not.
        why: &'static str,
    },
    /// One slice of a job whose slices need each other.
    #[error(
        "slice {slice} cannot be run alone: in a job of steps it needs what others write. Leave that out, and run all."
    )]
    OnlySlice {
        /// Its number.
        slice: usize,
    },
    /// A setting that is not kept in steps.
    #[error("{what} cannot be kept in a job of steps: {why}. Leave it out.")]
    Setting {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// Planes whose slices would not be the same cells.
    #[error(
        "two planes of a job have slice {slice} as other cells: {} and {}. Give them the same shape, and borders that keep the \
         same cells.",
        .cells[0], .cells[1]
    )]
    Planes {
        /// A slice.
        slice: usize,
        /// Its cells in the one and in the other.
        cells: Box<[Region; 2]>,
    },
    /// Another number of axes than there are margins for.
    #[error(
        "an array with {axes} axes cannot be planes with edges for {edges} axes; there are {most} axes at most. Give one entry an axis."
    )]
    Axes {
        /// How many axes the array has.
        axes: usize,
        /// For how many there are edges.
        edges: usize,
        /// The most there can be.
        most: usize,
    },
    /// An edge that wraps to one that does not.
    #[error("one edge of axis {axis} wraps and the other does not. Give both Border::Wrap, or none.")]
    HalfARing {
        /// The axis.
        axis: usize,
    },
    /// A margin that reaches further than the array does.
    #[error(
        "a margin {margin} wide with these borders needs an axis {axis} that is {least} long, and it is {length}. Use a narrower margin, or a larger array."
    )]
    MarginTooWide {
        /// The axis.
        axis: usize,
        /// How long it is.
        length: usize,
        /// How long it has to be.
        least: usize,
        /// How wide the margin is.
        margin: usize,
    },
    /// Content of another shape.
    #[error(
        "planes of shape {planes:?} cannot have the content of an array of shape {array:?}. Give one of the same shape."
    )]
    Content {
        /// Theirs.
        planes: Vec<usize>,
        /// The array's.
        array: Vec<usize>,
    },
    /// Planes on which a job failed.
    #[error(
        "a job on these planes failed or was stopped, and some of their slices are steps ahead of others. Give them new content with \
         assign()."
    )]
    Torn,
}
