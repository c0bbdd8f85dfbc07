//! Errors as Python's exceptions: which class is for `parfork/_errors.py` to say, by the kind and the fields that are told here.

use parfork::{Cause, Death, Error, SegmentErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The exception that an error is in Python.
pub fn to_exception(py: Python<'_>, error: &Error) -> PyErr {
    match make(py, error) {
        Ok(exception) => PyErr::from_value(exception),
        Err(failed) => failed,
    }
}

fn make<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    let kind = match error {
        Error::WorkerDied(death) => {
            describe(&fields, death)?;
            "died"
        }
        Error::Memory { need, room, by, .. } => {
            fields.set_item("need", need)?;
            fields.set_item("room", room)?;
            fields.set_item("by", by)?;
            "memory"
        }
        Error::Deadline { .. } => "timeout",
        Error::Stopped { .. } => "stopped",
        Error::Segment { kind, .. } => match kind {
            SegmentErrorKind::Absent => "absent",
            SegmentErrorKind::Exists => "exists",
            SegmentErrorKind::Unfinished { .. } => "unfinished",
            SegmentErrorKind::ReadOnly => "read-only",
            SegmentErrorKind::CutOff { .. } | SegmentErrorKind::Removed => "other",
            _ => "value",
        },
        Error::Shape(_) | Error::Split(_) | Error::Workers { .. } | Error::NoSuchSlice { .. } => "value",
        _ => "other",
    };
    let text = match error {
        // Without the advice for Rust.
        Error::WorkerDied(death) => format!("{death:#}"),
        Error::Segment { name, kind: SegmentErrorKind::Unfinished { .. } | SegmentErrorKind::ReadOnly } => name.clone(),
        error => error.to_string(),
    };
    py.import("parfork._errors")?.getattr("of_native")?.call1((kind, text, fields))
}

/// The fields of a death.
pub fn describe(fields: &Bound<'_, PyDict>, death: &Death) -> PyResult<()> {
    fields.set_item("rank", death.rank)?;
    fields.set_item("pid", death.pid)?;
    fields.set_item("signal", signal(&death.cause))?;
    fields.set_item("status", if let Cause::Exited { status } = death.cause { Some(status) } else { None })?;
    fields.set_item("cause", death.cause.to_string())?;
    fields.set_item("slice", death.slice.map(|slice| slice.0.index()))?;
    let cells = death.slice.and_then(|slice| slice.0.ranges().next()).map(|(_, range)| (range.start, range.end));
    fields.set_item("rows", cells)?;
    fields.set_item("tries", death.tries)?;
    fields.set_item("done", death.done)?;
    fields.set_item("slices", death.slices)
}

fn signal(cause: &Cause) -> Option<i32> {
    match cause {
        Cause::Signalled { signal } => Some(*signal),
        Cause::Faulted(fault) => Some(fault.signal),
        Cause::OutOfMemory { .. } | Cause::Stalled { .. } | Cause::ForkServerDied => Some(libc::SIGKILL),
        Cause::AbortedWithin { .. } => Some(libc::SIGABRT),
        _ => None,
    }
}
