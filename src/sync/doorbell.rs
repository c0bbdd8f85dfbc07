//! The doorbell: a futex word that persistent workers sleep on between jobs, and that the coordinator counts up for each.
//!
//! Nobody is counted here. A worker that has not heard a call hears the next one instead; whoever must take part is missed at
//! the barrier where the job ends.

use super::atomic::{AtomicU32, Ordering, futex};

/// Set in the word while somebody may be asleep on it.
const SLEEPERS: u32 = 1;

/// What a call adds to the word.
const CALL: u32 = 2;

/// | bits 1..32               | bit 0                           |
/// |--------------------------|---------------------------------|
/// | how often workers were called | somebody may be asleep on this value |
///
/// Calls wrap: who slept through two thousand million of them would miss one more.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Doorbell(AtomicU32);

/// A call that a worker has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

impl Doorbell {
    /// Calls all who listen.
    pub(crate) fn ring(&self) {
        let mut word = self.0.load(Ordering::Relaxed);
        // Release: who hears the call finds what it is about.
        while let Err(changed) = self.0.compare_exchange_weak(
            word,
            (word & !SLEEPERS).wrapping_add(CALL),
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            word = changed;
        }
        if word & SLEEPERS != 0 {
            futex::wake_all(&self.0);
        }
    }

    /// The last call.
    pub(crate) fn last_ticket(&self) -> Ticket {
        Ticket(self.0.load(Ordering::Acquire) & !SLEEPERS)
    }

    /// Sleeps until the call after `last`. May return early: listen again.
    pub(crate) fn sleep(&self, last: Ticket) {
        let (word, asleep) = self.prepare_to_sleep(last);
        futex::wait(word, asleep, None);
    }

    /// Says that somebody is about to sleep: the word to sleep on, and its value until the call after `last`.
    pub(crate) fn prepare_to_sleep(&self, last: Ticket) -> (&AtomicU32, u32) {
        let asleep = last.0 | SLEEPERS;
        // Relaxed: it publishes nothing. If it fails the bit is there already, or there was a call.
        let _ = self.0.compare_exchange(last.0, asleep, Ordering::Relaxed, Ordering::Relaxed);
        (&self.0, asleep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_heard_by_those_who_wait_for_it() {
        let (call, back) = (Doorbell::default(), Doorbell::default());
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for _ in 0..1000 {
                    let last = back.last_ticket();
                    call.ring();
                    while back.last_ticket() == last {
                        back.sleep(last);
                    }
                }
            });
            let mut last = Ticket(0);
            for _ in 0..1000 {
                while call.last_ticket() == last {
                    call.sleep(last);
                }
                last = call.last_ticket();
                back.ring();
            }
        });
    }
}
