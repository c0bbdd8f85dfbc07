//! The definition: cell by cell, from an array without margins.

use ndarray::{Array3, ArrayD, ArrayView3};
use parfork::Border;

use super::{Real, Rule, cells};

/// An array after so many steps, by loops that nobody could get wrong.
pub(super) fn steps<T: Real>(start: ArrayD<T>, rule: &Rule, border: Border<f64>, steps: u32) -> ArrayD<T> {
    let axes = start.ndim();
    let weights = match rule {
        Rule::Heat(_) => Array3::zeros((1, 1, 1)),
        Rule::Weights(weights) => cells::as_planes(weights.mapv(T::of)),
    };
    let inserted = vec![0; 3 - axes];
    let margins = [inserted, rule.margins(axes)].concat();
    let mut now = cells::as_planes(start.clone());
    for _ in 0..steps {
        let mut next = now.clone();
        for ((i, j, k), cell) in next.indexed_iter_mut() {
            let place = [i, j, k];
            let is_kept = |axis: usize| place[axis] < margins[axis] || place[axis] + margins[axis] >= now.shape()[axis];
            if matches!(border, Border::Keep) && (0..3).any(is_kept) {
                continue;
            }
            let near = |off: [isize; 3]| at(now.view(), place, off, border);
            *cell = match rule {
                Rule::Heat(share) => {
                    let along = (3 - axes..3).flat_map(|axis| {
                        [-1, 1].map(|off| {
                            let mut place = [0; 3];
                            place[axis] = off;
                            place
                        })
                    });
                    let sum = along.map(near).reduce(|sum, cell| sum + cell).expect("two neighbours at least");
                    now[place] + T::of(*share) * (sum - T::of(2.0 * axes as f64) * now[place])
                }
                Rule::Weights(_) => {
                    let given = weights.indexed_iter().filter(|(_, weight)| !weight.is_zero());
                    let product = |((a, b, c), weight): ((usize, usize, usize), &T)| {
                        let off = [(a, 0), (b, 1), (c, 2)].map(|(at, axis)| at as isize - margins[axis] as isize);
                        *weight * near(off)
                    };
                    given.map(product).reduce(|sum, product| sum + product).unwrap_or_else(T::zero)
                }
            };
        }
        now = next;
    }
    now.into_dyn().into_shape_with_order(start.shape()).expect("as many cells")
}

/// The cell so far from another, or what is beyond the edge.
fn at<T: Real>(cells: ArrayView3<'_, T>, place: [usize; 3], off: [isize; 3], border: Border<f64>) -> T {
    let mut found = [0; 3];
    for axis in 0..3 {
        let (length, at) = (cells.shape()[axis] as isize, place[axis] as isize + off[axis]);
        let inside = match border {
            _ if (0..length).contains(&at) => at,
            Border::Wrap => at.rem_euclid(length),
            Border::Replicate => at.clamp(0, length - 1),
            Border::Reflect101 if at < 0 => -at,
            Border::Reflect101 => 2 * (length - 1) - at,
            Border::Constant(value) => return T::of(value),
            Border::Keep => unreachable!("cells that are kept look nowhere"),
        };
        found[axis] = inside as usize;
    }
    cells[found]
}
