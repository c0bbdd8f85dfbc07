//! What is kept of a job until its record can be made.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::engine::Engine;
use crate::error::{Death, Error};
use crate::hooks::{Hooks, OnFailure};
use crate::lend::Loan;
use crate::record::{ArrayRecord, Facts, Options, Record};
use crate::report::{Memory, Report};
use crate::shared::page_fault_cost;
use crate::spec::JobSpec;
use crate::sync::ControlPage;
use crate::sys::memory::Access;

/// The record of a job that runs.
pub(super) struct Recorder<'p> {
    options: Options,
    wanted: bool,
    measures_memory: bool,
    if_failed: Option<OnFailure<'p>>,
    called: Instant,
    started: SystemTime,
}

/// What a record needs from the job, besides what its event logs say.
pub(super) struct Remains<'r> {
    pub(super) page: &'r ControlPage,
    pub(super) loans: &'r [Loan<'r>],
    /// When the workers were begun with, and when the last was gone.
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

impl<'p> Recorder<'p> {
    /// One, if it is asked for; the job was called for at that time.
    pub(super) fn of(
        spec: &JobSpec,
        hooks: &mut Hooks<'p>,
        engine: Engine,
        crew: bool,
        called: (Instant, SystemTime),
    ) -> Option<Self> {
        let (wanted, if_failed) = (spec.record, hooks.on_failure.take());
        (wanted || if_failed.is_some()).then(|| Self {
            options: options(spec, engine, crew),
            wanted,
            measures_memory: spec.measure_memory,
            if_failed,
            called: called.0,
            started: called.1,
        })
    }

    /// Tells of a job that has failed, if anybody wants to know.
    pub(super) fn failed(mut self, job: &Remains<'_>, mut report: Report, error: &Error) {
        let Some(told) = self.if_failed.take() else { return };
        if let Error::WorkerDied(death) = error {
            report.deaths.push(Death::clone(death));
        }
        told(Record::read(job.page, self.facts(job, &report, Some(error.to_string()))));
    }

    /// Gives a job that has ended well its record, if it was wanted.
    pub(super) fn done(self, job: &Remains<'_>, report: &mut Report) {
        if self.wanted {
            report.record = Some(Arc::new(Record::read(job.page, self.facts(job, report, None))));
        }
    }

    fn facts(self, job: &Remains<'_>, report: &Report, failure: Option<String>) -> Facts {
        Facts {
            options: self.options,
            failure,
            grid: report.grid.clone(),
            started: self.started + (job.began - self.called),
            began: job.page.clock_at(job.began),
            wall: report.wall,
            preparing: job.began - self.called,
            gathering: job.ended.elapsed(),
            arrays: arrays(job.loans, report),
            memories: report.workers.iter().map(|worker| worker.memory).collect(),
            coordinator_memory: self.measures_memory.then(|| Memory::of_this_process().unwrap_or_default()),
            deaths: report.deaths.clone(),
            fault_cost: fault_cost(job.loans),
        }
    }
}

/// What of the settings is recorded.
fn options(settings: &JobSpec, engine: Engine, crew: bool) -> Options {
    Options {
        engine,
        crew,
        workers: settings.workers.unwrap_or_default(),
        split: settings.split.unwrap_or_default(),
        schedule: settings.schedule,
        retries: settings.retries,
        guard: settings.guard,
        pin: settings.pin,
        threads_per_worker: settings.threads_per_worker.unwrap_or(1),
        deadline: settings.deadline,
        slice_deadline: settings.slice_deadline,
        memory_limit: settings.memory_limit,
        only_slice: settings.only_slice,
    }
}

/// What was lent, and where everybody had it.
fn arrays(loans: &[Loan<'_>], report: &Report) -> Vec<ArrayRecord> {
    let array = |(number, loan): (usize, &Loan<'_>)| {
        ArrayRecord {
            output: loan.access == Access::Write,
            dtype: loan.dtype,
            shape: loan.extent.shape.to_vec(),
            bytes: loan.extent.bytes(),
            // Of a segment that cannot be asked nothing is told.
            segment: loan.backing.told().map_or(0, |told| told.inode),
            coordinator: report.addresses[number],
            workers: report.workers.iter().map(|worker| worker.addresses[number]).collect(),
        }
    };
    loans.iter().enumerate().map(array).collect()
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
