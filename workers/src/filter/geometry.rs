//! Filters that move pixels as they are.

use super::picture::{Region, Source};
use super::transpose::{SIDE, transpose};
use super::vectors::{SUMS, Vectors, Work, vectorised, vectors};
use super::{Flip, Sample, Turn};
use std::ops::Range;

/// Side of the squares in which rotated pixels are moved, so that the rows read stay in the cache.
const BLOCK: usize = 64;

pub(super) fn flip<S: Sample>(flip: Flip, source: &Source<'_, S>, region: Region<'_, S>) {
    match flip {
        Flip::Vertical => rows(true, false, source, region),
        Flip::Horizontal => rows(false, true, source, region),
    }
}

pub(super) fn rotate<S: Sample>(turn: Turn, source: &Source<'_, S>, region: Region<'_, S>) {
    match turn {
        Turn::Half => rows(true, true, source, region),
        Turn::Quarter => with_channels!(source.channels(), C => columns::<S, C>(true, source, region)),
        Turn::ThreeQuarters => with_channels!(source.channels(), C => columns::<S, C>(false, source, region)),
    }
}

/// The part of a line of `len` that becomes `part` when the line is turned round, or stays it.
fn mirrored(turned: bool, part: &Range<usize>, len: usize) -> Range<usize> {
    if turned { len - part.end..len - part.start } else { part.clone() }
}

/// Rows stay rows: from the bottom up if `upward`, each from right to left if `leftward`.
fn rows<S: Sample>(upward: bool, leftward: bool, source: &Source<'_, S>, mut region: Region<'_, S>) {
    let cols = region.cols.clone();
    let from = mirrored(leftward, &cols, source.width());
    for y in region.rows.clone() {
        let line = source.line(mirrored(upward, &(y..y + 1), source.height()).start, from.clone());
        region.line(y, cols.clone(), |out| {
            if leftward {
                with_channels!(source.channels(), C => vectors(TurnRound::<S, C> { line: &line, out }));
            } else {
                out.copy_from_slice(&line);
            }
        });
    }
}

/// Pixel by pixel.
#[inline(always)]
fn plainly<S: Sample, const C: usize>(line: &[S], out: &mut [S]) {
    let pixels = line.as_chunks::<C>().0.iter().rev();
    out.as_chunks_mut::<C>().0.iter_mut().zip(pixels).for_each(|(out, pixel)| *out = *pixel);
}

/// A line from right to left.
struct TurnRound<'a, S, const C: usize> {
    line: &'a [S],
    out: &'a mut [S],
}

impl<S: Sample, const C: usize> Work for TurnRound<'_, S, C> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, vectors: V) {
        let (pixel, TurnRound { line, out }) = (C * size_of::<S>(), self);
        // The compiler has vectors for all other pixels.
        if !V::CHOOSES || pixel.is_power_of_two() || line.is_empty() {
            return plainly::<S, C>(line, out);
        }
        let together = SUMS / pixel;
        let step = together * pixel;
        let places: [u8; SUMS] = std::array::from_fn(|n| {
            let (which, byte) = (n / pixel % together, n % pixel);
            ((together - 1 - which) * pixel + byte) as u8
        });
        // The first pixel by itself, for a byte or some more are read than are of those that go together. Those that are written
        // too many are written again.
        plainly::<S, C>(&line[line.len() - C..], &mut out[..C]);
        let (bytes, to) = (bytemuck::cast_slice::<S, u8>(line), bytemuck::cast_slice_mut::<S, u8>(out));
        let mut done = pixel;
        while let Some(to) = to[done..].first_chunk_mut() {
            let from = bytes[bytes.len() - done - step..].first_chunk().expect("a pixel follows these");
            *to = vectors.choose(from, &places);
            done += step;
        }
        let done = done / size_of::<S>();
        plainly::<S, C>(&line[..line.len() - done], &mut out[done..]);
    }
}

/// Columns become rows: read upwards and taken from the left (`clockwise`), or downwards and from the right.
///
/// Square by square, and each from a copy: where rows are some power of two apart, the pixels of a column fight for a few
/// places in the cache.
fn columns<S: Sample, const C: usize>(clockwise: bool, source: &Source<'_, S>, mut region: Region<'_, S>) {
    let (rows, cols) = (region.rows.clone(), region.cols.clone());
    let mut square = [[[S::MAX; C]; BLOCK]; BLOCK];
    let mut turned = square;
    for top in rows.clone().step_by(BLOCK) {
        let down = top..rows.end.min(top + BLOCK);
        let from = mirrored(!clockwise, &down, source.width());
        for start in cols.clone().step_by(BLOCK) {
            let along = start..cols.end.min(start + BLOCK);
            for (n, y) in mirrored(clockwise, &along, source.height()).enumerate() {
                let line = source.line(y, from.clone());
                let n = if clockwise { along.len() - 1 - n } else { n };
                square[n][..from.len()].copy_from_slice(line.as_chunks().0);
            }
            vectorised(
                #[inline(always)]
                || turn(&square, &mut turned),
            );
            for y in down.clone() {
                let n = if clockwise { y - down.start } else { down.end - 1 - y };
                region.line(y, along.clone(), |out| {
                    match <&mut [[S; C]; BLOCK]>::try_from(out.as_chunks_mut().0) {
                        Ok(out) => *out = turned[n],
                        Err(_) => out.copy_from_slice(turned[n][..along.len()].as_flattened()),
                    };
                });
            }
        }
    }
}

/// Rows become columns. Pixels of one byte or two by blocks, for which there are vectors.
#[inline(always)]
fn turn<S: Sample, const C: usize>(square: &[[[S; C]; BLOCK]; BLOCK], turned: &mut [[[S; C]; BLOCK]; BLOCK]) {
    if C * size_of::<S>() > 2 {
        for (n, line) in turned.iter_mut().enumerate() {
            for (pixel, from) in line.iter_mut().zip(square) {
                *pixel = from[n];
            }
        }
        return;
    }
    for top in (0..BLOCK).step_by(SIDE) {
        for left in (0..BLOCK).step_by(SIDE) {
            let mut block = [[[S::MAX; C]; SIDE]; SIDE];
            for (row, line) in block.iter_mut().enumerate() {
                *line = *square[top + row][left..].first_chunk().expect("whole blocks");
            }
            for (row, line) in transpose(&block).iter().enumerate() {
                *turned[left + row][top..].first_chunk_mut().expect("whole blocks") = *line;
            }
        }
    }
}
