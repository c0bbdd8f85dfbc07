//! The words after the header: what changes while a segment is used, for processes to wait on.
#![allow(unsafe_code)]

use std::fs::File;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::header::HEADER;
use crate::error::{Error, Result};
use crate::sys::futex;
use crate::sys::memory::{Inheritance, Keeping, Mapping};

/// As much of the file as is mapped for them.
const LENGTH: usize = 4096;

/// Zero in a new segment.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Words {
    /// How often it has been written whole.
    pub(super) generation: AtomicU64,
    /// The pid of whoever writes it now, or did not finish.
    pub(super) writer: AtomicU32,
    /// Another number whenever something has happened: what is slept on.
    bell: AtomicU32,
    /// How often it was attached to be written.
    pub(super) attached: AtomicU32,
}

/// The words of one segment, in this process.
#[derive(Debug)]
pub(super) struct Live {
    mapping: Mapping,
    writable: bool,
}

impl Live {
    /// Maps them; the file is as long.
    pub(super) fn of(file: &File, writable: bool) -> Result<Self> {
        let keeping = if writable { Keeping::SharedToWrite } else { Keeping::SharedToRead };
        // Forks have it too, and do not use it: the addresses must not become another's there.
        let mapping = Mapping::new(file, LENGTH, keeping, Inheritance::Inherited);
        Ok(Self { mapping: mapping.map_err(Error::system("map the header of a segment"))?, writable })
    }

    /// They are not for writing where the segment was attached to be read.
    pub(super) fn words(&self) -> &Words {
        // SAFETY: below the length of the mapping.
        let words = unsafe { self.mapping.base().add(HEADER) }.cast::<Words>();
        // SAFETY: mapped for as long as `&self`, aligned (a page and 1024), as long; atomics take any bits, and are changed
        // by others atomically or, by strangers, to wrong values and nothing worse.
        unsafe { words.as_ref() }
    }

    /// What the bell shows, to sleep until it shows something else.
    pub(super) fn bell(&self) -> u32 {
        self.words().bell.load(Ordering::Acquire)
    }

    /// Sleeps until something has happened since the bell showed `seen`, or until then.
    pub(super) fn sleep(&self, seen: u32, until: std::time::Instant) {
        futex::wait(&self.words().bell, seen, Some(until));
    }

    /// Wakes all who sleep. One who may not write cannot change the number, so that who is about to fall asleep sleeps until he
    /// looks again.
    pub(super) fn ring(&self) {
        if self.writable {
            self.words().bell.fetch_add(1, Ordering::AcqRel);
        }
        futex::wake_all(&self.words().bell);
    }
}
