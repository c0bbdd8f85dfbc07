//! Values that workers bring to a meeting: each writes its own before it comes, and reads those of all when all have come.
//!
//! There are two places a worker, used in turn: who is at a meeting has read the values of the one before, and nobody writes to the place of
//! this one before all have left the next. Each value is tagged with its meeting and its worker, so that one that is missing, or was
//! written over, is no value.

use std::sync::atomic::Ordering;

use super::carried::words;
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
        for (word, value) in place[1..].iter().zip(words(value)) {
            word.store(value, Ordering::Relaxed);
        }
        // Relaxed: the meeting publishes it.
        place[0].store(self.value_tag(rank, meeting, value), Ordering::Relaxed);
    }

    /// Reads the value that worker `rank` has brought to a meeting that all have come to; false if it has brought none.
    pub(crate) fn brought(&self, rank: usize, meeting: u32, value: &mut [u8]) -> bool {
        let place = &self.values(rank)[(meeting % 2) as usize * PLACE..][..PLACE];
        for (word, bytes) in place[1..].iter().zip(value.chunks_mut(8)) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes()[..bytes.len()]);
        }
        place[0].load(Ordering::Relaxed) == self.value_tag(rank, meeting, value)
    }

    /// What stands before a value: of the bytes that a reader has, and not of those that stand there by now.
    fn value_tag(&self, rank: usize, meeting: u32, value: &[u8]) -> u64 {
        let hash = tag::hash(words(value)) ^ u64::from(meeting) << 32 ^ value.len() as u64;
        tag::tagged(self.keys().key(), rank as u64, 23, hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Layout;

    #[test]
    fn what_is_read_is_what_was_brought_to_that_meeting_or_nothing() {
        let layout = Layout { meets: true, ..Layout::without_job(3) };
        let page = ControlPage::new(layout, &|| false).unwrap();
        let value: Vec<u8> = (0..MOST as u8).collect();
        for len in [0, 1, 8, 13, MOST] {
            page.bring(1, 6, &value[..len]);
            let read = |rank, meeting, len| {
                let mut found = vec![0; len];
                page.brought(rank, meeting, &mut found).then_some(found)
            };
            assert_eq!(read(1, 6, len), Some(value[..len].to_vec()));
            assert_eq!((read(2, 6, len), read(1, 8, len), read(1, 7, len)), (None, None, None));
            assert_eq!(read(1, 6, if len == MOST { 1 } else { len + 1 }), None, "of another length");
            // Each word of it.
            for word in 0..len.div_ceil(8) {
                let place = &page.values(1)[1 + word];
                let before = place.fetch_xor(1, Ordering::Relaxed);
                assert_eq!(read(1, 6, len), None, "word {word} of {len} bytes");
                place.store(before, Ordering::Relaxed);
            }
        }
    }
}
