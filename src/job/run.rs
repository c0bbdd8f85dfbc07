//! How a job is put together: cut, control page, work, answers.

use std::time::{Instant, SystemTime};

use bytemuck::Pod;

use super::recorder::{Recorder, Remains};
use super::{Job, cpus};
use crate::answer::{Answer, Answers};
use crate::engine::{Engine, MOST_WORKERS};
use crate::engines::{JobContext, Ledger, OutputProtection, Supervision, WorkerConfig, WorkerPool};
use crate::error::{Death, Error, Result};
use crate::lend::{Lend, Loan, cut};
use crate::report::Report;
use crate::sandbox::{Confinement, Sandbox};
use crate::settings::{RetryPolicy, Settings};
use crate::sync::{ControlPage, Dealer, EventLog, JobInfo, Layout, SpinPolicy};
use crate::sys::memory::Access;
use crate::sys::signals::SignalGuard;

impl<L: Lend> Job<'_, L> {
    /// Cuts, makes the control page, lets `engine` work, gathers; with a crew's hands if there are any.
    pub(crate) fn run_as<R: Answer>(
        self,
        mut pool: Option<&mut WorkerPool>,
        engine: impl FnOnce(&JobContext<'_>, &mut Supervision<'_>, Option<&mut WorkerPool>) -> Result<Vec<Death>>,
    ) -> Result<Answers<R::Value>> {
        let called = (Instant::now(), SystemTime::now());
        let mut settings = self.settings;
        let mut recorder = Recorder::of(&mut settings, called);
        let (usual, most) = pool.as_ref().map_or((cpus(), MOST_WORKERS), |pool| (pool.ranks(), pool.ranks()));
        let asked = settings.workers.unwrap_or(usual);
        if asked == 0 || asked > most {
            return Err(Error::Workers { asked, most });
        }
        let mut loans = Vec::new();
        self.lent.loans(&mut loans);
        let split = settings.split.unwrap_or_default();
        loans.iter().try_for_each(|loan| loan.backing.own())?;
        let grid = cut(split, &loans)?;
        let addresses = loans.iter().map(Loan::address).collect();
        check(&settings, &loans, pool.as_ref().is_some_and(|pool| pool.coordinator_works()))?;
        let processes = settings.engine == Engine::Processes;
        let undo = processes && settings.retries > 0 && settings.retry_policy == RetryPolicy::RestoreOutputs;
        let slices = grid.slices();
        let only = settings.only_slice;
        if let Some(slice) = only.filter(|&slice| slice >= slices) {
            return Err(Error::NoSuchSlice { slice, slices });
        }
        let run = only.map_or(0..slices, |slice| slice..slice + 1);
        let mut supervision = Supervision {
            deadline: settings.deadline.map(|span| (span, called.0.checked_add(span))),
            slice_deadline: settings.slice_deadline,
            stop: settings.cancel_token,
            progress: settings.progress.take(),
            ledger: Ledger::new(run.clone()),
        };
        let late = supervision.late();
        let protection = OutputProtection::new(&loans, &grid, undo, settings.guard, &late);
        let protection = protection.map_err(|error| supervision.or_ended(error, 0, slices))?;
        let workers = if settings.engine == Engine::Serial { 1 } else { asked.min(run.len()).max(1) };
        if let Some(recorder) = &mut recorder {
            recorder.with(workers, pool.is_some());
        }
        let log = if recorder.is_some() { EventLog::entries(workers, run.len()) } else { 0 };
        let layout = Layout { workers, slices, loans: loans.len(), answer: size_of::<R::Value>(), log };
        let page = match &pool {
            None => ControlPage::new(layout, &late),
            Some(pool) => pool.page(layout).and_then(|page| page.clear_logs(&late).map(|()| page)),
        };
        let page = page.map_err(|error| supervision.or_ended(error, 0, slices))?;
        // Whether a process that is not to be killed works: it looks at requests to stop between slices.
        let coordinator_works = pool.as_ref().is_some_and(|pool| pool.coordinator_works());
        let sandbox = settings.sandbox().map(Sandbox::prepare).transpose()?;
        let work = JobContext {
            loans: &loans,
            grid: &grid,
            page: &page,
            dealer: Dealer { schedule: settings.schedule, slices: run.len(), workers },
            spin_policy: SpinPolicy::new(workers, cpus()),
            timed: settings.slice_deadline.is_some(),
            measure_memory: settings.measure_memory,
            retries: settings.retries,
            protection: &protection,
            memory_limit: settings.memory_limit,
            sandbox: sandbox.as_ref(),
            stop: settings.cancel_token.filter(|_| !processes || coordinator_works),
            continue_after_death: settings.continue_after_death,
            worker_config: WorkerConfig {
                threads: settings.threads_per_worker.unwrap_or(1),
                pin: settings.pin,
                confined: sandbox.as_ref().is_some_and(Confinement::confines_workers),
            },
            only,
        };
        let began = Instant::now();
        let _shown = page.publish_job(&JobInfo {
            name: settings.name.as_deref(),
            engine: settings.engine,
            schedule: settings.schedule,
            run: run.clone(),
            lent: loans.iter().map(|loan| loan.backing.len() as u64).sum(),
            began,
        });
        let _hold = settings.cancel_token.map(|_| SignalGuard::new());
        // However fast its workers would be.
        if supervision.are_to_end() {
            // What a crew's control page says is of the job before.
            return Err(supervision.ended(0, slices));
        }
        let deaths = engine(&work, &mut supervision, pool.as_deref_mut());
        if let Some(sandbox) = &sandbox {
            sandbox.forward_rest(&late);
        }
        let mut report = Report {
            engine: settings.engine,
            split,
            schedule: settings.schedule,
            grid: grid.clone(),
            workers: Vec::new(),
            deaths: Vec::new(),
            addresses,
            wall: began.elapsed(),
            #[cfg(feature = "record")]
            record: None,
        };
        let ended = Instant::now();
        report.read(&page, run.clone());
        let remains = Remains { page: &page, loans: &loans, began, ended, measure_memory: settings.measure_memory };
        let done = deaths.and_then(|deaths| {
            unchanged(&loans)?;
            Ok((deaths, answers(&page, &mut supervision)?))
        });
        let answers = match done {
            Ok((deaths, answers)) => {
                report.deaths = deaths;
                answers
            }
            Err(error) => {
                // Whoever has written over the control page may be at work, and others with it.
                pool.into_iter().for_each(WorkerPool::end_workers);
                if let Some(recorder) = recorder {
                    recorder.failed(&remains, report, &error);
                }
                return Err(error);
            }
        };
        if let Some(recorder) = recorder {
            recorder.done(&remains, &mut report);
        }
        Ok(Answers::new(answers, report))
    }
}

/// The answers of the slices that were run, which are all done.
fn answers<A: Pod>(page: &ControlPage, supervision: &mut Supervision<'_>) -> Result<Vec<A>> {
    let mut answers = Vec::new();
    let late = supervision.late();
    let gathered = supervision.ledger.gather(page, late, |read| {
        let mut answer = A::zeroed();
        let state = read(bytemuck::bytes_of_mut(&mut answer));
        answers.push(answer);
        state
    });
    match gathered? {
        true => Ok(answers),
        false => Err(supervision.ended(page.done(), page.layout().slices)),
    }
}

/// Refuses what was made of files that were written to meanwhile: the coordinator looks at its leases, unless it is stopped.
fn unchanged(loans: &[Loan<'_>]) -> Result<()> {
    match loans.iter().filter_map(|loan| loan.lease).find(|(lease, _)| lease.is_void()) {
        None => Ok(()),
        Some((_, path)) => Err(Error::File {
            path: path.to_owned(),
            what: "another program wrote to it while it was read".to_owned(),
            remedy: "run this again when that is done".to_owned(),
        }),
    }
}

/// Refuses settings that cannot be kept.
fn check(settings: &Settings<'_>, loans: &[Loan<'_>], coordinator_works: bool) -> Result<()> {
    let is_away = loans.iter().any(|loan| loan.base.is_none());
    if is_away && coordinator_works {
        let what = "a mapped file cannot be lent to a crew whose coordinator works too. Read it (Shared::load).";
        return Err(Error::Crew(what.to_owned()));
    }
    let processes_only = [
        ("a mapped file", is_away),
        ("a deadline for slices", settings.slice_deadline.is_some()),
        ("a limit of memory", settings.memory_limit.is_some()),
        ("a guard", settings.guard),
        ("binding to CPUs", settings.pin),
        ("a sandbox", settings.sandbox().is_some()),
        ("a crew", settings.crew.is_some()),
    ];
    match processes_only.into_iter().find(|(_, asked)| *asked) {
        Some((what, _)) if settings.engine != Engine::Processes => Err(Error::Engine { what, engine: settings.engine }),
        _ if settings.engine == Engine::Processes
            && settings.retries > 0
            && settings.retry_policy == RetryPolicy::Forbid
            && loans.iter().any(|loan| loan.access == Access::Write) =>
        {
            Err(Error::RetriesForbidden { retries: settings.retries })
        }
        _ => Ok(()),
    }
}
