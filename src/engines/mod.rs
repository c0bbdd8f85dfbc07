//! The same job run serially, on threads, or in processes.
//!
//! A job reaches an engine as a [`Work`] (loans, grid, board) and a [`Labour`] (the body). An engine decides only who runs
//! [`Labour::labour`] and at which addresses the loans are; what is dealt, run, journalled and gathered is the same code.

mod attend;
mod crew;
mod desk;
mod ledger;
mod live;
mod notes;
mod processes;
mod serial;
mod standstill;
#[cfg(feature = "threads")]
mod threads;
mod toll;
mod whereabouts;
mod work;

pub(crate) use crew::{Hands, Task, Tender};
pub(crate) use desk::Care;
pub(crate) use ledger::Ledger;
pub(crate) use processes::{run_alone, run_in_threaded_process};
pub use work::Progress;
pub(crate) use work::{Body, Labour, Orders, Programs, Upbringing, Work};

use crate::engine::Engine;
use crate::error::{Death, Result};

/// Reads words as a crew's worker reads what it is told.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_bill(words: &[u64]) {
    crew::read_bill(words);
}

/// Runs the job as `engine` does; the deaths of workers that it survived.
pub(crate) fn run(
    engine: Engine,
    work: &Work<'_>,
    labour: &(dyn Labour + Sync),
    orders: &mut Orders<'_>,
) -> Result<Vec<Death>> {
    match engine {
        Engine::Serial => serial::run(work, labour, orders),
        #[cfg(feature = "threads")]
        Engine::Threads => threads::run(work, labour, orders),
        Engine::Processes => processes::run_alone(work, labour, orders),
    }
}
