//! Who did what in a job, and what it cost.

use std::ops::Range;
#[cfg(feature = "record")]
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::error::Death;
#[cfg(feature = "record")]
use crate::record::Record;
use crate::slices::{Grid, Schedule, Split};
use crate::sync::{ControlPage, SliceState};

pub use crate::sys::proc::Memory;

/// What a job's control page says after its end.
#[derive(Clone, Debug)]
pub struct Report {
    /// Who ran it.
    pub engine: Engine,
    /// How the array was to be cut.
    pub split: Split,
    /// How slices were given out.
    pub schedule: Schedule,
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
    #[cfg(feature = "record")]
    pub(crate) record: Option<Arc<Record>>,
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
    /// Who did what when, if the job was [recorded](crate::Job::record).
    #[cfg(feature = "record")]
    pub fn record(&self) -> Option<&Record> {
        self.record.as_deref()
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
