//! The addresses of this process's segments, which its forked workers must find empty.
//!
//! The kernel leaves out these mappings at the fork (MADV_DONTFORK). The hole that is left would be the first place to
//! map something else, and a stale view of one array would silently read another; so a worker blockades the holes before
//! it maps anything.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::memory;

/// First address and length of each.
static WITHHELD: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

/// Locks the list. No code that can panic runs under the lock.
fn list() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    WITHHELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An address on the list, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Entry(usize);

impl Entry {
    pub(super) fn new(base: usize, len: usize) -> Self {
        list().insert(base, len);
        Self(base)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        list().remove(&self.0);
    }
}

/// The list, held by the coordinator while it forks: were another thread to hold it, no worker would ever get it.
pub(crate) struct Withheld(MutexGuard<'static, BTreeMap<usize, usize>>);

impl Withheld {
    pub(crate) fn hold() -> Self {
        Self(list())
    }

    /// Whether an address is in one of this process's segments.
    pub(crate) fn holds(&self, address: usize) -> bool {
        let below = self.0.range(..=address).next_back();
        below.is_some_and(|(&base, &len)| address - base < len)
    }

    /// In a worker just born: makes every use of the coordinator's addresses a fault. The list is empty then, for this
    /// worker's own children find the blockades.
    pub(crate) fn blockade(mut self) -> io::Result<()> {
        std::mem::take(&mut *self.0).into_iter().try_for_each(|(base, len)| memory::blockade(base, len))
    }
}
