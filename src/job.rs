//! A job as data: what is lent, how it is cut and dealt, who works on it, for how long at most; then `run`.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytemuck::Zeroable;

use crate::answer::{Answer, Gathered};
use crate::engine::Engine;
use crate::engines::{self, Body, Care, Orders, Work};
use crate::error::{Death, Error, Result};
use crate::lend::{Lend, Loan};
use crate::report::Report;
use crate::settings::{Redo, Settings};
use crate::slices::{Grid, Schedule, Split};
use crate::stop::Stop;
use crate::sync::{Board, Dealer, Layout, Patience};
use crate::sys::memory::Access;
use crate::sys::signals::Hold;
use crate::worker::Worker;

/// The most workers that one job takes.
pub const MOST_WORKERS: usize = 1024;

/// How many CPUs this process may use, by affinity and cgroup: the default number of workers.
pub fn cpus() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
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

    /// Lets a job in processes survive the death of workers: what a dead one left undone is done by others, and a slice on
    /// which workers die is tried again up to `retries` times. A slice that kills them all is set aside, all others are done,
    /// and the error names it. By default 0: the first death ends the job.
    ///
    /// A dead worker may have written part of its slice. So a job that lends outputs must say why that does not matter:
    /// [`overwrites`](Self::overwrites) or [`undo_copies`](Self::undo_copies).
    ///
    /// Nothing is tried again in jobs whose workers can [`meet`](Worker::meet) (see
    /// [`go_on_without_dead`](Self::go_on_without_dead) for those), nor when a body returns an error.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Says that the body writes every cell of its slices before it reads it, so that a slice can be tried again whatever is
    /// in it.
    pub fn overwrites(mut self) -> Self {
        self.settings.redo = Redo::Overwrites;
        self
    }

    /// Copies each slice before the body gets it, and puts it back before another try: for bodies that read what they then
    /// change. Costs as much memory again as the outputs have, and the time to copy them.
    ///
    /// ```
    /// use parfork::{Job, Shared};
    /// let mut balance = Shared::<i64, _>::zeros(1000)?;
    /// Job::new(&mut balance).workers(2).retries(2).undo_copies().run(|_, mut slice| *slice += 100)?;
    /// assert!(balance.view().iter().all(|&each| each == 100));
    /// # Ok::<(), parfork::Error>(())
    /// ```
    pub fn undo_copies(mut self) -> Self {
        self.settings.redo = Redo::Undo;
        self
    }

    /// Lets processes that [`meet`](Worker::meet) go on when one of them dies: it is taken off every meeting, whether it had
    /// come or not, and the others meet without it. When they have finished, the job ends with the error that names the dead
    /// ([`Error::WorkerDied`]), and what the others wrote is in place. By default they are all told instead, and the job ends.
    ///
    /// The bodies must not need what a dead one would have written. One that returns early or with an error is not dead: that
    /// still ends the meeting for all.
    pub fn go_on_without_dead(mut self, go_on: bool) -> Self {
        self.settings.go_on_without_dead = go_on;
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

    /// Runs slice `number` alone, by one worker, and leaves all other cells as they are: to look again at a slice on which a
    /// job failed. There is one answer, that slice's.
    pub fn only_slice(mut self, number: usize) -> Self {
        self.settings.only_slice = Some(number);
        self
    }

    /// Ends the job with an error if it is not done after this time. Processes are killed; threads stop before their next
    /// slice; the serial engine does not look at it.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = Some(deadline);
        self
    }

    /// Kills a worker that takes longer than this for one slice, whether it runs in circles, was stopped or waits in a system
    /// call; it then counts as dead. Time in
    /// which it waits for others at a [meeting](Worker::meet) does not count; the clock starts anew after each.
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

    /// Ends the job with an error soon after `stop` was asked for. Processes are killed; threads and the serial engine stop
    /// before their next slice.
    pub fn stop(mut self, stop: &'p Stop) -> Self {
        self.settings.stop = Some(stop);
        self
    }

    /// Lets each worker read its own memory when it is done, for the [`Report`]. Costs some milliseconds.
    pub fn measure_memory(mut self, measure: bool) -> Self {
        self.settings.measure_memory = measure;
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
    pub fn run<R: Answer>(self, body: impl Fn(&Worker<'_>, L::Part) -> R + Sync) -> Result<Gathered<R::Value>> {
        let (engine, body) = (self.settings.engine, Body::<L, R, _>::new(body));
        self.run_as::<R>(|work, orders| engines::run(engine, work, &body, orders))
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
    pub unsafe fn run_beside_threads<R: Answer>(
        mut self,
        body: impl Fn(&Worker<'_>, L::Part) -> R,
    ) -> Result<Gathered<R::Value>> {
        self.settings.engine = Engine::Processes;
        let body = Body::<L, R, _>::new(body);
        // SAFETY: passed on to the caller.
        self.run_as::<R>(|work, orders| unsafe { engines::run_beside_threads(work, &body, orders) })
    }

    /// Cuts, makes the board, lets `engine` work, gathers.
    pub(crate) fn run_as<R: Answer>(
        self,
        engine: impl FnOnce(&Work<'_>, &mut Orders<'_>) -> Result<Vec<Death>>,
    ) -> Result<Gathered<R::Value>> {
        let settings = self.settings;
        let asked = settings.workers.unwrap_or_else(cpus);
        if asked == 0 || asked > MOST_WORKERS {
            return Err(Error::Workers { asked, most: MOST_WORKERS });
        }
        let mut loans = Vec::new();
        self.lent.loans(&mut loans);
        let split = settings.split.unwrap_or_default();
        let grid = cut(split, &loans)?;
        let addresses = loans.iter().map(|loan| loan.base.addr().get()).collect();
        check(&settings, &loans)?;
        let processes = settings.engine == Engine::Processes;
        let undo = processes && settings.retries > 0 && settings.redo == Redo::Undo;
        let care = Care::new(&loans, &grid, undo, settings.guard)?;
        let slices = grid.slices();
        let only = settings.only_slice;
        if let Some(slice) = only.filter(|&slice| slice >= slices) {
            return Err(Error::NoSuchSlice { slice, slices });
        }
        let run = only.map_or(0..slices, |slice| slice..slice + 1);
        let workers = if settings.engine == Engine::Serial { 1 } else { asked.min(run.len()).max(1) };
        let board = Board::new(Layout { workers, slices, loans: loans.len(), answer: size_of::<R::Value>() })?;
        let work = Work {
            loans: &loans,
            grid: &grid,
            board: &board,
            dealer: Dealer { schedule: settings.schedule, slices: run.len(), workers },
            patience: Patience::new(workers, cpus()),
            timed: settings.slice_deadline.is_some(),
            measure_memory: settings.measure_memory,
            retries: settings.retries,
            care: &care,
            memory_limit: settings.memory_limit,
            stop: settings.stop.filter(|_| !processes),
            go_on_without_dead: settings.go_on_without_dead,
            threads_per_worker: settings.threads_per_worker.unwrap_or(1),
            only,
        };
        let began = Instant::now();
        let mut orders = Orders {
            deadline: settings.deadline.map(|span| (span, began.checked_add(span))),
            slice_deadline: settings.slice_deadline,
            stop: settings.stop,
            progress: settings.progress,
        };
        let _hold = settings.stop.map(|_| Hold::new());
        // However fast its workers would be.
        if orders.are_to_end() {
            return Err(orders.ended(&board));
        }
        let deaths = engine(&work, &mut orders)?;
        let mut report = Report {
            engine: settings.engine,
            split,
            schedule: settings.schedule,
            grid: grid.clone(),
            workers: Vec::new(),
            deaths,
            addresses,
            wall: began.elapsed(),
        };
        report.read(&board, run.clone())?;
        let answers = run.map(|slice| {
            let mut answer = R::Value::zeroed();
            board.read_answer(slice, bytemuck::bytes_of_mut(&mut answer));
            answer
        });
        Ok(Gathered::new(answers.collect(), report))
    }
}

/// Refuses settings that cannot be kept.
fn check(settings: &Settings<'_>, loans: &[Loan<'_>]) -> Result<()> {
    let processes_only = [
        ("a deadline for slices", settings.slice_deadline.is_some()),
        ("a limit of memory", settings.memory_limit.is_some()),
        ("a guard", settings.guard),
    ];
    match processes_only.into_iter().find(|(_, asked)| *asked) {
        Some((what, _)) if settings.engine != Engine::Processes => Err(Error::Engine { what, engine: settings.engine }),
        _ if settings.engine == Engine::Processes
            && settings.retries > 0
            && settings.redo == Redo::Unsafe
            && loans.iter().any(|loan| loan.access == Access::Write) =>
        {
            Err(Error::Redo { retries: settings.retries })
        }
        _ => Ok(()),
    }
}

/// Cuts the first array lent for writing, or else the first (whatever is lent has one at least), and checks that others lent for writing can be cut alike.
fn cut(split: Split, loans: &[Loan<'_>]) -> Result<Grid> {
    let written = || loans.iter().filter(|loan| loan.access == Access::Write);
    let first = written().next().unwrap_or(&loans[0]).extent.shape;
    let grid = Grid::new(split, first)?;
    for other in written() {
        let other = other.extent.shape;
        if let Some(axis) = grid.cut_axes().find(|&axis| other.get(axis) != first.get(axis)) {
            return Err(Error::Shape(format!(
                "two outputs of shapes {first:?} and {other:?} differ on axis {axis}, which the split `{split}` cuts. Make \
                 them equally long there, or cut another axis."
            )));
        }
    }
    Ok(grid)
}
