//! Planes as a worker has them: each mapped twice, once to read and once to write.
//!
//! In step `k` a slice reads the plane of step `k - 1`, its own cells and those of the margin, and writes its cells of the other plane.
//! Those of the first that it reads nobody writes before it is done: whoever would has to wait for it (`engines/run_steps.rs`).
#![allow(unsafe_code)]

use std::ops::Range;
use std::slice::from_ref;

use bytemuck::Pod;
use ndarray::{ArrayView, Dimension, RawArrayViewMut};

use super::slice::Slice;
use super::{Lend, Loan, MappedLoan, MappedLoans, loan, narrow_to};
use crate::error::Result;
use crate::planes::Planes;
use crate::shared::raw_view;
use crate::slices::{Margins, Region};
use crate::sys::memory::Access;

// SAFETY: four loans: both planes for reading, then both for writing. The part is a read-only view of one plane, of the region's cells
// and those of the margin, and a view to write of the region's cells of the other.
unsafe impl<T: Pod + Send + Sync, D: Dimension> Lend for &mut Planes<T, D> {
    type Part<'c> = (ArrayView<'c, T, D>, Slice<'c, T, D>);

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        self.lend(list);
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) -> Self::Part<'c> {
        let Some(Turn { old, new, margins }) = Turn::take(mapped_loans, step) else { unreachable!("four loans") };
        let whole = ranges(region, margins, old.extent.shape);
        // SAFETY: the caller vouches for what is mapped there.
        let old = unsafe { raw_view(old.base, old.extent) };
        // SAFETY: as above.
        let new = unsafe { raw_view(new.base, new.extent) };
        let wider = whole.iter().enumerate().map(|(axis, range)| {
            let cells = margins.cells(axis);
            range.start - cells..range.end + cells
        });
        // SAFETY: who would write to any of these cells waits until this slice has done the step, as the caller vouches.
        let old = unsafe { narrow_to(old, wider).deref_into_view() };
        // SAFETY: no other part has these cells of this plane, to read or to write, as the caller vouches; those of the view above are
        // of the other plane.
        let new = unsafe { narrow_to(new, whole.iter().cloned()).deref_into_view_mut() };
        (old, Slice::new(new, *region))
    }

    unsafe fn mirror(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) {
        let Some(Turn { new, margins, .. }) = Turn::take(mapped_loans, step) else { unreachable!("four loans") };
        if !margins.has_mirrors() {
            return;
        }
        let own = ranges(region, margins, new.extent.shape);
        // SAFETY: the caller vouches for what is mapped there.
        let plane: RawArrayViewMut<T, D> = unsafe { raw_view(new.base, new.extent) };
        for (to, from) in copies(&own, margins, new.extent.shape) {
            // SAFETY: the cells of the slice are this worker's, and nobody has a view of them now.
            let from = unsafe { narrow_to(plane.clone(), from.into_iter()).deref_into_view() };
            // SAFETY: cells of the margin, which are none of the slice's; who has the cell that one mirrors is the only one to write it,
            // and who reads it waits for this.
            let mut to = unsafe { narrow_to(plane.clone(), to.into_iter()).deref_into_view_mut() };
            to.assign(&from);
        }
    }

    fn begin(&self) -> Result<()> {
        Planes::begin(self)
    }

    fn finish(&mut self, steps: u32) {
        Planes::finish(self, steps);
    }
}

impl<T: Pod, D: Dimension> Planes<T, D> {
    /// Both planes for reading, in turn, and both for writing.
    pub(crate) fn lend<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        for access in [Access::Read, Access::Write] {
            for plane in self.in_turn() {
                list.push(Loan { margins: Some(*self.margins()), ..loan(plane, access) });
            }
        }
    }
}

/// The planes of one step.
struct Turn<'m> {
    old: MappedLoan<'m>,
    new: MappedLoan<'m>,
    margins: &'m Margins,
}

impl<'m> Turn<'m> {
    fn take(mapped_loans: &mut MappedLoans<'m>, step: u32) -> Option<Self> {
        let mut next = || mapped_loans.arrays.next().copied();
        let (to_read, to_write) = ([next()?, next()?], [next()?, next()?]);
        let turn = (step % 2) as usize;
        Some(Self { old: to_read[turn], new: to_write[1 - turn], margins: to_read[0].margins? })
    }
}

/// Where the cells of a region are in a plane that is stored in this shape.
fn ranges(region: &Region, margins: &Margins, stored: &[usize]) -> Vec<Range<usize>> {
    let of = |(axis, &length): (usize, &usize)| {
        let (cells, padding) = (margins.cells(axis), margins.padding(axis));
        region.range(axis).map_or(cells..length - cells, |range| range.start + padding..range.end + padding)
    };
    stored.iter().enumerate().map(of).collect()
}

/// A box of cells.
type Cells = Vec<Range<usize>>;

/// The boxes of the margin that mirror cells of a slice, each with the box that it mirrors.
fn copies(own: &[Range<usize>], margins: &Margins, stored: &[usize]) -> Vec<(Cells, Cells)> {
    let mut all: Vec<(Cells, Cells)> = vec![(Vec::new(), Vec::new())];
    for (axis, own) in own.iter().enumerate() {
        let (cells, length) = (margins.cells(axis), stored[axis] - 2 * margins.cells(axis));
        let mirrors = margins.mirrors(axis, &(own.start - cells..own.end - cells), length);
        let one = |(to, from): (usize, usize)| (to..to + 1, from..from + 1);
        let choices: Vec<_> = std::iter::once((own.clone(), own.clone())).chain(mirrors.into_iter().map(one)).collect();
        let with = |(to, from): &(Cells, Cells)| {
            let longer = |(next_to, next_from): &(Range<usize>, Range<usize>)| {
                ([to, from_ref(next_to)].concat(), [from, from_ref(next_from)].concat())
            };
            choices.iter().map(longer).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    // The slice itself.
    all.remove(0);
    all
}
