//! The same job run serially, on threads, or in processes.
//!
//! A job reaches an engine as a [`JobContext`] (loans, grid, control page) and a [`RunSlices`] (the body). An engine decides only who runs
//! `run_slices` and at which addresses the loans are; what is dealt, run, journalled and gathered is the same code.

mod crew;
mod delivery;
mod fault_location;
mod job_context;
mod ledger;
mod processes;
mod retry_tracker;
mod run_slices;
mod run_steps;
mod serial;
mod stall_detector;
mod supervise;
#[cfg(feature = "threads")]
mod threads;
mod tracer;
mod worker_main;
mod worker_memory;

pub(crate) use crew::{BodyFn, CrewJob, KeptState, ServerSource, SharedProgram, WorkerPool, serve, whole};
pub(crate) use delivery::{AnswerSink, Enough, Undelivered};
pub(crate) use job_context::{JobContext, Steps, Supervision};
pub(crate) use ledger::Ledger;
pub(crate) use processes::{run_alone, run_in_threaded_process};
pub(crate) use run_slices::{Body, Programs, RunSlices};
pub(crate) use worker_memory::OutputProtection;

use crate::engine::Engine;
use crate::error::{Death, Result};

/// Reads words as a crew's worker reads what it is told.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_bill(words: &[u64]) {
    crew::read_descriptor(words);
}

/// Runs the job as `engine` does; the deaths of workers that it survived.
pub(crate) fn run(
    engine: Engine,
    context: &JobContext<'_>,
    runner: &(dyn RunSlices + Sync),
    supervision: &mut Supervision<'_>,
) -> Result<Vec<Death>> {
    match engine {
        Engine::Serial => serial::run(context, runner, supervision),
        #[cfg(feature = "threads")]
        Engine::Threads => threads::run(context, runner, supervision),
        Engine::Processes => processes::run_alone(context, runner, supervision),
    }
}
