//! Which runs there are to make, and in what order.

use std::collections::HashSet;
use std::fs;

use crate::scaling::Rng;
use parfork::{Engine, Schedule, cpus};
use serde_json::{Value, json};

use super::args::{Flags, Scale, Size};
use super::job::Job;
use crate::failure::Failure;

/// What runs have in common that are repetitions of each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setup {
    /// Who works; nobody of ours on a command.
    pub engine: Option<Engine>,
    /// How many workers.
    pub workers: usize,
    /// The size for one worker, if the input is made up.
    pub size: Option<Size>,
    /// How slices are given out.
    pub schedule: Schedule,
}

impl Setup {
    /// Its engine, or `exec`.
    pub fn engine_name(&self) -> String {
        self.engine.map_or("exec".to_owned(), |engine| engine.to_string())
    }

    /// As it is kept in files.
    pub fn to_json(&self) -> Value {
        json!({
            "engine": self.engine_name(),
            "workers": self.workers,
            "size": self.size.as_ref().map(ToString::to_string),
            "schedule": self.schedule.to_string(),
        })
    }

    /// What was kept.
    pub fn of_json(json: &Value) -> Option<Self> {
        let engine = match json["engine"].as_str()? {
            "exec" => None,
            name => Some(name.parse().ok()?),
        };
        let size = json["size"].as_str().map(str::parse).transpose().ok()?;
        let workers = json["workers"].as_u64().filter(|&workers| workers > 0)? as usize;
        Some(Self { engine, workers, size, schedule: json["schedule"].as_str()?.parse().ok()? })
    }
}

/// All that is to be run.
#[derive(Debug)]
pub struct Plan {
    /// The job.
    pub job: Job,
    /// The flags as typed.
    pub flags: Flags,
    /// What is run once each round: serial first, then by size, schedule, engine and number of workers.
    pub setups: Vec<Setup>,
    /// What runs must have in common to be compared: the job, its settings and the machine.
    pub identity: Value,
}

impl Plan {
    /// Works out what is meant.
    pub fn of(Scale { flags, job }: Scale) -> Result<Self, Failure> {
        let job = Job::from(job);
        let (mut workers, mut engines) = (flags.workers.clone(), flags.engines.clone());
        if workers.is_empty() {
            workers = (0..).map(|power| 1 << power).take_while(|&number| number < cpus()).chain([cpus()]).collect();
        }
        workers.sort_unstable();
        workers.dedup();
        let exec = matches!(job, Job::Exec { .. });
        if exec && (!engines.is_empty() || !flags.schedules.is_empty() || flags.split.is_some()) {
            return Err(Failure::usage(
                "engines, schedules and splits are ours, and a command has none. Leave them away.",
            ));
        }
        if engines.is_empty() {
            engines = vec![Engine::Serial, Engine::Processes];
        }
        if workers[0] != 1 && (exec || !engines.contains(&Engine::Serial)) {
            return Err(Failure::usage(format!(
                "the least number of workers is {}, and speed-up is over the time of one. Add 1 to --workers{}.",
                workers[0],
                if exec { "" } else { ", or serial to --engines" }
            )));
        }
        let mut schedules = flags.schedules.clone();
        if schedules.is_empty() {
            schedules.push(Schedule::default());
        }
        let sizes = job.sizes(&flags.sizes, flags.weak)?;
        let engines: Vec<Option<Engine>> = if exec { vec![None] } else { engines.into_iter().map(Some).collect() };
        let setups = setups(&sizes, &schedules, &engines, &workers);
        for rule in &flags.fail_if {
            if !setups.iter().any(|setup| rule.concerns(setup.engine, setup.workers)) {
                return Err(Failure::usage(format!(
                    "--fail-if has {rule}, and no such runs are made. Look at --workers and --engines."
                )));
            }
        }
        let identity = identity(&job, &flags)?;
        let plan = Self { job, flags, setups, identity };
        // Sizes that grow too large are found before the first run.
        plan.setups.iter().try_for_each(|setup| plan.grown(setup).map(|_| ()))?;
        Ok(plan)
    }

    /// Whether the job grows with the workers.
    pub fn weak(&self) -> bool {
        self.flags.weak
    }

    /// The size of a run, and how many times the work of one worker it is.
    pub fn grown(&self, setup: &Setup) -> Result<(Option<Size>, f64), Failure> {
        match &setup.size {
            Some(size) if self.weak() => self.job.grown(size, setup.workers).map(|(size, work)| (Some(size), work)),
            size => Ok((size.clone(), 1.0)),
        }
    }

    /// One round: everything once, in an order of its own, so that what changes on the machine meanwhile falls on all alike.
    pub fn round(&self, number: u32) -> Vec<&Setup> {
        let mut order: Vec<&Setup> = self.setups.iter().collect();
        Rng::seeded(self.flags.seed ^ (u64::from(number) << 32)).shuffle(&mut order);
        order
    }

    /// What a process is told that is to make one run.
    pub fn order(&self, setup: &Setup) -> Result<Value, Failure> {
        let (size, _) = self.grown(setup)?;
        let mut order = setup.to_json();
        order["size"] = json!(size.map(|size| size.to_string()));
        order["job"] = self.job.to_json();
        order["settings"] = settings(&self.flags);
        order["parent"] = json!(std::process::id());
        Ok(order)
    }
}

/// All combinations, each once, serial first; schedules and numbers of workers are nothing to serial runs.
fn setups(sizes: &[Option<Size>], schedules: &[Schedule], engines: &[Option<Engine>], workers: &[usize]) -> Vec<Setup> {
    let serial = Some(Engine::Serial);
    let mut setups = Vec::new();
    for size in sizes {
        let setup = |engine, workers, schedule| Setup { engine, workers, size: size.clone(), schedule };
        if engines.contains(&serial) {
            setups.push(setup(serial, 1, Schedule::default()));
        }
        for &schedule in schedules {
            for &engine in engines.iter().filter(|&&engine| engine != serial) {
                setups.extend(workers.iter().map(|&workers| setup(engine, workers, schedule)));
            }
        }
    }
    let mut seen = HashSet::new();
    setups.retain(|setup| seen.insert(setup.clone()));
    setups
}

/// What all runs have in common besides the job.
fn settings(flags: &Flags) -> Value {
    json!({
        "split": flags.split.map(|split| split.to_string()),
        "retries": flags.retries,
        "guard": flags.guard,
        "threads_per_worker": flags.threads_per_worker,
        "pin": flags.pin,
        "warm_up": flags.warm_up,
    })
}

fn identity(job: &Job, flags: &Flags) -> Result<Value, Failure> {
    Ok(json!({
        "job": job.identity()?,
        "scaling": if flags.weak { "weak" } else { "strong" },
        "settings": settings(flags),
        "machine": machine(),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// The machine, as far as times depend on it.
fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map(|(_, name)| name.trim().to_owned());
    let memory = read("/proc/meminfo").split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    json!({
        "host": read("/proc/sys/kernel/hostname").trim(),
        "cpu": model.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        "cpus": cpus(),
        "memory_gib": memory.map(|kib| kib >> 20),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}
