//! Everything about a job but what is lent and what is done, as data.

use std::time::Duration;

use crate::cancel::CancelToken;
use crate::crew::Crew;
use crate::engine::Engine;
#[cfg(feature = "record")]
use crate::record::Record;
#[cfg(feature = "sandbox")]
use crate::sandbox::Sandbox;
use crate::slices::{Schedule, Split};

pub use crate::engines::Progress;

/// Who is given the record of a job that failed.
#[cfg(feature = "record")]
pub type OnFailure<'p> = Box<dyn FnOnce(Record) + 'p>;

/// The settings of a job, whose fields are what [`Job`](crate::Job)'s methods set one by one; kernels, which bring their own loans and
/// body, take them whole.
#[derive(Default)]
pub struct Settings<'p> {
    /// What to call it to those who [`watch`](crate::watch); the name of the program if not given.
    pub name: Option<String>,
    /// How many workers; as many as there are [`cpus`](crate::cpus) if not given.
    pub workers: Option<usize>,
    /// How the array is cut; if not given into rows, or as the kernel likes it best.
    pub split: Option<Split>,
    /// How slices are given out.
    pub schedule: Schedule,
    /// Who works.
    pub engine: Engine,
    /// The workers, if they are processes that stay; see [`Job::crew`](crate::Job::crew).
    pub crew: Option<&'p mut Crew>,
    /// How often a slice is tried again after a worker process died on it; see [`Job::retries`](crate::Job::retries).
    pub retries: u32,
    /// What makes it safe to try a slice again. Kernels know that they overwrite theirs.
    pub retry_policy: RetryPolicy,
    /// To how many threads libraries are held in each worker process: 1 if not given, 0 leaves them alone; see
    /// [`Job::threads_per_worker`](crate::Job::threads_per_worker).
    pub threads_per_worker: Option<usize>,
    /// Whether each worker process is bound to a CPU; see [`Job::pin`](crate::Job::pin).
    pub pin: bool,
    /// The number of the one slice to run, if not all; see [`Job::only_slice`](crate::Job::only_slice).
    pub only_slice: Option<usize>,
    /// Whether workers that meet go on when one dies; see [`Job::continue_after_death`](crate::Job::continue_after_death).
    pub continue_after_death: bool,
    /// After what time to give up.
    pub deadline: Option<Duration>,
    /// How long a worker process may take for one slice; see [`Job::slice_deadline`](crate::Job::slice_deadline).
    pub slice_deadline: Option<Duration>,
    /// Bytes of memory of its own that a worker process may add; see [`Job::memory_limit`](crate::Job::memory_limit).
    pub memory_limit: Option<u64>,
    /// Whether workers can write nothing but the slice they work on; see [`Job::guard`](crate::Job::guard).
    pub guard: bool,
    /// What workers are kept from, besides what they were not lent; see [`Job::sandbox`](crate::Job::sandbox).
    #[cfg(feature = "sandbox")]
    pub sandbox: Option<Sandbox<'p>>,
    /// Whether each worker reads its own memory when it is done.
    pub measure_memory: bool,
    /// Whether the job is recorded; see [`Job::record`](crate::Job::record).
    #[cfg(feature = "record")]
    pub record: bool,
    /// Given the record of the job if it fails; see [`Job::on_failure`](crate::Job::on_failure).
    #[cfg(feature = "record")]
    pub on_failure: Option<OnFailure<'p>>,
    /// A request to stop that the job looks at.
    pub cancel_token: Option<&'p CancelToken>,
    /// Told now and then how many slices are done, of how many.
    pub progress: Option<Progress<'p>>,
}

/// What a second try at a slice finds in it, for a worker that died may have written part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RetryPolicy {
    /// Nobody has said whether that matters, so slices of outputs are not tried again.
    #[default]
    Forbid,
    /// Whatever the dead worker left: the body writes every cell before it reads it.
    BodyOverwrites,
    /// What was there before the job: each slice is copied before the body gets it, and put back before the next try.
    RestoreOutputs,
}

impl<'p> Settings<'p> {
    /// What workers are kept from besides, if anything.
    #[cfg(feature = "sandbox")]
    pub(crate) fn sandbox(&self) -> Option<&Sandbox<'p>> {
        self.sandbox.as_ref()
    }

    /// Nothing: this crate is built without sandboxes.
    #[cfg(not(feature = "sandbox"))]
    pub(crate) fn sandbox(&self) -> Option<&crate::sandbox::Sandbox> {
        None
    }

    /// The same for workers that start confined programs and are not confined themselves.
    #[cfg(feature = "exec")]
    pub(crate) fn sandbox_around_programs(self) -> Self {
        Self {
            #[cfg(feature = "sandbox")]
            sandbox: self.sandbox.map(Sandbox::around_programs),
            ..self
        }
    }
}
