//! How many steps points stay within the escape radius, a few dozen points at a time in vector registers.

use pulp::{Simd, WithSimd};

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
pub(super) const RADIUS_SQUARED: f64 = 65_536.0;

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
