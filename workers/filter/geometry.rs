//! Filters that move pixels as they are.

use super::picture::{Region, Source};
use super::{Flip, Sample, Turn};
use std::{borrow::Cow, ops::Range};

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
                with_channels!(source.channels(), C => {
                    let pixels = line.as_chunks::<C>().0.iter().rev();
                    out.as_chunks_mut::<C>().0.iter_mut().zip(pixels).for_each(|(out, pixel)| *out = *pixel);
                });
            } else {
                out.copy_from_slice(&line);
            }
        });
    }
}

/// Columns become rows: read upwards and taken from the left (`clockwise`), or downwards and from the right.
fn columns<S: Sample, const C: usize>(clockwise: bool, source: &Source<'_, S>, mut region: Region<'_, S>) {
    let (rows, cols) = (region.rows.clone(), region.cols.clone());
    let from = mirrored(!clockwise, &rows, source.width());
    for start in cols.clone().step_by(BLOCK) {
        let block = start..cols.end.min(start + BLOCK);
        let lines: Vec<Cow<'_, [S]>> =
            mirrored(clockwise, &block, source.height()).map(|y| source.line(y, from.clone())).collect();
        let mut pixels: Vec<&[[S; C]]> = lines.iter().map(|line| line.as_chunks().0).collect();
        if clockwise {
            pixels.reverse();
        }
        for y in rows.clone() {
            let n = if clockwise { y - rows.start } else { rows.end - 1 - y };
            region.line(y, block.clone(), |out| {
                out.as_chunks_mut().0.iter_mut().zip(&pixels).for_each(|(out, line)| *out = line[n]);
            });
        }
    }
}
