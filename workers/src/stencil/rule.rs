//! What a step makes of a cell.

use std::path::PathBuf;

use ndarray::{ArrayD, IxDyn};
use parfork::formats::npy::ArrayFile;
use parfork::{Dtype, Element, Error, Result};

use crate::kernel::KernelError;

/// What a step makes of a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// The cell and this share of what flows to it: the sum of its neighbours along the axes, less as many times the cell.
    Heat(f64),
    /// The sum of the cells around it, each times the weight that lies there when the middle of the weights lies on the cell: what
    /// `scipy.ndimage.correlate` computes. Odd sides.
    Weights(ArrayD<f64>),
}

/// Why there is no such stencil.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StencilError {
    /// A share of heat that is no number.
    #[error(
        "`heat:{text}` is no share of heat that flows. Write a finite number, as in heat:0.25, which suits two axes."
    )]
    Heat {
        /// What was written.
        text: String,
    },
    /// Weights without a middle.
    #[error(
        "weights of shape {shape:?} have no cell in the middle, or are none. Give each axis an odd length, with zeros if need be."
    )]
    Even {
        /// Their shape.
        shape: Vec<usize>,
    },
    /// Weights with other axes than the array.
    #[error("weights with {weights} axes do not go over an array with {array}. Reshape one of them.")]
    Axes {
        /// How many the weights have.
        weights: usize,
        /// How many the array has.
        array: usize,
    },
    /// An array that has none of the axes that there are loops for.
    #[error("an array with {axes} axes is nothing for a stencil here. Give one with 1, 2 or 3.")]
    Array {
        /// How many it has.
        axes: usize,
    },
    /// Elements that cannot be cells or weights.
    #[error(
        "{} has elements {dtype}, and a stencil takes f32 and f64. Convert it with NumPy: a.astype('f8').", .path.display()
    )]
    Dtype {
        /// The file.
        path: PathBuf,
        /// Their type.
        dtype: Dtype,
    },
    /// Pictures of what is none.
    #[error("there are pictures of arrays with 2 axes, and this one has {axes}. Leave --frames out.")]
    Film {
        /// How many it has.
        axes: usize,
    },
    /// A cell that never comes to rest.
    #[error(
        "a cell is NaN after {steps} steps, or moved from one infinity to another, and never comes to rest: --until cannot be kept. \
         Look at the input; heat:A is stable up to 0.5, 0.25 and 0.166 for 1, 2 and 3 axes."
    )]
    NaN {
        /// How many were done.
        steps: u32,
    },
}

impl Rule {
    /// What `heat:A` says, or the array in the file of this name.
    pub(super) fn of(text: &str) -> Result<Self, KernelError> {
        let Some(share) = text.strip_prefix("heat:") else { return Self::of_file(text) };
        match share.parse() {
            Ok(number) if f64::is_finite(number) => Ok(Self::Heat(number)),
            _ => Err(KernelError::arguments(StencilError::Heat { text: share.to_owned() })),
        }
    }

    fn of_file(path: &str) -> Result<Self, KernelError> {
        let file = ArrayFile::open(path)?;
        let dtype = file.header().dtype;
        let weights = match (dtype.kind(), dtype.size()) {
            (parfork::DtypeKind::Float, 8) => file.load::<f64, IxDyn>()?.view().to_owned(),
            (parfork::DtypeKind::Float, 4) => file.load::<f32, IxDyn>()?.view().mapv(f64::from),
            _ => return Err(KernelError::input(StencilError::Dtype { path: path.into(), dtype })),
        };
        Ok(Self::Weights(weights))
    }

    /// The weights for an array of so many axes; of heat the share, as an array of one.
    pub(super) fn weights(&self, axes: usize) -> Result<ArrayD<f64>> {
        if !(1..=3).contains(&axes) {
            return Err(Error::kernel(StencilError::Array { axes }));
        }
        match self {
            Self::Heat(share) => Ok(ArrayD::from_elem(vec![1; axes], *share)),
            Self::Weights(weights) if weights.ndim() != axes => {
                Err(Error::kernel(StencilError::Axes { weights: weights.ndim(), array: axes }))
            }
            Self::Weights(weights) if weights.shape().iter().any(|length| length % 2 == 0) => {
                Err(Error::kernel(StencilError::Even { shape: weights.shape().to_vec() }))
            }
            Self::Weights(weights) => Ok(weights.clone()),
        }
    }

    /// How far it looks along each axis.
    pub(super) fn margins(&self, axes: usize) -> Vec<usize> {
        match self {
            Self::Heat(_) => vec![1; axes],
            Self::Weights(weights) => weights.shape().iter().map(|length| length / 2).collect(),
        }
    }
}

/// Whether an array can be stepped on: its elements and axes.
pub(super) fn check_input(path: &std::path::Path, dtype: Dtype, axes: usize) -> Result<(), KernelError> {
    if ![f32::DTYPE, f64::DTYPE].iter().any(|known| (known.kind(), known.size()) == (dtype.kind(), dtype.size())) {
        return Err(KernelError::input(StencilError::Dtype { path: path.to_owned(), dtype }));
    }
    match axes {
        1..=3 => Ok(()),
        _ => Err(KernelError::input(StencilError::Array { axes })),
    }
}
