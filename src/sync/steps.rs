//! How many steps of each slice are done, in a job of steps: one word a slice, which its worker counts up and others look at.
//!
//! Counted and tagged (`tag.rs`), so that what nobody wrote who has part in the job is damage. Who waits for a step sleeps on the
//! doorbell of the worker that has the slice (`WorkerSlot::steps`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{ControlPage, SliceState, tag};

impl ControlPage {
    /// Lets a slice be free again that worker `rank` has had for one step, which took `busy`, and says that this is done and `before`
    /// others; whether it still had it, and as many were done.
    pub(crate) fn finish_step(&self, rank: usize, slice: usize, before: u32, busy: Duration) -> bool {
        let [before, after] = [before, before + 1].map(|steps| self.step_word(slice, steps));
        // Release: who reads that a step is done sees the cells that it wrote.
        let counted = self.steps()[slice].compare_exchange(before, after, Ordering::Release, Ordering::Relaxed).is_ok();
        let free = self.slice_table().pass(slice, SliceState::Taken { rank }, SliceState::Free);
        self.slots()[rank].end(busy);
        counted && free
    }

    /// How many steps of a slice are done that is not done yet; `None` if its word is not right.
    pub(crate) fn steps_done(&self, slice: usize) -> Option<u32> {
        // Acquire: with it comes all that its worker wrote before.
        let word = self.steps()[slice].load(Ordering::Acquire);
        let steps = word as u32;
        (steps < self.layout().steps && word == self.step_word(slice, steps)).then_some(steps)
    }

    /// The word that says that so many steps of a slice are done.
    pub(crate) fn step_word(&self, slice: usize, steps: u32) -> u64 {
        tag::counted(self.keys().key(), slice as u64, steps)
    }

    /// No step of any slice is done.
    pub(super) fn clear_steps(&self) {
        for (slice, word) in self.steps().iter().enumerate() {
            word.store(self.step_word(slice, 0), Ordering::Relaxed);
        }
    }

    /// Lets all who work in steps come to the end, wherever they are.
    pub(crate) fn recall(&self) {
        self.head().recall.store(1, Ordering::Release);
        self.ring_all();
    }

    /// Whether that was said.
    pub(crate) fn is_recalled(&self) -> bool {
        self.head().recall.load(Ordering::Acquire) != 0
    }

    /// Wakes all who wait for a step of others.
    pub(super) fn ring_all(&self) {
        if self.layout().steps > 0 {
            self.slots().iter().for_each(|slot| slot.steps.ring());
        }
    }
}
