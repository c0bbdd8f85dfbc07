//! Discs that no point leaves: who is in one need not be followed any further.

use pulp::Simd;

/// A disc around a point of an attracting cycle of z² + c, so small that two steps from anywhere in it end in it.
#[derive(Clone, Copy)]
pub(super) struct Trap<S: Simd> {
    x: S::f64s,
    y: S::f64s,
    radius_squared: S::f64s,
}

impl<S: Simd> Trap<S> {
    /// A disc that holds nothing.
    #[inline(always)]
    pub(super) fn none(simd: S) -> Self {
        let zero = simd.splat_f64s(0.0);
        Self { x: zero, y: zero, radius_squared: zero }
    }

    /// Whether z, after an even number of steps from 0, never leaves.
    #[inline(always)]
    pub(super) fn holds(&self, simd: S, x: S::f64s, y: S::f64s) -> S::m64s {
        let (x, y) = (simd.sub_f64s(x, self.x), simd.sub_f64s(y, self.y));
        simd.less_than_f64s(simd.mul_add_f64s(x, x, simd.mul_f64s(y, y)), self.radius_squared)
    }
}

/// Smaller discs are not used: what they gain in a step, the square of the radius and more, has to be far above rounding.
const LEAST_RADIUS: f64 = 1e-4;

/// The disc for the points `re` + i `im`: around the fixed point if it attracts, else around the point near 0 of the cycle of
/// two if that attracts (even steps from 0 tend to that one), else none. Let r be its radius and l < 1 the magnitude of the
/// cycle's multiplier; r is (1 - l) / 4.
///
/// The fixed point p = (1 - sqrt(1 - 4c)) / 2 has l = 2|p|. From z within r of it, |z² + c - p| = |z - p| |z + p| <= r (l + r) <
/// r.
///
/// The cycle of two, p = (sqrt(1 - 4(c + 1)) - 1) / 2 and q = -1 - p, has l = 4|pq| = 4|c + 1|. Two steps take z to within
/// r (2|p| + r) (2|q| + r (2|p| + r)) of p, which is r times l + r (2|q| + 4|p|² + 4|p| r + r²). With t = 2|q| = |1 + sqrt(..)|,
/// which is in 1..1 + sqrt(2) since the root has a real part of at least 0 and a magnitude of at most sqrt(2), and 2|p| = l / t <= 1 / t,
/// the bracket is at most t + 1 / t² + 1 / 2 + 1 / 16 < 3.2: the two steps end within r (l + 0.8 (1 - l)) of p.
///
/// Rounding moves z by 1e-15 in a step, and p as computed is a fixed point to as much; the discs shrink by more than
/// [`LEAST_RADIUS`]² / 2.
#[inline(always)]
pub(super) fn trap<S: Simd>(simd: S, re: S::f64s, im: S::f64s) -> Trap<S> {
    let splat = |x| simd.splat_f64s(x);
    let (one, half, four) = (splat(1.0), splat(0.5), splat(4.0));
    let norm = |x, y| simd.mul_add_f64s(x, x, simd.mul_f64s(y, y));

    let beside = simd.add_f64s(re, one);
    let two = simd.less_than_f64s(norm(beside, im), splat(1.0 / 16.0));
    let re = simd.select_f64s(two, beside, re);
    // The root, from the side where its real part is positive.
    let (w, v) = (simd.negate_mul_add_f64s(four, re, one), simd.mul_f64s(splat(-4.0), im));
    let magnitude = simd.sqrt_f64s(norm(w, v));
    let root = simd.sqrt_f64s(simd.mul_f64s(half, simd.add_f64s(magnitude, w)));
    let root_im = simd.div_f64s(simd.mul_f64s(half, v), root);
    let (x, y) = (simd.mul_f64s(half, simd.sub_f64s(one, root)), simd.mul_f64s(splat(-0.5), root_im));

    let quarter = simd.select_f64s(two, norm(re, im), simd.mul_f64s(splat(0.25), norm(x, y)));
    let radius = simd.sub_f64s(splat(0.25), simd.sqrt_f64s(quarter));
    let usable = simd.greater_than_or_equal_f64s(radius, splat(LEAST_RADIUS));
    let side = simd.select_f64s(two, splat(-1.0), one);
    Trap {
        x: simd.mul_f64s(side, x),
        y: simd.mul_f64s(side, y),
        radius_squared: simd.select_f64s(usable, simd.mul_f64s(radius, radius), splat(0.0)),
    }
}
