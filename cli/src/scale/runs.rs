//! DIR/runs.jsonl: every run as it comes, so that nothing is lost when a series of them is stopped.
//!
//! The first line says what the runs are of; each other line is one run. A line is written by one call. If the last one is
//! not whole, the machine stopped just then, and it is taken away.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::lost::LostTime;
use super::open::open;
use super::plan::{Plan, Setup};
use crate::failure::Failure;

/// The version of the form of the file.
const SCHEMA: u64 = 1;

/// What one run took.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The job's wall time; a command's from its start to its end.
    pub seconds: f64,
    /// Seconds of computing in bodies, of all workers together; of a command nobody knows.
    pub computing: Option<f64>,
    /// CPU time of the whole run, preparations included; of a command its own.
    pub cpu_seconds: f64,
    /// Where the wall time went that was no work.
    pub lost: LostTime,
}

impl Outcome {
    /// As it is kept, and told by the process that made it.
    pub fn to_json(&self) -> Value {
        json!({
            "seconds": self.seconds,
            "computing_seconds": self.computing,
            "cpu_seconds": self.cpu_seconds,
            "lost_seconds": self.lost.to_json(),
        })
    }

    /// What was kept or told.
    pub fn of_json(json: &Value) -> Option<Self> {
        Some(Self {
            seconds: json["seconds"].as_f64().filter(|&seconds| seconds > 0.0)?,
            computing: json["computing_seconds"].as_f64(),
            cpu_seconds: json["cpu_seconds"].as_f64()?,
            lost: LostTime::of_json(&json["lost_seconds"]),
        })
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// In which round it was made.
    pub round: u32,
    /// What it is a repetition of.
    pub setup: Setup,
    /// What it took.
    pub outcome: Outcome,
    /// The bytes that the largest of its processes had resident at once, shared memory that it touched included: `ru_maxrss` of
    /// getrusage(2), as GNU time tells it.
    pub peak_memory: u64,
    /// How many CPUs other programs used meanwhile, on average, as far as the system's hundredths of seconds tell.
    pub others_cpus: f64,
}

/// The runs of a folder.
#[derive(Debug)]
pub struct Runs {
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
    /// All that were made.
    pub made: Vec<Run>,
}

impl Runs {
    /// Opens those of a folder, which is made if it is not there.
    pub fn open(plan: &Plan) -> Result<Self, Failure> {
        let folder = &plan.flags.output;
        fs::create_dir_all(folder).map_err(|error| {
            Failure::job(format!("the folder {} cannot be made ({error}). Give another with -o.", folder.display()))
        })?;
        let path = folder.join("runs.jsonl");
        let wrong = |error: std::io::Error| {
            Failure::job(format!("{} cannot be opened ({error}). Give another folder with -o.", path.display()))
        };
        let mut file = open(File::options().read(true).append(true).create(true), &path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Failure::job(format!(
                    "another parfork scale is at work in {}. Wait for it, or give another folder with -o.",
                    folder.display()
                )));
            }
            Err(fs::TryLockError::Error(error)) => return Err(wrong(error)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => not_ours(&path, 1),
            _ => wrong(error),
        })?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let (head, lines) = text[..whole].split_once('\n').unwrap_or_default();
        // A first line that was cut off is ours to write anew, and nothing else is.
        if whole == 0 && !text.is_empty() && !text.starts_with("{\"runs_of\":") {
            return Err(not_ours(&path, 1));
        }
        let mut runs = Self { path, file, made: Vec::new() };
        if lines.is_empty() && (head.is_empty() || runs.check(head, &plan.identity).is_err()) && !foreign(head) {
            // Nothing is lost with what no run was made of: a command that was mistyped, for one.
            runs.cut(0)?;
            runs.append(&json!({ "schema": SCHEMA, "runs_of": plan.identity }))?;
            return Ok(runs);
        }
        runs.check(head, &plan.identity)?;
        if whole < text.len() {
            runs.cut(whole)?;
        }
        runs.made = lines
            .lines()
            .enumerate()
            .map(|(number, line)| read(line).ok_or_else(|| not_ours(&runs.path, number + 2)))
            .collect::<Result<_, _>>()?;
        Ok(runs)
    }

    /// Whether the runs that are there are of the same job on the same machine.
    fn check(&self, head: &str, identity: &Value) -> Result<(), Failure> {
        if foreign(head) {
            return Err(not_ours(&self.path, 1));
        }
        let theirs = &serde_json::from_str::<Value>(head).unwrap_or_default()["runs_of"];
        let parts = [
            ("job", "another job"),
            ("scaling", "another kind of scaling"),
            ("settings", "other settings"),
            ("machine", "another machine"),
            ("version", "another version of parfork"),
        ];
        match parts.into_iter().find(|(key, _)| theirs[key] != identity[key]) {
            None => Ok(()),
            Some((key, other)) => Err(Failure::input(format!(
                "{} has runs of {other}, and times of both do not mix: there {}, here {}. Give another folder with -o.",
                self.path.display(),
                theirs[key],
                identity[key]
            ))),
        }
    }

    /// Keeps one more.
    pub fn keep(&mut self, run: Run) -> Result<(), Failure> {
        let mut line = run.setup.to_json();
        line["round"] = json!(run.round);
        line["outcome"] = run.outcome.to_json();
        line["peak_memory_bytes"] = json!(run.peak_memory);
        line["others_cpus"] = json!(run.others_cpus);
        self.append(&line)?;
        self.made.push(run);
        Ok(())
    }

    /// Leaves only so many bytes.
    fn cut(&mut self, length: usize) -> Result<(), Failure> {
        self.file.set_len(length as u64).map_err(|error| {
            Failure::job(format!("{} cannot be cut off ({error}). Give another folder with -o.", self.path.display()))
        })
    }

    fn append(&mut self, line: &Value) -> Result<(), Failure> {
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(|error| {
            Failure::job(format!("a run cannot be written to {} ({error}). Look at the disk.", self.path.display()))
        })
    }
}

/// Whether there is a first line, and it is none of ours.
fn foreign(head: &str) -> bool {
    let json: Value = serde_json::from_str(head).unwrap_or_default();
    !head.is_empty() && (json["schema"].as_u64() != Some(SCHEMA) || !json["runs_of"].is_object())
}

fn read(line: &str) -> Option<Run> {
    let json: Value = serde_json::from_str(line).ok()?;
    Some(Run {
        round: json["round"].as_u64()?.try_into().ok()?,
        setup: Setup::of_json(&json)?,
        outcome: Outcome::of_json(&json["outcome"])?,
        peak_memory: json["peak_memory_bytes"].as_u64()?,
        others_cpus: json["others_cpus"].as_f64()?,
    })
}

fn not_ours(path: &Path, line: usize) -> Failure {
    Failure::input(format!(
        "line {line} of {} is not what this version of parfork writes there. Give another folder with -o.",
        path.display()
    ))
}
