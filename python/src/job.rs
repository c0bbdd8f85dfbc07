//! A job as Python asks for it, and what comes of it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant, TryFromFloatSecsError};

use parfork::{CancelToken, Cells, Crew, Error, Job, JobSpec, Order, Report, RetryPolicy, Schedule, Split, Untyped};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::answer::Answer;
use crate::body::{Argument, blocks, items};
use crate::errors::{describe, to_exception};
use crate::segment::Segment;

/// With which byte an answer begins that ends the job: an exception.
const ENDS: u8 = b'E';

/// How often Python is asked whether a signal has come, and told how far the job is.
const TICK: Duration = Duration::from_millis(20);

/// What is written: where in which segment.
#[derive(FromPyObject)]
pub struct Output {
    segment: Py<Segment>,
    at: usize,
    element: usize,
    shape: Vec<usize>,
    columns_first: bool,
}

/// What Python asks for, by the attributes of an object.
#[derive(FromPyObject)]
pub struct Wanted {
    /// The job's number, which no other one of this crew has.
    number: u64,
    /// What is read.
    inputs: Vec<Py<Segment>>,
    output: Option<Output>,
    /// How many things are counted off, where nothing is written.
    items: usize,
    axis: usize,
    /// How many rows or items a slice has.
    each: usize,
    halo: usize,
    workers: Option<usize>,
    schedule: String,
    retries: u32,
    restore: bool,
    timeout: Option<f64>,
    task_timeout: Option<f64>,
    memory_limit: Option<u64>,
    guard: bool,
    only_slice: Option<usize>,
    /// Called with how many slices are done, of how many.
    progress: Option<Py<PyAny>>,
    /// Called with each answer as it comes, and its slice.
    hand_on: Option<Py<PyAny>>,
}

/// A job's answers, and its report.
pub type Done = (Py<PyList>, Py<PyDict>);

impl Wanted {
    fn spec(&self) -> PyResult<JobSpec> {
        let span = |seconds: Option<f64>| {
            let wrong =
                |error: TryFromFloatSecsError| PyValueError::new_err(format!("a time is a number of seconds: {error}"));
            seconds.map(Duration::try_from_secs_f64).transpose().map_err(wrong)
        };
        let schedule = self.schedule.parse::<Schedule>();
        Ok(JobSpec {
            workers: self.workers,
            split: Some(Split::axis(self.axis).of(self.each).halo(self.halo)),
            schedule: Some(schedule.map_err(|error| PyValueError::new_err(error.to_string()))?),
            retries: self.retries,
            retry_policy: if self.restore { RetryPolicy::RestoreOutputs } else { RetryPolicy::BodyOverwrites },
            deadline: span(self.timeout)?,
            slice_deadline: span(self.task_timeout)?,
            memory_limit: self.memory_limit,
            guard: self.guard,
            only_slice: self.only_slice,
            ..JobSpec::default()
        })
    }

    fn slices(&self) -> usize {
        let length = self.output.as_ref().map_or(self.items, |output| output.shape[self.axis]);
        length.div_ceil(self.each).max(1)
    }

    /// Runs it on a crew.
    pub fn run(&self, py: Python<'_>, crew: &mut Crew) -> PyResult<Done> {
        let spec = self.spec()?;
        let mut attention = Attention { progress: self.progress.as_ref(), last: Instant::now(), raised: None };
        let stop = CancelToken::new();
        let mut gathered = Gathered {
            answers: vec![None; self.slices()],
            left: self.only_slice.map_or(self.slices(), |_| 1),
            hand_on: self.hand_on.as_ref(),
            raised: None,
        };
        let done = py.detach(|| self.run_detached(spec, crew, &stop, &mut attention, &mut gathered));
        if let Some(raised) = attention.raised.or(gathered.raised.take()) {
            return Err(raised);
        }
        let report = done.map_err(|error| to_exception(py, &error))?;
        let answers = gathered.answers.into_iter().map(|answer| answer.map(Answer::from)).collect::<Vec<_>>();
        Ok((PyList::new(py, answers)?.unbind(), describe_report(py, &report)?.unbind()))
    }

    fn run_detached(
        &self,
        spec: JobSpec,
        crew: &mut Crew,
        stop: &CancelToken,
        attention: &mut Attention<'_>,
        gathered: &mut Gathered<'_>,
    ) -> Result<Report, Error> {
        let mut lent = Untyped::new();
        for input in &self.inputs {
            lent.read(input.get().bytes());
        }
        if let Some(Output { segment, at, element, shape, columns_first }) = &self.output {
            let order = if *columns_first { Order::F } else { Order::C };
            let cells = Cells { at: *at, element: *element, shape: shape.clone(), order };
            // SAFETY: nobody here looks at the bytes of a segment through a reference: `Segment` and the body only tell Python addresses.
            #[allow(unsafe_code)]
            let written = unsafe { lent.write_at_address(segment.get().bytes(), cells) };
            written?;
        }
        let argument: Argument = [self.number, self.axis as u64];
        let progress = |done, of| attention.look(stop, done, of);
        let each = |slice: usize, answer: Vec<u8>| gathered.take(slice, answer);
        let job = Job::from(spec).crew(crew).cancel_token(stop).progress(progress);
        match self.output {
            Some(_) => job.lend(lent).run_each_with_unordered(argument, blocks, each),
            None => job.lend((0..self.items, lent)).run_each_with_unordered(argument, items, each),
        }
    }
}

/// Answers as they have come.
struct Gathered<'w> {
    answers: Vec<Option<Vec<u8>>>,
    /// How many are to come.
    left: usize,
    hand_on: Option<&'w Py<PyAny>>,
    /// What that has raised.
    raised: Option<PyErr>,
}

impl Gathered<'_> {
    fn take(&mut self, slice: usize, answer: Vec<u8>) -> ControlFlow<()> {
        self.left = self.left.saturating_sub(1);
        // After the last one there is nothing to be ended: workers stay.
        let mut ends = answer.first() == Some(&ENDS) && self.left > 0;
        match self.hand_on {
            None => self.answers[slice] = (!answer.is_empty()).then_some(answer),
            Some(hand_on) => {
                let handed = Python::attach(|py| hand_on.call1(py, (slice, Answer::from(answer))));
                self.raised = handed.err();
                ends |= self.raised.is_some();
            }
        }
        if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What this process looks at while workers work.
struct Attention<'w> {
    progress: Option<&'w Py<PyAny>>,
    last: Instant,
    /// What a signal's handler, or `progress`, has raised.
    raised: Option<PyErr>,
}

impl Attention<'_> {
    fn look(&mut self, stop: &CancelToken, done: usize, of: usize) {
        let is_last = done == of && self.progress.is_some();
        if self.raised.is_some() || (self.last.elapsed() < TICK && !is_last) {
            return;
        }
        self.last = Instant::now();
        let looked = Python::attach(|py| {
            py.check_signals()?;
            self.progress.map_or(Ok(()), |progress| progress.call1(py, (done, of)).map(drop))
        });
        if let Err(raised) = looked {
            self.raised = Some(raised);
            stop.cancel();
        }
    }
}

fn describe_report<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    fields.set_item("wall", report.wall.as_secs_f64())?;
    fields.set_item("slices", report.grid.slices())?;
    let workers = report.workers.iter().map(|worker| (worker.busy.as_secs_f64(), worker.slices.clone()));
    fields.set_item("workers", workers.collect::<Vec<_>>())?;
    let deaths = report.deaths.iter().map(|death| {
        let fields = PyDict::new(py);
        describe(&fields, death).map(|()| fields)
    });
    fields.set_item("deaths", deaths.collect::<PyResult<Vec<_>>>()?)?;
    Ok(fields)
}
