//! Many inputs, a result for each: workers whose slices are files, each worker with one file at a time; or one file after the other,
//! each by all workers, where there are fewer files than those.
//!
//! A worker of the first kind does for each of its files what the command does for one, serially, and in the same sandbox that is
//! its decoder's there. What goes wrong with a file is said of that file. What it says goes to the coordinator through a file in memory.

pub mod args;
mod found;
mod log;
mod output_names;
mod plan;
mod teller;

use std::time::Instant;

use parfork::formats::AtomicFile;
use parfork::{CancelToken, Engine, Error, Hooks, Job, JobSpec, Progress, Report, Shared, Split, cpus};
use parfork_workers::picture::DecodeWarning;
use serde_json::{Value, json};

use crate::args::common::Common;
use crate::failure::Failure;
use crate::kernel::args::Typed;
use crate::kernel::one;
use crate::output;
use crate::views::{self, Views};

use args::Answer;
use log::Log;
use plan::Course;
use teller::Teller;

pub use plan::Plan;

/// Does what is planned.
pub fn run(typed: &Typed, plan: &Plan) -> Result<(), Failure> {
    let (began, common, work) = (Instant::now(), &typed.common, plan.work());
    let workers = common.workers.unwrap_or_else(cpus);
    let by_files = common.engine == Engine::Processes && !common.verify && work.len() >= workers;
    if !by_files && (common.report.is_some() || common.trace.is_some()) {
        return Err(Failure::usage(
            "--report and --trace of many pictures are of worker processes that have a picture each. Leave out --engine and \
             --verify, and name as many pictures as workers.",
        ));
    }
    let views = common.views(typed.kernel.name())?;
    plan.make_folders()?;
    let mut teller = Teller::new(typed, plan, began);
    for (at, input) in plan.inputs.iter().enumerate() {
        match &input.course {
            Course::Work => {}
            Course::Skip => teller.skip(at),
            Course::SetAside(code, text) => teller.set_aside(at, *code, text),
        }
        go_on(typed, &teller)?;
    }
    let mut reports = Vec::new();
    let who = match by_files {
        _ if work.is_empty() => "worked on".to_owned(),
        true => {
            reports.extend(by_workers(typed, plan, &work, &views, &mut teller)?);
            format!("by {}", output::count(workers, "process"))
        }
        false => {
            one_by_one(typed, plan, &work, &mut teller)?;
            "one after the other".to_owned()
        }
    };
    let jobs: Vec<(String, &Report)> = reports.iter().map(|report| (typed.kernel.name().to_owned(), report)).collect();
    views.write(&format!("{} pictures", plan.inputs.len()), &jobs, None)?;
    let ended = teller.end(&who);
    if !common.quiet && !common.json {
        views::show(common, &reports);
    }
    ended
}

/// Fails if one was set aside and that is to be the end.
fn go_on(typed: &Typed, teller: &Teller<'_>) -> Result<(), Failure> {
    let stops = typed.many.as_ref().is_some_and(|many| many.keep_going == Answer::No);
    teller.first().filter(|_| stops).map_or(Ok(()), |code| Err(Failure::Left(code)))
}

/// Does one, and says what came of it; fails only when asked to stop.
fn done(at: usize, typed: &Typed) -> Result<Value, Failure> {
    let began = Instant::now();
    match one::run(typed, true) {
        Ok(summary) => {
            let (once, each): (Vec<_>, Vec<_>) =
                summary.warnings.iter().partition(|(_, warning)| matches!(warning, DecodeWarning::LeftBehind { .. }));
            let [once, each] =
                [once, each].map(|all| all.iter().map(|(_, warning)| warning.to_string()).collect::<Vec<_>>());
            let (facts, in_place) = (summary.facts, summary.in_place);
            let seconds = began.elapsed().as_secs_f64();
            Ok(json!({
                "at": at, "facts": facts, "in_place": in_place, "warnings": each, "warnings_once": once, "seconds": seconds
            }))
        }
        Err(stopped @ Failure::Stopped { .. }) => Err(stopped),
        Err(failure) => {
            let (code, text) = failure.into_parts();
            Ok(json!({ "at": at, "code": code, "text": text }))
        }
    }
}

/// One after the other, each by all workers.
fn one_by_one(typed: &Typed, plan: &Plan, work: &[usize], teller: &mut Teller<'_>) -> Result<(), Failure> {
    let common = &typed.common;
    let until = common.deadline.and_then(|span| Instant::now().checked_add(span));
    for &at in work {
        let deadline = until.map(|until| until.saturating_duration_since(Instant::now()));
        if deadline.is_some_and(|left| left.is_zero()) {
            let (done, all) = (teller.count(), plan.inputs.len());
            return Err(Failure::job(format!(
                "after its deadline {done} of {all} pictures were done. Give it more time."
            )));
        }
        let common = Common { deadline, json: false, quiet: true, report: None, trace: None, ..common.clone() };
        teller.show();
        teller.hear(&done(at, &plan.alone(at, typed, common))?);
        go_on(typed, teller)?;
    }
    Ok(())
}

/// By workers that have one each; the report of their job.
fn by_workers(
    typed: &Typed,
    plan: &Plan,
    work: &[usize],
    views: &Views,
    teller: &mut Teller<'_>,
) -> Result<Option<Report>, Failure> {
    let common = &typed.common;
    let log = Log::new().map_err(|error| {
        Failure::job(format!(
            "what workers say has no place in memory ({error}). Look at the limits of this process (ulimit -a)."
        ))
    })?;
    // A worker of its own for what only those can be kept to.
    let apart = common.sandbox.is_some() || common.guard || common.memory_limit.is_some();
    let alone = Common {
        workers: Some(1),
        engine: if apart { Engine::Processes } else { Engine::Serial },
        deadline: common.slice_deadline,
        slice_deadline: None,
        pin: false,
        report: None,
        trace: None,
        json: false,
        quiet: true,
        ..common.clone()
    };
    let mut read = 0;
    let progress: Progress<'_> = Box::new(|_, _| {
        log.hear(&mut read).iter().for_each(|said| teller.hear(said));
        teller.show();
    });
    let job = Job::from(JobSpec {
        name: Some(typed.kernel.name().to_owned()),
        workers: common.workers,
        split: Some(Split::rows().of(1)),
        retries: common.retries,
        deadline: common.deadline,
        record: common.is_recorded(),
        threads_per_worker: Some(common.threads_per_worker),
        pin: common.pin,
        ..JobSpec::default()
    });
    let hooks = Hooks {
        cancel_token: CancelToken::at_signals().ok(),
        progress: Some(progress),
        on_failure: views.of_failure(typed.kernel.name()),
        sandbox: None,
    };
    let files = Shared::<u8, _>::zeros(work.len())?;
    let ended = job.hooks(hooks).lend(&files).run(|worker, _| {
        let at = work[worker.region().index()];
        let said = done(at, &plan.alone(at, typed, alone.clone())).map_err(|stopped| stopped.into_parts().1)?;
        log.say(&said).map_err(|error| format!("nothing can be said any more ({error})"))?;
        let stops = said["code"].is_u64() && typed.many.as_ref().is_some_and(|many| many.keep_going == Answer::No);
        if stops { Err("a picture was set aside".to_owned()) } else { Ok(()) }
    });
    log.hear(&mut read).iter().for_each(|said| teller.hear(said));
    let error = match ended {
        Ok(answers) => return Ok(Some(answers.report().clone())),
        Err(error) => error,
    };
    // Who was killed may have left a file under a hidden name, which is removed by the next that would go to its place. Those who
    // were at work had one of the first that are not done.
    let open: Vec<usize> = work.iter().copied().filter(|&at| teller.is_open(at)).collect();
    for &at in &open[..open.len().min(common.workers.unwrap_or_else(cpus))] {
        drop(AtomicFile::at(&plan.inputs[at].output));
    }
    if let Some(signal) = CancelToken::at_signals()?.signal() {
        let (done, all) = (teller.count(), plan.inputs.len());
        let text = format!("stopped with {done} of {all} pictures done. To go on with the others add --newer.");
        return Err(Failure::Stopped { signal, text });
    }
    go_on(typed, teller)?;
    let Error::WorkerDied(death) = error else { return Err(error.into()) };
    for at in open {
        teller.set_aside(
            at,
            1,
            &format!("worker {} (pid {}) {}, and others too. Try it alone.", death.rank, death.pid, death.cause),
        );
    }
    Ok(None)
}
