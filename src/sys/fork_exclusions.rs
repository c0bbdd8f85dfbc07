//! Mappings that are left out of forks, and what stands at their addresses there.
//!
//! The kernel leaves them out (MADV_DONTFORK). The hole would be the first place to map something else, and a stale view of one array
//! would silently read another; so in each child that libc forks, whoever asks it to, the holes are blockaded before anything else
//! runs: every use of such a view is a fault.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

use super::fork_stamp::{self, Stamp};

type List = BTreeMap<usize, usize>;

/// First address and length of each.
static WITHHELD: Mutex<List> = Mutex::new(BTreeMap::new());

/// Locks the list. No code that can panic runs under the lock.
fn list() -> MutexGuard<'static, List> {
    WITHHELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an address is in one of this process's mappings of this kind.
pub(crate) fn holds(address: usize) -> bool {
    list().range(..=address).next_back().is_some_and(|(&base, &len)| address - base < len)
}

/// A mapping on the list, for as long as this value lives, and the process that has it.
#[derive(Debug)]
pub(super) struct Entry {
    base: usize,
    by: Stamp,
}

impl Entry {
    /// For a mapping that forks do not get any more, and of which nobody has a view yet.
    pub(super) fn new(base: usize, len: usize) -> Self {
        static WATCHED: Once = Once::new();
        // SAFETY: the handlers do what may be done at a fork: take a lock, and give it back on both sides. If there is no memory to
        // note them, the stamps of owners still tell a fork.
        WATCHED.call_once(|| _ = unsafe { libc::pthread_atfork(Some(lock), Some(unlock), Some(make_inaccessible)) });
        list().insert(base, len);
        Self { base, by: fork_stamp::current() }
    }

    /// Whether the mapping is this process's.
    pub(super) fn is_own(&self) -> bool {
        self.by.is_current()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // A fork may have a mapping of its own there.
        if self.is_own() {
            list().remove(&self.base);
        }
    }
}

/// The lock of the list while a thread forks: were another to hold it, no child would ever get it.
struct Exclusion(UnsafeCell<Option<MutexGuard<'static, List>>>);

// SAFETY: looked at by whoever has the lock that it holds, and by nobody else.
unsafe impl Sync for Exclusion {}

static HELD: Exclusion = Exclusion(UnsafeCell::new(None));

extern "C" fn lock() {
    let held = list();
    // SAFETY: this thread has the lock.
    unsafe { *HELD.0.get() = Some(held) };
}

fn held() -> Option<MutexGuard<'static, List>> {
    // SAFETY: between `lock` and here this thread, or its copy in the child, has the lock.
    unsafe { (*HELD.0.get()).take() }
}

extern "C" fn unlock() {
    drop(held());
}

/// In a child. The list is empty then, for this process's own children find the blockades.
extern "C" fn make_inaccessible() {
    let Some(mut held) = held() else { return };
    for (base, len) in std::mem::take(&mut *held) {
        match reserve_no_access(base, len) {
            // What was put there by a parent that libc has not forked.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Ok(()) => {}
            // Better no child than one in which views of one array can come to show another.
            Err(_) => super::exit::leave(super::exit::ORPHANED),
        }
    }
}

/// Keeps `len` bytes from `base` out of use, in a child that did not inherit the mapping that stood there: nothing is
/// mapped to an address that a stale view may still point at, so a use of such a view is a fault, never other data.
pub(super) fn reserve_no_access(base: usize, len: usize) -> io::Result<()> {
    let address = NonZeroUsize::new(base).ok_or(io::ErrorKind::InvalidInput)?;
    let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE | MapFlags::MAP_FIXED_NOREPLACE;
    // SAFETY: NOREPLACE refuses where anything is mapped, so no existing memory changes.
    unsafe { mmap_anonymous(Some(address), len, ProtFlags::PROT_NONE, flags) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blockade_never_replaces_memory() {
        let memory = vec![0_u8; 2 << 12];
        let page = memory.as_ptr().addr().next_multiple_of(1 << 12);
        assert_eq!(reserve_no_access(page, 1 << 12).unwrap_err().raw_os_error(), Some(libc::EEXIST));
    }
}
