//! Workers that stay between jobs.

use std::fmt;
use std::process::Command;

use crate::engine::MOST_WORKERS;
use crate::engines::{self, ServerSource, SharedProgram, WorkerPool};
use crate::error::{CrewError, Error, Result};
use crate::process;
use crate::spec::JobSpec;
use crate::sys::exit::leave;
use crate::sys::{cpu, server_program};

/// What is decided when a crew starts.
///
/// ```
/// let mut crew = parfork::CrewBuilder::new().workers(2).pin(true).start()?;
/// let mut cells = parfork::Shared::<u8, _>::zeros(2)?;
/// crew.run(&mut cells, 7, |_, value: u8, mut slice| slice.fill(value))?;
/// assert_eq!(cells.as_slice(), [7, 7]);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CrewBuilder {
    workers: Option<usize>,
    spec: JobSpec,
}

impl CrewBuilder {
    /// As many workers as there are [`cpus`](crate::cpus), each free to move, with libraries held to one thread.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many workers.
    pub fn workers(self, workers: usize) -> Self {
        Self { workers: Some(workers), ..self }
    }

    /// To how many threads libraries are held in each; 0 leaves them alone. See
    /// [`Job::threads_per_worker`](crate::Job::threads_per_worker).
    pub fn threads_per_worker(self, threads: usize) -> Self {
        Self { spec: JobSpec { threads_per_worker: Some(threads), ..self.spec }, ..self }
    }

    /// Whether each is bound to a CPU; see [`Job::pin`](crate::Job::pin).
    pub fn pin(self, pin: bool) -> Self {
        Self { spec: JobSpec { pin, ..self.spec }, ..self }
    }

    /// Forks the workers.
    ///
    /// # Errors
    /// If this process has other threads; if there are to be none or more than [`MOST_WORKERS`]; if the system makes fewer.
    pub fn start(self) -> Result<Crew> {
        // SAFETY: each fork is made by the only thread there is, so no other holds anything that a worker could wait for.
        #[allow(unsafe_code)]
        unsafe {
            self.start_from(ServerSource::Fork(process::ensure_single_threaded))
        }
    }

    /// Starts this program once more, to fork the workers: that is safe whatever threads this process has, and takes some
    /// milliseconds. What comes first in its `main` is to be a call of [`serve`](crate::serve()). As long as there is such a crew, others
    /// have theirs forked by the same program.
    ///
    /// Workers know of this process only what is lent to them: a static variable has its first value there. The program ends with
    /// this process, however that ends.
    ///
    /// # Errors
    /// If this program does not call [`serve`](crate::serve()); as [`start`](Self::start), but for threads.
    pub fn start_in_program(self) -> Result<Crew> {
        match server_program::asks() {
            true => self.start_from_program(SharedProgram::this()?),
            false => Err(CrewError::NotServing.into()),
        }
    }

    /// As [`start_in_program`](Self::start_in_program), but with another program.
    ///
    /// # Errors
    /// If it cannot be started, or ends instead of serving; if this process was forked from the one that has made `program`; as
    /// [`start`](Self::start), but for threads.
    pub fn start_by(self, program: &ServerProgram) -> Result<Crew> {
        match program.0.is_own() {
            true => self.start_from_program(program.0.clone()),
            false => Err(Error::NotOwner { what: "this server program" }),
        }
    }

    fn start_from_program(self, program: SharedProgram) -> Result<Crew> {
        // SAFETY: this process does not fork.
        #[allow(unsafe_code)]
        unsafe {
            self.start_from(ServerSource::Program(program))
        }
    }

    /// Forks the workers even if this process has other threads.
    ///
    /// # Errors
    /// If there are to be none or more than [`MOST_WORKERS`]; if the system makes fewer.
    ///
    /// # Safety
    /// As for [`Job::run_in_threaded_process`](crate::Job::run_in_threaded_process), for every body that the crew will ever run.
    #[allow(unsafe_code)]
    pub unsafe fn start_in_threaded_process(self) -> Result<Crew> {
        // SAFETY: passed on to the caller.
        unsafe { self.start_from(ServerSource::Fork(process::ensure_children_live_here)) }
    }

    /// # Safety
    /// As for [`WorkerPool::start`].
    #[allow(unsafe_code)]
    unsafe fn start_from(self, source: ServerSource) -> Result<Crew> {
        let workers = self.number()?;
        // SAFETY: passed on to the caller.
        unsafe { WorkerPool::start(workers, MOST_WORKERS, self.spec, cpu::count(), source) }.map(Crew)
    }

    fn number(&self) -> Result<usize> {
        let workers = self.workers.unwrap_or_else(cpu::count);
        check(workers)?;
        Ok(workers)
    }
}

/// A program that has the workers of any number of [crews](CrewBuilder::start_by) forked, so that its start is paid once: it forks a
/// process of some milliseconds for each crew, which forks the workers. It is started when the first crew is, again if it has died, and
/// ends when this value and all its crews are dropped, or with this process. A clone is the same program.
///
/// ```
/// use parfork::{CrewBuilder, ServerProgram};
/// parfork::serve();
/// let program = ServerProgram::new(std::process::Command::new("/proc/self/exe"))?;
/// let crews = [1, 2].map(|workers| CrewBuilder::new().workers(workers).start_by(&program));
/// assert_eq!(crews.map(|crew| crew.unwrap().workers()), [1, 2]);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerProgram(SharedProgram);

impl ServerProgram {
    /// The one that this command starts: it has loaded the library that this crate is in, and calls [`serve`](crate::serve()) before it
    /// has threads. Its standard input is replaced.
    ///
    /// # Errors
    /// If the system does not tell which file that library is.
    pub fn new(command: Command) -> Result<Self> {
        SharedProgram::new(command).map(Self)
    }
}

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
///         b.zip_mut_with(&w.slice_of(a), |b, &a| *b += factor * a);
///     })?;
/// }
/// assert_eq!(b.view().sum(), 5050.0 * 1000.0);
/// # Ok::<(), parfork::Error>(())
/// ```
///
/// One job at a time: to run is to borrow the crew alone. Between jobs workers sleep. A worker that dies is replaced before the
/// next job, and within one if it has [retries](crate::Job::retries); when a job fails, all are. Replacements come from a process
/// that was forked when the crew was started, so this process may have threads by then. What a worker needs and takes long to make, it makes once:
/// [`Job::run_init_with`](crate::Job::run_init_with).
///
/// When a crew is dropped, its workers are ended. What they have mapped of an array is given back when the array is dropped.
pub struct Crew(WorkerPool);

impl Crew {
    /// Forks so many workers.
    ///
    /// # Errors
    /// If this process has other threads; if there are to be none or more than [`MOST_WORKERS`]; if the system makes fewer.
    pub fn start(workers: usize) -> Result<Self> {
        CrewBuilder::new().workers(workers).start()
    }

    /// Has so many workers forked by this program, started once more: for processes with threads. See
    /// [`CrewBuilder::start_in_program`].
    ///
    /// # Errors
    /// As [`CrewBuilder::start_in_program`].
    pub fn in_program(workers: usize) -> Result<Self> {
        CrewBuilder::new().workers(workers).start_in_program()
    }

    /// How many workers there are; this process is not counted.
    pub fn workers(&self) -> usize {
        self.0.workers()
    }

    /// Lets this process work too, as the last rank, or not. It saves a wake-up where there is a worker for each of the other
    /// CPUs: an empty job takes less than a microsecond then.
    ///
    /// For those who trust their code: a body that crashes takes the coordinator with it here, nothing keeps it from writing to
    /// inputs, and while it works, but for waiting at a barrier, nobody looks at deadlines or tells progress. A panic in its own part ends the job, also one with
    /// [retries](crate::Job::retries), which are for workers. No job can [go on without the
    /// dead](crate::Job::continue_after_death) then.
    pub fn coordinator_works(&mut self, coordinator_works: bool) {
        self.0.set_coordinator_works(coordinator_works);
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

    pub(crate) fn pool(&mut self) -> &mut WorkerPool {
        &mut self.0
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew")
            .field("workers", &self.0.workers())
            .field("coordinator_works", &self.0.coordinator_works())
            .finish()
    }
}

fn check(workers: usize) -> Result<()> {
    match (1..=MOST_WORKERS).contains(&workers) {
        true => Ok(()),
        false => Err(Error::Workers { asked: workers, most: MOST_WORKERS }),
    }
}

/// Takes over, and does not come back, in a process that was started to fork the workers of a
/// [crew in a program](CrewBuilder::start_in_program); does nothing in any other. To be called first in `main`, before there are threads.
///
/// ```
/// use parfork::{Crew, Shared};
/// fn main() -> parfork::Result<()> {
///     parfork::serve();
///     let busy = std::thread::spawn(|| (0..100_u64).sum::<u64>());
///     let mut cells = Shared::<u8, _>::zeros(2)?;
///     Crew::in_program(2)?.run(&mut cells, 7, |_, value: u8, mut slice| slice.fill(value))?;
///     assert_eq!((cells.as_slice(), busy.join().unwrap()), ([7, 7].as_slice(), 4950));
///     Ok(())
/// }
/// ```
pub fn serve() {
    if let Err(error) = engines::serve() {
        eprintln!("parfork: {error}");
        leave(1)
    }
}
