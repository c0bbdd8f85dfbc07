//! The loops of a step: rows of cells from rows of cells, each cell by the same operations in the same order.

use ndarray::{ArrayBase, ArrayView3, ArrayViewMut3, Axis, Dimension, Ix3, RawData};
use pulp::{Simd, WithSimd};

use super::Real;
use crate::simd;

/// An array of up to three axes as planes of rows.
pub(super) fn as_planes<S: RawData, D: Dimension>(array: ArrayBase<S, D>) -> ArrayBase<S, Ix3> {
    let mut array = array.into_dyn();
    while array.ndim() < 3 {
        array = array.insert_axis(Axis(0));
    }
    array.into_dimensionality().expect("three axes")
}

/// A weight and where its cell is, from the first that is read.
#[derive(Clone, Copy)]
pub(super) struct Tap<T> {
    at: [usize; 3],
    weight: T,
}

/// The weights that are not 0, in C order.
pub(super) fn taps<T: Real>(weights: &ArrayView3<'_, T>) -> Vec<Tap<T>> {
    let taps = weights.indexed_iter().filter(|(_, weight)| !weight.is_zero());
    taps.map(|((i, j, k), &weight)| Tap { at: [i, j, k], weight }).collect()
}

/// The cells of `new`, each the sum of what the weights make of the cells of `old` around it.
pub(super) fn weigh<T: Real>(taps: &[Tap<T>], old: ArrayView3<'_, T>, new: ArrayViewMut3<'_, T>) {
    simd::arch().dispatch(Weigh { taps, old, new });
}

/// The cells of `new`, each as `old` has it and `share` times what it is less than its neighbours.
pub(super) fn heat<T: Real>(axes: usize, share: T, old: ArrayView3<'_, T>, new: ArrayViewMut3<'_, T>) {
    simd::arch().dispatch(Heat { axes, share, old, new });
}

struct Weigh<'a, T> {
    taps: &'a [Tap<T>],
    old: ArrayView3<'a, T>,
    new: ArrayViewMut3<'a, T>,
}

/// How many weights go over a row at a time.
const TOGETHER: usize = 9;

impl<T: Real> WithSimd for Weigh<'_, T> {
    type Output = ();

    /// For the compiler to vectorise, with all that it calls in it.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { taps, old, mut new } = self;
        if taps.is_empty() {
            return new.fill(T::zero());
        }
        for (i, mut plane) in new.outer_iter_mut().enumerate() {
            for (j, mut row) in plane.outer_iter_mut().enumerate() {
                let cells = row.as_slice_mut().expect("rows without gaps");
                for (pass, taps) in taps.chunks(TOGETHER).enumerate() {
                    let first = pass == 0;
                    let near = |tap: &Tap<T>| (tap.weight, row_of(&old, i + tap.at[0], j + tap.at[1], tap.at[2]));
                    match taps.len() {
                        1 => weigh_row::<T, 1>(cells, first, |n| near(&taps[n])),
                        2 => weigh_row::<T, 2>(cells, first, |n| near(&taps[n])),
                        3 => weigh_row::<T, 3>(cells, first, |n| near(&taps[n])),
                        4 => weigh_row::<T, 4>(cells, first, |n| near(&taps[n])),
                        5 => weigh_row::<T, 5>(cells, first, |n| near(&taps[n])),
                        6 => weigh_row::<T, 6>(cells, first, |n| near(&taps[n])),
                        7 => weigh_row::<T, 7>(cells, first, |n| near(&taps[n])),
                        8 => weigh_row::<T, 8>(cells, first, |n| near(&taps[n])),
                        _ => weigh_row::<T, TOGETHER>(cells, first, |n| near(&taps[n])),
                    }
                }
            }
        }
    }
}

/// A row from its column `from` on.
#[inline(always)]
fn row_of<'a, T>(old: &ArrayView3<'a, T>, plane: usize, row: usize, from: usize) -> &'a [T] {
    let row = (*old).index_axis_move(Axis(0), plane).index_axis_move(Axis(0), row);
    &row.to_slice().expect("rows without gaps")[from..]
}

#[inline(always)]
fn weigh_row<'a, T: Real, const N: usize>(cells: &mut [T], first: bool, near: impl Fn(usize) -> (T, &'a [T])) {
    let near: [(T, &[T]); N] = std::array::from_fn(near);
    let near = near.map(|(weight, row)| (weight, &row[..cells.len()]));
    if first {
        for (at, cell) in cells.iter_mut().enumerate() {
            let start = near[0].0 * near[0].1[at];
            *cell = near[1..].iter().fold(start, |sum, (weight, row)| sum + *weight * row[at]);
        }
    } else {
        for (at, cell) in cells.iter_mut().enumerate() {
            *cell = near.iter().fold(*cell, |sum, (weight, row)| sum + *weight * row[at]);
        }
    }
}

struct Heat<'a, T> {
    axes: usize,
    share: T,
    old: ArrayView3<'a, T>,
    new: ArrayViewMut3<'a, T>,
}

impl<T: Real> WithSimd for Heat<'_, T> {
    type Output = ();

    /// For the compiler to vectorise, with all that it calls in it.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { axes, share, old, mut new } = self;
        let (planes, rows) = (usize::from(axes > 2), usize::from(axes > 1));
        for (i, mut plane) in new.outer_iter_mut().enumerate() {
            for (j, mut row) in plane.outer_iter_mut().enumerate() {
                let cells = row.as_slice_mut().expect("rows without gaps");
                let near = |plane, row, from| row_of(&old, plane, row, from);
                let own = near(i + planes, j + rows, 0);
                match axes {
                    1 => heat_row(cells, share, own, []),
                    2 => heat_row(cells, share, own, [near(i, j, 1), near(i, j + 2, 1)]),
                    _ => heat_row(
                        cells,
                        share,
                        own,
                        [near(i, j + 1, 1), near(i + 2, j + 1, 1), near(i + 1, j, 1), near(i + 1, j + 2, 1)],
                    ),
                }
            }
        }
    }
}

#[inline(always)]
fn heat_row<T: Real, const N: usize>(cells: &mut [T], share: T, own: &[T], across: [&[T]; N]) {
    let count = cells.len();
    let (before, own, after) = (&own[..count], &own[1..count + 1], &own[2..count + 2]);
    let across = across.map(|row| &row[..count]);
    let number = T::of((N + 2) as f64);
    for (at, cell) in cells.iter_mut().enumerate() {
        let sum = match across.split_first() {
            None => before[at] + after[at],
            Some((first, rest)) => rest.iter().fold(first[at], |sum, row| sum + row[at]) + before[at] + after[at],
        };
        *cell = own[at] + share * (sum - number * own[at]);
    }
}
