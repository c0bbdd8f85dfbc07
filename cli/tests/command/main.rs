//! The command as a user types it: results, reports, and what it says and leaves when something is wrong.

mod batch;
mod browser;
mod clashes;
mod confined;
mod denied;
mod doors;
mod ends;
mod exec;
mod explain;
mod fixture;
mod kernels;
mod levels;
mod names;
mod plans;
mod products;
mod refusals;
mod replay;
mod results;
#[path = "../../../tests/support/sampled.rs"]
mod sampled;
mod scale;
mod shm;
mod steps;
mod terminal;
mod top;
mod views;
