//! Many lines at once that lie side by side: row is added to row as they lie in memory, each column in a lane of its own.
//!
//! A column is taken from its first row to its last whichever lane it has, so its bits do not depend on how columns are cut.

use std::marker::PhantomData;

use bytemuck::Zeroable;
use pulp::{Simd, WithSimd};

use super::extremum::{Best, Ordered};
use super::norm::{self, Square};
use super::scan::{Accumulate, LANES, Lanes, Stored, deal};
use super::sum::{self, Floats, Integers};
use super::{Op, Partial};
use crate::simd;

/// Fewer columns would leave lanes empty.
pub(super) const FEWEST: usize = LANES;

/// Rows that a lane goes through at once, where registers do not hold all lanes.
const DEEP: usize = 8;

/// Columns that are taken at once: their accumulators stay in the second-level cache.
const ACROSS: usize = 4096;

/// Rows that are put into the order of bytes that is scanned at a time.
const TURNED: usize = 2 * DEEP;

/// Rows of a table.
#[derive(Clone, Copy)]
pub(super) struct Rows<'b> {
    /// From the first element on.
    pub(super) bytes: &'b [u8],
    /// How many elements a row begins behind the one before it.
    pub(super) stride: usize,
    pub(super) count: usize,
}

/// Reduces each of as many columns of integers as there are partials; there is a row at least.
pub(super) fn integers<S>(op: Op, rows: Rows<'_>, to: &mut [Partial])
where
    S: Stored<Value: sum::Integer + Ordered + Square>,
{
    match op {
        Op::Sum | Op::Mean => columns::<S, _>(rows, to, |_| Integers::ZERO, sum::integers::<S>),
        Op::Min => columns::<S, _>(rows, to, Best::<_, false>::of, super::extremum::<S, false>),
        Op::Max => columns::<S, _>(rows, to, Best::<_, true>::of, super::extremum::<S, true>),
        Op::Norm if S::Value::NARROW => columns::<S, _>(rows, to, |_| norm::Narrow::ZERO, norm::integers::<S>),
        Op::Norm => columns::<S, _>(rows, to, |_| norm::Wide::default(), norm::integers::<S>),
    }
}

/// As [`integers`], of floats.
pub(super) fn floats<S: Stored<Value: sum::Float + Ordered>>(op: Op, rows: Rows<'_>, to: &mut [Partial]) {
    match op {
        Op::Sum | Op::Mean => columns::<S, _>(rows, to, |_| Floats::ZERO, sum::floats::<S>),
        Op::Min => columns::<S, _>(rows, to, Best::<_, false>::of, super::extremum::<S, false>),
        Op::Max => columns::<S, _>(rows, to, Best::<_, true>::of, super::extremum::<S, true>),
        Op::Norm => columns::<S, _>(rows, to, |_| norm::Plain(Floats::ZERO), norm::floats::<S>),
    }
}

/// By accumulators that begin with the first row, and `alone` for a column that they give up.
fn columns<S: Stored, T: Accumulate<S::Value> + Lanes>(
    rows: Rows<'_>,
    to: &mut [Partial],
    begin: impl Fn([S::Value; LANES]) -> T,
    alone: impl Fn(&[u8]) -> Partial,
) {
    let elements = bytemuck::cast_slice::<u8, S::Bytes>(rows.bytes);
    for (tile, to) in to.chunks_mut(ACROSS).enumerate() {
        let elements = &elements[tile * ACROSS..];
        let mut takers = Vec::with_capacity(to.len().div_ceil(LANES));
        for group in elements[..to.len()].chunks(LANES) {
            let mut first = [S::read(group[0]); LANES];
            for (value, &bytes) in first.iter_mut().zip(group) {
                *value = S::read(bytes);
            }
            takers.push(begin(first));
        }
        let (stride, count, width) = (rows.stride, rows.count, to.len());
        match S::TURN {
            None => down_all::<S::Scanned, T>(bytemuck::cast_slice(elements), stride, count, width, &mut takers),
            Some(turn) => {
                let mut turned = Vec::with_capacity(TURNED.min(count) * width);
                for first in (0..count).step_by(TURNED) {
                    let deep = TURNED.min(count - first);
                    turned.clear();
                    for row in first..first + deep {
                        turned.extend(elements[row * stride..][..width].iter().map(|&bytes| turn(bytes)));
                    }
                    down_all::<S::Scanned, T>(&turned, width, deep, width, &mut takers);
                }
            }
        }
        for (at, to) in to.iter_mut().enumerate() {
            *to = takers[at / LANES].partial(at % LANES).unwrap_or_else(|| {
                let column: Vec<S::Bytes> = (0..count).map(|row| elements[row * stride + at]).collect();
                alone(bytemuck::cast_slice(&column))
            });
        }
    }
}

/// In the widest vectors that the CPU has.
fn down_all<S: Stored, T: Accumulate<S::Value>>(
    elements: &[S::Bytes],
    stride: usize,
    count: usize,
    width: usize,
    takers: &mut [T],
) {
    simd::arch().dispatch(Down { elements, stride, count, width, takers, stored: PhantomData::<S> });
}

/// Goes down the rows, with an accumulator for each [`LANES`] columns.
struct Down<'a, S: Stored, T> {
    elements: &'a [S::Bytes],
    stride: usize,
    count: usize,
    width: usize,
    takers: &'a mut [T],
    stored: PhantomData<S>,
}

impl<S: Stored, T: Accumulate<S::Value>> WithSimd for Down<'_, S, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<V: Simd>(self, _: V) {
        let row = |row: usize| self.elements[row * self.stride..][..self.width].as_chunks::<LANES>();
        let whole = self.width / LANES;
        let (takers, last) = self.takers.split_at_mut(whole);
        for first in (0..self.count).step_by(DEEP) {
            let deep = DEEP.min(self.count - first);
            if deep == DEEP {
                let mut rows = [row(first).0; DEEP];
                for (number, lines) in rows.iter_mut().enumerate() {
                    *lines = row(first + number).0;
                }
                for (group, taker) in takers.iter_mut().enumerate() {
                    let mut band = [&rows[0][group]; DEEP];
                    for (group_of, row) in band.iter_mut().zip(&rows) {
                        *group_of = &row[group];
                    }
                    down::<S, T>(&band, taker);
                }
            } else {
                for number in first..first + deep {
                    for (taker, group) in takers.iter_mut().zip(row(number).0) {
                        deal::<S, T>(group, taker);
                    }
                }
            }
            // Lanes that have no column are given zeros, and not looked at.
            if let Some(taker) = last.first_mut() {
                for number in first..first + deep {
                    let rest = row(number).1;
                    let mut padded = [S::Bytes::zeroed(); LANES];
                    padded[..rest.len()].copy_from_slice(rest);
                    deal::<S, T>(&padded, taker);
                }
            }
        }
    }
}

/// Several rows at once: what a lane has stays in a register meanwhile.
#[inline(always)]
fn down<S: Stored, T: Accumulate<S::Value>>(rows: &[&[S::Bytes; LANES]; DEEP], taker: &mut T) {
    if size_of::<S::Bytes>() == 8 {
        for lane in 0..LANES {
            for row in rows {
                taker.take(lane, S::read(row[lane]));
            }
        }
    } else {
        for row in rows {
            deal::<S, T>(row, taker);
        }
    }
}
