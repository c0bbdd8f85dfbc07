//! Which slices need each other's cells when each reads a margin around its own.
//!
//! That goes both ways: a cell is in the margin of whatever slice has a cell no further away than the margin is wide, on a ring if the
//! axis is one; what is mirrored at an edge is no further away than what it mirrors. And it goes axis by axis, for margins are boxes.

use std::ops::Range;

use super::grid::{Axis, Grid};
use super::margins::Margins;

impl Grid {
    /// The slices other than `slice` of which it reads cells in the margin, ascending; these also read some of its.
    pub(crate) fn neighbours(&self, slice: usize, margins: &[Margins]) -> Vec<usize> {
        let mut all = vec![0];
        for (cut, piece) in self.axes.iter().zip(self.pieces(slice)) {
            let mut near = Vec::new();
            for margins in margins {
                near.extend(cut.near(piece, margins.cells(cut.axis), margins.wraps(cut.axis)).flatten());
            }
            near.sort_unstable();
            near.dedup();
            all = all.into_iter().flat_map(|slice| near.iter().map(move |near| slice * cut.pieces + near)).collect();
        }
        all.retain(|&near| near != slice);
        all
    }

    /// Which piece of each axis a slice is.
    fn pieces(&self, mut slice: usize) -> Vec<usize> {
        let mut pieces: Vec<usize> = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let piece = slice % axis.pieces;
                slice /= axis.pieces;
                piece
            })
            .collect();
        pieces.reverse();
        pieces
    }
}

impl Axis {
    /// The pieces that have cells no further than `cells` from `piece`, itself included, on a ring if the axis `wraps`.
    fn near(&self, piece: usize, cells: usize, wraps: bool) -> impl Iterator<Item = Range<usize>> + use<> {
        let (start, end) = (self.at(piece), self.at(piece + 1));
        let all =
            |from: usize, to: usize| if from < to { self.piece_of(from)..self.piece_of(to - 1) + 1 } else { 0..0 };
        let (before, after) = (cells.saturating_sub(start), (end + cells).saturating_sub(self.length));
        let ring = |from: usize, to: usize| if wraps { all(from, to) } else { 0..0 };
        [
            all(start.saturating_sub(cells), (end + cells).min(self.length)),
            ring(self.length - before.min(self.length), self.length),
            ring(0, after.min(self.length)),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::slices::{AxisMargin, Edge, Schedule, Split};

    fn margin() -> impl Strategy<Value = AxisMargin> {
        let edge = prop_oneof![Just(Edge::Keep), Just(Edge::Constant), Just(Edge::Reflect101), Just(Edge::Replicate)];
        (0..4_usize, edge.clone(), edge, any::<bool>()).prop_map(|(cells, low, high, wraps)| AxisMargin {
            cells,
            edges: if wraps { [Edge::Wrap; 2] } else { [low, high] },
        })
    }

    fn split() -> impl Strategy<Value = Split> {
        prop_oneof![
            (1..6_usize).prop_map(|each| Split::rows().of(each)),
            (1..6_usize).prop_map(|number| Split::cols().into_pieces(number)),
            (1..6_usize, 1..6_usize).prop_map(|(height, width)| Split::tiles(height, width)),
        ]
    }

    proptest! {
        /// By looking up each cell that a slice reads.
        #[test]
        fn they_are_who_has_what_is_read(margins in [margin(), margin()], split in split(), length in [8..14_usize, 8..14_usize]) {
            let margins = Margins::new(&margins);
            let stored = margins.stored(&length).unwrap();
            let (grid, computed) = (Grid::inside(split, &[], &stored, &margins).unwrap(), margins.computed(&stored));
            let mut all = Vec::new();
            for region in grid.regions() {
                let read = |axis: usize| {
                    let (cells, origin, length) = (margins.cells(axis), margins.origin(axis), computed[axis]);
                    let own = region.range(axis).map_or(0..length, |range| range.start - origin..range.end - origin);
                    let sources = (own.start..own.end + 2 * cells).filter_map(move |at| margins.axis(axis).source(at, length));
                    sources.map(move |at| at + origin).collect::<Vec<_>>()
                };
                let (rows, cols) = (read(0), read(1));
                let cells = rows.iter().flat_map(|&row| cols.iter().map(move |&col| [row, col]));
                let mut whose: BTreeSet<usize> = cells.map(|cell| grid.slice_of(&cell).unwrap()).collect();
                whose.remove(&region.index());
                let near = grid.neighbours(region.index(), &[margins]);
                prop_assert_eq!(&near, &whose.into_iter().collect::<Vec<_>>());
                all.push(near);
            }
            for (slice, near) in all.iter().enumerate() {
                prop_assert!(near.iter().all(|&other| all[other].contains(&slice)));
            }
        }

        /// Workers go through their slices step by step, whoever is the next to go on.
        #[test]
        fn every_order_ends(margins in [margin(), margin()], split in split(), workers in 1..6_usize, steps in 1..5_u32, mut chance: u64) {
            let margins = Margins::new(&margins);
            let grid = Grid::inside(split, &[], &margins.stored(&[11, 9]).unwrap(), &margins).unwrap();
            let mut done = vec![0_u32; grid.slices()];
            let mut left: Vec<Vec<(usize, u32)>> = (0..workers)
                .map(|rank| {
                    let own = Schedule::Static.fixed(grid.slices(), workers, rank).unwrap();
                    (0..steps).flat_map(|step| own.clone().map(move |slice| (slice, step))).rev().collect()
                })
                .collect();
            while left.iter().any(|tasks| !tasks.is_empty()) {
                let is_ready = |(slice, step): (usize, u32)| grid.neighbours(slice, &[margins]).into_iter().all(|near| done[near] >= step);
                let ready: Vec<usize> = (0..workers).filter(|&rank| left[rank].last().is_some_and(|&task| is_ready(task))).collect();
                prop_assert!(!ready.is_empty(), "all wait");
                chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let (slice, step) = left[ready[(chance >> 33) as usize % ready.len()]].pop().unwrap();
                prop_assert_eq!(done[slice], step);
                done[slice] += 1;
            }
        }
    }
}
