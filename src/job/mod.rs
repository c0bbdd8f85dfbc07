//! A job as a builder: what is lent, what is set, who runs it, what this process adds; then `run`.

mod collect;
mod page;
mod plan;
#[cfg(feature = "record")]
mod recorder;
#[cfg(not(feature = "record"))]
#[path = "no_recorder.rs"]
mod recorder;
mod run;
mod run_each;
mod run_init;
mod runner;

use std::mem;
use std::time::Duration;

use bytemuck::Pod;

use crate::answer::{Answer, Answers};
use crate::cancel::CancelToken;
use crate::crew::Crew;
use crate::engines::{self, Body, BodyFn, CrewJob, Programs};
use crate::error::{CrewError, Result};
use crate::hooks::Hooks;
use crate::lend::Lend;
#[cfg(feature = "sandbox")]
use crate::sandbox::Sandbox;
use crate::slices::{Schedule, Split};
use crate::spec::{JobSpec, RetryPolicy, settings};
use crate::sys::cpu;
use crate::worker::Worker;
use run_each::Each;

pub use runner::Runner;

/// How many CPUs this process may use: by affinity and cgroup, and no more than Slurm gave it (`SLURM_CPUS_PER_TASK`, or else
/// `SLURM_CPUS_ON_NODE`). The default number of workers.
pub fn cpus() -> usize {
    cpu::count()
}

/// A job that has not begun: a [`JobSpec`], a [`Runner`], [`Hooks`], and what is lent.
///
/// ```
/// use parfork::{Engine, Job, Schedule, Shared, Split};
/// let mut squares = Shared::<u64, _>::zeros((100, 100))?;
/// Job::new(&mut squares)
///     .workers(3)
///     .split(Split::tiles(32, 32))
///     .schedule(Schedule::Guided)
///     .runner(Engine::Processes)
///     .run(|_, mut slice| {
///         let (rows, cols) = (slice.rows().start, slice.cols().start);
///         for ((i, j), cell) in slice.indexed_iter_mut() {
///             *cell = ((rows + i) * (cols + j)) as u64;
///         }
///     })?;
/// assert_eq!(squares.view()[[99, 98]], 99 * 98);
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// What brings its own arrays and its own body, as a kernel does, takes a job on which nothing is lent yet, `Job<'_>`, sets what the
/// caller has not, and [lends](Self::lend):
///
/// ```
/// use parfork::{Job, JobSpec, Result, Runner, Shared, Split};
/// fn ramp(job: Job<'_>, cells: &mut Shared<u32, ndarray::Ix1>) -> Result<()> {
///     let job = job.default_split(Split::rows().of(64)).body_overwrites();
///     job.lend(cells).run_with((), |_, (), mut slice| {
///         let start = slice.rows().start as u32;
///         slice.iter_mut().zip(start..).for_each(|(cell, number)| *cell = number);
///     })?;
///     Ok(())
/// }
/// let mut cells = Shared::zeros(1000)?;
/// ramp(Job::default(), &mut cells)?;
/// ramp(Job::from(JobSpec { retries: 2, ..JobSpec::default() }).runner(Runner::Processes), &mut cells)?;
/// assert_eq!(cells.view()[999], 999);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a job does nothing until it is run"]
pub struct Job<'p, L = ()> {
    lent: L,
    spec: JobSpec,
    runner: Runner<'p>,
    hooks: Hooks<'p>,
}

/// A job on which nothing is lent.
impl From<JobSpec> for Job<'_> {
    fn from(spec: JobSpec) -> Self {
        Self { spec, ..Self::default() }
    }
}

impl<'p> Job<'p> {
    /// Lends the job its arrays: `&array` to read, `&mut array` to write in slices, or a tuple of those.
    ///
    /// The first array that is lent for writing decides what the slices are, or the first of all if none is. Others that
    /// are lent for writing must be as long on the axes that are cut.
    pub fn lend<L: Lend>(self, lent: L) -> Job<'p, L> {
        let Self { lent: (), spec, runner, hooks } = self;
        Job { lent, spec, runner, hooks }
    }

    /// What is set, who runs it, what this process adds.
    pub fn into_parts(self) -> (JobSpec, Runner<'p>, Hooks<'p>) {
        (self.spec, self.runner, self.hooks)
    }
}

impl<'p, L: Lend> Job<'p, L> {
    /// A job on what is [lent](Job::lend).
    pub fn new(lent: L) -> Self {
        Job::default().lend(lent)
    }

    /// A job on what is [lent](Job::lend), set so.
    pub fn with(lent: L, spec: JobSpec) -> Self {
        Job::from(spec).lend(lent)
    }
}

macro_rules! define_setters {
    ($($(#[$meta:meta])* $kind:ident $engines:ident $name:ident: $type:ty, $title:literal;)*) => {
        /// Each setting of a [`JobSpec`].
        impl<L> Job<'_, L> {
            $(
                $(#[$meta])*
                pub fn $name(mut self, $name: $type) -> Self {
                    self.spec.$name = $name.into();
                    self
                }
            )*
        }
    };
}

settings!(define_setters);

impl<'p, L> Job<'p, L> {
    /// What to call it to those who look at what runs ([`watch`](crate::watch), `parfork top`), in 64 bytes; by default the
    /// name of the program.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.spec.name = Some(name.into());
        self
    }

    /// How the array is cut unless that has been said.
    pub fn default_split(mut self, split: Split) -> Self {
        self.spec.split.get_or_insert(split);
        self
    }

    /// Says that the body writes every cell of its slices before it reads it, so that a slice can be tried again whatever is
    /// in it.
    pub fn body_overwrites(mut self) -> Self {
        self.spec.retry_policy = RetryPolicy::BodyOverwrites;
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
        self.spec.retry_policy = RetryPolicy::RestoreOutputs;
        self
    }

    /// What is set, to be set otherwise.
    pub fn spec_mut(&mut self) -> &mut JobSpec {
        &mut self.spec
    }

    /// Who runs it: an [`Engine`](crate::Engine) or a [`Crew`]; by default processes forked for it.
    pub fn runner(mut self, runner: impl Into<Runner<'p>>) -> Self {
        self.runner = runner.into();
        self
    }

    /// Lets a crew run it; then the body is given to [`run_with`](Self::run_with). The short form of [`runner`](Self::runner).
    pub fn crew(self, crew: &'p mut Crew) -> Self {
        self.runner(crew)
    }

    /// What this process adds, all of it.
    pub fn hooks(mut self, hooks: Hooks<'p>) -> Self {
        self.hooks = hooks;
        self
    }

    /// Keeps each worker process, once it has attached what was lent, from files, sockets, programs and other processes. What
    /// the body needs of these it must have before the job.
    ///
    /// Only for processes that are forked for this job: those of a [crew](Self::crew) open arrays as they come.
    #[cfg(feature = "sandbox")]
    pub fn sandbox(mut self, sandbox: Sandbox<'p>) -> Self {
        self.hooks.sandbox = Some(sandbox);
        self
    }

    /// Ends the job with an error soon after `stop` was asked for. Processes are killed; threads and the serial engine stop
    /// before their next slice.
    pub fn cancel_token(mut self, stop: &'p CancelToken) -> Self {
        self.hooks.cancel_token = Some(stop);
        self
    }

    /// Keeps a record, and calls `told` with the report of the job if it fails after it has begun;
    /// [`Report::failure`](crate::Report::failure) says why it failed.
    ///
    /// ```
    /// use parfork::{Job, Shared};
    /// let (mut cells, mut failed) = (Shared::<u8, _>::zeros(100)?, None);
    /// let job = Job::new(&mut cells).workers(2).on_failure(|report| failed = Some(report));
    /// job.run(|w, _| if w.region().index() == 70 { Err("no such luck") } else { Ok(()) }).unwrap_err();
    /// let report = failed.expect("it has failed");
    /// let record = report.record().expect("it was recorded");
    /// assert!(record.attempts.iter().any(|attempt| attempt.slice == 70 && !attempt.done));
    /// # Ok::<(), parfork::Error>(())
    /// ```
    #[cfg(feature = "record")]
    pub fn on_failure(mut self, told: impl FnOnce(crate::report::Report) + 'p) -> Self {
        self.hooks.on_failure = Some(Box::new(told));
        self
    }

    /// Calls `progress` in the coordinator now and then with the number of slices done and of all; in a job of [steps](Self::steps), each
    /// step of each slice counts.
    pub fn progress(mut self, progress: impl FnMut(usize, usize) + 'p) -> Self {
        self.hooks.progress = Some(Box::new(progress));
        self
    }
}

impl<L: Lend> Job<'_, L> {
    /// Runs `body` once for each slice, and waits. See [`fork`](crate::fork()) for what a body may do.
    ///
    /// # Errors
    /// As [`fork`](crate::fork()); also if the array cannot be cut as asked.
    pub fn run<R: Answer<K>, K>(
        self,
        body: impl Fn(&Worker<'_>, L::Part<'_>) -> R + Sync,
    ) -> Result<Answers<R::Value>> {
        self.without_crew()?.run_body(&Body::<L, R, K, _>::new(body), None)
    }

    /// As [`run`](Self::run), for a body that hands slices on to programs.
    pub(crate) fn run_programs<R: Answer<K>, K>(
        self,
        body: impl Fn(&Worker<'_>, L::Part<'_>) -> R + Sync,
        programs: &dyn Programs,
    ) -> Result<Answers<R::Value>> {
        self.run_body(&Body::<L, R, K, _>::with_programs(body, programs), None)
    }

    fn run_body<R: Answer<K>, K>(
        self,
        body: &Body<'_, L, R, K, impl Fn(&Worker<'_>, L::Part<'_>) -> R + Sync>,
        each: Option<Each<'_, R::Value>>,
    ) -> Result<Answers<R::Value>> {
        let engine = self.runner.engine();
        self.run_as::<R, K>(None, each, &mut |context, supervision, _| engines::run(engine, context, body, supervision))
    }

    /// Refuses a crew, for a body that captures.
    fn without_crew(self) -> Result<Self> {
        if self.runner.is_crew() {
            return Err(CrewError::BodyCaptures.into());
        }
        Ok(self)
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
    pub fn run_with<A: Pod + Sync, R: Answer<K>, K>(
        self,
        argument: A,
        body: fn(&Worker<'_>, A, L::Part<'_>) -> R,
    ) -> Result<Answers<R::Value>> {
        self.run_with_argument(argument, body, None)
    }

    fn run_with_argument<A: Pod + Sync, R: Answer<K>, K>(
        mut self,
        argument: A,
        body: fn(&Worker<'_>, A, L::Part<'_>) -> R,
        each: Option<Each<'_, R::Value>>,
    ) -> Result<Answers<R::Value>> {
        let bare = BodyFn::of::<L, A, R, K>(body);
        let body = Body::<L, R, K, _>::new(move |worker: &Worker<'_>, part: L::Part<'_>| body(worker, argument, part));
        match mem::take(&mut self.runner) {
            Runner::Crew(crew) => {
                let task = CrewJob { body_fn: bare, argument: bytemuck::bytes_of(&argument) };
                self.run_on_crew(crew, &task, &body, each)
            }
            runner => self.runner(runner).run_body(&body, each),
        }
    }

    fn run_on_crew<R: Answer<K>, K>(
        self,
        crew: &mut Crew,
        task: &CrewJob<'_>,
        body: &Body<'_, L, R, K, impl Fn(&Worker<'_>, L::Part<'_>) -> R + Sync>,
        each: Option<Each<'_, R::Value>>,
    ) -> Result<Answers<R::Value>> {
        if self.spec.threads_per_worker.is_some() || self.spec.pin {
            return Err(CrewError::DecidedAtStart.into());
        }
        if self.hooks.sandbox().is_some() {
            return Err(CrewError::Sandbox.into());
        }
        crew.pool().check()?;
        self.run_as::<R, K>(Some(crew.pool()), each, &mut |context, supervision, pool| {
            pool.map_or_else(|| unreachable!("handed over above"), |pool| pool.run(task, context, body, supervision))
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
    pub unsafe fn run_in_threaded_process<R: Answer<K>, K>(
        self,
        body: impl Fn(&Worker<'_>, L::Part<'_>) -> R,
    ) -> Result<Answers<R::Value>> {
        let body = Body::<L, R, K, _>::new(body);
        // SAFETY: passed on to the caller.
        self.without_crew()?.runner(Runner::Processes).run_as::<R, K>(
            None,
            None,
            &mut |context, supervision, _| unsafe { engines::run_in_threaded_process(context, &body, supervision) },
        )
    }
}
