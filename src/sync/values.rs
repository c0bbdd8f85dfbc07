//! Values that workers bring to a meeting: each writes its own before it comes, and reads those of all when all have come.
//!
//! There are two places a worker, used in turn: who is at a meeting has read the values of the one before, and nobody writes to the place of
//! this one before all have left the next. Each value is tagged with its meeting and its worker, so that one that is missing, or was
//! written over, is no value.

use std::sync::atomic::Ordering;

use super::{ControlPage, tag};

/// The most bytes of a value.
pub(crate) const MOST: usize = 128;

/// Words of a place: the tag, and the value.
const PLACE: usize = 1 + MOST / 8;

/// Words of a worker.
pub(super) const WORDS: usize = 2 * PLACE;

impl ControlPage {
    /// Writes the value that worker `rank` brings to meeting number `meeting`.
    ///
    /// # Panics
    /// If it is longer than [`MOST`].
    pub(crate) fn bring(&self, rank: usize, meeting: u32, value: &[u8]) {
        let place = &self.values(rank)[(meeting % 2) as usize * PLACE..][..PLACE];
        for (word, bytes) in place[1..].iter().zip(value.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
        // Relaxed: the meeting publishes it.
        place[0].store(self.value_tag(rank, meeting, value.len()), Ordering::Relaxed);
    }

    /// Reads the value that worker `rank` has brought to a meeting that all have come to; false if it has brought none.
    pub(crate) fn brought(&self, rank: usize, meeting: u32, value: &mut [u8]) -> bool {
        let place = &self.values(rank)[(meeting % 2) as usize * PLACE..][..PLACE];
        for (word, bytes) in place[1..].iter().zip(value.chunks_mut(8)) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes()[..bytes.len()]);
        }
        place[0].load(Ordering::Relaxed) == self.value_tag(rank, meeting, value.len())
    }

    /// What stands before a value of so many bytes.
    fn value_tag(&self, rank: usize, meeting: u32, len: usize) -> u64 {
        let place = &self.values(rank)[(meeting % 2) as usize * PLACE..][..PLACE];
        let words = place[1..].iter().take(len.div_ceil(8)).map(|word| word.load(Ordering::Relaxed));
        tag::tagged(self.keys().key(), rank as u64, 23, tag::hash(words) ^ u64::from(meeting) << 32 ^ len as u64)
    }
}
