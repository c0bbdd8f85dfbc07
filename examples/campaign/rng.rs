//! Numbers by chance that come again with the same seed.

use std::ops::Range;

/// A stream of numbers.
pub(crate) struct TrialRng(fastrand::Rng);

/// A number of which every bit depends on every bit of `value`: what bodies compute (the finalizer of SplitMix64, Steele, Lea and Flood
/// 2014).
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl TrialRng {
    /// The stream of one trial: neighbours in a campaign have nothing in common.
    pub(crate) fn of(seed: u64, trial: u64) -> Self {
        Self(fastrand::Rng::with_seed(mix(seed) ^ mix(trial)))
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// One of a range, which is not empty.
    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        self.0.usize(range)
    }

    /// One of several.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.within(0..of.len())]
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn in_a_hundred(&mut self, percent: u64) -> bool {
        self.0.u64(..100) < percent
    }
}
