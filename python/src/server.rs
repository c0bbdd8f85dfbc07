//! The processes that fork workers: a Python that was started for it, with one thread for ever, and its forks, one for each crew.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicI32, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// What workers call for each slice.
pub static RUN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// This process, if the library forks in it. A fork that a worker makes by Python tells the interpreter by itself.
static SERVER: AtomicI32 = AtomicI32::new(0);

fn is_server() -> bool {
    // SAFETY: no preconditions.
    SERVER.load(Ordering::Relaxed) == unsafe { libc::getpid() }
}

extern "C" fn before() {
    if is_server() {
        // SAFETY: the one thread has the interpreter; it forks nowhere else than in `parfork::serve`.
        unsafe { ffi::PyOS_BeforeFork() };
    }
}

extern "C" fn after_in_parent() {
    if is_server() {
        // SAFETY: as before the fork.
        unsafe { ffi::PyOS_AfterFork_Parent() };
    }
}

extern "C" fn after_in_child() {
    // SAFETY: no preconditions.
    if SERVER.load(Ordering::Relaxed) == unsafe { libc::getppid() } {
        note_server();
        // SAFETY: the only thread of a fork of a server, for which `before` was called.
        unsafe { ffi::PyOS_AfterFork_Child() };
    }
}

fn note_server() {
    // SAFETY: no preconditions.
    SERVER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
}

/// In a worker: here Python alone forks.
pub fn is_worker() {
    SERVER.store(0, Ordering::Relaxed);
}

/// Forks workers whenever the process that has started this one wants some, and does not come back. They call `run` for each slice.
#[pyfunction]
pub fn serve(py: Python<'_>, run: Py<PyAny>) -> PyResult<()> {
    RUN.get_or_init(py, || run);
    note_server();
    // SAFETY: the handlers are as long there as this library, which Python does not unload.
    if unsafe { libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child)) } != 0 {
        return Err(PyRuntimeError::new_err("there is no memory to be told of forks"));
    }
    parfork::serve();
    Err(PyRuntimeError::new_err("this program was not started by parfork: it is for parfork to start"))
}
