//! How far a job has come, in words.

use std::fmt;

/// How much of a job is done: slices, or steps of slices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HowFar {
    /// Slices that are done; in a job of steps, steps of slices.
    pub(crate) done: usize,
    /// Slices there are.
    pub(crate) slices: usize,
    /// How many steps each has; 0 in a job without.
    pub(crate) steps: u32,
}

impl HowFar {
    /// Nothing is done of so many slices.
    pub(crate) fn nothing(slices: usize, steps: u32) -> Self {
        Self { done: 0, slices, steps }
    }
}

/// `3 of 8 slices`, or `120 of 8000 steps of 8 slices`.
impl fmt::Display for HowFar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, slices, steps } = self;
        match steps {
            0 => write!(f, "{done} of {slices} slices"),
            _ => write!(f, "{done} of {} steps of {slices} slices", *slices as u128 * u128::from(*steps)),
        }
    }
}
