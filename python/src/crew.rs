//! Crews: workers that stay, forked by a Python that is started for all of them.

use std::ffi::OsString;
use std::process::Command;
use std::sync::{Mutex, TryLockError};

use parfork::{CrewBuilder, ServerProgram};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::to_exception;
use crate::job::{Done, Wanted};

/// A Python that forks the workers of crews: started when the first one is, and again if it has died.
#[pyclass(frozen, module = "parfork._native")]
pub struct Server(ServerProgram);

#[pymethods]
impl Server {
    /// The one that this command starts, with these variables in its environment.
    #[new]
    fn new(py: Python<'_>, program: Vec<OsString>, environment: Vec<(OsString, OsString)>) -> PyResult<Self> {
        let (program, arguments) =
            program.split_first().ok_or_else(|| PyRuntimeError::new_err("no program is told"))?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(environment);
        Ok(Self(ServerProgram::new(command).map_err(|error| to_exception(py, &error))?))
    }
}

/// Workers that stay. One job at a time: whoever shares it waits in Python, where a wait can be interrupted.
#[pyclass(frozen, module = "parfork._native")]
pub struct Crew {
    crew: Mutex<Option<parfork::Crew>>,
}

#[pymethods]
impl Crew {
    /// Has workers forked by this program.
    #[new]
    fn new(py: Python<'_>, workers: usize, threads_per_worker: usize, server: &Server) -> PyResult<Self> {
        let builder = CrewBuilder::new().workers(workers).threads_per_worker(threads_per_worker);
        let crew = py.detach(|| builder.start_by(&server.0)).map_err(|error| to_exception(py, &error))?;
        Ok(Self { crew: Mutex::new(Some(crew)) })
    }

    /// Runs a job.
    fn run(&self, py: Python<'_>, wanted: Wanted) -> PyResult<Done> {
        let mut crew = match self.crew.try_lock() {
            Ok(crew) => crew,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(PyRuntimeError::new_err("this crew is at work: what it calls cannot give it more"));
            }
        };
        let crew = crew.as_mut().ok_or_else(|| PyRuntimeError::new_err("this crew was closed: start another one"))?;
        wanted.run(py, crew)
    }

    /// Ends all workers.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.crew.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()));
    }
}
