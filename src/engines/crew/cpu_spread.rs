//! Workers apart: two that the system has put on one CPU, while another is idle, can stay there for seconds if their jobs are
//! short, for each sleeps or gives way too often to be moved; every job then takes twice as long.
//!
//! So each now and then notes which CPU it is on, and one that finds another there again and again moves away. Of two it is the
//! lower rank, so that a coordinator that works too, as the last, is never moved.

use crate::sync::ControlPage;
use crate::sys::cpu;

/// Jobs from one look to the next: a look costs as much as a tenth of an empty job.
const PAUSE: u64 = 16;

/// Looks in a row that show two together before one moves: the system has had its chance to part them.
const LOOKS: u32 = 8;

/// How often in a row this worker was found with another.
#[derive(Default)]
pub(super) struct CpuSpread {
    together: u32,
}

impl CpuSpread {
    /// Looks, in job number `job` with so many `workers`, if it is time to: moves worker `rank`, which calls this, if it has shared
    /// its CPU for long.
    pub(super) fn keep(&mut self, page: &ControlPage, job: u64, rank: usize, workers: usize) {
        if !job.is_multiple_of(PAUSE) {
            return;
        }
        // A worker that cannot be moved works as well, if not as fast.
        let Some(own) = note(page, rank) else { return };
        let others: Vec<_> =
            page.slots().iter().enumerate().take(workers).map(|(other, slot)| (other, slot.cpu())).collect();
        if self.moves(others.iter().any(|&(other, cpu)| other > rank && cpu == Some(own))) {
            let taken: Vec<usize> = others.iter().filter_map(|&(_, cpu)| cpu).collect();
            let _ = cpu::move_from(&taken);
        }
    }

    /// Whether one that is `together` with another, or not, now moves.
    fn moves(&mut self, together: bool) -> bool {
        self.together = if together { self.together + 1 } else { 0 };
        let moves = self.together == LOOKS;
        if moves {
            self.together = 0;
        }
        moves
    }
}

/// Notes the CPU of `rank`, which calls this, if it is time to.
pub(super) fn note_in(page: &ControlPage, job: u64, rank: usize) {
    if job.is_multiple_of(PAUSE) {
        note(page, rank);
    }
}

fn note(page: &ControlPage, rank: usize) -> Option<usize> {
    let own = cpu::current().ok()?;
    page.slots()[rank].note_cpu(own);
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_together_for_long_moves_once() {
        let mut apart = CpuSpread::default();
        assert!((1..LOOKS).all(|_| !apart.moves(true)));
        assert!(!apart.moves(false), "the system has parted them");
        assert!((1..LOOKS).all(|_| !apart.moves(true)));
        assert!(apart.moves(true));
        assert!((1..LOOKS).all(|_| !apart.moves(true)), "it takes a while to be seen elsewhere");
    }
}
