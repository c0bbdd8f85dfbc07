//! Numbers by chance that come again with the same seed: splitmix64.

use std::ops::Range;

/// A stream of numbers.
pub(crate) struct Chance(u64);

/// A number of which every bit depends on every bit of `value`.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Chance {
    /// The stream of one trial: neighbours in a campaign have nothing in common.
    pub(crate) fn of(seed: u64, trial: u64) -> Self {
        Self(mix(seed) ^ mix(trial.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// One of a range, which is not empty.
    pub(crate) fn within(&mut self, range: Range<usize>) -> usize {
        range.start + (self.next() % (range.end - range.start) as u64) as usize
    }

    /// One of several.
    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.within(0..of.len())]
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn in_a_hundred(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}
