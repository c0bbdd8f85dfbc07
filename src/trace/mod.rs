//! The trace of a job that was recorded: who did what when, as its event logs say. Plain data.

mod read;

use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

pub use crate::sys::machine::Machine;
pub use crate::sys::proc::Memory;
pub use crate::sys::usage::Usage;
pub(crate) use crate::sys::usage::seconds;
pub(crate) use read::Facts;

/// What a job's event logs say, and what else is known only of a job that was recorded. Moments are times since the job began.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// What it ran on.
    pub machine: Machine,
    /// When it began.
    pub started: SystemTime,
    /// What went before that: cutting the array, making the control page.
    pub preparing: Duration,
    /// What came after the last worker was gone: reading the slice table.
    pub gathering: Duration,
    /// What was lent, in order.
    pub arrays: Vec<ArrayRecord>,
    /// Each time that a worker began with a slice, in the order of the beginnings.
    pub attempts: Vec<Attempt>,
    /// Each that had a rank, in order, by rank.
    pub workers: Vec<WorkerRecord>,
    /// What the coordinator did, one thing after the other from the beginning to the end.
    pub coordinator: Vec<CoordinatorInterval>,
    /// The coordinator's process.
    pub coordinator_pid: u32,
    /// The coordinator's own memory after the job, if the job was asked to measure it.
    pub coordinator_memory: Option<Memory>,
    /// Workers that died, in the order in which the coordinator heard of it.
    pub deaths: Vec<DeathRecord>,
    /// What a page fault took in arrays that were lent: measured after the job, on these arrays. Zero if there were none.
    pub fault_cost: Duration,
    /// Marks for which there was no room: so much is missing here.
    pub lost_marks: u64,
}

/// An array that was lent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArrayRecord {
    /// Whether workers could write to it.
    pub output: bool,
    /// The type of its elements, as Rust calls it.
    pub dtype: &'static str,
    /// The lengths of its axes.
    pub shape: Vec<usize>,
    /// Its bytes: those of the segment that it is in.
    pub bytes: usize,
    /// The segment's inode: the same in every process that has it mapped.
    #[serde(rename = "segment_inode")]
    pub segment: u64,
}

/// One time that a worker was at a slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The slice's number.
    pub slice: usize,
    /// The step of it, counted from 0; 0 in a job without steps.
    pub step: u32,
    /// The worker's rank.
    pub worker: usize,
    /// 1 if nobody had tried it before.
    #[serde(rename = "attempt")]
    pub number: u32,
    /// When it began.
    #[serde(rename = "begin_seconds", serialize_with = "seconds")]
    pub begin: Duration,
    /// When it had finished, or its end was known.
    #[serde(rename = "end_seconds", serialize_with = "seconds")]
    pub end: Duration,
    /// Whether it finished; else it died on it.
    pub done: bool,
    /// Minor page faults that were counted at its end: its own, and those of slices just before it that were too short for a
    /// count of their own.
    #[serde(rename = "minor_faults")]
    pub faults: u64,
    /// Whether it waited for others in its body, and when.
    pub meetings: Vec<Span>,
}

/// From when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The beginning.
    #[serde(rename = "begin_seconds", serialize_with = "seconds")]
    pub begin: Duration,
    /// The end, not before the beginning.
    #[serde(rename = "end_seconds", serialize_with = "seconds")]
    pub end: Duration,
}

/// One rank: one worker after the other, where some died.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerRecord {
    /// Each that had this rank, in order.
    pub lives: Vec<WorkerLifetime>,
}

/// One worker's life in a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkerLifetime {
    /// Its process, the coordinator's own if it was a thread there.
    pub pid: u32,
    /// Its first instruction; of one who stays, the call.
    #[serde(rename = "born_seconds", serialize_with = "seconds")]
    pub born: Duration,
    /// When it had attached what was lent and asked for slices.
    #[serde(rename = "began_seconds", serialize_with = "seconds")]
    pub began: Option<Duration>,
    /// When there were no more.
    #[serde(rename = "left_seconds", serialize_with = "seconds")]
    pub left: Option<Duration>,
    /// When it measured what it was to measure: the record's own cost.
    pub measured: Option<Span>,
    /// When the coordinator heard of its death.
    #[serde(rename = "died_seconds", serialize_with = "seconds")]
    pub died: Option<Duration>,
    /// What it has cost: from `began` to `left` as it says itself, to the end if it died, as the kernel says, in steps of some
    /// milliseconds.
    pub usage: Option<Usage>,
}

/// Something that the coordinator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CoordinatorInterval {
    /// What.
    #[serde(serialize_with = "words")]
    pub what: Activity,
    /// The beginning.
    #[serde(rename = "begin_seconds", serialize_with = "seconds")]
    pub begin: Duration,
    /// The end: the beginning of the next.
    #[serde(rename = "end_seconds", serialize_with = "seconds")]
    pub end: Duration,
}

/// What a coordinator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It gets a round ready. With each a round begins.
    Preparing,
    /// It makes the worker of this rank; of replacements, all of them.
    Forking {
        /// Which.
        rank: usize,
    },
    /// It makes the process that would make replacements.
    OpeningForkServer,
    /// It calls workers who stay.
    Calling,
    /// It works itself.
    Working,
    /// It waits for workers.
    Attending,
    /// It ends a round: looks what is missing, ends and reaps workers.
    Ending,
}

/// The death of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeathRecord {
    /// When the coordinator heard of it.
    #[serde(rename = "at_seconds", serialize_with = "seconds")]
    pub at: Duration,
    /// Its rank.
    pub worker: usize,
    /// Its process.
    pub pid: u32,
    /// The slice that it was at.
    pub slice: Option<usize>,
    /// What ended it; of a job that failed only that of the death that it failed for.
    pub cause: String,
}

fn words<S: Serializer>(what: &Activity, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&what.words())
}

impl Activity {
    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Preparing => "get ready".to_owned(),
            Self::Forking { rank } => format!("fork worker {rank}"),
            Self::OpeningForkServer => "fork the fork server".to_owned(),
            Self::Calling => "call".to_owned(),
            Self::Working => "work".to_owned(),
            Self::Attending => "wait for workers".to_owned(),
            Self::Ending => "end and reap".to_owned(),
        }
    }
}

impl Attempt {
    /// How long it took.
    pub fn time(&self) -> Duration {
        self.end - self.begin
    }
}

impl Span {
    /// How long it is.
    pub fn time(&self) -> Duration {
        self.end - self.begin
    }
}
