//! How many steps of a slice are done, in a job of steps: one word a slice, which its worker counts up and others wait for.
//!
//! The word is tagged (`tag.rs`), so that what nobody wrote who has part in the job is damage. Who waits for a step sleeps on the
//! doorbell of the worker that has the slice, which rings after it has counted; when a worker is dead the coordinator rings in its place,
//! and all who wait look whether they are called back.

use super::atomic::{AtomicU32, AtomicU64, Ordering};
use super::doorbell::Doorbell;
use super::spin_policy::SpinPolicy;
use super::tag;

/// The word of one slice.
#[derive(Clone, Copy)]
pub(crate) struct StepCount<'w> {
    /// | bits 32..64                            | bits 0..32               |
    /// |----------------------------------------|--------------------------|
    /// | a hash of key, slice and what is right | how many steps are done |
    pub(super) word: &'w AtomicU64,
    /// The job's.
    pub(super) key: u64,
    pub(super) slice: usize,
    /// No more are ever counted.
    pub(super) most: u32,
}

impl StepCount<'_> {
    /// The word that says that so many are done.
    pub(crate) fn word_of(&self, steps: u32) -> u64 {
        tag::counted(self.key, self.slice as u64, steps)
    }

    /// How many are done; `None` if the word is not right.
    pub(crate) fn done(&self) -> Option<u32> {
        // Acquire: with it comes all that its worker wrote before.
        let word = self.word.load(Ordering::Acquire);
        Some(word as u32).filter(|&steps| steps <= self.most && word == self.word_of(steps))
    }

    /// Counts one more; whether there were as many as `before`. Only for the worker that has the slice.
    pub(super) fn count(&self, before: u32) -> bool {
        let [before, after] = [before, before + 1].map(|steps| self.word_of(steps));
        // Release: who reads that a step is done sees the cells that it wrote.
        self.word.compare_exchange(before, after, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// None is done. For when no worker uses it.
    pub(super) fn clear(&self) {
        self.word.store(self.word_of(0), Ordering::Relaxed);
    }

    /// Waits until so many are done, looking now and then whether to go on waiting; whether it had to wait. Its worker rings this
    /// `bell` when it has counted, and whoever `look`s for something else rings it for that.
    ///
    /// # Errors
    /// If a look says so, or the word is `damaged`.
    pub(crate) fn wait<E>(
        &self,
        steps: u32,
        bell: &Doorbell,
        spin_policy: SpinPolicy,
        damaged: impl FnOnce() -> E,
        mut look: impl FnMut() -> Result<(), E>,
        mut sleep: impl FnMut(&AtomicU32, u32),
    ) -> Result<bool, E> {
        let mut tries = 0;
        loop {
            // Before it looks, so that no ring in between is slept through.
            let ticket = bell.last_ticket();
            match self.done() {
                Some(done) if done >= steps => return Ok(tries > 0),
                Some(_) => look()?,
                None => return Err(damaged()),
            }
            if !spin_policy.pause(&mut tries) {
                let (word, asleep) = bell.prepare_to_sleep(ticket);
                sleep(word, asleep);
            }
        }
    }
}
