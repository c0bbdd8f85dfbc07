//! A barrier for processes: nobody passes before all have arrived, except those known to be dead, which are withdrawn.
//!
//! One futex word tells a waiter all it needs: how many crossings there have been, how many participants were withdrawn, and
//! for whom the barrier broke. Arrivals are counted under exactly one value of that word. When it changes without a crossing,
//! because somebody was withdrawn, they are void and each who waits arrives again: so it never matters whether the dead one
//! had been counted, nor between which two instructions it died.
//!
//! A wake-up is a system call, several times as dear as the crossing. So who goes to sleep says so in that same word first,
//! and who crosses wakes the others only if one has.

use std::time::Instant;

use super::atomic::{AtomicU32, Ordering, futex};
use super::spin_policy::SpinPolicy;

/// The bits for whom it broke, and of the second word those that count.
const LOW: u32 = WITHDRAWAL - 1;

/// What a withdrawal adds to the word.
const WITHDRAWAL: u32 = 1 << 11;

/// Set in the word while somebody may be asleep on it.
const SLEEPERS: u32 = 1 << 22;

/// What a crossing adds to the word.
const CROSSING: u32 = 1 << 23;

/// What is not part of the value that participants arrive at.
const NO_TAG: u32 = LOW | SLEEPERS;

/// For whom a barrier broke that broke for no worker's sake.
const COORDINATOR: u32 = LOW;

/// A barrier in shared memory; all zero is a whole one that nobody has come to.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Barrier {
    /// | bits 23..32 | bit 22 | bits 11..22 | bits 0..11 | meaning                                                             |
    /// |-------------|--------|-------------|------------|---------------------------------------------------------------------|
    /// | crossings   | any    | withdrawals | 0          | whole; who arrived at this value waits for the next crossing        |
    /// | crossings   | any    | withdrawals | rank + 1   | broken for that worker; those crossings happened, no other one will |
    /// | crossings   | any    | withdrawals | all ones   | broken for no worker's sake; the same                               |
    /// | any         | 0      | any         | any        | nobody sleeps on this value, or falls asleep on it                  |
    /// | any         | 1      | any         | any        | somebody may                                                        |
    ///
    /// Bit 22 may be set for one who has woken or died since: that costs a wake-up. A crossing clears it; who has crossed and
    /// dies before the wake-up leaves sleepers that the word knows nothing of, so withdrawing and breaking wake in any case.
    /// Crossings wrap: nobody lags more than one behind. Withdrawals do not: a job has at most 1024 workers, and each dies
    /// once. That it broke is in the word itself, or a participant about to sleep on it would miss the news.
    word: AtomicU32,
    /// | bits 23..32, 11..22 | bit 22 | bits 0..11 | meaning                                               |
    /// |---------------------|--------|------------|-------------------------------------------------------|
    /// | as in `word`        | 0      | n          | n have come, and not the last                         |
    /// | as once in `word`   | 0      | n          | nobody has come since the last crossing or withdrawal |
    count: Count,
}

/// On a cache line of its own: those who wait look at the other word again and again.
#[derive(Default)]
#[repr(C, align(128))]
struct Count(AtomicU32);

/// How to wait while a word has a value, until a time if one is given, or for a shorter while: as [`futex::wait`] does.
pub(crate) type Sleep<'s> = dyn Fn(&AtomicU32, u32, Option<Instant>) + 's;

/// A barrier that will not be crossed again, and the rank for which it was broken, if it was for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) by: Option<usize>,
}

/// The crossing that a participant waits for.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Arrival {
    /// The barrier's word when it came, if it was whole then, without the bit for sleepers.
    word: u32,
    participants: u32,
}

impl Barrier {
    /// Comes to the barrier and says so; the last of `participants` lets all go on. How many there were at first: those
    /// withdrawn are taken off here.
    pub(crate) fn arrive(&self, participants: u32) -> Arrival {
        let mut count = self.count.0.load(Ordering::Acquire);
        loop {
            // Read after the count, so that it is no older than its copy there: a copy that differs is an old one.
            let word = self.word.load(Ordering::Acquire);
            let tag = word & !NO_TAG;
            let here = Arrival { word: tag, participants };
            // Who comes again and again to a broken barrier must not make up for those who are missing.
            if word & LOW != 0 {
                return here;
            }
            let come = if count & !LOW == tag { (count & LOW) + 1 } else { 1 };
            // The last need not be counted: all others wait for it, and if it dies first it is withdrawn or the barrier
            // breaks. The word alone decides then whether the crossing happens.
            if come >= participants.saturating_sub(withdrawals(word)) {
                self.cross(word);
                return here;
            }
            // AcqRel: what each participant wrote before it came is visible to the last, and by its crossing to all.
            match self.count.0.compare_exchange_weak(count, tag | come, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return here,
                Err(changed) => count = changed,
            }
        }
    }

    /// Lets all go on who arrived under `word`. Nothing happens if it has changed by more than a sleeper's bit: then the
    /// barrier is broken, or somebody was withdrawn and all arrive again.
    fn cross(&self, mut word: u32) {
        let tag = word & !NO_TAG;
        while word & !SLEEPERS == tag {
            let next = tag.wrapping_add(CROSSING);
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if word & SLEEPERS != 0 => return futex::wake_all(&self.word),
                Ok(_) => return,
                Err(changed) => word = changed,
            }
        }
    }

    /// Whether the crossing has happened; an error if it never will, or if the word says what cannot be: that more than one
    /// has happened since. Renews an arrival that a withdrawal has made void.
    pub(crate) fn crossed(&self, arrival: &mut Arrival) -> Result<bool, Broken> {
        /// More often than all can be withdrawn while one looks, only somebody gone mad changes the word: who looks has other
        /// things to look at as well.
        const RENEWALS: u32 = 1 << 12;
        for _ in 0..RENEWALS {
            let word = self.word.load(Ordering::Acquire);
            match (word & !(CROSSING - 1)).wrapping_sub(arrival.word & !(CROSSING - 1)) {
                0 => {}
                CROSSING => return Ok(true),
                _ => return Err(Broken { by: None }),
            }
            if let Some(broken) = Broken::of(word) {
                return Err(broken);
            }
            if word & !SLEEPERS == arrival.word {
                return Ok(false);
            }
            // The crossing cannot have happened meanwhile, for it needs this very arrival.
            *arrival = self.arrive(arrival.participants);
        }
        Ok(false)
    }

    /// Says that this participant is about to sleep. The word to sleep on, and its value as long as there is nothing new for
    /// this arrival: who falls asleep on that is woken when there is.
    pub(crate) fn prepare_to_sleep(&self, arrival: &Arrival) -> (&AtomicU32, u32) {
        let asleep = arrival.word | SLEEPERS;
        // Relaxed: it publishes nothing, and what fails here is found by the next look. If the bit is there already, or the
        // word is another one by now, there is nothing to say.
        let _ = self.word.compare_exchange(arrival.word, asleep, Ordering::Relaxed, Ordering::Relaxed);
        (&self.word, asleep)
    }

    /// Comes to the barrier and waits for the others. Deaths are not watched for here: whoever does withdraws the dead or
    /// breaks the barrier.
    #[cfg(test)]
    pub(crate) fn arrive_and_wait(&self, participants: u32, spin_policy: SpinPolicy) -> Result<(), Broken> {
        self.arrive_and_wait_until(participants, spin_policy, None, &futex::wait)
    }

    /// Does so until that time at most; then breaks the barrier for that worker, unless the others have just come. Waits by
    /// `sleep`.
    pub(crate) fn arrive_and_wait_until(
        &self,
        participants: u32,
        spin_policy: SpinPolicy,
        limit: Option<(Instant, usize)>,
        sleep: &Sleep<'_>,
    ) -> Result<(), Broken> {
        let mut arrival = self.arrive(participants);
        let mut tries = 0;
        while !self.crossed(&mut arrival)? {
            if spin_policy.pause(&mut tries) {
                continue;
            }
            match limit {
                Some((at, rank)) if at <= Instant::now() => self.break_off(&arrival, rank),
                limit => {
                    let (word, expected) = self.prepare_to_sleep(&arrival);
                    sleep(word, expected, limit.map(|(at, _)| at));
                }
            }
        }
        Ok(())
    }

    /// Breaks it for worker `rank`, unless the crossing that it waits for has happened.
    pub(super) fn break_off(&self, arrival: &Arrival, rank: usize) {
        let _ = self.break_if(Some(rank), |word| word / CROSSING == arrival.word / CROSSING);
        futex::wake_all(&self.word);
    }

    /// Lets the others go on for ever without one that has died: once for each, and only when it cannot run another
    /// instruction. Whether it had come makes no difference.
    pub(crate) fn withdraw(&self) {
        self.word.fetch_add(WITHDRAWAL, Ordering::AcqRel);
        // In any case: the dead one may have crossed and not woken anybody. All arrive again, and the last of them crosses.
        futex::wake_all(&self.word);
    }

    /// Ends all meetings here because of worker `rank`, or for the coordinator's reasons; those who wait go on with an
    /// error. The first reason stays.
    pub(crate) fn break_for(&self, rank: Option<usize>) {
        let _ = self.break_if(rank, |_| true);
        // In any case: who changed the word before may have died before it woke anybody.
        futex::wake_all(&self.word);
    }

    /// Ends all meetings here because worker `rank` comes to no more of them. Wakes others only if somebody sleeps, as a crossing
    /// does: whoever dies before it has woken those is for the coordinator to notice, who does so in any case.
    pub(crate) fn leave(&self, rank: usize) {
        if self.break_if(Some(rank), |_| true).is_ok_and(|word| word & SLEEPERS != 0) {
            futex::wake_all(&self.word);
        }
    }

    /// Breaks it if it is whole and its word is `still` what it should be: what it was before; an error if not.
    fn break_if(&self, rank: Option<usize>, still: impl Fn(u32) -> bool) -> Result<u32, u32> {
        let by = rank.map_or(COORDINATOR, |rank| (rank as u32 + 1) & LOW);
        let broken = |word| (word & LOW == 0 && still(word)).then_some(word | by);
        self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, broken)
    }

    /// Makes it new. For when nobody is near it.
    pub(super) fn make_consistent(&self) {
        self.word.store(0, Ordering::Release);
        self.count.0.store(0, Ordering::Release);
    }
}

impl Broken {
    fn of(word: u32) -> Option<Self> {
        match word & LOW {
            0 => None,
            COORDINATOR => Some(Self { by: None }),
            worker => Some(Self { by: Some(worker as usize - 1) }),
        }
    }
}

/// How many participants a word says are withdrawn.
fn withdrawals(word: u32) -> u32 {
    word % SLEEPERS / WITHDRAWAL
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn nobody_overtakes() {
        for participants in [1, 2, 3, 8, 40] {
            let (barrier, count) = (Barrier::default(), AtomicUsize::new(0));
            let live = || {
                for round in 1..=50 {
                    count.fetch_add(1, Ordering::Relaxed);
                    barrier.arrive_and_wait(participants, SpinPolicy::new(participants as usize, 2)).unwrap();
                    assert!(count.load(Ordering::Relaxed) >= round * participants as usize);
                    barrier.arrive_and_wait(participants, SpinPolicy::new(participants as usize, 2)).unwrap();
                }
            };
            std::thread::scope(|threads| {
                let threads: Vec<_> = (0..participants).map(|_| threads.spawn(live)).collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
        }
    }

    #[test]
    fn crossings_wrap() {
        let barrier = Barrier::default();
        barrier.word.store((3 * CROSSING).wrapping_neg() | WITHDRAWAL, Ordering::Relaxed);
        for _ in 0..5000 {
            let mut early = barrier.arrive(3);
            assert_eq!(barrier.crossed(&mut early), Ok(false));
            let mut last = barrier.arrive(3);
            assert_eq!((barrier.crossed(&mut early), barrier.crossed(&mut last)), (Ok(true), Ok(true)));
        }
        assert_eq!(withdrawals(barrier.word.load(Ordering::Relaxed)), 1);
    }

    #[test]
    fn a_break_reaches_those_who_wait_and_those_who_come() {
        let barrier = Barrier::default();
        std::thread::scope(|threads| {
            let waiters: Vec<_> =
                (0..3).map(|_| threads.spawn(|| barrier.arrive_and_wait(5, SpinPolicy::new(5, 2)))).collect();
            barrier.break_for(Some(4));
            barrier.break_for(None);
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Err(Broken { by: Some(4) }));
            }
        });
        assert_eq!(barrier.arrive_and_wait(5, SpinPolicy::new(5, 2)), Err(Broken { by: Some(4) }));
    }

    #[test]
    fn a_crossing_that_happened_stays_true() {
        let barrier = Barrier::default();
        let mut early = barrier.arrive(2);
        let _last = barrier.arrive(2);
        barrier.break_for(None);
        assert_eq!(barrier.crossed(&mut early), Ok(true));
    }

    /// Else who has come to a barrier that somebody writes over would go on, and be counted at the next meeting as well.
    #[test]
    fn what_is_not_the_next_crossing_is_none() {
        let barrier = Barrier::default();
        for _ in 0..3 {
            barrier.arrive_and_wait(1, SpinPolicy::new(1, 2)).unwrap();
        }
        let mut arrival = barrier.arrive(2);
        barrier.word.store(0, Ordering::Relaxed);
        assert_eq!(barrier.crossed(&mut arrival), Err(Broken { by: None }));
    }

    #[test]
    fn a_withdrawal_lets_those_go_on_who_wait_and_those_who_come() {
        let barrier = Barrier::default();
        let spin_policy = SpinPolicy::new(5, 2);
        std::thread::scope(|threads| {
            let waiters: Vec<_> = (0..3).map(|_| threads.spawn(|| barrier.arrive_and_wait(5, spin_policy))).collect();
            let mut own = barrier.arrive(5);
            assert_eq!(barrier.crossed(&mut own), Ok(false));
            barrier.withdraw();
            while !barrier.crossed(&mut own).unwrap() {
                let (word, expected) = barrier.prepare_to_sleep(&own);
                futex::wait(word, expected, None);
            }
            waiters.into_iter().for_each(|waiter| waiter.join().unwrap().unwrap());
        });
        (0..3).for_each(|_| barrier.withdraw());
        barrier.arrive_and_wait(5, spin_policy).unwrap();
    }

    #[test]
    fn an_arrival_of_the_dead_is_void() {
        let barrier = Barrier::default();
        let _dead = barrier.arrive(3);
        let mut own = barrier.arrive(3);
        barrier.withdraw();
        assert_eq!(barrier.crossed(&mut own), Ok(false), "two are alive, and one of them has not come");
        let mut last = barrier.arrive(3);
        assert_eq!((barrier.crossed(&mut last), barrier.crossed(&mut own)), (Ok(true), Ok(true)));
    }

    #[test]
    fn who_will_not_wait_any_longer_breaks_it_unless_all_have_come() {
        let (barrier, spin_policy) = (Barrier::default(), SpinPolicy::new(3, 2));
        let mut early = barrier.arrive(2);
        let mut last = barrier.arrive(2);
        barrier.break_off(&early, 0);
        assert_eq!((barrier.crossed(&mut early), barrier.crossed(&mut last)), (Ok(true), Ok(true)));
        let soon = Instant::now() + std::time::Duration::from_millis(1);
        assert_eq!(
            barrier.arrive_and_wait_until(2, spin_policy, Some((soon, 1)), &futex::wait),
            Err(Broken { by: Some(1) })
        );
        assert_eq!(barrier.arrive_and_wait(2, spin_policy), Err(Broken { by: Some(1) }));
    }

    #[test]
    fn nonsense_in_its_words_ends_no_meeting_in_a_panic() {
        for lie in [1, 2, 0xfff, 0x1000, 0x7fff_fffe, u32::MAX] {
            let barrier = Barrier::default();
            for word in [&barrier.word, &barrier.count.0] {
                word.store(lie, Ordering::Relaxed);
            }
            let mut arrival = barrier.arrive(2);
            let _ = barrier.crossed(&mut arrival);
            barrier.withdraw();
            let _ = barrier.crossed(&mut arrival);
            barrier.break_for(Some(7));
            let _ = barrier.crossed(&mut arrival);
        }
    }
}
