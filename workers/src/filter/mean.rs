//! Box blur: running sums in exact integers down the columns and along the rows, so that the cost does not depend on the
//! radius and the sums not on where they started. What lies beyond a border is counted, not walked through.

use super::picture::{Region, Source};
use super::vectors::vectorised;
use super::{Border, Sample};
use std::ops::{AddAssign, Range};

/// Pixels of the result that are computed together.
const TOGETHER: usize = 256;

/// Sums of as many samples run side by side at the start of a row: a multiple of all numbers of channels.
const LANES: usize = 24;

pub(super) fn mean<S: Sample>(radius: usize, source: &Source<'_, S>, region: Region<'_, S>) {
    let side = 2 * radius as u64 + 1;
    let (most, share) = (side * side * u64::from(S::MAX.to_u32()), 1.0 / (side * side) as f64);
    let of = |sum: f64| sum as i32;
    // The square is odd, so that a mean is a half over it off any half at least: what f32 loses does not matter to small ones.
    if most < 1 << 21 {
        with_channels!(source.channels(), C => blur::<S, i32, C>(
            radius,
            source,
            region,
            of,
            #[inline(always)]
            |total| total as f32 * share as f32,
        ));
    // Up to (2*16383+1)^2 * 65535 < 2^53: exact in f64, where an addition takes longer to be done.
    } else if most <= i32::MAX as u64 {
        with_channels!(source.channels(), C => blur::<S, i32, C>(
            radius,
            source,
            region,
            of,
            #[inline(always)]
            |total| (f64::from(total) * share) as f32,
        ));
    } else {
        with_channels!(source.channels(), C => blur::<S, f64, C>(
            radius,
            source,
            region,
            |sum| sum,
            #[inline(always)]
            |total| (total * share) as f32,
        ));
    }
}

fn blur<S: Sample, T: Copy + AddAssign + From<i32>, const C: usize>(
    radius: usize,
    source: &Source<'_, S>,
    mut region: Region<'_, S>,
    total_of: impl Fn(f64) -> T,
    mean_of: impl Fn(T) -> f32,
) {
    let (rows, cols) = (region.rows.clone(), region.cols.clone());
    let reach = radius as isize;
    let side = 2 * radius + 1;
    let mut columns = Columns::new(source, rows.start as isize - reach, side, cols.clone(), radius);
    // How often the first pixel of a row has each column in its sum.
    let (counts, beyond) = counts(source.border(), cols.start as isize - reach, side, source.width(), &columns.range);
    let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
    let last = counts.iter().rposition(|&count| count > 0).map_or(first, |last| last + 1);
    let counts: Vec<f64> = counts[first..last].iter().flat_map(|&count| [f64::from(count); C]).collect();
    let first_window = first * C..last * C;
    let mut aside = [(); 2].map(|()| vec![[0; C]; TOGETHER]);
    let mut totals = [[T::from(0); C]; TOGETHER];
    for y in rows.clone() {
        if y > rows.start {
            columns.move_down(source, y as isize - reach - 1, y as isize + reach);
        }
        let constant = f64::from(columns.beyond) * f64::from(beyond);
        let mut sums = start::<C>(&columns.sums[first_window.clone()], &counts).map(|sum| total_of(sum + constant));
        for first in cols.clone().step_by(TOGETHER) {
            let part = first..cols.end.min(first + TOGETHER);
            let len = part.len();
            // The row's first pixel has its sums already. For each other one column comes and one goes.
            let skip = usize::from(first == cols.start);
            let at = (first + skip) as isize;
            let [leaving, entering] = &mut aside;
            let leaving = columns.stretch(source, at - reach - 1, &mut leaving[skip..len]);
            let entering = columns.stretch(source, at + reach, &mut entering[skip..len]);
            region.line(y, part.clone(), |out| {
                vectorised(
                    #[inline(always)]
                    || {
                        // Here, that they stay in registers.
                        let mut sum = sums;
                        totals[0] = sum;
                        for ((total, entering), leaving) in totals[skip..len].iter_mut().zip(entering).zip(leaving) {
                            for c in 0..C {
                                sum[c] += T::from(entering[c] - leaving[c]);
                            }
                            *total = sum;
                        }
                        sums = sum;
                        for (out, &total) in out.iter_mut().zip(totals.as_flattened()) {
                            *out = S::from_f32(mean_of(total));
                        }
                    },
                );
                source.keep_alpha(y, part.start, out);
            });
        }
    }
}

/// How often each position of `range` is found from `from` on, in so many steps along a line of `len`; and how often none is.
fn counts(border: Border, from: isize, steps: usize, len: usize, range: &Range<usize>) -> (Vec<i32>, i32) {
    let (mut counts, mut beyond) = (vec![0; range.len()], 0);
    for at in from..from + steps as isize {
        match border.locate(at, len) {
            Some(at) => counts[at - range.start] += 1,
            None => beyond += 1,
        }
    }
    (counts, beyond)
}

/// The weighted sum of pixels.
fn start<const C: usize>(columns: &[i32], counts: &[f64]) -> [f64; C] {
    vectorised(
        #[inline(always)]
        || {
            let mut lanes = [0.0; LANES];
            let (columns, last) = columns.as_chunks::<LANES>();
            let (counts, last_counts) = counts.as_chunks::<LANES>();
            for (columns, counts) in columns.iter().zip(counts) {
                for n in 0..LANES {
                    lanes[n] += f64::from(columns[n]) * counts[n];
                }
            }
            for (lane, (&column, count)) in lanes.iter_mut().zip(last.iter().zip(last_counts)) {
                *lane += f64::from(column) * count;
            }
            let mut sums = [0.0; C];
            lanes.iter().enumerate().for_each(|(n, lane)| sums[n % C] += lane);
            sums
        },
    )
}

/// The sums of the rows around the current one, column by column.
struct Columns {
    /// Which there are.
    range: Range<usize>,
    /// Theirs, for each sample.
    sums: Vec<i32>,
    /// That of a column beyond the border.
    beyond: i32,
}

impl Columns {
    /// Of `side` rows from `top` on, for all columns that are seen from `cols`.
    fn new<S: Sample>(source: &Source<'_, S>, top: isize, side: usize, cols: Range<usize>, radius: usize) -> Self {
        let range = source.border().reach(cols, radius, source.width());
        let mut sums = vec![0; range.len() * source.channels()];
        let (counts, beyond) = counts(source.border(), top, side, source.height(), &(0..source.height()));
        let constant = source.constant().to_u32() as i32;
        sums.fill(beyond * constant);
        for (y, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let row = source.line(y, range.clone());
            vectorised(
                #[inline(always)]
                || sums.iter_mut().zip(row.iter()).for_each(|(sum, v)| *sum += v.to_u32() as i32 * count),
            );
        }
        Columns { range, sums, beyond: side as i32 * constant }
    }

    /// One row goes and one comes.
    fn move_down<S: Sample>(&mut self, source: &Source<'_, S>, leaving: isize, entering: isize) {
        let constant = source.constant().to_u32() as i32;
        let [leaving, entering] = [leaving, entering].map(|y| {
            let y = source.border().locate(y, source.height());
            y.map(|y| source.line(y, self.range.clone()))
        });
        let sums = &mut self.sums;
        vectorised(
            #[inline(always)]
            || match (&leaving, &entering) {
                (Some(leaving), Some(entering)) => {
                    for ((sum, leaving), entering) in sums.iter_mut().zip(leaving.iter()).zip(entering.iter()) {
                        *sum += entering.to_u32() as i32 - leaving.to_u32() as i32;
                    }
                }
                (Some(leaving), None) => {
                    sums.iter_mut().zip(leaving.iter()).for_each(|(sum, v)| *sum += constant - v.to_u32() as i32);
                }
                (None, Some(entering)) => {
                    sums.iter_mut().zip(entering.iter()).for_each(|(sum, v)| *sum += v.to_u32() as i32 - constant);
                }
                (None, None) => {}
            },
        );
    }

    /// Those from column `from` on, which may lie beyond the edges; put into `line` only there.
    fn stretch<'l, S: Sample, const C: usize>(
        &'l self,
        source: &Source<'_, S>,
        from: isize,
        line: &'l mut [[i32; C]],
    ) -> &'l [[i32; C]] {
        let sums = self.sums.as_chunks::<C>().0;
        let [left, inside, right] = source.pieces(from, line.len());
        if inside.len() == line.len() && !line.is_empty() {
            return &sums[from as usize - self.range.start..][..line.len()];
        }
        if !inside.is_empty() {
            let start = (from + inside.start as isize) as usize - self.range.start;
            line[inside.clone()].copy_from_slice(&sums[start..start + inside.len()]);
        }
        for n in left.chain(right) {
            let at = source.border().locate(from + n as isize, source.width());
            line[n] = at.map_or([self.beyond; C], |at| sums[at - self.range.start]);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use crate::filter::{Border, Filter, Sample};
    use ndarray::Array3;

    /// The mean of all that is within the radius, by how often each row and column is there.
    fn reference<S: Sample>(src: &Array3<S>, border: Border, radius: isize, constant: S) -> Array3<S> {
        let (height, width, _) = src.dim();
        let found = |middle: usize, len: usize| {
            let mut counts = vec![0_i64; len + 1];
            let at = middle as isize;
            (at - radius..=at + radius).for_each(|at| counts[border.locate(at, len).unwrap_or(len)] += 1);
            counts
        };
        let [rows, cols] = [height, width].map(|len| (0..len).map(|at| found(at, len)).collect::<Vec<_>>());
        let side = (2 * radius + 1) as f64;
        Array3::from_shape_fn(src.dim(), |(y, x, c)| {
            let mut total = 0;
            for (y, rows) in rows[y].iter().enumerate() {
                for (x, cols) in cols[x].iter().enumerate() {
                    total += rows * cols * i64::from(src.get([y, x, c]).copied().unwrap_or(constant).to_u32());
                }
            }
            S::from_f32((total as f64 * (1.0 / (side * side))) as f32)
        })
    }

    fn compare<S: Sample>(src: &Array3<S>, constant: S, radii: [isize; 4]) {
        for border in [Border::Reflect101, Border::Replicate, Border::Constant(77.0), Border::Wrap] {
            for radius in radii {
                let mut got = Array3::from_elem(src.dim(), S::MAX);
                let filter = Filter::Box { radius: radius as usize };
                filter.apply(src.view(), border, 0..src.dim().0, 0..src.dim().1, got.view_mut());
                let want = reference(src, border, radius, constant);
                let colours = 3.min(src.dim().2);
                let part = ndarray::s![.., .., ..colours];
                assert_eq!(got.slice(part), want.slice(part), "{radius}, {border}");
            }
        }
    }

    /// On both sides of where sums of 32 bits end, and far beyond the picture.
    #[test]
    fn a_radius_may_be_of_any_size() {
        let value = |(y, x, c): (usize, usize, usize)| ((y * 7919 + x * 104_729 + c * 31 + y * x) % 65_536) as u16;
        for shape in [[7, 9, 3], [1, 12, 1], [5, 1, 4]] {
            let deep = Array3::from_shape_fn(shape, value);
            compare(&deep, 77 * 257, [3, 90, 91, 16_383]);
            compare(&deep.mapv(|v| (v >> 8) as u8), 77, [9, 1450, 1451, 16_383]);
            // The greatest sums.
            compare(&Array3::from_elem(shape, u16::MAX), 77 * 257, [1, 90, 91, 16_383]);
        }
    }
}
