//! Shared memory that a NumPy array can lie on.
#![allow(unsafe_code)]

use std::ffi::c_int;

use ndarray::Ix1;
use parfork::Shared;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::errors::to_exception;

/// A run of bytes in shared memory, by Python's buffer protocol. It is used by its address alone: whoever has a view of it may write to
/// it, as to any array, so there is never a reference to its bytes here.
#[pyclass(frozen, weakref, module = "parfork._native")]
pub struct Segment {
    bytes: Shared<u8, Ix1>,
}

impl Segment {
    /// To be lent to a job.
    pub fn bytes(&self) -> &Shared<u8, Ix1> {
        &self.bytes
    }
}

#[pymethods]
impl Segment {
    /// So many bytes, zeros or any; forks that others make of this process have them too.
    #[new]
    fn new(py: Python<'_>, size: usize, zeros: bool) -> PyResult<Self> {
        let make = || -> parfork::Result<Self> {
            let mut bytes = if zeros { Shared::zeros(size) } else { Shared::empty(size) }?;
            bytes.share_with_forks()?;
            Ok(Self { bytes })
        };
        py.detach(make).map_err(|error| to_exception(py, &error))
    }

    /// Where it begins.
    #[getter]
    fn address(&self) -> usize {
        self.bytes.as_ptr().addr()
    }

    /// How many bytes there are.
    #[getter]
    fn size(&self) -> usize {
        self.bytes.len()
    }

    /// # Safety
    /// Python's: `view` is to be filled.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let (first, len) = (slf.get().bytes.as_ptr(), slf.get().bytes.len());
        // SAFETY: as many bytes are mapped there, writable, for as long as this object lives, which the view keeps.
        match unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), first.cast(), len as isize, 0, flags) } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}
