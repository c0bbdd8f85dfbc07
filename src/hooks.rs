//! What the process that runs a job adds to it: what it is asked and told meanwhile.

use std::fmt;

use crate::cancel::CancelToken;
#[cfg(feature = "record")]
use crate::report::Report;
use crate::sandbox::Sandbox;

/// Called in the coordinator with the number of slices done and of all; in a job of steps, of the steps of all slices.
pub type Progress<'p> = Box<dyn FnMut(usize, usize) + 'p>;

/// Who is given the report of a job that failed, with its trace.
#[cfg(feature = "record")]
pub type OnFailure<'p> = Box<dyn FnOnce(Report) + 'p>;

/// What of a job is of the process that runs it and no plain data.
#[derive(Default)]
pub struct Hooks<'p> {
    /// A request to stop that the job looks at; see [`Job::cancel_token`](crate::Job::cancel_token).
    pub cancel_token: Option<&'p CancelToken>,
    /// Told now and then how many slices are done, of how many.
    pub progress: Option<Progress<'p>>,
    /// Given the report of the job if it fails; see [`Job::on_failure`](crate::Job::on_failure).
    #[cfg(feature = "record")]
    pub on_failure: Option<OnFailure<'p>>,
    /// What workers are kept from, besides what they were not lent, with descriptors of this process that they keep; see
    /// [`Job::sandbox`](crate::Job::sandbox).
    #[cfg(feature = "sandbox")]
    pub sandbox: Option<Sandbox<'p>>,
}

impl<'p> Hooks<'p> {
    /// What workers are kept from besides, if anything.
    #[cfg(feature = "sandbox")]
    pub(crate) fn sandbox(&self) -> Option<&Sandbox<'p>> {
        self.sandbox.as_ref()
    }

    /// Nothing: this crate is built without sandboxes.
    #[cfg(not(feature = "sandbox"))]
    pub(crate) fn sandbox(&self) -> Option<&Sandbox> {
        None
    }

    /// The same for workers that start confined programs and are not confined themselves.
    #[cfg(feature = "exec")]
    pub(crate) fn sandbox_around_programs(self) -> Self {
        Self {
            #[cfg(feature = "sandbox")]
            sandbox: self.sandbox.map(Sandbox::around_programs),
            ..self
        }
    }
}

impl fmt::Debug for Hooks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut hooks = f.debug_struct("Hooks");
        hooks.field("cancel_token", &self.cancel_token.is_some()).field("progress", &self.progress.is_some());
        #[cfg(feature = "record")]
        hooks.field("on_failure", &self.on_failure.is_some());
        hooks.field("sandbox", &self.sandbox()).finish()
    }
}
