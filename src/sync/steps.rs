//! The part of the control page that jobs of steps have: a count for each slice, and the call back to the end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::step_count::StepCount;
use super::{ControlPage, SliceState};

impl ControlPage {
    /// Lets a slice be free again that worker `rank` has had for one step, which took `busy`, and counts that as done after `before`
    /// others; whether it still had it, and as many were done.
    pub(crate) fn finish_step(&self, rank: usize, slice: usize, before: u32, busy: Duration) -> bool {
        let counted = self.step_count(slice).count(before);
        let free = self.slice_table().pass(slice, SliceState::Taken { rank }, SliceState::Free);
        self.slots()[rank].end(busy);
        counted && free
    }

    /// How many steps of a slice are done that is not done yet.
    pub(crate) fn step_count(&self, slice: usize) -> StepCount<'_> {
        // The last step is not counted: its slice is done.
        let most = self.layout().steps.saturating_sub(1);
        StepCount { word: &self.steps()[slice], key: self.keys().key(), slice, most }
    }

    /// How much is done, of how much: slices, or steps of slices. For people.
    pub(crate) fn progress(&self) -> (usize, usize) {
        let (slices, steps) = (self.layout().slices, self.layout().steps as usize);
        if steps == 0 {
            return (self.done(), slices);
        }
        let of = |slice: usize| match self.claimed(slice) {
            SliceState::Done { .. } => steps,
            _ => self.step_count(slice).done().map_or(0, |done| done as usize),
        };
        ((0..slices).map(of).sum(), slices.saturating_mul(steps))
    }

    /// No step of any slice is done.
    pub(super) fn clear_steps(&self) {
        (0..self.layout().step_words()).for_each(|slice| self.step_count(slice).clear());
    }

    /// Lets all who work in steps come to the end, wherever they are.
    pub(crate) fn recall(&self) {
        self.head().recall.store(1, Ordering::Release);
        self.ring_all();
    }

    /// Whether they are to.
    pub(crate) fn is_recalled(&self) -> bool {
        self.head().recall.load(Ordering::Acquire) != 0
    }

    /// Wakes all who wait for a step of others.
    pub(super) fn ring_all(&self) {
        if self.layout().steps > 0 {
            self.slots().iter().for_each(|slot| slot.steps.ring_for_the_dead());
        }
    }
}
