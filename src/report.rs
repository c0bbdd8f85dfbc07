//! Who did what in a job, and what it cost.

use std::ops::Range;
#[cfg(feature = "record")]
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::error::Death;
use crate::slices::Grid;
use crate::spec::JobSpec;
use crate::sync::{ControlPage, SliceState};
#[cfg(feature = "record")]
use crate::trace::Trace;

pub use crate::sys::proc::Memory;

/// What every job says after its end.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was set, with the number of workers and the split that it came to.
    pub spec: JobSpec,
    /// Who ran it.
    pub engine: Engine,
    /// Whether that were a crew's workers, which stay.
    pub crew: bool,
    /// The slices.
    pub grid: Grid,
    /// Each worker, in order of rank.
    pub workers: Vec<WorkerReport>,
    /// Workers that died and whose work others did; see [`Job::retries`](crate::Job::retries).
    pub deaths: Vec<Death>,
    /// Where the coordinator has each lent array mapped, in the order lent.
    pub addresses: Vec<usize>,
    /// From before the first worker was made until after the last was gone.
    pub wall: Duration,
    /// Why the job failed, if it did.
    pub failure: Option<String>,
    /// What the event logs say, if the job was [recorded](crate::Job::record).
    #[cfg(feature = "record")]
    pub trace: Option<Arc<Trace>>,
}

/// One worker's part.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// Its slices' numbers, ascending.
    pub slices: Vec<usize>,
    /// Time spent in bodies.
    pub busy: Duration,
    /// Its memory just before its end, if the job was asked to measure it.
    pub memory: Option<Memory>,
    /// Where it had each lent array mapped, in the order lent.
    pub addresses: Vec<usize>,
}

impl Report {
    /// The report of a job of which nothing more is known yet.
    pub(crate) fn new(spec: JobSpec, engine: Engine, crew: bool, grid: Grid, wall: Duration) -> Self {
        Self {
            spec,
            engine,
            crew,
            grid,
            workers: Vec::new(),
            deaths: Vec::new(),
            addresses: Vec::new(),
            wall,
            failure: None,
            #[cfg(feature = "record")]
            trace: None,
        }
    }

    /// Enters what each worker did, from the control page of a job that has ended.
    pub(crate) fn read(&mut self, page: &ControlPage, slices: Range<usize>) {
        let load = |word: &std::sync::atomic::AtomicU64| word.load(std::sync::atomic::Ordering::Relaxed) as usize;
        self.workers = page
            .slots()
            .iter()
            .enumerate()
            .map(|(rank, slot)| WorkerReport {
                slices: Vec::new(),
                busy: slot.busy(),
                memory: slot.memory(),
                addresses: page.addresses(rank).iter().map(load).collect(),
            })
            .collect();
        for slice in slices {
            if let SliceState::Done { rank } = page.claimed(slice)
                && let Some(worker) = self.workers.get_mut(rank)
            {
                worker.slices.push(slice);
            }
        }
    }
}
