//! What is made of the record of a job for people and their tools: a page in a browser, a trace for Perfetto.

#[cfg(test)]
#[path = "../../../src/record/fixture.rs"]
mod fixture;
mod page;
mod trace;

#[cfg(test)]
use parfork::{Engine, JobSpec, Report, Split, WorkerReport, slices::Grid};

pub use page::Page;
pub use parfork::record::*;
pub use trace::trace;
