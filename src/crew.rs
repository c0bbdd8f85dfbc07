//! Workers that stay between jobs.

use std::fmt;

use crate::engine::MOST_WORKERS;
use crate::engines::Hands;
use crate::error::{Error, Result};
use crate::process;
use crate::sys::limits;

/// Worker processes that are forked once and work on many jobs, one after the other.
///
/// A job of a [`fork`](crate::fork()) costs some hundred microseconds for making processes; a crew's costs some microseconds. In
/// exchange a body captures nothing: its workers are copies of this process as it was when they were forked, and know of what
/// came later only the arrays that are lent to them (those that were made later as well) and one argument of plain data.
///
/// ```
/// use parfork::{Crew, Shared};
/// let mut crew = Crew::start(2)?;
/// let a = Shared::from_array(&ndarray::Array1::<f64>::ones(1000))?;
/// let mut b = Shared::<f64, _>::zeros(1000)?;
/// for step in 1..=100 {
///     crew.run((&a, &mut b), f64::from(step), |w, factor, (a, mut b)| {
///         b.zip_mut_with(&w.share_of(a), |b, &a| *b += factor * a);
///     })?;
/// }
/// assert_eq!(b.view().sum(), 5050.0 * 1000.0);
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// One job at a time: to run is to borrow the crew alone. Between jobs workers sleep. A worker that dies is replaced before the
/// next job, and within one if it has [retries](crate::Job::retries); when a job fails, all are. Replacements come from a process
/// that was forked when the crew was started, so this process may have threads by then.
///
/// When a crew is dropped, its workers are ended. What they have mapped of an array is given back when the array is dropped.
pub struct Crew(Hands);

impl Crew {
    /// Forks so many workers.
    ///
    /// # Errors
    /// If this process has other threads; if there are to be none or more than [`MOST_WORKERS`]; if the system makes fewer.
    pub fn start(workers: usize) -> Result<Self> {
        Self::start_with(workers, 1)
    }

    /// Forks so many workers, in which BLAS, OpenMP and rayon are held to so many threads; 0 leaves them as they are. See
    /// [`Job::threads_per_worker`](crate::Job::threads_per_worker).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(workers: usize, threads_per_worker: usize) -> Result<Self> {
        let cpus = limits::cpus();
        check(workers)?;
        // SAFETY: each fork is made by the only thread there is, so no other holds anything that a worker could wait for.
        #[allow(unsafe_code)]
        let hands = unsafe { Hands::start(workers, MOST_WORKERS, threads_per_worker, cpus, process::be_alone) };
        hands.map(Self)
    }

    /// Forks so many workers even if this process has other threads.
    ///
    /// # Errors
    /// As [`start_with`](Self::start_with).
    ///
    /// # Safety
    /// As for [`Job::run_beside_threads`](crate::Job::run_beside_threads), for every body that the crew will ever run.
    #[allow(unsafe_code)]
    pub unsafe fn start_beside_threads(workers: usize, threads_per_worker: usize) -> Result<Self> {
        let cpus = limits::cpus();
        check(workers)?;
        // SAFETY: passed on to the caller.
        unsafe { Hands::start(workers, MOST_WORKERS, threads_per_worker, cpus, || Ok(())) }.map(Self)
    }

    /// How many workers there are; this process is not counted.
    pub fn workers(&self) -> usize {
        self.0.workers()
    }

    /// Lets this process work too, as the last rank, or not. It saves a wake-up where there is a worker for each of the other
    /// CPUs: an empty job takes less than a microsecond then.
    ///
    /// For those who trust their code: a body that crashes takes the coordinator with it here, nothing keeps it from writing to
    /// inputs, and while it works nobody looks at deadlines.
    pub fn join_in(&mut self, joins_in: bool) {
        self.0.join_in(joins_in);
    }

    /// Lets there be another number of workers. They are new ones then.
    ///
    /// # Errors
    /// As [`start`](Self::start); the crew can be used on, and tries again to have as many.
    pub fn resize(&mut self, workers: usize) -> Result<()> {
        check(workers)?;
        self.0.resize(workers)
    }

    /// Ends all workers and waits until they are gone, as dropping the crew does.
    pub fn dismiss(self) {}

    pub(crate) fn hands(&mut self) -> &mut Hands {
        &mut self.0
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("workers", &self.0.workers()).field("joins_in", &self.0.joins_in()).finish()
    }
}

fn check(workers: usize) -> Result<()> {
    match (1..=MOST_WORKERS).contains(&workers) {
        true => Ok(()),
        false => Err(Error::Workers { asked: workers, most: MOST_WORKERS }),
    }
}
