//! Without the feature `sandbox`: what a job can be set to, if there is no such thing.

use std::convert::Infallible;
use std::os::fd::RawFd;

use crate::error::Result;
use crate::sys::reserve::Late;
use crate::sys::sandbox::{Receiver, Report, Support};

/// A sandbox, of which there is none.
#[derive(Debug)]
pub(crate) struct Sandbox(Infallible);

impl Sandbox {
    pub(crate) fn prepare(&self) -> Result<Confinement> {
        match self.0 {}
    }

    #[cfg(feature = "exec")]
    pub(crate) fn support(&self) -> Result<Support> {
        match self.0 {}
    }
}

/// One that is ready to be entered.
#[derive(Debug)]
pub(crate) struct Confinement(Support);

impl Confinement {
    pub(crate) fn enter(&self, _: usize, _: impl IntoIterator<Item = RawFd>) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn confines_workers(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn forward_output(&self) {
        match self.0 {}
    }

    pub(crate) fn forward_rest(&self, _: Late<'_>) {
        match self.0 {}
    }

    pub(crate) fn next_report(&self, _: &mut Receiver) -> Option<Report> {
        match self.0 {}
    }
}
