//! The arrays of one job as they are lent: all of them, whatever their number and types.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::array::Array;
use crate::lend::{Lend, Loan, MappedLoans};
use crate::slices::Region;
use crate::sys::memory::Access;

/// Arrays that are lent together. While they are, nobody looks at them here.
pub(super) struct ArrayList(Vec<Array>);

impl ArrayList {
    pub(super) fn new(arrays: Vec<Array>) -> Self {
        Self(arrays)
    }

    /// What they are, without their bytes.
    pub(super) fn arrays(&self) -> &[Array] {
        &self.0
    }

    pub(super) fn into_arrays(self) -> Vec<Array> {
        self.0
    }
}

/// The bytes of one slice, of all outputs.
pub(super) struct SliceBytes<'a> {
    /// Where each array is mapped, in order.
    bases: Vec<NonNull<u8>>,
    region: Region,
    array_list: PhantomData<&'a ArrayList>,
}

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
        assert_eq!(self.bases.len(), array_list.0.len());
        for (number, (base, array)) in
            self.bases.iter().zip(&array_list.0).enumerate().filter(|(_, it)| it.1.is_output())
        {
            for run in array.extent().runs(&self.region) {
                // SAFETY: runs of a region lie inside of the array.
                let first = unsafe { base.add(run.start) };
                // SAFETY: as long; this worker's to write, by the contract of `part`, and under no other reference, for runs
                // are disjoint and the last one's is gone.
                let bytes = unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), run.len()) };
                fill(number, run.start, bytes)?;
            }
        }
        Ok(())
    }
}

// SAFETY: one loan for each array, in order. Outputs are lent for writing although through `&`: a lot is handed to one job, by
// `run` in this room, and its bytes are looked at before and after. The share is the region's bytes of outputs alone.
unsafe impl Lend for &ArrayList {
    type Part<'c> = SliceBytes<'c>;

    fn loans<'s>(&'s self, list: &mut Vec<Loan<'s>>) {
        list.extend(self.0.iter().map(|array| {
            let (segment, access) = (array.bytes().segment(), access(array));
            let (backing, base) = (segment.backing(), segment.base());
            let (extent, dtype) = (array.extent(), array.dtype().name());
            Loan { backing, base: Some(base), access, extent, lease: None, dtype, margins: None }
        }));
    }

    unsafe fn part<'c>(mapped_loans: &mut MappedLoans<'_>, region: &Region, _step: u32) -> Self::Part<'c> {
        SliceBytes {
            bases: mapped_loans.arrays.by_ref().map(|mapped| mapped.base).collect(),
            region: *region,
            array_list: PhantomData,
        }
    }

    unsafe fn mirror(mapped_loans: &mut MappedLoans<'_>, _region: &Region, _step: u32) {
        mapped_loans.arrays.by_ref().for_each(drop);
    }
}

/// What may be done with an array.
pub(super) fn access(array: &Array) -> Access {
    if array.is_output() { Access::Write } else { Access::Read }
}
