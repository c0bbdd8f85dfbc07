//! One matrix product on one core, by the kernels of the crate `gemm`, behind a safe function. They are called directly: `gemm` itself also
//! brings those for complex numbers, which take as long to compile as the others.
//!
//! The library takes raw pointers and strides in elements; an ndarray view is exactly that with the bounds proved, so
//! all that is left to check is that the three shapes fit together.
#![allow(unsafe_code)]

use gemm_common::Parallelism;
use ndarray::{ArrayView2, ArrayViewMut2, Axis};

/// A function of the library: sizes; pointer, column stride and row stride of the output, and whether it is read; of both inputs; what the
/// output and the product are multiplied by; what is conjugated; threads.
pub type Gemm<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    T,
    bool,
    bool,
    bool,
    Parallelism,
);

/// An element type that the library has a kernel for. Sealed by living in a private module.
pub trait Scalar: Copy + 'static {
    /// The additive identity.
    const ZERO: Self;
    /// The multiplicative identity.
    const ONE: Self;

    /// The kernel for this CPU. It wants an output whose columns' elements are nearer to each other than its rows', and no stride below zero.
    fn kernel() -> Gemm<Self>;
}

impl Scalar for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn kernel() -> Gemm<Self> {
        gemm_f32::gemm::f32::get_gemm_fn()
    }
}

impl Scalar for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn kernel() -> Gemm<Self> {
        gemm_f64::gemm::f64::get_gemm_fn()
    }
}

/// Sets `out` to `a` times `b`: shapes (m, k), (k, n) and (m, n), any strides, any size zero. What `out` held is not read.
///
/// Its bits depend on the three shapes and on which strides are 1, so whoever promises the same bits for any cut must
/// call it with the same shapes and layouts; `workers::matmul` does.
///
/// # Panics
///
/// When the shapes do not fit together.
pub(crate) fn product<'v, T: Scalar>(mut a: ArrayView2<'v, T>, mut b: ArrayView2<'v, T>, mut out: ArrayViewMut2<T>) {
    let ((m, k), (k_b, n)) = (a.dim(), b.dim());
    assert_eq!(k, k_b, "a has {k} columns and b has {k_b} rows");
    assert_eq!(out.dim(), (m, n), "the shape of the output of a product");

    let (rows, columns) = (Axis(0), Axis(1));
    if out.stride_of(columns).abs() < out.stride_of(rows).abs() {
        // The transposed product.
        (a, b, out) = (b.reversed_axes(), a.reversed_axes(), out.reversed_axes());
    }
    if out.stride_of(rows) < 0 {
        out.invert_axis(rows);
        a.invert_axis(rows);
    }
    if out.stride_of(columns) < 0 {
        out.invert_axis(columns);
        b.invert_axis(columns);
    }
    if a.stride_of(columns) < 0 {
        a.invert_axis(columns);
        b.invert_axis(rows);
    }
    // SAFETY: the kernel reads lhs at (i, p) for each row i of the output and p < k, rhs at (p, j) for p < k and each column j, and
    // writes dst at (i, j), each through the pointer and strides given. ndarray guarantees that every such element of a view
    // lies in live memory that the view borrows, that `out` is borrowed exclusively and that no two of its indices name
    // one element; the shapes are compared above, and stay the same in what is turned here. With read_dst = false the old values are
    // not read, and no thread is involved (Parallelism::None).
    unsafe {
        T::kernel()(
            out.nrows(),
            out.ncols(),
            k,
            out.as_mut_ptr(),
            out.stride_of(columns),
            out.stride_of(rows),
            false,
            a.as_ptr(),
            a.stride_of(columns),
            a.stride_of(rows),
            b.as_ptr(),
            b.stride_of(columns),
            b.stride_of(rows),
            T::ZERO,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn views_may_lie_in_any_direction() {
        let turned = |view: Array2<f64>, how: usize| {
            let mut view = if how & 1 > 0 { view.t().as_standard_layout().into_owned().reversed_axes() } else { view };
            for axis in 0..2 {
                if how & (2 << axis) > 0 {
                    // The same cells, from their end.
                    view.invert_axis(Axis(axis));
                    let copy = view.as_standard_layout().into_owned();
                    view = copy;
                    view.invert_axis(Axis(axis));
                }
            }
            view
        };
        for (m, k, n) in [(5, 7, 3), (40, 33, 50), (1, 9, 1)] {
            let a = Array2::from_shape_fn((m, k), |(i, p)| (i * k + p) as f64);
            let b = Array2::from_shape_fn((k, n), |(p, j)| (p + 2 * j) as f64);
            let naive = Array2::from_shape_fn((m, n), |(i, j)| (0..k).map(|p| a[[i, p]] * b[[p, j]]).sum::<f64>());
            for how in 0..512 {
                let (a, b) = (turned(a.clone(), how & 7), turned(b.clone(), how >> 3 & 7));
                let mut out = turned(Array2::from_elem((m, n), f64::NAN), how >> 6);
                product(a.view(), b.view(), out.view_mut());
                assert_eq!(out, naive, "{m} x {k} x {n}, {how:b}");
            }
        }
    }
}
