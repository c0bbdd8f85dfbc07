//! How a worker who stays waits between jobs: it comes to the end of one and sleeps until the call to the next.

use super::call::{Call, Heard};
use super::patience::Patience;
use super::words::{AtomicU64, Ordering};

/// What a worker hears of, and what it has said.
pub(crate) struct Ears {
    patience: Patience,
    heard: Heard,
    /// The last job that it knows of.
    job: u64,
}

impl Ears {
    /// Of one that has heard this call, and knows of this job.
    pub(crate) fn new(patience: Patience, heard: Heard, job: u64) -> Self {
        Self { patience, heard, job }
    }

    /// The last job that it has heard of.
    pub(crate) fn job(&self) -> u64 {
        self.job
    }

    /// Waits until there is another `job`.
    pub(crate) fn listen(&mut self, call: &Call, job: &AtomicU64) {
        let mut tries = 0;
        loop {
            self.heard = call.heard();
            let now = job.load(Ordering::Acquire);
            if now != self.job {
                self.job = now;
                return;
            }
            if !self.patience.pause(&mut tries) {
                call.sleep(self.heard);
            }
        }
    }
}
