//! Who would get which slice, worked out without running anything.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Schedule;

/// One slice in a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// The slice's number.
    pub slice: usize,
    /// Who works on it.
    pub rank: usize,
    /// When it is begun, in the unit of the costs.
    pub start: f64,
    /// When it is done.
    pub end: f64,
}

/// Deals slices of the given costs to `workers` that are equally fast and never wait for anything but work; in order of slices.
///
/// Worker 0 asks first; among workers that are free at the same time, the lower rank asks first. A real run differs in
/// that its times are real.
///
/// ```
/// use parfork::slices::{Schedule, plan};
/// let turns = plan(Schedule::DYNAMIC, &[3.0, 1.0, 1.0, 1.0], 2);
/// let ranks: Vec<usize> = turns.iter().map(|turn| turn.rank).collect();
/// assert_eq!(ranks, [0, 1, 1, 1]);
/// ```
///
/// # Panics
/// If there are no workers, or a cost is not a number.
pub fn plan(schedule: Schedule, costs: &[f64], workers: usize) -> Vec<Turn> {
    assert!(workers > 0, "a plan needs a worker");
    let mut turns = Vec::with_capacity(costs.len());
    let mut work = |rank: usize, mut now: f64, run: std::ops::Range<usize>| {
        for slice in run {
            assert!(!costs[slice].is_nan(), "the cost of slice {slice} is not a number");
            turns.push(Turn { slice, rank, start: now, end: now + costs[slice] });
            now += costs[slice];
        }
        now
    };
    if schedule == Schedule::Static {
        for rank in 0..workers {
            let run = schedule.fixed(costs.len(), workers, rank).unwrap_or_default();
            work(rank, 0.0, run);
        }
        return turns;
    }
    let mut free: BinaryHeap<Reverse<(Moment, usize)>> =
        (0..workers).map(|rank| Reverse((Moment(0.0), rank))).collect();
    let mut next = 0;
    while next < costs.len() {
        let Some(Reverse((Moment(now), rank))) = free.pop() else { break };
        let portion = schedule.portion(costs.len() - next, workers);
        let end = work(rank, now, next..next + portion);
        free.push(Reverse((Moment(end), rank)));
        next += portion;
    }
    turns
}

/// A time that can be ordered.
#[derive(PartialEq)]
struct Moment(f64);

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_slice_is_dealt_once(costs in prop::collection::vec(0.0..9.0, 0..200), workers in 1..40_usize, which in 0..3_usize) {
            let schedule = ["static", "dynamic=3", "guided"][which].parse().unwrap();
            let turns = plan(schedule, &costs, workers);
            prop_assert!(turns.iter().map(|turn| turn.slice).eq(0..costs.len()));
            for rank in 0..workers {
                let mut now = 0.0;
                for turn in turns.iter().filter(|turn| turn.rank == rank) {
                    prop_assert!(turn.start >= now);
                    now = turn.end;
                }
            }
        }
    }

    #[test]
    fn dynamic_evens_out_what_static_does_not() {
        let uneven: Vec<f64> = (0..100).map(f64::from).collect();
        let makespan = |schedule| plan(schedule, &uneven, 4).iter().map(|turn| turn.end).fold(0.0, f64::max);
        assert!(makespan(Schedule::Static) > 1.5 * makespan(Schedule::DYNAMIC));
    }
}
