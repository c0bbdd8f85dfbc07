//! The control page of a job: who is alive, which slice is free, taken or done, each one's answer, last words.
//!
//! Atomics only, laid out by [`Layout`] from numbers the coordinator knows; nothing read from the board is ever used as a
//! length or an index without a check, so a worker gone mad can spoil its words here but not the coordinator.

#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::bill::BillAt;
use super::journal::Journal;
use super::layout::{Layout, Offsets};
use super::plate::Plate;
use super::seal::Sealer;
use super::{Absence, Barrier, Berth, Call, SliceState};
use crate::error::{Error, Result};
use crate::shared::{Segment, Wire};
use crate::sys::obituary::Obituary;

/// Words for the whole job. What it begins and ends with shares a cache line; what workers do to each other in between has lines
/// of its own.
#[repr(C, align(128))]
pub(crate) struct Head {
    /// What others may know.
    pub(crate) plate: Plate,
    /// Where coordinator and workers meet when all slices are dealt out.
    pub(crate) end: Barrier,
    /// Tells workers who stay that there is something to do.
    pub(crate) call: Call,
    /// The number of the job that was called for last; 0 for none.
    pub(crate) job: AtomicU64,
    /// Where the bill of this job is.
    pub(crate) bill: BillAt,
    /// Where workers meet within a body.
    pub(crate) meeting: Alone<Barrier>,
    /// How far the slices are dealt out.
    pub(crate) dealt: Alone<AtomicU64>,
    /// What the coordinator and its nursery say to each other.
    pub(crate) post: Alone<Post>,
}

/// Orders to the nursery, and its word that they are done.
#[repr(C)]
pub(crate) struct Post {
    /// How many orders there have been: odd ones are for workers, even ones say that those have been met.
    pub(crate) ordered: AtomicU32,
    /// How many workers, where that is not for the journal to say.
    pub(crate) wanted: AtomicU32,
    /// The last order that was carried out.
    pub(crate) done: AtomicU32,
    /// The nursery's end.
    pub(crate) obituary: Obituary,
}

/// Words on cache lines of their own.
#[repr(C, align(128))]
pub(crate) struct Alone<W>(pub(crate) W);

// SAFETY: atomics, barriers made of atomics, an Obituary, which is made for shared use, and padding that nobody reads.
unsafe impl Wire for Head {}

/// A board in shared memory, the same for coordinator and workers.
#[derive(Clone)]
pub(crate) struct Board {
    segment: Arc<Segment>,
    sealer: Arc<Sealer>,
    layout: Layout,
    /// How many berths there is room for; a job may have fewer workers.
    berths: usize,
    at: Offsets,
    /// When the clock that times slices began; every process forked from the coordinator reads the same.
    epoch: Instant,
}

/// Where the berths are.
pub(super) const BERTHS: usize = size_of::<Head>();

impl Board {
    /// A board for one job.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(crate) fn new(layout: Layout) -> Result<Self> {
        let berths = layout.workers;
        let at = layout.offsets(berths).ok_or_else(|| too_large(layout, Layout::MOST))?;
        let segment = Arc::new(Segment::for_board(at.end)?);
        let board = Self { segment, sealer: Arc::default(), layout, berths, at, epoch: Instant::now() };
        // SAFETY: the segment was made just now and no other process or thread has it.
        unsafe { board.prepare() };
        board.head().plate.put_up(Duration::ZERO);
        Ok(board)
    }

    /// A board for many jobs, one after the other, of at most so many workers. There is memory for its head only.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn for_many(workers: usize) -> Result<Self> {
        let layout = Layout { workers, slices: 0, loans: 0, answer: 0, tape: 0 };
        let segment = Arc::new(Segment::for_boards(ROOM)?);
        let at = layout.offsets(workers).filter(|at| at.end <= segment.len());
        let at = at.ok_or_else(|| too_large(layout, segment.len()))?;
        segment.reserve(0..BERTHS)?;
        let board = Self { segment, sealer: Arc::default(), layout, berths: workers, at, epoch: Instant::now() };
        // SAFETY: as in `new`.
        unsafe { board.head().post.0.obituary.prepare() };
        board.head().plate.put_up(Duration::ZERO);
        Ok(board)
    }

    /// The same board as it is laid out for another job.
    ///
    /// # Errors
    /// If there is no room for it on the board.
    pub(crate) fn laid_out(&self, layout: Layout) -> Result<Self> {
        let at = layout.offsets(self.berths).filter(|at| at.end <= self.segment.len());
        let at = at.ok_or_else(|| too_large(layout, self.segment.len()))?;
        let (segment, sealer) = (self.segment.clone(), self.sealer.clone());
        Ok(Self { segment, sealer, layout, at, ..*self })
    }

    /// Sees to it that there is memory for the berths of this layout, for its journal, and for `more` bytes after that.
    ///
    /// # Errors
    /// If there is none, or no room on the board.
    pub(super) fn reserve(&self, more: usize) -> Result<()> {
        self.reserve_berths()?;
        let end = self.at.end.checked_next_multiple_of(size_of::<u64>()).and_then(|end| end.checked_add(more));
        let end = end.filter(|&end| end <= self.segment.len());
        self.segment.reserve(self.at.addresses..end.ok_or_else(|| too_large(self.layout, self.segment.len()))?)
    }

    /// Sees to it that there is memory for the berths of this layout.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn reserve_berths(&self) -> Result<()> {
        self.segment.reserve(0..BERTHS + self.layout.workers * size_of::<Berth>())
    }

    /// Makes all obituaries.
    ///
    /// # Safety
    /// Nobody else uses the board.
    unsafe fn prepare(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.head().post.0.obituary.prepare() };
        for berth in self.berths() {
            // SAFETY: passed on to the caller.
            unsafe { berth.obituary.prepare() };
        }
    }

    /// All of its bytes.
    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where there is room after this layout, in bytes.
    pub(super) fn room(&self) -> usize {
        self.at.end.next_multiple_of(size_of::<u64>())
    }

    /// Where the tapes are, and how many bytes they have.
    pub(super) fn tapes_at(&self) -> (usize, usize) {
        (self.at.tapes, self.at.end - self.at.tapes)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn head(&self) -> &Head {
        &self.segment.words::<Head>(0, 1)[0]
    }

    pub(crate) fn berths(&self) -> &[Berth] {
        self.segment.words(BERTHS, self.layout.workers)
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
        self.berths()[rank].begin(slice, self.clock_at(now));
        self.journal().take(rank, slice);
    }

    /// How many berths there is room for.
    pub(super) fn room_for_berths(&self) -> usize {
        self.berths
    }

    /// What the clock that times slices shows.
    pub(crate) fn clock(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// What the clock showed at that moment.
    pub(crate) fn clock_at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.epoch)
    }

    /// When the clock showed this.
    pub(crate) fn at(&self, clock: Duration) -> Option<Instant> {
        self.epoch.checked_add(clock)
    }

    /// Enters that worker `rank` has finished a slice, with its answer, which took `busy`.
    pub(crate) fn finish(&self, rank: usize, slice: usize, answer: &[u8], busy: Duration) {
        // Before the word that the slice is done, with which whoever reads that finds it.
        self.seals()[slice].store(self.sealer.seal(slice, rank, answer), Ordering::Relaxed);
        self.journal().finish(rank, slice, answer);
        self.berths()[rank].end(busy);
    }

    /// What makes it believable that slices are done.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    fn seals(&self) -> &[AtomicU64] {
        self.segment.words(self.at.seals, self.layout.slices)
    }

    /// Copies the answer of a slice; whether it is done, and this is the answer that its worker gave.
    pub(crate) fn read_answer(&self, slice: usize, into: &mut [u8]) -> bool {
        let SliceState::Done { rank } = self.state(slice) else { return false };
        let seal = self.seals()[slice].load(Ordering::Relaxed);
        self.journal().read_answer(slice, into);
        self.sealer.knows(seal, slice, rank, into)
    }

    /// How many slices the journal calls done. For people: nobody has looked at their seals.
    pub(crate) fn done(&self) -> usize {
        self.journal().done()
    }

    /// The slices that are not done, ascending. Those that the journal calls so without the right seal are not.
    pub(crate) fn not_done(&self) -> Vec<usize> {
        let mut answer = vec![0; self.layout.answer];
        (0..self.layout.slices).filter(|&slice| !self.read_answer(slice, &mut answer)).collect()
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
        // SAFETY: passed on to the caller.
        unsafe { self.clear_for_new_workers() };
        self.head().meeting.0.mend();
        self.head().dealt.0.store(0, Ordering::Relaxed);
    }

    /// Makes the end barrier and the berths new.
    ///
    /// # Safety
    /// No worker uses the board.
    pub(crate) unsafe fn clear_for_new_workers(&self) {
        self.head().end.mend();
        for berth in self.berths() {
            // SAFETY: passed on to the caller.
            unsafe { berth.obituary.prepare() };
            berth.forget(self.clock());
        }
    }

    /// Makes the post new for a nursery that is not born yet.
    ///
    /// # Safety
    /// Nobody uses the post: the nursery before it is gone, and so are those that it made.
    pub(crate) unsafe fn clear_post(&self) {
        let post = &self.head().post.0;
        for word in [&post.ordered, &post.done, &post.wanted] {
            word.store(0, Ordering::Relaxed);
        }
        // SAFETY: passed on to the caller.
        unsafe { post.obituary.prepare() };
    }

    /// Makes journal, meeting and counter new for another job of workers who stay and wait for it. The end barrier counts on:
    /// they may still be looking at its last crossing.
    pub(crate) fn clear_for_next_job(&self) {
        self.journal().clear();
        self.head().meeting.0.mend();
        self.head().dealt.0.store(0, Ordering::Relaxed);
    }

    /// Lets all others go on without worker `rank`, which has been reaped.
    pub(crate) fn withdraw(&self, rank: usize) {
        self.berths()[rank].excuse(Some(Absence::Dead));
        self.head().end.withdraw();
        self.head().meeting.0.withdraw();
        // Workers who stay wait for the next call when they have come to the end, and are to come once more.
        self.head().call.out();
    }

    /// Ends the job because of worker `rank`, or for the coordinator's reasons: breaks every barrier. The end barrier
    /// first, so that its reason is the cause and not what a worker makes of a broken meeting.
    pub(crate) fn give_up(&self, rank: Option<usize>) {
        self.head().end.break_for(rank);
        self.head().meeting.0.break_for(rank);
    }
}

/// Bytes of addresses that a board for many jobs takes; memory only as it is needed.
const ROOM: usize = 1 << 30;

fn too_large(layout: Layout, room: usize) -> Error {
    let Layout { workers, slices, answer, .. } = layout;
    let limit = if room < ROOM { " under this process's limit of file sizes (ulimit -f)" } else { "" };
    Error::Shape(format!(
        "the journal of {slices} slices with answers of {answer} bytes each, worked on by {workers} workers, does not fit the \
         {room} bytes that a board has{limit}. Cut into fewer slices, or write results to an array instead of returning them."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        Board::new(Layout { workers: 3, slices: 5, loans: 2, answer: 12, tape: 64 }).unwrap()
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
        assert!(board.read_answer(4, &mut answer));
        assert_eq!((&answer, board.done(), board.berths()[2].busy().as_nanos()), (b"twelve bytes", 1, 7));
        assert_eq!(board.state(3), SliceState::Free);
    }

    #[test]
    fn nonsense_on_the_board_is_harmless() {
        let board = board();
        board.journal().states[0].store(u32::MAX, Ordering::Relaxed);
        assert_eq!(board.done(), 1);
        assert!(matches!(board.state(0), SliceState::Done { .. }));
        assert_eq!(board.not_done().len(), 5, "nobody has sealed it");
    }

    #[test]
    fn an_answer_that_was_written_over_is_none() {
        let board = board();
        board.finish(1, 3, b"twelve bytes", Duration::ZERO);
        assert_eq!(board.not_done(), [0, 1, 2, 4]);
        board.journal().answers[3 * 12].store(b'T', Ordering::Relaxed);
        assert!(!board.read_answer(3, &mut [0; 12]));
        // Another's name under it.
        board.finish(1, 3, b"twelve bytes", Duration::ZERO);
        board.journal().enter(3, SliceState::Done { rank: 2 });
        assert_eq!(board.not_done().len(), 5);
    }
}
