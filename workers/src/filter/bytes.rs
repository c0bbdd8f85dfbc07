//! Weighted sums of bytes for resizing: with weights in 1/2^22, as Pillow's, exact in `i32`.
//!
//! Vector units multiply 16 bits, two neighbours at a time. So a weight is taken apart, into 256ths of it and the
//! rest, and the sums of both are put together at the end.

use super::sample::FRACTION_BITS;
use super::vectors::{SUMS, Vectors, fill};
use std::ops::Range;

/// Samples of a row, or a column, that are summed together down the columns.
const LANES: usize = 4 * SUMS;

/// What sums begin with, in order to be rounded.
const HALF: i32 = 1 << (FRACTION_BITS - 1);

/// The weights of two neighbours: 256ths of them, and what these leave.
type Pair = [[i16; 2]; 2];

#[inline(always)]
fn apart([one, next]: [i32; 2]) -> Pair {
    [[(one >> 8) as i16, (next >> 8) as i16], [(one & 255) as i16, (next & 255) as i16]]
}

/// The weights along a row in pairs, the first of which is that of an even pixel.
pub(super) struct Pairs {
    /// For each pixel of the result: the first pair, and which of `values` are its.
    spans: Vec<(usize, usize, usize)>,
    values: Vec<Pair>,
}

impl Pairs {
    /// For the pixels `part`, of which `of` gives what they are made from and the weights; pixels of the source count
    /// from `first`.
    pub(super) fn new<'w>(of: impl Fn(usize) -> (Range<usize>, &'w [i32]), part: Range<usize>, first: usize) -> Self {
        let mut pairs = Pairs { spans: Vec::with_capacity(part.len()), values: Vec::new() };
        for n in part {
            let (span, weights) = of(n);
            let begin = span.start - first;
            let weight = |at: usize| at.checked_sub(begin).and_then(|at| weights.get(at)).map_or(0, |&weight| weight);
            let from = pairs.values.len();
            let all = begin / 2..(begin + weights.len()).div_ceil(2);
            pairs.values.extend(all.clone().map(|pair| apart([weight(2 * pair), weight(2 * pair + 1)])));
            pairs.spans.push((all.start, from, pairs.values.len()));
        }
        pairs
    }
}

/// Two neighbours in each of [`SUMS`] rows.
pub(super) type Neighbours = [i16; 2 * SUMS];

/// Stands even and odd pixels of so many channels side by side.
#[inline(always)]
pub(super) fn stand_side_by_side<V: Vectors, const C: usize>(
    vectors: V,
    wide: &[[u8; SUMS]],
    pairs: &mut [Neighbours],
) {
    for (pixels, pairs) in wide.as_chunks::<C>().0.as_chunks::<2>().0.iter().zip(pairs.as_chunks_mut::<C>().0) {
        for c in 0..C {
            pairs[c] = vectors.interleave(&pixels[0][c], &pixels[1][c]);
        }
    }
}

/// The pass along [`SUMS`] rows, whose pixels are columns of `pairs` and of `out`.
#[inline(always)]
pub(super) fn sum_rows<V: Vectors, const C: usize>(
    vectors: V,
    weights: &Pairs,
    pairs: &[Neighbours],
    out: &mut [[u8; SUMS]],
) {
    for (&(first, from, to), out) in weights.spans.iter().zip(out.as_chunks_mut::<C>().0) {
        let mut sums = [[vectors.sums_of(0), vectors.sums_of(HALF)]; C];
        let weights = &weights.values[from..to];
        for (pairs, weights) in pairs.as_chunks::<C>().0[first..][..weights.len()].iter().zip(weights) {
            for (sums, pair) in sums.iter_mut().zip(pairs) {
                sums[0] = vectors.add_pairs(sums[0], pair, weights[0]);
                sums[1] = vectors.add_pairs(sums[1], pair, weights[1]);
            }
        }
        for (out, [coarse, fine]) in out.iter_mut().zip(sums) {
            let sums = vectors.lanes(vectors.add_256_times(fine, coarse));
            for i in 0..SUMS {
                out[i] = (sums[i] >> FRACTION_BITS).clamp(0, 255) as u8;
            }
        }
    }
}

/// Two rows of a ring, by where they start, and their weights.
type Rows = ([usize; 2], Pair);

/// The pass down the columns: the weighted sums of rows of `ring`, each of which starts where `start` says.
#[inline(always)]
pub(super) fn sum_columns<V: Vectors>(
    vectors: V,
    weights: &[i32],
    ring: &[u8],
    start: impl Fn(usize) -> usize,
    out: &mut [u8],
) {
    let rows = |tap: usize| {
        let next = weights.get(tap + 1);
        let starts = [start(tap), start(tap + usize::from(next.is_some()))];
        (starts, apart([weights[tap], next.map_or(0, |&weight| weight)]))
    };
    let rows: Vec<Rows> = (0..weights.len()).step_by(2).map(rows).collect();
    fill(
        [out],
        #[inline(always)]
        |n| {
            let sums = if V::MANY {
                parts::<V, 4>(vectors, ring, &rows, n * LANES, 0)
            } else {
                let [a, b] = parts::<V, 2>(vectors, ring, &rows, n * LANES, 0);
                let [c, d] = parts::<V, 2>(vectors, ring, &rows, n * LANES, 2);
                [a, b, c, d]
            };
            [vectors.settle::<{ FRACTION_BITS }>(sums)]
        },
    );
}

/// So many parts, from one on, of the sums of the samples that stand [`beside`](Vectors::beside) each other.
#[inline(always)]
fn parts<V: Vectors, const N: usize>(vectors: V, ring: &[u8], rows: &[Rows], at: usize, first: usize) -> [V::Sums; N] {
    let mut sums = [[vectors.sums_of(0); N], [vectors.sums_of(HALF); N]];
    for &(starts, weights) in rows {
        let samples = |start: usize| ring[start + at..].first_chunk().expect("rows are padded to whole chunks");
        let pairs = vectors.beside(samples(starts[0]), samples(starts[1]));
        for i in 0..N {
            sums[0][i] = vectors.add_pairs(sums[0][i], &pairs[first + i], weights[0]);
            sums[1][i] = vectors.add_pairs(sums[1][i], &pairs[first + i], weights[1]);
        }
    }
    let [coarse, mut whole] = sums;
    for i in 0..N {
        whole[i] = vectors.add_256_times(whole[i], coarse[i]);
    }
    whole
}
