//! Sums of one block: of integers exactly, of floats with what rounding lost.

use super::Partial;
use super::scan::{Accumulate, LANES, Lanes, Stored, scan};
use super::twofold::{Twofold, two_sum};

/// An integer of at most 64 bits as high * 2^32 + low, so that lanes of 64 bits can add up a block of them.
pub(super) trait Integer: Copy {
    fn halves(self) -> (i64, i64);
}

macro_rules! narrow {
    ($($number:ty),*) => {$(
        impl Integer for $number {
            #[inline(always)]
            fn halves(self) -> (i64, i64) {
                (0, i64::from(self))
            }
        }
    )*};
}

narrow!(i8, i16, i32, u8, u16, u32);

impl Integer for i64 {
    #[inline(always)]
    fn halves(self) -> (i64, i64) {
        (self >> 32, self & 0xffff_ffff)
    }
}

impl Integer for u64 {
    #[inline(always)]
    fn halves(self) -> (i64, i64) {
        ((self >> 32) as i64, (self & 0xffff_ffff) as i64)
    }
}

pub(super) struct Integers {
    high: [i64; LANES],
    low: [i64; LANES],
}

impl Integers {
    pub(super) const ZERO: Integers = Integers { high: [0; LANES], low: [0; LANES] };
}

impl Lanes for Integers {
    fn partial(&self, lane: usize) -> Option<Partial> {
        Some(Partial::of_int((i128::from(self.high[lane]) << 32) + i128::from(self.low[lane])))
    }
}

impl<V: Integer> Accumulate<V> for Integers {
    #[inline(always)]
    fn take(&mut self, lane: usize, value: V) {
        // No overflow: a block has 2^16 elements and a half is below 2^32.
        let (high, low) = value.halves();
        self.high[lane] += high;
        self.low[lane] += low;
    }
}

/// The exact sum of a block.
pub(super) fn integers<S: Stored<Value: Integer>>(bytes: &[u8]) -> Partial {
    let lanes = scan::<S, _>(bytes, Integers::ZERO);
    let total = |lanes: [i64; LANES]| lanes.into_iter().map(i128::from).sum::<i128>();
    Partial::of_int((total(lanes.high) << 32) + total(lanes.low))
}

/// A float as added up: `f64` as it is, narrower ones exactly widened.
pub(super) trait Float: Copy + Into<f64> {
    /// Whether lanes keep what rounding lost. Narrow floats have at least 29 bits to spare in a lane of `f64`, more than
    /// 2^16 additions can use up.
    const COMPENSATE: bool;
}

impl Float for f32 {
    const COMPENSATE: bool = false;
}

impl Float for f64 {
    const COMPENSATE: bool = true;
}

pub(super) struct Floats {
    sum: [f64; LANES],
    lost: [f64; LANES],
}

impl Floats {
    pub(super) const ZERO: Floats = Floats { sum: [0.0; LANES], lost: [0.0; LANES] };

    #[inline(always)]
    pub(super) fn add(&mut self, lane: usize, term: f64, compensate: bool) {
        if compensate {
            let (sum, lost) = two_sum(self.sum[lane], term);
            self.sum[lane] = sum;
            self.lost[lane] += lost;
        } else {
            self.sum[lane] += term;
        }
    }

    pub(super) fn lane(&self, lane: usize) -> Twofold {
        Twofold { sum: self.sum[lane], lost: self.lost[lane] }
    }

    pub(super) fn total(&self) -> Twofold {
        let mut total = Twofold::default();
        (0..LANES).for_each(|lane| total.add(self.lane(lane)));
        total
    }
}

impl Lanes for Floats {
    fn partial(&self, lane: usize) -> Option<Partial> {
        Some(Partial::of_twofold(self.lane(lane), 0))
    }
}

impl<V: Float> Accumulate<V> for Floats {
    #[inline(always)]
    fn take(&mut self, lane: usize, value: V) {
        self.add(lane, value.into(), V::COMPENSATE);
    }
}

/// The sum of a block and what it is short of.
pub(super) fn floats<S: Stored<Value: Float>>(bytes: &[u8]) -> Partial {
    Partial::of_twofold(scan::<S, _>(bytes, Floats::ZERO).total(), 0)
}

/// The `f64` nearest to `sum` / `count`; `count` is not 0.
pub(super) fn quotient(sum: i128, count: u64) -> f64 {
    let magnitude = sum.unsigned_abs();
    if magnitude == 0 {
        return 0.0;
    }
    // With its top bit set the dividend gives a quotient of 64 bits or more; the last one stands for a remainder, far
    // below the bit at which the conversion rounds.
    let shift = magnitude.leading_zeros();
    let (shifted, count) = (magnitude << shift, u128::from(count));
    let quotient = (shifted / count) | u128::from(!shifted.is_multiple_of(count));
    let nearest = quotient as f64 * 2_f64.powi(-(shift as i32));
    if sum < 0 { -nearest } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::quotient;

    #[test]
    fn quotients_are_rounded_once() {
        // (2^53 + 1) / 1 is a tie and goes to even; a little more is above it.
        let tie = (1_i128 << 53) + 1;
        assert_eq!(quotient(tie, 1), 9_007_199_254_740_992.0);
        assert_eq!(quotient(3 * tie + 1, 3), 9_007_199_254_740_994.0);
        assert_eq!(quotient(-1, 3), -1.0 / 3.0);
        assert_eq!(quotient(0, 7), 0.0);
        // Python: float(fractions.Fraction(-(2**123) + 12345, 10**18))
        assert_eq!(quotient(-(1 << 123) + 12345, 1_000_000_000_000_000_000), -1.0633823966279328e19);
    }
}
