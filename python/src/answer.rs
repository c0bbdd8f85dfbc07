//! An answer of a worker as Python has it: bytes that arrays can lie on without a copy.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::ManuallyDrop;

use pyo3::ffi;
use pyo3::prelude::*;

/// The bytes of an answer, by the buffer protocol, to be read and written. They are used by their address alone.
#[pyclass(frozen, module = "parfork._native")]
pub struct Answer {
    first: *mut u8,
    len: usize,
    capacity: usize,
}

// SAFETY: the bytes are this object's; it only gives out their address, to Python, which has its own ways to keep threads apart.
unsafe impl Send for Answer {}
// SAFETY: as above.
unsafe impl Sync for Answer {}

impl From<Vec<u8>> for Answer {
    fn from(bytes: Vec<u8>) -> Self {
        let mut bytes = ManuallyDrop::new(bytes);
        Self { first: bytes.as_mut_ptr(), len: bytes.len(), capacity: bytes.capacity() }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: of a vector that nobody else drops, and no view is left: each keeps this object.
        drop(unsafe { Vec::from_raw_parts(self.first, self.len, self.capacity) });
    }
}

#[pymethods]
impl Answer {
    fn __len__(&self) -> usize {
        self.len
    }

    /// # Safety
    /// Python's: `view` is to be filled.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let (first, len) = (slf.get().first, slf.get().len as isize);
        // SAFETY: as many bytes are there, for as long as this object lives, which the view keeps.
        match unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), first.cast(), len, 0, flags) } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}
