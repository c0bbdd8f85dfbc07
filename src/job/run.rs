//! How a job is run: plan, control page, spawn and supervise (an engine does that), collect.

use std::ops::Range;
use std::time::{Instant, SystemTime};

use super::collect::{Gather, collect, posted, written};
use super::page::control_page;
use super::plan::Plan;
use super::recorder::{FinishedJob, Recorder};
use super::run_each::Each;
use super::{Job, cpus};
use crate::answer::{Answer, Answers};
use crate::engine::Engine;
use crate::engines::{AnswerSink, JobContext, Ledger, Steps, Supervision, Undelivered, WorkerPool};
use crate::error::{Death, HowFar, Result};
use crate::hooks::Hooks;
use crate::lend::{Lend, Loan};
use crate::report::Report;
use crate::sandbox::Sandbox;
use crate::spec::JobSpec;
use crate::sync::{Dealer, JobInfo, Mailbox, Place, SpinPolicy};
use crate::sys::signals::SignalGuard;

/// Has a job's slices run by an engine's workers, or by those of a crew if there is one; the deaths it has survived.
pub(crate) type Work<'w> =
    dyn FnMut(&JobContext<'_>, &mut Supervision<'_>, Option<&mut WorkerPool>) -> Result<Vec<Death>> + 'w;

impl<L: Lend> Job<'_, L> {
    /// Runs the job as `work` has it done; its answers are handed on to `each`, if there is one, and else gathered.
    pub(crate) fn run_as<R: Answer<K>, K>(
        self,
        mut pool: Option<&mut WorkerPool>,
        each: Option<Each<'_, R::Value>>,
        work: &mut Work<'_>,
    ) -> Result<Answers<R::Value>> {
        let Self { mut lent, spec, runner, hooks } = self;
        let steps = spec.steps.unwrap_or(1);
        let (mut loans, mut ranges, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        lent.loans(&mut loans);
        lent.ranges(&mut ranges);
        let mailbox =
            R::GROWS.then(|| pool.as_deref_mut().map_or_else(Mailbox::new, WorkerPool::mailbox)).transpose()?;
        let in_order = each.as_ref().is_some_and(|each| each.in_order);
        let mut reader = each.map(|each| each.of::<R, K>(mailbox.clone()));
        let job = Lent {
            spec,
            engine: runner.engine(),
            hooks,
            loans,
            ranges,
            begin: &|| lent.begin(),
            answer: if R::GROWS { size_of::<[u64; Place::WORDS]>() } else { R::SIZE },
            mailbox: mailbox.as_ref(),
            to: reader.as_mut().map(|reader| (reader as &mut dyn AnswerSink, in_order)),
        };
        let (report, is_cut_short) = job.run(pool, work, &mut |page, ledger, late| {
            let gathered = match &mailbox {
                Some(mailbox) => posted::<R, K>(page, mailbox, ledger, late),
                None => written::<R, K>(page, ledger, late),
            };
            let Some(all) = gathered? else { return Ok(false) };
            answers = all;
            Ok(true)
        })?;
        // Planes of a job that was ended by what it hands answers on to are torn.
        if !is_cut_short {
            lent.finish(steps);
        }
        Ok(Answers::new(answers, report))
    }
}

/// A job without the types of what is lent and answered, so that this is compiled once and not for each body.
struct Lent<'p, 'l> {
    spec: JobSpec,
    engine: Engine,
    hooks: Hooks<'p>,
    loans: Vec<Loan<'l>>,
    ranges: Vec<Range<usize>>,
    /// Tells what is lent that the job begins to write to it.
    begin: &'l dyn Fn() -> Result<()>,
    /// How many bytes the slice table has for each answer.
    answer: usize,
    /// Where answers are, of which it says where.
    mailbox: Option<&'l Mailbox>,
    /// Whom answers are handed on to while others work, and whether in the order of slices.
    to: Option<(&'l mut dyn AnswerSink, bool)>,
}

impl Lent<'_, '_> {
    /// Runs it; whether it was ended by whom answers are handed on to.
    fn run(
        self,
        mut pool: Option<&mut WorkerPool>,
        work: &mut Work<'_>,
        gather: &mut Gather<'_>,
    ) -> Result<(Report, bool)> {
        let called = (Instant::now(), SystemTime::now());
        let Self { mut spec, engine, mut hooks, loans, ranges, begin, answer, mailbox, to } = self;
        let plan = Plan::new(&mut spec, engine, &hooks, (&loans, &ranges), pool.as_deref())?;
        let nothing = HowFar::nothing(plan.grid.slices(), plan.steps);
        let mut supervision = Supervision {
            spec: &spec,
            until: spec.deadline.and_then(|span| called.0.checked_add(span)),
            stop: hooks.cancel_token,
            progress: hooks.progress.take(),
            ledger: Ledger::new(plan.run.clone()),
            undelivered: to.map(|(to, in_order)| Undelivered::new(to, in_order, plan.run.clone())),
            died: None,
        };
        let delivers = supervision.undelivered.is_some();
        let late = supervision.late();
        let recorder = Recorder::of(&spec, &mut hooks, called);
        let protection = plan.protection(&spec, engine, &loans, &late);
        let protection = protection.map_err(|error| supervision.or_ended(error, nothing))?;
        let page = control_page(&plan, loans.len(), answer, recorder.is_some(), pool.as_deref(), &late);
        let page = page.map_err(|error| supervision.or_ended(error, nothing))?;

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
            dealer: Dealer {
                schedule: spec.schedule.unwrap_or_default(),
                slices: plan.run.len(),
                workers: plan.workers,
            },
            spin_policy: SpinPolicy::new(plan.workers, cpus()),
            delivers,
            mailbox,
            protection: &protection,
            sandbox: sandbox.as_ref(),
            stop: hooks.cancel_token.filter(|_| engine != Engine::Processes || coordinator_works),
        };
        let began = Instant::now();
        let _shown = page.publish_job(&JobInfo {
            name: spec.name.as_deref(),
            engine,
            schedule: spec.schedule.unwrap_or_default(),
            run: plan.run.clone(),
            lent: loans.iter().map(|loan| loan.backing.len() as u64).sum(),
            began,
        });
        let _hold = hooks.cancel_token.map(|_| SignalGuard::new());
        // However fast its workers would be.
        if supervision.are_to_end() {
            // What a crew's control page says is of the job before.
            return Err(supervision.ended(nothing));
        }
        begin()?;
        let deaths = work(&context, &mut supervision, pool.as_deref_mut());
        if let Some(sandbox) = &sandbox {
            sandbox.forward_rest(&late);
        }
        drop(late);

        let wall = began.elapsed();
        let ended = Instant::now();
        let is_cut_short = supervision.has_enough();
        let collected = collect(deaths, &page, &loans, supervision, gather);
        let mut report = Report::new(spec, engine, pool.is_some(), plan.grid, wall);
        report.addresses = loans.iter().map(Loan::address).collect();
        report.read(&page, plan.run);
        let finished = FinishedJob { page: &page, loans: &loans, began, ended };
        match collected {
            Ok(deaths) => {
                report.deaths = deaths;
                if let Some(mailbox) = mailbox {
                    mailbox.empty(&page.head().posted.0);
                }
                if let Some(recorder) = recorder {
                    recorder.done(&finished, &mut report);
                }
                Ok((report, is_cut_short))
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
