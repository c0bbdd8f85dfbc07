//! Jobs whose workers have something that is made once for each: a buffer, a connection, a model that takes long to load.

use std::sync::{Mutex, PoisonError};

use super::{Job, cpus};
use crate::answer::{Answer, Answers};
use crate::engines::Body;
use crate::error::Result;
use crate::lend::Lend;
use crate::worker::Worker;

impl<L: Lend> Job<'_, L> {
    /// As [`run`](Self::run), with a state that `init` makes once in each worker, before its first slice, and that the body is handed with
    /// each: what joblib and Python's executors call an initializer, and rayon `map_init`.
    ///
    /// ```
    /// use parfork::{Job, Shared};
    /// let squares = Shared::from_array(&ndarray::Array2::from_elem((100, 50), 2_u64))?;
    /// let job = Job::new(&squares).workers(2);
    /// let sums = job.run_init(|_| Vec::with_capacity(50), |w, row, squares| {
    ///     row.clear();
    ///     row.extend(w.slice_of(squares).iter().map(|x| x * x));
    ///     row.iter().sum::<u64>()
    /// })?;
    /// assert_eq!(sums.sum(), 100 * 50 * 4);
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// A worker that has no slice has no state; a replacement makes its own. What a slice comes to must not depend on what is left in the
    /// state by those before it, for who has these is up to chance. Worker processes leave without dropping it; on threads, and by the
    /// serial engine, it is dropped when the job is over.
    ///
    /// Not for a [crew](Self::crew), whose workers have captured nothing: there a `thread_local!` keeps a state from job to job.
    ///
    /// # Errors
    /// As [`run`](Self::run). If `init` panics, that is a panic on the first slice of its worker.
    pub fn run_init<S: Send, R: Answer<K>, K>(
        self,
        init: impl Fn(&Worker<'_>) -> S + Sync,
        body: impl Fn(&Worker<'_>, &mut S, L::Part<'_>) -> R + Sync,
    ) -> Result<Answers<R::Value>> {
        // One a rank, which has it alone: nobody ever waits for a lock.
        let states: Vec<Mutex<Option<S>>> =
            (0..self.spec.workers.unwrap_or_else(cpus)).map(|_| Mutex::new(None)).collect();
        let body = |worker: &Worker<'_>, part: L::Part<'_>| {
            let mut state = states[worker.rank()].lock().unwrap_or_else(PoisonError::into_inner);
            body(worker, state.get_or_insert_with(|| init(worker)), part)
        };
        self.without_crew()?.run_body(&Body::<L, R, K, _>::new(body), None)
    }
}
