//! The colour of a point, smooth in the time it takes to escape.

use pulp::{Simd, WithSimd};

use super::escape::Row;

/// Finds the places in [`PALETTE`] of a row's points.
///
/// The smooth escape time is n + 1 - log2(log |z| / log R) (Linas Vepstas, "Renormalizing the Mandelbrot Escape", 1997);
/// one turn of the palette is four doublings of it, and 4, the neighbourhood of the whole set, is where it begins.
pub(super) struct Shade<'a> {
    pub(super) row: &'a Row,
    pub(super) limit: u32,
    pub(super) places: &'a mut [u16],
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
pub(super) const TURN: u16 = 1024;

/// The colours of one turn, between the stops that Ultra Fractal's default gradient made the usual ones, then black.
pub(super) static PALETTE: [[u8; 3]; TURN as usize + 1] = palette([
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
