//! A map on a 2 MiB boundary, and with a fence.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::{HUGE, MapMode};

/// Where this process puts its next map if nothing is there; 0 for wherever the kernel likes.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Has this process, the worker of a rank, put its maps so far below `known`, an address that all workers have, that no two workers put
/// theirs at the same place: who takes an address for another's, or for a byte's name, finds out.
pub(crate) fn put_apart(rank: usize, known: usize) {
    /// Addresses of a worker.
    const STRIDE: usize = 1 << 36;
    /// So many of those are there on all machines with 47 bits of addresses; workers beyond share them.
    const STRIDES: usize = 256;
    let below = known.saturating_sub((rank % STRIDES + 1) * STRIDE);
    NEXT.store(below - below % HUGE, Relaxed);
}

/// A map on a boundary of its own choice: of 2 MiB, or of a page if it is shorter. Unmapped on drop.
#[derive(Debug)]
pub(super) struct HugeAligned {
    pub(super) base: NonNull<c_void>,
    pub(super) len: NonZeroUsize,
    /// Bytes of addresses after the last page that nothing is mapped to.
    fence: usize,
}

// SAFETY: an address range, owned alone, of which only raw pointers are given out: moving it to another thread or naming
// it from two moves and shares no access to the bytes.
unsafe impl Send for HugeAligned {}
// SAFETY: as above.
unsafe impl Sync for HugeAligned {}

impl HugeAligned {
    pub(super) fn new(fd: impl AsFd, from: usize, len: usize, keeping: MapMode, fence: usize) -> io::Result<Self> {
        let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let (prot, flags) = match keeping {
            MapMode::SharedToRead => (ProtFlags::PROT_READ, MapFlags::MAP_SHARED),
            MapMode::SharedToWrite => (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED),
            MapMode::PrivateToRead => (ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE),
        };
        let from = i64::try_from(from).map_err(io::Error::other)?;
        let at = Self::reserve(len, fence)?;
        // SAFETY: MAP_FIXED replaces pages of the reservation made a line above, which nothing else knows of.
        let base = unsafe { mmap(Some(at), len, prot, flags | MapFlags::MAP_FIXED, fd, from) }?;
        Ok(Self { base, len, fence })
    }

    /// Reserves addresses for `len` bytes, still to be mapped over, and a fence that stays.
    fn reserve(len: NonZeroUsize, fence: usize) -> io::Result<NonZeroUsize> {
        let page = crate::sys::page::page_size();
        let boundary = if len.get() < HUGE { page } else { HUGE };
        let pages = len.get().checked_next_multiple_of(page).ok_or(io::ErrorKind::OutOfMemory)?;
        let whole = pages.checked_add(fence).ok_or(io::ErrorKind::OutOfMemory)?;
        let room = whole.checked_add(boundary - page).and_then(NonZeroUsize::new).ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        let next = NonZeroUsize::new(NEXT.load(Relaxed));
        // SAFETY: the kernel picks free addresses, those asked for if they are, and no page of them can be touched.
        let base = unsafe { mmap_anonymous(next, room, ProtFlags::PROT_NONE, flags) }?;
        if next.is_some() {
            NEXT.fetch_add(room.get().next_multiple_of(HUGE), Relaxed);
        }
        let start = base.addr().get();
        let aligned = start.next_multiple_of(boundary);
        for (from, to) in [(start, aligned), (aligned + whole, start + room.get())] {
            if to > from {
                let cut = base.map_addr(|address| address.saturating_add(from - start));
                // SAFETY: the range is the unused part of the reservation made above.
                unsafe { munmap(cut, to - from) }?;
            }
        }
        NonZeroUsize::new(aligned).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl Drop for HugeAligned {
    fn drop(&mut self) {
        // SAFETY: this value owns the range, and the lifetimes of all views made from it have ended.
        let gone =
            unsafe { munmap(self.base, self.len.get().next_multiple_of(crate::sys::page::page_size()) + self.fence) };
        debug_assert!(gone.is_ok(), "munmap of an own range cannot fail");
    }
}
