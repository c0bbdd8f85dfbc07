//! Stencils: each cell of an array becomes what weights, or the flow of heat, make of it and its neighbours, step after step.
//!
//! A cell adds what its neighbours give in a fixed order, each product and each sum rounded once: no result depends on how the array
//! is cut, or on the CPU. Weights of 0 are left out, and what is under them is not read.

mod cells;
mod kernel;
mod naive;
mod rule;
#[cfg(test)]
mod tests;

use bytemuck::{Pod, Zeroable};
use ndarray::{ArrayBase, ArrayView, Data, Dimension, NdFloat, Zip};
use parfork::{Answers, Border, Element, Error, Job, Planes, Result, Shared};

use crate::bands::in_bands;

pub use kernel::Stencil;
pub use rule::{Rule, StencilError};

/// What cells are: `f32` or `f64`.
pub trait Real: Element + NdFloat + Into<f64> {
    /// The nearest to a number.
    fn of(number: f64) -> Self;
}

impl Real for f32 {
    fn of(number: f64) -> Self {
        number as f32
    }
}

impl Real for f64 {
    fn of(number: f64) -> Self {
        number
    }
}

/// An array of one to three axes, and what a step makes of each cell.
pub struct StencilPlanes<T, D> {
    planes: Planes<T, D>,
    /// Of heat the share that flows.
    weights: Shared<T, D>,
    is_heat: bool,
}

impl<T: Real, D: Dimension> StencilPlanes<T, D> {
    /// A copy of an array. The `border` is what there is beyond its edges; of `Keep` the outermost cells, as many as the rule looks
    /// far, stay as they are.
    ///
    /// # Errors
    /// [`StencilError`] if the rule is none for such an array, and as [`Planes::with_edges`].
    pub fn new<S: Data<Elem = T>>(start: &ArrayBase<S, D>, rule: &Rule, border: Border<f64>) -> Result<Self> {
        let weights = rule.weights(start.ndim())?;
        let weights = weights.mapv(T::of).into_dimensionality::<D>().expect("as many axes as the array");
        let border = match border {
            Border::Keep => Border::Keep,
            Border::Constant(value) => Border::Constant(T::of(value)),
            Border::Reflect101 => Border::Reflect101,
            Border::Replicate => Border::Replicate,
            Border::Wrap => Border::Wrap,
        };
        let edges: Vec<_> = rule.margins(start.ndim()).into_iter().map(|cells| (cells, border, border)).collect();
        let planes = Planes::with_edges(start, &edges)?;
        Ok(Self { planes, weights: Shared::from_array(&weights)?, is_heat: matches!(rule, Rule::Heat(_)) })
    }

    /// The array as the last step left it.
    ///
    /// # Errors
    /// As [`Planes::view`].
    pub fn view(&self) -> Result<ArrayView<'_, T, D>> {
        self.planes.view()
    }
}

/// What bodies are told.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Told {
    is_heat: u32,
    last: u32,
}

/// Does so many steps. The answers are how far the cell of each slice moved that moved furthest in the last of them; NaN if one was or
/// became NaN.
///
/// # Errors
/// As [`Job::run`].
///
/// ```
/// use parfork::{Border, Job};
/// use parfork_workers::stencil::{StencilPlanes, Rule, run};
/// let mut start = ndarray::Array2::<f64>::zeros((9, 9));
/// start[[4, 4]] = 1.0;
/// let mut plate = StencilPlanes::new(&start, &Rule::Heat(0.25), Border::Wrap)?;
/// let moved = run(Job::default(), &mut plate, 1)?;
/// assert_eq!((plate.view()?[[4, 5]], moved.fold(0.0, f64::max)), (0.25, 1.0));
/// # Ok::<(), parfork::Error>(())
/// ```
pub fn run<T: Real, D: Dimension>(
    job: Job<'_>,
    plate: &mut StencilPlanes<T, D>,
    steps: u32,
) -> Result<Answers<f64>, Error> {
    let shape = plate.planes.shape();
    let told = Told { is_heat: plate.is_heat.into(), last: steps.saturating_sub(1) };
    let row = shape[1..].iter().product::<usize>() * size_of::<T>();
    let job = in_bands(job, shape[0], row).steps(steps).body_overwrites();
    job.lend((&mut plate.planes, &plate.weights)).run_with(told, |w, told, ((old, mut new), weights)| {
        let weights: ArrayView<T, D> = weights;
        let axes = weights.ndim();
        let weights = cells::as_planes(weights);
        let (from, to) = (cells::as_planes(old.view()), cells::as_planes(new.view_mut()));
        match told.is_heat {
            0 => cells::weigh(&cells::taps(&weights), from, to),
            _ => cells::heat(axes, weights[[0, 0, 0]], from, to),
        }
        if w.step() != told.last {
            return 0.0;
        }
        let mut own = old;
        for axis in 0..axes {
            let margin = (own.shape()[axis] - new.shape()[axis]) / 2;
            own.slice_axis_inplace(ndarray::Axis(axis), (margin..margin + new.shape()[axis]).into());
        }
        Zip::from(&*new).and(own).fold(0.0, |most, &now, &before| further(most, (now - before).abs().into()))
    })
}

/// The greater of two distances, or NaN if one of them is.
fn further(most: f64, next: f64) -> f64 {
    if next > most || next.is_nan() { next } else { most }
}
