//! Where a fixed number of participants meet: nobody goes on before all have come, or one of them is known to be gone.
//!
//! A generation counter in one futex word. The last to arrive moves it on; the others sleep until it moves or breaks.
//! A participant that dies between any two instructions leaves a count that is one short: those who watch for deaths then
//! break the barrier, which everyone who waits or comes later is told.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::futex;

/// Set in the generation word of a broken barrier. The word itself must change, or a participant about to sleep on it
/// would miss the news.
const BROKEN: u32 = 1;

/// The breaker of a job that was ended for no worker's sake.
const COORDINATOR: u32 = u32::MAX;

/// What a crossing adds to the generation word. It may wrap: nobody lags 2^31 crossings behind.
const CROSSING: u32 = 2;

/// A barrier in shared memory; all zero is a whole one that nobody has come to.
#[repr(C)]
pub(crate) struct Barrier {
    /// | bits 1..32       | bit 0 | meaning                                                         |
    /// |------------------|-------|-----------------------------------------------------------------|
    /// | crossings so far | 0     | whole; who arrived at this number waits for the next            |
    /// | crossings so far | 1     | broken for ever; those crossings happened, no further one will  |
    generation: AtomicU32,
    /// How many have come since the last crossing.
    arrived: AtomicU32,
    /// Who broke it first: rank + 1, or [`COORDINATOR`]; 0 for nobody.
    breaker: AtomicU32,
}

/// A barrier that will not be crossed again, and the rank for which it was broken, if it was for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) by: Option<usize>,
}

/// The crossing that a participant waits for.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Arrival(u32);

impl Barrier {
    /// Comes to the barrier and says so; the last of `participants` lets all go on.
    pub(crate) fn arrive(&self, participants: u32) -> Arrival {
        // Read before counting in: once the count is full, the generation may move at any moment.
        let word = self.generation.load(Ordering::Acquire);
        let here = Arrival(word & !BROKEN);
        // Who comes again and again to a broken barrier must not make up for those who are missing.
        if word & BROKEN != 0 {
            return here;
        }
        // AcqRel: what each participant wrote before it came is visible to the last, and by its store below to all.
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == participants {
            self.arrived.store(0, Ordering::Relaxed);
            // The broken bit, should it come meanwhile, must stay: so add, not store.
            self.generation.fetch_add(CROSSING, Ordering::Release);
            futex::wake_all(&self.generation);
        }
        here
    }

    /// Whether the crossing has happened; an error if it never will.
    pub(crate) fn crossed(&self, arrival: Arrival) -> Result<bool, Broken> {
        let word = self.generation.load(Ordering::Acquire);
        if word & !BROKEN != arrival.0 {
            return Ok(true);
        }
        if word & BROKEN == 0 { Ok(false) } else { Err(self.reason()) }
    }

    /// The word to sleep on, and its value as long as the crossing has not happened.
    pub(crate) fn word(&self, arrival: Arrival) -> (&AtomicU32, u32) {
        (&self.generation, arrival.0)
    }

    /// Comes to the barrier and waits for the others. Deaths are not watched for here: whoever does breaks the barrier.
    pub(crate) fn meet(&self, participants: u32, patience: Patience) -> Result<(), Broken> {
        let arrival = self.arrive(participants);
        let mut tries = 0;
        while !self.crossed(arrival)? {
            if !patience.pause(&mut tries) {
                let (word, expected) = self.word(arrival);
                futex::wait(word, expected, None);
            }
        }
        Ok(())
    }

    /// Ends all meetings here because of worker `rank`, or for the coordinator's reasons; those who wait go on with an
    /// error. The first reason stays.
    pub(crate) fn break_for(&self, rank: Option<usize>) {
        let breaker = rank.map_or(COORDINATOR, |rank| rank as u32 + 1);
        let _ = self.breaker.compare_exchange(0, breaker, Ordering::AcqRel, Ordering::Relaxed);
        self.generation.fetch_or(BROKEN, Ordering::AcqRel);
        futex::wake_all(&self.generation);
    }

    /// Makes it new. For when nobody is near it.
    pub(super) fn mend(&self) {
        for word in [&self.generation, &self.arrived, &self.breaker] {
            word.store(0, Ordering::Release);
        }
    }

    /// Whether it is broken, and for whom.
    pub(crate) fn broken(&self) -> Option<Broken> {
        (self.generation.load(Ordering::Acquire) & BROKEN != 0).then(|| self.reason())
    }

    fn reason(&self) -> Broken {
        let breaker = self.breaker.load(Ordering::Acquire);
        Broken { by: (breaker != COORDINATOR).then(|| (breaker as usize).saturating_sub(1)) }
    }
}

/// How long to try before going to sleep.
///
/// Spinning pays while every participant has a CPU: a crossing costs 0.07 us instead of 10. With more participants than
/// CPUs it keeps the others from running (1 ms a crossing at 8 on 2 CPUs); giving way does not, and still beats sleeping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    cpus: bool,
}

impl Patience {
    /// About 25 us of pauses, as long as a sleep and wake-up would take.
    const PAUSES: u32 = 1000;
    /// Each about 130 ns when nobody else wants the CPU.
    const YIELDS: u32 = 100;

    /// For this many participants on this many CPUs.
    pub(crate) fn new(participants: usize, cpus: usize) -> Self {
        Self { cpus: participants <= cpus }
    }

    /// Waits a moment; false when it is time to sleep.
    fn pause(self, tries: &mut u32) -> bool {
        *tries += 1;
        if self.cpus {
            std::hint::spin_loop();
            *tries <= Self::PAUSES
        } else {
            std::thread::yield_now();
            *tries <= Self::YIELDS
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn barrier() -> Barrier {
        Barrier { generation: AtomicU32::new(0), arrived: AtomicU32::new(0), breaker: AtomicU32::new(0) }
    }

    #[test]
    fn nobody_overtakes() {
        for participants in [1, 2, 3, 8, 40] {
            let (barrier, count) = (barrier(), AtomicUsize::new(0));
            std::thread::scope(|threads| {
                for _ in 0..participants {
                    threads.spawn(|| {
                        for round in 1..=50 {
                            count.fetch_add(1, Ordering::Relaxed);
                            barrier.meet(participants, Patience::new(participants as usize, 2)).unwrap();
                            assert!(count.load(Ordering::Relaxed) >= round * participants as usize);
                            barrier.meet(participants, Patience::new(participants as usize, 2)).unwrap();
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn a_break_reaches_those_who_wait_and_those_who_come() {
        let barrier = barrier();
        std::thread::scope(|threads| {
            let waiters: Vec<_> = (0..3).map(|_| threads.spawn(|| barrier.meet(5, Patience::new(5, 2)))).collect();
            barrier.break_for(Some(4));
            barrier.break_for(None);
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Err(Broken { by: Some(4) }));
            }
        });
        assert_eq!(barrier.meet(5, Patience::new(5, 2)), Err(Broken { by: Some(4) }));
    }

    #[test]
    fn a_crossing_that_happened_stays_true() {
        let barrier = barrier();
        let early = barrier.arrive(2);
        let _last = barrier.arrive(2);
        barrier.break_for(None);
        assert_eq!(barrier.crossed(early), Ok(true));
    }
}
