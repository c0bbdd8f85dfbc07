//! Margins: the cells around an array from which slices read what lies beyond their own, at the array's edge too.
//!
//! An array that has them is stored with as many more cells on each side of each axis. What a cell of the margin mirrors is a rule
//! for each edge, and every rule that mirrors does so axis by axis: cell `(i, j)` mirrors cell `(source(i), source(j))`.

use std::ops::Range;

/// The most axes that can be cut, or have a margin.
pub(super) const AXES: usize = 4;

/// What is beyond an edge of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// The array's own outermost cells, which are read and never written.
    Keep,
    /// One value everywhere.
    Constant,
    /// The cells before the edge, mirrored at the last one, which is not repeated: `c b a b c`.
    Reflect101,
    /// The last cell again and again: `a a a b c`.
    Replicate,
    /// The cells at the opposite edge: the axis is a ring.
    Wrap,
}

impl Edge {
    const ALL: [Self; 5] = [Self::Keep, Self::Constant, Self::Reflect101, Self::Replicate, Self::Wrap];

    /// Whether what is beyond it never changes.
    fn is_fixed(self) -> bool {
        matches!(self, Self::Keep | Self::Constant)
    }
}

/// The margin of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AxisMargin {
    /// How many cells on each side.
    pub(crate) cells: usize,
    /// What is before index 0, and what is after the last.
    pub(crate) edges: [Edge; 2],
}

impl AxisMargin {
    const NONE: Self = Self { cells: 0, edges: [Edge::Constant; 2] };

    /// How many cells of an axis of the array are not computed but kept, at its start and at its end.
    fn kept(self) -> [usize; 2] {
        self.edges.map(|edge| if edge == Edge::Keep { self.cells } else { 0 })
    }

    /// The computed cell that has the value of cell `at` of the stored axis, of which `length` are computed; `None` if that is fixed.
    fn source(self, at: usize, length: usize) -> Option<usize> {
        let m = self.cells;
        if at >= m && at < m + length {
            return Some(at - m);
        }
        let (edge, distance) = if at < m { (self.edges[0], m - at) } else { (self.edges[1], at - m - length + 1) };
        // Counted from the edge inwards.
        let inwards = match edge {
            Edge::Keep | Edge::Constant => return None,
            Edge::Reflect101 => distance,
            Edge::Replicate => 0,
            Edge::Wrap => length - distance,
        };
        Some(if at < m { inwards } else { length - 1 - inwards })
    }

    /// How long the axis has to be for this margin, without what is kept.
    pub(crate) fn least(self) -> usize {
        self.edges.into_iter().map(|edge| self.least_for(edge)).max().unwrap_or(0)
    }

    fn least_for(self, edge: Edge) -> usize {
        match (edge, self.cells) {
            (Edge::Keep | Edge::Constant, _) | (_, 0) => 0,
            (Edge::Reflect101, cells) => cells.saturating_add(1),
            (Edge::Replicate, _) => 1,
            (Edge::Wrap, cells) => cells,
        }
    }
}

/// The margins of an array, axis by axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Margins([AxisMargin; AXES]);

impl Margins {
    /// Of as many axes as are given, at most [`AXES`].
    pub(crate) fn new(axes: &[AxisMargin]) -> Self {
        Self(std::array::from_fn(|axis| axes.get(axis).copied().unwrap_or(AxisMargin::NONE)))
    }

    /// The margin of one axis.
    pub(crate) fn axis(&self, axis: usize) -> AxisMargin {
        self.0.get(axis).copied().unwrap_or(AxisMargin::NONE)
    }

    /// How many cells the array has on each side of each axis more than are computed.
    pub(crate) fn cells(&self, axis: usize) -> usize {
        self.axis(axis).cells
    }

    /// How long an axis of the array has to be.
    pub(crate) fn least(&self, axis: usize) -> usize {
        let margin = self.axis(axis);
        let kept = margin.kept().iter().fold(0_usize, |all, &kept| all.saturating_add(kept));
        kept.saturating_add(margin.least())
    }

    /// Where on an axis of the array the cells begin that are computed.
    pub(crate) fn origin(&self, axis: usize) -> usize {
        self.axis(axis).kept()[0]
    }

    /// The shape of what is computed, of an array that is stored in this shape.
    pub(crate) fn computed(&self, stored: &[usize]) -> Vec<usize> {
        stored.iter().enumerate().map(|(axis, &length)| length - 2 * self.cells(axis)).collect()
    }

    /// The shape of the array that is stored in this shape: what is computed, and what is kept.
    pub(crate) fn shape(&self, stored: &[usize]) -> Vec<usize> {
        let of = |(axis, length)| length + self.axis(axis).kept().iter().sum::<usize>();
        self.computed(stored).into_iter().enumerate().map(of).collect()
    }

    /// The shape in which an array of this shape is stored; `None` if an axis is shorter than what is kept of it.
    pub(crate) fn stored(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let of = |(axis, &length): (usize, &usize)| {
            let computed = length.checked_sub(self.axis(axis).kept().iter().sum())?;
            computed.checked_add(2 * self.cells(axis))
        };
        shape.iter().enumerate().map(of).collect()
    }

    /// Where the array begins in what is stored of an axis.
    pub(crate) fn padding(&self, axis: usize) -> usize {
        self.cells(axis) - self.origin(axis)
    }

    /// Whether the axis is a ring.
    pub(crate) fn wraps(&self, axis: usize) -> bool {
        self.axis(axis).edges[0] == Edge::Wrap
    }

    /// The stored cells of an axis outside of what is computed that mirror one of `range`, which is of the `length` computed: each with
    /// the stored cell that it mirrors.
    pub(crate) fn mirrors(&self, axis: usize, range: &Range<usize>, length: usize) -> Vec<(usize, usize)> {
        let margin = self.axis(axis);
        let outside = (0..margin.cells).chain(margin.cells + length..2 * margin.cells + length);
        let mirrored = outside.filter_map(|at| Some((at, margin.source(at, length)?)));
        mirrored.filter(|(_, source)| range.contains(source)).map(|(at, source)| (at, source + margin.cells)).collect()
    }

    /// Whether any cell beyond an edge follows what is computed.
    pub(crate) fn has_mirrors(&self) -> bool {
        self.0.iter().any(|axis| axis.cells > 0 && !axis.edges.iter().all(|edge| edge.is_fixed()))
    }

    /// What of an axis of the array of this length a stored cell has, in the array's own indices; `None` if it is a constant.
    pub(crate) fn first_source(&self, axis: usize, at: usize, length: usize) -> Option<usize> {
        let padding = self.padding(axis);
        let margin = self.axis(axis);
        match at.checked_sub(padding).filter(|&at| at < length) {
            Some(at) => Some(at),
            None => {
                let computed = length - margin.kept().iter().sum::<usize>();
                margin.source(at, computed).map(|source| source + self.origin(axis))
            }
        }
    }

    /// As numbers, for another process of the same program.
    pub(crate) fn words(&self) -> [u64; 3 * AXES] {
        let of = |edge: Edge| Edge::ALL.iter().position(|&one| one == edge).unwrap_or_default() as u64;
        let all = self.0.map(|axis| [axis.cells as u64, of(axis.edges[0]), of(axis.edges[1])]);
        std::array::from_fn(|at| all[at / 3][at % 3])
    }

    /// What numbers stand for, if they stand for the margins of an array that is stored in this shape.
    pub(crate) fn of_words(words: &[u64; 3 * AXES], stored: &[usize]) -> Option<Self> {
        let edge = |word: u64| Edge::ALL.get(usize::try_from(word).ok()?).copied();
        let mut axes = [AxisMargin::NONE; AXES];
        for (axis, words) in axes.iter_mut().zip(words.chunks(3)) {
            *axis = AxisMargin { cells: words[0] as usize, edges: [edge(words[1])?, edge(words[2])?] };
        }
        let fits = |(axis, margin): (usize, &AxisMargin)| {
            let length = stored.get(axis).copied().unwrap_or(0);
            margin
                .cells
                .checked_mul(2)
                .and_then(|cells| length.checked_sub(cells))
                .is_some_and(|it| it >= margin.least())
        };
        axes.iter().enumerate().all(fits).then_some(Self(axes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn margins(cells: usize, low: Edge, high: Edge) -> Margins {
        Margins::new(&[AxisMargin { cells, edges: [low, high] }])
    }

    /// What stands in the stored axis when the array has its own indices as values; -1 for a constant.
    fn stored(cells: usize, low: Edge, high: Edge, length: usize) -> Vec<isize> {
        let margins = margins(cells, low, high);
        let stored = margins.stored(&[length]).unwrap()[0];
        (0..stored).map(|at| margins.first_source(0, at, length).map_or(-1, |at| at as isize)).collect()
    }

    /// As `numpy.pad(numpy.arange(5), (2, 2), mode)` has it, with modes wrap, reflect, edge, constant.
    #[test]
    fn edges_are_those_of_numpy() {
        let both = |edge| stored(2, edge, edge, 5);
        assert_eq!(both(Edge::Wrap), [3, 4, 0, 1, 2, 3, 4, 0, 1]);
        assert_eq!(both(Edge::Reflect101), [2, 1, 0, 1, 2, 3, 4, 3, 2]);
        assert_eq!(both(Edge::Replicate), [0, 0, 0, 1, 2, 3, 4, 4, 4]);
        assert_eq!(both(Edge::Constant), [-1, -1, 0, 1, 2, 3, 4, -1, -1]);
        assert_eq!(both(Edge::Keep), [0, 1, 2, 3, 4]);
        assert_eq!(stored(2, Edge::Keep, Edge::Replicate, 5), [0, 1, 2, 3, 4, 4, 4]);
    }

    #[test]
    fn every_cell_that_mirrors_is_some_cells_alone() {
        for (low, high) in [
            (Edge::Wrap, Edge::Wrap),
            (Edge::Reflect101, Edge::Replicate),
            (Edge::Keep, Edge::Reflect101),
            (Edge::Constant, Edge::Keep),
        ] {
            let (cells, length) = (3, 7);
            let margins = margins(cells, low, high);
            let mut all: Vec<usize> =
                (0..length).flat_map(|at| margins.mirrors(0, &(at..at + 1), length)).map(|(at, _)| at).collect();
            all.sort_unstable();
            let outside = (0..cells).chain(cells + length..2 * cells + length);
            let follow: Vec<usize> = outside.filter(|&at| margins.axis(0).source(at, length).is_some()).collect();
            assert_eq!(all, follow, "{low:?} {high:?}");
            assert_eq!(margins.has_mirrors(), !follow.is_empty());
        }
    }

    #[test]
    fn margins_cross_as_numbers_and_nonsense_is_refused() {
        let margins = Margins::new(&[
            AxisMargin { cells: 2, edges: [Edge::Keep, Edge::Reflect101] },
            AxisMargin { cells: 1, edges: [Edge::Wrap; 2] },
        ]);
        let words = margins.words();
        assert_eq!(Margins::of_words(&words, &[10, 9]), Some(margins));
        assert_eq!(Margins::of_words(&words, &[6, 9]), None, "too short to reflect");
        for (at, wrong) in [(0, u64::MAX), (1, 9), (0, 1 << 40)] {
            let mut words = words;
            words[at] = wrong;
            assert_eq!(Margins::of_words(&words, &[10, 9]), None);
        }
    }
}
