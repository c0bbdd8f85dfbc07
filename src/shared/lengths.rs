//! How many bytes an array takes, and what to do if that is too many.

use crate::error::{Error, Result, ShapeError};

/// How many bytes an array takes; also refuses what ndarray would: a product of the axes other than 0 that overflows.
pub(crate) fn byte_length(shape: &[usize], element: usize) -> Result<usize> {
    let product = |size: usize, axis: usize| size.checked_mul(axis).filter(|&bytes| isize::try_from(bytes).is_ok());
    let nonzero = shape.iter().filter(|&&axis| axis != 0).copied().try_fold(element.max(1), product);
    match nonzero {
        None => Err(ShapeError::TooLarge { shape: shape.to_vec(), element }.into()),
        Some(_) if shape.contains(&0) => Ok(0),
        Some(_) => Ok(shape.iter().product::<usize>() * element),
    }
}

/// Adds to an error for want of memory which shape would fit: as many as there is room for on the first axis.
pub(super) fn with_what_fits(mut error: Error, shape: &[usize], element: usize) -> Error {
    if let (Error::Memory { room, fits, .. }, [_, others @ ..]) = (&mut error, shape) {
        let each = others.iter().product::<usize>() * element;
        let first = (*room as usize).checked_div(each).filter(|&first| first > 0);
        *fits = first.map(|first| [&[first], others].concat());
    }
    error
}
