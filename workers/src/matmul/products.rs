//! Products of integers, which wrap around as NumPy's do; of booleans, which are true where any product is; and of complex numbers,
//! which are four products of floats.

use bytemuck::{Pod, cast_slice};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Ix2, Zip};
use pulp::{Simd, WithSimd};

use super::numbers::{Truth, Value};
use super::{Element, block};
use crate::simd;
use parfork::{Answers, Error, Job, Shared, Slice, Split};

/// What is multiplied here, region by region of the result.
pub(super) trait Multiply: Value {
    /// `out` = `a` `b`, of which it has the `rows` and `cols` from these on; both inputs are in C order.
    fn multiply(a: ArrayView2<Self>, b: ArrayView2<Self>, from: (usize, usize), out: ArrayViewMut2<Self>);
}

/// Columns of the second matrix that are gone through at once, and rows of it: they stay in the cache meanwhile.
const COLUMNS: usize = 512;
const ROWS: usize = 64;

/// Rows of the second matrix that are added at once.
const DEEP: usize = 4;

/// An integer, or a boolean.
trait Ring: Pod {
    const ZERO: Self;
    fn add_product(self, one: Self, other: Self) -> Self;
}

macro_rules! integers {
    ($($type:ty),+) => {$(
        impl Ring for $type {
            const ZERO: Self = 0;

            #[inline(always)]
            fn add_product(self, one: Self, other: Self) -> Self {
                self.wrapping_add(one.wrapping_mul(other))
            }
        }

        impl Multiply for $type {
            fn multiply(a: ArrayView2<Self>, b: ArrayView2<Self>, from: (usize, usize), out: ArrayViewMut2<Self>) {
                simd::arch().dispatch(Rows { a, b, from, out });
            }
        }
    )+};
}

integers!(i8, i16, i32, i64, u8, u16, u32, u64);

impl Ring for Truth {
    const ZERO: Self = Self(0);

    #[inline(always)]
    fn add_product(self, one: Self, other: Self) -> Self {
        Self(self.0 | one.0 & other.0)
    }
}

impl Multiply for Truth {
    fn multiply(a: ArrayView2<Self>, b: ArrayView2<Self>, from: (usize, usize), out: ArrayViewMut2<Self>) {
        simd::arch().dispatch(Rows { a, b, from, out });
    }
}

/// Adds rows of the second matrix, each as many times as the first one says, to rows of the result.
struct Rows<'a, T> {
    a: ArrayView2<'a, T>,
    b: ArrayView2<'a, T>,
    from: (usize, usize),
    out: ArrayViewMut2<'a, T>,
}

impl<T: Ring> WithSimd for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { a, b, from: (row, column), mut out } = self;
        out.fill(T::ZERO);
        let (k, columns) = (a.ncols(), out.ncols());
        // An axis of length 1 may have any stride; a matrix in C order is in one piece.
        let (a, b, across) = (a.to_slice().unwrap_or(&[]), b.to_slice().unwrap_or(&[]), b.ncols());
        for first in (0..columns).step_by(COLUMNS) {
            let width = COLUMNS.min(columns - first);
            for p in (0..k).step_by(ROWS) {
                for (number, mut out) in out.outer_iter_mut().enumerate() {
                    let Some(out) = out.as_slice_mut() else {
                        unreachable!("rows of an array in C order are in one piece")
                    };
                    let out = &mut out[first..][..width];
                    let factors = &a[(row + number) * k..][p..k.min(p + ROWS)];
                    let of = |p: usize| &b[p * across + column + first..][..width];
                    let (whole, rest) = factors.as_chunks::<DEEP>();
                    for (number, four) in whole.iter().enumerate() {
                        let rows: [&[T]; DEEP] = std::array::from_fn(|deep| of(p + number * DEEP + deep));
                        for (at, out) in out.iter_mut().enumerate() {
                            *out = (0..DEEP).fold(*out, |sum, deep| sum.add_product(four[deep], rows[deep][at]));
                        }
                    }
                    for (number, &factor) in rest.iter().enumerate() {
                        let row = of(p + whole.len() * DEEP + number);
                        out.iter_mut().zip(row).for_each(|(out, &cell)| *out = out.add_product(factor, cell));
                    }
                }
            }
        }
    }
}

impl Multiply for [f32; 2] {
    fn multiply(a: ArrayView2<Self>, b: ArrayView2<Self>, from: (usize, usize), out: ArrayViewMut2<Self>) {
        complex(a, b, from, out);
    }
}

impl Multiply for [f64; 2] {
    fn multiply(a: ArrayView2<Self>, b: ArrayView2<Self>, from: (usize, usize), out: ArrayViewMut2<Self>) {
        complex(a, b, from, out);
    }
}

/// (a + bi)(c + di) = (ac - bd) + (ad + bc)i, of matrices.
fn complex<T>(a: ArrayView2<[T; 2]>, b: ArrayView2<[T; 2]>, from: (usize, usize), mut out: ArrayViewMut2<[T; 2]>)
where
    T: Element + std::ops::Add<Output = T> + std::ops::Sub<Output = T>,
{
    let (rows, columns) = (from.0..from.0 + out.nrows(), from.1..from.1 + out.ncols());
    let (a, b) = (parts(&a), parts(&b));
    let product = |one: usize, other: usize| {
        let mut product = Array2::from_elem(out.dim(), T::ZERO);
        block(a[one], b[other], rows.clone(), columns.clone(), product.view_mut());
        product
    };
    let (one, other) = (product(0, 0), product(1, 1));
    let (third, fourth) = (product(0, 1), product(1, 0));
    Zip::from(&mut out).and(&one).and(&other).and(&third).and(&fourth).for_each(
        |out, &one, &other, &third, &fourth| {
            *out = [one - other, third + fourth];
        },
    );
}

/// The real and the imaginary parts of a matrix in C order.
fn parts<'a, T: Element>(matrix: &ArrayView2<'a, [T; 2]>) -> [ArrayView2<'a, T>; 2] {
    let (rows, columns) = matrix.dim();
    let flat = matrix.to_slice().unwrap_or(&[]);
    let all = ndarray::ArrayView3::from_shape((rows, columns, 2), cast_slice(flat)).expect("two for each");
    [0, 1].map(|part| all.index_axis_move(Axis(2), part))
}

/// Multiplies two matrices in C order. Unless the job says otherwise the result is cut as a product of floats is.
pub(super) fn run<T: Multiply>(
    job: Job<'_>,
    a: &Shared<T, Ix2>,
    b: &Shared<T, Ix2>,
    c: &mut Shared<T, Ix2>,
) -> Result<Answers<()>, Error> {
    let (rows, cols) = super::grid(c.shape()[0], c.shape()[1], a.shape()[1]);
    job.default_split(Split::tiles(rows, cols)).body_overwrites().lend((a, b, c)).run_with(
        (),
        |_, (), (a, b, slice): (ArrayView2<T>, ArrayView2<T>, Slice<T, Ix2>)| {
            let from = (slice.rows().start, slice.cols().start);
            T::multiply(a, b, from, slice.into_view());
        },
    )
}
