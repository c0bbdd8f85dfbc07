//! The same job run serially, on threads, or in processes.
//!
//! A job reaches an engine as a [`Work`]: body, loans, grid and board. An engine decides only who runs
//! [`Work::labour`] and at which addresses the loans are; what is dealt, run, journalled and gathered is the same code.

mod attend;
mod desk;
mod live;
mod processes;
mod serial;
mod threads;
mod toll;
mod whereabouts;
mod work;

pub(crate) use desk::Care;
pub(crate) use processes::{run_alone, run_beside_threads};
pub(crate) use work::{Orders, Work};

use crate::answer::Answer;
use crate::engine::Engine;
use crate::error::{Death, Result};
use crate::lend::Lend;
use crate::worker::Worker;

/// Runs the job as `engine` does; the deaths of workers that it survived.
pub(crate) fn run<L, R, B>(engine: Engine, work: &Work<'_, L, B>, orders: &mut Orders<'_>) -> Result<Vec<Death>>
where
    L: Lend + Sync,
    R: Answer,
    B: Fn(&Worker<'_>, L::Part) -> R + Sync,
{
    match engine {
        Engine::Serial => serial::run(work, orders),
        Engine::Threads => threads::run(work, orders),
        Engine::Processes => processes::run_alone(work, orders),
    }
}
