//! What a picture's sample can do: the arithmetic that the filters need, for 8 and for 16 bits.
//!
//! Every operation here is a plain scalar one, so that a loop over samples gives the same bits whether the
//! compiler turns it into SIMD or not.

use std::fmt::Debug;
use std::ops::{Add, Sub};

use super::Filter;
use super::picture::{Region, Source};

/// A sample of a picture: `u8` or `u16`. Sealed: the filters know these two.
///
/// ```
/// use parfork_workers::filter::Sample;
/// assert_eq!(u8::from_f32(254.5), 254); // ties go to even, as OpenCV's do
/// assert_eq!(u8::from_f32(300.0), 255);
/// assert_eq!(u16::from_f32(-1.0), 0);
/// ```
pub trait Sample: sealed::Sealed + bytemuck::Pod + Ord + Send + Sync + Debug {
    /// White, or fully opaque.
    const MAX: Self;
    /// [`MAX`](Self::MAX) as a float.
    const MAX_F32: f32;
    /// Steps of this type in one 8-bit level: 1 or 257.
    const STEP: f64;
    /// A signed integer that holds twelve times [`MAX`](Self::MAX), for differences and small sums.
    type Wide: Wide;

    /// Exact.
    fn to_f32(self) -> f32;
    /// Rounds to the nearest, ties to even (as OpenCV does), and saturates; NaN becomes 0.
    fn from_f32(value: f32) -> Self;
    /// Exact.
    fn to_u32(self) -> u32;
    /// Keeps the low bits; `value` must be in range.
    fn from_u32(value: u32) -> Self;
    /// Exact.
    fn widen(self) -> Self::Wide;
    /// Saturates.
    fn narrow(value: Self::Wide) -> Self;
    /// `self + by`, at most [`MAX`](Self::MAX).
    fn plus(self, by: Self) -> Self;
    /// `self - by`, at least 0.
    fn minus(self, by: Self) -> Self;

    /// `self * by / MAX`, rounded.
    fn times(self, by: Self) -> Self;
    /// `self * MAX / by`, rounded down and saturated; `self` if `by` is 0.
    fn over(self, by: Self) -> Self;

    /// What resizing weighs by: rounded to 1/2^22 for `u8`, as Pillow's are, and to the nearest `f32` for `u16`.
    fn weight(exact: f64) -> f32;

    /// Filters a region; compiled once for each type.
    #[doc(hidden)]
    fn compute(filter: &Filter, source: &Source<'_, Self>, region: Region<'_, Self>);

    /// Scales a value in 8-bit levels to this type, rounded and saturated.
    fn from_level(level: f32) -> Self {
        Self::from_f32((f64::from(level) * Self::STEP) as f32)
    }
}

/// The integer that [`Sample::Wide`] is: `i16` for `u8`, `i32` for `u16`.
pub trait Wide: sealed::Sealed + Copy + Add<Output = Self> + Sub<Output = Self> {
    /// Exact for differences and sums of up to twelve samples.
    fn to_f32(self) -> f32;
    /// Exact for `i16`.
    fn to_i16(self) -> i16;
}

/// What weights of bytes count in, as Pillow's do: sums of weighed bytes then just fit `i32`, and each weight an `f32`.
pub(super) const FRACTION: f64 = (1 << 22) as f64;

/// Adding 2^23 to a float in 0..2^22 leaves its nearest integer in the low bits: one addition where a cast
/// would have to test for NaN and range.
pub(super) const ROUNDER: f32 = 8_388_608.0;

/// A quotient by a sample is whole or at least 1/65535 off: less by 2^-17 short of a half, it rounds to where it would
/// be rounded down to.
const ALMOST_HALF: f64 = 0.5 - 1.0 / 131_072.0;

/// As [`ROUNDER`]: 2^52 + 2^51, for numbers a little below 0 too.
const WHOLE: f64 = 6_755_399_441_055_744.0;

macro_rules! sample {
    ($sample:ty, $wide:ty, $step:expr, $weight:expr) => {
        impl Sample for $sample {
            const MAX: Self = <$sample>::MAX;
            const MAX_F32: f32 = <$sample>::MAX as f32;
            const STEP: f64 = $step;
            type Wide = $wide;

            #[inline(always)]
            fn to_f32(self) -> f32 {
                f32::from(self)
            }
            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                (value.max(0.0).min(Self::MAX_F32) + ROUNDER).to_bits() as Self
            }
            #[inline(always)]
            fn to_u32(self) -> u32 {
                u32::from(self)
            }
            #[inline(always)]
            fn from_u32(value: u32) -> Self {
                value as Self
            }
            #[inline(always)]
            fn widen(self) -> $wide {
                <$wide>::from(self)
            }
            #[inline(always)]
            fn narrow(value: $wide) -> Self {
                value.clamp(0, <$sample>::MAX as $wide) as Self
            }
            #[inline(always)]
            fn plus(self, by: Self) -> Self {
                self.saturating_add(by)
            }
            #[inline(always)]
            fn minus(self, by: Self) -> Self {
                self.saturating_sub(by)
            }
            #[inline(always)]
            fn times(self, by: Self) -> Self {
                let product = u32::from(self) * u32::from(by) + (1 << (Self::BITS - 1));
                (((product >> Self::BITS) + product) >> Self::BITS) as Self
            }
            #[inline(always)]
            fn over(self, by: Self) -> Self {
                let (max, by) = (f64::from(Self::MAX), if by == 0 { Self::MAX } else { by });
                let quotient = (f64::from(self) * max / f64::from(by)).min(max);
                (quotient - ALMOST_HALF + WHOLE).to_bits() as Self
            }
            #[inline(always)]
            fn weight(exact: f64) -> f32 {
                let weight: fn(f64) -> f32 = $weight;
                weight(exact)
            }
            fn compute(filter: &Filter, source: &Source<'_, Self>, region: Region<'_, Self>) {
                filter.compute(source, region);
            }
        }

        impl Wide for $wide {
            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }
            #[inline(always)]
            fn to_i16(self) -> i16 {
                self as i16
            }
        }

        impl sealed::Sealed for $sample {}
        impl sealed::Sealed for $wide {}
    };
}

sample!(u8, i16, 1.0, |exact| ((exact * FRACTION + 0.5_f64.copysign(exact)) as i32 as f64 / FRACTION) as f32);
sample!(u16, i32, 257.0, |exact| exact as f32);

mod sealed {
    pub trait Sealed {}
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn floats_round_to_even_and_saturate() {
        for (value, want) in [(0.5, 0), (1.5, 2), (2.49, 2), (254.6, 255), (1e30, 255), (-3.0, 0)] {
            assert_eq!(u8::from_f32(value), want, "{value}");
        }
        assert_eq!(u8::from_f32(f32::NAN), 0);
        assert_eq!(u16::from_f32(f32::INFINITY), u16::MAX);
        assert_eq!(u16::from_f32(65_534.4), 65_534);
    }

    #[test]
    fn alpha_is_multiplied_and_divided_in_whole_numbers() {
        for a in 0..=255_u8 {
            for b in 0..=255_u8 {
                let product = f64::from(a) * f64::from(b) / 255.0;
                assert_eq!(f64::from(a.times(b)), product.round(), "{a} * {b}");
                let quotient = if b == 0 { u32::from(a) } else { 255 * u32::from(a) / u32::from(b) };
                assert_eq!(u32::from(a.over(b)), quotient.min(255), "{a} / {b}");
            }
        }
        for (a, b) in (0..=u16::MAX).zip((0..=u16::MAX).map(|n| n.wrapping_mul(40_503))) {
            assert_eq!(f64::from(a.times(b)), (f64::from(a) * f64::from(b) / 65_535.0).round(), "{a} * {b}");
            let quotient = (65_535 * u32::from(a)).checked_div(u32::from(b)).unwrap_or(u32::from(a));
            assert_eq!(u32::from(a.over(b)), quotient.min(65_535), "{a} / {b}");
        }
    }

    #[test]
    fn every_sample_survives_the_way_there_and_back() {
        for value in 0..=u16::MAX {
            assert_eq!(u16::from_f32(value.to_f32()), value);
            assert_eq!(u16::narrow(value.widen()), value);
        }
    }

    #[test]
    fn a_level_is_257_steps_of_16_bits() {
        assert_eq!(u16::from_level(128.0), 128 * 257);
        assert_eq!(u16::from_level(1e9), u16::MAX);
        assert_eq!(u8::from_level(-1e9), 0);
    }
}
