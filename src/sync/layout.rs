//! Where things are on a control page.

use std::sync::atomic::AtomicU64;

use super::{EventLog, WorkerSlot, carried, values};

/// Numbers that fix the layout of a control page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) workers: usize,
    pub(crate) slices: usize,
    /// How many arrays are lent.
    pub(crate) loans: usize,
    /// Bytes of one answer.
    pub(crate) answer: usize,
    /// Entries of each event log; 0 if the job is not recorded.
    pub(crate) log: usize,
    /// How many steps each slice has; 0 in a job without.
    pub(crate) steps: u32,
    /// Whether workers can meet, and bring a value each.
    pub(crate) meets: bool,
    /// How many places there are for what slices hand on to the next.
    pub(crate) carries: usize,
}

/// Where things are on a control page, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Offsets {
    pub(super) addresses: usize,
    pub(super) states: usize,
    pub(super) answers: usize,
    pub(super) steps: usize,
    pub(super) values: usize,
    pub(super) carried: usize,
    pub(super) logs: usize,
    pub(super) end: usize,
}

impl Layout {
    /// Of so many workers, without a job.
    pub(crate) fn without_job(workers: usize) -> Self {
        Self { workers, slices: 0, loans: 0, answer: 0, log: 0, steps: 0, meets: false, carries: 0 }
    }

    /// No control page is as large.
    pub(super) const MOST: usize = 1 << 40;

    /// How many words an answer takes.
    pub(super) fn answer_words(self) -> usize {
        self.answer.div_ceil(size_of::<AtomicU64>())
    }

    /// How many words say how many steps are done: one a slice, if there are steps.
    pub(super) fn step_words(self) -> usize {
        if self.steps == 0 { 0 } else { self.slices }
    }

    /// How many words are for values that workers bring to meetings.
    pub(super) fn value_words(self) -> usize {
        if self.meets { self.workers.saturating_mul(values::WORDS) } else { 0 }
    }

    /// How many words are for what slices hand on.
    pub(super) fn carried_words(self) -> usize {
        self.carries.saturating_mul(carried::WORDS)
    }

    /// On a control page with a head of so many bytes and room for so many `slots`; `None` if no control page is large enough.
    pub(super) fn offsets(self, head: usize, slots: usize) -> Option<Offsets> {
        let after = |start: usize, count: usize, size: usize| start.checked_add(count.checked_mul(size)?);
        let addresses = after(head, slots, size_of::<WorkerSlot>())?;
        let states = after(addresses, self.workers.checked_mul(self.loans)?, size_of::<AtomicU64>())?;
        let answers = after(states, self.slices, size_of::<AtomicU64>())?;
        let answer_words = self.slices.checked_mul(self.answer_words())?;
        let steps = after(answers, answer_words, size_of::<AtomicU64>())?;
        let values = after(steps, self.step_words(), size_of::<AtomicU64>())?;
        let carried = after(values, self.value_words(), size_of::<AtomicU64>())?;
        let logs =
            after(carried, self.carried_words(), size_of::<AtomicU64>())?.checked_next_multiple_of(EventLog::ALIGN)?;
        let end = logs.checked_add(EventLog::bytes(self.workers, self.log)?)?;
        (end < Self::MOST).then_some(Offsets { addresses, states, answers, steps, values, carried, logs, end })
    }

    /// As [`offsets`](Self::offsets), if they are within so many bytes.
    pub(super) fn offsets_within(self, head: usize, slots: usize, room: usize) -> Option<Offsets> {
        self.offsets(head, slots).filter(|at| at.end <= room)
    }
}
