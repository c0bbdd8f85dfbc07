//! Arrays whose number, elements and axes are known only when the program runs.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use ndarray::Ix1;

use super::{Lend, Loan, MappedLoan, MappedLoans};
use crate::error::{self, ShapeError};
use crate::shared::{Order, Shared, byte_length};
use crate::slices::{Extent, Region};
use crate::sys::memory::Access;

/// How an array lies in a run of bytes: without gaps, from some byte on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    /// The byte that it begins with.
    pub at: usize,
    /// Bytes of an element.
    pub element: usize,
    /// The lengths of the axes.
    pub shape: Vec<usize>,
    /// The order of the elements.
    pub order: Order,
}

/// Arrays whose number, elements and axes are known only when the program runs, as those of another language: lent together, as bytes.
/// Those to be read are lent whole; of those to be written, the cells are cut. In a tuple it stands last.
///
/// ```
/// use parfork::{Cells, Job, Shared, Untyped};
/// let mut bytes = Shared::<u8, _>::zeros(100)?;
/// let gain = Shared::from_array(&ndarray::array![3_u8])?;
/// let mut lent = Untyped::new();
/// lent.read(&gain);
/// // Four rows of two cells of two bytes, from byte 10 on.
/// lent.write(&mut bytes, Cells { at: 10, element: 2, shape: vec![4, 2], ..Cells::default() })?;
/// Job::new(lent).workers(2).run(|w, mut part| {
///     let row = w.region().range(0).unwrap().start as u8;
///     let gain = part.bytes(0)[0];
///     part.for_each_run(1, |_, cells| cells.fill(gain * row));
/// })?;
/// assert_eq!(bytes.as_slice()[9..27], [0, 0, 0, 0, 0, 3, 3, 3, 3, 6, 6, 6, 6, 9, 9, 9, 9, 0]);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Untyped<'a> {
    arrays: Vec<UntypedArray<'a>>,
}

#[derive(Debug)]
struct UntypedArray<'a> {
    bytes: &'a Shared<u8, Ix1>,
    access: Access,
    cells: Cells,
}

impl<'a> Untyped<'a> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lends bytes to be read, as the next array.
    pub fn read(&mut self, bytes: &'a Shared<u8, Ix1>) {
        let cells = Cells { at: 0, element: 1, shape: bytes.shape().to_vec(), order: Order::C };
        self.arrays.push(UntypedArray { bytes, access: Access::Read, cells });
    }

    /// Lends cells to be written, as the next array.
    ///
    /// # Errors
    /// If they are not inside of the bytes.
    pub fn write(&mut self, bytes: &'a mut Shared<u8, Ix1>, cells: Cells) -> error::Result<()> {
        // SAFETY: borrowed alone.
        unsafe { self.write_at_address(bytes, cells) }
    }

    /// As [`write`](Self::write), where the bytes cannot be borrowed alone because they are used by their addresses: of the same ones
    /// other cells may be lent to be read or written.
    ///
    /// # Safety
    /// While this lives nobody looks at these bytes through a reference, in this process or in a body: an array of them that is lent as
    /// well is used there by its [address](UntypedPart::address).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub unsafe fn write_at_address(&mut self, bytes: &'a Shared<u8, Ix1>, cells: Cells) -> error::Result<()> {
        let len = byte_length(&cells.shape, cells.element)?;
        if cells.at.checked_add(len).is_none_or(|end| end > bytes.len()) {
            return Err(ShapeError::Outside { at: cells.at, len, bytes: bytes.len() }.into());
        }
        self.arrays.push(UntypedArray { bytes, access: Access::Write, cells });
        Ok(())
    }
}

/// What a body gets of [`Untyped`] arrays: the bytes of those that are read, and of those that are written the cells of its slice. They
/// are numbered in the order in which they were lent.
#[derive(Debug)]
pub struct UntypedPart<'c> {
    arrays: Vec<MappedArray>,
    region: Region,
    lifetime: PhantomData<&'c mut [u8]>,
}

#[derive(Debug)]
struct MappedArray {
    base: NonNull<u8>,
    len: usize,
    /// Those to be written.
    cells: Option<Cells>,
}

impl UntypedPart<'_> {
    /// The part of these arrays.
    ///
    /// # Safety
    /// As for [`Lend::part`].
    pub(crate) unsafe fn of<'m>(mapped_loans: impl Iterator<Item = &'m MappedLoan<'m>>, region: &Region) -> Self {
        let arrays = mapped_loans.map(|mapped| {
            let Extent { shape, first_is_fastest, element, at } = mapped.extent;
            let order = if first_is_fastest { Order::F } else { Order::C };
            let cells = || Cells { at, element, shape: shape.to_vec(), order };
            let is_written = mapped.access == Access::Write;
            MappedArray { base: mapped.base, len: mapped.extent.bytes(), cells: is_written.then(cells) }
        });
        Self { arrays: arrays.collect(), region: *region, lifetime: PhantomData }
    }

    /// Where an array that was lent to be read begins in this process, or the first cell of the whole of one that was lent to be
    /// written, for code that is told addresses. What may be read and written there is what references would allow, and for as long.
    ///
    /// # Panics
    /// If there is none with this number, as for all methods.
    pub fn address(&self, number: usize) -> *mut u8 {
        let MappedArray { base, cells, .. } = &self.arrays[number];
        base.as_ptr().wrapping_add(cells.as_ref().map_or(0, |cells| cells.at))
    }

    /// How many arrays there are.
    pub fn count(&self) -> usize {
        self.arrays.len()
    }

    /// How many bytes there are of an array, of one that is written too.
    pub fn byte_length(&self, number: usize) -> usize {
        self.arrays[number].len
    }

    /// All bytes of an array that was lent to be read.
    ///
    /// # Panics
    /// If it was lent to be written.
    pub fn bytes(&self, number: usize) -> &[u8] {
        let MappedArray { base, len, cells } = &self.arrays[number];
        assert!(cells.is_none(), "array {number} was lent to be written");
        // SAFETY: mapped with as many bytes for as long as this part lives, by the contract of `part`; nobody writes to them: they are
        // borrowed, or else the contract of `write_at_address` has this method not called.
        unsafe { std::slice::from_raw_parts(base.as_ptr(), *len) }
    }

    /// Calls `each` for each run of bytes of the slice, with how many bytes of the array there are before it.
    ///
    /// # Panics
    /// If the array was lent to be read.
    pub fn for_each_run(&mut self, number: usize, mut each: impl FnMut(usize, &mut [u8])) {
        let done: Result<(), Infallible> = self.try_for_each_run(number, |at, bytes| {
            each(at, bytes);
            Ok(())
        });
        done.unwrap_or_else(|never| match never {});
    }

    /// As [`for_each_run`](Self::for_each_run), up to the first error.
    pub(crate) fn try_for_each_run<E>(
        &mut self,
        number: usize,
        mut each: impl FnMut(usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.runs(number).try_for_each(|(at, mut bytes)| {
            // SAFETY: this worker's to write, by the contract of `part`, and under no other reference: runs are disjoint, `&mut self` has
            // them one by one, and what is lent beside it by address is not looked at through one.
            each(at, unsafe { bytes.as_mut() })
        })
    }

    /// Each run of bytes of the slice, with how many bytes of the array there are before it. Not a reference: using it is for whoever knows
    /// who else does.
    pub(crate) fn runs(&self, number: usize) -> impl Iterator<Item = (usize, NonNull<[u8]>)> {
        let MappedArray { base, cells, .. } = &self.arrays[number];
        let cells = cells.as_ref().unwrap_or_else(|| panic!("array {number} was lent to be read"));
        cells.extent().runs(&self.region).map(|Range { start, end }| {
            // SAFETY: runs of a region lie inside of the array.
            let first = unsafe { base.add(start) };
            (start - cells.at, NonNull::slice_from_raw_parts(first, end - start))
        })
    }
}

impl Cells {
    fn extent(&self) -> Extent<'_> {
        let first_is_fastest = self.order == Order::F;
        Extent { shape: &self.shape, first_is_fastest, element: self.element, at: self.at }
    }
}

// SAFETY: one loan for each array, in order, and as many addresses are taken: all that are left, for it stands last. The part gives
// out the region's bytes of those that are written, and of the others references to read.
unsafe impl Lend for Untyped<'_> {
    type Part<'c> = UntypedPart<'c>;

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        list.extend(self.arrays.iter().map(|UntypedArray { bytes, access, cells }| {
            let segment = bytes.segment();
            Loan {
                backing: segment.backing(),
                base: Some(segment.base()),
                access: *access,
                extent: cells.extent(),
                lease: None,
                dtype: "",
                margins: None,
            }
        }));
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, _step: u32) -> Self::Part<'c> {
        // SAFETY: passed on to the caller.
        unsafe { UntypedPart::of(mapped_loans.arrays.by_ref(), region) }
    }

    unsafe fn mirror(mapped_loans: &mut MappedLoans<'_>, _region: &Region, _step: u32) {
        mapped_loans.arrays.by_ref().for_each(drop);
    }
}
