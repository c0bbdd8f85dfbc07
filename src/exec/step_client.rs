//! The program's side of steps, for programs in Rust.
#![allow(unsafe_code)]

use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::Range;

use ndarray::{ArrayView, ArrayViewMut, Axis, Dimension, RawArrayViewMut};

use super::client::{Mapped, ProgramWorker, check_type};
use super::line::{self, Cells};
use super::manifest::Entry;
use super::planes_told::PlanesEntry;
use crate::error::{ExecError, ProtocolError, Result};
use crate::shared::{Element, raw_view};

impl ProgramWorker {
    /// An array that steps are done on. Each is handed out once.
    ///
    /// # Errors
    /// If there is none of that name, type and number of axes; the second time.
    pub fn planes<T: Element, D: Dimension>(&mut self, name: &str) -> Result<StepPlanes<T, D>> {
        let told = self.manifest().planes.as_ref().ok_or(ExecError::NoPlanes)?;
        let entry = told.arrays.iter().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| ExecError::NoSuchArray { kind: "plane", name: name.to_owned() })?;
        check_type::<T, D>("plane", name, entry.dtype, entry.shape.len())?;
        let (entry, axes) = (entry.clone(), told.axes.clone());
        let plane = |fd| {
            let (name, shape) = (entry.name.clone(), entry.shape.clone());
            Mapped::new(&Entry {
                name,
                fd,
                offset: 0,
                output: true,
                dtype: entry.dtype,
                shape,
                first_is_fastest: false,
            })
        };
        let planes = [plane(entry.fds[0])?, plane(entry.fds[1])?];
        self.take(name, planes.each_ref())?;
        Ok(StepPlanes { planes, entry, axes, types: PhantomData })
    }

    /// Calls `body` for each step of each slice that this program is ordered, until there are no more. When it returns, the step is done; its error,
    /// or its panic, says that it cannot be done, which ends the job with that text.
    ///
    /// ```no_run
    /// use ndarray::{Ix2, Zip};
    /// use parfork::exec::ProgramWorker;
    /// let mut guest = ProgramWorker::join()?;
    /// let mut plate = guest.planes::<f64, Ix2>("plate")?;
    /// guest.run_steps(|step| {
    ///     let (old, new) = plate.step(step);
    ///     Zip::from(new).and(old.windows((3, 3))).for_each(|cell, near| *cell = near.mean().unwrap());
    ///     Ok::<_, String>(())
    /// })?;
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// # Errors
    /// What `body` returned, as text; if this program was not started to do steps; if the coordinator is gone; in a fork of this program.
    pub fn run_steps<E: Display>(&mut self, mut body: impl FnMut(&GivenStep<'_>) -> Result<(), E>) -> Result<()> {
        if self.manifest().planes.is_none() {
            self.fail(&ExecError::NoPlanes.to_string())?;
            return Err(ExecError::NoPlanes.into());
        }
        while let Some(order) = self.next()? {
            let (number, cells) = self.step_of(&order).map_err(ExecError::from)?;
            self.do_one(&cells, || body(&GivenStep { number, cells: &cells, given: PhantomData }))?;
        }
        Ok(())
    }

    /// The step that an order names, of cells that all planes have.
    fn step_of(&self, order: &[u8]) -> Result<(u32, Cells), ProtocolError> {
        let (step, cells) = line::parse_step_order(order)?;
        let is_known = self.manifest().planes.as_ref().is_some_and(|told| {
            let has_cells = |entry: &PlanesEntry| entry.ranges(&told.axes, &cells).is_some();
            step < told.steps && cells.len() == told.axes.len() && told.arrays.iter().all(has_cells)
        });
        let expected = || "a step of the job".to_owned();
        is_known.then_some((step, cells)).ok_or_else(|| ProtocolError { read: order.to_owned(), expected: expected() })
    }
}

/// A step of a slice that this program was ordered, for the call of [`ProgramWorker::run_steps`]'s body. Nobody else can make one.
#[derive(Debug)]
pub struct GivenStep<'g> {
    number: u32,
    /// Of each axis that is cut.
    cells: &'g [Range<usize>],
    given: PhantomData<&'g mut ProgramWorker>,
}

impl GivenStep<'_> {
    /// Which step, from 0.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Which cells the slice is: a range of each axis that is cut, in the order of axes.
    pub fn cells(&self) -> &[Range<usize>] {
        self.cells
    }
}

/// An array that steps are done on: two copies of it, of which each step reads one and writes the other.
#[derive(Debug)]
pub struct StepPlanes<T, D> {
    /// In step 0 the first is read.
    planes: [Mapped; 2],
    entry: PlanesEntry,
    axes: Vec<usize>,
    types: PhantomData<(T, D)>,
}

impl<T: Element, D: Dimension> StepPlanes<T, D> {
    /// What the step before left, of the slice and its margin; and the slice, all of which is to be written.
    ///
    /// # Panics
    /// In a fork of this program, which was ordered nothing.
    pub fn step<'s>(&'s mut self, step: &'s GivenStep<'_>) -> (ArrayView<'s, T, D>, ArrayViewMut<'s, T, D>) {
        let ranges = self.entry.ranges(&self.axes, step.cells).expect("an order was looked at before it was given");
        let cells = |plane: &Mapped, role: usize| {
            // SAFETY: such an array, checked by `ProgramWorker::planes` and `Mapped::new`, is mapped there as long as `self` lives.
            let mut view: RawArrayViewMut<T, D> = unsafe { raw_view(plane.base(), plane.extent()) };
            for (axis, ranges) in ranges.iter().enumerate() {
                view.slice_axis_inplace(Axis(axis), ranges[role].clone().into());
            }
            view
        };
        let number = step.number as usize;
        let (old, new) = (cells(&self.planes[number % 2], 0), cells(&self.planes[1 - number % 2], 1));
        // SAFETY: nobody writes these cells before this step is done: the coordinator orders it when those whose cells they are have done the
        // step before, and orders those their next one after it. Here `&mut self` keeps other views away.
        let old = unsafe { old.deref_into_view() };
        // SAFETY: slices are disjoint, and this step of this one was ordered from this program alone, by the one `ProgramWorker` that there is;
        // it is not done before the call that it was handed to has returned. `ProgramWorker::take` has seen that both planes are different
        // files, of which there are no other views here.
        let new = unsafe { new.deref_into_view_mut() };
        (old, new)
    }
}
