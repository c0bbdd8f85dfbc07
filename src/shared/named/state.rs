//! The words after the header: what changes while a segment is used, for processes to wait on.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::header::HEADER;
use crate::error::{Error, Result};
use crate::sys::futex;
use crate::sys::memory::{Inheritance, MapMode, Mapping};

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

/// What the words said at one moment, each by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) generation: u64,
    pub(super) writer: u32,
    pub(super) attached: u32,
}

/// The state of one segment, as this process has it mapped.
#[derive(Debug)]
pub(super) struct SegmentState {
    /// `None` for one of another user's that is only read: he could cut the file off, which is SIGBUS for who has it mapped.
    mapping: Option<Mapping>,
    file: File,
    writable: bool,
}

impl SegmentState {
    /// Of a file that is as long.
    pub(super) fn of(file: &File, writable: bool, foreign: bool) -> Result<Self> {
        let keeping = if writable { MapMode::SharedToWrite } else { MapMode::SharedToRead };
        // Forks have it too, and do not use it: the addresses must not become another's there.
        let map = || Mapping::new(file, LENGTH, keeping, Inheritance::Inherited);
        let mapping = (writable || !foreign).then(map).transpose();
        let opened = mapping.and_then(|mapping| Ok((mapping, file.try_clone()?)));
        let (mapping, file) = opened.map_err(Error::system("map the header of a segment"))?;
        Ok(Self { mapping, file, writable })
    }

    fn words(&self) -> Option<&Words> {
        let base = self.mapping.as_ref()?.base();
        // SAFETY: below the length of the mapping.
        let words = unsafe { base.add(HEADER) }.cast::<Words>();
        // SAFETY: mapped for as long as `&self`, aligned (a page and 1024), as long; atomics take any bits, and are changed
        // by others atomically or, by strangers, to wrong values and nothing worse.
        Some(unsafe { words.as_ref() })
    }

    /// The words, where the segment is attached to be written.
    pub(super) fn own(&self) -> &Words {
        self.words().filter(|_| self.writable).expect("whoever writes has them mapped to be written")
    }

    /// What they say.
    pub(super) fn seen(&self) -> Seen {
        let Some(words) = self.words() else { return self.read().unwrap_or_default() };
        Seen {
            generation: words.generation.load(Ordering::Acquire),
            writer: words.writer.load(Ordering::Acquire),
            attached: words.attached.load(Ordering::Acquire),
        }
    }

    fn read(&self) -> std::io::Result<Seen> {
        let mut bytes = [0; size_of::<Words>()];
        self.file.read_exact_at(&mut bytes, HEADER as u64)?;
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (low, high) = (u64::from(word(0)), u64::from(word(4)));
        let generation = if cfg!(target_endian = "little") { high << 32 | low } else { low << 32 | high };
        Ok(Seen { generation, writer: word(8), attached: word(16) })
    }

    /// What the bell shows, to sleep until it shows something else.
    pub(super) fn bell(&self) -> u32 {
        self.words().map_or(0, |words| words.bell.load(Ordering::Acquire))
    }

    /// Sleeps until something has happened since the bell showed `seen`, or until then.
    pub(super) fn sleep(&self, seen: u32, until: Instant) {
        match self.words() {
            Some(words) => futex::wait(&words.bell, seen, Some(until)),
            None => std::thread::sleep(until.saturating_duration_since(Instant::now())),
        }
    }

    /// Wakes all who sleep. One who may not write cannot change the number, so that who is about to fall asleep sleeps until he
    /// looks again.
    pub(super) fn ring(&self) {
        let Some(words) = self.words() else { return };
        if self.writable {
            words.bell.fetch_add(1, Ordering::AcqRel);
        }
        futex::wake_all(&words.bell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_read_are_those_that_are_mapped() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let (own, foreign) =
            (SegmentState::of(&file, true, false).unwrap(), SegmentState::of(&file, false, true).unwrap());
        own.own().generation.store(0x1_0000_0002, Ordering::Release);
        own.own().writer.store(3, Ordering::Release);
        own.own().attached.store(4, Ordering::Release);
        own.ring();
        assert_eq!(own.seen(), Seen { generation: 0x1_0000_0002, writer: 3, attached: 4 });
        assert_eq!((foreign.seen(), foreign.bell(), own.bell()), (own.seen(), 0, 1));
        // A segment that was cut off, which would be SIGBUS for who has it mapped.
        file.set_len(0).unwrap();
        assert_eq!(foreign.seen(), Seen::default());
    }
}
