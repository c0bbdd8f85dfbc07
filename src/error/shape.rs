//! Shapes that cannot be, or do not go together.

use crate::slices::Split;

/// What is wrong with a shape, or with several.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// More bytes than there are addresses.
    #[error(
        "shape {shape:?} with elements of {element} bytes has more bytes than can be addressed (2^63). Use a smaller shape."
    )]
    TooLarge {
        /// The lengths of the axes.
        shape: Vec<usize>,
        /// Bytes of an element.
        element: usize,
    },
    /// Elements that pages of memory do not suit.
    #[error(
        "an element of type {element} has to be aligned to {align} bytes, and arrays start on a page of {page}. Use a type with a \
         smaller alignment."
    )]
    Alignment {
        /// The type of the elements.
        element: &'static str,
        /// What they have to be aligned to.
        align: usize,
        /// What arrays are.
        page: usize,
    },
    /// A new shape with more or fewer elements.
    #[error("an array of shape {from:?} cannot take the shape {to:?}. Both must have as many elements.")]
    Elements {
        /// The shape that it has.
        from: Vec<usize>,
        /// The one asked for.
        to: Vec<usize>,
    },
    /// A new type and shape with more or fewer bytes.
    #[error("an array of {from} bytes cannot become one of shape {shape:?}, which takes {to}. Use another shape.")]
    Bytes {
        /// The bytes that it has.
        from: usize,
        /// Those that would be needed.
        to: usize,
        /// The shape asked for.
        shape: Vec<usize>,
    },
    /// Cells that are not inside of the bytes that they are to lie in.
    #[error("{len} bytes from byte {at} on are not inside of an array of {bytes} bytes. Lend a part of it.")]
    Outside {
        /// Where they begin.
        at: usize,
        /// How many bytes they have.
        len: usize,
        /// How many there are.
        bytes: usize,
    },
    /// Outputs or ranges of one job that differ where they are cut.
    #[error(
        "two outputs or ranges of shapes {first:?} and {other:?} differ on axis {axis}, which the split `{split}` cuts. Make them \
         equally long there, or cut another axis."
    )]
    Outputs {
        /// The shape of the output that is cut.
        first: Vec<usize>,
        /// That of another one.
        other: Vec<usize>,
        /// Where they differ.
        axis: usize,
        /// How they are cut.
        split: Box<Split>,
    },
}
