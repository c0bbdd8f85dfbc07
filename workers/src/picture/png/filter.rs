//! The filters of PNG (PNG specification, 9): each byte less a guess from those to its left and above.

use pulp::{Simd, WithSimd};

use crate::simd;

/// Bytes that are looked at side by side.
const LANES: usize = 64;

/// Writes the number of a filter and the row `now`, filtered, to `to`: of all five filters the one whose bytes, as numbers
/// with a sign, are least in sum. That is the heuristic of the specification (12.7), and what libpng does.
///
/// `above` is the row above, or zeros; `pixel` the distance of a byte to its neighbour.
pub(super) fn row(to: &mut [u8], now: &[u8], above: &[u8], pixel: usize) {
    simd::arch().dispatch(Row { to, now, above, pixel });
}

struct Row<'a> {
    to: &'a mut [u8],
    now: &'a [u8],
    above: &'a [u8],
    pixel: usize,
}

impl WithSimd for Row<'_> {
    type Output = ();

    /// For the compiler to vectorise, with all that it calls in it.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { to, now, above, pixel } = self;
        let neighbours = Neighbours::of(now, above, pixel);
        let sums = [
            neighbours.sum(none),
            neighbours.sum(sub),
            neighbours.sum(up),
            neighbours.sum(average),
            neighbours.sum(paeth),
        ];
        let mut least = 0;
        for filter in 1..sums.len() {
            least = if sums[filter] < sums[least] { filter } else { least };
        }
        to[0] = least as u8;
        let to = &mut to[1..];
        match least {
            0 => neighbours.write(to, none),
            1 => neighbours.write(to, sub),
            2 => neighbours.write(to, up),
            3 => neighbours.write(to, average),
            _ => neighbours.write(to, paeth),
        }
    }
}

/// What a filter makes of a byte `x`, where `a` is its neighbour to the left, `b` the one above, `c` that to the left of `b`.
trait Rule: Fn(u8, u8, u8, u8) -> u8 + Copy {}
impl<F: Fn(u8, u8, u8, u8) -> u8 + Copy> Rule for F {}

#[inline(always)]
fn none(x: u8, _: u8, _: u8, _: u8) -> u8 {
    x
}

#[inline(always)]
fn sub(x: u8, a: u8, _: u8, _: u8) -> u8 {
    x.wrapping_sub(a)
}

#[inline(always)]
fn up(x: u8, _: u8, b: u8, _: u8) -> u8 {
    x.wrapping_sub(b)
}

#[inline(always)]
fn average(x: u8, a: u8, b: u8, _: u8) -> u8 {
    x.wrapping_sub((a & b) + ((a ^ b) >> 1))
}

/// Less the one of the three that is nearest to a + b - c. The distances are |b - c|, |a - c| and the sum or difference of
/// these two, which 8 bits hold: a sum is above both, and then how far does not matter.
#[inline(always)]
fn paeth(x: u8, a: u8, b: u8, c: u8) -> u8 {
    let (to_a, to_b) = (b.abs_diff(c), a.abs_diff(c));
    let to_c = if (a > c) == (c > b) { to_a.abs_diff(to_b) } else { u8::MAX };
    let other = if to_b <= to_c { b } else { c };
    x.wrapping_sub(if to_a <= to_b && to_a <= to_c { a } else { other })
}

/// A row's bytes with their neighbours: those of the first pixel, which have none to the left, and all others.
struct Neighbours<'a> {
    first: (&'a [u8], &'a [u8]),
    x: &'a [u8],
    a: &'a [u8],
    b: &'a [u8],
    c: &'a [u8],
}

impl<'a> Neighbours<'a> {
    #[inline(always)]
    fn of(now: &'a [u8], above: &'a [u8], pixel: usize) -> Self {
        let rest = now.len() - pixel;
        let first = (&now[..pixel], &above[..pixel]);
        Self { first, x: &now[pixel..], a: &now[..rest], b: &above[pixel..now.len()], c: &above[..rest] }
    }

    #[inline(always)]
    fn sum(&self, rule: impl Rule) -> u64 {
        /// So many bytes add up in 16 bits.
        const ROUNDS: usize = 256;

        let mut all = 0;
        for (&x, &b) in self.first.0.iter().zip(self.first.1) {
            all += u64::from(size(rule(x, 0, b, 0)));
        }
        let (mut sums, mut rounds) = ([0_u16; LANES], 0);
        let (xs, x) = self.x.as_chunks::<LANES>();
        let ((a_s, a), (bs, b)) = (self.a.as_chunks::<LANES>(), self.b.as_chunks::<LANES>());
        let (cs, c) = self.c.as_chunks::<LANES>();
        for (((xs, a_s), bs), cs) in xs.iter().zip(a_s).zip(bs).zip(cs) {
            for lane in 0..LANES {
                sums[lane] += u16::from(size(rule(xs[lane], a_s[lane], bs[lane], cs[lane])));
            }
            rounds += 1;
            if rounds == ROUNDS {
                for sum in &mut sums {
                    all += u64::from(std::mem::take(sum));
                }
                rounds = 0;
            }
        }
        for sum in sums {
            all += u64::from(sum);
        }
        for (((&x, &a), &b), &c) in x.iter().zip(a).zip(b).zip(c) {
            all += u64::from(size(rule(x, a, b, c)));
        }
        all
    }

    #[inline(always)]
    fn write(&self, to: &mut [u8], rule: impl Rule) {
        let (first, to) = to.split_at_mut(self.first.0.len());
        for ((to, &x), &b) in first.iter_mut().zip(self.first.0).zip(self.first.1) {
            *to = rule(x, 0, b, 0);
        }
        for ((((to, &x), &a), &b), &c) in to.iter_mut().zip(self.x).zip(self.a).zip(self.b).zip(self.c) {
            *to = rule(x, a, b, c);
        }
    }
}

/// How far a filtered byte is from 0, as a number with a sign.
#[inline(always)]
fn size(byte: u8) -> u8 {
    byte.cast_signed().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the specification writes it (9.4).
    fn predictor(a: i32, b: i32, c: i32) -> i32 {
        let p = a + b - c;
        let (pa, pb, pc) = ((p - a).abs(), (p - b).abs(), (p - c).abs());
        if pa <= pb && pa <= pc {
            a
        } else if pb <= pc {
            b
        } else {
            c
        }
    }

    #[test]
    fn rules_are_those_of_the_specification() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(average(0, a, b, 0), ((u16::from(a) + u16::from(b)) / 2).wrapping_neg() as u8);
                for c in 0..=255 {
                    let guess = predictor(a.into(), b.into(), c.into());
                    assert_eq!(paeth(9, a, b, c), 9_u8.wrapping_sub(guess as u8), "{a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn the_least_sum_decides() {
        let ramp = |slope: u8| (0..100_u8).map(|x| x.wrapping_mul(slope)).collect::<Vec<_>>();
        let filtered = |now: &[u8], above: &[u8]| {
            let mut to = vec![99; now.len() + 1];
            row(&mut to, now, above, 1);
            to
        };
        assert_eq!(filtered(&[0; 70], &[9; 70]), [0; 71]);
        assert_eq!(filtered(&ramp(1), &[0; 100])[..4], [1, 0, 1, 1]);
        assert_eq!(filtered(&ramp(7), &ramp(7)), [[2].as_slice(), &[0; 100]].concat());
        assert_eq!(filtered(&[5], &[5]), [2, 0]);
    }
}
