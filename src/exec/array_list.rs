//! The arrays of one job as they are lent: all of them, whatever their number and types; and what is done with the bytes of a slice.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use super::array::{Array, Contents};
use super::planes::{ProgramPlanes, mirror};
use crate::error::Result;
use crate::lend::{Lend, Loan, MappedLoans, UntypedPart};
use crate::slices::Region;
use crate::sys::memory::{Access, put};

/// Arrays that are lent together, and planes. While they are, nobody looks at them here.
pub(super) struct ArrayList(Vec<Array>, Vec<ProgramPlanes>);

impl ArrayList {
    pub(super) fn new(arrays: Vec<Array>, planes: Vec<ProgramPlanes>) -> Self {
        Self(arrays, planes)
    }

    /// What steps are done on.
    pub(super) fn planes(&self) -> &[ProgramPlanes] {
        &self.1
    }

    /// What they are, without their bytes.
    pub(super) fn arrays(&self) -> &[Array] {
        &self.0
    }

    /// Of descriptors of the arrays, those that lead to files with a name: what a program in a sandbox may open anew.
    pub(super) fn paths_of_files(&self, descriptors: &[OwnedFd]) -> Vec<PathBuf> {
        let in_files =
            self.0.iter().zip(descriptors).filter(|(array, _)| matches!(array.contents(), Contents::File(_)));
        in_files.map(|(_, fd)| format!("/proc/self/fd/{}", fd.as_raw_fd()).into()).collect()
    }

    /// When all workers are gone.
    ///
    /// # Errors
    /// If what was given back cannot be kept from others.
    pub(super) fn into_arrays(mut self) -> Result<(Vec<Array>, Vec<ProgramPlanes>)> {
        self.0.iter_mut().try_for_each(Array::retire)?;
        Ok((self.0, self.1))
    }
}

/// The bytes of one slice, of all outputs.
pub(super) struct SliceBytes<'a>(UntypedPart<'a>);

impl SliceBytes<'_> {
    /// Calls `fill` for each run of bytes, with the number of the array, and where in that it begins. `array_list` is the one that this is
    /// a share of; a job has no other.
    ///
    /// # Errors
    /// The first of `fill`'s.
    pub(super) fn fill<E>(
        &mut self,
        array_list: &ArrayList,
        mut fill: impl FnMut(usize, usize, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        assert_eq!(self.0.count(), array_list.0.len());
        let mut outputs = array_list.0.iter().enumerate().filter(|(_, array)| array.is_output());
        outputs.try_for_each(|(number, _)| self.0.try_for_each_run(number, |at, bytes| fill(number, at, bytes)))
    }

    /// Writes the slice, which is done, to the files of those outputs that are written so, and gives its memory back.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn file(&self, array_list: &ArrayList) -> Result<(), String> {
        assert_eq!(self.0.count(), array_list.0.len());
        for (number, array) in array_list.0.iter().enumerate() {
            let Some(payload) = array.payload().filter(|payload| payload.by_slices) else { continue };
            for (at, bytes) in self.0.runs(number) {
                // SAFETY: readable: mapped for this worker, whose slice it is. That is done: a program that goes on writing to it
                // spoils its own result, and no reference, for there is none.
                unsafe { put(&payload.file, payload.at + at, bytes) }
                    .and_then(|()| array.backing().give_back_huge_pages(at..at + bytes.len()))
                    .map_err(|error| {
                        format!("the slice cannot be written to the output `{}` ({error})", array.name())
                    })?;
            }
        }
        Ok(())
    }
}

// SAFETY: one loan for each array, in order, then four for each of the planes, as these lend them. Outputs are lent for writing although
// through `&`: a list is handed to one job, by `run` in this room, and its bytes are looked at before and after. The part is the region's
// bytes of outputs alone.
unsafe impl Lend for &ArrayList {
    type Part<'c> = SliceBytes<'c>;

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        list.extend(self.0.iter().map(|array| {
            let (backing, access) = (array.backing(), access(array));
            let (base, lease) = match array.contents() {
                Contents::Memory(bytes) => (Some(bytes.segment().base()), None),
                Contents::File(mapped) => (None, Some((mapped.lease(), mapped.path()))),
            };
            let (extent, dtype) = (array.extent(), array.dtype().name());
            Loan { backing, base, access, extent, lease, dtype, margins: None }
        }));
        self.1.iter().for_each(|planes| planes.loans(list));
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, _step: u32) -> Self::Part<'c> {
        // Planes are the program's alone to look at.
        let arrays = mapped_loans.arrays.by_ref().filter(|mapped| mapped.margins.is_none());
        // SAFETY: passed on to the caller.
        SliceBytes(unsafe { UntypedPart::of(arrays, region) })
    }

    unsafe fn mirror(mapped_loans: &mut MappedLoans<'_>, region: &Region, step: u32) {
        while let Some(loan) = mapped_loans.arrays.as_slice().first() {
            match loan.margins {
                // SAFETY: passed on to the caller; the four loans of planes are next.
                Some(_) => unsafe { mirror(mapped_loans, region, step) },
                None => drop(mapped_loans.arrays.next()),
            }
        }
    }

    fn begin(&self) -> Result<()> {
        self.1.iter().try_for_each(ProgramPlanes::begin)
    }
}

/// The array that is cut: the first output, or else the first.
pub(super) fn cut(arrays: &[Array]) -> &Array {
    arrays.iter().find(|array| array.is_output()).unwrap_or(&arrays[0])
}

/// What may be done with an array.
pub(super) fn access(array: &Array) -> Access {
    if array.is_output() { Access::Write } else { Access::Read }
}
