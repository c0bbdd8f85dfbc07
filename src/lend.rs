//! What may be lent to a job, and what a worker gets for it.
//!
//! `&array` gives every worker a read-only view of the whole; `&mut array` is cut, and gives the worker the slice it works
//! on; a range is cut like an array of its length, and gives the worker its own part; tuples lend several at once. The loan lasts as long as the borrow it is made of, so the borrow checker keeps
//! everybody else away from what workers write.
#![allow(unsafe_code)]

mod input;
mod planes;
mod slice;
mod untyped;

use std::ops::Range;
use std::path::Path;
use std::ptr::NonNull;

use bytemuck::Pod;
use ndarray::{ArrayView, Axis, Dimension, RawArrayViewMut};

pub use input::Input;
pub use slice::Slice;
pub use untyped::{Cells, Untyped, UntypedPart};

use crate::error::{Result, ShapeError, StepsError};
#[cfg(feature = "npy")]
use crate::shared::Mapped;
#[cfg(feature = "named")]
use crate::shared::named::{Named, ReadGuard, WriteGuard};
use crate::shared::{Backing, Element, Shared, raw_view};
use crate::slices::{Extent, Grid, Margins, Region, Split};
use crate::sys::lease::Lease;
use crate::sys::memory::Access;

/// What may be lent: `&Shared`, `&mut Shared`, the same of [guards](crate::named) of named segments, [`Untyped`] arrays, a `Range<usize>`,
/// and tuples of what may be lent.
///
/// A range is cut as an array of one axis and of its length would be that is lent for writing, and the body gets its own part of it:
/// what to do for work that is counted rather than stored.
///
/// ```
/// let words = ["to", "be", "or", "not"];
/// let letters = parfork::fork(2, 0..words.len(), |_, mine| words[mine].iter().map(|word| word.len()).sum::<usize>())?;
/// assert_eq!(letters.sum(), 9);
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// # Safety
/// For implementors (there are none outside of this crate): `loans` names every segment that `part` makes views of, in the
/// order in which `part` takes their addresses; `part` gives write access to the cells of `region` of loans for writing
/// alone, and only read access to loans for reading.
pub unsafe trait Lend {
    /// What a body gets for one slice, for one call: a body has to work for every `'c`, so that no part outlives the call that it
    /// was handed to, however long the loan lasts. `'c` is the only lifetime in it.
    type Part<'c>;

    /// What is lent, in order.
    #[doc(hidden)]
    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>);

    /// The ranges among what is lent, in order.
    #[doc(hidden)]
    fn ranges(&self, _list: &mut Vec<Range<usize>>) {}

    /// The part of one slice in one step, where `mapped_loans` are the loans as this process has them, in the order of `loans`, and the
    /// ranges.
    ///
    /// # Safety
    /// `loans` of a value of this type gave these extents; each mapped loan's base maps the loan's segment with the access that the
    /// loan asks for, as long as `'c`. For as long no other part of the same region, or of one that shares a cell with it, lives in
    /// any process; nor one of a later step of a region within reach of the margin of planes, and all those have done the step before.
    #[doc(hidden)]
    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) -> Self::Part<'c>;

    /// Lets what follows from the cells of a slice follow, which the body has written in this step: what mirrors them in margins.
    ///
    /// # Safety
    /// As for [`part`](Self::part); the part is gone.
    #[doc(hidden)]
    unsafe fn mirror(mapped_loans: &mut MappedLoans<'_>, _region: &Region, _step: u32) {
        // As many as one that is not planes has.
        mapped_loans.arrays.next();
    }

    /// A job begins to write to what is lent.
    ///
    /// # Errors
    /// If what is lent is not as a job can have it.
    #[doc(hidden)]
    fn begin(&self) -> Result<()> {
        Ok(())
    }

    /// The job has done all of its steps.
    #[doc(hidden)]
    fn finish(&mut self, _steps: u32) {}
}

/// One loan as a worker has it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct MappedLoan<'s> {
    /// Where it is mapped.
    pub(crate) base: NonNull<u8>,
    /// How the array lies there.
    pub(crate) extent: Extent<'s>,
    /// What may be done with it.
    pub(crate) access: Access,
    /// What of that is margin, if any is.
    pub(crate) margins: Option<&'s Margins>,
}

/// Loans as a worker has them, in order, and the ranges that are lent.
#[doc(hidden)]
#[derive(Clone)]
pub struct MappedLoans<'m> {
    pub(crate) arrays: std::slice::Iter<'m, MappedLoan<'m>>,
    pub(crate) ranges: std::slice::Iter<'m, Range<usize>>,
}

/// One lent array: which memory, to do what, how the array lies in it.
#[doc(hidden)]
pub struct Loan<'s> {
    pub(crate) backing: &'s Backing,
    /// Where the coordinator has it mapped, if it has.
    pub(crate) base: Option<NonNull<u8>>,
    pub(crate) access: Access,
    pub(crate) extent: Extent<'s>,
    /// What keeps others from writing to the file that it is, and the file.
    pub(crate) lease: Option<(&'s Lease, &'s Path)>,
    /// The type of its elements, for people; empty where only its bytes are known.
    pub(crate) dtype: &'static str,
    /// What of the extent is margin, if it is a plane of steps.
    pub(crate) margins: Option<Margins>,
}

// SAFETY: an address is a number here: what may be done with the bytes is for `part` and its callers to prove, and all
// elements that can be lent are Send and Sync.
unsafe impl Sync for Loan<'_> {}

// SAFETY: one loan, for reading; the part is a read-only view of the whole array at the one address taken.
unsafe impl<T: Pod + Send + Sync, D: Dimension> Lend for &Shared<T, D> {
    type Part<'c> = ArrayView<'c, T, D>;

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        list.push(loan(self, Access::Read));
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, _region: &Region, _step: u32) -> Self::Part<'c> {
        // SAFETY: the caller vouches for what is mapped there.
        let whole = unsafe { take(mapped_loans) };
        // SAFETY: the caller vouches for the address; the shared borrow that this loan is keeps out every writer.
        unsafe { whole.deref_into_view() }
    }
}

// SAFETY: one loan, for writing; the part is a view of the region's cells alone, at the one address taken.
unsafe impl<T: Pod + Send + Sync, D: Dimension> Lend for &mut Shared<T, D> {
    type Part<'c> = Slice<'c, T, D>;

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        list.push(loan(self, Access::Write));
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, _step: u32) -> Self::Part<'c> {
        // SAFETY: the caller vouches for what is mapped there.
        let mine = narrow(unsafe { take(mapped_loans) }, region);
        // SAFETY: the caller vouches for the address and that no other part has these cells; the exclusive borrow that
        // this loan is keeps out everybody else.
        Slice::new(unsafe { mine.deref_into_view_mut() }, *region)
    }
}

// SAFETY: as for `&Shared`: the guard keeps other processes' writers out, and is borrowed for as long.
#[cfg(feature = "named")]
unsafe impl<T: Element + Send + Sync, D: Dimension> Lend for &ReadGuard<'_, T, D> {
    type Part<'c> = ArrayView<'c, T, D>;

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        list.push(self.source().map_or_else(|copy| loan(copy, Access::Read), |named| named_loan(named, Access::Read)));
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) -> Self::Part<'c> {
        // SAFETY: passed on to the caller.
        unsafe { <&Shared<T, D>>::part(mapped_loans, region, step) }
    }
}

// SAFETY: as for `&mut Shared`: the guard keeps everybody else out, in other processes too, and is borrowed alone for as long.
#[cfg(feature = "named")]
unsafe impl<T: Element + Send + Sync, D: Dimension> Lend for &mut WriteGuard<'_, T, D> {
    type Part<'c> = Slice<'c, T, D>;

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        list.push(named_loan(self.named(), Access::Write));
    }

    fn begin(&self) -> Result<()> {
        WriteGuard::begin(self);
        Ok(())
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) -> Self::Part<'c> {
        // SAFETY: passed on to the caller.
        unsafe { <&mut Shared<T, D>>::part(mapped_loans, region, step) }
    }
}

// SAFETY: as for `&Shared`: the file is leased for as long as this is borrowed, so that nobody writes to it.
#[cfg(feature = "npy")]
unsafe impl<T: Pod + Send + Sync, D: Dimension> Lend for &Mapped<T, D> {
    type Part<'c> = ArrayView<'c, T, D>;

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        list.push(mapped_loan(self));
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) -> Self::Part<'c> {
        // SAFETY: passed on to the caller.
        unsafe { <&Shared<T, D>>::part(mapped_loans, region, step) }
    }
}

// SAFETY: no loan, and no view.
unsafe impl Lend for Range<usize> {
    type Part<'c> = Self;

    fn loans<'s>(&'s self, _list: &mut Vec<Loan<'s>>) {}

    fn ranges(&self, list: &mut Vec<Self>) {
        list.push(self.clone());
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, _step: u32) -> Self::Part<'c> {
        let whole = mapped_loans.ranges.next().expect("as many ranges as `ranges` named");
        let mine = region.range(0).expect("a range has one axis, which is cut");
        whole.start + mine.start..whole.start + mine.end
    }

    unsafe fn mirror(_mapped_loans: &mut MappedLoans<'_>, _region: &Region, _step: u32) {}
}

#[cfg(feature = "named")]
fn named_loan<T: Element, D: Dimension>(named: &Named<T, D>, access: Access) -> Loan<'_> {
    let dtype = std::any::type_name::<T>();
    Loan {
        backing: named.backing(),
        base: Some(named.base()),
        access,
        extent: named.extent(),
        lease: None,
        dtype,
        margins: None,
    }
}

fn loan<T: Pod, D: Dimension>(array: &Shared<T, D>, access: Access) -> Loan<'_> {
    let segment = array.segment();
    let dtype = std::any::type_name::<T>();
    Loan {
        backing: segment.backing(),
        base: Some(segment.base()),
        access,
        extent: array.extent(),
        lease: None,
        dtype,
        margins: None,
    }
}

#[cfg(feature = "npy")]
fn mapped_loan<T: Pod, D: Dimension>(mapped: &Mapped<T, D>) -> Loan<'_> {
    let lease = Some((mapped.lease(), mapped.path()));
    let dtype = std::any::type_name::<T>();
    Loan {
        backing: mapped.backing(),
        base: None,
        access: Access::Read,
        extent: mapped.extent(),
        lease,
        dtype,
        margins: None,
    }
}

impl Loan<'_> {
    /// Where the coordinator has it mapped, 0 if nowhere.
    pub(crate) fn address(&self) -> usize {
        self.base.map_or(0, |base| base.addr().get())
    }
}

/// The next loan's whole array.
///
/// # Safety
/// As for [`raw_view`].
unsafe fn take<T: Pod, D: Dimension>(mapped_loans: &mut MappedLoans<'_>) -> RawArrayViewMut<T, D> {
    let mapped = mapped_loans
        .arrays
        .next()
        .expect("one mapped loan for each loan: `loans` and `part` go through the arrays in the same order");
    // SAFETY: passed on to the caller.
    unsafe { raw_view(mapped.base, mapped.extent) }
}

/// Cuts a raw view down to a box of cells, without ever making a reference to the rest.
fn narrow_to<T, D: Dimension>(
    mut view: RawArrayViewMut<T, D>,
    ranges: impl Iterator<Item = Range<usize>>,
) -> RawArrayViewMut<T, D> {
    for (axis, range) in ranges.enumerate() {
        view.slice_axis_inplace(Axis(axis), range.into());
    }
    view
}

/// Cuts a raw view down to a region, without ever making a reference to the rest.
pub(crate) fn narrow<T, D: Dimension>(mut view: RawArrayViewMut<T, D>, region: &Region) -> RawArrayViewMut<T, D> {
    for (axis, range) in region.ranges() {
        view.slice_axis_inplace(Axis(axis), range.into());
    }
    view
}

macro_rules! lend_tuples {
    ($(($($name:ident $at:tt),+))+) => {$(
        // SAFETY: loans and parts of the members, both in the order of the tuple.
        unsafe impl<$($name: Lend),+> Lend for ($($name,)+) {
            type Part<'c> = ($($name::Part<'c>,)+);

            fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
                $(self.$at.loans(list);)+
            }

            fn ranges(&self, list: &mut Vec<Range<usize>>) {
                $(self.$at.ranges(list);)+
            }

            unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) -> Self::Part<'c> {
                // SAFETY: the caller vouches for all members' mapped loans, for the region and the step.
                ($(unsafe { $name::part(mapped_loans, region, step) },)+)
            }

            unsafe fn mirror(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) {
                // SAFETY: as above.
                $(unsafe { $name::mirror(mapped_loans, region, step) };)+
            }

            fn begin(&self) -> Result<()> {
                $(self.$at.begin()?;)+
                Ok(())
            }

            fn finish(&mut self, steps: u32) {
                $(self.$at.finish(steps);)+
            }
        }
    )+};
}

lend_tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, E 3)
    (A 0, B 1, C 2, E 3, F 4)
    (A 0, B 1, C 2, E 3, F 4, G 5)
    (A 0, B 1, C 2, E 3, F 4, G 5, H 6)
    (A 0, B 1, C 2, E 3, F 4, G 5, H 6, I 7)
}

/// Cuts the first array lent for writing, or else the first range, or else the first array, and checks that others lent for writing
/// and ranges can be cut alike.
pub(crate) fn cut(split: Split, bounds: &[usize], loans: &[Loan<'_>], ranges: &[Range<usize>]) -> Result<Grid> {
    let written = || loans.iter().filter(|loan| loan.access == Access::Write);
    let grid = match (written().next(), ranges.first()) {
        (None, Some(range)) => Grid::new(split, &[range.len()])?.with_bounds(bounds)?,
        // Whatever is lent has a range or an array at least.
        (first, _) => match first.unwrap_or_else(|| &loans[0]) {
            Loan { margins: Some(margins), extent, .. } => Grid::inside(split, bounds, extent.shape, margins)?,
            Loan { extent, .. } => Grid::new(split, extent.shape)?.with_bounds(bounds)?,
        },
    };
    let first = grid.shape();
    let alike = |shape: Vec<usize>| match grid.cut_axes().find(|&axis| shape.get(axis) != first.get(axis)) {
        Some(axis) => Err(ShapeError::Outputs { first: first.to_vec(), other: shape, axis, split: Box::new(split) }),
        None => Ok(()),
    };
    ranges.iter().try_for_each(|range| alike(vec![range.len()]))?;
    for other in written() {
        alike(other.margins.as_ref().map_or(other.extent.shape.to_vec(), |margins| margins.shape(other.extent.shape)))?;
        if let Some(margins) = &other.margins
            && let theirs = Grid::inside(split, bounds, other.extent.shape, margins)?
            && theirs != grid
            && let Some((one, other)) = grid.regions().zip(theirs.regions()).find(|(one, other)| one != other)
        {
            return Err(StepsError::Planes { slice: one.index(), cells: Box::new([one, other]) }.into());
        }
    }
    Ok(grid)
}
