//! Filters of one sample at a time: the cheapest exact form of each, so that memory is the limit, not arithmetic.

use super::Sample;
use super::picture::{Region, Source};
use super::vectors::vectorised;

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
    map(
        source,
        region,
        #[inline(always)]
        move |v| S::from_f32((v.to_f32() - middle) * by + middle),
    );
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

/// From a table of all values, unless the rectangle is smaller than the table.
pub(super) fn gamma<S: Sample>(gamma: f32, source: &Source<'_, S>, region: Region<'_, S>) {
    let exponent = 1.0 / gamma;
    let bend = |v: S| S::from_f32(S::MAX_F32 * (v.to_f32() / S::MAX_F32).powf(exponent));
    let values = S::MAX.to_u32() + 1;
    if region.samples() < values as usize {
        map(source, region, bend);
    } else {
        let table: Vec<S> = (0..values).map(|v| bend(S::from_u32(v))).collect();
        map(
            source,
            region,
            #[inline(always)]
            |v| table[v.to_u32() as usize],
        );
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
