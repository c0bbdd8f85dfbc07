//! The control page of a job: who is alive, which slice is free, taken or done, each one's answer, last words.
//!
//! Atomics only, laid out by [`Layout`] from numbers the coordinator knows; nothing read from the control page is ever used as a
//! length or an index without a check, so a worker gone mad can spoil its words here but not the coordinator.

#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::descriptor::DescriptorSlot;
use super::end::{Arrival, End, RoundKey, WorkDigest};
use super::key::Keys;
use super::layout::{Layout, Offsets};
use super::public_header::PublicHeader;
use super::slice_table::SliceTable;
use super::{Barrier, Doorbell, SliceState, WorkerSlot, values};
use crate::error::{Error, Result};
use crate::shared::{Segment, ShmSafe};
use crate::sys::reserve::{Late, never};
use crate::sys::robust_lock::RobustLock;

/// Words for the whole job. What it begins and ends with shares a cache line; what workers do to each other in between has lines
/// of its own.
#[repr(C, align(128))]
pub(crate) struct Head {
    /// What others may know.
    pub(crate) header: PublicHeader,
    /// Where workers come when all slices are dealt out.
    pub(crate) end: End,
    /// Tells workers who stay that there is something to do.
    pub(crate) call: Doorbell,
    /// The number of the job that was called for last; 0 for none.
    pub(crate) job: AtomicU64,
    /// Where the descriptor of this job is.
    pub(crate) descriptor: DescriptorSlot,
    /// Where workers meet within a body.
    pub(crate) meeting: CachePadded<Barrier>,
    /// Whether anybody has come to a meeting.
    pub(super) met: AtomicU64,
    /// Rung when a slice has handed on what the next one waits for.
    pub(crate) carried: CachePadded<Doorbell>,
    /// Whether all are to come to the end as soon as they can, for the sake of one who died, whose slices others wait for: 1 then.
    pub(crate) recall: AtomicU32,
    /// The slice whose answer the coordinator hands on next, if that is in order.
    pub(super) next_answer: AtomicU64,
    /// How far the slices are dealt out.
    pub(crate) dealt: CachePadded<AtomicU64>,
    /// How much room for answers of any length is given out.
    pub(crate) posted: CachePadded<AtomicU64>,
    /// What the coordinator and its fork server say to each other.
    pub(crate) fork_server: CachePadded<ForkServerMailbox>,
}

/// Orders to the fork server, and its word that they are done.
#[repr(C)]
pub(crate) struct ForkServerMailbox {
    /// How many orders there have been: odd ones are for workers, even ones say that those have been met.
    pub(crate) ordered: AtomicU32,
    /// How many workers, where that is not for the slice table to say.
    pub(crate) wanted: AtomicU32,
    /// The last order that was carried out.
    pub(crate) done: AtomicU32,
    /// The fork server's end.
    pub(crate) lock: RobustLock,
}

/// Words on cache lines of their own.
#[repr(C, align(128))]
pub(crate) struct CachePadded<W>(pub(crate) W);

// SAFETY: atomics, barriers made of atomics, an RobustLock, which is made for shared use, and padding that nobody reads.
unsafe impl ShmSafe for Head {}

/// A control page in shared memory, the same for coordinator and workers.
#[derive(Clone)]
pub(crate) struct ControlPage {
    segment: Arc<Segment>,
    keys: Arc<Keys>,
    layout: Layout,
    /// How many slots there is room for; a job may have fewer workers.
    slots: usize,
    at: Offsets,
    /// When the clock that times slices began; every process forked from the coordinator reads the same.
    epoch: Instant,
}

/// Where the slots are.
pub(super) const SLOTS: usize = size_of::<Head>();

impl Head {
    /// How many bytes it and a worker's slot have.
    pub(super) const SIZES: [u64; 2] = [size_of::<Self>() as u64, size_of::<WorkerSlot>() as u64];
}

impl ControlPage {
    /// A control page for one job.
    ///
    /// # Errors
    /// If there is no memory for it, or it becomes too `late`.
    pub(crate) fn new(layout: Layout, late: Late<'_>) -> Result<Self> {
        let slots = layout.workers;
        let at = layout.offsets(SLOTS, slots).ok_or_else(|| too_large(layout, Layout::MOST))?;
        let segment = Arc::new(Segment::for_control_page(at.end, late)?);
        let page = Self { segment, keys: Arc::default(), layout, slots, at, epoch: Instant::now() };
        // SAFETY: the segment was made just now and no other process or thread has it.
        unsafe { page.prepare() };
        page.slice_table().clear();
        page.clear_steps();
        page.first_meeting().open();
        page.head().header.publish(Head::SIZES, Duration::ZERO);
        Ok(page)
    }

    /// A control page for many jobs, one after the other, of at most so many workers. There is memory for its head only.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn for_many(workers: usize) -> Result<Self> {
        let segment = Segment::for_control_pages(ROOM)?;
        segment.reserve(0..SLOTS, &never)?;
        let page = Self::of_segment(segment, Keys::default(), workers, Instant::now())?;
        // SAFETY: as in `new`.
        unsafe { page.head().fork_server.0.lock.prepare() };
        page.head().header.publish(Head::SIZES, Duration::ZERO);
        Ok(page)
    }

    /// The one that is in this segment, with room for so many workers.
    pub(super) fn of_segment(segment: Segment, keys: Keys, slots: usize, epoch: Instant) -> Result<Self> {
        let layout = Layout::without_job(slots);
        let at = layout.offsets_within(SLOTS, slots, segment.len()).ok_or_else(|| too_large(layout, segment.len()))?;
        Ok(Self { segment: Arc::new(segment), keys: Arc::new(keys), layout, slots, at, epoch })
    }

    /// The same control page as it is laid out for another job.
    ///
    /// # Errors
    /// If there is no room for it on the control page.
    pub(crate) fn laid_out(&self, layout: Layout) -> Result<Self> {
        let room = self.segment.len();
        let at = layout.offsets_within(SLOTS, self.slots, room).ok_or_else(|| too_large(layout, room))?;
        let (segment, keys) = (self.segment.clone(), self.keys.clone());
        Ok(Self { segment, keys, layout, at, ..*self })
    }

    /// Sees to it that there is memory for the slots of this layout, for its slice table, and for `more` bytes after that.
    ///
    /// # Errors
    /// If there is none, or no room on the control page, or it becomes too `late`.
    pub(super) fn reserve(&self, more: usize, late: Late<'_>) -> Result<()> {
        self.reserve_slots()?;
        let end = self.at.end.checked_next_multiple_of(size_of::<u64>()).and_then(|end| end.checked_add(more));
        let end = end.filter(|&end| end <= self.segment.len());
        let end = end.ok_or_else(|| too_large(self.layout, self.segment.len()))?;
        self.segment.reserve(self.at.addresses..end, late)
    }

    /// Sees to it that there is memory for the slots of this layout.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn reserve_slots(&self) -> Result<()> {
        self.segment.reserve(0..SLOTS + self.layout.workers * size_of::<WorkerSlot>(), &never)
    }

    /// Makes all robust locks.
    ///
    /// # Safety
    /// Nobody else uses the control page.
    unsafe fn prepare(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.head().fork_server.0.lock.prepare() };
        for slot in self.slots() {
            // SAFETY: passed on to the caller.
            unsafe { slot.lock.prepare() };
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

    /// Where the event logs are, and how many bytes they have.
    pub(super) fn logs_at(&self) -> (usize, usize) {
        (self.at.logs, self.at.end - self.at.logs)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn head(&self) -> &Head {
        &self.segment.words::<Head>(0, 1)[0]
    }

    pub(crate) fn slots(&self) -> &[WorkerSlot] {
        self.segment.words(SLOTS, self.layout.workers)
    }

    /// Where worker `rank` has each loan mapped.
    pub(crate) fn addresses(&self, rank: usize) -> &[AtomicU64] {
        let loans = self.layout.loans;
        &self.segment.words(self.at.addresses, self.layout.workers * loans)[rank * loans..][..loans]
    }

    /// The words for values that worker `rank` brings to meetings.
    pub(super) fn values(&self, rank: usize) -> &[AtomicU64] {
        &self.segment.words(self.at.values, self.layout.value_words())[rank * values::WORDS..][..values::WORDS]
    }

    /// The words that count steps.
    pub(super) fn steps(&self) -> &[AtomicU64] {
        self.segment.words(self.at.steps, self.layout.step_words())
    }

    /// The words for what slices hand on.
    pub(super) fn carried_words(&self) -> &[AtomicU64] {
        self.segment.words(self.at.carried, self.layout.carried_words())
    }

    pub(super) fn slice_table(&self) -> SliceTable<'_> {
        let slices = self.layout.slices;
        let states = self.segment.words(self.at.states, slices);
        let answers = self.segment.words(self.at.answers, slices * self.layout.answer_words());
        SliceTable { states, answers, key: self.keys.key() }
    }

    /// What a slice's word is, if it is right, with its answer.
    pub(crate) fn state(&self, slice: usize) -> (u64, SliceState) {
        self.slice_table().read(slice, |_, _| ())
    }

    /// What a slice's word is, whoever wrote it. For people.
    pub(crate) fn claimed(&self, slice: usize) -> SliceState {
        self.slice_table().claimed(slice)
    }

    /// As [`state`](Self::state); copies the answer, which is one only if the slice is done.
    pub(crate) fn read_answer(&self, slice: usize, into: &mut [u8]) -> (u64, SliceState) {
        self.slice_table().read(slice, |at, word| {
            let rest = &mut into[at * size_of::<u64>()..];
            let bytes = word.to_ne_bytes();
            let many = rest.len().min(bytes.len());
            rest[..many].copy_from_slice(&bytes[..many]);
        })
    }

    /// Lets worker `rank` have a slice from now on, if that is free: whether it is to be put back first.
    pub(crate) fn take(&self, rank: usize, slice: usize, now: Instant) -> Option<bool> {
        self.slots()[rank].begin(slice, self.clock_at(now));
        self.slice_table().take(rank, slice)
    }

    /// Enters that the undo copy of a slice is complete which worker `rank` has; whether it still had it.
    pub(crate) fn note_saved(&self, rank: usize, slice: usize) -> bool {
        self.slice_table().pass(slice, SliceState::Taken { rank }, SliceState::Saved { rank })
    }

    /// Enters that worker `rank` has finished a slice, `saved` or not, with its answer, which took `busy`. The word that says so,
    /// if it still had the slice.
    pub(crate) fn finish(&self, rank: usize, slice: usize, saved: bool, answer: &[u8], busy: Duration) -> Option<u64> {
        let words = answer.chunks(size_of::<u64>()).map(|bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_ne_bytes(word)
        });
        let done = self.slice_table().finish(rank, slice, saved, words);
        self.slots()[rank].end(busy);
        done
    }

    /// How many slots there is room for.
    pub(super) fn room_for_slots(&self) -> usize {
        self.slots
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

    /// The keys of its tags.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A round as its arrivals know it.
    pub(crate) fn round_key(&self, round: u64) -> RoundKey {
        RoundKey { key: self.keys.key(), round }
    }

    /// Where worker `rank` says that it has come to the end.
    pub(crate) fn arrival(&self, rank: usize) -> &Arrival {
        &self.slots()[rank].arrival
    }

    /// Says that worker `rank`, one of so many who come, has come to the end of a round, and what it has done.
    pub(crate) fn arrive(&self, round: u64, rank: usize, digest: WorkDigest, workers: usize) {
        self.head().end.arrive(self.arrival(rank), self.round_key(round), rank, digest, workers);
    }

    /// How many slices claim to be done. For people.
    pub(crate) fn done(&self) -> usize {
        self.slice_table().done()
    }

    /// The slices that can be taken, ascending: those of the next round.
    pub(crate) fn free(&self) -> Vec<usize> {
        self.slice_table().free()
    }

    /// Enters what a slice is in the next round.
    ///
    /// # Safety
    /// As for [`clear_for_next_round`](Self::clear_for_next_round).
    pub(crate) unsafe fn enter(&self, slice: usize, state: SliceState) {
        self.slice_table().enter(slice, state);
    }

    /// Makes end, meeting, counter and slots new.
    ///
    /// # Safety
    /// No worker uses the control page: those of the last round are dead, those of the next one not born.
    pub(crate) unsafe fn clear_for_next_round(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.clear_for_new_workers() };
        self.head().meeting.0.make_consistent();
        self.first_meeting().open();
        self.head().recall.store(0, Ordering::Relaxed);
        self.head().dealt.0.store(0, Ordering::Relaxed);
    }

    /// Makes the end and the slots new.
    ///
    /// # Safety
    /// No worker uses the control page.
    pub(crate) unsafe fn clear_for_new_workers(&self) {
        self.head().end.clear();
        for slot in self.slots() {
            // SAFETY: passed on to the caller.
            unsafe { slot.lock.prepare() };
            slot.forget(self.clock());
        }
    }

    /// Makes the post new for a fork server that is not born yet.
    ///
    /// # Safety
    /// Nobody uses the post: the fork server before it is gone, and so are those that it made.
    pub(crate) unsafe fn clear_fork_server(&self) {
        let post = &self.head().fork_server.0;
        for word in [&post.ordered, &post.done, &post.wanted] {
            word.store(0, Ordering::Relaxed);
        }
        // SAFETY: passed on to the caller.
        unsafe { post.lock.prepare() };
    }

    /// Makes slice table, meeting and counters new for another job of workers who stay and wait for it.
    pub(crate) fn clear_for_next_job(&self) {
        self.slice_table().clear();
        self.head().posted.0.store(0, Ordering::Relaxed);
        self.clear_backlog();
        self.clear_steps();
        self.head().end.clear_bell();
        self.head().meeting.0.make_consistent();
        self.first_meeting().open();
        self.head().recall.store(0, Ordering::Relaxed);
        self.head().dealt.0.store(0, Ordering::Relaxed);
    }
}

/// Bytes of addresses that a control page for many jobs takes; memory only as it is needed.
const ROOM: usize = 1 << 30;

fn too_large(layout: Layout, room: usize) -> Error {
    let Layout { workers, slices, answer, .. } = layout;
    Error::TooManySlices { slices, answer, workers, room, limited: room < ROOM }
}

#[cfg(test)]
mod tests;
