//! What a kernel is to those who run it: the command, `scale`, `plan --cost` and `--verify` know kernels by this trait alone.
//!
//! A kernel is a value that says, as plain data, what it is called and what it is given ([`Arg`]); and that makes a [`Task`] of
//! what was given, or of made-up inputs of a size. A task knows the form of its result, makes room for one, and runs its jobs as it is
//! handed them; the split that suits it is its own affair where they have none.

mod arg;
mod files;
mod output;

use std::fmt;

use parfork::slices::Grid;
use parfork::{Error, Job, Report};

pub use arg::{Arg, ArgValues, Check, InScale, Kind, parses, real, whole};
pub use files::{Files, Source};
pub use output::{Cells, Fact, Form, Number, Output, difference};

/// A kernel. See [`transpose`](crate::transpose) for one that is short.
pub trait Kernel: Sync {
    /// Its name in the command and in reports.
    fn name(&self) -> &'static str;

    /// What it does, in a line.
    fn summary(&self) -> &'static str;

    /// Examples, and what else its help ends with.
    fn notes(&self) -> String;

    /// What it is given.
    fn args(&self) -> &'static [Arg];

    /// How large inputs are that are made up.
    fn sizes(&self) -> Sizes;

    /// A size for the work of so many workers, and how many times the work of one it is; nothing if it is too large.
    fn grown(&self, size: &[usize], workers: usize) -> Option<(Vec<usize>, f64)> {
        let mut size = size.to_vec();
        size[0] = size[0].checked_mul(workers)?;
        Some((size, workers as f64))
    }

    /// What each slice costs where an array is cut like this, in [`cost_unit`](Self::cost_unit)s: for plans.
    fn cost(&self, grid: &Grid) -> Vec<f64> {
        cells(grid)
    }

    /// In what costs are counted.
    fn cost_unit(&self) -> &'static str {
        "cells"
    }

    /// A task on the inputs that were named.
    ///
    /// # Errors
    /// If there is none.
    fn open(&self, given: &ArgValues, files: &Files<'_>) -> Result<Box<dyn Task>, KernelError>;

    /// A task on inputs that are made up of `noise` (each time another number of 0..1), of a size with as many lengths as
    /// [`sizes`](Self::sizes) allows.
    ///
    /// # Errors
    /// If there is none.
    fn made_up(
        &self,
        given: &ArgValues,
        size: &[usize],
        noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError>;
}

impl fmt::Debug for dyn Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq for dyn Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

/// A kernel and its inputs.
pub trait Task {
    /// What is done to what, in a line.
    fn line(&self) -> String;

    /// The same for programs: what is told besides the names of files and what is told of every [`Form`].
    fn facts(&self) -> Vec<(&'static str, Fact)>;

    /// What comes out.
    fn form(&self) -> Form;

    /// Room for what comes out.
    ///
    /// # Errors
    /// If there is too little memory.
    fn output(&self) -> Result<Output, Error>;

    /// Runs its jobs, each as `jobs` has it; their reports.
    ///
    /// # Errors
    /// As [`Job::run`](parfork::Job::run).
    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error>;

    /// Compares a whole result with what a naive program computes from the same inputs, if there is one: what was compared,
    /// or what differs. Inputs are in memory then.
    fn reference(&self, _output: &Output) -> Option<Result<String, String>> {
        None
    }
}

/// Has each job, with nothing lent.
pub type Steps<'s> = dyn FnMut(Step<'_>) -> Job<'static> + 's;

/// A job of a task that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct Step<'s> {
    /// What it does.
    pub name: &'s str,
    /// Whether it is the last.
    pub last: bool,
    /// How many links of a chain ([`Kind::Chain`]) are begun with it; 0 where there is no chain.
    pub begun: usize,
}

impl<'s> Step<'s> {
    /// The job of a task that has one.
    pub fn only(name: &'s str) -> Self {
        Self { name, last: true, begun: 0 }
    }
}

/// Sizes of made-up inputs.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The usual one.
    pub usual: &'static [usize],
    /// How many lengths a size may have.
    pub lengths: &'static [usize],
    /// How it is written.
    pub form: &'static str,
    /// One of them, written so.
    pub example: &'static str,
}

/// Why there is no task.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Parameters are wrong, or do not suit the input: an error of the kernel's own, to be downcast.
    #[error(transparent)]
    Arguments(Box<dyn std::error::Error + Send + Sync>),
    /// An input is not what it should be: an error of the kernel's own, to be downcast.
    #[error(transparent)]
    Input(Box<dyn std::error::Error + Send + Sync>),
    /// An input cannot be had.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl KernelError {
    /// For `map_err`: parameters are wrong.
    pub fn arguments(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Arguments(error.into())
    }

    /// For `map_err`: an input is wrong.
    pub fn input(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Input(error.into())
    }
}

/// How many cells each slice has.
pub fn cells(grid: &Grid) -> Vec<f64> {
    // A region names the axes that are cut.
    let cut: Vec<usize> = grid.cut_axes().collect();
    let whole: f64 =
        grid.shape().iter().enumerate().filter(|(axis, _)| !cut.contains(axis)).map(|(_, &len)| len as f64).product();
    grid.regions().map(|region| region.ranges().map(|(_, range)| range.len() as f64).product::<f64>() * whole).collect()
}
