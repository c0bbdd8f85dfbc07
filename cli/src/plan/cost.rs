//! What slices cost in a plan: the same for each cell, more and more, as a kernel takes, or as a file says.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, Axis, IxDyn, Slice};
use parfork::Element;
use parfork::formats::npy::ArrayFile;
use parfork::slices::{Grid, Region};
use parfork_workers::KERNELS;
use parfork_workers::kernel::{self, Kernel};

use crate::failure::Failure;
use crate::files;

/// What work there is for each cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cost {
    /// The same.
    Uniform,
    /// More and more along the first axis that is cut: nothing at first, twice the mean at last.
    Linear,
    /// What it is to a kernel.
    Of(&'static dyn Kernel),
    /// As an .npy file says, for each cell or for each slice.
    File(PathBuf),
}

impl Cost {
    /// What was typed: a word, or the name of a file. A name that is a word has its folder before it.
    pub fn parse(text: &OsStr) -> Result<Self, String> {
        match text.to_str() {
            Some("uniform") => return Ok(Self::Uniform),
            Some("linear") => return Ok(Self::Linear),
            _ => {}
        }
        if let Some(kernel) = text.to_str().and_then(parfork_workers::kernel) {
            return Ok(Self::Of(kernel));
        }
        let path = PathBuf::from(text);
        match files::is_array(&path) || path.parent().is_some_and(|folder| !folder.as_os_str().is_empty()) {
            true => Ok(Self::File(path)),
            false => Err(format!(
                "`{}` is no cost. Write uniform, linear, {}, shm:NAME, - or a file that ends in .npy.",
                text.display(),
                kernels()
            )),
        }
    }

    /// The file that it is in.
    pub fn file(&self) -> Option<&Path> {
        if let Self::File(path) = self { Some(path) } else { None }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uniform => f.pad("uniform"),
            Self::Linear => f.pad("linear"),
            Self::Of(kernel) => f.pad(kernel.name()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Cost {
    /// The cost of each slice, in the order of slices.
    pub fn of(&self, grid: &Grid) -> Result<Vec<f64>, Failure> {
        match self {
            Self::Uniform => Ok(kernel::cells(grid)),
            Self::Linear => Ok(grid.regions().map(|region| linear(grid, &region)).collect()),
            Self::Of(kernel) => Ok(kernel.cost(grid)),
            Self::File(path) => from_file(path, grid),
        }
    }

    /// In what it is counted.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Uniform | Self::Linear => "cells",
            Self::Of(kernel) => kernel.cost_unit(),
            Self::File(_) => "units",
        }
    }
}

/// What the flag takes.
pub fn help() -> String {
    format!(
        "Compare the schedules for uneven work: uniform, linear, what it is to a kernel ({}), or FILE.npy with a number for each \
         cell or slice",
        kernels()
    )
}

/// The names of all kernels.
fn kernels() -> String {
    KERNELS.iter().map(|kernel| kernel.name()).collect::<Vec<_>>().join(", ")
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

/// What a file says of each cell, summed over each slice, or of each slice: by its shape.
fn from_file(path: &Path, grid: &Grid) -> Result<Vec<f64>, Failure> {
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
fn read(path: &Path) -> Result<ArrayD<f64>, Failure> {
    fn load<T: Element>(file: ArrayFile, number: fn(T) -> f64) -> Result<ArrayD<f64>, Failure> {
        Ok(file.load::<T, IxDyn>()?.view().mapv(number))
    }
    let file = ArrayFile::open(path)?;
    match file.header().dtype.to_native() {
        f64::DTYPE => load::<f64>(file, f64::from),
        f32::DTYPE => load::<f32>(file, f64::from),
        u8::DTYPE => load::<u8>(file, f64::from),
        u16::DTYPE => load::<u16>(file, f64::from),
        u32::DTYPE => load::<u32>(file, f64::from),
        u64::DTYPE => load::<u64>(file, |number| number as f64),
        i8::DTYPE => load::<i8>(file, f64::from),
        i16::DTYPE => load::<i16>(file, f64::from),
        i32::DTYPE => load::<i32>(file, f64::from),
        i64::DTYPE => load::<i64>(file, |number| number as f64),
        _ => Err(Failure::input(format!(
            "{} has elements of type {}, and costs are integers or floats of 4 or 8 bytes. Convert it with NumPy: a.astype('f8').",
            path.display(),
            file.header().dtype
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(split: &str, shape: &[usize]) -> Grid {
        Grid::new(split.parse().unwrap(), shape).unwrap()
    }

    fn costs(cost: &Cost, split: &str, shape: &[usize]) -> Vec<f64> {
        cost.of(&grid(split, shape)).unwrap()
    }

    #[test]
    fn the_whole_costs_the_same_however_it_is_cut() {
        for cost in ["uniform", "linear"].into_iter().chain(KERNELS.iter().map(|kernel| kernel.name())) {
            let cost = Cost::parse(cost.as_ref()).unwrap();
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
}
