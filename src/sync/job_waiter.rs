//! How a persistent worker waits between jobs: it spins for a while, then sleeps on the doorbell.

use super::atomic::{AtomicU64, Ordering};
use super::doorbell::{Doorbell, Ticket};
use super::spin_policy::SpinPolicy;

/// What a worker hears of, and what it has said.
pub(crate) struct JobWaiter {
    spin_policy: SpinPolicy,
    ticket: Ticket,
    /// The last job that it knows of.
    job: u64,
}

impl JobWaiter {
    /// Of one that has heard this call, and knows of this job.
    pub(crate) fn new(spin_policy: SpinPolicy, ticket: Ticket, job: u64) -> Self {
        Self { spin_policy, ticket, job }
    }

    /// The last job that it has heard of.
    pub(crate) fn job(&self) -> u64 {
        self.job
    }

    /// Waits until there is another `job`.
    pub(crate) fn wait_for_job(&mut self, call: &Doorbell, job: &AtomicU64) {
        let mut tries = 0;
        loop {
            self.ticket = call.last_ticket();
            let now = job.load(Ordering::Acquire);
            if now != self.job {
                self.job = now;
                return;
            }
            if !self.spin_policy.pause(&mut tries) {
                call.sleep(self.ticket);
            }
        }
    }
}
