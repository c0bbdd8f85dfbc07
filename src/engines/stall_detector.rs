//! Detects a job that can never end though all its processes are alive: somebody has written over the words that they wait for.
//!
//! Nobody who waits at a barrier that is whole waits for long: the last to come lets all go on, and the dead are withdrawn. So if
//! all workers wait for others, asleep, and nothing changes from one look to the next, a word is not what it should be: an arrival
//! was wiped out, or a call. Without a deadline nobody else would notice.
//!
//! That they are asleep on such a word the kernel says, and nobody who could wake them is awake: ten looks in 200 ms are nine more
//! than a proof. Where the system does not tell it, a worker's own word is all there is, and it takes 5 s.

use std::time::{Duration, Instant};

use super::job_context::JobContext;
use crate::process::{Waiting, WorkerSet};

/// What the coordinator has seen of its workers.
pub(super) struct StallDetector {
    /// When it looked last.
    looked: Instant,
    /// How long after that to look again.
    pause: Duration,
    /// What all of them were doing then, and how often in a row.
    seen: Option<(u64, u32)>,
}

impl StallDetector {
    /// When to look first; then when twice as much time has passed, and so on until pauses are as long as the longest.
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_millis(500);
    /// How long between two looks while the kernel says that all are asleep.
    const SOON: Duration = Duration::from_millis(20);
    /// How many looks must show the same.
    const LOOKS: u32 = 10;

    pub(super) fn new() -> Self {
        Self { looked: Instant::now(), pause: Self::FIRST, seen: None }
    }

    /// When to look again at the latest.
    pub(super) fn next(&self) -> Instant {
        self.looked + self.pause
    }

    /// Whether the first `processes` workers wait for what will never come, or the control page is not the one that was made. Looks now
    /// and then.
    pub(super) fn look(&mut self, context: &JobContext<'_>, worker_set: &WorkerSet, processes: usize) -> bool {
        let since = self.looked.elapsed();
        if since < self.pause {
            return false;
        }
        self.looked = Instant::now();
        if context.page.is_header_damaged() {
            return true;
        }
        let waiting = worker_set.all_wait(processes);
        // Late by so much, this process was stopped, and its workers most likely with it.
        let was_stopped = since > self.pause + 3 * Self::LONGEST;
        self.pause = match waiting {
            Waiting::Asleep if !was_stopped => Self::SOON,
            Waiting::Claimed if !was_stopped => Self::LONGEST,
            _ => {
                self.pause = (2 * self.pause).min(Self::LONGEST);
                self.seen = None;
                return false;
            }
        };
        let doing = worker_set.activity();
        let looks = self.seen.filter(|&(before, _)| before == doing).map_or(1, |(_, looks)| looks + 1);
        self.seen = Some((doing, looks));
        looks > Self::LOOKS
    }
}
