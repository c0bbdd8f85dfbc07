//! A run of bytes that processes share: created and reserved by one, attached by others.
#![allow(unsafe_code)]

use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use super::withheld;
use crate::error::{Error, Result};
use crate::sys::limits;
use crate::sys::memory::{Access, Inheritance, Mapping, memfd};

/// Words that any number of processes may use at the same time.
///
/// # Safety
/// Every bit pattern is a valid value, zero included, and all access through `&self` is atomic: what another process does
/// to the bytes, at any moment, can make values wrong but nothing undefined. No drop glue, alignment at most a page.
pub(crate) unsafe trait Wire: Sync + Sized {}

// SAFETY: atomics have all of this.
unsafe impl Wire for std::sync::atomic::AtomicU64 {}
// SAFETY: as above.
unsafe impl Wire for std::sync::atomic::AtomicU32 {}
// SAFETY: as above.
unsafe impl Wire for std::sync::atomic::AtomicU8 {}

/// Anonymous shared memory, mapped in the process that made it; gone when that process drops it and nobody has it attached.
#[derive(Debug)]
pub(crate) struct Segment {
    fd: OwnedFd,
    mapping: Mapping,
    kind: Inheritance,
}

impl Segment {
    /// Makes `len` zero bytes (1 for none) for array data: reserved, so that no later touch can fail; withheld from
    /// children unless lent. `what` is for the error.
    pub(crate) fn for_data(len: usize, what: impl FnOnce() -> String) -> Result<Self> {
        Self::create(len, Inheritance::Withheld, what)
    }

    /// Makes `len` zero bytes that every forked worker has at the same address, for the board.
    pub(crate) fn for_board(len: usize) -> Result<Self> {
        Self::create(len, Inheritance::Inherited, || "the board of the job".to_owned())
    }

    fn create(len: usize, kind: Inheritance, what: impl FnOnce() -> String) -> Result<Self> {
        let len = len.max(1);
        if let Some(limits::Room { bytes, by }) = tightest(len) {
            return Err(Error::Memory { what: what(), need: len as u64, room: bytes, by });
        }
        let no_room = |_| match limits::address_limit() {
            Some(limit) => Error::Memory {
                what: what(),
                need: len as u64,
                room: limit,
                by: "this process's limit of addresses (ulimit -v)",
            },
            None => Error::Memory {
                what: what(),
                need: len as u64,
                room: limits::memory_room().map_or(0, |room| room.bytes),
                by: "the kernel",
            },
        };
        let made = memfd(c"parfork", len).and_then(|fd| {
            let mapping = Mapping::new(&fd, len, Access::Write, kind)?;
            mapping.reserve(&fd)?;
            Ok((fd, mapping))
        });
        let (fd, mapping) = made.map_err(no_room)?;
        if kind == Inheritance::Withheld {
            withheld::enter(mapping.base().addr().get(), mapping.len());
        }
        Ok(Self { fd, mapping, kind })
    }

    /// The first byte in this process.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.mapping.base()
    }

    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }

    /// `count` words at `offset` bytes.
    ///
    /// # Panics
    /// If they are not aligned or not inside, or this is not a board: array data is never under a reference that others
    /// write through.
    pub(crate) fn words<T: Wire>(&self, offset: usize, count: usize) -> &[T] {
        let end = count.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.len()), "{count} words at {offset} in {} bytes", self.len());
        assert!(offset.is_multiple_of(align_of::<T>()) && self.kind == Inheritance::Inherited);
        // SAFETY: inside the mapping, as just checked.
        let first = unsafe { self.base().add(offset) };
        // SAFETY: as many words are inside the mapping, and aligned, as just checked; the mapping lives as long as `&self`;
        // `Wire` promises that shared use by other processes is sound, and board segments are handed out as words only.
        unsafe { std::slice::from_raw_parts(first.cast().as_ptr(), count) }
    }

    /// Maps the same bytes once more, in this process (a worker), at another address.
    pub(crate) fn attach(&self, access: Access) -> Result<Attached> {
        let mapping = Mapping::guarded(&self.fd, self.len(), access);
        let mapping = mapping.map_err(Error::system("map a lent array in a worker"))?;
        withheld::enter(mapping.base().addr().get(), mapping.len());
        Ok(Attached { mapping })
    }
}

/// What leaves less room than `len` bytes, if anything does. Reading the limits takes some 100 us, as long as a fork, so
/// lengths that cannot matter are let through; the kernel has the last word on all.
fn tightest(len: usize) -> Option<limits::Room> {
    const MATTERS: usize = 1 << 20;
    let memory = (len >= MATTERS).then(limits::memory_room).flatten();
    let least = memory.into_iter().chain(limits::file_room()).min_by_key(|room| room.bytes);
    least.filter(|room| room.bytes < len as u64)
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.kind == Inheritance::Withheld {
            withheld::strike(self.mapping.base().addr().get());
        }
    }
}

/// A segment as a worker has it.
#[derive(Debug)]
pub(crate) struct Attached {
    mapping: Mapping,
}

impl Attached {
    /// The first byte in this process.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.mapping.base()
    }
}
