//! What of the control page is for waiting for others: steps, what slices hand on, meetings; and how those who wait hear that a worker died,
//! that all are called back to the end, or that the job is over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::carried::{self, Carried};
use super::first_meeting::FirstMeeting;
use super::step_count::StepCount;
use super::{Absence, ControlPage, SliceState};
use crate::error::HowFar;

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

    /// How much is done: slices, or steps of slices. For people.
    pub(crate) fn how_far(&self) -> HowFar {
        let (slices, steps) = (self.layout().slices, self.layout().steps);
        let of = |slice: usize| match self.claimed(slice) {
            SliceState::Done { .. } => steps as usize,
            _ => self.step_count(slice).done().map_or(0, |done| done as usize),
        };
        let done = if steps == 0 { self.done() } else { (0..slices).map(of).sum() };
        HowFar { done, slices, steps }
    }

    /// No step of any slice is done.
    pub(super) fn clear_steps(&self) {
        (0..self.layout().step_words()).for_each(|slice| self.step_count(slice).clear());
    }

    /// Lets all who wait for slices of others come to the end, wherever they are, and nobody begin another slice.
    pub(crate) fn recall(&self) {
        self.head().recall.store(1, Ordering::Release);
        self.ring_all();
    }

    /// Whether they are to.
    pub(crate) fn is_recalled(&self) -> bool {
        self.head().recall.load(Ordering::Acquire) != 0
    }

    /// Wakes all who wait for a step of others, for what a slice hands on, or for the coordinator to hand on answers.
    pub(super) fn ring_all(&self) {
        self.slots().iter().for_each(|slot| slot.backlog.ring_for_the_dead());
        if self.layout().steps > 0 {
            self.slots().iter().for_each(|slot| slot.steps.ring_for_the_dead());
        }
        if self.layout().carries > 0 {
            self.head().carried.0.ring_for_the_dead();
        }
    }

    /// Where a slice hands on what it does.
    pub(crate) fn carried(&self, slice: usize) -> Carried<'_> {
        let place = &self.carried_words()[slice % self.layout().carries * carried::WORDS..][..carried::WORDS];
        Carried { place, key: self.keys().key(), slice }
    }

    /// Whether anybody has come to a meeting in this round.
    pub(crate) fn first_meeting(&self) -> FirstMeeting<'_> {
        FirstMeeting { word: &self.head().met, key: self.keys().key() }
    }

    /// Enters that worker `rank` has given back a slice, `saved` or not, after `busy`. The word that says so, if it still had the slice.
    pub(crate) fn give_back(&self, rank: usize, slice: usize, saved: bool, busy: Duration) -> Option<u64> {
        let given_back = self.slice_table().give_back(rank, slice, saved);
        self.slots()[rank].end(busy);
        given_back
    }

    /// Lets all others go on without worker `rank`, which can do nothing more.
    pub(crate) fn withdraw(&self, rank: usize) {
        self.slots()[rank].set_absent(Some(Absence::Dead));
        self.head().end.count_dead();
        self.head().meeting.0.withdraw();
        self.ring_all();
    }

    /// Whether anybody is known to have died in this round.
    pub(crate) fn has_dead(&self) -> bool {
        self.slots().iter().any(|slot| slot.absence() == Some(Absence::Dead))
    }

    /// Ends the job because of worker `rank`, or for the coordinator's reasons, also for those who meet. The end first, so that
    /// its reason is the cause and not what a worker makes of a broken meeting.
    pub(crate) fn give_up(&self, rank: Option<usize>) {
        self.head().end.give_up(rank);
        self.head().meeting.0.break_for(rank);
        self.ring_all();
    }
}
