//! Named segments whose elements are known at run time, by the typed door of the library: `Named<T, IxDyn>` of each type there is.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ndarray::IxDyn;
use parfork::named::{self, Named, ReadGuard, Wait, WriteGuard};
use parfork::{Dtype, Element, Error, Order, Result, SegmentErrorKind};
use pyo3::exceptions::{PyRuntimeError, PyTimeoutError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::errors::to_exception;

/// How long a wait for a lock goes on before Python may look whether a signal has come.
const LOOK: Duration = Duration::from_millis(50);

/// A lock that is held.
enum Guard<T: Element> {
    Read(ReadGuard<'static, T, IxDyn>),
    Write(WriteGuard<'static, T, IxDyn>),
}

/// A segment, and the lock of it that is held, if one is.
struct Typed<T: Element> {
    guard: Option<Guard<T>>,
    /// Made by `Box::into_raw`, and this one's alone.
    named: *mut Named<T, IxDyn>,
}

// SAFETY: the pointer is a box's, which can be sent as the segment and the guard that borrows from it can.
unsafe impl<T: Element + Sync> Send for Typed<T>
where
    Named<T, IxDyn>: Send,
    ReadGuard<'static, T, IxDyn>: Send,
    WriteGuard<'static, T, IxDyn>: Send,
{
}

impl<T: Element> Drop for Typed<T> {
    fn drop(&mut self) {
        self.guard = None;
        // SAFETY: made by `Box::into_raw`; the guard that borrowed from it is gone.
        drop(unsafe { Box::from_raw(self.named) });
    }
}

/// What is the same for elements of all types.
trait Lockable: Send {
    /// Takes the lock, and says where the elements are.
    fn lock(&mut self, write: bool, wait: Wait<'_>) -> Result<usize>;
    /// Gives the lock back; of one to write, says that it is written whole, or leaves it marked as unfinished.
    fn unlock(&mut self, publish: bool) -> Result<()>;
    fn is_locked(&self) -> bool;
    fn named(&self) -> (u64, bool);
}

impl<T: Element + Send + Sync> Lockable for Typed<T> {
    fn lock(&mut self, write: bool, wait: Wait<'_>) -> Result<usize> {
        // SAFETY: the box lives as long as this, and there is no guard, so that nothing else borrows from it.
        let named: &'static mut Named<T, IxDyn> = unsafe { &mut *self.named };
        if write {
            let mut guard = named.write_within(wait)?;
            let first = guard.view_mut().as_mut_ptr().addr();
            self.guard = Some(Guard::Write(guard));
            return Ok(first);
        }
        let guard = named.read_within(wait)?;
        let first = guard.view().as_ptr().addr();
        self.guard = Some(Guard::Read(guard));
        Ok(first)
    }

    fn unlock(&mut self, publish: bool) -> Result<()> {
        match self.guard.take() {
            Some(Guard::Write(guard)) if publish => guard.publish().map(drop),
            // Dropped: the lock is given back.
            Some(Guard::Write(WriteGuard { .. }) | Guard::Read(ReadGuard { .. })) | None => Ok(()),
        }
    }

    fn is_locked(&self) -> bool {
        self.guard.is_some()
    }

    fn named(&self) -> (u64, bool) {
        // SAFETY: the box lives as long as this, and guards borrow it as this does: to look at.
        let named = unsafe { &*self.named };
        (named.generation(), named.is_removed())
    }
}

fn typed<T: Element + Send + Sync>(named: Named<T, IxDyn>) -> Box<dyn Lockable> {
    Box::new(Typed { guard: None, named: Box::into_raw(Box::new(named)) })
}

/// Runs code with `$t` as the type that a dtype says.
macro_rules! with_dtype {
    ($dtype:expr, $name:expr, $t:ident => $code:expr) => {
        with_dtype!(@ $dtype, $name, $t => $code, u8 u16 u32 u64 i8 i16 i32 i64 f32 f64)
    };
    (@ $dtype:expr, $name:expr, $t:ident => $code:expr, $($type:ty)*) => {
        match $dtype {
            $(<$type as Element>::DTYPE => { type $t = $type; $code })*
            dtype => Err(Error::Segment { name: $name.to_owned(), kind: SegmentErrorKind::Elements { dtype } }),
        }
    };
}

/// A named segment that this process has open. Its bytes are handed out as a buffer while its lock is held.
#[pyclass(frozen, module = "parfork._native")]
pub struct NamedSegment {
    segment: Mutex<Box<dyn Lockable>>,
    name: String,
    /// By how many bytes its elements are.
    size: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    order: Order,
    foreign: bool,
    /// Where its elements are while it is locked, and whether they may be written.
    held: Mutex<Option<(usize, bool)>>,
}

fn taken<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl NamedSegment {
    /// Makes one, of zeros.
    #[staticmethod]
    fn create(
        py: Python<'_>,
        name: String,
        shape: Vec<usize>,
        dtype: &str,
        columns_first: bool,
        keep: bool,
    ) -> PyResult<Self> {
        let dtype: Dtype = dtype
            .parse()
            .map_err(|_| PyValueError::new_err(format!("segments do not have elements of dtype {dtype}")))?;
        let order = if columns_first { Order::F } else { Order::C };
        let dim = IxDyn(&shape);
        let make = || with_dtype!(dtype, &name, T => Named::<T, IxDyn>::create(&name).keep(keep).order(order).zeros(dim).map(typed));
        let made = py.detach(make).map_err(|error| to_exception(py, &error))?;
        Ok(Self::of(made, name, dtype, shape, order, false))
    }

    /// Opens one.
    #[staticmethod]
    fn attach(py: Python<'_>, name: String, readonly: bool) -> PyResult<Self> {
        let open = || {
            let info = named::info(&name)?;
            let opened = with_dtype!(info.dtype, &name, T => {
                if readonly { Named::<T, IxDyn>::open(&name) } else { Named::<T, IxDyn>::open_mut(&name) }.map(|named| {
                    // What it is now: it may be another one than was looked at.
                    let (shape, order) = (named.shape().to_vec(), named.order());
                    (typed(named), shape, order)
                })
            })?;
            Ok((info, opened))
        };
        let opened: Result<_> = py.detach(open);
        let (info, (segment, shape, order)) = opened.map_err(|error| to_exception(py, &error))?;
        // SAFETY: no preconditions.
        let foreign = info.owner.uid != unsafe { libc::geteuid() };
        Ok(Self::of(segment, name, info.dtype, shape, order, foreign))
    }

    /// Takes the lock; waits for those who have it, for so many seconds at most.
    fn lock(&self, py: Python<'_>, write: bool, timeout: Option<f64>, unfinished: bool) -> PyResult<()> {
        let span = timeout.map(Duration::try_from_secs_f64).transpose();
        let span = span.map_err(|error| PyValueError::new_err(format!("a time is a number of seconds: {error}")))?;
        let began = Instant::now();
        loop {
            let left = span.map_or(LOOK, |span| span.saturating_sub(began.elapsed()).min(LOOK));
            let wait = Wait::new().deadline(left);
            let wait = if unfinished { wait.accept_torn() } else { wait };
            let locked = py.detach(|| {
                let mut segment = taken(&self.segment);
                if segment.is_locked() { Ok(None) } else { segment.lock(write, wait).map(Some) }
            });
            match locked {
                Ok(None) => {
                    let text = format!("segment {}: this handle has it locked already. Attach it again", self.name);
                    return Err(PyRuntimeError::new_err(text));
                }
                Ok(Some(first)) => {
                    *taken(&self.held) = Some((first, write));
                    return Ok(());
                }
                Err(Error::Segment { kind: SegmentErrorKind::Deadline(_), .. }) => py.check_signals()?,
                Err(error) => return Err(to_exception(py, &error)),
            }
            if let Some(span) = span.filter(|span| began.elapsed() >= *span) {
                let name = &self.name;
                return Err(PyTimeoutError::new_err(format!(
                    "segment {name}: others had it locked for {span:?}. Wait longer, or look who has it (parfork shm info {name})"
                )));
            }
        }
    }

    /// Gives the lock back; of one to write, says that it is written whole if it is.
    fn unlock(&self, py: Python<'_>, publish: bool) -> PyResult<()> {
        *taken(&self.held) = None;
        taken(&self.segment).unlock(publish).map_err(|error| to_exception(py, &error))
    }

    /// Takes the name away, unless it is gone.
    fn remove(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_removed() {
            return Ok(());
        }
        match named::remove(&self.name) {
            Ok(()) | Err(Error::Segment { kind: SegmentErrorKind::Absent, .. }) => Ok(()),
            Err(error) => Err(to_exception(py, &error)),
        }
    }

    #[getter]
    fn dtype(&self) -> String {
        self.dtype.to_string()
    }

    #[getter]
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    #[getter]
    fn columns_first(&self) -> bool {
        self.order == Order::F
    }

    /// Whether it is another user's, who need not keep to any lock.
    #[getter]
    fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// How often it has been written whole.
    #[getter]
    fn generation(&self) -> u64 {
        taken(&self.segment).named().0
    }

    #[getter]
    fn is_removed(&self) -> bool {
        taken(&self.segment).named().1
    }

    /// # Safety
    /// Python's: `view` is to be filled.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let Some((first, writable)) = *taken(&slf.get().held) else {
            return Err(PyRuntimeError::new_err("the segment is not locked"));
        };
        let first = std::ptr::with_exposed_provenance_mut(first);
        // SAFETY: as many bytes are mapped there for as long as this object lives, which the view keeps, writable if it is locked so.
        match unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), first, slf.get().size as isize, c_int::from(!writable), flags)
        } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}

impl NamedSegment {
    fn of(
        segment: Box<dyn Lockable>,
        name: String,
        dtype: Dtype,
        shape: Vec<usize>,
        order: Order,
        foreign: bool,
    ) -> Self {
        let size = shape.iter().product::<usize>() * dtype.size();
        Self { segment: Mutex::new(segment), name, size, dtype, shape, order, foreign, held: Mutex::new(None) }
    }
}
