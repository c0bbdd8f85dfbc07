//! Split work on arrays across processes that share memory.
//!
//! | word        | meaning                                                                                   |
//! |-------------|-------------------------------------------------------------------------------------------|
//! | coordinator | the process that owns the arrays and asks for work                                        |
//! | worker      | a process that attaches to the shared arrays and works on slices; it has a rank           |
//! | lend        | handing arrays to workers for one job: `&a` is read-only for all, `&mut b` is cut          |
//! | slice       | the part of an output that one worker may write at one time                               |
//! | halo        | the border of neighbours' cells that a slice reads but does not write                     |
//! | schedule    | how slices are given out: static, dynamic, guided                                         |
//! | crew        | workers that stay between jobs; otherwise they are forked for each                         |
//! | gather      | results are in place already; answers come in the order of slices                         |
//!
//! [`Shared`] is an array in shared memory. [`fork()`] runs a closure on slices of such arrays in worker processes; a [`Job`] is
//! the same with everything to choose, the [`Engine`] included. `docs/design.md` has the whole house.
//!
//! Linux, x86-64 and aarch64.

#![deny(unsafe_code)]
#[cfg(not(target_os = "linux"))]
compile_error!("parfork needs Linux: memfd, futex_waitv and pidfd have no counterpart elsewhere");

mod answer;
#[cfg(feature = "cli")]
pub mod calls;
mod crew;
mod engine;
mod engines;
mod error;
pub mod exec;
mod fork;
pub mod formats;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod job;
mod lend;
mod process;
pub mod record;
mod report;
mod sandbox;
pub mod scaling;
mod settings;
mod shared;
pub mod slices;
mod stop;
mod sync;
mod sys;
pub mod watch;
mod worker;
#[path = "../workers/mod.rs"]
pub mod workers;

pub use answer::{Answer, Gathered};
pub use crew::{Crew, CrewSettings};
pub use engine::{Engine, EngineError, MOST_WORKERS};
pub use error::{
    ArrayName, Cause, Death, Error, Fault, Obstacle, Owner, Place, Refusal, Remaining, Result, SliceName, Touch,
    Trouble,
};
pub use fork::fork;
pub use job::{Job, cpus};
pub use lend::{Input, Lend, Slice};
pub use report::{Memory, Report, WorkerReport};
pub use sandbox::Sandbox;
pub use settings::{IfFailed, Progress, Redo, Settings};
pub use shared::{Mapped, Order, Shared, keep_memory, named};
pub use slices::{Schedule, ScheduleError, Split, SplitError};
pub use stop::{Hold, Stop};
pub use worker::Worker;

/// The README's programs are run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// And the program of the page on named segments is compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/segments.md")]
mod segments {}
