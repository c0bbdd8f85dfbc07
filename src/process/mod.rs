//! Processes from birth to death: when it is safe to fork, and waiting for work OR death OR a deadline.

mod alone;
mod crowd;
mod nursery;

pub(crate) use alone::be_alone;
pub(crate) use crowd::{Crowd, Event, Leaving, cause_of};
pub(crate) use nursery::Nursery;
