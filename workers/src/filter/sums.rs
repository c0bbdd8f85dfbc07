//! Weighted sums for resizing, in `f32` and rounded: those of bytes as if they were exact, like Pillow's.
//!
//! Weights of bytes count in 1/2^22, so that a sum has 30 bits, and Pillow rounds that. An `f32` has 24, and what it loses is known not
//! to be more than [`LOST`] for each product. So the sum is computed once more, without loss, if it is so near to a half that this could matter:
//! one in a thousand, unless a picture is made for it.

use super::Sample;
use super::sample::{FRACTION, ROUNDER};
use super::vectors::Vectors;

/// Sums that are looked at together.
pub(super) const TOGETHER: usize = 16;

/// What rounding to `f32` loses at most of a sum of bytes for each product in it. Weights add up to 1, and without their signs to less than
/// 2, so that all is below 512 on the way, where half of the last bit is 2^-16; a product that is not fused with its addition loses 2^-17 more.
const LOST: f32 = 1.0 / 32_768.0;

/// Adds so many samples, weighed, to sums. Those of bytes may be fused: they are rounded as if they were exact.
#[inline(always)]
pub(super) fn add<V: Vectors, S: Sample, const N: usize>(sums: &mut [f32; N], samples: &[f32; N], weight: f32) {
    for i in 0..N {
        sums[i] = if V::FUSES && size_of::<S>() == 1 {
            samples[i].mul_add(weight, sums[i])
        } else {
            sums[i] + samples[i] * weight
        };
    }
}

/// Rounds sums of so many products. If any is in doubt, `products` adds the same products to sums that lose nothing.
#[inline(always)]
pub(super) fn round<S: Sample>(
    sums: &[f32; TOGETHER],
    count: usize,
    products: impl FnOnce(&mut [f64; TOGETHER]),
) -> [S; TOGETHER] {
    let mut rounded = [S::MAX; TOGETHER];
    for i in 0..TOGETHER {
        rounded[i] = S::from_f32(sums[i]);
    }
    if size_of::<S>() > 1 {
        return rounded;
    }
    let (lost, mut doubts) = (LOST * count as f32, 0);
    for sum in sums {
        let whole = (sum.max(0.0).min(S::MAX_F32) + ROUNDER) - ROUNDER;
        doubts += u32::from(((sum - whole).abs() - 0.5).abs() < lost);
    }
    if doubts > 0 {
        let mut exact = [0.0; TOGETHER];
        products(&mut exact);
        for i in 0..TOGETHER {
            let sum = (exact[i] * FRACTION) as i32 + (1 << 21);
            rounded[i] = S::from_u32((sum >> 22).clamp(0, 255) as u32);
        }
    }
    rounded
}

/// As [`add`], without loss.
#[inline(always)]
pub(super) fn add_exactly<const N: usize>(sums: &mut [f64; N], samples: &[f32; N], weight: f32) {
    for i in 0..N {
        sums[i] += f64::from(samples[i]) * f64::from(weight);
    }
}
