//! Sums of squares of one block: of integers exactly, of floats scaled so that no square overflows or vanishes.

use super::Partial;
use super::scan::{Accumulate, LANES, Lanes, Stored, scan};
use super::sum::{Float, Floats};
use super::twofold::Twofold;

/// An integer that can be squared exactly.
pub(super) trait Square: Copy {
    /// Its magnitude.
    fn magnitude(self) -> u64;
    /// Whether a square fits in 64 bits.
    const NARROW: bool;
}

macro_rules! square {
    ($($number:ty, $magnitude:expr;)*) => {$(
        impl Square for $number {
            const NARROW: bool = size_of::<$number>() <= 4;
            #[inline(always)]
            fn magnitude(self) -> u64 {
                let magnitude: fn($number) -> _ = $magnitude;
                u64::from(magnitude(self))
            }
        }
    )*};
}

square! {
    i8, |x| x.unsigned_abs();
    i16, |x| x.unsigned_abs();
    i32, |x| x.unsigned_abs();
    i64, |x| x.unsigned_abs();
    u8, |x| x;
    u16, |x| x;
    u32, |x| x;
    u64, |x| x;
}

/// The sum of squares of integers: `rest` + `carries` * 2^128. Exact for all arrays there can be.
#[derive(Clone, Copy, Default)]
pub(super) struct Squares {
    pub(super) rest: u128,
    pub(super) carries: u64,
}

impl Squares {
    #[inline(always)]
    pub(super) fn add(&mut self, other: Squares) {
        let (rest, carried) = self.rest.overflowing_add(other.rest);
        *self = Squares { rest, carries: self.carries + other.carries + u64::from(carried) };
    }

    /// The nearest `f64` and what it is short of.
    pub(super) fn twofold(self) -> Twofold {
        let mut total = Twofold { sum: self.carries as f64 * 2_f64.powi(128), lost: 0.0 };
        // 43 bits each: exact.
        for shift in [86, 43, 0] {
            let part = ((self.rest >> shift) & ((1 << 43) - 1)) as f64;
            total.add(Twofold { sum: part * 2_f64.powi(shift), lost: 0.0 });
        }
        total
    }
}

/// Squares of 64 bits in two halves, so that lanes of 64 bits can add up a block of them.
pub(super) struct Narrow {
    high: [u64; LANES],
    low: [u64; LANES],
}

impl Narrow {
    pub(super) const ZERO: Narrow = Narrow { high: [0; LANES], low: [0; LANES] };
}

impl Lanes for Narrow {
    fn partial(&self, lane: usize) -> Option<Partial> {
        let rest = (u128::from(self.high[lane]) << 32) + u128::from(self.low[lane]);
        Some(Partial::of_squares(Squares { rest, carries: 0 }))
    }
}

/// Squares of up to 128 bits, in lanes.
#[derive(Default)]
pub(super) struct Wide([Squares; LANES]);

impl Lanes for Wide {
    fn partial(&self, lane: usize) -> Option<Partial> {
        Some(Partial::of_squares(self.0[lane]))
    }
}

impl<V: Square> Accumulate<V> for Wide {
    #[inline(always)]
    fn take(&mut self, lane: usize, value: V) {
        self.0[lane].take(lane, value);
    }
}

impl<V: Square> Accumulate<V> for Narrow {
    #[inline(always)]
    fn take(&mut self, lane: usize, value: V) {
        let square = value.magnitude() * value.magnitude();
        self.high[lane] += square >> 32;
        self.low[lane] += square & 0xffff_ffff;
    }
}

impl<V: Square> Accumulate<V> for Squares {
    #[inline(always)]
    fn take(&mut self, _: usize, value: V) {
        let magnitude = u128::from(value.magnitude());
        self.add(Squares { rest: magnitude * magnitude, carries: 0 });
    }
}

/// The exact sum of squares of a block.
pub(super) fn integers<S: Stored<Value: Square>>(bytes: &[u8]) -> Partial {
    Partial::of_squares(if S::Value::NARROW {
        let lanes = scan::<S, _>(bytes, Narrow::ZERO);
        let total = |lanes: [u64; LANES]| lanes.into_iter().map(u128::from).sum::<u128>();
        Squares { rest: (total(lanes.high) << 32) + total(lanes.low), carries: 0 }
    } else {
        scan::<S, _>(bytes, Squares::default())
    })
}

pub(super) struct Plain(pub(super) Floats);

impl Lanes for Plain {
    fn partial(&self, lane: usize) -> Option<Partial> {
        of_plain(self.0.lane(lane))
    }
}

impl<V: Float> Accumulate<V> for Plain {
    #[inline(always)]
    fn take(&mut self, lane: usize, value: V) {
        let value: f64 = value.into();
        // Rounding a square costs its share of half a unit: all terms are positive, so the sum is off by no more.
        self.0.add(lane, value * value, V::COMPENSATE);
    }
}

/// As [`Plain`], of numbers times two powers of two: one alone cannot lift the least number to 1.
struct Scaled(Floats, [f64; 2]);

impl<V: Float> Accumulate<V> for Scaled {
    #[inline(always)]
    fn take(&mut self, lane: usize, value: V) {
        let scaled = value.into() * self.1[0] * self.1[1];
        self.0.add(lane, scaled * scaled, V::COMPENSATE);
    }
}

/// The largest magnitude, and NaN if there is one.
struct Largest([f64; LANES]);

impl<V: Float> Accumulate<V> for Largest {
    #[inline(always)]
    fn take(&mut self, lane: usize, value: V) {
        let magnitude = value.into().abs();
        let kept = self.0[lane];
        self.0[lane] = if kept >= magnitude || kept.is_nan() { kept } else { magnitude };
    }
}

/// Below this, squares that vanish (under 2^-1022) could matter; above, all of a block's together do not.
const SAFE: f64 = f64::from_bits((1023 - 900) << 52);

/// The sum of squares of a block, scaled into 1..4 by an even power of two. The second pass that scaling takes is made
/// only when the plain sum of squares has overflowed or is tiny (the idea of LAPACK's dnrm2: Blue, ACM TOMS 4, 1978).
pub(super) fn floats<S: Stored<Value: Float>>(bytes: &[u8]) -> Partial {
    let plain = scan::<S, _>(bytes, Plain(Floats::ZERO)).0.total();
    if let Some(partial) = of_plain(plain) {
        return partial;
    }
    let mut largest = 0.0;
    for lane in scan::<S, _>(bytes, Largest([0.0; LANES])).0 {
        largest = if largest >= lane || f64::is_nan(largest) { largest } else { lane };
    }
    if largest == 0.0 || !largest.is_finite() {
        return Partial::of_twofold(Twofold { sum: largest, lost: 0.0 }, 0);
    }
    let exponent = exponent(largest);
    let half = exponent / 2;
    let scale = [2_f64.powi(-half), 2_f64.powi(half - exponent)];
    normalized(scan::<S, _>(bytes, Scaled(Floats::ZERO, scale)).0.total(), i64::from(exponent))
}

/// Of squares that were not scaled, if none can have overflowed or vanished.
fn of_plain(plain: Twofold) -> Option<Partial> {
    (plain.sum.is_finite() && plain.sum >= SAFE).then(|| normalized(plain, 0))
}

/// `squares` * 4^`scale` with `squares` brought into 1..4; it is finite and not 0.
fn normalized(squares: Twofold, scale: i64) -> Partial {
    let more = exponent(squares.sum).div_euclid(2);
    Partial::of_twofold(shifted(squares, -more), scale + i64::from(more))
}

/// `squares` * 4^`scale`.
fn shifted(squares: Twofold, scale: i32) -> Twofold {
    let factor = 2_f64.powi(scale);
    Twofold { sum: squares.sum * factor * factor, lost: squares.lost * factor * factor }
}

/// The floor of the binary logarithm of a positive finite number.
fn exponent(x: f64) -> i32 {
    let biased = |x: f64| (x.to_bits() >> 52) as i32 - 1023;
    if x.is_normal() { biased(x) } else { biased(x * 2_f64.powi(64)) - 64 }
}

/// A sum of squares in the making: `squares` * 4^`scale`, on the scale of its largest block.
#[derive(Default)]
pub(super) struct Total {
    squares: Twofold,
    scale: i64,
}

impl Total {
    pub(super) fn add(&mut self, squares: Twofold, scale: i64) {
        // Zero has no scale, and infinity and NaN need none.
        let unscaled = |x: f64| x == 0.0 || !x.is_finite();
        if unscaled(self.squares.sum) {
            self.scale = scale;
        }
        let top = if unscaled(squares.sum) { self.scale } else { self.scale.max(scale) };
        // Beyond 2^-1022 the smaller one has vanished long before.
        let down = |scale: i64| (scale - top).max(-1022) as i32;
        self.squares = shifted(self.squares, down(self.scale));
        self.squares.add(shifted(squares, if unscaled(squares.sum) { 0 } else { down(scale) }));
        self.scale = top;
    }

    pub(super) fn root(&self) -> f64 {
        let root = if self.squares.sum.is_finite() { self.squares.sqrt() } else { self.squares.sum };
        // In two factors: the power of two alone may be out of range.
        let half = (self.scale / 2) as i32;
        root * 2_f64.powi(half) * 2_f64.powi(self.scale as i32 - half)
    }
}
