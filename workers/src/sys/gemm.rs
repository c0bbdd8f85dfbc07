//! One matrix product on one core, by the crate `gemm`, behind a safe function.
//!
//! The library takes raw pointers and strides in elements; an ndarray view is exactly that with the bounds proved, so
//! all that is left to check is that the three shapes fit together.
#![allow(unsafe_code)]

use ndarray::{ArrayView2, ArrayViewMut2};

/// An element type that `gemm` has a kernel for. Sealed by living in a private module: `gemm` panics on any other type.
pub trait Scalar: Copy + 'static {
    /// The additive identity.
    const ZERO: Self;
    /// The multiplicative identity.
    const ONE: Self;
}

impl Scalar for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

impl Scalar for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
}

/// Sets `out` to `a` times `b`: shapes (m, k), (k, n) and (m, n), any strides, any size zero. What `out` held is not read.
///
/// Its bits depend on the three shapes and on which strides are 1, so whoever promises the same bits for any cut must
/// call it with the same shapes and layouts; `workers::matmul` does.
///
/// # Panics
///
/// When the shapes do not fit together.
pub(crate) fn product<T: Scalar>(a: ArrayView2<T>, b: ArrayView2<T>, mut out: ArrayViewMut2<T>) {
    let ((m, k), (k_b, n)) = (a.dim(), b.dim());
    assert_eq!(k, k_b, "a has {k} columns and b has {k_b} rows");
    assert_eq!(out.dim(), (m, n), "the shape of the output of a product");

    let (a_strides, b_strides, out_strides) = (strides(&a), strides(&b), {
        let s = out.strides();
        (s[0], s[1])
    });
    // SAFETY: `gemm` reads lhs at (i, p) for i < m, p < k, rhs at (p, j) for p < k, j < n, and writes dst at (i, j) for
    // i < m, j < n, each through the pointer and strides given. ndarray guarantees that every such element of a view
    // lies in live memory that the view borrows, that `out` is borrowed exclusively and that no two of its indices name
    // one element; the shapes are compared above. T is f32 or f64 (`Scalar` has no other impl and cannot get one from
    // outside), with read_dst = false the old values are not read, and no thread is involved (Parallelism::None).
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            out_strides.1,
            out_strides.0,
            false,
            a.as_ptr(),
            a_strides.1,
            a_strides.0,
            b.as_ptr(),
            b_strides.1,
            b_strides.0,
            T::ZERO,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// The row and the column stride of a view, in elements.
fn strides<T>(view: &ArrayView2<T>) -> (isize, isize) {
    let s = view.strides();
    (s[0], s[1])
}
