//! Processes from birth to death: when it is safe to fork, and waiting for work OR death OR a deadline.

mod alone;
mod crowd;
mod nursery;
#[expect(clippy::module_inception, reason = "the room is about processes, the file is one")]
mod process;

pub(crate) use alone::be_alone;
pub(crate) use crowd::{Crowd, Leaving, Waiting, WorkerEvent, cause_of};
pub(crate) use nursery::{Held, Nursery};
