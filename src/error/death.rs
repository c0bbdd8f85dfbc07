//! Who did not finish, on which slice, and why.

use std::fmt;

use super::Cause;
use super::how_far::HowFar;
use crate::slices::Region;

/// A slice as errors name it: number and cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceName(pub Region);

impl fmt::Display for SliceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.index(), self.0)
    }
}

/// A step, before the name of a slice.
fn step_of(step: Option<u32>) -> String {
    step.map(|step| format!("step {step} of ")).unwrap_or_default()
}

/// A body's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "worker {rank} gave up {}: {reason}",
    .slice.map_or("before its first slice".to_owned(), |slice| format!("on {}slice {slice}", step_of(*.step)))
)]
pub struct BodyFailure {
    /// The worker's rank.
    pub rank: usize,
    /// The slice it worked on; `None` if it could not even attach the arrays.
    pub slice: Option<SliceName>,
    /// The step of it, counted from 0, in a job of [steps](crate::Job::steps).
    pub step: Option<u32>,
    /// The error that the body returned, as text.
    pub reason: String,
}

/// The end of a worker that had not finished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Death {
    /// The worker's rank.
    pub rank: usize,
    /// Its process id; it has been reaped, so the id may be another's by now.
    pub pid: u32,
    /// The slice it was working on; `None` if it had none at the time.
    pub slice: Option<SliceName>,
    /// The step of it, counted from 0, in a job of [steps](crate::Job::steps).
    pub step: Option<u32>,
    /// What ended it.
    pub cause: Cause,
    /// How many workers have died on this slice, this one included.
    pub tries: u32,
    /// Slices done by all workers until then; in a job of [steps](crate::Job::steps), steps of slices.
    pub done: usize,
    /// Slices there are.
    pub slices: usize,
    /// How many steps each has; 0 in a job without.
    pub steps: u32,
    /// Ranks of those who died later in a job that [went on](crate::Job::continue_after_death).
    pub others: Vec<usize>,
}

/// What happened, what to do, and how to run the slice again; the alternate form (`{:#}`) leaves out the last.
impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, pid, cause, .. } = self;
        let how_far = HowFar { done: self.done, slices: self.slices, steps: self.steps };
        write!(f, "worker {rank} (pid {pid}) {cause}")?;
        let step = step_of(self.step);
        match self.slice {
            Some(slice) if self.tries > 1 => {
                write!(f, " while it worked on {step}slice {slice}, the last of {} workers to die on it", self.tries)?;
            }
            Some(slice) => write!(f, " while it worked on {step}slice {slice}")?,
            None => write!(f, " while it worked on no slice")?,
        }
        if let [first, rest @ ..] = &self.others[..] {
            write!(f, ", then worker {first}")?;
            rest.iter().try_for_each(|rank| write!(f, ", worker {rank}"))?;
        }
        write!(f, "; {how_far} were done, and the outputs are incomplete. {}.", cause.remedy())?;
        match self.slice {
            Some(slice) if !f.alternate() && self.step.is_none() => {
                write!(f, " `Job::only_slice({})` runs that slice alone.", slice.0.index())
            }
            _ => Ok(()),
        }
    }
}
