//! How long to spin on a word before sleeping on it.

use super::atomic::{PAUSES, PAUSES_IN_A_ROW, YIELDS, spin_loop, yield_now};

/// How long to try before going to sleep.
///
/// Spinning pays while every participant has a CPU: a crossing costs 0.07 us instead of 10. With more participants than
/// CPUs it keeps the others from running (1 ms a crossing at 8 on 2 CPUs); giving way does not, and still beats sleeping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpinPolicy {
    cpus: bool,
}

impl SpinPolicy {
    /// For this many participants on this many CPUs.
    pub(crate) fn new(participants: usize, cpus: usize) -> Self {
        Self { cpus: participants <= cpus }
    }

    /// Waits a moment; false when it is time to sleep.
    pub(crate) fn pause(self, tries: &mut u32) -> bool {
        *tries += 1;
        match self.cpus && !tries.is_multiple_of(PAUSES_IN_A_ROW) {
            true => spin_loop(),
            false => yield_now(),
        }
        *tries <= if self.cpus { PAUSES } else { YIELDS }
    }
}
