//! The Mandelbrot set: how long z := z² + c from z = 0 stays within the escape radius, and a picture of it.
//!
//! Points go through the iteration a few dozen at a time, in lockstep, in vector registers; eight steps are made blind and
//! repeated with care only if a point has escaped meanwhile. Every point sees the same operations, each rounded once
//! (fused multiply-adds by name, none left to the compiler), so its bits depend neither on its neighbours nor on the CPU.

use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, ArrayViewMut3, Axis, Ix3, aview1};
use pulp::{Arch, Simd, WithSimd};

use crate::{Error, Gathered, Job, Settings, Shared, Split};

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
/// use parfork::workers::mandelbrot::{View, iterations};
/// let view = View::new((0.0, 0.0), 1.0, (3, 1), 100)?;
/// let mut steps = ndarray::Array2::zeros((1, 3));
/// iterations(&view, 0..1, 0..3, steps.view_mut());
/// assert_eq!(steps, ndarray::array![[100, 100, 4]]); // -1.17, 0 and 1.17
/// # Ok::<(), parfork::workers::mandelbrot::ViewError>(())
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
/// use parfork::workers::mandelbrot::{View, block};
/// let view = View::new((-0.75, 0.0), 1.0, (35, 20), 256)?;
/// let mut picture = ndarray::Array3::zeros((20, 35, 3));
/// block(&view, 0..20, 0..35, picture.view_mut());
/// assert_eq!(picture.slice(ndarray::s![10, 25, ..]), ndarray::aview1(&[0; 3])); // near 0: in the set
/// # Ok::<(), parfork::workers::mandelbrot::ViewError>(())
/// ```
pub fn block(view: &View, rows: Range<usize>, cols: Range<usize>, mut out: ArrayViewMut3<u8>) {
    assert_eq!(out.dim(), (rows.len(), cols.len(), 3), "the shape of the region's output");
    let mut places = vec![0; cols.len()];
    let mut colours = vec![[0; 3]; cols.len()];
    each_row(view, rows, cols, |i, row| {
        Arch::new().dispatch(Shade { row, limit: view.iterations, places: &mut places });
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
        Arch::new().dispatch(Fill { row: &mut row, re: &re, im, limit: view.iterations });
        put(i, &row);
    }
}

/// What the iteration leaves of a row of points.
struct Row {
    /// Steps within the radius.
    counts: Vec<u32>,
    /// |z|² of the step that left it.
    norms: Vec<f32>,
}

/// Computes a row of points, in whatever vector registers the CPU has.
struct Fill<'a> {
    row: &'a mut Row,
    re: &'a [f64],
    im: f64,
    limit: u32,
}

impl WithSimd for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = GROUP * S::F64_LANES;
        let results = self.row.counts.chunks_mut(width).zip(self.row.norms.chunks_mut(width));
        for (re, (counts, norms)) in self.re.chunks(width).zip(results) {
            // Idle lanes at the end of a row repeat its last point, so that they never take longer than it.
            let mut points = [simd.splat_f64s(re[re.len() - 1]); GROUP];
            bytemuck::cast_slice_mut::<_, f64>(&mut points)[..re.len()].copy_from_slice(re);
            let (left_at, steps) = escape(simd, points, simd.splat_f64s(self.im), self.limit);
            for (count, &steps) in counts.iter_mut().zip(bytemuck::cast_slice::<_, f64>(&steps)) {
                *count = steps as u32;
            }
            for (norm, &left_at) in norms.iter_mut().zip(bytemuck::cast_slice::<_, f64>(&left_at)) {
                // Only far outside is it so large; infinity and NaN have no logarithm to shade by.
                *norm = left_at.min(f64::from(f32::MAX)) as f32;
            }
        }
    }
}

/// Registers of points in flight: a step is two dependent multiply-adds of four cycles each, two of which start per cycle.
const GROUP: usize = 4;

/// Steps between two looks at who has escaped.
const BLIND: u32 = 8;

/// The square of the escape radius. 2 would do for the set; 256 makes the smooth escape time look smooth.
const RADIUS_SQUARED: f64 = 65_536.0;

/// Iterates z := z² + c for the points `re` + i `im`; gives |z|² of the step that left the radius, and the steps before it.
///
/// A point that has left never comes back: |z| > 256 and |c| <= |z| give |z² + c| >= |z| (|z| - 1) > |z|, a c beyond the
/// radius is itself the first to leave, and infinities and NaNs stay such. So that as many points are inside after blind
/// steps as before means that none has left.
#[inline(always)]
fn escape<S: Simd>(simd: S, re: [S::f64s; GROUP], im: S::f64s, limit: u32) -> ([S::f64s; GROUP], [S::f64s; GROUP]) {
    let (zero, one, bound) = (simd.splat_f64s(0.0), simd.splat_f64s(1.0), simd.splat_f64s(RADIUS_SQUARED));
    let inside = |norm| simd.less_than_or_equal_f64s(norm, bound);
    let norm = |x, y| simd.mul_add_f64s(x, x, simd.mul_f64s(y, y));
    let step = |x: &mut S::f64s, y: &mut S::f64s, re| {
        let real = simd.mul_add_f64s(*x, *x, simd.negate_mul_add_f64s(*y, *y, re));
        *y = simd.mul_add_f64s(simd.add_f64s(*x, *x), *y, im);
        *x = real;
    };

    let (mut x, mut y, mut norms, mut counts) = ([zero; GROUP], [zero; GROUP], [zero; GROUP], [zero; GROUP]);
    let mut alive = [inside(zero); GROUP];
    let mut done = 0;
    while done < limit {
        if limit - done >= BLIND {
            let (mut ahead_x, mut ahead_y) = (x, y);
            for _ in 0..BLIND {
                for g in 0..GROUP {
                    step(&mut ahead_x[g], &mut ahead_y[g], re[g]);
                }
            }
            let mut left = simd.xor_m64s(alive[0], inside(norm(ahead_x[0], ahead_y[0])));
            for g in 1..GROUP {
                left = simd.or_m64s(left, simd.xor_m64s(alive[g], inside(norm(ahead_x[g], ahead_y[g]))));
            }
            if !any(simd, left) {
                let blind = simd.splat_f64s(f64::from(BLIND));
                for g in 0..GROUP {
                    counts[g] = simd.select_f64s(alive[g], simd.add_f64s(counts[g], blind), counts[g]);
                }
                (x, y) = (ahead_x, ahead_y);
                done += BLIND;
                continue;
            }
        }
        for _ in 0..BLIND.min(limit - done) {
            for g in 0..GROUP {
                step(&mut x[g], &mut y[g], re[g]);
                let now = norm(x[g], y[g]);
                norms[g] = simd.select_f64s(alive[g], now, norms[g]);
                alive[g] = simd.and_m64s(alive[g], inside(now));
                counts[g] = simd.select_f64s(alive[g], simd.add_f64s(counts[g], one), counts[g]);
            }
        }
        done += BLIND.min(limit - done);
        if !any(simd, alive.into_iter().reduce(|one, other| simd.or_m64s(one, other)).unwrap_or(alive[0])) {
            break;
        }
    }
    (norms, counts)
}

#[inline(always)]
fn any<S: Simd>(simd: S, mask: S::m64s) -> bool {
    simd.first_true_m64s(mask) < S::F64_LANES
}

/// Finds the places in [`PALETTE`] of a row's points.
///
/// The smooth escape time is n + 1 - log2(log |z| / log R) (Linas Vepstas, "Renormalizing the Mandelbrot Escape", 1997);
/// one turn of the palette is four doublings of it, and 4, the neighbourhood of the whole set, is where it begins.
struct Shade<'a> {
    row: &'a Row,
    limit: u32,
    places: &'a mut [u16],
}

impl WithSimd for Shade<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (place, (&count, &norm)) in self.places.iter_mut().zip(self.row.counts.iter().zip(&self.row.norms)) {
            // log |z| / log R = log2(|z|²) / log2(R²), and log2(R²) is 16.
            let time = count as f32 + 2.0 - log2(log2(norm) / 16.0);
            // Added to 2^23, a float has its nearest integer in its low bits; a cast would leave the vector registers.
            let turned = (log2(time) + 2.0).mul_add(f32::from(TURN / 4), 8_388_608.0).to_bits() as u16 % TURN;
            *place = if count == self.limit { TURN } else { turned };
        }
    }
}

/// log2 of a positive, finite, normal number, to 2e-6: enough for a colour, and in vectors where `f32::log2` is a call.
#[inline(always)]
fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let t = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000) - 1.5;
    LOG2_NEAR_1_5.iter().fold(0.0, |sum: f32, &term| sum.mul_add(t, term)) + exponent as f32
}

/// log2(1.5 + t) for |t| <= 1/2, highest power first. NumPy: `numpy.polynomial.Chebyshev.interpolate(lambda t:
/// numpy.log2(t + 1.5), 6, [-0.5, 0.5]).convert(kind=numpy.polynomial.Polynomial).coef`.
const LOG2_NEAR_1_5: [f32; 7] = [-0.024568535, 0.04390748, -0.07079686, 0.14172474, -0.32061304, 0.96182082, 0.5849625];

/// How many colours one turn of the palette has.
const TURN: u16 = 1024;

/// The colours of one turn, between the stops that Ultra Fractal's default gradient made the usual ones, then black.
static PALETTE: [[u8; 3]; TURN as usize + 1] = palette([
    (0.0, [0.0, 7.0, 100.0]),
    (0.16, [32.0, 107.0, 203.0]),
    (0.42, [237.0, 255.0, 255.0]),
    (0.6425, [255.0, 170.0, 0.0]),
    (0.8575, [0.0, 2.0, 0.0]),
    (1.0, [0.0, 7.0, 100.0]),
]);

const fn palette<const STOPS: usize>(stops: [(f64, [f64; 3]); STOPS]) -> [[u8; 3]; TURN as usize + 1] {
    let mut colours = [[0; 3]; TURN as usize + 1];
    let (mut i, mut stop) = (0, 1);
    while i < TURN as usize {
        let at = i as f64 / TURN as f64;
        if at >= stops[stop].0 {
            stop += 1;
        }
        let ((start, from), (end, to)) = (stops[stop - 1], stops[stop]);
        let way = (at - start) / (end - start);
        // Smoothstep: no visible edge at a stop.
        let way = way * way * (3.0 - 2.0 * way);
        let mut channel = 0;
        while channel < 3 {
            colours[i][channel] = (from[channel] + way * (to[channel] - from[channel]) + 0.5) as u8;
            channel += 1;
        }
        i += 1;
    }
    colours
}

/// Rows of a slice unless the settings say otherwise: few, because neighbouring rows can differ in cost a hundredfold.
const BAND: usize = 8;

/// Renders a view into `picture`, whose shape is that of the view and 3 channels.
///
/// # Errors
/// If the picture has another shape, and as [`Job::run`](crate::Job::run).
pub fn run(settings: Settings<'_>, view: &View, picture: &mut Shared<u8, Ix3>) -> Result<Gathered<()>, Error> {
    let (height, width) = view.shape();
    if picture.shape() != [height, width, 3] {
        let shape = picture.shape();
        return Err(Error::Shape(format!(
            "a view of {width}x{height} pixels needs a picture of shape [{height}, {width}, 3], not {shape:?}. Make it so."
        )));
    }
    let settings = Settings { split: settings.split.or(Some(Split::rows().of(BAND))), ..settings };
    Job::with(picture, settings).run(|_, slice| block(view, slice.rows(), slice.cols(), slice.into_view()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3, s};
    use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, proptest};

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
