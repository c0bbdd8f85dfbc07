//! What of the Python package `parfork` is Rust: shared memory under arrays (`segment.rs`, `named.rs`), crews and their jobs (`crew.rs`, `job.rs`),
//! what runs in workers (`body.rs`) and in the process that forks them (`server.rs`), errors as exceptions (`errors.rs`).
//!
//! What is in Python is in `../parfork/`: what travels and how, the verbs, the report.

mod answer;
mod body;
mod crew;
mod errors;
mod job;
mod named;
mod segment;
mod server;

/// What the package takes from here.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use super::answer::Answer;
    #[pymodule_export]
    use super::body::{barrier, view};
    #[pymodule_export]
    use super::crew::{Crew, Server};
    #[pymodule_export]
    use super::named::NamedSegment;
    #[pymodule_export]
    use super::segment::Segment;
    #[pymodule_export]
    use super::server::serve;

    /// How many CPUs this process may use.
    #[pyo3::pyfunction]
    fn cpus() -> usize {
        parfork::cpus()
    }
}
