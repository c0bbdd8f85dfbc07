//! Jobs whose workers have something that is made once for each: a buffer, a connection, a model that takes long to load.

use std::mem;
use std::sync::Mutex;

use bytemuck::Pod;

use super::{Job, Runner, cpus};
use crate::answer::{Answer, Answers};
use crate::engines::{Body, BodyFn, CrewJob, KeptState, whole};
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
    /// A worker that has no slice has no state; a replacement makes its own, and so does whoever a panic in a body has left with one that may be half
    /// changed. What a slice comes to must not depend on what is left in the state by those before it, for who has these is up to chance.
    /// Worker processes leave without dropping it; on threads, and by the serial engine, it is dropped when the job is over.
    ///
    /// Not for a [crew](Self::crew), whose workers have captured nothing: there it is [`run_init_with`](Self::run_init_with).
    ///
    /// # Errors
    /// As [`run`](Self::run). If `init` panics, that is a panic on the first slice of its worker.
    pub fn run_init<S: Send, R: Answer<K>, K>(
        self,
        init: impl Fn(&Worker<'_>) -> S + Sync,
        body: impl Fn(&Worker<'_>, &mut S, L::Part<'_>) -> R + Sync,
    ) -> Result<Answers<R::Value>> {
        // One a rank, which has it alone.
        let states: Vec<Mutex<Option<S>>> =
            (0..self.spec.workers.unwrap_or_else(cpus)).map(|_| Mutex::new(None)).collect();
        let body = |worker: &Worker<'_>, part: L::Part<'_>| {
            let mut state = whole(&states[worker.rank()]);
            body(worker, state.get_or_insert_with(|| init(worker)), part)
        };
        self.without_crew()?.run_body(&Body::<L, R, K, _>::new(body), None)
    }

    /// As [`run_init`](Self::run_init), with functions that capture nothing and are handed an argument each, as
    /// [`run_with`](Self::run_with) is for [`run`](Self::run): on a [crew](Self::crew) if there is one, else by the engine's own workers.
    ///
    /// A worker of a crew keeps what it has made for the jobs that come: of each `init`, the last one. A job with the same `init` and the same
    /// `seed` goes on with it; with another seed it is dropped, and made anew.
    ///
    /// ```
    /// use parfork::{Crew, Job, Shared};
    /// let mut crew = Crew::start(2)?;
    /// let mut cells = Shared::<f64, _>::zeros(1000)?;
    /// for power in 1..4_i32 {
    ///     // A table that takes long to make: once for each worker, and not for each job.
    ///     let table = |_: &parfork::Worker<'_>, last: u64| (0..last).map(|n| n as f64).collect::<Vec<_>>();
    ///     Job::new(&mut cells).crew(&mut crew).run_init_with(1000, table, power, |_, power, table, mut slice| {
    ///         let start = slice.rows().start;
    ///         slice.iter_mut().zip(&table[start..]).for_each(|(cell, n)| *cell = n.powi(power));
    ///     })?;
    ///     assert_eq!(cells.view()[10], 10_f64.powi(power));
    /// }
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// A worker that has died, and each of a job that has failed, was replaced, and its state is gone. A coordinator that works too
    /// keeps its own as long as its thread lives.
    ///
    /// # Errors
    /// As [`run_with`](Self::run_with) and [`run_init`](Self::run_init).
    pub fn run_init_with<I: Pod + Sync, S: Send + 'static, A: Pod + Sync, R: Answer<K>, K>(
        mut self,
        seed: I,
        init: fn(&Worker<'_>, I) -> S,
        argument: A,
        body: fn(&Worker<'_>, A, &mut S, L::Part<'_>) -> R,
    ) -> Result<Answers<R::Value>> {
        match mem::take(&mut self.runner) {
            Runner::Crew(crew) => {
                let arguments = [bytemuck::bytes_of(&seed), bytemuck::bytes_of(&argument)].concat();
                let task = CrewJob { body_fn: BodyFn::with_init::<L, I, S, A, R, K>(init, body), argument: &arguments };
                // Of the coordinator, if that works too.
                let state = KeptState::of(init, seed);
                let body = |worker: &Worker<'_>, part: L::Part<'_>| {
                    state.with(worker, |state| body(worker, argument, state, part))
                };
                self.run_on_crew(crew, &task, &Body::<L, R, K, _>::new(body), None)
            }
            runner => {
                let body = |worker: &Worker<'_>, state: &mut S, part: L::Part<'_>| body(worker, argument, state, part);
                self.runner(runner).run_init(|worker| init(worker, seed), body)
            }
        }
    }
}
