//! The Mandelbrot set: how long z := z² + c from z = 0 stays within the escape radius, and a picture of it.
//!
//! Points go through the iteration a few dozen at a time, in lockstep, in vector registers; eight steps are made blind and
//! repeated with care only if a point has escaped meanwhile. Every point sees the same operations, each rounded once
//! (fused multiply-adds by name, none left to the compiler), so its bits depend neither on its neighbours nor on the CPU.
//! Points that have come so close to an attracting cycle that they can be proved to stay there are not followed further,
//! which spares nine tenths of the set most of their steps and changes no count.

mod cost;
mod escape;
mod kernel;
mod shade;
mod trap;

use std::ops::Range;

use crate::simd;
use bytemuck::{Pod, Zeroable};
use ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3, Axis, Ix3, aview1};

use escape::{Fill, Row};
pub use kernel::Mandelbrot;
use parfork::{Answers, Error, Job, Shared, Split};
use shade::{PALETTE, Shade};

/// What part of the complex plane is drawn, how large, how deep. Made by [`View::new`], so its numbers are sound.
///
/// Pixels are square. The middle of the picture is the centre; the imaginary axis points up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    center: (f64, f64),
    zoom: f64,
    width: usize,
    height: usize,
    iterations: u32,
}

/// Why there is no such [`View`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ViewError {
    /// The centre is NaN or infinite.
    #[error("the centre {0},{1} is not a point of the plane. Give two finite numbers, for example -0.75,0.")]
    Center(f64, f64),
    /// The zoom is NaN, infinite or not positive, or so far out that coordinates leave the range of `f64`.
    #[error(
        "zoom {0:?} is out of range. Give a number above 0, 1 shows the whole set, at most about 1e13 shows detail."
    )]
    Zoom(f64),
    /// No pixels.
    #[error("a picture of {0}x{1} pixels is empty. Give a size of at least 1x1.")]
    Size(usize, usize),
    /// Zero iterations or too many.
    #[error("{0} iterations are out of range. Give 1 to {MOST_ITERATIONS}, 256 is enough for the whole set.")]
    Iterations(u32),
    /// An array that the picture does not go into.
    #[error(
        "a view of {width}x{height} pixels needs a picture of shape [{height}, {width}, 3], not {shape:?}. Make it so."
    )]
    Picture {
        /// Rows of the view.
        height: usize,
        /// Its columns.
        width: usize,
        /// The shape of the array.
        shape: Vec<usize>,
    },
}

/// The most iterations a [`View`] may ask for.
pub const MOST_ITERATIONS: u32 = 1_000_000_000;

/// How much of the real axis a picture of zoom 1 shows: -2.5 to 1 around the usual centre -0.75.
const WINDOW: f64 = 3.5;

impl View {
    /// A picture of `width` x `height` pixels around `center` (real, imaginary), 3.5 / `zoom` wide on the real axis, with at
    /// most `iterations` steps a point.
    ///
    /// # Errors
    ///
    /// When a number is out of range: centre or zoom not finite, zoom not positive, no pixels, iterations not within
    /// 1..=[`MOST_ITERATIONS`].
    pub fn new(
        center: (f64, f64),
        zoom: f64,
        (width, height): (usize, usize),
        iterations: u32,
    ) -> Result<View, ViewError> {
        if !(center.0.is_finite() && center.1.is_finite()) {
            return Err(ViewError::Center(center.0, center.1));
        }
        if width == 0 || height == 0 {
            return Err(ViewError::Size(width, height));
        }
        let view = View { center, zoom, width, height, iterations };
        let pixel = view.pixel();
        if !(zoom > 0.0 && pixel.is_normal() && (pixel * width.max(height) as f64).is_finite()) {
            return Err(ViewError::Zoom(zoom));
        }
        if !(1..=MOST_ITERATIONS).contains(&iterations) {
            return Err(ViewError::Iterations(iterations));
        }
        Ok(view)
    }

    /// The shape of the whole picture: (rows, columns).
    pub fn shape(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// The most steps a point makes; what [`iterations`] gives for the points of the set.
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// The side of a pixel in the plane.
    fn pixel(&self) -> f64 {
        WINDOW / self.zoom / self.width as f64
    }

    fn re(&self, col: usize) -> f64 {
        self.center.0 + (col as f64 + 0.5 - 0.5 * self.width as f64) * self.pixel()
    }

    fn im(&self, row: usize) -> f64 {
        self.center.1 - (row as f64 + 0.5 - 0.5 * self.height as f64) * self.pixel()
    }
}

/// Counts the steps after which each point of the region was still within the escape radius (256): 0 to the view's
/// iterations, and exactly that many only for points that never left.
///
/// `out` is (length of `rows`, length of `cols`). A region narrower than 32 columns takes the time of 32.
///
/// # Panics
///
/// When the region is not inside the picture or `out` has another shape.
///
/// ```
/// use parfork_workers::mandelbrot::{View, iterations};
/// let view = View::new((0.0, 0.0), 1.0, (3, 1), 100)?;
/// let mut steps = ndarray::Array2::zeros((1, 3));
/// iterations(&view, 0..1, 0..3, steps.view_mut());
/// assert_eq!(steps, ndarray::array![[100, 100, 4]]); // -1.17, 0 and 1.17
/// # Ok::<(), parfork_workers::mandelbrot::ViewError>(())
/// ```
pub fn iterations(view: &View, rows: Range<usize>, cols: Range<usize>, mut out: ArrayViewMut2<u32>) {
    assert_eq!(out.dim(), (rows.len(), cols.len()), "the shape of the region's output");
    each_row(view, rows, cols, |i, row| out.row_mut(i).assign(&aview1(&row.counts)));
}

/// Draws the region: RGB, smooth in the escape time (deep blue, white, gold, black, again), the set itself black.
///
/// `out` is (length of `rows`, length of `cols`, 3).
///
/// # Panics
///
/// When the region is not inside the picture or `out` has another shape.
///
/// ```
/// use parfork_workers::mandelbrot::{View, block};
/// let view = View::new((-0.75, 0.0), 1.0, (35, 20), 256)?;
/// let mut picture = ndarray::Array3::zeros((20, 35, 3));
/// block(&view, 0..20, 0..35, picture.view_mut());
/// assert_eq!(picture.slice(ndarray::s![10, 25, ..]), ndarray::aview1(&[0; 3])); // near 0: in the set
/// # Ok::<(), parfork_workers::mandelbrot::ViewError>(())
/// ```
pub fn block(view: &View, rows: Range<usize>, cols: Range<usize>, mut out: ArrayViewMut3<u8>) {
    assert_eq!(out.dim(), (rows.len(), cols.len(), 3), "the shape of the region's output");
    let mut places = vec![0; cols.len()];
    let mut colours = vec![[0; 3]; cols.len()];
    each_row(view, rows, cols, |i, row| {
        simd::arch().dispatch(Shade { row, limit: view.iterations, places: &mut places });
        for (colour, &place) in colours.iter_mut().zip(&places) {
            *colour = PALETTE[usize::from(place)];
        }
        out.index_axis_mut(Axis(0), i).assign(&ArrayView2::from(colours.as_slice()));
    });
}

/// Computes the region row by row; `put` takes each with its index in the region.
fn each_row(view: &View, rows: Range<usize>, cols: Range<usize>, mut put: impl FnMut(usize, &Row)) {
    let (height, width) = view.shape();
    if rows.is_empty() || cols.is_empty() {
        return;
    }
    assert!(
        rows.end <= height && cols.end <= width,
        "region {rows:?}, {cols:?} of a picture of {height} rows and {width} columns"
    );
    let re: Vec<f64> = cols.map(|col| view.re(col)).collect();
    let mut row = Row { counts: vec![0; re.len()], norms: vec![0.0; re.len()] };
    for (i, im) in rows.map(|row| view.im(row)).enumerate() {
        simd::arch().dispatch(Fill { row: &mut row, re: &re, im, limit: view.iterations });
        put(i, &row);
    }
}

/// Rows of a slice unless the job says otherwise: few, because neighbouring rows can differ in cost a hundredfold.
const BAND: usize = 8;

/// Renders a view into `picture`, whose shape is that of the view and 3 channels.
///
/// # Errors
/// If the picture has another shape, and as [`Job::run`](parfork::Job::run).
pub fn run(job: Job<'_>, view: &View, picture: &mut Shared<u8, Ix3>) -> Result<Answers<()>, Error> {
    let (height, width) = view.shape();
    if picture.shape() != [height, width, 3] {
        let shape = picture.shape().to_vec();
        return Err(Error::kernel(ViewError::Picture { height, width, shape }));
    }
    let told = RawParams::of(view);
    job.default_split(Split::rows().of(BAND))
        .body_overwrites()
        .lend(picture)
        .run_with(told, |_, told, slice| block(&told.read(), slice.rows(), slice.cols(), slice.into_view()))
}

/// A view as plain data.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RawParams {
    center: [f64; 2],
    zoom: f64,
    size: [u64; 2],
    iterations: u64,
}

impl RawParams {
    fn of(view: &View) -> Self {
        let (size, iterations) = ([view.width as u64, view.height as u64], u64::from(view.iterations));
        Self { center: view.center.into(), zoom: view.zoom, size, iterations }
    }

    fn read(self) -> View {
        let [width, height] = self.size.map(|pixels| pixels as usize);
        View { center: self.center.into(), zoom: self.zoom, width, height, iterations: self.iterations as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::escape::RADIUS_SQUARED;
    use super::shade::TURN;
    use super::*;
    use crate::sampled::Sampler;
    use ndarray::{Array2, Array3, s};
    use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, proptest};
    use pulp::Simd;

    /// The definition, one point at a time, each operation rounded once in the order that [`escape`] has.
    fn steps(view: &View, row: usize, col: usize) -> u32 {
        let (re, im) = (view.re(col), view.im(row));
        let (mut x, mut y) = (0.0_f64, 0.0_f64);
        for step in 0..view.iterations {
            (x, y) = (x.mul_add(x, (-y).mul_add(y, re)), (x + x).mul_add(y, im));
            let norm = x.mul_add(x, y * y);
            if norm.is_nan() || norm > RADIUS_SQUARED {
                return step;
            }
        }
        view.iterations
    }

    fn views() -> impl Strategy<Value = View> {
        (-2.0..1.0, -1.2..1.2, -1.0..6.0, (1_usize..90, 1_usize..12), 1_u32..70)
            .prop_map(|(re, im, depth, size, limit)| View::new((re, im), 10_f64.powf(depth), size, limit).unwrap())
    }

    fn whole(view: &View) -> (Array2<u32>, Array3<u8>) {
        let (height, width) = view.shape();
        let (mut counts, mut picture) = (Array2::zeros((height, width)), Array3::zeros((height, width, 3)));
        iterations(view, 0..height, 0..width, counts.view_mut());
        block(view, 0..height, 0..width, picture.view_mut());
        (counts, picture)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn agrees_with_the_definition(view in views()) {
            let counts = whole(&view).0;
            prop_assert!(counts.indexed_iter().all(|((row, col), &count)| count == steps(&view, row, col)));
        }

        #[test]
        fn any_region_has_the_bits_of_the_whole(view in views(), cut in proptest::prelude::any::<[prop::sample::Index; 4]>()) {
            let (counts, picture) = whole(&view);
            let range = |x: prop::sample::Index, y: prop::sample::Index, len: usize| {
                let (x, y) = (x.index(len + 1), y.index(len + 1));
                x.min(y)..x.max(y)
            };
            let (rows, cols) = (range(cut[0], cut[1], view.height), range(cut[2], cut[3], view.width));
            let (mut some_counts, mut some) =
                (Array2::zeros((rows.len(), cols.len())), Array3::zeros((rows.len(), cols.len(), 3)));
            iterations(&view, rows.clone(), cols.clone(), some_counts.view_mut());
            block(&view, rows.clone(), cols.clone(), some.view_mut());
            prop_assert_eq!(some_counts, counts.slice(s![rows.clone(), cols.clone()]));
            prop_assert_eq!(some, picture.slice(s![rows, cols, ..]));
        }
    }

    /// All around the cardioid, the disc beside it and the cusp between the two, where traps get smaller and smaller.
    #[test]
    fn points_that_are_not_followed_would_have_stayed() {
        let limit = 3000;
        let mut views = vec![((-0.75, 0.0), 1.0), ((-0.75, 0.0), 3e3), ((0.25, 0.0), 3e3), ((-1.25, 0.0), 3e3)];
        for turn in 0..12 {
            let (sin, cos) = (f64::from(turn) * 0.55).sin_cos();
            // c = p - p² for the fixed point p with |2p| = 1, and the circle of radius 1/4 around -1.
            views.push(((cos / 2.0 - (cos * cos - sin * sin) / 4.0, sin / 2.0 - cos * sin / 2.0), 200.0));
            views.push(((-1.0 + cos / 4.0, sin / 4.0), 200.0));
        }
        for (center, zoom) in Sampler::new().some(views, 8) {
            let view = View::new(center, zoom, (33, 21), limit).unwrap();
            let counts = whole(&view).0;
            assert!(counts.iter().any(|&count| count == limit));
            assert!(counts.indexed_iter().all(|((row, col), &count)| count == steps(&view, row, col)), "{view:?}");
        }
    }

    #[test]
    fn vectors_change_no_bit() {
        let re: Vec<f64> = (0..101).map(|i| -2.0 + f64::from(i) * 0.03).collect();
        for im in [0.0, 0.1, 0.5, 1.0] {
            let [mut row, mut same] = [0, 1].map(|_| Row { counts: vec![0; re.len()], norms: vec![0.0; re.len()] });
            simd::arch().dispatch(Fill { row: &mut row, re: &re, im, limit: 300 });
            pulp::Scalar::new().vectorize(Fill { row: &mut same, re: &re, im, limit: 300 });
            assert_eq!((row.counts, row.norms), (same.counts, same.norms));
        }
    }

    #[test]
    fn far_away_points_leave_at_once() {
        for far in [1e3, 1e100, 1e200, 1e300] {
            let view = View::new((far, -far), 1.0, (3, 2), 20).unwrap();
            assert_eq!(whole(&view).0, Array2::<u32>::zeros((2, 3)));
        }
    }

    #[test]
    fn the_colours_follow_the_smooth_escape_time() {
        let view = View::new((-0.75, 0.0), 1.0, (64, 48), 256).unwrap();
        let (counts, picture) = whole(&view);
        for ((row, col), &count) in counts.indexed_iter() {
            let pixel = [0, 1, 2].map(|channel| picture[[row, col, channel]]);
            if count == 256 {
                assert_eq!(pixel, [0; 3]);
                continue;
            }
            let (mut x, mut y) = (0.0, 0.0);
            for _ in 0..=count {
                (x, y) = (x * x - y * y + view.re(col), 2.0 * x * y + view.im(row));
            }
            let time = f64::from(count) + 2.0 - (f64::ln(x * x + y * y) / RADIUS_SQUARED.ln()).log2();
            let place = ((time.log2() + 2.0) / 4.0).fract() * f64::from(TURN);
            let near = (0..3).map(|off| PALETTE[(place as usize + usize::from(TURN) + off - 1) % usize::from(TURN)]);
            assert!(near.into_iter().any(|colour| colour == pixel), "row {row}, column {col}: {pixel:?}");
        }
    }

    #[test]
    fn senseless_views_are_refused_with_a_remedy() {
        let sound = ((-0.75, 0.0), 1.0, (4, 3), 256);
        for (error, what) in [
            (View::new((f64::NAN, 0.0), sound.1, sound.2, sound.3), "centre NaN,0 "),
            (View::new(sound.0, 0.0, sound.2, sound.3), "zoom 0.0 "),
            (View::new(sound.0, -1.0, sound.2, sound.3), "zoom -1.0 "),
            (View::new(sound.0, f64::INFINITY, sound.2, sound.3), "zoom inf "),
            (View::new(sound.0, f64::NAN, sound.2, sound.3), "zoom NaN "),
            (View::new(sound.0, 1e-308, sound.2, sound.3), "zoom 1e-308 "),
            (View::new(sound.0, sound.1, (0, 3), sound.3), "0x3"),
            (View::new(sound.0, sound.1, sound.2, 0), "0 iterations"),
            (View::new(sound.0, sound.1, sound.2, u32::MAX), "4294967295 iterations"),
        ] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("Give "), "{error}");
        }
    }
}
