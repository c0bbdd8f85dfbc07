//! The control page and its parts: atomics in shared memory through which coordinator and workers agree. Whatever a worker leaves there
//! when it dies is a valid value.

mod atomic;
mod backlog;
mod barrier;
mod carried;
mod control_page;
mod dealer;
mod descriptor;
mod doorbell;
mod end;
mod event_log;
mod exit_message;
mod first_meeting;
pub(crate) mod held;
mod job_waiter;
mod key;
mod layout;
mod mailbox;
mod page_handle;
mod public_header;
mod slice_table;
mod snapshot;
mod spin_policy;
mod step_count;
mod tag;
mod values;
mod waits;
mod worker_slot;

pub(crate) use barrier::{Barrier, Sleep};
pub(crate) use carried::MOST as MOST_CARRIED;
pub(crate) use control_page::ControlPage;
pub(crate) use dealer::Dealer;
pub(crate) use descriptor::Posted;
pub(crate) use doorbell::{Doorbell, Ticket};
pub(crate) use end::{EndedEarly, RoundKey, WorkDigest};
pub(crate) use event_log::{Event, EventLog};
pub(crate) use exit_message::ExitMessage;
pub(crate) use job_waiter::JobWaiter;
pub(crate) use key::JobTag;
pub(crate) use layout::Layout;
pub(crate) use mailbox::{Mailbox, Outbox, Place};
pub(crate) use page_handle::PageHandle;
pub(crate) use slice_table::SliceState;
pub(crate) use snapshot::{Bytes, JobInfo, Snapshot, Unreadable, WorkerSnapshot, snapshot};
pub(crate) use spin_policy::SpinPolicy;
pub(crate) use values::MOST as MOST_VALUE;
pub(crate) use worker_slot::{Absence, WorkerSlot};

#[cfg(any(test, fuzzing))]
impl ControlPage {
    /// All that is on it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let bytes = self.segment().words::<std::sync::atomic::AtomicU8>(0, self.segment().len());
        bytes.iter().map(|byte| byte.load(std::sync::atomic::Ordering::Relaxed)).collect()
    }

    /// Writes over it, as far as there are bytes.
    pub(crate) fn overwrite(&self, with: &[u8]) {
        let bytes = self.segment().words::<std::sync::atomic::AtomicU8>(0, self.segment().len());
        bytes.iter().zip(with).for_each(|(byte, &new)| byte.store(new, std::sync::atomic::Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use proptest::prelude::*;

    use super::Dealer;
    use crate::slices::{Schedule, plan};

    proptest! {
        /// What a plan says is what a job's dealer gives to workers that come in the order of the plan.
        #[test]
        fn plans_deal_as_jobs_do(costs in prop::collection::vec(0.0..9.0, 0..200), workers in 1..20_usize, which in 0..4_usize) {
            let schedule: Schedule = ["static", "dynamic", "dynamic=7", "guided"][which].parse().unwrap();
            let dealer = Dealer { schedule, slices: costs.len(), workers };
            let (counter, mut asked) = (AtomicU64::new(0), vec![0; workers]);
            let turns = plan(schedule, &costs, workers);
            for run in turns.chunk_by(|one, next| one.run == next.run) {
                let rank = run[0].rank;
                let dealt = dealer.deal(&counter, rank, asked[rank]).unwrap();
                asked[rank] += 1;
                prop_assert!(run.iter().map(|turn| turn.slice).eq(dealt));
            }
            prop_assert!((0..workers).all(|rank| dealer.deal(&counter, rank, asked[rank]).is_none()));
        }
    }
}
