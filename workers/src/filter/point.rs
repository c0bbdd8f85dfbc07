//! Filters of one sample at a time: the cheapest exact form of each, so that memory is the limit, not arithmetic.

use super::picture::{Region, Source};
use super::vectors::{Vectors, Work, vectorised, vectors};
use super::{Filter, Sample};
use ndarray::ArrayViewMut3;
use std::cell::RefCell;
use std::ops::Range;

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
    // A table of bytes fits registers, one of 16 bits does not.
    if size_of::<S>() == 1 {
        look_up(source, region, |v| stretched(v, by));
    } else {
        map(
            source,
            region,
            #[inline(always)]
            move |v| stretched(v, by),
        );
    }
}

pub(super) fn threshold<S: Sample>(level: f32, source: &Source<'_, S>, region: Region<'_, S>) {
    let black = S::from_u32(0);
    match first_white(level) {
        None => map(
            source,
            region,
            #[inline(always)]
            move |_| black,
        ),
        Some(from) => map(
            source,
            region,
            #[inline(always)]
            move |v| if v >= from { S::MAX } else { black },
        ),
    }
}

thread_local! {
    /// The last table of 16 bits, and of which gamma: its powers take longer than the samples of a slice.
    static LAST: RefCell<(f32, Vec<u16>)> = const { RefCell::new((0.0, Vec::new())) };
}

pub(super) fn gamma<S: Sample>(gamma: f32, source: &Source<'_, S>, region: Region<'_, S>) {
    let values = S::MAX.to_u32() + 1;
    if size_of::<S>() == 1 || region.samples() < values as usize {
        return look_up(source, region, |v| bent(v, gamma));
    }
    LAST.with_borrow_mut(|(of, table)| {
        if *of != gamma {
            *table = (0..values).map(|v| bent(S::from_u32(v), gamma).to_u32() as u16).collect();
            *of = gamma;
        }
        map(
            source,
            region,
            #[inline(always)]
            |v| S::from_u32(table[v.to_u32() as usize].into()),
        );
    });
}

/// What contrast makes of a sample.
#[inline(always)]
fn stretched<S: Sample>(v: S, by: f32) -> S {
    let middle = S::MAX_F32 / 2.0;
    S::from_f32((v.to_f32() - middle) * by + middle)
}

/// What gamma makes of a sample.
fn bent<S: Sample>(v: S, gamma: f32) -> S {
    S::from_f32(S::MAX_F32 * (v.to_f32() / S::MAX_F32).powf(1.0 / gamma))
}

/// The sample of the first white, if there is one: `v >= level` for whole v is `v >= ceil(level)`.
fn first_white<S: Sample>(level: f32) -> Option<S> {
    let steps = (f64::from(level) * S::STEP).ceil();
    (steps <= f64::from(S::MAX_F32)).then(|| S::from_f32(steps as f32))
}

/// What filters of single samples make of one.
fn changed<S: Sample>(filters: &[Filter], v: S) -> S {
    filters.iter().fold(v, |v, filter| match *filter {
        Filter::Invert => S::MAX.minus(v),
        Filter::Brightness(by) if by < 0.0 => v.minus(S::from_level(-by)),
        Filter::Brightness(by) => v.plus(S::from_level(by)),
        Filter::Contrast(by) => stretched(v, by),
        Filter::Gamma(gamma) => bent(v, gamma),
        Filter::Threshold(level) if first_white(level).is_some_and(|from| v >= from) => S::MAX,
        Filter::Threshold(_) => S::from_u32(0),
        ref other => unreachable!("{other} is no filter of single samples"),
    })
}

/// What several filters of single samples make of each sample, together.
pub(super) struct Table<'a, S> {
    filters: &'a [Filter],
    /// Of all samples, unless so few are to be changed that it would not pay.
    values: Vec<S>,
}

impl<'a, S: Sample> Table<'a, S> {
    /// For about so many samples.
    pub(super) fn of(filters: &'a [Filter], samples: usize) -> Self {
        let all = S::MAX.to_u32() + 1;
        let wanted = if samples < all as usize { 0 } else { all };
        Table { filters, values: (0..wanted).map(|v| changed(filters, S::from_u32(v))).collect() }
    }

    /// Changes colours in place.
    pub(super) fn change(&self, mut pixels: ArrayViewMut3<'_, S>) {
        let (height, _, channels) = pixels.dim();
        for y in 0..height {
            let mut row = pixels.index_axis_mut(ndarray::Axis(0), y);
            if let Some(row) = row.as_slice_mut()
                && !channels.is_multiple_of(2)
            {
                self.change_line(row);
            } else {
                for colour in row.slice_mut(ndarray::s![.., ..channels - usize::from(channels.is_multiple_of(2))]) {
                    *colour = self.look_up(*colour);
                }
            }
        }
    }

    fn change_line(&self, line: &mut [S]) {
        match self.values.first_chunk::<256>() {
            Some(table) if size_of::<S>() == 1 => {
                let (table, line) = (bytemuck::cast_slice(table), bytemuck::cast_slice_mut(line));
                vectors(InPlace { table: table.first_chunk().expect("256 bytes"), line });
            }
            _ => line.iter_mut().for_each(|v| *v = self.look_up(*v)),
        }
    }

    fn look_up(&self, v: S) -> S {
        self.values.get(v.to_u32() as usize).copied().unwrap_or_else(|| changed(self.filters, v))
    }
}

/// Bytes by a table, where they are.
struct InPlace<'a> {
    table: &'a [u8; 256],
    line: &'a mut [u8],
}

impl Work for InPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, vectors: V) {
        let (whole, rest) = self.line.as_chunks_mut();
        for bytes in whole {
            *bytes = vectors.look_up(self.table, bytes);
        }
        for byte in rest {
            *byte = self.table[usize::from(*byte)];
        }
    }
}

/// Bytes from a table of all values, unless the rectangle is smaller than the table.
fn look_up<S: Sample>(source: &Source<'_, S>, mut region: Region<'_, S>, change: impl Fn(S) -> S) {
    let values = S::MAX.to_u32() + 1;
    if region.samples() < values as usize {
        return map(source, region, change);
    }
    let table: Vec<S> = (0..values).map(|v| change(S::from_u32(v))).collect();
    for (y, part) in parts(&region) {
        let line = source.line(y, part.clone());
        region.line(y, part.clone(), |out| {
            change_bytes(&table, &line, out);
            source.keep_alpha(y, part.start, out);
        });
    }
}

/// Changes bytes by a table of all.
pub(super) fn change_bytes<S: Sample>(table: &[S], from: &[S], to: &mut [S]) {
    let table = bytemuck::cast_slice(table).first_chunk().expect("256 bytes");
    vectors(Bytes { table, from: bytemuck::cast_slice(from), to: bytemuck::cast_slice_mut(to) });
}

/// The rows of a region in parts that stay in the first cache until their alpha has been put back.
fn parts<S: Sample>(region: &Region<'_, S>) -> impl Iterator<Item = (usize, Range<usize>)> + use<S> {
    const PIXELS: usize = 1024;
    let (rows, cols) = (region.rows.clone(), region.cols.clone());
    rows.flat_map(move |y| {
        let end = cols.end;
        cols.clone().step_by(PIXELS).map(move |start| (y, start..end.min(start + PIXELS)))
    })
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

/// What filters of colours have of alpha at the same time: a row is read and written once.
const ABREAST: usize = 64;

fn map<S: Sample>(source: &Source<'_, S>, mut region: Region<'_, S>, change: impl Fn(S) -> S) {
    let (cols, channels) = (region.cols.clone(), source.channels());
    let is_alpha: [bool; ABREAST] = std::array::from_fn(|n| channels.is_multiple_of(2) && n % channels == channels - 1);
    for y in region.rows.clone() {
        let line = source.line(y, cols.clone());
        region.line(y, cols.clone(), |out| {
            vectorised(
                #[inline(always)]
                || {
                    if !channels.is_multiple_of(2) {
                        return out.iter_mut().zip(line.iter()).for_each(|(out, &v)| *out = change(v));
                    }
                    let (whole, last) = out.as_chunks_mut::<ABREAST>();
                    let (from, rest) = line.as_chunks::<ABREAST>();
                    for (out, from) in whole.iter_mut().zip(from) {
                        for n in 0..ABREAST {
                            out[n] = if is_alpha[n] { from[n] } else { change(from[n]) };
                        }
                    }
                    for ((out, &v), is_alpha) in last.iter_mut().zip(rest).zip(is_alpha) {
                        *out = if is_alpha { v } else { change(v) };
                    }
                },
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::filter::{Border, Filter};
    use ndarray::{Array3, s};

    /// A row alone is changed without one.
    #[test]
    fn a_table_of_16_bits_is_that_of_its_gamma() {
        let src = Array3::from_shape_fn((300, 300, 1), |(y, x, _)| (y * 300 + x) as u16);
        for gamma in [2.2, 0.5, 2.2] {
            let filter = Filter::Gamma(gamma);
            let mut whole = src.clone();
            filter.apply(src.view(), Border::default(), 0..300, 0..300, whole.view_mut());
            for y in [0, 150, 299] {
                let mut row = Array3::zeros((1, 300, 1));
                filter.apply(src.view(), Border::default(), y..y + 1, 0..300, row.view_mut());
                assert_eq!(row, whole.slice(s![y..y + 1, .., ..]), "{gamma}");
            }
        }
    }

    /// Rows of more than one part, and of no whole number of vectors.
    #[test]
    fn long_rows_keep_their_alpha() {
        for channels in [1, 2, 3, 4] {
            let src = Array3::from_shape_fn((2, 2999, channels), |(y, x, c)| (y * 7919 + x * 31 + c * 101) as u16);
            let alpha = |c: usize| channels % 2 == 0 && c + 1 == channels;
            let applied = |filter: Filter| {
                let mut out = Array3::zeros(src.dim());
                filter.apply(src.view(), Border::default(), 0..2, 0..2999, out.view_mut());
                let bytes = src.mapv(|v| v as u8);
                let mut few = Array3::zeros(src.dim());
                filter.apply(bytes.view(), Border::default(), 0..2, 0..2999, few.view_mut());
                (out, bytes, few)
            };
            let (out, bytes, few) = applied(Filter::Invert);
            for ((y, x, c), &v) in src.indexed_iter() {
                let at = (y, x, c);
                assert_eq!(out[at], if alpha(c) { v } else { u16::MAX - v }, "{at:?} of {channels}");
                assert_eq!(few[at], if alpha(c) { bytes[at] } else { 255 - bytes[at] }, "{at:?} of {channels}");
            }
            // By a table.
            let (_, bytes, few) = applied(Filter::Contrast(-1.0));
            for (at, &v) in bytes.indexed_iter() {
                assert_eq!(few[at], if alpha(at.2) { v } else { 255 - v }, "{at:?} of {channels}");
            }
        }
    }
}
