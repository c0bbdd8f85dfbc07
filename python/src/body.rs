//! What runs in workers for each slice: it tells Python which it is and where the lent bytes are, and hands on what comes back.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ops::Range;
use std::ptr;

use parfork::{BarrierError, Error, UntypedPart, Worker};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::server::{RUN, is_worker};

/// What a job is told besides what is lent: its number, and which axis is cut.
pub type Argument = [u64; 2];

thread_local! {
    /// Who works on a slice in this thread, while it does.
    static WORKER: Cell<*const Worker<'static>> = const { Cell::new(ptr::null()) };
}

/// The body of jobs on items.
pub fn items(
    worker: &Worker<'_>,
    argument: Argument,
    (_, part): (Range<usize>, UntypedPart<'_>),
) -> Result<Vec<u8>, String> {
    work(worker, argument, &part)
}

/// The body of jobs on blocks of an output.
pub fn blocks(worker: &Worker<'_>, argument: Argument, part: UntypedPart<'_>) -> Result<Vec<u8>, String> {
    work(worker, argument, &part)
}

fn work(worker: &Worker<'_>, [job, axis]: Argument, part: &UntypedPart<'_>) -> Result<Vec<u8>, String> {
    let region = worker.region();
    let whole = || "a slice is cut along its axis".to_owned();
    let mine = region.range(axis as usize).ok_or_else(whole)?;
    let around = region.range_with_halo(axis as usize).ok_or_else(whole)?;
    is_worker();
    let _at = AtSlice::new(worker);
    Python::attach(|py| {
        let run = RUN.get(py).ok_or_else(|| PyRuntimeError::new_err("this process does not serve"))?;
        let lent = (0..part.count()).map(|number| (part.address(number).expose_provenance(), part.byte_length(number)));
        let lent = PyTuple::new(py, lent.collect::<Vec<_>>())?;
        let cells = (mine.start, mine.end, around.start, around.end);
        let parts = run.call1(py, (job, worker.rank(), worker.workers(), region.index(), cells, lent))?;
        join(parts.bind(py))
    })
    .map_err(|error| error.to_string())
}

/// One after the other: what Python hands back is one or more runs of bytes, or nothing.
fn join(parts: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if parts.is_none() {
        return Ok(Vec::new());
    }
    let parts = parts.try_iter()?.map(|part| PyBuffer::<u8>::get(&part?)).collect::<PyResult<Vec<_>>>()?;
    if !parts.iter().all(|part| part.is_c_contiguous()) {
        return Err(PyRuntimeError::new_err("an answer is made of bytes without gaps"));
    }
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.item_count()).sum());
    for part in &parts {
        // SAFETY: contiguous bytes, as was just looked at; nobody writes to them, for this thread has the interpreter.
        let bytes = unsafe { std::slice::from_raw_parts(part.buf_ptr().cast::<u8>(), part.item_count()) };
        all.extend_from_slice(bytes);
    }
    Ok(all)
}

/// While it lives, this thread works on a slice.
struct AtSlice;

impl AtSlice {
    fn new(worker: &Worker<'_>) -> Self {
        WORKER.set(ptr::from_ref(worker).cast());
        Self
    }
}

impl Drop for AtSlice {
    fn drop(&mut self) {
        WORKER.set(ptr::null());
    }
}

/// In a worker, waits until every worker of the job has come here.
#[pyfunction]
pub fn barrier() -> PyResult<()> {
    let worker = WORKER.get();
    if worker.is_null() {
        return Err(PyRuntimeError::new_err("barrier() is for the function that a job calls in its workers"));
    }
    // SAFETY: set by a call of `work` that is on this thread's stack and clears it before it returns.
    let worker = unsafe { &*worker };
    worker.barrier().map_err(|error| {
        PyRuntimeError::new_err(match error {
            Error::Barrier(BarrierError::NotInStep { workers, slices }) => format!(
                "barrier() is for jobs in which every worker has one slice, and {workers} workers share {slices}: use \
                 schedule=\"static\" and as many items, or blocks, as workers"
            ),
            error => error.to_string(),
        })
    })
}

/// A view of bytes that are lent to a worker.
#[pyfunction]
pub fn view(py: Python<'_>, address: usize, size: usize, writable: bool) -> PyResult<Bound<'_, PyAny>> {
    let flags = if writable { ffi::PyBUF_WRITE } else { ffi::PyBUF_READ };
    let first = ptr::with_exposed_provenance_mut(address);
    // SAFETY: what was lent is mapped there with as many bytes, which `work` has told; a view that is used after its job is a fault of
    // this worker's and nobody else's.
    let view = unsafe { ffi::PyMemoryView_FromMemory(first, size as isize, flags) };
    // SAFETY: a new reference, or an exception.
    unsafe { Bound::from_owned_ptr_or_err(py, view) }
}
