//! `Planes`: an array that jobs of steps work on, twice in memory: as the step before left it, and as this step makes it.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use bytemuck::Pod;
use ndarray::{ArrayBase, ArrayView, ArrayViewMut, Axis, Data, Dimension};

use crate::error::{Result, ShapeError, StepsError};
use crate::shared::Shared;
use crate::slices::{AxisMargin, Edge, Margins};

/// What slices read beyond an edge of the array.
///
/// ```
/// use parfork::Border;
/// assert_eq!("constant:-0.5".parse(), Ok(Border::Constant(-0.5)));
/// assert_eq!(Border::<u8>::Wrap.to_string(), "wrap");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border<T> {
    /// The array's own outermost cells, as many as the margin is wide: they are read and never computed, and stay as they are.
    Keep,
    /// This value.
    Constant(T),
    /// The cells before the edge, mirrored at the last one, which is not repeated: `d c b a b c d`. OpenCV's default, NumPy's
    /// `reflect`.
    Reflect101,
    /// The last cell, again and again: `a a a a b c d`. NumPy's `edge`.
    Replicate,
    /// The cells at the opposite edge: the axis is a ring. Of both edges of an axis or of none.
    Wrap,
}

impl<T> Border<T> {
    fn edge(&self) -> Edge {
        match self {
            Self::Keep => Edge::Keep,
            Self::Constant(_) => Edge::Constant,
            Self::Reflect101 => Edge::Reflect101,
            Self::Replicate => Edge::Replicate,
            Self::Wrap => Edge::Wrap,
        }
    }
}

/// As [`from_str`](FromStr::from_str) reads it: `keep`, `constant:1.5`, `reflect101`, `replicate`, `wrap`.
impl<T: fmt::Display> fmt::Display for Border<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Constant(value) => write!(f, "constant:{value}"),
            Self::Reflect101 => f.write_str("reflect101"),
            Self::Replicate => f.write_str("replicate"),
            Self::Wrap => f.write_str("wrap"),
        }
    }
}

/// Reads what one is shown as.
impl<T: FromStr> FromStr for Border<T> {
    type Err = BorderError;

    fn from_str(text: &str) -> std::result::Result<Self, BorderError> {
        let wrong = || BorderError(text.to_owned());
        match text {
            "keep" => Ok(Self::Keep),
            "reflect101" => Ok(Self::Reflect101),
            "replicate" => Ok(Self::Replicate),
            "wrap" => Ok(Self::Wrap),
            _ => {
                let value = text.strip_prefix("constant:").and_then(|value| value.parse().ok());
                value.map(Self::Constant).ok_or_else(wrong)
            }
        }
    }
}

/// A text that names no [`Border`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a border. Write keep, wrap, reflect101, replicate, or constant:V with V a value that cells can have, as in constant:0."
)]
pub struct BorderError(String);

/// An array that a job of [steps](crate::Job::steps) works on.
///
/// It is there twice, and the two change roles with every step. Lent with `&mut`, it gives a body two views: one to read, of its slice and
/// of the margin around that, as the step before left them; and the slice to write. The view to read is longer than the slice by twice the
/// margin on every axis, at the edges of the array too, so that `old.windows(..)` has a window for each cell of the slice. A body writes
/// every cell of its slice: what that held before is of no meaning.
///
/// A slice begins a step as soon as the slices whose cells it reads have done the step before. There is no barrier.
///
/// ```
/// use ndarray::{Array2, Zip};
/// use parfork::{Border, Job, Planes};
/// let mut start = Array2::<f64>::zeros((64, 64));
/// start[[32, 32]] = 1.0;
/// let mut plate = Planes::from_array(&start, 1, Border::Wrap)?;
/// Job::new(&mut plate).workers(2).steps(10).run(|_, (old, mut new)| {
///     Zip::from(&mut *new).and(old.windows((3, 3))).for_each(|cell, near| {
///         *cell = 0.25 * (near[[0, 1]] + near[[1, 0]] + near[[1, 2]] + near[[2, 1]]);
///     });
/// })?;
/// assert!((plate.view()?.sum() - 1.0).abs() < 1e-12); // what leaves on one side comes in on the other
/// # Ok::<(), parfork::Error>(())
/// ```
pub struct Planes<T, D> {
    /// With margins.
    planes: [Shared<T, D>; 2],
    /// Which of them has the array as it is now.
    now: usize,
    margins: Margins,
    /// The values beyond edges that are constant.
    constants: Vec<[Option<T>; 2]>,
    /// Set while a job works, and for good if that failed.
    torn: AtomicBool,
}

impl<T: Pod, D: Dimension> Planes<T, D> {
    /// The most axes of planes.
    pub const MOST_AXES: usize = 4;

    /// A copy of an array, of which slices read `margin` cells further on each side of each axis, and `border` beyond its edges.
    ///
    /// # Errors
    /// If an axis is too short for the margin, the array has more than 4 axes, or there is too little memory.
    pub fn from_array<S: Data<Elem = T>>(array: &ArrayBase<S, D>, margin: usize, border: Border<T>) -> Result<Self> {
        Self::with_edges(array, &vec![(margin, border, border); array.ndim()])
    }

    /// As [`from_array`](Self::from_array), with a margin for each axis, and a border for its start and one for its end.
    ///
    /// ```
    /// use parfork::{Border, Planes};
    /// let pipe = ndarray::Array2::<f64>::zeros((8, 100)); // a ring of 8 cells, closed at one end and hot at the other
    /// let planes = Planes::with_edges(&pipe, &[
    ///     (1, Border::Wrap, Border::Wrap),
    ///     (1, Border::Replicate, Border::Constant(90.0)),
    /// ])?;
    /// assert_eq!(planes.shape(), [8, 100]);
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_array`](Self::from_array); also if there is not one entry for each axis, or one edge of an axis wraps and the other
    /// does not.
    pub fn with_edges<S: Data<Elem = T>>(
        array: &ArrayBase<S, D>,
        edges: &[(usize, Border<T>, Border<T>)],
    ) -> Result<Self> {
        let shape = array.shape();
        if edges.len() != shape.len() || shape.len() > Self::MOST_AXES {
            let most = Self::MOST_AXES;
            return Err(StepsError::Axes { axes: shape.len(), edges: edges.len(), most }.into());
        }
        let axes: Vec<AxisMargin> = edges
            .iter()
            .map(|(cells, low, high)| AxisMargin { cells: *cells, edges: [low.edge(), high.edge()] })
            .collect();
        if let Some(axis) =
            axes.iter().position(|axis| axis.edges.contains(&Edge::Wrap) && axis.edges[0] != axis.edges[1])
        {
            return Err(StepsError::HalfARing { axis }.into());
        }
        let margins = Margins::new(&axes);
        for (axis, &length) in shape.iter().enumerate() {
            let least = margins.least(axis);
            if length < least {
                return Err(StepsError::MarginTooWide { axis, length, least, margin: edges[axis].0 }.into());
            }
        }
        let stored = margins
            .stored(shape)
            .ok_or_else(|| ShapeError::TooLarge { shape: shape.to_vec(), element: size_of::<T>() })?;
        let mut dim = D::zeros(stored.len());
        dim.slice_mut().copy_from_slice(&stored);
        let constant = |border: &Border<T>| if let Border::Constant(value) = border { Some(*value) } else { None };
        let constants = edges.iter().map(|(_, low, high)| [constant(low), constant(high)]).collect();
        let planes = [Shared::empty(dim.clone())?, Shared::empty(dim)?];
        let mut planes = Self { planes, now: 0, margins, constants, torn: AtomicBool::new(true) };
        planes.assign(array)?;
        Ok(planes)
    }

    /// The lengths of the axes, without the margin.
    pub fn shape(&self) -> Vec<usize> {
        self.margins.shape(self.planes[0].shape())
    }

    /// The array as the last step left it.
    ///
    /// # Errors
    /// If a job on it failed, or was stopped: some slices are steps ahead of others then. [`assign`](Self::assign) makes it whole.
    ///
    /// # Panics
    /// As [`Shared::view`].
    pub fn view(&self) -> Result<ArrayView<'_, T, D>> {
        self.check()?;
        let mut view = self.planes[self.now].view();
        for (axis, length) in self.shape().into_iter().enumerate() {
            let start = self.margins.padding(axis);
            view.slice_axis_inplace(Axis(axis), (start..start + length).into());
        }
        Ok(view)
    }

    /// Gives it new content.
    ///
    /// # Errors
    /// If the array has another shape.
    ///
    /// # Panics
    /// As [`Shared::view_mut`].
    pub fn assign<S: Data<Elem = T>>(&mut self, array: &ArrayBase<S, D>) -> Result<()> {
        let shape = self.shape();
        if shape != array.shape() {
            return Err(StepsError::Content { planes: shape, array: array.shape().to_vec() }.into());
        }
        let [one, other] = &mut self.planes;
        fill(one.view_mut(), array, &self.margins, &self.constants);
        // Of the other the first step writes all but what is fixed at the edges.
        for axis in 0..shape.len() {
            let (cells, length) = (self.margins.cells(axis), one.shape()[axis]);
            for edge in [0..cells, length - cells..length] {
                let from = one.view().slice_axis_move(Axis(axis), edge.clone().into());
                other.view_mut().slice_axis_mut(Axis(axis), edge.into()).assign(&from);
            }
        }
        self.now = 0;
        self.torn = AtomicBool::new(false);
        Ok(())
    }

    /// Refuses planes of which some slices are steps ahead of others.
    fn check(&self) -> Result<()> {
        match self.torn.load(Ordering::Relaxed) {
            true => Err(StepsError::Torn.into()),
            false => Ok(()),
        }
    }

    /// A job begins to write to them.
    ///
    /// # Errors
    /// If one has failed that did.
    pub(crate) fn begin(&self) -> Result<()> {
        self.check()?;
        self.torn.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The job has done so many steps.
    pub(crate) fn finish(&mut self, steps: u32) {
        self.now = (self.now + steps as usize) % 2;
        self.torn = AtomicBool::new(false);
    }

    /// The plane that is read in steps 0, 2, 4 and so on of the next job, and the other.
    pub(crate) fn in_turn(&self) -> [&Shared<T, D>; 2] {
        [&self.planes[self.now], &self.planes[1 - self.now]]
    }

    pub(crate) fn margins(&self) -> &Margins {
        &self.margins
    }
}

impl<T: Pod, D: Dimension> fmt::Debug for Planes<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planes")
            .field("planes", &self.planes)
            .field("now", &self.now)
            .field("margins", &self.margins)
            .field("torn", &self.torn)
            .finish_non_exhaustive()
    }
}

/// Fills a plane with an array and what is beyond its edges.
fn fill<T: Pod, D: Dimension, S: Data<Elem = T>>(
    mut plane: ArrayViewMut<'_, T, D>,
    array: &ArrayBase<S, D>,
    margins: &Margins,
    constants: &[[Option<T>; 2]],
) {
    let mut inner = plane.view_mut();
    for (axis, &length) in array.shape().iter().enumerate() {
        let start = margins.padding(axis);
        inner.slice_axis_inplace(Axis(axis), (start..start + length).into());
    }
    inner.assign(array);
    // Axis by axis: a cell of a corner follows one that follows another.
    for (axis, &length) in array.shape().iter().enumerate() {
        let padding = margins.padding(axis);
        for at in 0..plane.len_of(Axis(axis)) {
            if (padding..padding + length).contains(&at) {
                continue;
            }
            match margins.first_source(axis, at, length) {
                Some(source) => {
                    let (to, from) = (at..at + 1, source + padding..source + padding + 1);
                    let from = plane.slice_axis(Axis(axis), from.into()).to_owned();
                    plane.slice_axis_mut(Axis(axis), to.into()).assign(&from);
                }
                None => {
                    let value = constants[axis][usize::from(at >= padding)];
                    plane.slice_axis_mut(Axis(axis), (at..at + 1).into()).fill(value.unwrap_or_else(T::zeroed));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_read_as_they_are_shown() {
        let all = [Border::Keep, Border::Constant(-0.5), Border::Reflect101, Border::Replicate, Border::Wrap];
        for border in all {
            assert_eq!(border.to_string().parse(), Ok(border));
        }
        for wrong in ["", "Wrap", "wrap:1", "mirror", "constant", "constant:", "constant:x"] {
            let error = wrong.parse::<Border<f64>>().expect_err(wrong).to_string();
            assert!(error.starts_with(&format!("`{wrong}` is not a border. Write keep, wrap, ")), "{error}");
        }
        assert_eq!("constant:255".parse(), Ok(Border::Constant(255_u8)));
        assert!("constant:256".parse::<Border<u8>>().is_err());
    }
}
