//! In which order a worker does the steps of its slices.
//!
//! A slice may go on when those near it have done as many steps as it has. A worker does the slice that has done the fewest, the first of
//! them in its order; with a depth it does another before, near the one that it did last, as long as that may go on at once and stays
//! within as many steps. So it goes along diagonals (slice 5 in step 0, slice 4 in step 1, slice 3 in step 2), and what a slice
//! reads and writes is in the cache from one step to the next. Workers go through their slices in alternate directions, so that two
//! who meet at a seam come there at the same time.
//!
//! Every order ends: a worker waits only for its slice that has done the fewest steps, and of all slices that are not done those with the
//! fewest steps wait for nobody.

use std::cmp::Reverse;

/// A slice of this worker's.
pub(crate) struct Own {
    pub(crate) slice: usize,
    /// How many steps of it are done.
    pub(crate) done: u32,
    /// Where on the walk those are that this worker has near it.
    near: Vec<usize>,
    /// The slices of others near it, each with who has it.
    pub(crate) others: Vec<(usize, usize)>,
}

/// A worker's way through its slices.
pub(crate) struct StepOrder {
    own: Vec<Own>,
    /// How many steps each slice has.
    steps: u32,
    /// How many steps it may go on where it is before it goes on through the slices.
    depth: u32,
    /// No slice has done fewer steps.
    least: u32,
    /// All before this have done more.
    first: usize,
    /// The one that it did last.
    last: Option<usize>,
}

impl StepOrder {
    /// Of worker `rank` through its slices, each with how many of the `steps` are done, in ascending order. `near` says which slices are
    /// near one, and `owner` who has one, if anybody: one that is done nobody waits for.
    pub(crate) fn new(
        rank: usize,
        slices: &[(usize, u32)],
        (steps, depth): (u32, u32),
        near: impl Fn(usize) -> Vec<usize>,
        owner: impl Fn(usize) -> Option<usize>,
    ) -> Self {
        let is_down = rank % 2 == 1;
        let place = |slice| {
            let at = slices.binary_search_by_key(&slice, |one| one.0).expect("it is this worker's");
            if is_down { slices.len() - 1 - at } else { at }
        };
        let own = |&(slice, done): &(usize, u32)| {
            let mut own = Own { slice, done, near: Vec::new(), others: Vec::new() };
            for near in near(slice) {
                match owner(near) {
                    Some(owner) if owner == rank => own.near.push(place(near)),
                    Some(owner) => own.others.push((near, owner)),
                    None => {}
                }
            }
            own
        };
        let mut own: Vec<Own> = slices.iter().map(own).collect();
        if is_down {
            own.reverse();
        }
        let least = own.iter().map(|own| own.done).min().unwrap_or(steps);
        Self { own, steps, depth, least, first: 0, last: None }
    }

    /// The slices, in order.
    pub(crate) fn own(&self) -> &[Own] {
        &self.own
    }

    /// Which is next: the place of a slice whose next step is to be done as soon as it may. `has_done` says whether another's has
    /// done so many steps.
    pub(crate) fn next(&mut self, has_done: impl Fn(usize, u32) -> bool) -> Option<usize> {
        while self.least < self.steps {
            let is_least = |own: &Own| own.done == self.least;
            match self.own[self.first..].iter().position(is_least) {
                Some(further) => {
                    self.first += further;
                    return Some(self.further(has_done).unwrap_or(self.first));
                }
                None => (self.least, self.first) = (self.least + 1, 0),
            }
        }
        None
    }

    /// The slice that is furthest on of those near the last one that may go on and have done more than the least.
    fn further(&self, has_done: impl Fn(usize, u32) -> bool) -> Option<usize> {
        let last = self.last.filter(|_| self.depth > 1)?;
        // All workers stop at the same steps.
        let end = (self.least - self.least % self.depth).saturating_add(self.depth).min(self.steps);
        let may_go_on = |&at: &usize| {
            let Own { done, near, others, .. } = &self.own[at];
            (self.least + 1..end).contains(done)
                && near.iter().all(|&near| self.own[near].done >= *done)
                && others.iter().all(|&(slice, _)| has_done(slice, *done))
        };
        let near = self.own[last].near.iter().copied().chain([last]);
        near.filter(may_go_on).max_by_key(|&at| (self.own[at].done, Reverse(at)))
    }

    /// The slice at this place has done its next step.
    pub(crate) fn note_done(&mut self, at: usize) {
        self.own[at].done += 1;
        self.last = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::slices::{AxisMargin, Edge, Grid, Margins, Schedule, Split};

    /// Workers that go through their slices, interrupted as `chance` will have it, until nothing is left or somebody stops all after so
    /// many steps of slices. What is done must be what may be done, and somebody can always go on.
    fn walk(
        near: &[Vec<usize>],
        (steps, depth): (u32, u32),
        owners: &[usize],
        counts: &mut [u32],
        most: usize,
        chance: &mut impl FnMut(usize) -> usize,
    ) -> Vec<(usize, usize)> {
        let workers = owners.iter().max().map_or(0, |most| most + 1);
        let left: Vec<bool> = counts.iter().map(|&done| done < steps).collect();
        let mut walks: Vec<(StepOrder, Option<usize>)> = (0..workers)
            .map(|rank| {
                let own: Vec<_> = (0..near.len()).filter(|&at| owners[at] == rank && left[at]).collect();
                let own: Vec<_> = own.into_iter().map(|slice| (slice, counts[slice])).collect();
                let owner = |slice: usize| Some(owners[slice]).filter(|_| left[slice]);
                (StepOrder::new(rank, &own, (steps, depth), |slice| near[slice].clone(), owner), None)
            })
            .collect();
        let mut all = Vec::new();
        while all.len() < most {
            // Each decides by what it sees now, and then waits for that alone.
            for (walk, next) in &mut walks {
                if next.is_none() && chance(3) > 0 {
                    *next = walk.next(|slice, steps| counts[slice] >= steps);
                }
            }
            let may_go_on =
                |slice: usize, counts: &[u32]| near[slice].iter().all(|&near| counts[near] >= counts[slice]);
            let able: Vec<usize> = (0..workers)
                .filter(|&rank| walks[rank].1.is_some_and(|at| may_go_on(walks[rank].0.own()[at].slice, counts)))
                .collect();
            if able.is_empty() {
                if walks.iter().all(|(_, next)| next.is_none()) && counts.iter().all(|&done| done == steps) {
                    break;
                }
                for (walk, next) in &mut walks {
                    *next = next.or_else(|| walk.next(|slice, steps| counts[slice] >= steps));
                }
                let stuck =
                    walks.iter().all(|(walk, next)| next.is_none_or(|at| !may_go_on(walk.own()[at].slice, counts)));
                assert!(!stuck, "nobody can go on: {counts:?}");
                continue;
            }
            let rank = able[chance(able.len())];
            let (walk, next) = &mut walks[rank];
            let at = next.take().expect("it is able");
            let slice = walk.own()[at].slice;
            walk.note_done(at);
            counts[slice] += 1;
            assert_eq!((walk.own()[at].done, owners[slice]), (counts[slice], rank));
            all.push((rank, slice));
        }
        all
    }

    fn margin() -> impl Strategy<Value = AxisMargin> {
        (0..5_usize, any::<bool>()).prop_map(|(cells, wraps)| AxisMargin {
            cells,
            edges: [if wraps { Edge::Wrap } else { Edge::Constant }; 2],
        })
    }

    fn split() -> impl Strategy<Value = Split> {
        prop_oneof![
            (1..4_usize).prop_map(|each| Split::rows().of(each)),
            (1..9_usize).prop_map(|number| Split::cols().into_pieces(number)),
            (1..4_usize, 1..4_usize).prop_map(|(height, width)| Split::tiles(height, width)),
        ]
    }

    proptest! {
        /// Any slices, reach, workers and depth, with slices in runs or dealt anyhow; and from where somebody has stopped them all, with
        /// other workers.
        #[test]
        fn every_order_ends(
            margins in [margin(), margin()],
            split in split(),
            length in [5..12_usize, 5..12_usize],
            (steps, depth) in (1..12_u32, 1..14_u32),
            (workers, in_runs) in (1..7_usize, any::<bool>()),
            stop in 0..200_usize,
            seed in any::<u64>(),
        ) {
            let margins = Margins::new(&margins);
            let stored = margins.stored(&length).unwrap();
            let grid = Grid::inside(split, &[], &stored, &margins).unwrap();
            let near: Vec<_> = (0..grid.slices()).map(|slice| grid.neighbours(slice, &[margins])).collect();
            let mut number = seed;
            let mut chance = |below: usize| {
                number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                (number >> 33) as usize % below
            };
            let mut counts = vec![0; near.len()];
            for (workers, most) in [(workers, stop), (workers % 3 + 1, usize::MAX)] {
                let owners: Vec<usize> = (0..near.len()).map(|slice| match in_runs {
                    true => (0..workers)
                        .find(|&rank| Schedule::Static.fixed(near.len(), workers, rank).unwrap().contains(&slice))
                        .unwrap(),
                    false => chance(workers),
                }).collect();
                walk(&near, (steps, depth), &owners, &mut counts, most, &mut chance);
            }
            prop_assert!(counts.iter().all(|&done| done == steps));
        }
    }

    /// Rows that need those above and below, on a ring or not.
    fn rows(count: usize, is_ring: bool) -> Vec<Vec<usize>> {
        let near = |row: usize| match (row.checked_sub(1), row + 1 < count) {
            (Some(above), true) => vec![above, row + 1],
            (Some(above), false) => [above].into_iter().chain(is_ring.then_some(0)).collect(),
            (None, _) => [1].into_iter().chain(is_ring.then_some(count - 1)).collect(),
        };
        (0..count).map(near).collect()
    }

    /// Between two steps of a slice a worker does no more others than the depth, and two more; but for the ends of its band.
    #[test]
    fn a_slice_comes_again_while_it_is_in_the_cache() {
        for (workers, is_ring) in [(1, false), (2, false), (1, true), (2, true)] {
            let (near, mut counts, depth) = (rows(64, is_ring), vec![0; 64], 4);
            let owners: Vec<usize> = (0..64).map(|slice| slice * workers / 64).collect();
            // In turn, as workers of the same speed.
            let mut turn = 0;
            let mut chance = |below: usize| {
                turn += 1;
                if below == 3 { 1 } else { turn % below }
            };
            let all = walk(&near, (8, depth), &owners, &mut counts, usize::MAX, &mut chance);
            for rank in 0..workers {
                let own: Vec<usize> = all.iter().filter(|one| one.0 == rank).map(|one| one.1).collect();
                let far = own.iter().enumerate().filter(|&(at, slice)| {
                    let since = own[..at].iter().rposition(|before| before == slice);
                    since.is_none_or(|since| own[since..at].iter().collect::<BTreeSet<_>>().len() > depth as usize + 2)
                });
                // Once for each four steps, and where the diagonals begin and end.
                let far = far.count();
                assert!(
                    far <= 2 * 64 / workers + 2 * (depth * depth) as usize,
                    "{far} of {}, {workers}, {is_ring}",
                    own.len()
                );
            }
        }
    }

    #[test]
    fn without_depth_it_goes_step_by_step() {
        let (near, mut counts) = (rows(5, true), vec![0; 5]);
        let all = walk(&near, (3, 1), &[0; 5], &mut counts, usize::MAX, &mut |below| below - 1);
        assert_eq!(all.iter().map(|one| one.1).collect::<Vec<_>>(), [0, 1, 2, 3, 4].repeat(3));
    }

    #[test]
    fn with_depth_it_goes_along_diagonals() {
        let (near, mut counts) = (rows(5, false), vec![0; 5]);
        let all = walk(&near, (3, 3), &[0; 5], &mut counts, usize::MAX, &mut |below| below - 1);
        let all: Vec<_> = all.iter().map(|one| one.1).collect();
        assert_eq!(all, [0, 1, 0, 2, 1, 0, 3, 2, 1, 4, 3, 2, 4, 3, 4]);
    }
}
