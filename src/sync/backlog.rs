//! How far the coordinator is with handing on answers of any length, while workers work: who is too far ahead of it waits before the next
//! slice, so that what is kept of answers has an end. A slice for which all others wait is begun in any case.
//!
//! Numbers that are wrong make somebody wait who need not, until the coordinator has written them again, or go on who should wait.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ControlPage;

/// For answers that come in any order, nobody's slice is waited for by all others; nor if the slice that comes next never will.
const NONE: u64 = u64::MAX;

/// How many bytes of answers that are not handed on all workers of a job may leave together; and each of many.
const MOST: u64 = 64 << 20;
const LEAST: u64 = 1 << 20;

impl ControlPage {
    /// Says how many bytes of each worker's answers have been handed on in this round, and which slice's answer is the next, if they come in order;
    /// or that it is `lost`, and nobody is to wait any more.
    pub(crate) fn tell_handed_on(&self, bytes: &[u64], next: Option<usize>, lost: bool) {
        let next = next.map_or(NONE, |slice| slice as u64);
        self.head().next_answer.store(next, Ordering::Relaxed);
        for (slot, &bytes) in self.slots().iter().zip(bytes) {
            slot.handed_on.store(if lost { NONE } else { bytes }, Ordering::Relaxed);
            // With it comes what was written before.
            slot.backlog.ring();
        }
    }

    /// Whether worker `rank` may begin with a slice, having posted so many bytes in this round.
    pub(crate) fn may_post(&self, rank: usize, posted: u64, slice: usize) -> bool {
        let most = (MOST / self.layout().workers.max(1) as u64).max(LEAST);
        posted.saturating_sub(load(&self.slots()[rank].handed_on)) <= most
            || load(&self.head().next_answer) == slice as u64
    }

    /// Nothing has been handed on. For when no worker works.
    pub(super) fn clear_backlog(&self) {
        self.slots().iter().for_each(|slot| slot.handed_on.store(0, Ordering::Relaxed));
    }
}

fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}
