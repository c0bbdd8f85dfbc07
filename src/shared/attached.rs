//! The bytes of a segment as a worker has them mapped.
#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use crate::sys::memory::{Access, Mapping};
use crate::sys::reserve::never;

/// A segment as a worker has it.
#[derive(Debug)]
pub(crate) struct Attached {
    mapping: Mapping,
    /// Where in the mapping the bytes of the segment begin: below a page.
    skip: usize,
}

impl Attached {
    /// The bytes that begin `skip` after the beginning of a mapping, to its end.
    pub(super) fn new(mapping: Mapping, skip: usize) -> Self {
        Self { mapping, skip }
    }

    /// The first byte in this process.
    pub(crate) fn base(&self) -> NonNull<u8> {
        // SAFETY: the mapping is longer by `skip` than the segment.
        unsafe { self.mapping.base().add(self.skip) }
    }

    /// How many bytes there are.
    fn len(&self) -> usize {
        self.mapping.len() - self.skip
    }

    /// Whether this is the process that has it mapped, and no fork of that.
    pub(crate) fn is_here(&self) -> bool {
        self.mapping.is_here()
    }

    /// Takes memory for all of it, of which nobody has touched any yet: of the file `fd` from byte `at` on.
    pub(super) fn reserve(&self, fd: &OwnedFd, at: usize) -> io::Result<()> {
        self.mapping.reserve(fd, at, &never)
    }

    /// Allows or forbids writes to the pages that `range` lies in.
    pub(crate) fn protect(&self, range: Range<usize>, access: Access) -> io::Result<()> {
        self.mapping.protect(self.skip + range.start..self.skip + range.end, access)
    }

    /// Forbids all access, until it is allowed again.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.mapping.close()
    }

    /// Throws away private copies of the pages that `range` lies in.
    ///
    /// # Safety
    /// As for [`Mapping::drop_copies`].
    pub(crate) unsafe fn drop_copies(&self, range: Range<usize>) -> io::Result<()> {
        // SAFETY: passed on to the caller.
        unsafe { self.mapping.drop_copies(self.skip + range.start..self.skip + range.end) }
    }

    /// Copies the bytes `run` to the same place of another segment.
    ///
    /// # Safety
    /// The bytes belong to this process on both sides, nothing refers to them, and those of `to` may be written.
    ///
    /// # Panics
    /// If the run is not inside of both.
    pub(crate) unsafe fn copy_to(&self, to: &Self, run: Range<usize>) {
        let (from, to) = (self.bytes(run.clone()), to.bytes(run));
        // SAFETY: as many bytes on both sides; two mappings do not overlap; the rest is passed on to the caller.
        unsafe { from.cast::<u8>().copy_to_nonoverlapping(to.cast(), from.len()) };
    }

    /// Some of its bytes.
    ///
    /// # Panics
    /// If there are no such bytes.
    pub(super) fn bytes(&self, run: Range<usize>) -> NonNull<[u8]> {
        assert!(run.start <= run.end && run.end <= self.len(), "{run:?} in {} bytes", self.len());
        // SAFETY: inside of the mapping, as just checked.
        NonNull::slice_from_raw_parts(unsafe { self.base().add(run.start) }, run.len())
    }
}
