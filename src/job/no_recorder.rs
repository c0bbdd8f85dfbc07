//! Without the feature `record`: nothing is kept of a job.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::time::{Instant, SystemTime};

use crate::error::Error;
use crate::hooks::Hooks;
use crate::lend::Loan;
use crate::report::Report;
use crate::spec::JobSpec;
use crate::sync::ControlPage;

/// The record of a job that runs, of which there is none.
pub(super) struct Recorder<'p>(Infallible, PhantomData<&'p ()>);

/// What a record would need from the job.
#[expect(dead_code, reason = "nobody reads it without records")]
pub(super) struct FinishedJob<'r> {
    pub(super) page: &'r ControlPage,
    pub(super) loans: &'r [Loan<'r>],
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

impl<'p> Recorder<'p> {
    pub(super) fn of(_: &JobSpec, _: &mut Hooks<'p>, _: (Instant, SystemTime)) -> Option<Self> {
        None
    }

    pub(super) fn failed(self, _: &FinishedJob<'_>, _: Report, _: &Error) {
        match self.0 {}
    }

    pub(super) fn done(self, _: &FinishedJob<'_>, _: &mut Report) {
        match self.0 {}
    }
}
