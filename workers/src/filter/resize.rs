//! Resizing with three Lanczos lobes: along the rows and down the columns, rounded to samples in between.
//!
//! With 8 bits every sum is one of integers, so the result is Pillow's, bit for bit; 16 bits are summed in `f32`.
//! Colours are weighed by alpha: multiplied before, divided after, in Pillow's integers again.
//!
//! Along a row each pixel has weights of its own, which leaves nothing to do for vectors; so [`TALL`] rows go together,
//! transposed: what stands side by side then is one column's samples, which share a weight. Down the columns, rows are
//! summed from a ring of the last ones.

use super::Sample;
use super::bytes;
use super::lanczos::Weights;
use super::picture::{Region, Source, copy};
use super::vectors::{SUMS, Vectors, Work, vectorised, vectors};
use std::ops::Range;

/// Rows that are resized together.
const TALL: usize = SUMS;

/// Samples of a row, or a column, of as many.
type Tall<S> = [S; TALL];

/// Samples of a row of the result that are computed together.
const LANES: usize = 64;

/// Bytes for the rows of a strip, before resizing and after: each a fraction of the second-level cache.
const STRIP: usize = 1 << 16;

pub(super) fn resize<S: Sample>(shape: [usize; 3], source: &Source<'_, S>, mut region: Region<'_, S>) {
    let [height, width, channels] = shape;
    if (height, width) == (source.height(), source.width()) {
        let cols = region.cols.clone();
        for y in region.rows.clone() {
            region.line(y, cols.clone(), |out| out.copy_from_slice(&source.line(y, cols.clone())));
        }
        return;
    }
    let down = Weights::new(region.rows.clone(), height, source.height());
    let across = Weights::new(region.cols.clone(), width, source.width());
    with_channels!(channels, C => strips::<S, C>(&across, &down, down_first(shape, source), source, &mut region));
}

/// Whether the columns come first: where the height loses more than twice the pixels that the width does. Pillow
/// chooses so since 13.0, to save time; it is not seen but in the lowest bits, unless edges overshoot.
fn down_first<S: Sample>([height, width, _]: [usize; 3], source: &Source<'_, S>) -> bool {
    let lost = |from: usize, to: usize| from as i64 - to as i64;
    let (rows, cols) = (lost(source.height(), height), lost(source.width(), width));
    rows > 0 && rows > 2 * cols
}

/// Goes down strips of the region, so narrow that what is in use stays in the second-level cache.
fn strips<S: Sample, const C: usize>(
    across: &Weights<S::Weight>,
    down: &Weights<S::Weight>,
    down_first: bool,
    source: &Source<'_, S>,
    region: &mut Region<'_, S>,
) {
    let pixel = C * size_of::<S>();
    let slots = (down.taps() + TALL - 1).next_multiple_of(TALL);
    let growth = across.reach(0..region.cols.len()).len().div_ceil(region.cols.len());
    let ring_growth = if down_first { growth } else { 1 };
    let width = (STRIP / (slots * pixel * ring_growth)).min(STRIP / (TALL * pixel * growth)).max(64);
    for start in (0..region.cols.len()).step_by(width) {
        let part = start..region.cols.len().min(start + width);
        let cols = region.cols.start + part.start..region.cols.start + part.end;
        let along = Along::<S, C>::new(across, part);
        if down_first {
            columns_first(along, down, slots, cols, source, region);
        } else {
            rows_first(along, down, slots, cols, source, region);
        }
    }
}

/// Rows of the source enter a ring as wide as the result, [`TALL`] at a time.
fn rows_first<S: Sample, const C: usize>(
    mut along: Along<'_, S, C>,
    down: &Weights<S::Weight>,
    slots: usize,
    cols: Range<usize>,
    source: &Source<'_, S>,
    region: &mut Region<'_, S>,
) {
    let mut ring = Lines::new(slots, cols.len() * C);
    let rows = down.reach(0..region.rows.len());
    let mut entered = rows.start;
    for y in region.rows.clone() {
        let (span, weights) = down.of(y - region.rows.start);
        while entered < span.end {
            // What fewer rows leave of the last ones is never read.
            for (n, y) in (entered..rows.end.min(entered + TALL)).enumerate() {
                let read = along.read.clone();
                copy(&source.line(y, read.clone()), &mut along.lines.line_mut(n)[..read.len() * C]);
            }
            along.resize::<true>(&mut ring, (entered - rows.start) % slots);
            entered += TALL;
        }
        region.line(y, cols.clone(), |out| {
            vectors(SumColumns { weights, slot: (span.start - rows.start) % slots, ring: &ring, out: &mut *out });
            vectorised(
                #[inline(always)]
                || by_alpha::<S, C>(out, S::over),
            );
        });
    }
}

/// Rows of the source enter a ring as they are; those of the result go along the row [`TALL`] at a time.
fn columns_first<S: Sample, const C: usize>(
    mut along: Along<'_, S, C>,
    down: &Weights<S::Weight>,
    slots: usize,
    cols: Range<usize>,
    source: &Source<'_, S>,
    region: &mut Region<'_, S>,
) {
    let mut ring = Lines::new(slots, along.lines.len);
    let mut done = Lines::new(TALL, cols.len() * C);
    let rows = down.reach(0..region.rows.len());
    let mut entered = rows.start;
    for first in region.rows.clone().step_by(TALL) {
        let together = first..region.rows.end.min(first + TALL);
        for (n, y) in together.clone().enumerate() {
            let (span, weights) = down.of(y - region.rows.start);
            for y in entered..span.end {
                enter::<S, C>(source, y, along.read.clone(), ring.line_mut((y - rows.start) % slots));
            }
            entered = entered.max(span.end);
            let slot = (span.start - rows.start) % slots;
            vectors(SumColumns { weights, slot, ring: &ring, out: along.lines.line_mut(n) });
        }
        along.resize::<false>(&mut done, 0);
        for (n, y) in together.enumerate() {
            region.line(y, cols.clone(), |out| {
                out.copy_from_slice(&done.line(n)[..out.len()]);
                vectorised(
                    #[inline(always)]
                    || by_alpha::<S, C>(out, S::over),
                );
            });
        }
    }
}

/// Fills `line` with a stretch of row `y`, its colours times its alpha.
fn enter<S: Sample, const C: usize>(source: &Source<'_, S>, y: usize, stretch: Range<usize>, line: &mut [S]) {
    let line = &mut line[..stretch.len() * C];
    copy(&source.line(y, stretch), line);
    vectorised(
        #[inline(always)]
        || by_alpha::<S, C>(line, S::times),
    );
}

/// The pass along the rows, for a strip of columns of the result.
struct Along<'a, S: Sample, const C: usize> {
    weights: &'a Weights<S::Weight>,
    /// The strip, counted from the region's first column.
    part: Range<usize>,
    /// Columns of the source that it is made from.
    read: Range<usize>,
    /// The rows to resize.
    lines: Lines<S>,
    /// Those, transposed.
    wide: Vec<Tall<S>>,
    /// Those, resized.
    narrow: Vec<Tall<S>>,
    /// With 8 bits: the weights in pairs, and `wide` so.
    pairs: Option<(bytes::Pairs, Vec<bytes::Neighbours>)>,
}

impl<'a, S: Sample, const C: usize> Along<'a, S, C> {
    fn new(weights: &'a Weights<S::Weight>, part: Range<usize>) -> Self {
        let read = weights.reach(part.clone());
        // A pixel more, that the last one may have a neighbour.
        let lines = Lines::new(TALL, (read.len() + 1) * C);
        let wide = vec![[S::MAX; TALL]; lines.len];
        let narrow = vec![[S::MAX; TALL]; (part.len() * C).next_multiple_of(TALL)];
        let pairs = (size_of::<S>() == 1).then(|| {
            let of = |n| {
                let (span, weights) = weights.of(n);
                (span, bytemuck::cast_slice(weights))
            };
            let weights = bytes::Pairs::new(of, part.clone(), read.start);
            (weights, vec![[0; 2 * TALL]; wide.len().div_ceil(2 * C) * C])
        });
        Along { weights, part, read, lines, wide, narrow, pairs }
    }

    /// Resizes [`lines`](Self::lines), their colours times alpha if `MULTIPLY`, into the [`TALL`] lines of `to` from
    /// `slot` on.
    fn resize<const MULTIPLY: bool>(&mut self, to: &mut Lines<S>, slot: usize) {
        vectorised(
            #[inline(always)]
            || {
                for (n, block) in self.wide.as_chunks_mut::<TALL>().0.iter_mut().enumerate() {
                    for (row, samples) in block.iter_mut().enumerate() {
                        *samples = *self.lines.tall(row, n);
                    }
                    *block = transpose(block);
                }
                if MULTIPLY && C.is_multiple_of(2) {
                    for pixel in self.wide.as_chunks_mut::<C>().0 {
                        let alpha = pixel[C - 1];
                        for colour in &mut pixel[..C - 1] {
                            for i in 0..TALL {
                                colour[i] = colour[i].times(alpha[i]);
                            }
                        }
                    }
                }
            },
        );
        vectors(SumRows(self));
        vectorised(
            #[inline(always)]
            || {
                for (n, block) in self.narrow.as_chunks::<TALL>().0.iter().enumerate() {
                    for (row, samples) in transpose(block).iter().enumerate() {
                        *to.tall_mut(slot + row, n) = *samples;
                    }
                }
            },
        );
    }
}

/// The pass along the rows.
struct SumRows<'t, 'a, S: Sample, const C: usize>(&'t mut Along<'a, S, C>);

impl<S: Sample, const C: usize> Work for SumRows<'_, '_, S, C> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, vectors: V) {
        let along = self.0;
        if let Some((weights, pairs)) = &mut along.pairs {
            bytes::stand_side_by_side::<V, C>(vectors, bytemuck::cast_slice(&along.wide), pairs);
            bytes::sum_rows::<V, C>(vectors, weights, pairs, bytemuck::cast_slice_mut(&mut along.narrow));
            return;
        }
        // The channels one after the other: with the sums of all at once LLVM puts those of a pixel into a vector.
        for (n, out) in along.part.clone().zip(along.narrow.as_chunks_mut::<C>().0) {
            let (span, weights) = along.weights.of(n);
            let pixels = &along.wide[(span.start - along.read.start) * C..][..span.len() * C];
            for (c, out) in out.iter_mut().enumerate() {
                let mut sums = [0.0; TALL];
                for (pixel, &weight) in pixels.as_chunks::<C>().0.iter().zip(bytemuck::cast_slice::<_, f32>(weights)) {
                    for i in 0..TALL {
                        sums[i] += pixel[c][i].to_f32() * weight;
                    }
                }
                *out = sums.map(S::from_f32);
            }
        }
    }
}

/// Rows of samples, each padded to whole [`Tall`]s and [`LANES`].
struct Lines<S> {
    samples: Vec<S>,
    count: usize,
    /// Samples of a line, with the padding.
    len: usize,
}

impl<S: Sample> Lines<S> {
    fn new(count: usize, len: usize) -> Self {
        // An odd number of cache lines: columns of rows whose distance is a power of two fight for a few places.
        let len = (len.div_ceil(LANES) | 1) * LANES;
        Lines { samples: vec![S::MAX; count * len], count, len }
    }

    #[inline(always)]
    fn line(&self, n: usize) -> &[S] {
        &self.samples[n * self.len..][..self.len]
    }

    fn line_mut(&mut self, n: usize) -> &mut [S] {
        &mut self.samples[n * self.len..][..self.len]
    }

    #[inline(always)]
    fn tall(&self, line: usize, n: usize) -> &Tall<S> {
        self.samples[line * self.len + n * TALL..].first_chunk().expect("whole chunks")
    }

    #[inline(always)]
    fn tall_mut(&mut self, line: usize, n: usize) -> &mut Tall<S> {
        self.samples[line * self.len + n * TALL..].first_chunk_mut().expect("whole chunks")
    }
}

/// Rows to columns: interleaving the upper half of the block with the lower one moves the highest bit of each
/// sample's number to the lowest place, and four times that exchange row and column.
#[inline(always)]
fn transpose<S: Sample>(block: &[Tall<S>; TALL]) -> [Tall<S>; TALL] {
    let mut block = *block;
    for _ in 0..TALL.ilog2() {
        let mut next = [[S::MAX; TALL]; TALL];
        let (upper, lower) = block.as_flattened().split_at(TALL * TALL / 2);
        for ((pair, upper), lower) in next.as_flattened_mut().as_chunks_mut::<2>().0.iter_mut().zip(upper).zip(lower) {
            *pair = [*upper, *lower];
        }
        block = next;
    }
    block
}

/// The pass down the columns: the weighted sums of the ring's lines from `slot` on.
struct SumColumns<'a, S: Sample> {
    weights: &'a [S::Weight],
    slot: usize,
    ring: &'a Lines<S>,
    out: &'a mut [S],
}

impl<S: Sample> Work for SumColumns<'_, S> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, vectors: V) {
        let SumColumns { weights, slot, ring, out } = self;
        let start = |tap: usize| {
            let beyond = if slot + tap < ring.count { 0 } else { ring.count };
            (slot + tap - beyond) * ring.len
        };
        if size_of::<S>() == 1 {
            let (weights, ring) = (bytemuck::cast_slice(weights), bytemuck::cast_slice(&ring.samples));
            return bytes::sum_columns(vectors, weights, ring, start, bytemuck::cast_slice_mut(out));
        }
        for (n, out) in out.chunks_mut(LANES).enumerate() {
            let mut sums = [0.0; LANES];
            for (tap, &weight) in bytemuck::cast_slice::<_, f32>(weights).iter().enumerate() {
                let samples = &ring.samples[start(tap) + n * LANES..];
                let samples = samples.first_chunk::<LANES>().expect("lines are padded to whole chunks");
                for i in 0..LANES {
                    sums[i] += samples[i].to_f32() * weight;
                }
            }
            match out.as_chunks_mut::<LANES>() {
                ([whole], _) => (0..LANES).for_each(|i| whole[i] = S::from_f32(sums[i])),
                (_, part) => part.iter_mut().zip(sums).for_each(|(out, sum)| *out = S::from_f32(sum)),
            }
        }
    }
}

/// Changes colours by their pixel's alpha, if pixels have any.
#[inline(always)]
fn by_alpha<S: Sample, const C: usize>(line: &mut [S], change: impl Fn(S, S) -> S) {
    if C.is_multiple_of(2) {
        for pixel in line.as_chunks_mut::<C>().0 {
            let alpha = pixel[C - 1];
            pixel[..C - 1].iter_mut().for_each(|colour| *colour = change(*colour, alpha));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TALL, transpose};

    #[test]
    fn rows_become_columns() {
        let block: [[u8; TALL]; TALL] = std::array::from_fn(|y| std::array::from_fn(|x| (16 * y + x) as u8));
        let turned = transpose(&block);
        assert!((0..TALL).all(|y| (0..TALL).all(|x| turned[x][y] == block[y][x])));
    }
}
