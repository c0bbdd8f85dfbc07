//! Whether a job ended as it should have, after what befell its workers.

use std::time::Duration;

use parfork::slices::Grid;
use parfork::{Cause, Death, Error};

use crate::deed::{Deed, REASON, WORDS};
use crate::engine::Engine;
use crate::page::{Words, span};
use crate::plan::{Body, Fault, Place, Plan};

/// What is said of a program that ended badly when nothing was left for it to do.
const AFTER_ALL: &str = "after it had said that all of its slices were done";

/// What a trial's coordinator has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The result is right.
    Completed,
    /// The error is one that a fault explains; how long after the fault (or the deadline) it was there, if that can be told.
    Failed { after: Option<Duration> },
    /// Neither.
    Wrong(String),
    /// As it should be, but something was left behind.
    Left(String),
}

impl Verdict {
    /// On one line, as [`read`](Self::read) finds it.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Completed => "verdict completed ".to_owned(),
            Self::Failed { after: None } => "verdict failed ".to_owned(),
            Self::Failed { after: Some(after) } => format!("verdict failed {}", after.as_nanos()),
            Self::Wrong(text) => format!("verdict wrong {}", text.replace('\n', " ")),
            Self::Left(text) => format!("verdict left {}", text.replace('\n', " ")),
        }
    }

    /// Finds it among all that was said; Rust's own words on a stack that overflows may stand around it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (_, verdict) = text.split_once("verdict ")?;
        let (word, rest) = verdict.lines().next()?.split_once(' ')?;
        let nanoseconds = || rest.parse().ok().map(Duration::from_nanos);
        Some(match word {
            "completed" => Self::Completed,
            "failed" => Self::Failed { after: nanoseconds() },
            "left" => Self::Left(rest.to_owned()),
            _ => Self::Wrong(rest.to_owned()),
        })
    }
}

/// A trial's facts.
pub(crate) struct Case<'c> {
    pub(crate) plan: &'c Plan,
    pub(crate) grid: &'c Grid,
    pub(crate) words: &'c Words,
    /// When the job began and ended.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// Whether somebody has written what is not true where workers and coordinator meet. Then any error will do.
    pub(crate) lied: bool,
}

impl Case<'_> {
    /// Of a job that was completed in spite of these deaths, with a result that is right unless there is a `complaint`.
    pub(crate) fn completed(&self, deaths: &[Death], complaint: Option<String>) -> Verdict {
        let odd = deaths.iter().find(|death| self.explanation(death).is_none() && !self.lied);
        let odd = odd.map(|death| format!("a death that nothing explains: {death:?}"));
        complaint.or(odd).map_or(Verdict::Completed, Verdict::Wrong)
    }

    /// Whether so many can be done: slices, or steps of slices.
    fn is_possible(&self, done: usize, slices: usize, steps: u32) -> bool {
        let known = if self.plan.body == Body::Steps { self.plan.steps } else { 0 };
        slices == self.grid.slices() && steps == known && done <= slices * steps.max(1) as usize
    }

    /// Of a job that was not. `others_right`: whether all slices are right but those that are fatal in this plan.
    pub(crate) fn failed(&self, error: &Error, others_right: bool) -> Verdict {
        let wrong = |why: &str| Verdict::Wrong(format!("{why}: {error:?}"));
        if self.lied {
            let told = error.to_string().len() > 20;
            return if told { Verdict::Failed { after: None } } else { wrong("an error without words") };
        }
        let Self { began, ended, .. } = *self;
        let fault = match error {
            Error::Deadline { deadline, done, slices, steps } => {
                let took = span(began, ended);
                let after = took.checked_sub(*deadline);
                let exact = self.plan.deadline == Some(*deadline) && self.is_possible(*done, *slices, *steps);
                return match after {
                    Some(after) if exact => Verdict::Failed { after: Some(after) },
                    _ => wrong("not the deadline"),
                };
            }
            Error::WorkerDied(death) => {
                // All may be done: a worker that died before it had said what it did is an error, unless others make up for it.
                let less = usize::from(self.plan.lives() > 0);
                if !self.is_possible(death.done + less, death.slices, death.steps) {
                    return wrong("not so many slices");
                }
                self.explanation(death)
            }
            // With retries too: what a program does after its last answer may be a part of what it was to do.
            Error::BodyFailed(refusal) if refusal.reason.contains(AFTER_ALL) => {
                let ended = self.faults().find(|(number, fault)| {
                    let named = |pid: u32| refusal.reason.contains(&format!("(pid {pid})"));
                    fault.deed.is_lethal() && self.words.victims(*number).any(|victim| named(victim.pid))
                });
                return match ended {
                    Some(_) if refusal.slice.is_none() => Verdict::Failed { after: None },
                    _ => wrong("nothing has ended that program"),
                };
            }
            Error::BodyFailed(refusal) => self.faults().find(|(number, fault)| {
                let victims = self.words.victims(*number);
                let slice = refusal.slice.map(|slice| slice.0.index());
                let reason = match (self.plan.engine, fault.deed) {
                    // As a program's end says it.
                    (Engine::Programs, Deed::Refuse) => refusal.reason.contains(REASON),
                    (Engine::Programs, Deed::Panic) => refusal.reason.contains("it panicked"),
                    (_, deed) => deed == Deed::Refuse && refusal.reason == REASON,
                };
                reason
                    && fault.slice().is_some_and(|place| slice == Some(place))
                    && victims.into_iter().any(|victim| victim.rank == Some(refusal.rank))
            }),
            Error::Stopped { signal: Some(libc::SIGTERM), done, slices, steps } => {
                let asked = |number, fault: &Fault| {
                    let is_request = matches!(fault.place, Place::Coordinator { .. }) && fault.deed == Deed::Terminate;
                    is_request && self.words.at(number) > 0
                };
                let exact = self.plan.graceful && self.is_possible(*done, *slices, *steps);
                return match self.faults().find(|&(number, fault)| exact && asked(number, fault)) {
                    Some((number, _)) => Verdict::Failed { after: Some(span(self.words.at(number), ended)) },
                    None => wrong("nobody has asked it to stop"),
                };
            }
            // The fork server itself, or all that it made, before there was a job.
            Error::Fork { .. } if self.plan.crew().is_some() => {
                return match self
                    .faults()
                    .any(|(number, fault)| fault.befalls_births(self.words.victims(number).count()))
                {
                    true => Verdict::Failed { after: None },
                    false => wrong("nobody was killed at birth"),
                };
            }
            _ => None,
        };
        let Some((number, fault)) = fault else { return wrong("an error that nothing explains") };
        if self.plan.is_lethal(fault.deed) && !self.may_die() {
            return wrong("an error in spite of retries that are left");
        }
        // What befalls a worker from outside may end the last round before other slices were tried again.
        let only_in_bodies = self.faults().all(|(_, fault)| fault.slice().is_some() && self.plan.is_lethal(fault.deed));
        if self.plan.lives() > 0 && only_in_bodies {
            if !others_right {
                return wrong("slices that could be done are not");
            }
            if !matches!(error, Error::WorkerDied(death) if u64::from(death.tries) == self.plan.lives() + 1) {
                return wrong("not so many tries");
            }
        }
        let after = (self.plan.lives() == 0).then(|| span(self.words.at(number), ended));
        Verdict::Failed { after }
    }

    fn faults(&self) -> impl Iterator<Item = (usize, &Fault)> {
        self.plan.faults.iter().enumerate()
    }

    /// The fault that a worker died of: it befell this very process, and where it was planned to.
    fn explanation(&self, death: &Death) -> Option<(usize, &Fault)> {
        let slice = death.slice.map(|slice| slice.0.index());
        self.faults().find(|(number, fault)| {
            if death.cause == Cause::ForkServerDied {
                return fault.befalls_births(self.words.victims(*number).count());
            }
            let mut victims = self.words.victims(*number);
            let known = victims.any(|victim| {
                let pids = match (self.plan.engine, &death.cause) {
                    (_, Cause::Program { pid, .. }) => victim.pid == *pid || victim.pid == death.pid,
                    // It is the program that stands still, and its worker that is told of.
                    (Engine::Programs, Cause::Stalled { .. }) => true,
                    _ => victim.pid == death.pid,
                };
                pids && victim.rank.is_none_or(|rank| rank == death.rank)
            });
            let place = match fault.place {
                Place::Slice { slice: place, .. } => slice == Some(place),
                // Of a program as well, of which its worker has made the process and not yet the program.
                Place::Birth { .. } => slice.is_none() || matches!(death.cause, Cause::Program { .. }),
                Place::Worker { .. } => true,
                Place::ForkServer { .. } | Place::Coordinator { .. } => false,
            };
            // Of a panic in a thread of this process nobody asks where it was.
            let in_a_thread = self.plan.is_one_process()
                && fault.deed == Deed::Panic
                && matches!(&death.cause, Cause::Panicked { message, .. } if message == WORDS);
            known && place && (in_a_thread || fault.deed.is_cause(&death.cause))
        })
    }

    /// Whether so many workers have died that no retry may have been left, for one slice or for none.
    fn may_die(&self) -> bool {
        let (mut by_slice, mut anywhere) = (std::collections::BTreeMap::new(), 0);
        let deadly = |fault: &Fault| self.plan.is_lethal(fault.deed) || fault.deed.stalls();
        for (number, fault) in self.faults().filter(|(_, fault)| deadly(fault)) {
            let deaths = self.words.victims(number).count() as u64;
            if matches!(fault.place, Place::ForkServer { .. }) {
                // All that it made die with it.
                anywhere += deaths;
                continue;
            }
            match fault.slice() {
                Some(slice) => *by_slice.entry(slice).or_insert(0) += deaths,
                None => anywhere += deaths,
            }
        }
        by_slice.into_values().max().unwrap_or(0) + anywhere > self.plan.lives()
    }
}

impl Fault {
    /// Whether it has befallen so many, and may have kept workers from being made, or ended whoever makes them.
    fn befalls_births(&self, victims: usize) -> bool {
        // In its first moments the fork server looks like a worker.
        victims > 0 && matches!(self.place, Place::Birth { .. } | Place::ForkServer { .. } | Place::Worker { .. })
    }

    /// The slice it waits in.
    pub(crate) fn slice(&self) -> Option<usize> {
        match self.place {
            Place::Slice { slice, .. } => Some(slice),
            _ => None,
        }
    }
}
