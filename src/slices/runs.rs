//! Where the cells of a slice lie in memory: runs of bytes.

use std::ops::Range;

use super::Region;

/// How an array lies in memory: without gaps, its axes in one order or the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent<'a> {
    /// The lengths of the axes.
    pub(crate) shape: &'a [usize],
    /// Whether the first index runs fastest (Fortran), not the last (C).
    pub(crate) first_is_fastest: bool,
    /// Bytes of one element.
    pub(crate) element: usize,
    /// Where in its segment it begins.
    pub(crate) at: usize,
}

impl Extent<'_> {
    /// How many bytes the array has.
    pub(crate) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.element
    }

    /// The bytes of the segment that are a region's cells, as few runs as there can be, ascending.
    ///
    /// The axes from the fastest up to and including the first that the region has only part of make one run; the slower
    /// ones say where runs begin.
    pub(crate) fn runs(&self, region: &Region) -> impl Iterator<Item = Range<usize>> + use<> {
        let mut ranges: Vec<(usize, Range<usize>)> = (0..self.shape.len())
            .map(|axis| (self.shape[axis], region.range(axis).unwrap_or(0..self.shape[axis])))
            .collect();
        if self.first_is_fastest {
            ranges.reverse();
        }
        let (mut stride, mut first, mut length) = (self.element, self.at, self.element);
        let mut whole = true;
        // Range, and distance in bytes of neighbours, of each axis that runs do not span; the fastest first.
        let mut outer = Vec::new();
        for (axis, range) in ranges.into_iter().rev() {
            if whole {
                (first, length) = (self.at + range.start * stride, range.len() * stride);
                whole = range.len() == axis;
            } else {
                outer.push((range, stride));
            }
            stride *= axis;
        }
        let count = outer.iter().map(|(range, _)| range.len()).product::<usize>();
        let runs = if length == 0 { 0 } else { count };
        (0..runs).map(move |mut number| {
            let mut start = first;
            for (range, stride) in &outer {
                start += (range.start + number % range.len()) * stride;
                number /= range.len();
            }
            start..start + length
        })
    }

    /// From the first byte of a region to beyond its last; `None` if it has none.
    pub(crate) fn span(&self, region: &Region) -> Option<Range<usize>> {
        let mut runs = self.runs(region);
        let first = runs.next()?;
        Some(first.start..runs.last().map_or(first.end, |last| last.end))
    }

    /// The bytes of a region, if no page holds any of them together with others of the array.
    pub(crate) fn whole_pages(&self, region: &Region, page: usize) -> Option<Range<usize>> {
        let mut runs = self.runs(region);
        let only = runs.next()?;
        let ends = only.end.is_multiple_of(page) || only.end == self.at + self.bytes();
        (runs.next().is_none() && only.start.is_multiple_of(page) && ends).then_some(only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slices::{Grid, Split};
    use ndarray::{ArrayD, Axis, IxDyn, ShapeBuilder};
    use proptest::prelude::*;

    fn splits() -> impl Strategy<Value = Split> {
        prop_oneof![
            (0..3_usize, 1..9_usize).prop_map(|(axis, each)| Split::axis(axis).of(each)),
            (1..9_usize, 1..9_usize).prop_map(|(height, width)| Split::tiles(height, width)),
        ]
    }

    proptest! {
        /// The bytes are those that ndarray's own slicing finds, each once, in as few runs as neighbours allow.
        #[test]
        fn runs_are_the_cells(
            shape in prop::collection::vec(0..9_usize, 1..4),
            split in splits(),
            first_is_fastest: bool,
            element in 1..5_usize,
            at in 0..9_usize,
        ) {
            let Ok(grid) = Grid::new(split, &shape) else { return Ok(()) };
            let extent = Extent { shape: &shape, first_is_fastest, element, at };
            let numbers = (0..shape.iter().product()).collect::<Vec<usize>>();
            let array = ArrayD::from_shape_vec(IxDyn(&shape).set_f(first_is_fastest), numbers).unwrap();
            for region in grid.regions() {
                let mut view = array.view();
                for (axis, range) in region.ranges() {
                    view.slice_axis_inplace(Axis(axis), range.into());
                }
                let mut cells: Vec<usize> = view.iter().copied().collect();
                cells.sort_unstable();
                let bytes: Vec<usize> = cells.iter().flat_map(|cell| at + cell * element..at + (cell + 1) * element).collect();
                let runs: Vec<_> = extent.runs(&region).collect();
                prop_assert!(runs.iter().cloned().flatten().eq(bytes.iter().copied()), "{region}: {runs:?}");
                prop_assert!(runs.windows(2).all(|two| two[0].end < two[1].start), "{region}: {runs:?} could be fewer");
                let span = bytes.first().map(|first| *first..bytes.last().unwrap() + 1);
                prop_assert_eq!(extent.span(&region), span);
            }
        }
    }

    #[test]
    fn whole_pages_are_no_others() {
        let rows = |shape: &[usize], each, element| {
            let grid = Grid::new(Split::rows().of(each), shape).unwrap();
            let extent = Extent { shape, first_is_fastest: false, element, at: 0 };
            grid.regions().map(|region| extent.whole_pages(&region, 4096)).collect::<Vec<_>>()
        };
        assert_eq!(rows(&[3, 1024], 1, 4), [Some(0..4096), Some(4096..8192), Some(8192..12288)]);
        assert_eq!(rows(&[3, 1000], 2, 4), [None, None]);
        // What follows the last row up to the end of its page is nobody's.
        assert_eq!(rows(&[17, 256], 16, 1), [Some(0..4096), Some(4096..4352)]);
        let shape = [4096, 2];
        let grid = Grid::new(Split::tiles(4096, 1), &shape).unwrap();
        let column = |first_is_fastest| {
            Extent { shape: &shape, first_is_fastest, element: 1, at: 0 }.whole_pages(&grid.region(1), 4096)
        };
        assert_eq!((column(false), column(true)), (None, Some(4096..8192)));
    }
}
