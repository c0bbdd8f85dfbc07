//! What slices cost in a plan: the same for each cell, more and more, as the Mandelbrot set takes, or as a file says.

use std::path::PathBuf;
use std::str::FromStr;

use ndarray::{Array2, ArrayD, Axis, IxDyn, Slice};
use parfork::Shared;
use parfork::formats::npy;
use parfork::slices::{Grid, Region};
use parfork_workers::mandelbrot::{View, iterations};

use crate::failure::Failure;

/// What work there is for each cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cost {
    /// The same.
    Uniform,
    /// More and more along the first axis that is cut: nothing at first, twice the mean at last.
    Linear,
    /// The steps that the cell's point of the plane takes, in a picture that shows the whole set.
    Mandelbrot,
    /// As an .npy file says, for each cell or for each slice.
    File(PathBuf),
}

impl FromStr for Cost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "uniform" => Ok(Self::Uniform),
            "linear" => Ok(Self::Linear),
            "mandelbrot" => Ok(Self::Mandelbrot),
            file if file.ends_with(".npy") => Ok(Self::File(file.into())),
            _ => Err(format!("`{text}` is no cost. Write uniform, linear, mandelbrot or a file that ends in .npy.")),
        }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uniform => f.pad("uniform"),
            Self::Linear => f.pad("linear"),
            Self::Mandelbrot => f.pad("mandelbrot"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Cost {
    /// The cost of each slice, in the order of slices.
    pub fn of(&self, grid: &Grid) -> Result<Vec<f64>, Failure> {
        match self {
            Self::Uniform => Ok(grid.regions().map(|region| cells(&region) as f64 * whole(grid)).collect()),
            Self::Linear => Ok(grid.regions().map(|region| linear(grid, &region)).collect()),
            Self::Mandelbrot => Ok(mandelbrot(grid)),
            Self::File(path) => from_file(path, grid),
        }
    }

    /// In what it is counted.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Uniform | Self::Linear => "cells",
            Self::Mandelbrot => "steps",
            Self::File(_) => "units",
        }
    }
}

/// How many cells a slice has, over the axes that are cut.
pub fn cells(region: &Region) -> usize {
    region.ranges().map(|(_, range)| range.len()).product()
}

/// How many cells there are along the axes that are not cut.
fn whole(grid: &Grid) -> f64 {
    let is_cut = |axis: &usize| grid.cut_axes().any(|cut| cut == *axis);
    let lengths = grid.shape().iter().enumerate().filter(|(axis, _)| !is_cut(axis));
    lengths.map(|(_, &length)| length as f64).product()
}

/// The integral of a weight that grows from 0 to 2.
fn linear(grid: &Grid, region: &Region) -> f64 {
    let (Some((axis, first)), others) = (region.ranges().next(), region.ranges().skip(1)) else { return 0.0 };
    let first = ((first.end as f64).powi(2) - (first.start as f64).powi(2)) / grid.shape()[axis].max(1) as f64;
    first * others.map(|(_, range)| range.len() as f64).product::<f64>() * whole(grid)
}

/// The steps of the points of each slice.
fn mandelbrot(grid: &Grid) -> Vec<f64> {
    /// Points on a side of the picture that is computed, each for as many cells as it takes.
    const MOST: usize = 512;
    const STEPS: u32 = 256;
    /// What the whole set needs of the plane, across and down.
    const WINDOW: (f64, f64) = (3.5, 2.5);

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

/// What a file says of each cell, summed over each slice, or of each slice: by its shape.
fn from_file(path: &std::path::Path, grid: &Grid) -> Result<Vec<f64>, Failure> {
    let costs = read(path)?;
    if let Some((at, cost)) = costs.indexed_iter().find(|(_, cost)| !(cost.is_finite() && **cost >= 0.0)) {
        let at = ndarray::Dimension::slice(&at);
        let wrong = format!("{} has a cost of {cost} at {at:?}. Costs are finite, 0 or more.", path.display());
        return Err(Failure::input(wrong));
    }
    let slices = grid.slices();
    if costs.shape() == grid.shape() {
        let sum = |region: Region| {
            let mut part = costs.view();
            for (axis, range) in region.ranges() {
                part.slice_axis_inplace(Axis(axis), Slice::from(range));
            }
            part.sum()
        };
        Ok(grid.regions().map(sum).collect())
    } else if costs.shape() == [slices] {
        Ok(costs.into_iter().collect())
    } else {
        let (shape, own) = (grid.shape(), costs.shape());
        Err(Failure::input(format!(
            "{} has the shape {own:?}, which is neither a cost for each cell ({shape:?}) nor one for each slice ([{slices}]). \
             Give one of these.",
            path.display()
        )))
    }
}

/// The numbers of a file, whatever type they are of.
fn read(path: &std::path::Path) -> Result<ArrayD<f64>, Failure> {
    fn load<T: npy::Element>(path: &std::path::Path, number: fn(T) -> f64) -> Result<ArrayD<f64>, Failure> {
        Ok(Shared::<T, IxDyn>::load(path)?.view().mapv(number))
    }
    let header = npy::Header::read(path)?;
    match (header.kind(), header.item_size()) {
        ('f', 8) => load::<f64>(path, f64::from),
        ('f', 4) => load::<f32>(path, f64::from),
        ('u', 1) => load::<u8>(path, f64::from),
        ('u', 2) => load::<u16>(path, f64::from),
        ('u', 4) => load::<u32>(path, f64::from),
        ('u', 8) => load::<u64>(path, |number| number as f64),
        ('i', 1) => load::<i8>(path, f64::from),
        ('i', 2) => load::<i16>(path, f64::from),
        ('i', 4) => load::<i32>(path, f64::from),
        ('i', 8) => load::<i64>(path, |number| number as f64),
        _ => Err(Failure::input(format!(
            "{} has elements of type {}, and costs are integers or floats of 4 or 8 bytes. Convert it with NumPy: a.astype('f8').",
            path.display(),
            header.dtype
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parfork::Split;

    fn grid(split: &str, shape: &[usize]) -> Grid {
        Grid::new(split.parse().unwrap(), shape).unwrap()
    }

    fn costs(cost: &Cost, split: &str, shape: &[usize]) -> Vec<f64> {
        cost.of(&grid(split, shape)).unwrap()
    }

    #[test]
    fn the_whole_costs_the_same_however_it_is_cut() {
        for cost in [Cost::Uniform, Cost::Linear, Cost::Mandelbrot] {
            for shape in [vec![60, 80], vec![7, 900], vec![2000, 30], vec![1, 1]] {
                let whole: f64 = costs(&cost, "rows/1", &shape).iter().sum();
                for split in ["rows=1", "cols=3", "tiles=7x11", "rows/4"] {
                    let parts = costs(&cost, split, &shape);
                    let sum: f64 = parts.iter().sum();
                    assert!((sum - whole).abs() <= 1e-9 * whole, "{cost} {split} {shape:?}: {sum} of {whole}");
                    assert!(parts.iter().all(|&part| part >= 0.0));
                }
            }
        }
    }

    #[test]
    fn linear_grows_to_twice_the_mean() {
        assert_eq!(costs(&Cost::Linear, "rows=1", &[4, 10]), [2.5, 7.5, 12.5, 17.5]);
        assert_eq!(costs(&Cost::Linear, "tiles=2x5", &[4, 10]), [5.0, 5.0, 15.0, 15.0]);
        assert_eq!(costs(&Cost::Uniform, "tiles=2x6", &[4, 10]), [12.0, 8.0, 12.0, 8.0]);
    }

    /// Small arrays are not shrunk: each cell is a point.
    #[test]
    fn mandelbrot_counts_steps() {
        let (height, width) = (50, 70);
        let view = View::new((-0.75, 0.0), 1.0, (width, height), 256).unwrap();
        let mut steps = Array2::zeros((height, width));
        iterations(&view, 0..height, 0..width, steps.view_mut());
        let rows: Vec<f64> =
            steps.rows().into_iter().map(|row| row.iter().map(|&steps| 1.0 + f64::from(steps)).sum()).collect();
        let ours = costs(&Cost::Mandelbrot, "rows=1", &[height, width]);
        assert!(rows.iter().zip(&ours).all(|(row, our)| (row - our).abs() < 1e-6 * row), "{rows:?} {ours:?}");
        // Other axes are of no matter, and an array of one axis gets a picture too.
        assert_eq!(Cost::Mandelbrot.of(&Grid::new(Split::axis(2).of(1), &[4, 5, 6]).unwrap()).unwrap().len(), 6);
        assert!(costs(&Cost::Mandelbrot, "rows=10", &[100]).iter().all(|&cost| cost > 0.0));
    }
}
