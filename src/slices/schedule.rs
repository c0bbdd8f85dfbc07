//! In which portions slices are given to workers: OpenMP's three ways.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::str::FromStr;

/// How slices are given out.
///
/// The result is the same for each; they differ in how evenly uneven work is shared, and in how often workers ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Schedule {
    /// Each worker has one run of neighbouring slices, fixed beforehand. Nobody asks; uneven work stays uneven.
    Static,
    /// A worker that is free takes the next `chunk` slices.
    Dynamic {
        /// Slices taken at a time.
        chunk: NonZeroUsize,
    },
    /// A worker that is free takes a share of what is left, 1 / workers of it, so that portions shrink to one slice.
    Guided,
}

impl Schedule {
    /// One slice at a time.
    pub const DYNAMIC: Self = Self::Dynamic { chunk: NonZeroUsize::MIN };

    /// As a number, for another process of the same program.
    pub(crate) fn word(self) -> u64 {
        match self {
            Self::Static => 0,
            Self::Guided => u64::MAX,
            Self::Dynamic { chunk } => (chunk.get() as u64).min(u64::MAX - 1),
        }
    }

    /// What a number stands for.
    pub(crate) fn of_word(word: u64) -> Self {
        match NonZeroUsize::new(word as usize) {
            None => Self::Static,
            Some(_) if word == u64::MAX => Self::Guided,
            Some(chunk) => Self::Dynamic { chunk },
        }
    }

    /// Static: the slices of worker `rank` of `workers`, nearly equal runs in order of rank. Else nothing is fixed.
    pub fn fixed(self, slices: usize, workers: usize, rank: usize) -> Option<Range<usize>> {
        let at = |rank: usize| rank * (slices / workers) + rank.min(slices % workers);
        (self == Self::Static && rank < workers).then(|| at(rank)..at(rank + 1))
    }

    /// How many slices a worker takes when `left` are left: at least 1, at most `left`, which is not 0.
    pub fn portion(self, left: usize, workers: usize) -> usize {
        match self {
            Self::Static => left.div_ceil(workers),
            Self::Dynamic { chunk } => chunk.get().min(left),
            Self::Guided => left.div_ceil(workers),
        }
    }

    /// The run of slices that follows `dealt` of them, of `slices` in all for so many `workers`; `None` if that is all of them.
    /// Not for [`Static`](Self::Static), whose runs are [`fixed`](Self::fixed).
    ///
    /// Asked by who deals in a job, from a counter that workers share, and by who only works out what would be dealt (`plan`).
    pub fn run(self, dealt: usize, slices: usize, workers: usize) -> Option<Range<usize>> {
        let left = slices.checked_sub(dealt).filter(|&left| left > 0)?;
        Some(dealt..dealt + self.portion(left, workers))
    }
}

impl Default for Schedule {
    /// One slice at a time: right for uneven work and for machines with other things to do, and a claim costs nanoseconds.
    fn default() -> Self {
        Self::DYNAMIC
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static => f.pad("static"),
            Self::Dynamic { chunk } if chunk.get() == 1 => f.pad("dynamic"),
            Self::Dynamic { chunk } => f.pad(&format!("dynamic={chunk}")),
            Self::Guided => f.pad("guided"),
        }
    }
}

/// Reads `static`, `dynamic`, `dynamic=CHUNK` or `guided`.
impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        match text.split_once('=').unwrap_or((text, "")) {
            ("static", "") => Ok(Self::Static),
            ("guided", "") => Ok(Self::Guided),
            ("dynamic", "") if !text.ends_with('=') => Ok(Self::DYNAMIC),
            ("dynamic", chunk) => {
                chunk.parse().map(|chunk| Self::Dynamic { chunk }).map_err(|_| ScheduleError(text.to_owned()))
            }
            _ => Err(ScheduleError(text.to_owned())),
        }
    }
}

/// A text that names no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a schedule. Write static, dynamic, dynamic=CHUNK (1 or more slices at a time) or guided.")]
pub struct ScheduleError(String);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fixed_runs_follow_each_other_and_cover(slices in 0..5000_usize, workers in 1..300_usize) {
            let mut next = 0;
            for rank in 0..workers {
                let run = Schedule::Static.fixed(slices, workers, rank).unwrap();
                prop_assert_eq!(run.start, next);
                prop_assert!(run.len() == slices / workers || run.len() == slices / workers + 1);
                next = run.end;
            }
            prop_assert_eq!(next, slices);
        }

        #[test]
        fn portions_are_neither_nothing_nor_too_much(left in 1..100_000_usize, workers in 1..300_usize, chunk in 1..500_usize) {
            let dynamic = Schedule::Dynamic { chunk: NonZeroUsize::new(chunk).unwrap() };
            for schedule in [Schedule::Static, dynamic, Schedule::Guided] {
                let portion = schedule.portion(left, workers);
                prop_assert!((1..=left).contains(&portion));
            }
        }
    }

    #[test]
    fn text_and_back() {
        for text in ["static", "dynamic", "dynamic=7", "guided"] {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        for text in ["", "dynamic=", "dynamic=0", "dynamic=-1", "static=4", "guided=2", "random"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
}
