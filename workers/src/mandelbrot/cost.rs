//! What slices of any array cost if its cells were points of a picture of the whole set: for plans.

use ndarray::Array2;

use super::{View, iterations};
use parfork::slices::{Grid, Region};

/// Points on a side of the picture that is computed, each for as many cells as it takes.
const MOST: usize = 512;
const STEPS: u32 = 256;

/// What the whole set needs of the plane, across and down.
const WINDOW: (f64, f64) = (3.5, 2.5);

/// The steps of the points of each slice.
pub(super) fn steps(grid: &Grid) -> Vec<f64> {
    // As it is drawn: down is the first axis that is cut, or axis 0; across is axis 1.
    let down = grid.cut_axes().next().filter(|&axis| axis > 1).unwrap_or(0);
    let across = Some(1).filter(|&axis| down == 0 && axis < grid.shape().len());
    let length = |axis: usize| grid.shape()[axis].max(1);
    let rows = length(down);
    // What has no columns is as wide as the set in proportion.
    let cols = across.map_or(rows, length);
    let shrink = rows.max(cols).div_ceil(MOST);
    let (height, width) = (rows.div_ceil(shrink), cols.div_ceil(shrink));
    let pixel = (WINDOW.0 / width as f64).max(WINDOW.1 / height as f64);
    let Ok(view) = View::new((-0.75, 0.0), WINDOW.0 / (pixel * width as f64), (width, height), STEPS) else {
        unreachable!("a window on the whole set, of at least one point")
    };
    let mut steps = Array2::zeros((height, width));
    iterations(&view, 0..height, 0..width, steps.view_mut());
    // Sums of all points above and to the left; in between they grow evenly, so that each cell has its part of a point.
    let mut sums = Array2::<f64>::zeros((height + 1, width + 1));
    for ((i, j), &steps) in steps.indexed_iter() {
        sums[[i + 1, j + 1]] = sums[[i, j + 1]] + sums[[i + 1, j]] - sums[[i, j]] + 1.0 + f64::from(steps);
    }
    let (by_row, by_col) = (rows as f64 / height as f64, cols as f64 / width as f64);
    let sum_to = |row: usize, col: usize| {
        let (y, x) = (row as f64 / by_row, col as f64 / by_col);
        let (i, j) = ((y as usize).min(height - 1), (x as usize).min(width - 1));
        let (v, u) = (y - i as f64, x - j as f64);
        let along = |i: usize| sums[[i, j]] * (1.0 - u) + sums[[i, j + 1]] * u;
        (along(i) * (1.0 - v) + along(i + 1) * v) * by_row * by_col
    };
    let cost = |region: Region| {
        let range = |axis: Option<usize>, all: usize| axis.and_then(|axis| region.range(axis)).unwrap_or(0..all);
        let (down, across) = (range(Some(down), rows), range(across, cols));
        let sum = sum_to(down.end, across.end) - sum_to(down.start, across.end) - sum_to(down.end, across.start)
            + sum_to(down.start, across.start);
        // Differences of large sums may come out below nothing by a rounding.
        sum.max(0.0)
    };
    grid.regions().map(cost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parfork::Split;

    fn grid(split: &str, shape: &[usize]) -> Grid {
        Grid::new(split.parse().unwrap(), shape).unwrap()
    }

    /// Small arrays are not shrunk: each cell is a point.
    #[test]
    fn steps_are_counted() {
        let (height, width) = (50, 70);
        let view = View::new((-0.75, 0.0), 1.0, (width, height), 256).unwrap();
        let mut counts = Array2::zeros((height, width));
        iterations(&view, 0..height, 0..width, counts.view_mut());
        let rows: Vec<f64> =
            counts.rows().into_iter().map(|row| row.iter().map(|&steps| 1.0 + f64::from(steps)).sum()).collect();
        let ours = steps(&grid("rows=1", &[height, width]));
        assert!(rows.iter().zip(&ours).all(|(row, our)| (row - our).abs() < 1e-6 * row), "{rows:?} {ours:?}");
        // Other axes are of no matter, and an array of one axis gets a picture too.
        assert_eq!(steps(&Grid::new(Split::axis(2).of(1), &[4, 5, 6]).unwrap()).len(), 6);
        assert!(steps(&grid("rows=10", &[100])).iter().all(|&cost| cost > 0.0));
    }
}
