//! The slot of the control page from which persistent workers read a job's descriptor: numbers that the coordinator writes before it
//! rings the doorbell.
//!
//! Who has no part in a job may read while those of the next one are written. So they have an edition, which is taken back
//! first and given last: who finds the same one before and after has read one descriptor, and a whole one. With the words goes a tag
//! (`key.rs`): who finds another has words that somebody wrote over, and does nothing of what they say.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::ControlPage;
use crate::error::Result;
use crate::sys::reserve::Late;

/// Where the numbers are.
#[repr(C)]
pub(crate) struct DescriptorSlot {
    /// The number of the first job that these words tell of; 0 while they are written.
    version: AtomicU64,
    /// Where the first word is, in bytes.
    at: AtomicU64,
    /// How many there are.
    len: AtomicU64,
    /// Of the edition and the words.
    tag: AtomicU64,
}

/// A descriptor that was read.
pub(crate) struct Posted {
    pub(crate) version: u64,
    pub(crate) words: Vec<u64>,
    pub(crate) tag: u64,
}

/// Words that were not written as they stand there.
pub(crate) struct Damaged;

impl ControlPage {
    /// Writes what job number `version` is, and all after it until the next time; the tag that this has.
    ///
    /// # Errors
    /// If there is no memory for it, or it becomes too `late`.
    pub(crate) fn post_descriptor(&self, version: u64, words: &[u64], late: Late<'_>) -> Result<u64> {
        self.reserve(size_of_val(words), late)?;
        let (descriptor, at) = (&self.head().descriptor, self.room());
        descriptor.version.store(0, Ordering::Relaxed);
        // Who reads one of these words also reads that edition.
        fence(Ordering::Release);
        for (word, &value) in self.segment().words::<AtomicU64>(at, words.len()).iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        descriptor.at.store(at as u64, Ordering::Relaxed);
        descriptor.len.store(words.len() as u64, Ordering::Relaxed);
        let tag = self.keys().tag_of(version, words.iter().copied());
        descriptor.tag.store(tag, Ordering::Relaxed);
        descriptor.version.store(version, Ordering::Release);
        Ok(tag)
    }

    /// The edition of the descriptor, 0 while it is written.
    pub(crate) fn version(&self) -> u64 {
        self.head().descriptor.version.load(Ordering::Acquire)
    }

    /// The descriptor; `None` while it is written.
    ///
    /// # Errors
    /// If it is not one that the coordinator wrote.
    pub(crate) fn descriptor(&self) -> Result<Option<Posted>, Damaged> {
        let version = self.version();
        let descriptor = &self.head().descriptor;
        let [at, len] = [&descriptor.at, &descriptor.len].map(|word| word.load(Ordering::Relaxed) as usize);
        let end = len.checked_mul(size_of::<u64>()).and_then(|bytes| bytes.checked_add(at));
        let fits = at.is_multiple_of(size_of::<u64>()) && end.is_some_and(|end| end <= self.segment().len());
        let words = fits.then(|| {
            let words = self.segment().words::<AtomicU64>(at, len).iter();
            words.map(|word| word.load(Ordering::Relaxed)).collect::<Vec<_>>()
        });
        let tag = descriptor.tag.load(Ordering::Relaxed);
        // Whoever wrote one of the words had taken back the edition before.
        fence(Ordering::Acquire);
        if version == 0 || descriptor.version.load(Ordering::Relaxed) != version {
            return Ok(None);
        }
        let words = words.filter(|words| self.keys().tag_of(version, words.iter().copied()) == tag);
        words.map(|words| Some(Posted { version, words, tag })).ok_or(Damaged)
    }
}
