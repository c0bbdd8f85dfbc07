//! Workers in any language: a job whose slices are done by copies of another program.
//!
//! Each worker process watches over one copy. It starts the program with descriptors of the arrays and a [`Manifest`], tells it
//! slice after slice over a [line protocol](mod@line), and lives and dies with it: so all that is known of workers (retries,
//! deadlines, records) holds for programs. The array's bytes stay where they are. docs/protocol.md is what programs are promised;
//! [`ProgramWorker`] is the program's side for programs in Rust.
//!
//! ```
//! use parfork::{Element, Job, exec::{self, Array, Program}};
//! let squares = Array::output("squares", u8::DTYPE, &[10])?;
//! // A program that knows nothing of us, once for each slice.
//! let script = "printf \"\\\\$(printf %03o $(({start} * {start})))\" | dd of=$PARFORK_OUT_SQUARES bs=1 seek={start} conv=notrunc status=none";
//! let program = Program::new("sh").args(["-c", script]).each(true);
//! let (done, arrays) = exec::run(Job::default(), &program, vec![squares])?;
//! assert_eq!(arrays[0].as_bytes(), Some(&[0, 1, 4, 9, 16, 25, 36, 49, 64, 81][..]));
//! # assert_eq!(done.len(), 10);
//! # Ok::<(), parfork::Error>(())
//! ```

mod array;
mod array_list;
mod client;
mod fields;
mod json;
pub mod line;
mod manifest;
mod planes;
mod planes_told;
mod program;
mod run;
mod sandbox_paths;
mod step_client;
mod supervisor;
mod value;
mod words;

pub use array::Array;
pub use client::{GivenSlice, Input, Output, ProgramWorker};
pub use manifest::{Entry, Manifest, PROTOCOL, SCHEMA};
pub use planes::ProgramPlanes;
pub use planes_told::{PlanesEntry, PlanesTold};
pub use program::Program;
pub use run::{run, run_steps};
pub use step_client::{GivenStep, StepPlanes};
