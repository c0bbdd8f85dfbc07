//! Filters of one sample at a time: the cheapest exact form of each, so that memory is the limit, not arithmetic.

use super::Sample;
use super::picture::{Region, Source};
use super::vectors::{Vectors, Work, vectorised, vectors};

pub(super) fn invert<S: Sample>(source: &Source<'_, S>, region: Region<'_, S>) {
    map(
        source,
        region,
        #[inline(always)]
        move |v| S::MAX.minus(v),
    );
}

/// Samples are whole numbers, so that adding a rounded number is the rounded sum.
pub(super) fn brightness<S: Sample>(by: f32, source: &Source<'_, S>, region: Region<'_, S>) {
    let steps = S::from_level(by.abs());
    if by < 0.0 {
        map(
            source,
            region,
            #[inline(always)]
            move |v| v.minus(steps),
        );
    } else {
        map(
            source,
            region,
            #[inline(always)]
            move |v| v.plus(steps),
        );
    }
}

pub(super) fn contrast<S: Sample>(by: f32, source: &Source<'_, S>, region: Region<'_, S>) {
    let middle = S::MAX_F32 / 2.0;
    // A table of bytes fits registers, one of 16 bits does not.
    if size_of::<S>() == 1 {
        look_up(source, region, |v| S::from_f32((v.to_f32() - middle) * by + middle));
    } else {
        map(
            source,
            region,
            #[inline(always)]
            move |v| S::from_f32((v.to_f32() - middle) * by + middle),
        );
    }
}

/// `v >= level` for whole v is `v >= ceil(level)`; above white there is none.
pub(super) fn threshold<S: Sample>(level: f32, source: &Source<'_, S>, region: Region<'_, S>) {
    let black = S::from_u32(0);
    let steps = (f64::from(level) * S::STEP).ceil();
    if steps > f64::from(S::MAX_F32) {
        map(
            source,
            region,
            #[inline(always)]
            move |_| black,
        );
    } else {
        let from = S::from_f32(steps as f32);
        map(
            source,
            region,
            #[inline(always)]
            move |v| if v >= from { S::MAX } else { black },
        );
    }
}

pub(super) fn gamma<S: Sample>(gamma: f32, source: &Source<'_, S>, region: Region<'_, S>) {
    let exponent = 1.0 / gamma;
    look_up(source, region, |v| S::from_f32(S::MAX_F32 * (v.to_f32() / S::MAX_F32).powf(exponent)));
}

/// From a table of all values, unless the rectangle is smaller than the table.
fn look_up<S: Sample>(source: &Source<'_, S>, mut region: Region<'_, S>, change: impl Fn(S) -> S) {
    let values = S::MAX.to_u32() + 1;
    if region.samples() < values as usize {
        return map(source, region, change);
    }
    let table: Vec<S> = (0..values).map(|v| change(S::from_u32(v))).collect();
    if size_of::<S>() > 1 {
        return map(
            source,
            region,
            #[inline(always)]
            |v| table[v.to_u32() as usize],
        );
    }
    let table = bytemuck::cast_slice(&table).first_chunk().expect("256 bytes");
    let cols = region.cols.clone();
    for y in region.rows.clone() {
        let line = source.line(y, cols.clone());
        region.line(y, cols.clone(), |out| {
            vectors(Bytes { table, from: bytemuck::cast_slice(&line), to: bytemuck::cast_slice_mut(out) });
            source.keep_alpha(y, cols.start, out);
        });
    }
}

/// Bytes by a table.
struct Bytes<'a> {
    table: &'a [u8; 256],
    from: &'a [u8],
    to: &'a mut [u8],
}

impl Work for Bytes<'_> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, vectors: V) {
        let (from, rest) = self.from.as_chunks();
        let (to, last) = self.to.as_chunks_mut();
        for (from, to) in from.iter().zip(to) {
            *to = vectors.look_up(self.table, from);
        }
        for (from, to) in rest.iter().zip(last) {
            *to = self.table[usize::from(*from)];
        }
    }
}

fn map<S: Sample>(source: &Source<'_, S>, mut region: Region<'_, S>, change: impl Fn(S) -> S) {
    let cols = region.cols.clone();
    for y in region.rows.clone() {
        let line = source.line(y, cols.clone());
        region.line(y, cols.clone(), |out| {
            vectorised(
                #[inline(always)]
                || {
                    out.iter_mut().zip(line.iter()).for_each(|(out, &v)| *out = change(v));
                },
            );
            source.keep_alpha(y, cols.start, out);
        });
    }
}
