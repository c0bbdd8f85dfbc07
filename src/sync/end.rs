//! The end of a job, or of a round of it: each worker arrives by a word of its own, with a digest of what it has done; the coordinator
//! alone decides that all have, by looking at each one's words.
//!
//! Nothing is counted that matters. The count of those who have come is there to wake the coordinator once and not for each: who
//! finds that it is the last wakes it. A count that is wrong wakes it too early, or not at all, and it looks again now and then
//! in any case. Who is dead is not waited for; whether it had come makes no difference.

use super::atomic::{AtomicU32, AtomicU64, Ordering, futex};
use super::spin_policy::SpinPolicy;
use super::tag::{self, tagged};

/// For whom a job ended early that ended for no worker's sake.
const COORDINATOR: u32 = u32::MAX;

/// All have come, and may go.
const RELEASED: u32 = u32::MAX - 1;

/// Set in the bell while the coordinator may be asleep on it.
const ASLEEP: u32 = 1 << 31;

/// What all look at.
#[derive(Default)]
#[repr(C)]
pub(crate) struct End {
    /// | value     | meaning                                    |
    /// |-----------|--------------------------------------------|
    /// | 0         | the job goes on                            |
    /// | rank + 1  | it is over, because of that worker         |
    /// | 2^32 - 2  | all have come, and may go                  |
    /// | 2^32 - 1  | it is over, for no worker's sake           |
    ///
    /// The first reason stays. Workers look at it between slices.
    over: AtomicU32,
    /// | bit 31                         | bits 0..31                                     |
    /// |--------------------------------|------------------------------------------------|
    /// | the coordinator may be asleep  | how many workers have come or are known to be dead: for wake-ups only |
    bell: AtomicU32,
}

/// Why a job is over before all had come: because of that worker, if of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndedEarly {
    pub(crate) by: Option<usize>,
}

/// One worker's words, on a cache line that it does not write while it works.
#[derive(Default)]
#[repr(C, align(128))]
pub(crate) struct Arrival {
    /// A tag of key, round and rank; anything else of one that has not come.
    come: AtomicU64,
    /// The same of what it has done as well.
    digest: AtomicU64,
}

/// What a worker has done in a round, in its own memory: so that what others make of the words of its slices afterwards is found
/// out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkDigest(u64);

impl WorkDigest {
    /// Adds a slice, by the word that says that it is done.
    pub(crate) fn add(&mut self, word: u64) {
        self.0 = self.0.wrapping_add(tag::mix(word));
    }
}

/// A round as its arrivals know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundKey {
    pub(crate) key: u64,
    /// Another for each round.
    pub(crate) round: u64,
}

impl RoundKey {
    fn come(self, rank: usize) -> u64 {
        tagged(self.key, rank as u64, 7, tag::mix(self.round))
    }

    fn digest(self, rank: usize, digest: WorkDigest) -> u64 {
        tagged(self.key, rank as u64, 15, tag::mix(self.round ^ digest.0.rotate_left(32)))
    }
}

impl Arrival {
    /// Enters that worker `rank` has come, and what it has done.
    pub(crate) fn enter(&self, round_key: RoundKey, rank: usize, digest: WorkDigest) {
        self.digest.store(round_key.digest(rank, digest), Ordering::Relaxed);
        // Release: who finds that it has come finds all that it did.
        self.come.store(round_key.come(rank), Ordering::Release);
    }

    /// Whether worker `rank` has come.
    pub(crate) fn has_arrived(&self, round_key: RoundKey, rank: usize) -> bool {
        self.come.load(Ordering::Acquire) == round_key.come(rank)
    }

    /// Whether that worker says that it has done just this.
    pub(crate) fn has_done(&self, round_key: RoundKey, rank: usize, digest: WorkDigest) -> bool {
        self.digest.load(Ordering::Relaxed) == round_key.digest(rank, digest)
    }

    /// Makes it empty. For when no worker has it.
    pub(crate) fn clear(&self) {
        self.come.store(0, Ordering::Relaxed);
    }
}

impl End {
    /// Says that worker `rank`, one of so many, has come, and wakes the coordinator if it was the last and that may sleep.
    pub(crate) fn arrive(
        &self,
        arrival: &Arrival,
        round_key: RoundKey,
        rank: usize,
        digest: WorkDigest,
        workers: usize,
    ) {
        arrival.enter(round_key, rank, digest);
        // AcqRel: either the coordinator, which has said that it sleeps before it looked, has seen the arrival, or this sees that
        // it sleeps.
        let bell = self.bell.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        // More than there are, if one that came and died was counted twice: too many wake-ups, and none too few.
        if bell & ASLEEP != 0 && (bell & !ASLEEP) as usize >= workers {
            futex::wake_all(&self.bell);
        }
    }

    /// Wakes the coordinator if it may sleep, for something else than that all have come.
    pub(crate) fn tell(&self) {
        // AcqRel: as in `arrive`. Once for each time that it goes to sleep.
        if self.bell.fetch_and(!ASLEEP, Ordering::AcqRel) & ASLEEP != 0 {
            futex::wake_all(&self.bell);
        }
    }

    /// Counts one that is dead, for the sake of those who come after it. Only for the coordinator.
    pub(crate) fn count_dead(&self) {
        self.bell.fetch_add(1, Ordering::AcqRel);
    }

    /// Says that the coordinator is about to sleep: the word to sleep on, and its value until somebody comes. What it waits for it
    /// must look for once more after this.
    pub(crate) fn prepare_to_sleep(&self) -> (&AtomicU32, u32) {
        let bell = self.bell.fetch_or(ASLEEP, Ordering::AcqRel);
        (&self.bell, bell | ASLEEP)
    }

    /// Ends the job because of worker `rank`, or for the coordinator's reasons; the first reason stays.
    pub(crate) fn give_up(&self, rank: Option<usize>) {
        let by = rank.map_or(COORDINATOR, |rank| rank as u32 + 1);
        let _ = self.over.compare_exchange(0, by, Ordering::AcqRel, Ordering::Relaxed);
        // In any case: who changed the word before may have died before it woke anybody.
        futex::wake_all(&self.over);
        self.bell.fetch_add(1, Ordering::AcqRel);
        futex::wake_all(&self.bell);
    }

    /// Whether the job is over before all have come, and for whom.
    pub(crate) fn over(&self) -> Option<EndedEarly> {
        match self.over.load(Ordering::Acquire) {
            0 => None,
            COORDINATOR | RELEASED => Some(EndedEarly { by: None }),
            by => Some(EndedEarly { by: Some(by as usize - 1) }),
        }
    }

    /// Lets all go who wait for it.
    pub(crate) fn release(&self) {
        let _ = self.over.compare_exchange(0, RELEASED, Ordering::AcqRel, Ordering::Relaxed);
        futex::wake_all(&self.over);
    }

    /// Waits until all have come or the job is over; whether all have come.
    pub(crate) fn wait_for_release(&self, spin_policy: SpinPolicy) -> bool {
        let mut tries = 0;
        loop {
            match self.over.load(Ordering::Acquire) {
                0 if spin_policy.pause(&mut tries) => {}
                0 => futex::wait(&self.over, 0, None),
                over => return over == RELEASED,
            }
        }
    }

    /// Nobody has come yet. For when all workers of the round before have come or are dead.
    pub(crate) fn clear_bell(&self) {
        self.bell.store(0, Ordering::Relaxed);
    }

    /// Makes it new. For when nobody is near it.
    pub(crate) fn clear(&self) {
        self.over.store(0, Ordering::Release);
        self.clear_bell();
    }
}
