//! What is kept of a job until its trace can be read.

use std::time::{Duration, Instant, SystemTime};

use crate::error::{Death, Error};
use crate::hooks::{Hooks, OnFailure};
use crate::lend::Loan;
use crate::report::{Memory, Report};
use crate::shared::page_fault_cost;
use crate::spec::JobSpec;
use crate::sync::ControlPage;
use crate::sys::memory::Access;
use crate::trace::{ArrayRecord, Facts, Trace};

/// What is kept of a job that runs.
pub(super) struct Recorder<'p> {
    wanted: bool,
    if_failed: Option<OnFailure<'p>>,
    called: Instant,
    started: SystemTime,
}

/// What a trace needs from the job, besides what its event logs say.
pub(super) struct FinishedJob<'r> {
    pub(super) page: &'r ControlPage,
    pub(super) loans: &'r [Loan<'r>],
    /// When the workers were begun with, and when the last was gone.
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

impl<'p> Recorder<'p> {
    /// One, if it is asked for; the job was called for at that time.
    pub(super) fn of(spec: &JobSpec, hooks: &mut Hooks<'p>, called: (Instant, SystemTime)) -> Option<Self> {
        let (wanted, if_failed) = (spec.record, hooks.on_failure.take());
        let (called, started) = called;
        (wanted || if_failed.is_some()).then_some(Self { wanted, if_failed, called, started })
    }

    /// Tells of a job that has failed, if anybody wants to know.
    pub(super) fn failed(mut self, job: &FinishedJob<'_>, mut report: Report, error: &Error) {
        let Some(told) = self.if_failed.take() else { return };
        if let Error::WorkerDied(death) = error {
            report.deaths.push(Death::clone(death));
        }
        report.failure = Some(error.to_string());
        report.trace = Some(self.trace(job, &report).into());
        told(report);
    }

    /// Gives a job that has ended well its trace, if it was wanted.
    pub(super) fn done(self, job: &FinishedJob<'_>, report: &mut Report) {
        if self.wanted {
            report.trace = Some(self.trace(job, report).into());
        }
    }

    fn trace(&self, job: &FinishedJob<'_>, report: &Report) -> Trace {
        let facts = Facts {
            slices: report.grid.slices(),
            started: self.started + (job.began - self.called),
            began: job.page.clock_at(job.began),
            wall: report.wall,
            preparing: job.began - self.called,
            gathering: job.ended.elapsed(),
            arrays: job.loans.iter().map(array).collect(),
            coordinator_memory: report.spec.measure_memory.then(|| Memory::of_this_process().unwrap_or_default()),
            deaths: &report.deaths,
            fault_cost: fault_cost(job.loans),
        };
        Trace::read(job.page, facts)
    }
}

/// What was lent.
fn array(loan: &Loan<'_>) -> ArrayRecord {
    ArrayRecord {
        output: loan.access == Access::Write,
        dtype: loan.dtype,
        shape: loan.extent.shape.to_vec(),
        bytes: loan.extent.bytes(),
        // Of a segment that cannot be asked nothing is told.
        segment: loan.backing.told().map_or(0, |told| told.inode),
    }
}

/// What a page fault costs in what was lent: the mean over the first arrays.
fn fault_cost(loans: &[Loan<'_>]) -> Duration {
    /// More arrays tell no more.
    const MOST: usize = 4;
    let costs: Vec<Duration> = loans
        .iter()
        .filter(|loan| !loan.lease.is_some_and(|(lease, _)| lease.is_wanted()))
        .take(MOST)
        .filter_map(|loan| page_fault_cost(loan.backing, loan.access))
        .collect();
    costs.iter().sum::<Duration>() / costs.len().max(1) as u32
}
