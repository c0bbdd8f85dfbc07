//! Who would get which slice, and when all would be done, worked out without running anything.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::Schedule;

/// One slice in a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannedSlice {
    /// The slice's number.
    pub slice: usize,
    /// Who works on it.
    pub rank: usize,
    /// With which run of slices it was given out, counted from 0: those of one run were asked for once.
    pub run: usize,
    /// When it is begun, in the unit of the costs.
    pub start: f64,
    /// When it is done.
    pub end: f64,
}

/// Deals slices of the given costs to `workers` that are equally fast and never wait for anything but work; in order of slices.
///
/// A simulation: whoever is free first asks next, and is dealt what a job's own dealer would give. Worker 0 asks first; among
/// workers that are free at the same time, the lower rank does. A real run differs in that its times are real, and in that to
/// ask takes time too (some ten nanoseconds).
///
/// ```
/// use parfork::slices::{Schedule, plan};
/// let planned = plan(Schedule::DYNAMIC, &[3.0, 1.0, 1.0, 1.0], 2);
/// let ranks: Vec<usize> = planned.iter().map(|one| one.rank).collect();
/// assert_eq!(ranks, [0, 1, 1, 1]);
/// ```
///
/// # Panics
/// If there are no workers, or a cost is not a number of 0 or more.
pub fn plan(schedule: Schedule, costs: &[f64], workers: usize) -> Vec<PlannedSlice> {
    assert!(workers > 0, "a plan needs a worker");
    let mut planned = Vec::with_capacity(costs.len());
    let mut runs = 0;
    let mut work = |rank: usize, mut now: f64, slices: Range<usize>| {
        runs += usize::from(!slices.is_empty());
        for slice in slices {
            let cost = costs[slice];
            assert!(cost >= 0.0, "the cost of slice {slice} is {cost}, and it takes 0 or more");
            planned.push(PlannedSlice { slice, rank, run: runs - 1, start: now, end: now + cost });
            now += cost;
        }
        now
    };
    if schedule == Schedule::Static {
        for rank in 0..workers {
            let slices = schedule.fixed(costs.len(), workers, rank).unwrap_or_default();
            work(rank, 0.0, slices);
        }
        return planned;
    }
    let mut free: BinaryHeap<Reverse<(OrderedTime, usize)>> =
        (0..workers).map(|rank| Reverse((OrderedTime(0.0), rank))).collect();
    let mut dealt = 0;
    while let Some(slices) = schedule.run(dealt, costs.len(), workers) {
        let Some(Reverse((OrderedTime(now), rank))) = free.pop() else { unreachable!("each is put back") };
        dealt = slices.end;
        let end = work(rank, now, slices);
        free.push(Reverse((OrderedTime(end), rank)));
    }
    planned
}

/// How long a plan takes, beside how long it would have to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    /// When the last worker is done.
    pub makespan: f64,
    /// What no schedule can beat: the larger of an equal share of all work and the longest slice.
    pub ideal: f64,
    /// What part of the workers' time until then is work: 1 if all are done at the same time, and if there is nothing to do.
    pub efficiency: f64,
    /// How often a worker asked and was given slices.
    pub runs: usize,
}

impl Balance {
    /// Of a plan for so many workers.
    ///
    /// ```
    /// use parfork::slices::{Balance, Schedule, plan};
    /// let costs = [1.0, 2.0, 3.0, 4.0];
    /// let fixed = Balance::of(&plan(Schedule::Static, &costs, 2), 2);
    /// assert_eq!((fixed.makespan, fixed.ideal), (7.0, 5.0));
    /// let asked = Balance::of(&plan(Schedule::DYNAMIC, &costs, 2), 2);
    /// assert_eq!((asked.makespan, asked.runs), (6.0, 4));
    /// ```
    ///
    /// # Panics
    /// If there are no workers.
    pub fn of(planned: &[PlannedSlice], workers: usize) -> Self {
        assert!(workers > 0, "a plan needs a worker");
        let spans = || planned.iter().map(|one| one.end - one.start);
        let makespan = planned.iter().map(|one| one.end).fold(0.0, f64::max);
        let share = spans().sum::<f64>() / workers as f64;
        let ideal = spans().fold(share, f64::max);
        // Sums of the same costs in another order differ in the last bits.
        let efficiency = if makespan > 0.0 { (share / makespan).min(1.0) } else { 1.0 };
        Self { makespan, ideal, efficiency, runs: planned.iter().map(|one| one.run + 1).max().unwrap_or(0) }
    }
}

/// A time that can be ordered.
#[derive(PartialEq)]
struct OrderedTime(f64);

impl Eq for OrderedTime {}

impl PartialOrd for OrderedTime {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedTime {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedules() -> impl Strategy<Value = Schedule> {
        (0..4_usize).prop_map(|which| ["static", "dynamic", "dynamic=3", "guided"][which].parse().unwrap())
    }

    /// Costs of whole numbers, so that sums are the same in any order.
    fn costs() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((0..9_u32).prop_map(f64::from), 0..200)
    }

    /// When all are done, by moving a clock on by one and looking at every worker each time; each cost is a whole number.
    fn tick_by_tick(schedule: Schedule, costs: &[f64], workers: usize) -> f64 {
        let mut hands: Vec<std::collections::VecDeque<usize>> = (0..workers)
            .map(|rank| schedule.fixed(costs.len(), workers, rank).into_iter().flatten().collect())
            .collect();
        let mut left: Vec<f64> = vec![0.0; workers];
        let (mut dealt, mut now) = (if schedule == Schedule::Static { costs.len() } else { 0 }, 0.0);
        loop {
            for (hand, left) in hands.iter_mut().zip(&mut left) {
                // Slices of no cost are done at once.
                while *left == 0.0 {
                    if hand.is_empty() && dealt < costs.len() {
                        let many = schedule.portion(costs.len() - dealt, workers);
                        hand.extend(dealt..dealt + many);
                        dealt += many;
                    }
                    let Some(slice) = hand.pop_front() else { break };
                    *left = costs[slice];
                }
            }
            if left.iter().all(|&left| left == 0.0) {
                return now;
            }
            left.iter_mut().for_each(|left| *left = (*left - 1.0).max(0.0));
            now += 1.0;
        }
    }

    proptest! {
        #[test]
        fn every_slice_is_dealt_once(costs in costs(), workers in 1..40_usize, schedule in schedules()) {
            let planned = plan(schedule, &costs, workers);
            prop_assert!(planned.iter().map(|one| one.slice).eq(0..costs.len()));
            prop_assert!(planned.iter().all(|one| one.end - one.start == costs[one.slice]));
            for rank in 0..workers {
                let mut now = 0.0;
                for one in planned.iter().filter(|one| one.rank == rank) {
                    prop_assert!(one.start >= now);
                    now = one.end;
                }
            }
            let mut runs: Vec<usize> = planned.iter().map(|one| one.run).collect();
            prop_assert!(runs.is_sorted());
            runs.dedup();
            prop_assert!(runs.into_iter().eq(0..Balance::of(&planned, workers).runs));
        }

        #[test]
        fn the_end_is_that_of_a_clock(costs in costs(), workers in 1..12_usize, schedule in schedules()) {
            let balance = Balance::of(&plan(schedule, &costs, workers), workers);
            prop_assert_eq!(balance.makespan, tick_by_tick(schedule, &costs, workers));
        }

        #[test]
        fn no_plan_beats_the_ideal(costs in costs(), workers in 1..40_usize, schedule in schedules()) {
            let balance = Balance::of(&plan(schedule, &costs, workers), workers);
            let total: f64 = costs.iter().sum();
            let longest = costs.iter().copied().fold(0.0, f64::max);
            prop_assert!(balance.makespan >= total / workers as f64 && balance.makespan >= longest);
            prop_assert!(balance.makespan >= balance.ideal && balance.makespan <= total);
            prop_assert!((0.0..=1.0).contains(&balance.efficiency));
            // Nobody is idle while slices are left: at most one slice is worked on after an equal share of the rest.
            if schedule == Schedule::DYNAMIC {
                prop_assert!(balance.makespan <= total / workers as f64 + longest);
            }
        }
    }

    #[test]
    fn dynamic_evens_out_what_static_does_not() {
        let uneven: Vec<f64> = (0..100).map(f64::from).collect();
        let makespan = |schedule| Balance::of(&plan(schedule, &uneven, 4), 4).makespan;
        assert!(makespan(Schedule::Static) > 1.5 * makespan(Schedule::DYNAMIC));
    }

    #[test]
    fn nothing_to_do_is_done_at_once() {
        let balance = Balance::of(&plan(Schedule::Guided, &[], 3), 3);
        assert_eq!(balance, Balance { makespan: 0.0, ideal: 0.0, efficiency: 1.0, runs: 0 });
    }
}
