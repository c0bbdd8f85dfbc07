//! Processes from birth to death: when it is safe to fork, and waiting for work OR death OR a deadline.

mod fork_program;
mod fork_server;
#[expect(clippy::module_inception, reason = "the room is about processes, the file is one")]
mod process;
mod served;
mod single_threaded;
mod worker_set;

pub(crate) use fork_program::ForkProgram;
pub(crate) use fork_server::{ForkServer, SpawnOrder, Spawned, serve};
pub(crate) use single_threaded::{ensure_children_live_here, ensure_single_threaded};
pub(crate) use worker_set::{Exiting, Waiting, WorkerEvent, WorkerSet, cause_of};
