//! Resizing with three Lanczos lobes: along the rows and down the columns, rounded to samples in between.
//!
//! Sums are those of `f32`, rounded with 8 bits as if they were exact ([`sums`]), so that the result is Pillow's, bit for bit. Colours are weighed by alpha: multiplied before, divided after, in Pillow's integers again.
//!
//! Along a row each pixel has weights of its own, which leaves nothing to do for vectors; so [`TALL`] rows go together,
//! transposed: what stands side by side then is one column's samples, which share a weight. Down the columns, rows are
//! summed from a ring of the last ones.

use super::Sample;
use super::lanczos::Weights;
use super::picture::{Region, Source, copy};
use super::sums;
use super::transpose::{SIDE, transpose};
use super::vectors::{Vectors, Work, fill, vectorised, vectors};
use super::window::CacheLine;
use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::marker::PhantomData;
use std::ops::Range;

/// Rows that are resized together.
const TALL: usize = SIDE;

/// Samples of a row, or a column, of as many.
type Tall<S> = [S; TALL];

/// Samples of a row of the result that are computed together.
const LANES: usize = 64;

/// Bytes for the rows of a strip as they are summed, before resizing and after: each a fraction of the second-level cache.
const STRIP: usize = 1 << 17;

pub(super) fn resize<S: Sample>(shape: [usize; 3], source: &Source<'_, S>, mut region: Region<'_, S>) {
    let [height, width, channels] = shape;
    if (height, width) == (source.height(), source.width()) {
        let cols = region.cols.clone();
        for y in region.rows.clone() {
            region.line(y, cols.clone(), |out| out.copy_from_slice(&source.line(y, cols.clone())));
        }
        return;
    }
    let down = Weights::new::<S>(region.rows.clone(), height, source.height());
    let across = Weights::new::<S>(region.cols.clone(), width, source.width());
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
    across: &Weights,
    down: &Weights,
    down_first: bool,
    source: &Source<'_, S>,
    region: &mut Region<'_, S>,
) {
    let pixel = C * size_of::<f32>();
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
    down: &Weights,
    slots: usize,
    cols: Range<usize>,
    source: &Source<'_, S>,
    region: &mut Region<'_, S>,
) {
    let mut ring = Lines::<f32>::new(slots, cols.len() * C);
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
            along.resize::<true, _>(&mut ring, (entered - rows.start) % slots, S::to_f32);
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
    down: &Weights,
    slots: usize,
    cols: Range<usize>,
    source: &Source<'_, S>,
    region: &mut Region<'_, S>,
) {
    let mut ring = Lines::<f32>::new(slots, along.lines.len);
    let mut done = Lines::<S>::new(TALL, cols.len() * C);
    let mut aside = vec![S::MAX; along.read.len() * C];
    let rows = down.reach(0..region.rows.len());
    let mut entered = rows.start;
    for first in region.rows.clone().step_by(TALL) {
        let together = first..region.rows.end.min(first + TALL);
        for (n, y) in together.clone().enumerate() {
            let (span, weights) = down.of(y - region.rows.start);
            for y in entered..span.end {
                copy(&source.line(y, along.read.clone()), &mut aside);
                vectorised(
                    #[inline(always)]
                    || {
                        by_alpha::<S, C>(&mut aside, S::times);
                        let line = ring.line_mut((y - rows.start) % slots);
                        line.iter_mut().zip(&aside).for_each(|(cell, sample)| *cell = sample.to_f32());
                    },
                );
            }
            entered = entered.max(span.end);
            let slot = (span.start - rows.start) % slots;
            vectors(SumColumns { weights, slot, ring: &ring, out: along.lines.line_mut(n) });
        }
        along.resize::<false, _>(&mut done, 0, |sample| sample);
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

/// The pass along the rows, for a strip of columns of the result.
struct Along<'a, S: Sample, const C: usize> {
    weights: &'a Weights,
    /// The strip, counted from the region's first column.
    part: Range<usize>,
    /// Columns of the source that it is made from.
    read: Range<usize>,
    /// The rows to resize.
    lines: Lines<S>,
    /// Those, transposed: a [`Tall`] after the other.
    wide: Lines<f32>,
    /// Those, resized.
    narrow: Vec<Tall<S>>,
}

impl<'a, S: Sample, const C: usize> Along<'a, S, C> {
    fn new(weights: &'a Weights, part: Range<usize>) -> Self {
        let read = weights.reach(part.clone());
        let lines = Lines::new(TALL, read.len() * C);
        let wide = Lines::new(1, lines.len * TALL);
        let narrow = vec![[S::MAX; TALL]; (part.len() * C).next_multiple_of(TALL)];
        Along { weights, part, read, lines, wide, narrow }
    }

    /// Resizes [`lines`](Self::lines), their colours times alpha if `MULTIPLY`, and puts them into the [`TALL`] lines of `to` from
    /// `slot` on.
    fn resize<const MULTIPLY: bool, T: Pod>(&mut self, to: &mut Lines<T>, slot: usize, put: impl Fn(S) -> T) {
        vectorised(
            #[inline(always)]
            || {
                let blocks = self.wide.line_mut(0).as_chunks_mut::<{ TALL * TALL }>().0;
                for (n, to) in blocks.iter_mut().take(self.lines.len / TALL).enumerate() {
                    let mut block = [[S::MAX; TALL]; TALL];
                    for (row, samples) in block.iter_mut().enumerate() {
                        *samples = *self.lines.tall(row, n);
                    }
                    let mut block = transpose(&block);
                    if MULTIPLY && C.is_multiple_of(2) {
                        for pixel in block.as_chunks_mut::<C>().0 {
                            let alpha = pixel[C - 1];
                            for colour in &mut pixel[..C - 1] {
                                for i in 0..TALL {
                                    colour[i] = colour[i].times(alpha[i]);
                                }
                            }
                        }
                    }
                    to.iter_mut().zip(block.as_flattened()).for_each(|(cell, sample)| *cell = sample.to_f32());
                }
            },
        );
        vectors(SumRows(self));
        vectorised(
            #[inline(always)]
            || {
                for (n, block) in self.narrow.as_chunks::<TALL>().0.iter().enumerate() {
                    for (row, samples) in transpose(block).iter().enumerate() {
                        let cells = to.tall_mut(slot + row, n);
                        cells.iter_mut().zip(samples).for_each(|(cell, &sample)| *cell = put(sample));
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
    fn with<V: Vectors>(self, _: V) {
        let along = self.0;
        let wide = along.wide.line(0).as_chunks::<TALL>().0.as_chunks::<C>().0;
        for (n, out) in along.part.clone().zip(along.narrow.as_chunks_mut::<C>().0) {
            let (span, weights) = along.weights.of(n);
            let pixels = &wide[span.start - along.read.start..][..weights.len()];
            let mut sums = [[0.0; TALL]; C];
            for (pixel, &weight) in pixels.iter().zip(weights) {
                for c in 0..C {
                    sums::add::<V, S, TALL>(&mut sums[c], &pixel[c], weight);
                }
            }
            for c in 0..C {
                out[c] = sums::round(
                    &sums[c],
                    weights.len(),
                    #[inline(always)]
                    |exact| {
                        for (pixel, &weight) in pixels.iter().zip(weights) {
                            sums::add_exactly(exact, &pixel[c], weight);
                        }
                    },
                );
            }
        }
    }
}

/// Rows of samples, each padded to whole [`Tall`]s and [`LANES`].
struct Lines<T> {
    cells: Vec<CacheLine>,
    count: usize,
    /// Cells of a line, with the padding.
    len: usize,
    of: PhantomData<T>,
}

impl<T: Pod> Lines<T> {
    fn new(count: usize, len: usize) -> Self {
        // An odd number of cache lines: columns of rows whose distance is a power of two fight for a few places.
        let len = (len.div_ceil(LANES) | 1) * LANES;
        let lines = count * len * size_of::<T>() / size_of::<CacheLine>();
        Lines { cells: vec![CacheLine::zeroed(); lines], count, len, of: PhantomData }
    }

    #[inline(always)]
    fn line(&self, n: usize) -> &[T] {
        &cast_slice(&self.cells)[n * self.len..][..self.len]
    }

    #[inline(always)]
    fn line_mut(&mut self, n: usize) -> &mut [T] {
        &mut cast_slice_mut(&mut self.cells)[n * self.len..][..self.len]
    }

    #[inline(always)]
    fn tall(&self, line: usize, n: usize) -> &Tall<T> {
        self.line(line)[n * TALL..].first_chunk().expect("whole chunks")
    }

    #[inline(always)]
    fn tall_mut(&mut self, line: usize, n: usize) -> &mut Tall<T> {
        self.line_mut(line)[n * TALL..].first_chunk_mut().expect("whole chunks")
    }
}

/// The pass down the columns: the weighted sums of the ring's lines from `slot` on.
struct SumColumns<'a, S: Sample> {
    weights: &'a [f32],
    slot: usize,
    ring: &'a Lines<f32>,
    out: &'a mut [S],
}

impl<S: Sample> Work for SumColumns<'_, S> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, _: V) {
        let SumColumns { weights, slot, ring, out } = self;
        let line = |tap: usize| {
            let beyond = if slot + tap < ring.count { 0 } else { ring.count };
            ring.line(slot + tap - beyond)
        };
        let lines: Vec<(&[f32], f32)> = weights.iter().enumerate().map(|(tap, &weight)| (line(tap), weight)).collect();
        fill(
            [out],
            #[inline(always)]
            |n| {
                let mut sums = [0.0; LANES];
                for &(line, weight) in &lines {
                    let cells = line[n * LANES..].first_chunk().expect("lines are padded to whole chunks");
                    sums::add::<V, S, LANES>(&mut sums, cells, weight);
                }
                let mut rounded = [S::MAX; LANES];
                let parts = rounded.as_chunks_mut::<TALL>().0.iter_mut().zip(sums.as_chunks().0);
                for (part, (rounded, sums)) in parts.enumerate() {
                    *rounded = sums::round(
                        sums,
                        weights.len(),
                        #[inline(always)]
                        |exact| {
                            for &(line, weight) in &lines {
                                let cells = line[n * LANES + part * TALL..].first_chunk().expect("whole chunks");
                                sums::add_exactly(exact, cells, weight);
                            }
                        },
                    );
                }
                [rounded]
            },
        );
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
