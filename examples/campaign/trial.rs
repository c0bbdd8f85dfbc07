//! The coordinator of one trial: runs the job of its plan, lets faults happen in its workers, and says how it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

use bytemuck::Pod;
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use nix::sys::signal::{SigSet, Signal};
use parfork::slices::Region;
use parfork::{Crew, Gathered, Job, Shared, Slice, Stop, Worker};

use crate::chance::mix;
use crate::deed::Deed;
use crate::judge::{Case, Verdict};
use crate::page::{Page, Victim, Words, now};
use crate::plan::{Element, Fault, Place, Plan, Stay};
use crate::support::nothing_left;

/// The plan and the shared words, for a fork handler and for the bodies of a crew, which are given nothing.
static TOLD: OnceLock<(Plan, Page)> = OnceLock::new();

/// Forks of this process so far.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Plays the trial that a variable of the environment names; the harness reads what it says.
pub(crate) fn play(seed: u64, number: u64) -> ExitCode {
    // Workers that end by SIGSEGV are expected; their core files are not.
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0).expect("a lower limit");
    // By which the harness knows workers that have not come to their first lines: those unblock all signals.
    let mut mark = SigSet::empty();
    mark.add(Signal::SIGURG);
    mark.thread_block().expect("a signal that nobody sends");
    let told = || (Plan::new(seed, number), Page::given().expect("the page as standard input"));
    let (plan, words) = TOLD.get_or_init(told);
    // SAFETY: the handlers use atomics and what ends the process.
    unsafe { libc::pthread_atfork(Some(count_fork), None, Some(be_born)) };
    let verdict = match (plan.element, plan.answer) {
        (Element::U8, 0) => run::<u8, 0>(plan, words),
        (Element::U8, _) => run::<u8, 1>(plan, words),
        (Element::I32, 0) => run::<i32, 0>(plan, words),
        (Element::I32, _) => run::<i32, 1>(plan, words),
        (Element::F64, 0) => run::<f64, 0>(plan, words),
        (Element::F64, _) => run::<f64, 5>(plan, words),
    };
    println!("{}", verdict.told());
    ExitCode::SUCCESS
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, SeqCst);
}

/// In a new process: the fault that befalls it before it is anything.
extern "C" fn be_born() {
    let Some((plan, words)) = TOLD.get() else { return };
    for (number, fault) in plan.faults.iter().enumerate() {
        if matches!(fault.place, Place::Birth { fork } if fork == FORKS.load(SeqCst)) {
            befall(words, number, None);
            let _ = fault.deed.happen();
        }
    }
}

/// Notes that a fault happens to this very process, now.
fn befall(words: &Words, fault: usize, rank: Option<usize>) {
    words.mark(fault, Victim { pid: std::process::id(), rank });
    words.land(fault);
}

/// What cells are made of.
trait Cell: Pod + PartialEq + Send + Sync {
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! cells {
    ($($cell:ty)+) => {$(
        impl Cell for $cell {
            // Fewer bits than any of them has, so that there and back is the same.
            fn of(bits: u64) -> Self {
                (bits % 128) as Self
            }

            fn bits(self) -> u64 {
                self as u64
            }
        }
    )+};
}

cells!(u8 i32 f64);

/// The value of the cell at `index` of the whole array, where the input is `input` and the cell was `before`.
fn value<T: Cell>(plan: &Plan, index: &[usize], input: T, before: T) -> T {
    let place = index.iter().fold(plan.salt, |place, &at| mix(place ^ at as u64));
    T::of(place ^ input.bits() ^ if plan.undo { mix(before.bits()) } else { 0 })
}

/// What the output's cell number `at` is before the job.
fn earlier<T: Cell>(plan: &Plan, at: usize) -> T {
    T::of(mix(plan.salt ^ !(at as u64)))
}

/// The answer of a slice.
fn answer<const N: usize>(plan: &Plan, slice: usize) -> [u64; N] {
    std::array::from_fn(|at| mix(plan.salt ^ (slice * 8 + at) as u64))
}

/// Runs the job, or those of a crew, looks at what was left, and judges.
fn run<T: Cell, const N: usize>(plan: &Plan, words: &Words) -> Verdict
where
    [u64; N]: Pod,
{
    let mut arrays = Arrays::<T>::new(plan);
    let play = || {
        FORKS.store(0, SeqCst);
        words.began.store(now(), SeqCst);
        println!("begun");
        let verdict = match plan.crew {
            None => arrays.job::<N>(plan, words, None),
            Some(stay) => crew::<T, N>(plan, words, stay, &mut arrays),
        };
        words.ended.store(now(), SeqCst);
        verdict
    };
    catch_unwind(AssertUnwindSafe(|| nothing_left(play))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        if text.contains("left") || text.contains("traces") {
            Verdict::Left(text)
        } else {
            Verdict::Wrong(format!("panicked: {text}"))
        }
    })
}

/// Runs job after job on a crew, also after one that failed. The last failure, if all that failed did so as they should.
fn crew<T: Cell, const N: usize>(plan: &Plan, words: &Words, stay: Stay, arrays: &mut Arrays<T>) -> Verdict
where
    [u64; N]: Pod,
{
    let grid = plan.grid();
    let mut crew = match Crew::start(plan.workers - usize::from(stay.joins_in)) {
        Ok(crew) => crew,
        Err(error) => return Case { plan, grid: &grid, words, began: 0, ended: now() }.failed(&error, true),
    };
    crew.join_in(stay.joins_in);
    let mut verdict = Verdict::Completed;
    for job in 0..stay.jobs {
        match arrays.job::<N>(&plan.of_job(job), words, Some(&mut crew)) {
            Verdict::Completed => {}
            failed @ Verdict::Failed { .. } => verdict = failed,
            lost => return lost,
        }
        std::thread::sleep(stay.pause);
    }
    verdict
}

/// What a job works on.
struct Arrays<T> {
    input: Shared<T, IxDyn>,
    output: Shared<T, IxDyn>,
}

impl<T: Cell> Arrays<T> {
    fn new(plan: &Plan) -> Self {
        let zeros = || Shared::zeros(IxDyn(&plan.shape)).expect("a small array");
        Self { input: zeros(), output: zeros() }
    }

    /// Runs a job, looks at what it left in the arrays, and judges.
    fn job<const N: usize>(&mut self, plan: &Plan, words: &Words, crew: Option<&mut Crew>) -> Verdict
    where
        [u64; N]: Pod,
    {
        let grid = plan.grid();
        let Self { input, output } = self;
        let given = |at: usize| T::of(mix(plan.salt ^ at as u64));
        input.as_mut_slice().iter_mut().enumerate().for_each(|(at, cell)| *cell = given(at));
        output.as_mut_slice().iter_mut().enumerate().for_each(|(at, cell)| *cell = earlier(plan, at));
        let before = output.view().to_owned();
        let began = now();
        let done = run_job::<T, N>(plan, words, input, output, crew);
        let case = Case { plan, grid: &grid, words, began, ended: now() };
        if !input.as_slice().iter().enumerate().all(|(at, cell)| *cell == given(at)) {
            return Verdict::Wrong("the input has changed".to_owned());
        }
        let (given, after) = (input.view(), output.view());
        let right = ArrayD::from_shape_fn(IxDyn(&plan.shape), |index| {
            after[&index] == value(plan, ndarray::Dimension::slice(&index), given[&index], before[&index])
        });
        let is_right = |region: &Region| {
            let mut cells = right.view();
            region.ranges().for_each(|(axis, range)| cells.slice_axis_inplace(ndarray::Axis(axis), range.into()));
            cells.iter().all(|&right| right)
        };
        match done {
            Ok(gathered) => {
                let wrong =
                    grid.regions().find(|region| !is_right(region)).map(|region| format!("slice {region} is wrong"));
                case.completed(&gathered.report().deaths, wrong.or_else(|| complaint::<N>(plan, &gathered)))
            }
            Err(error) => {
                let fatal = |slice| plan.faults.iter().any(|fault| fault.slice() == Some(slice));
                case.failed(&error, grid.regions().all(|region| fatal(region.index()) || is_right(&region)))
            }
        }
    }
}

fn run_job<T: Cell, const N: usize>(
    plan: &Plan,
    words: &Words,
    input: &Shared<T, IxDyn>,
    output: &mut Shared<T, IxDyn>,
    crew: Option<&mut Crew>,
) -> parfork::Result<Gathered<[u64; N]>>
where
    [u64; N]: Pod,
{
    let mut told = 0;
    let mut settings = plan.settings();
    if plan.progress {
        settings.progress = Some(Box::new(|done, of| {
            assert!(told <= done && done <= of, "progress goes on: {told}, {done} of {of}");
            told = done;
        }));
    }
    if plan.graceful {
        settings.stop = Some(Stop::at_signals().expect("handlers"));
    }
    if crew.is_none() {
        let job = Job::with((input, output), settings);
        return job.run(|w, (input, slice)| labour::<T, N>(plan, words, w, input, slice));
    }
    settings.crew = crew;
    Job::with((input, output), settings).run_with(plan.salt, |w, salt, (input, slice)| {
        let (plan, words) = TOLD.get().expect("told before the crew was started");
        labour::<T, N>(&Plan { salt, ..plan.clone() }, words, w, input, slice)
    })
}

/// What is wrong with the answers and the report of a job that was completed.
fn complaint<const N: usize>(plan: &Plan, gathered: &Gathered<[u64; N]>) -> Option<String> {
    let slices = plan.grid().slices();
    let answers = gathered.iter().copied().eq((0..slices).map(|slice| answer::<N>(plan, slice)));
    let mut by_worker: Vec<_> = gathered.report().workers.iter().flat_map(|worker| worker.slices.clone()).collect();
    by_worker.sort_unstable();
    match (answers, by_worker.into_iter().eq(0..slices)) {
        (false, _) => Some(format!("answers are wrong: {:?}", gathered.iter().collect::<Vec<_>>())),
        (_, false) => Some(format!("not each slice once: {:?}", gathered.report().workers)),
        _ => None,
    }
}

/// The body: writes its slice, first what is wrong and then what is right, takes its time, and comes to harm as planned.
fn labour<T: Cell, const N: usize>(
    plan: &Plan,
    words: &Words,
    w: &Worker<'_>,
    input: ArrayViewD<'_, T>,
    mut slice: Slice<'_, T, IxDyn>,
) -> Result<[u64; N], String> {
    let number = w.region().index();
    let meet = || (0..plan.meets).try_for_each(|_| w.meet()).map_err(|error| error.to_string());
    meet()?;
    if !plan.undo {
        slice.fill(T::of(127));
    }
    let (first, shape) = (slice.as_mut_ptr(), slice.shape().to_owned());
    let harm = |hundredths: usize| -> Result<(), &'static str> {
        for (fault, Fault { deed, place }) in plan.faults.iter().enumerate() {
            let Place::Slice { slice, hundredths: at, times } = *place else { continue };
            if (slice, at) == (number, hundredths) && words.reach(fault) < times {
                befall(words, fault, Some(w.rank()));
                match deed {
                    Deed::Stray => stray(plan, w.region(), first, &shape),
                    deed => deed.happen()?,
                }
            }
        }
        Ok(())
    };
    let starts: Vec<_> =
        (0..plan.shape.len()).map(|axis| w.region().range(axis).map_or(0, |range| range.start)).collect();
    let (cells, mut harmed) = (slice.len(), 0);
    let end = Instant::now() + busy(plan, number);
    for (at, (index, cell)) in slice.indexed_iter_mut().enumerate() {
        for hundredths in harmed..at * 100 / cells {
            harm(hundredths)?;
        }
        harmed = at * 100 / cells;
        if at == cells / 2 {
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
        let index: Vec<_> =
            starts.iter().zip(ndarray::Dimension::slice(&index)).map(|(start, at)| start + at).collect();
        *cell = value(plan, &index, input[&index[..]], *cell);
    }
    for hundredths in harmed..101 {
        harm(hundredths)?;
    }
    meet()?;
    Ok(answer(plan, number))
}

/// Writes to a cell of the output that is not in the slice whose first cell is at `first`: half the array further, or before.
fn stray<T: Cell>(plan: &Plan, region: &Region, first: *mut T, shape: &[usize]) {
    let strides = plan.shape.iter().rev().scan(1, |stride, &length| Some(std::mem::replace(stride, *stride * length)));
    let strides: Vec<_> = strides.collect();
    let start = |axis: usize| region.range(axis).map_or(0, |range| range.start);
    let own: usize = (0..shape.len()).map(|axis| start(axis) * strides[shape.len() - 1 - axis]).sum();
    let all: usize = plan.shape.iter().product();
    let there = (own + all / 2) % all;
    let index: Vec<_> =
        (0..shape.len()).map(|axis| there / strides[shape.len() - 1 - axis] % plan.shape[axis]).collect();
    let inside = index.iter().enumerate().all(|(axis, &at)| (start(axis)..start(axis) + shape[axis]).contains(&at));
    if !inside {
        let cell = first.wrapping_offset(there as isize - own as isize);
        // SAFETY: none: the cell is another's, and the guard must keep it as it is.
        unsafe { cell.write_volatile(T::of(99)) };
    }
}

/// How long a slice takes: between nothing and twice the mean.
fn busy(plan: &Plan, slice: usize) -> std::time::Duration {
    let mean = plan.busy.as_nanos() as u64 / plan.grid().slices() as u64;
    std::time::Duration::from_nanos(mix(plan.salt ^ !(slice as u64)) % (2 * mean + 1))
}

impl Verdict {
    /// On one line, as [`read`](Self::read) finds it.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Completed => "verdict completed ".to_owned(),
            Self::Failed { after: None } => "verdict failed ".to_owned(),
            Self::Failed { after: Some(after) } => format!("verdict failed {}", after.as_nanos()),
            Self::Wrong(text) => format!("verdict wrong {}", text.replace('\n', " ")),
            Self::Left(text) => format!("verdict left {}", text.replace('\n', " ")),
        }
    }

    /// Finds it among all that was said; Rust's own words on a stack that overflows may stand around it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (_, verdict) = text.split_once("verdict ")?;
        let (word, rest) = verdict.lines().next()?.split_once(' ')?;
        let nanoseconds = || rest.parse().ok().map(std::time::Duration::from_nanos);
        Some(match word {
            "completed" => Self::Completed,
            "failed" => Self::Failed { after: nanoseconds() },
            "left" => Self::Left(rest.to_owned()),
            _ => Self::Wrong(rest.to_owned()),
        })
    }
}
