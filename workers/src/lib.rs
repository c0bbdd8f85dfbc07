//! Kernels: what runs inside workers.
//!
//! Each is a pure function from whole inputs to one region of the output, on ndarray views, and its wiring: a `run` that
//! lends the arrays and cuts the output as suits the kernel. It hands parameters over as plain data, so that
//! a crew can do it as well. None has unsafe code of its own. A region's bits never depend on
//! how the output is cut.
//!
//! To add a kernel, add a file here, with a [`Kernel`] in it, and a line to [`KERNELS`]: the command, `parfork scale`, `parfork plan
//! --cost`, `--verify`, help, manual and completions have it then. [`transpose`] is one file to begin from. A kernel says what it is
//! given as plain data ([`Arg`](kernel::Arg)); opens that, or makes up inputs of a size, as a [`Task`](kernel::Task); and that makes
//! room for its result, runs its jobs, and may have a naive reference.
//!
//! ```
//! use parfork_workers::filter::{self, Border};
//! use parfork::{Job, Shared};
//! let photo = Shared::from_array(&ndarray::Array3::<u8>::from_elem((40, 60, 3), 128))?;
//! let mut soft = Shared::zeros_like(&photo)?;
//! filter::run(Job::default(), "gaussian:3".parse()?, Border::default(), &photo, &mut soft)?;
//! assert_eq!(soft.view(), photo.view());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bands;
mod film;
pub mod filter;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
#[path = "../../fuzz/targets/workers.rs"]
pub mod fuzzing;
pub mod kernel;
pub mod life;
pub mod mandelbrot;
pub mod matmul;
pub mod pi;
pub mod picture;
pub mod reduce;
#[cfg(test)]
#[path = "../../tests/support/sampled.rs"]
mod sampled;
pub mod scan;
pub mod simd;
pub mod sort;
pub mod stencil;
mod sys;
mod text_arg;
pub mod transpose;

use kernel::Kernel;
use reduce::Op;

/// Every kernel there is.
pub const KERNELS: &[&dyn Kernel] = &[
    &matmul::Matmul,
    &filter::Image,
    &mandelbrot::Mandelbrot,
    &transpose::Transpose,
    &stencil::Stencil,
    &life::Life,
    &sort::Sort,
    &pi::Pi,
    &scan::Scan,
    &reduce::Reduction(Op::Sum),
    &reduce::Reduction(Op::Mean),
    &reduce::Reduction(Op::Min),
    &reduce::Reduction(Op::Max),
    &reduce::Reduction(Op::Norm),
];

/// The kernel of this name, if there is one.
pub fn kernel(name: &str) -> Option<&'static dyn Kernel> {
    KERNELS.iter().copied().find(|kernel| kernel.name() == name)
}
