//! One run in a process of its own: makes or reads the input, runs the job as often as it is to warm up, and once more for its time.
//!
//! A process of its own, because a process that has had threads can no longer fork safely; and because where code and data
//! happen to lie in memory is then drawn anew for each run, instead of favouring one engine for all of them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::{CommandExt, parent_id};
use std::process::Command;
use std::time::Duration;

use crate::scaling::Rng;
use nix::sys::resource::UsageWho;
use nix::sys::signal::Signal;
use parfork::record::Part;
use parfork::{Engine, JobSpec, Report};
use parfork_workers::kernel::{ArgValues, Files, Kernel};
use serde_json::{Value, json};

use super::args::Size;
use super::job::Job;
use super::lost::LostTime;
use super::runs::Outcome;
use crate::cpu_time::{cpu_seconds, now};
use crate::failure::Failure;
use crate::output;

/// What a run is told; see `Plan::order`.
struct Order {
    job: Job,
    engine: Option<Engine>,
    workers: usize,
    size: Option<Size>,
    schedule: parfork::Schedule,
    split: Option<parfork::Split>,
    retries: u32,
    guard: bool,
    threads_per_worker: usize,
    pin: bool,
    warm_up: u64,
    parent: u64,
}

impl Order {
    fn read(text: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(text).ok()?;
        let setup = super::plan::Setup::of_json(&json)?;
        let settings = &json["settings"];
        Some(Self {
            job: Job::of_json(&json["job"])?,
            engine: setup.engine,
            workers: setup.workers,
            size: setup.size,
            schedule: setup.schedule,
            split: settings["split"].as_str().map(str::parse).transpose().ok()?,
            retries: settings["retries"].as_u64()?.try_into().ok()?,
            guard: settings["guard"].as_bool()?,
            threads_per_worker: settings["threads_per_worker"].as_u64()?.try_into().ok()?,
            pin: settings["pin"].as_bool()?,
            warm_up: settings["warm_up"].as_u64()?,
            parent: json["parent"].as_u64()?,
        })
    }

    fn job(&self) -> parfork::Job<'static> {
        let processes = self.engine == Some(Engine::Processes);
        parfork::Job::from(JobSpec {
            workers: Some(self.workers),
            split: self.split,
            // One that was not asked for is whatever suits the job.
            schedule: Some(self.schedule).filter(|&schedule| schedule != parfork::Schedule::default()),
            retries: if processes { self.retries } else { 0 },
            guard: self.guard && processes,
            threads_per_worker: Some(self.threads_per_worker),
            pin: self.pin && processes,
            record: true,
            ..JobSpec::default()
        })
        .runner(self.engine.unwrap_or_default())
    }

    /// Runs the job as often as it is to be run; the reports of the last time.
    fn measure(&self, kernel: &dyn Kernel, given: &ArgValues) -> Result<Vec<Report>, Failure> {
        let task = match &self.size {
            Some(size) => {
                let mut rng = Rng::seeded(1);
                kernel.made_up(given, &size.0, &mut || rng.unit())?
            }
            None => kernel.open(given, &Files::new(false, &parfork::Job::default))?,
        };
        let mut output = task.output()?;
        // Of several jobs all are set alike.
        let mut run = || task.run(&mut |_| self.job(), &mut output);
        for _ in 0..self.warm_up {
            run()?;
        }
        Ok(run()?)
    }
}

/// What is to be run, if this process was started to make a run: `parfork measure ORDER`.
pub fn order(mut arguments: impl Iterator<Item = OsString>) -> Option<String> {
    let asked = arguments.nth(1)? == "measure";
    arguments.next().filter(|_| asked)?.into_string().ok()
}

/// Makes the run that `text` tells of, and prints what it took.
pub fn run(text: &str) -> Result<(), Failure> {
    let order = Order::read(text)
        .ok_or_else(|| Failure::usage("this is for parfork scale, which tells what to run. Call that instead."))?;
    // Nobody would wait for a run whose parent is gone.
    let orphaned =
        |error| Failure::job(format!("the end of parfork scale cannot be asked for ({error}). Report this."));
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(orphaned)?;
    if u64::from(parent_id()) != order.parent {
        return Err(Failure::job("parfork scale, which wanted this run, is gone."));
    }
    let reports = match &order.job {
        Job::Exec { command } => return Err(exec(&order, command)),
        Job::Kernel { kernel, given } => order.measure(*kernel, given)?,
    };
    let records = || reports.iter().filter_map(Report::record);
    let computing = records().map(|record| record.waterfall().of(Part::Computing)).sum::<Duration>().as_secs_f64();
    let seconds = reports.iter().map(|report| report.wall).sum::<Duration>().as_secs_f64();
    let cpu_seconds = cpu_seconds(UsageWho::RUSAGE_SELF) + cpu_seconds(UsageWho::RUSAGE_CHILDREN);
    let outcome = Outcome { seconds, computing: Some(computing), cpu_seconds, lost: LostTime::of(&reports) };
    output::print_json(&outcome.to_json())
}

/// A word with the numbers in it.
fn filled_in(word: &OsStr, workers: &str, size: &str) -> OsString {
    // A letter for each byte, so that it need not be UTF-8.
    let text: String = word.as_bytes().iter().map(|&byte| char::from(byte)).collect();
    let text = text.replace("{workers}", workers).replace("{size}", size);
    OsString::from_vec(text.chars().map(|letter| letter as u8).collect())
}

/// Says when it begins, and becomes the command; the failure if it cannot.
fn exec(order: &Order, command: &[OsString]) -> Failure {
    let (workers, size) = (order.workers.to_string(), order.size.as_ref().map(ToString::to_string).unwrap_or_default());
    let words: Vec<OsString> = command.iter().map(|word| filled_in(word, &workers, &size)).collect();
    let nowhere = match File::options().write(true).open("/dev/null") {
        Ok(file) => file,
        Err(error) => return Failure::job(format!("/dev/null cannot be opened ({error}).")),
    };
    let mut line = std::io::stdout().lock();
    let began = json!({ "began": now(), "cpu_seconds": cpu_seconds(UsageWho::RUSAGE_SELF) });
    if let Err(error) = writeln!(line, "{began}").and_then(|()| line.flush()) {
        return error.into();
    }
    let error = match nix::unistd::dup2_stdout(&nowhere) {
        Ok(()) => Command::new(&words[0]).args(&words[1..]).env("PARFORK_WORKERS", workers).exec(),
        Err(error) => error.into(),
    };
    Failure::input(format!(
        "{} cannot be run in {} ({error}). Look at its name.",
        words[0].display(),
        env::current_dir().unwrap_or_default().display()
    ))
}
