//! Whether workers have come to a meeting: until then who dies can be replaced, and after that nobody, for who has met cannot meet again.
//!
//! One tagged word, which changes once in a round: the first worker that comes says that it has, or the coordinator that somebody died before.
//! Then whoever comes is called back to the end, and comes again in the next round.

use super::atomic::{AtomicU64, Ordering};
use super::tag;

/// The word.
#[derive(Clone, Copy)]
pub(crate) struct FirstMeeting<'w> {
    /// | bits 14..64   | bits 0..14 | meaning                                               |
    /// |---------------|------------|-------------------------------------------------------|
    /// | a hash of key | 1          | nobody has come, and all are alive                    |
    /// | a hash of key | 2          | somebody has come                                     |
    /// | a hash of key | 3          | somebody died before anybody came; nobody meets here  |
    pub(super) word: &'w AtomicU64,
    /// The job's.
    pub(super) key: u64,
}

const OPEN: u64 = 1;
const MET: u64 = 2;
const CLOSED: u64 = 3;

impl FirstMeeting<'_> {
    fn saying(self, said: u64) -> u64 {
        tag::tagged(self.key, 0, said, 41)
    }

    /// Nobody has come. For when no worker uses it.
    pub(super) fn open(self) {
        self.word.store(self.saying(OPEN), Ordering::Relaxed);
    }

    /// Comes to a meeting: whether there can be one, `None` if the word is not right.
    pub(crate) fn come(self) -> Option<bool> {
        self.change(MET)
    }

    /// Lets nobody come for the sake of one who died, unless somebody has: whether nobody had.
    pub(crate) fn close(self) -> bool {
        self.change(CLOSED) == Some(false)
    }

    /// Whether somebody has come after this has been tried.
    fn change(self, to: u64) -> Option<bool> {
        // Relaxed: which of the two was first, and nothing of what they wrote.
        let mut word = self.word.load(Ordering::Relaxed);
        if word == self.saying(OPEN) {
            match self.word.compare_exchange(word, self.saying(to), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(to == MET),
                Err(changed) => word = changed,
            }
        }
        let says = |said| word == self.saying(said);
        (says(MET) || says(CLOSED)).then(|| says(MET))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_first_decides_and_nonsense_is_neither() {
        let word = AtomicU64::new(0);
        let first = FirstMeeting { word: &word, key: 7 };
        assert_eq!((first.come(), first.close()), (None, false));
        first.open();
        assert_eq!((first.come(), first.close(), first.come()), (Some(true), false, Some(true)));
        first.open();
        assert_eq!((first.close(), first.come(), first.close()), (true, Some(false), true));
        let other = FirstMeeting { key: 8, ..first };
        assert_eq!((other.come(), other.close()), (None, false), "of another job");
    }
}
