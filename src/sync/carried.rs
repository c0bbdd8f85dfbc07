//! What slices hand on to the next: a place for each slice, or two in turn, with a value that the slice after it waits for.
//!
//! A value is tagged with its slice (`tag.rs`) and stands where others wrote nothing: what is not whole, was written over, or is of another
//! slice, is no value, and is waited for. Where slices may be tried again there is a place for each, so that who tries again finds what was
//! there; else there are two, for by then who was to read the one before the last has.
//!
//! Who waits sleeps on one doorbell, which is rung when anybody has handed on. It also looks up now and then: nobody rings who has done a
//! slice without handing anything on.

use super::atomic::{AtomicU32, AtomicU64, Ordering};
use super::doorbell::Doorbell;
use super::spin_policy::SpinPolicy;
use super::tag;

/// The most bytes of a value.
pub(crate) const MOST: usize = 64;

/// Words of a place: the tag, and the value.
pub(super) const WORDS: usize = 1 + MOST / 8;

/// The place of one slice.
#[derive(Clone, Copy)]
pub(crate) struct Carried<'w> {
    pub(super) place: &'w [AtomicU64],
    /// The job's.
    pub(super) key: u64,
    pub(super) slice: usize,
}

impl Carried<'_> {
    /// Writes what the slice hands on. Only for the worker that has it.
    ///
    /// # Panics
    /// If it is longer than [`MOST`].
    pub(crate) fn write(&self, value: &[u8]) {
        for (word, value) in self.place[1..].iter().zip(words(value)) {
            word.store(value, Ordering::Relaxed);
        }
        // Release: who reads the tag reads this value, or a later one, whose tag is another.
        self.place[0].store(self.tag(value), Ordering::Release);
    }

    /// Reads what the slice hands on; false if there is nothing yet.
    pub(crate) fn read(&self, value: &mut [u8]) -> bool {
        let tag = self.place[0].load(Ordering::Acquire);
        for (word, bytes) in self.place[1..].iter().zip(value.chunks_mut(8)) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes()[..bytes.len()]);
        }
        tag == self.tag(value)
    }

    /// Waits until there is a value; it sleeps on this `bell`, which is rung when there is, and by whoever wants `look` to be asked: whether
    /// to go on waiting, and before each time that it `sleep`s again.
    ///
    /// # Errors
    /// If a look says so.
    pub(crate) fn wait<E>(
        &self,
        value: &mut [u8],
        bell: &Doorbell,
        spin_policy: SpinPolicy,
        mut look: impl FnMut(bool) -> Result<(), E>,
        mut sleep: impl FnMut(&AtomicU32, u32),
    ) -> Result<(), E> {
        let mut tries = 0;
        loop {
            // Before it looks, so that no ring in between is slept through.
            let ticket = bell.last_ticket();
            if self.read(value) {
                return Ok(());
            }
            let awake = spin_policy.pause(&mut tries);
            look(!awake)?;
            // What a look was about may have been the last thing before this.
            if !awake && !self.read(value) {
                let (word, asleep) = bell.prepare_to_sleep(ticket);
                sleep(word, asleep);
            }
        }
    }

    /// What stands before a value: of the bytes that a reader has, and not of those that stand there by now.
    fn tag(&self, value: &[u8]) -> u64 {
        tag::tagged(self.key, self.slice as u64, 31, tag::hash(words(value)) ^ value.len() as u64)
    }
}

/// Bytes as words, the last filled up with zeros.
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks(8).map(|bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_ne_bytes(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is read is what was written, or nothing: of another slice, length or job, or with any bit turned.
        #[test]
        fn a_value_is_of_its_slice_or_none(
            value in prop::collection::vec(any::<u8>(), 0..=MOST),
            other in 0..3_u64,
            slice in 0..1000_usize,
            bit in any::<prop::sample::Index>(),
        ) {
            let words: [AtomicU64; WORDS] = Default::default();
            let place = |key, slice| Carried { place: &words, key, slice };
            let read = |carried: Carried<'_>, len: usize| {
                let mut found = vec![0; len];
                carried.read(&mut found).then_some(found)
            };
            prop_assert_eq!(read(place(7, slice), value.len()), None);
            place(7, slice).write(&value);
            prop_assert_eq!(read(place(7, slice), value.len()), Some(value.clone()));
            prop_assert_eq!(read(place(7, slice + 1 + other as usize), value.len()), None);
            prop_assert_eq!(read(place(8 + other, slice), value.len()), None);
            prop_assert_eq!(read(place(7, slice), (value.len() + 1 + other as usize) % MOST), None);
            let bit = bit.index(64 + value.len() / 8 * 64);
            words[bit / 64].fetch_xor(1 << (bit % 64), Ordering::Relaxed);
            prop_assert_eq!(read(place(7, slice), value.len()), None);
        }
    }
}
