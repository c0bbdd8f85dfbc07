//! Notices that a job will never end though everybody lives: somebody has written over the words by which they meet.
//!
//! Nobody who waits at a barrier that is whole waits for long: the last to come lets all go on, and the dead are withdrawn. So if
//! all workers wait for others, asleep, and nothing changes for seconds, a word is not what it should be: an arrival was wiped
//! out, or a call. Without a deadline nobody else would notice.

use std::time::{Duration, Instant};

use super::work::Work;
use crate::process::Crowd;

/// What the coordinator has seen of its workers.
pub(super) struct Standstill {
    /// When it looked last.
    looked: Instant,
    /// What all of them were doing then, and how often in a row.
    seen: Option<(u64, u32)>,
}

impl Standstill {
    /// How long between two looks.
    const PAUSE: Duration = Duration::from_millis(500);
    /// How many looks must show the same: 5 s. Between a worker's word that it waits and its arrival are a few instructions.
    const LOOKS: u32 = 10;

    pub(super) fn new() -> Self {
        Self { looked: Instant::now(), seen: None }
    }

    /// Whether the first `processes` workers wait for what will never come, or the board is not the one that was made. Looks now
    /// and then.
    pub(super) fn look(&mut self, work: &Work<'_>, crowd: &Crowd, processes: usize) -> bool {
        let since = self.looked.elapsed();
        if since < Self::PAUSE {
            return false;
        }
        self.looked = Instant::now();
        if work.board.is_defaced() {
            return true;
        }
        // This process was stopped, and its workers most likely with it.
        if since > 4 * Self::PAUSE || !crowd.all_wait(processes) {
            self.seen = None;
            return false;
        }
        let doing = crowd.doing();
        let looks = self.seen.filter(|&(before, _)| before == doing).map_or(1, |(_, looks)| looks + 1);
        self.seen = Some((doing, looks));
        looks > Self::LOOKS
    }
}
