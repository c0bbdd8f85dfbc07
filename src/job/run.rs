//! How a job is run: plan, control page, spawn and supervise (an engine does that), collect.

use std::time::{Instant, SystemTime};

use super::collect::collect;
use super::page::control_page;
use super::plan::Plan;
use super::recorder::{FinishedJob, Recorder};
use super::run_each::Each;
use super::{Job, cpus};
use crate::answer::{Answer, Answers};
use crate::engine::Engine;
use crate::engines::{JobContext, Ledger, Steps, Supervision, Unhanded, WorkerPool};
use crate::error::{Death, Result};
use crate::lend::{Lend, Loan};
use crate::report::Report;
use crate::sandbox::Sandbox;
use crate::sync::{Dealer, JobInfo, Mailbox, Place, SpinPolicy};
use crate::sys::signals::SignalGuard;

impl<L: Lend> Job<'_, L> {
    /// Runs the job: `work` has it done by an engine's workers, or by those of a crew if there is one, and says which deaths
    /// it has survived.
    pub(crate) fn run_as<R: Answer<K>, K>(
        self,
        mut pool: Option<&mut WorkerPool>,
        each: Option<Each<'_, R::Value>>,
        work: impl FnOnce(&JobContext<'_>, &mut Supervision<'_>, Option<&mut WorkerPool>) -> Result<Vec<Death>>,
    ) -> Result<Answers<R::Value>> {
        let called = (Instant::now(), SystemTime::now());
        let Self { mut lent, mut spec, runner, mut hooks } = self;
        let engine = runner.engine();
        let mut loans = Vec::new();
        lent.loans(&mut loans);
        let mut ranges = Vec::new();
        lent.ranges(&mut ranges);

        let plan = Plan::new(&mut spec, engine, &hooks, (&loans, &ranges), pool.as_deref())?;
        let slices = plan.grid.slices();
        let mailbox = R::GROWS.then(Mailbox::new).transpose()?;
        let in_order = each.as_ref().is_some_and(|each| each.in_order);
        let mut reader = each.map(|each| each.of::<R, K>(mailbox.clone()));
        let unhanded = reader.as_mut().map(|reader| Unhanded::new(reader, in_order, plan.run.clone()));
        let hands_on = unhanded.is_some();
        let mut supervision = Supervision {
            spec: &spec,
            until: spec.deadline.and_then(|span| called.0.checked_add(span)),
            stop: hooks.cancel_token,
            progress: hooks.progress.take(),
            ledger: Ledger::new(plan.run.clone()),
            unhanded,
        };
        let late = supervision.late();
        let recorder = Recorder::of(&spec, &mut hooks, called);
        let protection = plan.protection(&spec, engine, &loans, &late);
        let protection = protection.map_err(|error| supervision.or_ended(error, 0, slices))?;
        let answer = if R::GROWS { size_of::<[u64; Place::WORDS]>() } else { R::SIZE };
        let page = control_page(&plan, loans.len(), answer, recorder.is_some(), pool.as_deref(), &late);
        let page = page.map_err(|error| supervision.or_ended(error, 0, slices))?;

        // Whether a process that is not to be killed works: it looks at requests to stop between slices.
        let coordinator_works = pool.as_ref().is_some_and(|pool| pool.coordinator_works());
        let sandbox = hooks.sandbox().map(Sandbox::prepare).transpose()?;
        let context = JobContext {
            spec: &spec,
            loans: &loans,
            ranges: &ranges,
            grid: &plan.grid,
            page: &page,
            steps: Steps::of(&spec, &loans),
            dealer: Dealer { schedule: spec.schedule, slices: plan.run.len(), workers: plan.workers },
            spin_policy: SpinPolicy::new(plan.workers, cpus()),
            hands_on,
            mailbox: mailbox.as_ref(),
            protection: &protection,
            sandbox: sandbox.as_ref(),
            stop: hooks.cancel_token.filter(|_| engine != Engine::Processes || coordinator_works),
        };
        let began = Instant::now();
        let _shown = page.publish_job(&JobInfo {
            name: spec.name.as_deref(),
            engine,
            schedule: spec.schedule,
            run: plan.run.clone(),
            lent: loans.iter().map(|loan| loan.backing.len() as u64).sum(),
            began,
        });
        let _hold = hooks.cancel_token.map(|_| SignalGuard::new());
        // However fast its workers would be.
        if supervision.are_to_end() {
            // What a crew's control page says is of the job before.
            return Err(supervision.ended(0, slices));
        }
        let steps = context.steps.as_ref().map_or(1, |steps| steps.count);
        lent.begin()?;
        let deaths = work(&context, &mut supervision, pool.as_deref_mut());
        if let Some(sandbox) = &sandbox {
            sandbox.forward_rest(&late);
        }
        drop(late);

        let wall = began.elapsed();
        let ended = Instant::now();
        // Planes of a job that was ended by what it hands answers on to are torn.
        let is_cut_short = supervision.has_enough();
        let collected = collect::<R, K>(deaths, &page, &loans, mailbox.as_ref(), supervision);
        let mut report = Report::new(spec, engine, pool.is_some(), plan.grid, wall);
        report.addresses = loans.iter().map(Loan::address).collect();
        report.read(&page, plan.run);
        let finished = FinishedJob { page: &page, loans: &loans, began, ended };
        match collected {
            Ok((deaths, answers)) => {
                report.deaths = deaths;
                if let Some(recorder) = recorder {
                    recorder.done(&finished, &mut report);
                }
                drop(loans);
                if !is_cut_short {
                    lent.finish(steps);
                }
                Ok(Answers::new(answers, report))
            }
            Err(error) => {
                // Whoever has written over the control page may be at work, and others with it.
                pool.into_iter().for_each(WorkerPool::end_workers);
                if let Some(recorder) = recorder {
                    recorder.failed(&finished, report, &error);
                }
                Err(error)
            }
        }
    }
}
