//! The control page of a job: who is alive, which slice is free, taken or done, each one's answer, last words.
//!
//! Atomics only, laid out by [`Layout`] from numbers the coordinator knows; nothing read from the board is ever used as a
//! length or an index without a check, so a worker gone mad can spoil its words here but not the coordinator.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::journal::Journal;
use super::{Absence, Barrier, Berth, SliceState};
use crate::error::Result;
use crate::shared::{Segment, Wire};
use crate::sys::obituary::Obituary;

/// Numbers that fix the layout of a board.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) workers: usize,
    pub(crate) slices: usize,
    /// How many arrays are lent.
    pub(crate) loans: usize,
    /// Bytes of one answer.
    pub(crate) answer: usize,
}

/// Words for the whole job.
#[repr(C, align(128))]
pub(crate) struct Head {
    /// What the coordinator and its nursery say to each other.
    pub(crate) post: Post,
    /// Where coordinator and workers meet when all slices are dealt out.
    pub(crate) end: Barrier,
    /// Where workers meet within a body.
    pub(crate) meeting: Barrier,
    /// How far the slices are dealt out.
    pub(crate) dealt: Alone,
    /// Slices done.
    pub(crate) done: Alone,
}

/// Orders to the nursery, and its word that they are done.
#[repr(C)]
pub(crate) struct Post {
    /// How many orders there have been: odd ones are for workers, even ones say that those have been met.
    pub(crate) ordered: AtomicU32,
    /// The last order that was carried out.
    pub(crate) done: AtomicU32,
    /// The nursery's end.
    pub(crate) obituary: Obituary,
}

/// A counter that all workers write: on a cache line of its own.
#[repr(C, align(128))]
pub(crate) struct Alone(pub(crate) AtomicU64);

// SAFETY: atomics, barriers made of atomics, an Obituary, which is made for shared use, and padding that nobody reads.
unsafe impl Wire for Head {}

/// A board in shared memory, the same for coordinator and workers.
pub(crate) struct Board {
    segment: Segment,
    layout: Layout,
    at: Offsets,
    /// When the clock that times slices began; every process forked from the coordinator reads the same.
    epoch: Instant,
}

struct Offsets {
    berths: usize,
    addresses: usize,
    states: usize,
    answers: usize,
    end: usize,
}

impl Layout {
    fn offsets(self) -> Offsets {
        // No overflow: workers, loans and slices are bounded by the coordinator, and an answer is a value of the program.
        let berths = size_of::<Head>();
        let addresses = berths + self.workers * size_of::<Berth>();
        let states = addresses + self.workers * self.loans * size_of::<AtomicU64>();
        let answers = states + self.slices * size_of::<AtomicU32>();
        Offsets { berths, addresses, states, answers, end: answers + self.slices * self.answer }
    }
}

impl Board {
    pub(crate) fn new(layout: Layout) -> Result<Self> {
        let at = layout.offsets();
        let board = Self { segment: Segment::for_board(at.end)?, layout, at, epoch: Instant::now() };
        // SAFETY: the segment was made just now and no other process or thread has it.
        unsafe { board.head().post.obituary.prepare() };
        for berth in board.berths() {
            // SAFETY: the segment was made just now and no other process or thread has it.
            unsafe { berth.obituary.prepare() };
        }
        Ok(board)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn head(&self) -> &Head {
        &self.segment.words::<Head>(0, 1)[0]
    }

    pub(crate) fn berths(&self) -> &[Berth] {
        self.segment.words(self.at.berths, self.layout.workers)
    }

    /// Where worker `rank` has each loan mapped.
    pub(crate) fn addresses(&self, rank: usize) -> &[AtomicU64] {
        let loans = self.layout.loans;
        &self.segment.words(self.at.addresses, self.layout.workers * loans)[rank * loans..][..loans]
    }

    fn journal(&self) -> Journal<'_> {
        let Layout { slices, answer, .. } = self.layout;
        let states = self.segment.words(self.at.states, slices);
        Journal { states, answers: self.segment.words(self.at.answers, slices * answer) }
    }

    /// What the journal says of a slice.
    pub(crate) fn state(&self, slice: usize) -> SliceState {
        self.journal().state(slice)
    }

    /// Whether the slice's cells are in the undo copy.
    pub(crate) fn is_saved(&self, slice: usize) -> bool {
        self.journal().is_saved(slice)
    }

    /// Enters that the slice's cells are in the undo copy, for who takes it after this worker's death.
    pub(crate) fn note_saved(&self, slice: usize) {
        self.journal().note_saved(slice);
    }

    /// Enters that worker `rank` begins a slice now.
    pub(crate) fn take(&self, rank: usize, slice: usize, now: Instant) {
        self.berths()[rank].begin(slice, now.saturating_duration_since(self.epoch));
        self.journal().take(rank, slice);
    }

    /// What the clock that times slices shows.
    pub(crate) fn clock(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// When the clock showed this.
    pub(crate) fn at(&self, clock: Duration) -> Option<Instant> {
        self.epoch.checked_add(clock)
    }

    /// Enters that worker `rank` has finished a slice, with its answer, which took `busy`.
    pub(crate) fn finish(&self, rank: usize, slice: usize, answer: &[u8], busy: Duration) {
        self.journal().finish(rank, slice, answer);
        self.berths()[rank].end(busy);
        self.head().done.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Copies the answer of a slice that is done.
    pub(crate) fn read_answer(&self, slice: usize, into: &mut [u8]) {
        self.journal().read_answer(slice, into);
    }

    /// How many slices are done; at most as many as there are, whatever a worker wrote.
    pub(crate) fn done(&self) -> usize {
        (self.head().done.0.load(Ordering::Relaxed) as usize).min(self.layout.slices)
    }

    /// The slices that the journal does not call done, ascending.
    pub(crate) fn not_done(&self) -> Vec<usize> {
        self.journal().not_done()
    }

    /// The slices that are free, ascending: those of the next round.
    pub(crate) fn free(&self) -> Vec<usize> {
        self.journal().free()
    }

    /// Makes barriers, counter and berths new; of the slices that are not done frees those that are `to_be_tried` again
    /// (ascending) and sets the others aside.
    ///
    /// # Safety
    /// No worker uses the board: those of the last round are dead, those of the next one not born.
    pub(crate) unsafe fn clear_for_next_round(&self, to_be_tried: &[usize]) {
        for slice in self.not_done() {
            let state = if to_be_tried.binary_search(&slice).is_ok() { SliceState::Free } else { SliceState::Aside };
            self.journal().enter(slice, state);
        }
        self.head().end.mend();
        self.head().meeting.mend();
        self.head().dealt.0.store(0, Ordering::Relaxed);
        for berth in self.berths() {
            // SAFETY: passed on to the caller.
            unsafe { berth.obituary.prepare() };
            berth.forget(self.clock());
        }
    }

    /// Lets all others go on without worker `rank`, which has been reaped.
    pub(crate) fn withdraw(&self, rank: usize) {
        self.berths()[rank].excuse(Some(Absence::Dead));
        self.head().end.withdraw();
        self.head().meeting.withdraw();
    }

    /// Ends the job because of worker `rank`, or for the coordinator's reasons: breaks every barrier. The end barrier
    /// first, so that its reason is the cause and not what a worker makes of a broken meeting.
    pub(crate) fn give_up(&self, rank: Option<usize>) {
        self.head().end.break_for(rank);
        self.head().meeting.break_for(rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        Board::new(Layout { workers: 3, slices: 5, loans: 2, answer: 12 }).unwrap()
    }

    #[test]
    fn the_journal_goes_from_free_to_taken_to_done() {
        let board = board();
        assert_eq!(board.state(4), SliceState::Free);
        board.take(2, 4, Instant::now());
        assert_eq!((board.state(4), board.berths()[2].at(5)), (SliceState::Taken { rank: 2 }, Some(4)));
        board.finish(2, 4, b"twelve bytes", Duration::from_nanos(7));
        assert_eq!((board.state(4), board.berths()[2].at(5)), (SliceState::Done { rank: 2 }, None));
        let mut answer = [0; 12];
        board.read_answer(4, &mut answer);
        assert_eq!((&answer, board.done(), board.berths()[2].busy().as_nanos()), (b"twelve bytes", 1, 7));
        assert_eq!(board.state(3), SliceState::Free);
    }

    #[test]
    fn nonsense_on_the_board_is_harmless() {
        let board = board();
        board.head().done.0.store(u64::MAX, Ordering::Relaxed);
        board.journal().states[0].store(u32::MAX, Ordering::Relaxed);
        assert_eq!(board.done(), 5);
        assert!(matches!(board.state(0), SliceState::Done { .. }));
    }
}
