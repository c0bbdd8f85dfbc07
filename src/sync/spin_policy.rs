//! How long to spin on a word before sleeping on it.

use super::atomic::{PAUSES, PAUSES_IN_A_ROW, YIELDS, give_way, spin_loop};

/// How long to try before going to sleep.
///
/// Spinning pays while every participant has a CPU: a crossing costs 0.07 us instead of 10. With more participants than
/// CPUs it keeps the others from running (1 ms a crossing at 8 on 2 CPUs); giving way does not, and still beats sleeping, unless
/// it is to programs that go on computing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpinPolicy {
    /// Participants on a CPU.
    sharers: u32,
}

impl SpinPolicy {
    /// For this many participants on this many CPUs.
    pub(crate) fn new(participants: usize, cpus: usize) -> Self {
        Self { sharers: participants.div_ceil(cpus) as u32 }
    }

    /// Waits a moment; false when it is time to sleep.
    pub(crate) fn pause(self, tries: &mut u32) -> bool {
        *tries += 1;
        let alone = self.sharers <= 1;
        let waits_on = match alone && !tries.is_multiple_of(PAUSES_IN_A_ROW) {
            true => {
                spin_loop();
                true
            }
            false => give_way(self.sharers),
        };
        waits_on && *tries <= if alone { PAUSES } else { YIELDS }
    }
}
