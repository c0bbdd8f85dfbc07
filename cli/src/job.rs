//! A job as meant: the common flags turned into the library's job, and the report.

use std::path::PathBuf;
use std::time::Duration;

use parfork::{CancelToken, Engine, Hooks, Job, JobSpec, Report};
use parfork_workers::picture::DecodeWarning;
use parfork_workers::simd::Level;
use serde_json::{Map, Value, json};

use crate::args::common::{Common, Confinement};
use crate::failure::Failure;
use crate::files;
use crate::output;
use crate::views::{self, Views};

impl Common {
    /// One job, which says on a terminal how far it is.
    pub fn job(&self, what: &str, views: &Views) -> Job<'static> {
        Job::from(JobSpec {
            name: Some(what.to_owned()),
            record: self.is_recorded(),
            // It takes its time, which who reads only the summary would not be told.
            measure_memory: self.report.is_some() || self.json,
            ..self.spec()
        })
        .runner(self.engine)
        .hooks(Hooks {
            cancel_token: CancelToken::at_signals().ok(),
            // One slice of many would never fill the bar.
            progress: output::progress_bar(what, self.quiet || self.only_slice.is_some()),
            on_failure: views.of_failure(what),
            sandbox: self.sandbox.map(Confinement::sandbox),
        })
    }

    /// The run that `--verify` compares with.
    pub fn serially(&self) -> Job<'static> {
        Job::from(JobSpec { split: self.split, only_slice: self.only_slice, ..JobSpec::default() })
            .runner(Engine::Serial)
            .hooks(Hooks { cancel_token: CancelToken::at_signals().ok(), ..Hooks::default() })
    }
}

/// What `--verify` finds.
pub const SAME_BITS: &str = "same bits as serial";

/// The result of a job is another than that of the serial engine, or of a naive program.
pub fn differs(difference: &str) -> Failure {
    Failure::job(format!("{difference}. Report this: parfork promises the same bits."))
}

/// What the reports for programs are: docs/json.md. What breaks their readers changes the number.
pub const SCHEMA: &str = "parfork/1";

/// What is told of a job when it is done.
pub struct Summary {
    /// The subcommand.
    pub command: &'static str,
    /// Inputs, outputs and parameters.
    pub facts: Map<String, Value>,
    /// One line for people: what was done to what.
    pub line: String,
    /// What there is to say of pictures that were read.
    pub warnings: Vec<(PathBuf, DecodeWarning)>,
    /// Whether the result went into a file that cannot be replaced in one step.
    pub in_place: bool,
    /// One for each job run.
    pub reports: Vec<Report>,
    /// What each of them did.
    pub names: Vec<String>,
    /// Of the job that coded the output, if one did.
    pub filing: Option<Report>,
    /// From the start of the command to the result on disk.
    pub wall: Duration,
    /// What `--verify` found to be the same, if asked.
    pub verified: Option<String>,
    /// What else is to be left.
    pub views: Views,
}

impl Summary {
    /// Prints it as the flags ask: JSON on stdout, or a line on stderr, or nothing.
    pub fn tell(self, common: &Common) -> Result<(), Failure> {
        self.warnings.iter().for_each(|(path, warning)| files::warning(path, *warning, common.quiet));
        let json = common.json.then(|| self.to_json(common.only_slice));
        let jobs: Vec<(String, &Report)> = self.names.iter().cloned().zip(&self.reports).collect();
        self.views.write(&self.line, &jobs, self.filing.as_ref())?;
        if let Some(json) = json {
            return output::print_json(&json);
        }
        if !common.quiet {
            for death in self.reports.iter().chain(&self.filing).flat_map(|report| &report.deaths) {
                let place = death.slice.map_or("between slices".to_owned(), |slice| format!("on slice {slice}"));
                eprintln!("worker {} (pid {}) {} {place}; others did its work", death.rank, death.pid, death.cause);
            }
            let jobs: Duration = self.reports.iter().map(|report| report.wall).sum();
            let workers = self.reports.iter().map(|report| report.workers.len()).max().unwrap_or(0);
            let slices: usize =
                self.reports.iter().flat_map(|report| &report.workers).map(|worker| worker.slices.len()).sum();
            let who = match common.engine {
                Engine::Serial => "serially".to_owned(),
                Engine::Threads => format!("by {}", output::count(workers, "thread")),
                Engine::Processes => format!("by {}", output::count(workers, "process")),
            };
            let only = match common.only_slice {
                Some(slice) => format!("; of the last job slice {slice} alone was run, and no result was written"),
                None => String::new(),
            };
            let verified = self.verified.map_or(String::new(), |same| format!(", {same}"));
            // A picture that only gets another format takes no job.
            let worked = match self.reports.is_empty() {
                true => String::new(),
                false => format!("{} {who} in {}, ", output::duration(jobs), output::count(slices, "slice")),
            };
            let wall = output::duration(self.wall);
            eprintln!("{}: {worked}{wall} with files{verified}{only}", self.line);
            views::show(common, &self.reports);
        }
        Ok(())
    }

    fn to_json(&self, only_slice: Option<usize>) -> Value {
        let mut report = self.facts.clone();
        report.insert("schema".into(), json!(SCHEMA));
        report.insert("command".into(), json!(self.command));
        report.insert("simd".into(), json!(Level::current().ok().map(|level| level.to_string())));
        report.insert("wall_seconds".into(), json!(self.wall.as_secs_f64()));
        report.insert("only_slice".into(), json!(only_slice));
        report.insert("verified".into(), json!(self.verified.as_ref().map(|_| true)));
        report.insert("jobs".into(), self.reports.iter().map(job_json).collect());
        report.insert("filing".into(), self.filing.as_ref().map_or(Value::Null, job_json));
        Value::Object(report)
    }
}

fn job_json(report: &Report) -> Value {
    let workers: Vec<Value> = report
        .workers
        .iter()
        .enumerate()
        .map(|(rank, worker)| json!({ "rank": rank, "busy_seconds": worker.busy.as_secs_f64(), "slices": worker.slices }))
        .collect();
    json!({
        "engine": report.engine.to_string(),
        "shape": report.grid.shape(),
        "split": report.spec.split.unwrap_or_default().to_string(),
        "schedule": report.spec.schedule.unwrap_or_default().to_string(),
        "slices": report.grid.slices(),
        "wall_seconds": report.wall.as_secs_f64(),
        "workers": workers,
        "deaths": report.deaths.iter().map(|death| format!("{death:#}")).collect::<Vec<_>>(),
        "record": report.record(),
    })
}
