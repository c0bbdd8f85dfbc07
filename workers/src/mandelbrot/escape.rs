//! How many steps points stay within the escape radius, a few dozen points at a time in vector registers.

use pulp::{Simd, WithSimd};

use super::trap::{Trap, trap};

/// What the iteration leaves of a row of points.
pub(super) struct Row {
    /// Steps within the radius.
    pub(super) counts: Vec<u32>,
    /// |z|² of the step that left it.
    pub(super) norms: Vec<f32>,
}

/// Computes a row of points, in whatever vector registers the CPU has.
pub(super) struct Fill<'a> {
    pub(super) row: &'a mut Row,
    pub(super) re: &'a [f64],
    pub(super) im: f64,
    pub(super) limit: u32,
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
                // Added to 2^52, a float has its nearest integer in its low bits; a cast would leave the vector registers.
                *count = (steps + 4_503_599_627_370_496.0).to_bits() as u32;
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

/// Steps between two looks at who has escaped. Even, for [`trap`].
const WINDOW: u32 = 8;

/// Steps before the first look at who is trapped: most points that ever leave have left, and most of the others are close to
/// their cycle.
const PATIENCE: u32 = 16;

/// The square of the escape radius. 2 would do for the set; 256 makes the smooth escape time look smooth.
pub(super) const RADIUS_SQUARED: f64 = 65_536.0;

/// Iterates z := z² + c for the points `re` + i `im`; gives |z|² of the step that left the radius, and the steps before it.
///
/// A window of steps is made blind if nobody left in the one before, and made again with care if somebody left in it. That
/// shows at its end, for a point that has left never comes back: |z| > 256 and |c| <= |z| give |z² + c| >= |z| (|z| - 1) > |z|,
/// a c beyond the radius is itself the first to leave, and infinities and NaNs stay such. Points that have left, and those
/// that are known never to leave, rest at 0 with c = 0.
#[inline(always)]
fn escape<S: Simd>(simd: S, re: [S::f64s; GROUP], im: S::f64s, limit: u32) -> ([S::f64s; GROUP], [S::f64s; GROUP]) {
    let (zero, one, bound) = (simd.splat_f64s(0.0), simd.splat_f64s(1.0), simd.splat_f64s(RADIUS_SQUARED));
    let inside = |norm| simd.less_than_or_equal_f64s(norm, bound);
    let norm = |x, y| simd.mul_add_f64s(x, x, simd.mul_f64s(y, y));
    let step = |x: &mut S::f64s, y: &mut S::f64s, re, im| {
        let real = simd.mul_add_f64s(*x, *x, simd.negate_mul_add_f64s(*y, *y, re));
        *y = simd.mul_add_f64s(simd.add_f64s(*x, *x), *y, im);
        *x = real;
    };

    let (mut re, mut im) = (re, [im; GROUP]);
    let (mut x, mut y, mut norms) = ([zero; GROUP], [zero; GROUP], [zero; GROUP]);
    let mut counts = [simd.splat_f64s(f64::from(limit)); GROUP];
    let mut alive = [inside(zero); GROUP];
    let mut traps = [Trap::none(simd); GROUP];
    // Plain loops below, for closures that are not called here by name may keep the vectors from being inlined.
    let (mut done, mut blind, mut look) = (0, false, PATIENCE);
    while done < limit {
        let steps = WINDOW.min(limit - done);
        let mut stay = [inside(zero); GROUP];
        if blind {
            let (mut ahead_x, mut ahead_y) = (x, y);
            for _ in 0..steps {
                for g in 0..GROUP {
                    step(&mut ahead_x[g], &mut ahead_y[g], re[g], im[g]);
                }
            }
            // The sum is within the radius only if each is; one comparison instead of many.
            let mut sum = zero;
            for g in 0..GROUP {
                sum = simd.add_f64s(sum, norm(ahead_x[g], ahead_y[g]));
            }
            blind = all(simd, inside(sum));
            if blind {
                (x, y) = (ahead_x, ahead_y);
            }
        }
        if !blind {
            let mut taken = [zero; GROUP];
            let mut last = norms;
            for _ in 0..steps {
                for g in 0..GROUP {
                    step(&mut x[g], &mut y[g], re[g], im[g]);
                    let now = norm(x[g], y[g]);
                    last[g] = simd.select_f64s(stay[g], now, last[g]);
                    stay[g] = inside(now);
                    taken[g] = simd.select_f64s(stay[g], simd.add_f64s(taken[g], one), taken[g]);
                }
            }
            let mut all_stay = stay[0];
            for g in 0..GROUP {
                all_stay = simd.and_m64s(all_stay, stay[g]);
                let before = simd.splat_f64s(f64::from(done));
                counts[g] = simd.select_f64s(stay[g], counts[g], simd.add_f64s(before, taken[g]));
                norms[g] = simd.select_f64s(stay[g], norms[g], last[g]);
            }
            blind = all(simd, all_stay);
        }
        done += steps;
        let mut rest = !blind;
        if blind && done >= look {
            let first = look == PATIENCE;
            look = done + (done / 2).max(PATIENCE);
            for g in 0..GROUP {
                if first {
                    traps[g] = trap(simd, re[g], im[g]);
                }
                stay[g] = simd.not_m64s(traps[g].holds(simd, x[g], y[g]));
                rest |= !all(simd, stay[g]);
            }
        }
        if rest {
            let mut any_alive = simd.and_m64s(alive[0], stay[0]);
            for g in 0..GROUP {
                alive[g] = simd.and_m64s(alive[g], stay[g]);
                any_alive = simd.or_m64s(any_alive, alive[g]);
                x[g] = simd.select_f64s(stay[g], x[g], zero);
                y[g] = simd.select_f64s(stay[g], y[g], zero);
                re[g] = simd.select_f64s(stay[g], re[g], zero);
                im[g] = simd.select_f64s(stay[g], im[g], zero);
            }
            if !any(simd, any_alive) {
                break;
            }
        }
    }
    (norms, counts)
}

#[inline(always)]
fn all<S: Simd>(simd: S, mask: S::m64s) -> bool {
    !any(simd, simd.not_m64s(mask))
}

#[inline(always)]
fn any<S: Simd>(simd: S, mask: S::m64s) -> bool {
    simd.first_true_m64s(mask) < S::F64_LANES
}
