//! The record of a job: its [`Report`] with the [`Trace`] in it, and the views that are made of both.
//!
//! | view                              | for                                                                 |
//! |-----------------------------------|---------------------------------------------------------------------|
//! | [`Record::waterfall`]             | where the time of all workers went                                  |
//! | [`Record::summary`]               | a terminal, after a run                                             |
//! | [`Record::timelines`]                 | drawings: what each worker was at when                              |
//! | serde's `Serialize`               | programs; docs/json.md has the schema                               |
//!
//! The command `parfork` makes pages for browsers and traces for Perfetto of it.
//!
//! A job is recorded if it is asked for ([`Job::record`](crate::Job::record)); the [`Report`] has the trace then.
//!
//! ```
//! use parfork::record::Part;
//! use parfork::{Job, Shared};
//! let mut squares = Shared::<u64, _>::zeros((100, 100))?;
//! let done = Job::new(&mut squares).workers(2).record(true).run(|_, mut slice| slice.fill(7))?;
//! let record = done.report().record().expect("it was asked for");
//! assert_eq!(record.attempts.len(), 100);
//! let waterfall = record.waterfall();
//! assert_eq!(waterfall.parts().map(|(_, time)| time).sum::<std::time::Duration>(), waterfall.total);
//! println!("computing: {:?} of {:?}", waterfall.of(Part::Computing), waterfall.total);
//! # Ok::<(), parfork::Error>(())
//! ```

#[cfg(test)]
mod fixture;
mod json;
mod summary;
mod timeline;
pub mod units;
mod waterfall;

use std::ops::Deref;
use std::time::Duration;

use crate::report::Report;
#[cfg(test)]
use crate::{Engine, JobSpec, Split, WorkerReport, slices::Grid};

pub use crate::trace::{
    Activity, ArrayRecord, Attempt, CoordinatorInterval, DeathRecord, Machine, Memory, Span, Trace, Usage,
    WorkerLifetime, WorkerRecord,
};
pub use timeline::{Interval, Part};
pub use waterfall::Waterfall;

/// A report with its trace, of which all fields can be read here too.
#[derive(Clone, Copy, Debug)]
pub struct Record<'r> {
    /// What every job's report says.
    pub report: &'r Report,
    trace: &'r Trace,
}

impl Deref for Record<'_> {
    type Target = Trace;

    fn deref(&self) -> &Trace {
        self.trace
    }
}

impl Report {
    /// Who did what when, if the job was [recorded](crate::Job::record).
    pub fn record(&self) -> Option<Record<'_>> {
        self.trace.as_deref().map(|trace| Record { report: self, trace })
    }
}

impl Record<'_> {
    /// How long workers were in bodies, and finished there.
    pub fn busy(&self) -> Duration {
        self.attempts.iter().filter(|attempt| attempt.done).map(Attempt::time).sum()
    }

    /// What a rank has cost, all of its lives together; `None` if nobody says.
    pub fn usage(&self, rank: usize) -> Option<Usage> {
        let lives = self.workers.get(rank)?.lives.iter();
        lives.filter_map(|life| life.usage).reduce(|one, other| one.and(&other))
    }

    /// What each worker did, by rank, and when, from the beginning of the job to its end, without gaps.
    pub fn timelines(&self) -> Vec<Vec<Interval>> {
        timeline::timelines(self)
    }

    /// What a worker did, and when, from the beginning of the job to its end, without gaps.
    ///
    /// # Panics
    /// If there is no worker of this rank.
    pub fn timeline(&self, rank: usize) -> Vec<Interval> {
        timeline::timeline(self, rank)
    }
}

/// What the event logs of a control page say that anybody may have written over, of a job of five slices.
#[cfg(any(test, fuzzing))]
pub(crate) fn of_any(page: &crate::sync::ControlPage) -> Report {
    use crate::slices::{Grid, Split};
    let wall = Duration::from_millis(100);
    let grid = Grid::new(Split::rows().of(1), &[5, 4]).unwrap_or_else(|error| panic!("{error}"));
    let facts = crate::trace::Facts {
        slices: grid.slices(),
        started: std::time::SystemTime::UNIX_EPOCH,
        began: Duration::from_millis(1),
        wall,
        preparing: Duration::ZERO,
        gathering: Duration::ZERO,
        arrays: Vec::new(),
        coordinator_memory: None,
        deaths: &[],
        fault_cost: Duration::from_micros(1),
    };
    let trace = Trace::read(page, facts);
    let mut report = Report::new(crate::JobSpec::default(), crate::Engine::Processes, false, grid, wall);
    report.read(page, 0..0);
    report.trace = Some(trace.into());
    report
}
