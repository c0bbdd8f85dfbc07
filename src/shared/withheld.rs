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

/// Locks the list. Forks are made by the only thread there is, or by a caller who vouches that no other is in here, so a
/// worker never inherits it locked; no code that can panic runs under the lock.
fn list() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    WITHHELD.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn enter(base: usize, len: usize) {
    list().insert(base, len);
}

pub(super) fn strike(base: usize) {
    list().remove(&base);
}

/// In a worker just born: makes every use of the coordinator's addresses a fault.
pub(crate) fn blockade_withheld() -> io::Result<()> {
    list().iter().try_for_each(|(&base, &len)| memory::blockade(base, len))
}
