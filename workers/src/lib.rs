//! Kernels: what runs inside workers.
//!
//! Each is a pure function from whole inputs to one region of the output, on ndarray views, and its wiring: a `run` that
//! lends the arrays and cuts the output as suits the kernel. It hands parameters over as plain data, so that
//! a crew can do it as well. None has unsafe code of its own. A region's bits never depend on
//! how the output is cut. To add a kernel, add a file here and a line to [`KERNELS`].
//!
//! ```
//! use parfork_workers::filter::{self, Border};
//! use parfork::{Settings, Shared};
//! let photo = Shared::from_array(&ndarray::Array3::<u8>::from_elem((40, 60, 3), 128))?;
//! let mut soft = Shared::zeros_like(&photo)?;
//! filter::run(Settings::default(), "gaussian:3".parse()?, Border::default(), &photo, &mut soft)?;
//! assert_eq!(soft.view(), photo.view());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod filter;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "../../fuzz/targets/workers.rs"]
pub mod fuzzing;
pub mod mandelbrot;
pub mod matmul;
pub mod picture;
pub mod reduce;
mod sys;
mod text_arg;

/// What a kernel is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its name in the command and in reports.
    pub name: &'static str,
    /// What it is given, computes and leaves.
    pub summary: &'static str,
}

/// Every kernel there is.
pub const KERNELS: &[Kernel] = &[
    Kernel { name: "matmul", summary: "two matrices; their product" },
    Kernel { name: "image", summary: "a picture and a filter; the filtered picture" },
    Kernel { name: "mandelbrot", summary: "a view of the complex plane; a rendering of the Mandelbrot set" },
    Kernel { name: "sum", summary: "an array; the sum of its elements" },
    Kernel { name: "mean", summary: "an array; the mean of its elements" },
    Kernel { name: "min", summary: "an array; its least element" },
    Kernel { name: "max", summary: "an array; its greatest element" },
    Kernel { name: "norm", summary: "an array; the root of the sum of its squares" },
];
