//! Matrix product C = A B, one region of C at a time.
//!
//! The bits that a fast product leaves depend on the shape it is asked for (edge tiles, shortcuts for narrow matrices),
//! so C is computed on a [`grid`] of blocks that the whole product's shape alone decides, each block always by the same
//! call of `gemm`. A block that lies only partly in the region asked for is computed aside and the part is copied: cut C
//! along the grid and nothing is computed twice.

mod kernel;
mod numbers;
mod products;

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Ix2, s};

use crate::sys::gemm;
pub use kernel::{Matmul, MatmulInputError};
use parfork::{Answers, Error, Input, Job, Shared, Slice, Split};

/// Matrices that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a {}x{} matrix times a {}x{} matrix does not give one of shape {c:?}. Let the first have as many columns as the second has rows, and \
     C the rows of the first and the columns of the second.",
    .a[0], .a[1], .b[0], .b[1]
)]
pub struct MatmulError {
    /// Rows and columns of the first.
    pub a: [usize; 2],
    /// Of the second.
    pub b: [usize; 2],
    /// The shape of the result.
    pub c: Vec<usize>,
}

/// The element types of a product: `f32` and `f64`. Sealed.
pub trait Element: gemm::Scalar + parfork::Element + Into<f64> + Send + Sync {
    /// The distance of 1 to the next number.
    const EPSILON: f64;
}

impl Element for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
}

impl Element for f64 {
    const EPSILON: f64 = f64::EPSILON;
}

/// Block shapes, best first. `gemm` packs the block's columns of B once per block and reads A in place, so tall blocks are cheap
/// and low ones are not. Against one call for the whole of C, in CPU time (n = 1024 and 2048, both types): 1024 x 512 costs
/// nothing, 1024 x 256 at most 2 %, 512 x 256 and 512 x 128 up to 7 %, 256 x 128 to 10 %, 128 x 1024 to 20 %.
const SHAPES: [(usize, usize); 6] = [(1024, 512), (1024, 256), (512, 256), (512, 128), (256, 128), (256, 64)];

/// How many blocks a product should have, so that 2 to 16 workers can share it.
const ENOUGH: usize = 16;

/// The grid of blocks on which the product of an `m` x `k` and a `k` x `n` matrix is computed: (rows, columns) of a block;
/// block (i, j) starts at row i * rows, column j * columns, and the last ones are cut off by the edge of C.
///
/// Both are at least 1. A job that cuts C at multiples of them computes each block once; any other cut costs the blocks
/// it goes through once more per side, and gives the same bits.
///
/// ```
/// let (rows, cols) = parfork_workers::matmul::grid(2048, 2048, 2048);
/// assert!(2048_usize.div_ceil(rows) * 2048_usize.div_ceil(cols) >= 16);
/// ```
pub fn grid(m: usize, n: usize, _k: usize) -> (usize, usize) {
    let blocks = |&(rows, cols): &(usize, usize)| m.div_ceil(rows).saturating_mul(n.div_ceil(cols));
    SHAPES.into_iter().find(|shape| blocks(shape) >= ENOUGH).unwrap_or(SHAPES[SHAPES.len() - 1])
}

/// Computes C\[`rows`, `cols`\] of C = A B into `out`: the same bits for an element in whatever region it is asked for.
///
/// `a` is (m, k), `b` is (k, n), `out` is (length of `rows`, length of `cols`); any strides (C or Fortran order, reversed,
/// every other row), though an `out` in C order saves a copy. Sizes may be 0: with k = 0 the product is zeros. NaN and
/// infinity pass through. The old values of `out` are not read.
///
/// # Panics
///
/// When the shapes do not fit together or the region is not inside C.
///
/// ```
/// use ndarray::{Array2, array};
/// let (a, b) = (array![[1.0, 2.0], [3.0, 4.0]], array![[0.0, 1.0], [1.0, 0.0]]);
/// let mut right = Array2::zeros((2, 1));
/// parfork_workers::matmul::block(a.view(), b.view(), 0..2, 1..2, right.view_mut());
/// assert_eq!(right, array![[1.0], [3.0]]);
/// ```
pub fn block<T: Element>(
    a: ArrayView2<T>,
    b: ArrayView2<T>,
    rows: Range<usize>,
    cols: Range<usize>,
    mut out: ArrayViewMut2<T>,
) {
    let ((m, k), n) = (a.dim(), b.ncols());
    assert_eq!(k, b.nrows(), "A has {k} columns and B has {} rows", b.nrows());
    assert_eq!(out.dim(), (rows.len(), cols.len()), "the shape of the region's output");
    if rows.is_empty() || cols.is_empty() {
        return;
    }
    assert!(rows.end <= m && cols.end <= n, "region {rows:?}, {cols:?} of a {m} x {n} product");

    let (block_rows, block_cols) = grid(m, n, k);
    for whole_rows in blocks_touching(&rows, block_rows, m) {
        for whole_cols in blocks_touching(&cols, block_cols, n) {
            let (a, b) = (a.slice(s![whole_rows.clone(), ..]), b.slice(s![.., whole_cols.clone()]));
            let (part_rows, part_cols) = (overlap(&whole_rows, &rows), overlap(&whole_cols, &cols));
            let mut part = out.slice_mut(s![from(&part_rows, rows.start), from(&part_cols, cols.start)]);
            if part.dim() == (whole_rows.len(), whole_cols.len()) && rows_apart(&part) {
                gemm::product(a, b, part);
                continue;
            }
            // One column more than the block has: its rows are apart even if it has one column.
            let mut scratch = Array2::from_elem((whole_rows.len(), whole_cols.len() + 1), T::ZERO);
            gemm::product(a, b, scratch.slice_mut(s![.., ..whole_cols.len()]));
            part.assign(&scratch.slice(s![from(&part_rows, whole_rows.start), from(&part_cols, whole_cols.start)]));
        }
    }
}

/// The blocks of `step` along an axis of `len` that overlap `range`, which is not empty.
fn blocks_touching(range: &Range<usize>, step: usize, len: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    (range.start / step..range.end.div_ceil(step)).map(move |i| i * step..len.min((i + 1) * step))
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> Range<usize> {
    one.start.max(other.start)..one.end.min(other.end)
}

/// `range` counted from `origin`.
fn from(range: &Range<usize>, origin: usize) -> Range<usize> {
    range.start - origin..range.end - origin
}

/// Whether `gemm` sees the strides it sees in a scratch block, (more than 1, 1): it swaps the factors by which of the two
/// strides is smaller, and an axis of length 1 has stride 0.
fn rows_apart<T>(view: &ArrayViewMut2<T>) -> bool {
    view.strides()[0] > 1 && view.strides()[1] == 1
}

/// Multiplies two matrices: `c` = `a` `b`. Unless the job says otherwise C is cut along the [`grid`].
///
/// # Errors
/// If the shapes do not fit together, and as [`Job::run`](parfork::Job::run).
pub fn run<'a, T: Element>(
    job: Job<'_>,
    a: impl Into<Input<'a, T, Ix2>>,
    b: impl Into<Input<'a, T, Ix2>>,
    c: &mut Shared<T, Ix2>,
) -> Result<Answers<()>, Error> {
    let (a, b) = (a.into(), b.into());
    let ((m, k), (rows, n)) = ((a.shape()[0], a.shape()[1]), (b.shape()[0], b.shape()[1]));
    if k != rows || c.shape() != [m, n] {
        return Err(Error::kernel(MatmulError { a: [m, k], b: [rows, n], c: c.shape().to_vec() }));
    }
    let (rows, cols) = grid(m, n, k);
    job.default_split(Split::tiles(rows, cols)).body_overwrites().lend((a, b, c)).run_with(
        (),
        |_, (), (a, b, slice): (ArrayView2<T>, ArrayView2<T>, Slice<T, Ix2>)| {
            block(a, b, slice.rows(), slice.cols(), slice.into_view());
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled;
    use ndarray::ShapeBuilder;
    use proptest::prelude::*;

    /// The definition, in the order of the indices.
    fn naive(a: &Array2<f64>, b: &Array2<f64>) -> Array2<f64> {
        Array2::from_shape_fn((a.nrows(), b.ncols()), |(i, j)| (0..a.ncols()).map(|p| a[[i, p]] * b[[p, j]]).sum())
    }

    /// Numbers in -1..1 without a pattern (a multiplicative hash of the index), in C or Fortran order.
    fn noise<T: From<f32>>(shape: (usize, usize), fortran: bool) -> Array2<T> {
        let value = |(i, j): (usize, usize)| {
            let hash = ((i * 5741 + j * 2749 + 17) as u32).wrapping_mul(0x9e37_79b9);
            T::from((hash >> 8) as f32 / (1 << 23) as f32 - 1.0)
        };
        Array2::from_shape_fn(shape.set_f(fortran), value)
    }

    fn whole<T: Element>(a: ArrayView2<T>, b: ArrayView2<T>) -> Array2<T> {
        let mut c = Array2::from_elem((a.nrows(), b.ncols()), T::ONE);
        block(a, b, 0..a.nrows(), 0..b.ncols(), c.view_mut());
        c
    }

    fn same_bits<T: Element + bytemuck::Pod>(one: ArrayView2<T>, other: ArrayView2<T>) -> bool {
        one.dim() == other.dim() && one.iter().zip(&other).all(|(x, y)| bytemuck::bytes_of(x) == bytemuck::bytes_of(y))
    }

    fn region_agrees<T: Element + From<f32> + bytemuck::Pod>(
        (m, n, k): (usize, usize, usize),
        orders: [bool; 3],
        cut: [prop::sample::Index; 4],
    ) -> bool {
        let (a, b) = (noise::<T>((m, k), orders[0]), noise::<T>((k, n), orders[1]));
        let c = whole(a.view(), b.view());
        let range = |x: prop::sample::Index, y: prop::sample::Index, len: usize| {
            let (x, y) = (x.index(len + 1), y.index(len + 1));
            x.min(y)..x.max(y)
        };
        let (rows, cols) = (range(cut[0], cut[1], m), range(cut[2], cut[3], n));
        let mut part = Array2::from_elem((rows.len(), cols.len()).set_f(orders[2]), T::ONE);
        block(a.view(), b.view(), rows.clone(), cols.clone(), part.view_mut());
        same_bits(part.view(), c.slice(s![rows, cols]))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: sampled::number(16, 48), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_region_has_the_bits_of_the_whole(
            shape in (0_usize..700, 0_usize..300, 0_usize..80),
            orders in any::<[bool; 3]>(),
            cut in any::<[prop::sample::Index; 4]>(),
        ) {
            prop_assert!(region_agrees::<f32>(shape, orders, cut));
            prop_assert!(region_agrees::<f64>(shape, orders, cut));
        }

        #[test]
        fn so_have_regions_of_narrow_products(
            shape in (0_usize..4, 0_usize..4, 0_usize..2000, 0_usize..3),
            orders in any::<[bool; 3]>(),
            cut in any::<[prop::sample::Index; 4]>(),
        ) {
            let (x, y, long, turn) = shape;
            let shape = [(x, y, long), (x, long, y), (long, x, y)][turn];
            prop_assert!(region_agrees::<f32>(shape, orders, cut));
            prop_assert!(region_agrees::<f64>(shape, orders, cut));
        }

        #[test]
        fn agrees_with_the_definition(
            (m, n, k) in (0_usize..300, 0_usize..150, 0_usize..100),
            orders in any::<[bool; 2]>(),
        ) {
            let (a, b) = (noise((m, k), orders[0]), noise((k, n), orders[1]));
            let (got, want) = (whole(a.view(), b.view()), naive(&a, &b));
            // Higham, Accuracy and Stability of Numerical Algorithms, 3.5: at most about k * eps * |A||B|, |A||B| <= k.
            let bound = (k * k) as f64 * f64::EPSILON;
            prop_assert!(got.iter().zip(&want).all(|(x, y)| (x - y).abs() <= bound));
        }
    }

    #[test]
    fn views_with_odd_strides_are_fine() {
        let (a, b) = (noise::<f64>((60, 90), false), noise::<f64>((90, 80), false));
        let (a, b) = (a.slice(s![..;-2, ..;3]), b.slice(s![..;3, 1..;-3]));
        let mut c = Array2::zeros((60, 54));
        let mut c = c.slice_mut(s![..;-2, ..;-2]);
        block(a, b, 0..30, 0..27, c.view_mut());
        let want = whole(a.to_owned().view(), b.to_owned().view());
        assert!(c.iter().zip(&want).all(|(x, y): (&f64, &f64)| (x - y).abs() < 1e-13));
    }

    #[test]
    fn nothing_summed_is_zero_and_specials_pass_through() {
        assert_eq!(
            whole::<f32>(Array2::zeros((3, 0)).view(), Array2::zeros((0, 2)).view()),
            Array2::<f32>::zeros((3, 2))
        );
        let mut a = noise::<f64>((40, 30), false);
        (a[[3, 4]], a[[5, 6]]) = (f64::NAN, f64::INFINITY);
        let mut b = noise::<f64>((30, 20), false);
        b[[6, 7]] = 0.0;
        let c = whole(a.view(), b.view());
        assert!(c.row(3).iter().all(|x| x.is_nan()));
        assert!(c.row(5).indexed_iter().all(|(j, x)| if j == 7 { x.is_nan() } else { x.is_infinite() }));
        assert!(c.row(4).iter().all(|x| x.is_finite()));
    }

    #[test]
    fn enough_blocks_for_sixteen_workers() {
        for n in [512, 513, 1000, 1024, 2048, 4096, 10_000] {
            let (rows, cols) = grid(n, n, n);
            assert!(n.div_ceil(rows) * n.div_ceil(cols) >= ENOUGH, "{n}: {rows} x {cols}");
        }
        let (rows, cols) = grid(0, 0, 0);
        assert!(rows > 0 && cols > 0);
    }

    #[test]
    #[should_panic(expected = "A has 3 columns and B has 2 rows")]
    fn shapes_must_fit() {
        whole(Array2::<f64>::zeros((1, 3)).view(), Array2::zeros((2, 1)).view());
    }
}
