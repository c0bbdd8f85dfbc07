//! Why a barrier cannot be crossed.

use std::fmt;
use std::time::Duration;

use super::ControlPageDamage;

/// Why the workers of a job cannot meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// Not every worker has one slice.
    #[error(
        "workers can meet only if each has one slice, but {workers} workers share {slices}. Use Schedule::Static and \
         Split::rows().into_pieces({workers})."
    )]
    NotInStep {
        /// How many workers there are.
        workers: usize,
        /// How many slices there are.
        slices: usize,
    },
    /// Others did not come in time.
    #[error(
        "the workers cannot meet, because {attendance} within {span:?}: {}. Give them more time, or let them do less between meetings",
        .attendance.missing()
    )]
    TimedOut {
        /// Who came, and who did not.
        attendance: Attendance,
        /// The time they had.
        span: Duration,
    },
    /// Another would not wait any longer for those who had not come.
    #[error("the workers cannot meet, because worker {rank} would not wait any longer: {attendance}, {}", .attendance.missing())]
    OtherTimedOut {
        /// Its rank.
        rank: usize,
        /// Who came, and who did not.
        attendance: Attendance,
    },
    /// Somebody died before anybody had come, and is replaced.
    #[error(
        "the workers cannot meet yet, because one of them died. Return: its slice and this one are done again, and then they can"
    )]
    CalledBack,
    /// The coordinator ended the job.
    #[error("the workers cannot meet, because the coordinator ended the job")]
    JobEnded,
    /// One will not come any more.
    #[error("the workers cannot meet, because worker {rank} will not come: {}", .why.told(*.pid, *.slice))]
    Gone {
        /// Its rank, as far as the control page can be believed.
        rank: usize,
        /// Its process, if it is one and has begun.
        pid: Option<u32>,
        /// The slice it was at.
        slice: Option<usize>,
        /// What became of it.
        why: Absent,
    },
    /// One came without a value.
    #[error(
        "worker {rank} brought no value to the meeting: {}",
        if *.died { "it died, and the others went on without it" } else { "all workers have to call all() there, with values of the same type" }
    )]
    NoValue {
        /// Its rank.
        rank: usize,
        /// Whether it is dead.
        died: bool,
    },
    /// The control page names a worker that does not exist.
    #[error("the workers cannot meet, because somebody has written over the control page")]
    Damaged,
}

/// How many came to a barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendance {
    /// How many have not died.
    pub living: usize,
    /// The ranks of those that have not died and did not come, ascending; none if the last came too late.
    pub missing: Vec<usize>,
}

impl Attendance {
    /// Who did not come, in words.
    fn missing(&self) -> String {
        /// More are only counted.
        const NAMED: usize = 8;
        let names: Vec<_> = self.missing.iter().take(NAMED).map(ToString::to_string).collect();
        match self.missing.len() {
            0 => "the last came too late".to_owned(),
            1 => format!("worker {} did not", names[0]),
            many if many <= NAMED => format!("workers {} did not", names.join(", ")),
            many => format!("workers {} and {} more did not", names.join(", "), many - NAMED),
        }
    }
}

impl fmt::Display for Attendance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} came", self.living - self.missing.len(), self.living)
    }
}

/// What became of a worker that will not come to a barrier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Absent {
    /// Its body panicked.
    Panicked {
        /// The panic's text.
        message: String,
    },
    /// Its body returned an error.
    BodyFailed {
        /// The error as text.
        reason: String,
    },
    /// It found the control page damaged.
    Damaged {
        /// What is damaged.
        what: ControlPageDamage,
    },
    /// The program to which it hands its slices ended.
    ProgramEnded {
        /// Its name.
        program: String,
    },
    /// It died, of what the coordinator says.
    Died,
    /// Its body returned without coming.
    Returned,
    /// One of these.
    Unknown,
}

impl Absent {
    /// In words, with its process and the slice at which it was.
    fn told(&self, pid: Option<u32>, slice: Option<usize>) -> String {
        let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
        let at = slice.map_or("before its slice".to_owned(), |slice| format!("on slice {slice}"));
        match self {
            Self::Panicked { message } => format!("it{pid} panicked {at}: {message}"),
            Self::BodyFailed { reason } => format!("it{pid} gave up {at}: {reason}"),
            Self::Damaged { what } => format!("it{pid} gave up {at}: {what}"),
            Self::ProgramEnded { program } => format!("its program `{program}` ended {at}"),
            Self::Died => format!("it{pid} died {at}"),
            Self::Returned => "it has returned".to_owned(),
            Self::Unknown => "it died, failed or returned".to_owned(),
        }
    }
}
