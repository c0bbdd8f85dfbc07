//! A split applied to a shape: how many slices there are, and which cells each is.
//!
//! Slices are disjoint and cover the array: an axis of length `n` is cut at `at(0) = 0 <= at(1) <= ... <= at(k) = n`
//! (non-decreasing functions of the piece, ending in `n`), piece `p` being `at(p)..at(p + 1)`; pieces of one axis
//! therefore tile it. A slice is a product of one piece of each axis that is cut and the whole of the others, numbered
//! row by row, so two slices differ in a piece of some axis and share no cell.

use std::ops::Range;

use super::margins::{AXES, Margins};
use super::split::{By, Cut, Split, SplitError};

/// A split applied to a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    axes: Vec<Axis>,
    shape: Vec<usize>,
    halo: usize,
}

/// One axis that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    axis: usize,
    /// Where the cells begin that are cut.
    origin: usize,
    length: usize,
    pieces: usize,
    by: By,
}

impl Grid {
    /// The most slices of one job.
    pub const MOST: usize = 1 << 28;

    /// Cuts an array of this shape.
    ///
    /// # Errors
    /// If the array lacks an axis to cut, a slice would have length 0, or there would be more than
    /// [`MOST`](Self::MOST) slices.
    pub fn new(split: Split, shape: &[usize]) -> Result<Self, SplitError> {
        let axes = match split.cut {
            Cut::Axis { axis, by } => vec![(axis, by)],
            Cut::Tiles { height, width } => vec![(0, By::Length(height)), (1, By::Length(width))],
        };
        let cut = |(axis, by): (usize, By)| {
            let no_axis =
                || SplitError::NoSuchAxis { split: split.to_string(), axis, ndim: shape.len(), shape: shape.to_vec() };
            let length = *shape.get(axis).ok_or_else(no_axis)?;
            let pieces = match by {
                By::Length(0) | By::Number(0) => return Err(SplitError::Empty { text: split.to_string() }),
                By::Length(each) => length.div_ceil(each),
                By::Number(number) => length.min(number),
            };
            Ok(Axis { axis, origin: 0, length, pieces, by })
        };
        let axes = axes.into_iter().map(cut).collect::<Result<Vec<_>, _>>()?;
        let slices = axes.iter().try_fold(1_usize, |slices, axis| slices.checked_mul(axis.pieces));
        if slices.is_none_or(|slices| slices > Self::MOST) {
            return Err(SplitError::TooMany { split: split.to_string(), shape: shape.to_vec(), most: Self::MOST });
        }
        Ok(Self { axes, shape: shape.to_vec(), halo: split.halo })
    }

    /// Cuts what is computed of an array that is stored in this shape with these margins.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn inside(split: Split, stored: &[usize], margins: &Margins) -> Result<Self, SplitError> {
        let computed = margins.computed(stored);
        let mut grid = Self::new(split, &computed)?;
        // Of an axis that is not cut too a slice has less than all, if some of it is kept.
        let kept = |&axis: &usize| margins.origin(axis) > 0 && grid.axes.iter().all(|cut| cut.axis != axis);
        let whole = |axis: usize| {
            let length = computed[axis];
            Axis { axis, origin: 0, length, pieces: length.min(1), by: By::Number(1) }
        };
        let more: Vec<Axis> = (0..stored.len().min(AXES)).filter(kept).map(whole).collect();
        grid.axes.extend(more);
        grid.axes.sort_by_key(|axis| axis.axis);
        grid.axes.iter_mut().for_each(|cut| cut.origin = margins.origin(cut.axis));
        grid.shape = margins.shape(stored);
        Ok(grid)
    }

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

    /// How many slices there are.
    pub fn slices(&self) -> usize {
        self.axes.iter().map(|axis| axis.pieces).product()
    }

    /// The shape that is cut.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The axes that are cut, in ascending order.
    pub fn cut_axes(&self) -> impl Iterator<Item = usize> {
        self.axes.iter().map(|axis| axis.axis)
    }

    /// The cells of slice `index`.
    ///
    /// # Panics
    /// If there is no such slice.
    pub fn region(&self, index: usize) -> Region {
        assert!(index < self.slices(), "slice {index} of {}", self.slices());
        let (mut cuts, mut rest) = ([None; AXES], index);
        for (cut, axis) in cuts.iter_mut().zip(&self.axes).rev() {
            *cut = Some(axis.piece(rest % axis.pieces, self.halo));
            rest /= axis.pieces;
        }
        Region { index, cuts }
    }

    /// The slice that a cell belongs to, of this or another array cut alike; `None` if no slice has it.
    pub fn slice_of(&self, cell: &[usize]) -> Option<usize> {
        self.axes.iter().try_fold(0, |slice, axis| {
            let at = cell.get(axis.axis)?.checked_sub(axis.origin).filter(|&at| at < axis.length)?;
            Some(slice * axis.pieces + axis.piece_of(at))
        })
    }

    /// All slices in order.
    pub fn regions(&self) -> impl Iterator<Item = Region> {
        (0..self.slices()).map(|index| self.region(index))
    }
}

impl Axis {
    /// Where piece `piece` begins, and piece `piece - 1` ends.
    fn at(&self, piece: usize) -> usize {
        match self.by {
            By::Length(each) => piece.saturating_mul(each).min(self.length),
            // The first `length % pieces` pieces are one longer than the others.
            By::Number(_) => piece * (self.length / self.pieces) + piece.min(self.length % self.pieces),
        }
    }

    /// Which piece has the cell `at`, which is below the length: the inverse of [`at`](Self::at).
    fn piece_of(&self, at: usize) -> usize {
        match self.by {
            By::Length(each) => at / each,
            By::Number(_) => {
                let (each, longer) = (self.length / self.pieces, self.length % self.pieces);
                let edge = longer * (each + 1);
                if at < edge { at / (each + 1) } else { longer + (at - edge) / each }
            }
        }
    }

    fn piece(&self, piece: usize, halo: usize) -> Piece {
        let (start, end) = (self.at(piece), self.at(piece + 1));
        let outer = (start.saturating_sub(halo), end.saturating_add(halo).min(self.length));
        let moved = |(start, end)| (start + self.origin, end + self.origin);
        Piece { axis: self.axis, inner: moved((start, end)), outer: moved(outer) }
    }

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

/// The cells of one slice: a range of each axis that is cut, the whole of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    index: usize,
    cuts: [Option<Piece>; AXES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    axis: usize,
    inner: (usize, usize),
    outer: (usize, usize),
}

impl Region {
    /// The slice's number.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Its range of an axis; `None` if the axis is not cut, so that the slice has all of it.
    pub fn range(&self, axis: usize) -> Option<Range<usize>> {
        self.piece(axis).map(|piece| piece.inner.0..piece.inner.1)
    }

    /// Its range of an axis with the halo, clipped to the array; `None` if the axis is not cut.
    pub fn range_with_halo(&self, axis: usize) -> Option<Range<usize>> {
        self.piece(axis).map(|piece| piece.outer.0..piece.outer.1)
    }

    /// The ranges of the axes that are cut.
    pub fn ranges(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        self.cuts.into_iter().flatten().map(|piece| (piece.axis, piece.inner.0..piece.inner.1))
    }

    /// The ranges of the axes that are cut, with the halo, clipped to the array.
    pub fn ranges_with_halo(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        self.cuts.into_iter().flatten().map(|piece| (piece.axis, piece.outer.0..piece.outer.1))
    }

    fn piece(&self, axis: usize) -> Option<&Piece> {
        self.cuts.iter().flatten().find(|piece| piece.axis == axis)
    }
}

/// In array coordinates, as NumPy would write it: `[64..128, ..]`.
impl std::fmt::Display for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.ranges().map(|(axis, _)| axis).max().unwrap_or(0);
        write!(f, "[")?;
        for axis in 0..=last {
            match self.range(axis) {
                Some(range) => write!(f, "{}..{}, ", range.start, range.end)?,
                None => write!(f, ".., ")?,
            }
        }
        write!(f, "..]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_split() -> impl Strategy<Value = Split> {
        let length = prop_oneof![1..20_usize, Just(usize::MAX), Just(usize::MAX / 2 + 1)];
        prop_oneof![
            (0..4_usize).prop_map(Split::axis),
            (0..4_usize, length.clone()).prop_map(|(axis, each)| Split::axis(axis).of(each)),
            (0..4_usize, length.clone()).prop_map(|(axis, number)| Split::axis(axis).into_pieces(number)),
            (length.clone(), length).prop_map(|(height, width)| Split::tiles(height, width)),
        ]
    }

    proptest! {
        #[test]
        fn slices_are_disjoint_ordered_and_cover(split in any_split(), halo in 0..9_usize, shape in prop::collection::vec(0..40_usize, 4)) {
            let grid = Grid::new(split.halo(halo), &shape).unwrap();
            let mut owner = vec![None; shape.iter().product()];
            let mut firsts = Vec::new();
            for (number, region) in grid.regions().enumerate() {
                prop_assert_eq!(region.index(), number);
                let ranges: Vec<_> = (0..4).map(|axis| region.range(axis).unwrap_or(0..shape[axis])).collect();
                firsts.push(ranges.iter().map(|range| range.start).collect::<Vec<_>>());
                for (axis, range) in region.ranges() {
                    prop_assert!(!range.is_empty());
                    let outer = region.range_with_halo(axis).unwrap();
                    prop_assert_eq!(outer, range.start.saturating_sub(halo)..(range.end + halo).min(shape[axis]));
                }
                for (i, j) in ranges[0].clone().flat_map(|i| ranges[1].clone().map(move |j| (i, j))) {
                    for (k, l) in ranges[2].clone().flat_map(|k| ranges[3].clone().map(move |l| (k, l))) {
                        let cell = ((i * shape[1] + j) * shape[2] + k) * shape[3] + l;
                        prop_assert_eq!(owner[cell].replace(number), None, "cell {} has two owners", cell);
                        prop_assert_eq!(grid.slice_of(&[i, j, k, l]), Some(number));
                    }
                }
            }
            prop_assert!(owner.iter().all(Option::is_some), "a cell has no owner");
            for axis in grid.cut_axes() {
                let mut beyond = vec![0; 4];
                beyond[axis] = shape[axis];
                prop_assert_eq!((grid.slice_of(&beyond), grid.slice_of(&beyond[..axis])), (None, None));
            }
            prop_assert!(firsts.is_sorted());
        }

        #[test]
        fn pieces_are_nearly_equal(length in 0..1_usize << 40) {
            let grid = Grid::new(Split::rows(), &[length]).unwrap();
            prop_assert_eq!(grid.slices(), length.min(Split::PIECES));
            let lengths = || grid.regions().map(|region| region.range(0).unwrap().len());
            prop_assert_eq!(lengths().sum::<usize>(), length);
            prop_assert!(lengths().max().unwrap_or(0) - lengths().min().unwrap_or(0) <= 1);
        }
    }

    #[test]
    fn what_cannot_be_cut_says_why() {
        let error = Grid::new(Split::cols(), &[5]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the split `cols` cuts axis 1, but the array has 1 (shape [5]). Cut an axis below 1."
        );
        assert!(Grid::new(Split::rows(), &[]).unwrap_err().to_string().ends_with("reshape(1) does."));
        assert!(matches!(Grid::new(Split::tiles(0, 5), &[5, 5]), Err(SplitError::Empty { .. })));
        assert!(matches!(Grid::new(Split::tiles(1, 1), &[1 << 20, 1 << 20]), Err(SplitError::TooMany { .. })));
        assert!(matches!(Grid::new(Split::tiles(1, 1), &[usize::MAX, 2]), Err(SplitError::TooMany { .. })));
    }

    #[test]
    fn a_region_reads_like_an_index() {
        let grid = Grid::new(Split::tiles(4, 3), &[8, 9, 3]).unwrap();
        assert_eq!(grid.region(5).to_string(), "[4..8, 6..9, ..]");
        assert_eq!(Grid::new(Split::cols().of(2), &[8, 9]).unwrap().region(1).to_string(), "[.., 2..4, ..]");
    }
}
