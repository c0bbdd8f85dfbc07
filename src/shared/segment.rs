//! A run of bytes that processes share: created and reserved by one, attached by others.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;

use super::backing::{Backing, SegmentHandle};
use super::segment_cache;
use crate::error::{Error, Result};
use crate::sys::limits;
use crate::sys::memory::{Access, Inheritance, MapMode, Mapping, memfd};
use crate::sys::reserve::{Late, allocate_in_time, never};

/// How /proc names the memory of control pages, to whoever looks for them.
pub(crate) const CONTROL_PAGE: &CStr = c"parfork-board";

/// Words that any number of processes may use at the same time.
///
/// # Safety
/// Every bit pattern is a valid value, zero included, and all access through `&self` is atomic: what another process does
/// to the bytes, at any moment, can make values wrong but nothing undefined. No drop glue, alignment at most a page.
pub(crate) unsafe trait ShmSafe: Sync + Sized {}

// SAFETY: atomics have all of this.
unsafe impl ShmSafe for std::sync::atomic::AtomicU64 {}
// SAFETY: as above.
unsafe impl ShmSafe for std::sync::atomic::AtomicU32 {}
// SAFETY: as above.
unsafe impl ShmSafe for std::sync::atomic::AtomicU8 {}

/// Anonymous shared memory, mapped in the process that made it; gone when that process drops it and nobody has it attached.
#[derive(Debug)]
pub(crate) struct Segment {
    mapping: Mapping,
    kind: Inheritance,
    backing: Backing,
}

impl Segment {
    /// Makes `len` zero bytes (1 for none) for array data: reserved, so that no later touch can fail; withheld from
    /// children unless lent. `what` is for the error.
    pub(crate) fn for_data(len: usize, what: impl Fn() -> String) -> Result<Self> {
        let Some(kept) = segment_cache::take(len.max(1)) else { return Self::create_in_any_case(len, what, &never) };
        // SAFETY: mapped writable as long as this, and nobody else's: workers that have it mapped wait for another job.
        unsafe { kept.base().write_bytes(0, kept.len()) };
        Ok(kept)
    }

    /// As [`for_data`](Self::for_data), but the bytes may be any.
    pub(crate) fn for_any_data(len: usize, what: impl Fn() -> String) -> Result<Self> {
        Self::for_copy(len, what, &never)
    }

    /// As [`for_any_data`](Self::for_any_data), for what is to be copied there; an error if it becomes too `late`.
    pub(crate) fn for_copy(len: usize, what: impl Fn() -> String, late: Late<'_>) -> Result<Self> {
        segment_cache::take(len.max(1)).map_or_else(|| Self::create_in_any_case(len, what, late), Ok)
    }

    /// Also if what is kept has to be given back for it.
    fn create_in_any_case(len: usize, what: impl Fn() -> String, late: Late<'_>) -> Result<Self> {
        match Self::create(len, Inheritance::Withheld, &what, late) {
            Err(Error::Memory { .. }) if segment_cache::release() => {
                Self::create(len, Inheritance::Withheld, what, late)
            }
            done => done,
        }
    }

    /// Makes `len` zero bytes that every forked worker has at the same address, for the control page; an error if it becomes too `late`.
    pub(crate) fn for_control_page(len: usize, late: Late<'_>) -> Result<Self> {
        Self::create(len, Inheritance::Inherited, || "the control page of the job".to_owned(), late)
    }

    /// Makes room for `most` zero bytes that every forked worker has at the same address, or for fewer if this process may not make
    /// a file as long, without memory for them yet.
    pub(crate) fn for_control_pages(most: usize) -> Result<Self> {
        let len =
            limits::file_room().map_or(most, |room| usize::try_from(room.bytes).map_or(most, |len| len.min(most)));
        let fd = memfd(CONTROL_PAGE, len).map_err(Error::system("make a control page"))?;
        Self::of_control_pages(Backing::made(fd, len))
    }

    /// Maps a control page that process `owner` has told of.
    ///
    /// # Errors
    /// If it is not there, or something else is.
    pub(crate) fn open_control_page(told: &SegmentHandle, owner: u32) -> Result<Self> {
        Backing::open(told, owner, Access::Write).and_then(Self::of_control_pages)
    }

    fn of_control_pages(backing: Backing) -> Result<Self> {
        let mapping = Mapping::new(&backing.fd, backing.len(), MapMode::SharedToWrite, Inheritance::Inherited);
        let mapping = mapping.map_err(Error::system("map a control page"))?;
        Ok(Self { mapping, kind: Inheritance::Inherited, backing })
    }

    /// Takes memory for a part of it, if it has none; an error if it becomes too `late`.
    pub(crate) fn reserve(&self, part: Range<usize>, late: Late<'_>) -> Result<()> {
        allocate_in_time(&self.backing.fd, part, late).map_err(Error::system("reserve memory for the control page"))
    }

    fn create(len: usize, kind: Inheritance, what: impl FnOnce() -> String, late: Late<'_>) -> Result<Self> {
        let len = len.max(1);
        if let Some(limits::Room { bytes, by }) = tightest(len) {
            return Err(Error::Memory { what: what(), need: len as u64, room: bytes, by, fits: None });
        }
        let name = if kind == Inheritance::Inherited { CONTROL_PAGE } else { c"parfork" };
        let no_room = |source: io::Error| {
            let kernel =
                || limits::Room { bytes: limits::memory_room().map_or(0, |room| room.bytes), by: "the kernel" };
            let limits::Room { bytes, by } = limits::address_room().unwrap_or_else(kernel);
            match source.raw_os_error() {
                Some(libc::ENOMEM | libc::ENOSPC) if bytes < len as u64 => {
                    Error::Memory { what: what(), need: len as u64, room: bytes, by, fits: None }
                }
                // There are no more descriptors, or mappings, or the call is forbidden.
                _ => Error::System { doing: "make shared memory", source },
            }
        };
        let made = memfd(name, len).and_then(|fd| {
            let mapping = Mapping::new(&fd, len, MapMode::SharedToWrite, kind)?;
            mapping.reserve(&fd, 0, late)?;
            Ok((fd, mapping))
        });
        let (fd, mapping) = made.map_err(no_room)?;
        Ok(Self { mapping, kind, backing: Backing::made(fd, len) })
    }

    /// The first byte in this process.
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.mapping.base()
    }

    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Whether this is the process that has it mapped, and no fork of that, which must not touch it.
    pub(super) fn is_here(&self) -> bool {
        self.mapping.is_here()
    }

    /// Lets forks have it, at the same address.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn share_with_forks(&mut self) -> Result<()> {
        self.mapping.share_with_forks().map_err(Error::system("let forks have an array"))
    }

    /// Whether they do.
    pub(super) fn is_shared_with_forks(&self) -> bool {
        self.mapping.is_shared_with_forks()
    }

    /// `count` words at `offset` bytes.
    ///
    /// # Panics
    /// If they are not aligned or not inside, or this is not a control page: array data is never under a reference that others
    /// write through.
    pub(crate) fn words<T: ShmSafe>(&self, offset: usize, count: usize) -> &[T] {
        let end = count.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.len()), "{count} words at {offset} in {} bytes", self.len());
        assert!(offset.is_multiple_of(align_of::<T>()) && self.kind == Inheritance::Inherited);
        // SAFETY: inside the mapping, as just checked.
        let first = unsafe { self.base().add(offset) };
        // SAFETY: as many words are inside the mapping, and aligned, as just checked; the mapping lives as long as `&self`;
        // `ShmSafe` promises that shared use by other processes is sound, and control page segments are handed out as words only.
        unsafe { std::slice::from_raw_parts(first.cast().as_ptr(), count) }
    }

    /// Its bytes, for whoever wants to map them.
    pub(crate) fn backing(&self) -> &Backing {
        &self.backing
    }

    /// Unmaps it here; its bytes stay.
    pub(crate) fn into_backing(self) -> Backing {
        self.backing
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
