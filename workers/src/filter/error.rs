//! What can be wrong with a filter: each error is one sentence of what is wrong, with the numbers, and one of
//! what to do.

use super::FILTERS;

/// Why a filter cannot be read, or cannot run on a picture.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// No filter has this name.
    #[error("there is no filter '{name}'. Did you mean '{nearest}'? The filters are {}.", names())]
    UnknownFilter {
        /// The name as given.
        name: String,
        /// The filter whose name takes the fewest edits to reach.
        nearest: &'static str,
    },
    /// No border has this name.
    #[error("there is no border '{name}'. Use reflect101, replicate, constant:V (V in 8-bit levels) or wrap.")]
    UnknownBorder {
        /// The name as given.
        name: String,
    },
    /// A parameter is missing, superfluous, not a number or out of range.
    #[error("{what} {problem}. {remedy}.")]
    Parameter {
        /// The filter or border as given.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// What to give instead.
        remedy: String,
    },
    /// The picture has no pixels or no usable number of channels, or the result would be too large.
    #[error(
        "{what} cannot run on {height}x{width} pixels (height x width) of {channels} channels: {problem}. {remedy}."
    )]
    Picture {
        /// The filter.
        what: String,
        /// Rows of the picture.
        height: usize,
        /// Columns of the picture.
        width: usize,
        /// Samples in a pixel.
        channels: usize,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: String,
    },
    /// An array that the result does not go into.
    #[error("`{filters}` gives shape {needed:?}, but the result has {shape:?}. Make it {needed:?}.")]
    Result {
        /// The filters.
        filters: String,
        /// The shape that they give.
        needed: [usize; 3],
        /// The shape of the array.
        shape: Vec<usize>,
    },
}

fn names() -> String {
    let names: Vec<_> = FILTERS.iter().map(|filter| filter.name).collect();
    names.join(", ")
}
