//! Filters of a chain that go over a picture together: one pass over the memory, not one a filter.
//!
//! A filter of single samples adds nothing to a pass but a table: before a filter that looks at neighbours, the rows that
//! a slice reads go through it into a copy that stays in the cache; after it, the slice itself does. Several of
//! them are one table.

use ndarray::{Array3, ArrayView3, ArrayViewMut3, s};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::picture::{Region, Source};
use super::point::Table;
use super::{Border, Filter, FilterError, Sample, fit};

/// Neighbours in a chain of filters that can be applied together: at most one of them is not of single samples.
///
/// ```
/// use parfork_workers::filter::{Filter, Run};
/// let chain: Vec<Filter> = ["invert", "gaussian:3", "gamma:2.2", "sobel"].map(|name| name.parse().unwrap()).to_vec();
/// let runs: Vec<String> = Run::split(&chain).iter().map(ToString::to_string).collect();
/// assert_eq!(runs, ["invert,gaussian:3,gamma:2.2", "sobel"]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    filters: Vec<Filter>,
    /// Where the one stands that is not of single samples.
    main: Option<usize>,
}

/// Filters that go together at most: what a worker is told of them has an end.
const MOST: usize = 8;

impl Run {
    /// Cuts a chain into runs, each as long as can be, of 8 filters at most. The runs of the first filters of a chain that end
    /// where a run of the whole one ends are the first runs of that.
    pub fn split(chain: &[Filter]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for &filter in chain {
            match runs.last_mut() {
                Some(run) if run.filters.len() < MOST && filter.is_point() && !run.is_equalize() => {
                    run.filters.push(filter)
                }
                Some(run) if run.filters.len() < MOST && run.main.is_none() && filter.follows_points() => {
                    run.main = Some(run.filters.len());
                    run.filters.push(filter);
                }
                _ => runs.push(Run { filters: vec![filter], main: (!filter.is_point()).then_some(0) }),
            }
        }
        runs
    }

    /// Its filters, in order.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether it takes a look at the whole picture first, and so goes alone.
    pub(super) fn is_equalize(&self) -> bool {
        matches!(self.filters[..], [Filter::Equalize])
    }

    /// (height, width, channels) of the result for an input of such a shape.
    ///
    /// # Errors
    /// As [`Filter::output_shape`] of the first filter that refuses.
    pub fn output_shape(&self, input: [usize; 3]) -> Result<[usize; 3], FilterError> {
        self.filters.iter().try_fold(input, |shape, filter| filter.output_shape(shape))
    }

    /// As [`Filter::halo`], for all of them together.
    pub fn halo(&self) -> usize {
        self.main.map_or(0, |main| self.filters[main].halo())
    }

    /// Computes the rectangle `rows` x `cols` of the result into `out`: the bits that the filters leave one after the other.
    ///
    /// # Panics
    /// As [`Filter::apply`].
    pub fn apply<S: Sample>(
        &self,
        src: ArrayView3<'_, S>,
        border: Border,
        rows: Range<usize>,
        cols: Range<usize>,
        mut out: ArrayViewMut3<'_, S>,
    ) {
        if let [filter] = self.filters[..] {
            return filter.apply(src, border, rows, cols, out);
        }
        fit(self.output_shape(src.dim().into()), &rows, &cols, out.dim());
        if out.is_empty() {
            return;
        }
        let (before, main, after) = match self.main {
            None => (&[][..], None, &self.filters[..]),
            Some(at) => (&self.filters[..at], Some(self.filters[at]), &self.filters[at + 1..]),
        };
        match main {
            None => out.assign(&src.slice(s![rows, cols, ..])),
            // To move samples and to change each is the same in any order.
            Some(main) if before.is_empty() || main.moves() => {
                S::compute(&main, &Source::new(src, border), Region::new(rows, cols, out.view_mut()));
            }
            Some(main) => {
                let (height, width, _) = src.dim();
                let reach = |stretch: &Range<usize>, len: usize| border.reach(stretch.clone(), main.halo(), len);
                let (above, aside) = (reach(&rows, height), reach(&cols, width));
                let mut part: Array3<S> = src.slice(s![above.clone(), aside.clone(), ..]).to_owned();
                Table::of(before, part.len()).change(part.view_mut());
                let source = Source::part(part.view(), [above.start, aside.start], [height, width], border);
                S::compute(&main, &source, Region::new(rows, cols, out.view_mut()));
            }
        }
        let left = match main {
            Some(main) if !main.moves() => after.to_vec(),
            _ => before.iter().chain(after).copied().collect(),
        };
        if !left.is_empty() {
            Table::of(&left, out.len()).change(out);
        }
    }
}

/// As the command line takes it.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.filters.iter().map(ToString::to_string).collect();
        f.write_str(&names.join(","))
    }
}

/// Reads what one is shown as.
impl FromStr for Run {
    type Err = ParseRunError;

    fn from_str(names: &str) -> Result<Self, ParseRunError> {
        let filters = names.split(',').map(str::parse).collect::<Result<Vec<Filter>, _>>();
        let mut runs = Self::split(&filters.map_err(|_| ParseRunError)?);
        runs.pop().filter(|_| runs.is_empty()).ok_or(ParseRunError)
    }
}

/// These are no filters, or not such as go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these filters do not go over a picture together. Name them as a `Run` is shown.")]
pub struct ParseRunError;

impl Filter {
    /// Whether it changes each colour by itself.
    fn is_point(&self) -> bool {
        use Filter::{Brightness, Contrast, Gamma, Invert, Threshold};
        matches!(self, Invert | Brightness(_) | Contrast(_) | Gamma(_) | Threshold(_))
    }

    /// Whether it leaves samples as they are, in other places.
    fn moves(&self) -> bool {
        matches!(self, Filter::Flip(_) | Filter::Rotate(_) | Filter::Crop(_))
    }

    /// Whether it can be computed from a part of the picture that has been changed before; resizing and equalizing cannot.
    fn follows_points(&self) -> bool {
        !matches!(self, Filter::Resize(_) | Filter::Equalize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled;
    use proptest::prelude::*;

    const NAMES: [&str; 20] = [
        "invert",
        "brightness:20",
        "brightness:-70.5",
        "contrast:1.5",
        "gamma:2.2",
        "threshold:127.5",
        "gaussian:0.8",
        "gaussian:3",
        "box:2",
        "sharpen",
        "sobel",
        "gray",
        "median:2",
        "equalize",
        "flip",
        "rotate:90",
        "rotate:270",
        "resize:31x17",
        "resize:150%",
        "crop:1x1+0+0",
    ];

    fn same_bits<S: Sample>(chain: &[Filter], border: Border, picture: &Array3<S>, corners: [usize; 4]) {
        let mut plain = picture.clone();
        let mut fused = picture.clone();
        for run in Run::split(chain) {
            for filter in run.filters() {
                let shape = filter.output_shape(plain.dim().into()).expect("a picture");
                let mut next = Array3::from_elem(shape, S::MAX);
                filter.apply(plain.view(), border, 0..shape[0], 0..shape[1], next.view_mut());
                plain = next;
            }
            let shape = run.output_shape(fused.dim().into()).expect("a picture");
            let mut next = Array3::from_elem(shape, S::MAX);
            run.apply(fused.view(), border, 0..shape[0], 0..shape[1], next.view_mut());
            assert_eq!(next, plain, "{run} {border}");
            let ordered = |a: usize, b: usize, len: usize| (a % len).min(b % len)..(a % len).max(b % len) + 1;
            let (rows, cols) = (ordered(corners[0], corners[1], shape[0]), ordered(corners[2], corners[3], shape[1]));
            let mut part = Array3::from_elem((rows.len(), cols.len(), shape[2]), S::MAX);
            run.apply(fused.view(), border, rows.clone(), cols.clone(), part.view_mut());
            assert_eq!(part, next.slice(s![rows, cols, ..]), "{run} {border}");
            fused = next;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(sampled::number(100, 300)))]

        #[test]
        fn a_run_leaves_the_bits_of_its_filters_one_by_one(
            [height, width, channels] in [1_usize..50, 1..90, 1..5],
            names in proptest::collection::vec(0..NAMES.len(), 1..6),
            border in 0_usize..4,
            corners in any::<[u16; 4]>(),
            seed in any::<u64>(),
        ) {
            let chain: Vec<Filter> = names.into_iter().map(|name| NAMES[name].parse().expect("a filter")).collect();
            let border = [Border::Reflect101, Border::Replicate, Border::Constant(77.0), Border::Wrap][border];
            let mut noise = seed;
            let wide = Array3::from_shape_simple_fn((height, width, channels), || {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (noise >> 48) as u16
            });
            let corners = corners.map(usize::from);
            same_bits(&chain, border, &wide, corners);
            same_bits(&chain, border, &wide.mapv(|v| (v >> 8) as u8), corners);
        }
    }

    #[test]
    fn runs_are_as_long_as_can_be_and_end_where_shorter_chains_do() {
        let chain: Vec<Filter> =
            NAMES.iter().chain(&NAMES[3..12]).map(|name| name.parse().expect("a filter")).collect();
        let runs = Run::split(&chain);
        assert!(runs.iter().all(|run| run.filters().iter().filter(|filter| !filter.is_point()).count() <= 1));
        let mut done = 0;
        for (n, run) in runs.iter().enumerate() {
            done += run.filters().len();
            assert_eq!(Run::split(&chain[..done]), runs[..=n]);
        }
        assert_eq!(done, chain.len());
    }
}
