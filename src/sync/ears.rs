//! How a worker who stays waits between jobs: it comes to the end of one and sleeps until the call to the next.
//!
//! At the end it does not sleep on the barrier, so that it is woken once a job. What it then does not hear of, a withdrawal that
//! makes its arrival void, must be called out as well.

use super::barrier::{Arrival, Barrier};
use super::call::{Call, Heard};
use super::patience::Patience;
use super::words::{AtomicU64, Ordering};

/// What a worker hears of, and what it has said.
pub(crate) struct Ears {
    patience: Patience,
    heard: Heard,
    /// The last job that it knows of.
    job: u64,
    /// At the end of the last job, as long as not all are known to have come.
    arrival: Option<Arrival>,
}

impl Ears {
    /// Of one that has heard this call, and knows of this job.
    pub(crate) fn new(patience: Patience, heard: Heard, job: u64) -> Self {
        Self { patience, heard, job, arrival: None }
    }

    /// The last job that it has heard of.
    pub(crate) fn job(&self) -> u64 {
        self.job
    }

    /// Notes that it has come to the end of that job.
    pub(crate) fn come(&mut self, arrival: Arrival) {
        self.arrival = Some(arrival);
    }

    /// Waits until there is another `job`. When somebody dies before the `end` of the last one, comes to it once more.
    pub(crate) fn listen(&mut self, call: &Call, job: &AtomicU64, end: &Barrier) {
        let mut tries = 0;
        loop {
            self.heard = call.heard();
            let now = job.load(Ordering::Acquire);
            if now != self.job {
                (self.job, self.arrival) = (now, None);
                return;
            }
            if self.arrival.as_mut().is_some_and(|arrival| end.crossed(arrival) != Ok(false)) {
                self.arrival = None;
            }
            if !self.patience.pause(&mut tries) {
                call.sleep(self.heard);
            }
        }
    }
}
