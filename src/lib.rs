//! Split work on arrays across processes that share memory.
//!
//! | word        | meaning                                                                                   |
//! |-------------|-------------------------------------------------------------------------------------------|
//! | coordinator | the process that owns the arrays and asks for work                                        |
//! | worker      | a process that attaches to the shared arrays and works on slices; it has a rank           |
//! | lend        | handing arrays to workers for one job: `&a` is read-only for all, `&mut b` is cut          |
//! | slice       | the part of an output that one worker may write at one time                               |
//! | halo        | the border of neighbours' cells that a slice reads but does not write                     |
//! | planes      | an array that a job of steps works on: each step reads one copy of it and writes the other |
//! | schedule    | how slices are given out: static, dynamic, guided                                         |
//! | crew        | workers that stay between jobs; otherwise they are forked for each                         |
//! | gather      | results are in place already; answers come in the order of slices                         |
//!
//! [`Shared`] is an array in shared memory. [`fork()`] runs a closure on slices of such arrays in worker processes; a [`Job`] is
//! the same with everything to choose, the [`Engine`] included. `docs/design.md` has the whole house.
//!
//! | feature   | by default | adds                                                                              |
//! |-----------|:----------:|-----------------------------------------------------------------------------------|
//! | `threads` | yes        | the engine of threads, [`Engine`]`::Threads`                                      |
//! | `npy`     | yes        | arrays in NumPy's files: [`formats`]`::npy`, `Mapped`                             |
//! | `record`  |            | who did what when in a job, by serde: `record`, `Job::record`                     |
//! | `exec`    |            | workers that are other programs: `exec`                                           |
//! | `named`   |            | segments with names, which stay until they are removed: `named`                   |
//! | `sandbox` |            | workers that can do nothing but compute: `Sandbox`, `Job::sandbox`; with `exec`: `isolated` |
//! | `serde`   |            | [`JobSpec`] can be written and read: serde's `Serialize`, `Deserialize`           |
//! | `symbols` |            | errors name the function in which a worker died                                   |
//!
//! Kernels and picture files are in the package `parfork-workers`, the command is `parfork-cli`.
//!
//! Linux, x86-64 and aarch64.

#![deny(unsafe_code)]
// What serves a feature stays beside what it belongs to. With all features on, nothing may be unused.
#![cfg_attr(
    not(all(
        feature = "exec",
        feature = "named",
        feature = "npy",
        feature = "record",
        feature = "sandbox",
        feature = "serde",
        feature = "symbols",
        feature = "threads"
    )),
    allow(dead_code, unused_imports)
)]
#[cfg(not(target_os = "linux"))]
compile_error!("parfork needs Linux: memfd, futex_waitv and pidfd have no counterpart elsewhere");

mod answer;
mod cancel;
mod crew;
mod dtype;
mod engine;
mod engines;
mod error;
#[cfg(feature = "exec")]
pub mod exec;
mod fork;
pub mod formats;
#[cfg(all(any(test, fuzzing), feature = "exec", feature = "named", feature = "record"))]
#[doc(hidden)]
#[path = "../fuzz/targets/parfork.rs"]
pub mod fuzzing;
mod hooks;
#[cfg(all(feature = "exec", feature = "sandbox"))]
pub mod isolated;
mod job;
mod lend;
mod philox;
mod planes;
mod process;
#[cfg(feature = "record")]
pub mod record;
mod report;
#[cfg(feature = "sandbox")]
mod sandbox;
#[cfg(not(feature = "sandbox"))]
#[path = "sandbox/absent.rs"]
mod sandbox;
mod shared;
pub mod slices;
mod spec;
mod sync;
mod sys;
#[cfg(feature = "record")]
mod trace;
pub mod watch;
mod worker;

pub use answer::{Answer, Answers, Fixed, Growing};
pub use cancel::{CancelToken, SignalGuard};
pub use crew::{Crew, CrewBuilder, ServerProgram, serve};
pub use dtype::{Dtype, DtypeError, DtypeKind};
pub use engine::{Engine, EngineError, MOST_WORKERS};
pub use error::{
    Absent, AccessKind, ArrayName, Attendance, BarrierError, BodyFailure, CarryError, Cause, CellOwner,
    ControlPageDamage, CrewError, Death, Error, ExecError, Fault, FaultLocation, JsonError, ManifestError, Obstacle,
    ProtocolError, Remaining, Result, SegmentErrorKind, ShapeError, SliceName, StepsError,
};
pub use fork::fork;
#[cfg(feature = "record")]
pub use hooks::OnFailure;
pub use hooks::{Hooks, Progress};
pub use job::{Job, Runner, cpus};
pub use lend::{Cells, Input, Lend, Slice, Untyped, UntypedPart};
pub use philox::Philox;
pub use planes::{Border, BorderError, Planes};
pub use report::{Memory, Report, WorkerReport};
#[cfg(feature = "sandbox")]
pub use sandbox::Sandbox;
#[cfg(feature = "npy")]
pub use shared::Mapped;
#[cfg(feature = "named")]
pub use shared::named;
pub use shared::{Element, Order, Shared, set_segment_cache};
pub use slices::{Schedule, ScheduleError, Split, SplitError};
pub use spec::{JobSpec, RetryPolicy, Setting, SettingValue};
pub use worker::Worker;

/// The README's programs are run with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// And the program of the page on named segments is compiled.
#[cfg(doctest)]
#[doc = include_str!("../docs/segments.md")]
mod segments {}

/// And that of the page on the library.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
mod library {}
