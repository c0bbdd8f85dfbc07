//! Where workers who stay read what a job is: some numbers on the board, written by the coordinator before it calls.
//!
//! Who has no part in a job may read while those of the next one are written. So they have an edition, which is taken back
//! first and given last: who finds the same one before and after has read one bill, and a whole one.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::Board;
use crate::error::Result;

/// Where the numbers are.
#[repr(C)]
pub(crate) struct BillAt {
    /// The number of the first job that these words tell of; 0 while they are written.
    edition: AtomicU64,
    /// Where the first word is, in bytes.
    at: AtomicU64,
    /// How many there are.
    len: AtomicU64,
}

impl Board {
    /// Writes what job number `edition` is, and all after it until the next time.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn post_bill(&self, edition: u64, words: &[u64]) -> Result<()> {
        self.reserve(size_of_val(words))?;
        let (bill, at) = (&self.head().bill, self.room());
        bill.edition.store(0, Ordering::Relaxed);
        // Who reads one of these words also reads that edition.
        fence(Ordering::Release);
        for (word, &value) in self.segment().words::<AtomicU64>(at, words.len()).iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        bill.at.store(at as u64, Ordering::Relaxed);
        bill.len.store(words.len() as u64, Ordering::Relaxed);
        bill.edition.store(edition, Ordering::Release);
        Ok(())
    }

    /// The edition of the bill, 0 while it is written.
    pub(crate) fn edition(&self) -> u64 {
        self.head().bill.edition.load(Ordering::Acquire)
    }

    /// The bill and its edition; `None` while it is written.
    pub(crate) fn bill(&self) -> Option<(u64, Vec<u64>)> {
        let edition = self.edition();
        let bill = &self.head().bill;
        let [at, len] = [&bill.at, &bill.len].map(|word| word.load(Ordering::Relaxed) as usize);
        let end = len.checked_mul(size_of::<u64>()).and_then(|bytes| bytes.checked_add(at));
        if edition == 0 || !at.is_multiple_of(size_of::<u64>()) || end.is_none_or(|end| end > self.segment().len()) {
            return None;
        }
        let words =
            self.segment().words::<AtomicU64>(at, len).iter().map(|word| word.load(Ordering::Relaxed)).collect();
        // Whoever wrote one of the words had taken back the edition before.
        fence(Ordering::Acquire);
        (bill.edition.load(Ordering::Relaxed) == edition).then_some((edition, words))
    }
}
