//! 3 x 3 and 5 x 5 samples: columns are sorted once for all squares that they are in, and the median is found among the few of a
//! square's that it can be. Nothing but minima and maxima, of as many samples at once as a vector has.

use crate::filter::Sample;
use crate::filter::picture::{Region, Source};
use crate::filter::vectors::vectorised;

/// Samples of a row that are computed at a time, with those beside them, so that what is sorted stays in the nearest cache.
const PART: usize = 2048;

/// Of that, as many as are whole vectors of any level.
const WHOLE: usize = 64;

// Closures, for a function that is handed on is called, and compiled without the instructions of who calls it.

pub(super) fn of_9<S: Sample>(source: &Source<'_, S>, region: Region<'_, S>) {
    with_channels!(source.channels(), C => by_rows(
        source,
        region,
        C,
        #[inline(always)]
        |column| sorted_3(column),
        #[inline(always)]
        |lines, out| middle_of_3::<S, C>(lines, out),
    ));
}

pub(super) fn of_25<S: Sample>(source: &Source<'_, S>, region: Region<'_, S>) {
    with_channels!(source.channels(), C => by_rows(
        source,
        region,
        C,
        #[inline(always)]
        |column| sorted_5(column),
        #[inline(always)]
        |lines, out| middle_of_5::<S, C>(lines, out),
    ));
}

/// For each row sorts the columns of the `N` rows around it, and has `middle` find the medians.
#[inline(always)]
fn by_rows<S: Sample, const N: usize>(
    source: &Source<'_, S>,
    mut region: Region<'_, S>,
    channels: usize,
    sorted: impl Fn([S; N]) -> [S; N] + Copy,
    middle: impl Fn(&[[S; PART]; N], &mut [S]) + Copy,
) {
    let halo = N / 2;
    // Away from the edges the rows are read where they are.
    let inner = halo.clamp(region.cols.start, region.cols.end);
    let outer = source.width().saturating_sub(halo).clamp(inner, region.cols.end);
    let parts = [region.cols.start..inner, inner..outer, outer..region.cols.end];
    let mut aside = [(); N].map(|()| vec![S::MAX; (region.cols.len() + 2 * halo) * channels]);
    let mut lines = [[S::MAX; PART]; N];
    for y in region.rows.clone() {
        for cols in parts.iter().filter(|cols| !cols.is_empty()) {
            region.line(y, cols.clone(), |out| {
                let (len, from) = ((cols.len() + 2 * halo) * channels, cols.start as isize - halo as isize);
                let mut n = 0;
                let rows = aside.each_mut().map(|aside| {
                    n += 1;
                    source.stretch((y + n) as isize - 1 - halo as isize, from, &mut aside[..len])
                });
                let apart = 2 * halo * channels;
                // Whole vectors: what is left of one is computed sample by sample.
                let step = (PART - apart) / WHOLE * WHOLE;
                for (at, out) in out.chunks_mut(step).enumerate() {
                    let rows = rows.map(|row| &row[at * step..][..out.len() + apart]);
                    vectorised(
                        #[inline(always)]
                        || {
                            sort(rows, &mut lines, sorted);
                            middle(&lines, out);
                        },
                    );
                }
                source.keep_alpha(y, cols.start, out);
            });
        }
    }
}

/// Puts the lesser of each pair of places first: one after the other, not in a loop, which would not be made vectors of.
macro_rules! order {
    ($all:ident: $($one:literal $other:literal),+) => {
        $(($all[$one], $all[$other]) = ($all[$one].min($all[$other]), $all[$one].max($all[$other]));)+
    };
}

#[inline(always)]
fn sorted_3<S: Sample>(mut all: [S; 3]) -> [S; 3] {
    order!(all: 0 2, 0 1, 1 2);
    all
}

#[inline(always)]
fn sorted_5<S: Sample>(mut all: [S; 5]) -> [S; 5] {
    order!(all: 0 3, 1 4, 0 2, 1 3, 0 1, 2 4, 1 2, 3 4, 2 3);
    all
}

/// Sorts each column of some rows.
#[inline(always)]
fn sort<S: Sample, const N: usize>(rows: [&[S]; N], to: &mut [[S; PART]; N], sorted: impl Fn([S; N]) -> [S; N]) {
    let len = rows[0].len().min(PART);
    let rows = rows.map(|row| &row[..len]);
    let lines = to.each_mut().map(|line| &mut line[..len]);
    for i in 0..len {
        let mut column = [rows[0][i]; N];
        for n in 1..N {
            column[n] = rows[n][i];
        }
        let column = sorted(column);
        for n in 0..N {
            lines[n][i] = column[n];
        }
    }
}

#[inline(always)]
fn middle<S: Sample>(a: S, b: S, c: S) -> S {
    a.min(b).max(a.max(b).min(c))
}

/// The greatest of the least, the middle one of those in the middle and the least of the greatest: of them the middle one.
#[inline(always)]
fn middle_of_3<S: Sample, const C: usize>(sorted: &[[S; PART]; 3], out: &mut [S]) {
    let len = out.len();
    let [least, middles, greatest] = sorted.each_ref().map(|line| [0, 1, 2].map(|n| &line[n * C..][..len]));
    for i in 0..len {
        let low = least[0][i].max(least[1][i]).max(least[2][i]);
        let high = greatest[0][i].min(greatest[1][i]).min(greatest[2][i]);
        out[i] = middle(low, middle(middles[0][i], middles[1][i], middles[2][i]), high);
    }
}

/// Of 25 samples whose columns are sorted, five to a row, first each row is sorted. Then six are known to be too small and six to be too
/// great; of the 13 that are left the least and the greatest of some are taken away again and again, until there are three.
///
/// All in one loop over arrays of its own: of slices the compiler would have to know that they are apart. No closure stands in it: one given
/// to `array::map` is a call with AVX2, and no vectors are made.
#[inline(always)]
fn middle_of_5<S: Sample, const C: usize>(sorted: &[[S; PART]; 5], out: &mut [S]) {
    let [a, b, c, d, e] = sorted;
    let mut medians = [S::MAX; PART];
    for i in 0..out.len().min(PART - 4 * C) {
        let mut all = [
            a[i],
            a[i + C],
            a[i + 2 * C],
            a[i + 3 * C],
            a[i + 4 * C],
            b[i],
            b[i + C],
            b[i + 2 * C],
            b[i + 3 * C],
            b[i + 4 * C],
            c[i],
            c[i + C],
            c[i + 2 * C],
            c[i + 3 * C],
            c[i + 4 * C],
            d[i],
            d[i + C],
            d[i + 2 * C],
            d[i + 3 * C],
            d[i + 4 * C],
            e[i],
            e[i + C],
            e[i + 2 * C],
            e[i + 3 * C],
            e[i + 4 * C],
        ];
        order!(all: 0 3, 1 4, 0 2, 1 3, 0 1, 2 4, 1 2, 3 4, 2 3);
        order!(all: 5 8, 6 9, 5 7, 6 8, 5 6, 7 9, 6 7, 8 9, 7 8);
        order!(all: 10 13, 11 14, 10 12, 11 13, 10 11, 12 14, 11 12, 13 14, 12 13);
        order!(all: 15 18, 16 19, 15 17, 16 18, 15 16, 17 19, 16 17, 18 19, 17 18);
        order!(all: 20 23, 21 24, 20 22, 21 23, 20 21, 22 24, 21 22, 23 24, 22 23);
        // The least of all is one of 3, 7, 11 and 15, the greatest one of 9, 13, 17 and 21.
        order!(all: 3 7, 11 15, 3 11, 9 13, 17 21, 13 21, 7 4, 11 17, 15 13, 7 11, 7 15, 7 9, 9 4, 13 4, 17 4, 11 8);
        order!(all: 15 17, 9 13, 11 15, 11 9, 13 8, 17 8, 15 12, 9 17, 15 9, 15 13, 13 12, 17 12, 9 16, 13 17, 9 13, 17 16);
        medians[i] = middle(all[13], all[17], all[20]);
    }
    out.copy_from_slice(&medians[..out.len()]);
}
