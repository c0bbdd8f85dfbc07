//! A job as data: what is lent, how it is cut and dealt, who works on it, for how long at most; then `run`.

#[cfg(feature = "record")]
mod recorder;
#[cfg(not(feature = "record"))]
#[path = "job/no_recorder.rs"]
mod recorder;
mod run;

use std::time::Duration;

use bytemuck::Pod;

use crate::answer::{Answer, Answers};
use crate::cancel::CancelToken;
use crate::crew::Crew;
use crate::engine::Engine;
use crate::engines::{self, Body, BodyFn, CrewJob, Programs};
use crate::error::{Error, Result};
use crate::lend::Lend;
#[cfg(feature = "sandbox")]
use crate::sandbox::Sandbox;
use crate::settings::{RetryPolicy, Settings};
use crate::slices::{Schedule, Split};
use crate::sys::cpu;
use crate::worker::Worker;

/// How many CPUs this process may use, by affinity and cgroup: the default number of workers.
pub fn cpus() -> usize {
    cpu::count()
}

/// A job that has not begun.
///
/// ```
/// use parfork::{Engine, Job, Schedule, Shared, Split};
/// let mut squares = Shared::<u64, _>::zeros((100, 100))?;
/// Job::new(&mut squares)
///     .workers(3)
///     .split(Split::tiles(32, 32))
///     .schedule(Schedule::Guided)
///     .engine(Engine::Processes)
///     .run(|_, mut slice| {
///         let (rows, cols) = (slice.rows().start, slice.cols().start);
///         for ((i, j), cell) in slice.indexed_iter_mut() {
///             *cell = ((rows + i) * (cols + j)) as u64;
///         }
///     })?;
/// assert_eq!(squares.view()[[99, 98]], 99 * 98);
/// # Ok::<(), parfork::Error>(())
/// ```
#[must_use = "a job does nothing until it is run"]
pub struct Job<'p, L> {
    lent: L,
    settings: Settings<'p>,
}

impl<'p, L: Lend> Job<'p, L> {
    /// A job on what is lent: `&array` to read, `&mut array` to write in slices, or a tuple of those.
    ///
    /// The first array that is lent for writing decides what the slices are, or the first of all if none is. Others that
    /// are lent for writing must be as long on the axes that are cut.
    pub fn new(lent: L) -> Self {
        Self::with(lent, Settings::default())
    }

    /// A job with these settings.
    pub fn with(lent: L, settings: Settings<'p>) -> Self {
        Self { lent, settings }
    }

    /// What to call it to those who look at what runs ([`watch`](crate::watch), `parfork top`), in 64 bytes; by default the
    /// name of the program.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// How many workers; by default as many as there are [`cpus`]. Never more are made than there are slices.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = Some(workers);
        self
    }

    /// How the array is cut; by default into rows.
    pub fn split(mut self, split: Split) -> Self {
        self.settings.split = Some(split);
        self
    }

    /// How slices are given out; by default one at a time to whoever is free.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.settings.schedule = schedule;
        self
    }

    /// Who works; by default processes.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.settings.engine = engine;
        self
    }

    /// Who works, if they are to be workers that stay; then the body is given to [`run_with`](Self::run_with).
    pub fn crew(mut self, crew: &'p mut Crew) -> Self {
        self.settings.crew = Some(crew);
        self
    }

    /// Lets a job in processes survive the death of workers: what a dead one left undone is done by others, and a slice on
    /// which workers die is tried again up to `retries` times. A slice that kills them all is set aside, all others are done,
    /// and the error names it. By default 0: the first death ends the job.
    ///
    /// A dead worker may have written part of its slice. So a job that lends outputs must say why that does not matter:
    /// [`body_overwrites`](Self::body_overwrites) or [`restore_outputs`](Self::restore_outputs).
    ///
    /// Nothing is tried again in jobs whose workers can [`barrier`](Worker::barrier) (see
    /// [`continue_after_death`](Self::continue_after_death) for those), nor when a body returns an error.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Says that the body writes every cell of its slices before it reads it, so that a slice can be tried again whatever is
    /// in it.
    pub fn body_overwrites(mut self) -> Self {
        self.settings.retry_policy = RetryPolicy::BodyOverwrites;
        self
    }

    /// Copies each slice before the body gets it, and puts it back before another try: for bodies that read what they then
    /// change. Costs as much memory again as the outputs have, and the time to copy them.
    ///
    /// ```
    /// use parfork::{Job, Shared};
    /// let mut balance = Shared::<i64, _>::zeros(1000)?;
    /// Job::new(&mut balance).workers(2).retries(2).restore_outputs().run(|_, mut slice| *slice += 100)?;
    /// assert!(balance.view().iter().all(|&each| each == 100));
    /// # Ok::<(), parfork::Error>(())
    /// ```
    pub fn restore_outputs(mut self) -> Self {
        self.settings.retry_policy = RetryPolicy::RestoreOutputs;
        self
    }

    /// Lets processes that [`barrier`](Worker::barrier) go on when one of them dies: it is taken off every meeting, whether it had
    /// come or not, and the others meet without it. When they have finished, the job ends with the error that names the dead
    /// ([`Error::WorkerDied`]), and what the others wrote is in place. By default they are all told instead, and the job ends.
    ///
    /// The bodies must not need what a dead one would have written. One that returns early or with an error is not dead: that
    /// still ends the meeting for all.
    pub fn continue_after_death(mut self, go_on: bool) -> Self {
        self.settings.continue_after_death = go_on;
        self
    }

    /// To how many threads BLAS, OpenMP and rayon are held in each worker process; by default 1, for each worker has a CPU.
    /// 0 leaves them as they are.
    ///
    /// Sets `OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS`, `MKL_NUM_THREADS`, `BLIS_NUM_THREADS`, `NUMEXPR_NUM_THREADS`,
    /// `VECLIB_MAXIMUM_THREADS` and `RAYON_NUM_THREADS` in workers, and tells OpenBLAS, MKL, BLIS, FlexiBLAS and OpenMP where
    /// they are loaded. This process's own stay as they are.
    pub fn threads_per_worker(mut self, threads: usize) -> Self {
        self.settings.threads_per_worker = Some(threads);
        self
    }

    /// Binds each worker process to a CPU: neighbours in rank to CPUs that share as little as possible (core, cache, memory),
    /// round and round if there are more workers than CPUs. By default the system moves them as it likes, which is better where
    /// others want the CPUs too.
    pub fn pin(mut self, pin: bool) -> Self {
        self.settings.pin = pin;
        self
    }

    /// Runs slice `number` alone, by one worker, and leaves all other cells as they are: to look again at a slice on which a
    /// job failed. There is one answer, that slice's.
    pub fn only_slice(mut self, number: usize) -> Self {
        self.settings.only_slice = Some(number);
        self
    }

    /// Ends the job with an error if it is not done this long after the call, whose preparations and gathering of answers count. Processes are
    /// killed; threads stop before their next slice; the serial engine looks at it before and after its slices alone.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = Some(deadline);
        self
    }

    /// Kills a worker that takes longer than this for one slice, whether it runs in circles, was stopped or waits in a system
    /// call; it then counts as dead. Time in
    /// which it waits for others at a [meeting](Worker::barrier) does not count; the clock starts anew after each.
    ///
    /// Only for processes: nothing can end a thread in the middle of a slice.
    pub fn slice_deadline(mut self, deadline: Duration) -> Self {
        self.settings.slice_deadline = Some(deadline);
        self
    }

    /// Lets no worker process have more than this many bytes of memory of its own beyond what it began with: an allocation
    /// beyond that fails, and Rust code aborts then. What is lent does not count. What counts is what a worker
    /// asks the system for, touched or not (RLIMIT_DATA); a thread takes 2 to 8 MiB for its stack.
    ///
    /// Only for processes.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.settings.memory_limit = Some(bytes);
        self
    }

    /// Lets each worker process write to nothing of what was lent but the slice it works on, while it works on it. A stray
    /// write to the rest ends that worker alone, and the error says where it was meant for.
    ///
    /// Where every slice of an output fills pages of memory alone, this is done by their protection, for some microseconds a
    /// slice. Otherwise a worker has a private copy of the pages of its slice, and its bytes are copied to the output when the
    /// body has returned: a write beyond the slice, but on its pages, is then lost without a trace.
    ///
    /// Only for processes.
    pub fn guard(mut self, guard: bool) -> Self {
        self.settings.guard = guard;
        self
    }

    /// Keeps each worker process, once it has attached what was lent, from files, sockets, programs and other processes. What
    /// the body needs of these it must have before the job.
    ///
    /// Only for processes that are forked for this job: those of a [crew](Self::crew) open arrays as they come.
    #[cfg(feature = "sandbox")]
    pub fn sandbox(mut self, sandbox: Sandbox<'p>) -> Self {
        self.settings.sandbox = Some(sandbox);
        self
    }

    /// Ends the job with an error soon after `stop` was asked for. Processes are killed; threads and the serial engine stop
    /// before their next slice.
    pub fn cancel_token(mut self, stop: &'p CancelToken) -> Self {
        self.settings.cancel_token = Some(stop);
        self
    }

    /// Lets each worker read its own memory when it is done, for the [`Report`](crate::Report). Costs some milliseconds.
    pub fn measure_memory(mut self, measure: bool) -> Self {
        self.settings.measure_memory = measure;
        self
    }

    /// Keeps a record of who did what when, and of what it cost, for the [`Report`](crate::Report): [`crate::record`] has the
    /// views of it. Costs less than a hundredth of a job whose slices take 100 us or more, and some 0.1 ms after it.
    ///
    /// A job that fails has no report: its record goes [elsewhere](Self::on_failure).
    #[cfg(feature = "record")]
    pub fn record(mut self, record: bool) -> Self {
        self.settings.record = record;
        self
    }

    /// Keeps a record, and calls `told` with it if the job fails after it has begun; [`Record::failure`](crate::record::Record::failure)
    /// says why it failed.
    ///
    /// ```
    /// use parfork::{Job, Shared};
    /// let (mut cells, mut attempts) = (Shared::<u8, _>::zeros(100)?, Vec::new());
    /// let job = Job::new(&mut cells).workers(2).on_failure(|record| attempts = record.attempts);
    /// job.run(|w, _| if w.region().index() == 70 { Err("no such luck") } else { Ok(()) }).unwrap_err();
    /// assert!(attempts.iter().any(|attempt| attempt.slice == 70 && !attempt.done));
    /// # Ok::<(), parfork::Error>(())
    /// ```
    #[cfg(feature = "record")]
    pub fn on_failure(mut self, told: impl FnOnce(crate::record::Record) + 'p) -> Self {
        self.settings.on_failure = Some(Box::new(told));
        self
    }

    /// Calls `progress` in the coordinator now and then with the number of slices done and of all.
    pub fn progress(mut self, progress: impl FnMut(usize, usize) + 'p) -> Self {
        self.settings.progress = Some(Box::new(progress));
        self
    }

    /// Runs `body` once for each slice, and waits. See [`fork`](crate::fork()) for what a body may do.
    ///
    /// # Errors
    /// As [`fork`](crate::fork()); also if the array cannot be cut as asked.
    pub fn run<R: Answer>(self, body: impl Fn(&Worker<'_>, L::Part<'_>) -> R + Sync) -> Result<Answers<R::Value>> {
        if self.settings.crew.is_some() && self.settings.engine == Engine::Processes {
            return Err(Error::Crew(
                "this body may use what is around it, and a crew's workers were forked before that was there. Use \
                 Job::run_with, which hands an argument to a body that captures nothing, or leave the crew out."
                    .to_owned(),
            ));
        }
        let (engine, body) = (self.settings.engine, Body::<L, R, _>::new(body));
        self.run_as::<R>(None, |work, supervision, _| engines::run(engine, work, &body, supervision))
    }

    /// As [`run`](Self::run), for a body that hands slices on to programs.
    pub(crate) fn run_programs<R: Answer>(
        self,
        body: impl Fn(&Worker<'_>, L::Part<'_>) -> R + Sync,
        programs: &dyn Programs,
    ) -> Result<Answers<R::Value>> {
        let (engine, body) = (self.settings.engine, Body::<L, R, _>::with_programs(body, programs));
        self.run_as::<R>(None, |work, supervision, _| engines::run(engine, work, &body, supervision))
    }

    /// As [`run`](Self::run), for a body that captures nothing and is handed an argument of plain data instead: on a
    /// [crew](Self::crew) if there is one, else by the engine's own workers.
    ///
    /// ```
    /// use parfork::{Crew, Job, Schedule, Shared};
    /// let mut crew = Crew::start(2)?;
    /// let mut powers = Shared::<f64, _>::zeros(1000)?;
    /// for exponent in 1..4_i32 {
    ///     let job = Job::new(&mut powers).crew(&mut crew).schedule(Schedule::Guided);
    ///     job.run_with(exponent, |_, exponent, mut slice| {
    ///         let start = slice.rows().start;
    ///         slice.indexed_iter_mut().for_each(|(i, cell)| *cell = ((start + i) as f64).powi(exponent));
    ///     })?;
    ///     assert_eq!(powers.view()[10], 10_f64.powi(exponent));
    /// }
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// A body that captures does not compile:
    /// ```compile_fail
    /// # use parfork::{Job, Shared};
    /// let gain = 2.0;
    /// let mut cells = Shared::<f64, _>::zeros(1000)?;
    /// Job::new(&mut cells).run_with((), move |_, (), mut slice| slice.fill(gain))?;
    /// # Ok::<(), parfork::Error>(())
    /// ```
    /// nor one that captures a value without bytes, which may stand for something that was done here and never in a worker of a crew:
    /// ```compile_fail
    /// # use parfork::{Crew, Shared};
    /// #[derive(Clone, Copy)]
    /// struct IsReady(());
    /// let proof = IsReady(());
    /// Crew::start(2)?.run(&mut Shared::<u8, _>::zeros(4)?, (), move |_, (), _| { let _done = proof; })?;
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run); also if the job asks for more workers than the crew has.
    pub fn run_with<A: Pod + Sync, R: Answer>(
        mut self,
        argument: A,
        body: fn(&Worker<'_>, A, L::Part<'_>) -> R,
    ) -> Result<Answers<R::Value>> {
        let body_fn = BodyFn::of::<L, A, R>(body);
        let crew = self.settings.crew.take();
        let Some(crew) = crew else { return self.run(move |worker, part| body(worker, argument, part)) };
        if self.settings.engine != Engine::Processes {
            return Err(Error::Engine { what: "a crew", engine: self.settings.engine });
        }
        if self.settings.threads_per_worker.is_some() || self.settings.pin {
            return Err(Error::Crew(
                "to how many threads libraries are held in a crew's workers, and whether these are bound to CPUs, is decided \
                 when it starts. Use Crew::with, and leave it out here."
                    .to_owned(),
            ));
        }
        if self.settings.sandbox().is_some() {
            return Err(Error::Crew(
                "a crew's workers open the arrays of each job when they are told of it, which a sandbox forbids. Leave out the \
                 crew, or the sandbox."
                    .to_owned(),
            ));
        }
        crew.pool().check()?;
        let task = CrewJob {
            body_fn,
            argument: bytemuck::bytes_of(&argument),
            split: self.settings.split.unwrap_or_default(),
        };
        let body = Body::<L, R, _>::new(move |worker: &Worker<'_>, part: L::Part<'_>| body(worker, argument, part));
        self.run_as::<R>(Some(crew.pool()), |work, supervision, pool| {
            pool.map_or_else(|| unreachable!("handed over above"), |pool| pool.run(&task, work, &body, supervision))
        })
    }

    /// Runs the job in processes even if this process has other threads.
    ///
    /// # Safety
    /// A worker is a copy of the calling thread alone, with the memory of all. The body must not wait for anything that
    /// another thread may hold at the time of the fork: standard output's lock, a rayon pool, a mutex or channel of yours.
    /// The memory allocator is safe with glibc. What it must not use, a library that it calls must not use either.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    #[allow(unsafe_code)]
    pub unsafe fn run_in_threaded_process<R: Answer>(
        mut self,
        body: impl Fn(&Worker<'_>, L::Part<'_>) -> R,
    ) -> Result<Answers<R::Value>> {
        self.settings.engine = Engine::Processes;
        let body = Body::<L, R, _>::new(body);
        // SAFETY: passed on to the caller.
        self.run_as::<R>(None, |work, supervision, _| unsafe {
            engines::run_in_threaded_process(work, &body, supervision)
        })
    }
}
