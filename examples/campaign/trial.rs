//! The coordinator of one trial: runs the job of its plan, lets faults happen in its workers, and says how it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use bytemuck::Pod;
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use nix::sys::signal::{SigSet, Signal};
use parfork::slices::Region;
use parfork::{CancelToken, Crew, Job, Report, Shared};

use crate::answers::gathered;
use crate::body::{Cell, answer, befall, earlier, given, value};
use crate::engine::{Engine, Stay};
use crate::judge::{Case, Verdict};
use crate::page::{Page, Words, now};
use crate::plan::{Body, Element, Place, Plan};
use crate::support::nothing_left;
use crate::{answers, program, steps};

/// The plan and the shared words, for a fork handler and for the bodies of a crew, which are given nothing.
static TOLD: OnceLock<(Plan, Page)> = OnceLock::new();

/// Forks of this process so far.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// More forks than any fault waits for.
const NONE_OF_OURS: u64 = 1 << 32;

/// The process that asks for jobs.
static COORDINATOR: AtomicU32 = AtomicU32::new(0);

/// Tells the program that forks the workers of a crew where the trial's page is.
const PAGE: &str = "PARFORK_TRIAL_SERVER";

/// Forks workers for a trial, if that is what this process was started for. Bodies and faults find there what they find in the coordinator.
pub(crate) fn serve_if_told(seed: u64, number: u64) {
    if let Some(page) = std::env::var_os(PAGE) {
        TOLD.get_or_init(|| (Plan::new(seed, number), Page::at(&page).expect("the coordinator's page")));
        COORDINATOR.store(std::os::unix::process::parent_id(), SeqCst);
        // SAFETY: as in `play`.
        unsafe { libc::pthread_atfork(Some(count_fork), None, Some(be_born)) };
    }
    parfork::serve();
}

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
    COORDINATOR.store(std::process::id(), SeqCst);
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

/// Runs the job, or those of a crew, looks at what was left, and judges.
fn run<T: Cell, const N: usize>(plan: &Plan, words: &Words) -> Verdict
where
    [u64; N]: Pod,
{
    let mut arrays = Arrays::<T>::new(plan);
    let begin = || {
        FORKS.store(0, SeqCst);
        words.began.store(now(), SeqCst);
        println!("begun");
    };
    let play = || {
        let verdict = match plan.engine {
            Engine::Programs => {
                let arrays = program::arrays::<T>(plan);
                begin();
                program::job::<T>(plan, words, arrays)
            }
            Engine::Crew(stay) => crew::<T, N>(plan, words, stay, &mut arrays, begin),
            Engine::Serial | Engine::Threads | Engine::Processes => {
                begin();
                arrays.job::<N>(plan, words, None, 0)
            }
        };
        words.ended.store(now(), SeqCst);
        verdict
    };
    let verdict = catch_unwind(AssertUnwindSafe(|| nothing_left(play)));
    if std::process::id() != COORDINATOR.load(SeqCst) {
        println!("{}", Verdict::Wrong("a worker came back to the coordinator's code".to_owned()).told());
        // SAFETY: ends the process without touching its memory.
        unsafe { libc::_exit(1) };
    }
    verdict.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        if text.contains("left") || text.contains("traces") {
            Verdict::Left(text)
        } else {
            Verdict::Wrong(format!("panicked: {text}"))
        }
    })
}

/// Runs job after job on a crew, also after one that failed. The last failure, if all that failed did so as they should.
fn crew<T: Cell, const N: usize>(
    plan: &Plan,
    words: &Words,
    stay: Stay,
    arrays: &mut Arrays<T>,
    begin: impl Fn(),
) -> Verdict
where
    [u64; N]: Pod,
{
    let (grid, workers) = (plan.grid(), plan.workers - usize::from(stay.coordinator_works));
    let started = match stay.in_program {
        true => {
            // SAFETY: this process has one thread.
            unsafe { std::env::set_var(PAGE, format!("/proc/{}/fd/0", std::process::id())) };
            let crew = Crew::in_program(workers);
            // A program takes longer to start than all that befalls its workers.
            begin();
            crew
        }
        false => {
            begin();
            Crew::start(workers)
        }
    };
    let mut crew = match started {
        Ok(crew) => crew,
        Err(error) => {
            return Case { plan, grid: &grid, words, began: 0, ended: now(), lied: false }.failed(&error, true);
        }
    };
    crew.coordinator_works(stay.coordinator_works);
    let (mut verdict, mut settled) = (Verdict::Completed, 0);
    for job in 0..stay.jobs {
        match arrays.job::<N>(&plan.of_job(job), words, Some(&mut crew), settled) {
            Verdict::Completed => {}
            failed @ Verdict::Failed { .. } => {
                verdict = failed;
                // All workers are new ones.
                settled = plan.lied(words);
            }
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

    /// Runs a job, looks at what it left in the arrays, and judges. Of all lies so many were told to workers that are gone.
    fn job<const N: usize>(&mut self, plan: &Plan, words: &Words, crew: Option<&mut Crew>, settled: u64) -> Verdict
    where
        [u64; N]: Pod,
    {
        let grid = plan.grid();
        let Self { input, output } = self;
        let given = |at: usize| given::<T>(plan, at);
        input.as_mut_slice().iter_mut().enumerate().for_each(|(at, cell)| *cell = given(at));
        output.as_mut_slice().iter_mut().enumerate().for_each(|(at, cell)| *cell = earlier(plan, at));
        let before = output.view().to_owned();
        let began = now();
        let job = job(plan);
        let done = match plan.body {
            Body::Steps => steps::run::<T, N>(plan, words, job, &before, crew).map(|(after, done)| {
                output.view_mut().assign(&after);
                gathered(done)
            }),
            _ => answers::run::<T, N>(plan, words, job, (input, output), crew),
        };
        let lied = plan.lied(words) > settled;
        let case = Case { plan, grid: &grid, words, began, ended: now(), lied };
        if !input.as_slice().iter().enumerate().all(|(at, cell)| *cell == given(at)) {
            return Verdict::Wrong("the input has changed".to_owned());
        }
        let (given, after) = (input.view(), output.view());
        let right = match plan.body {
            Body::Steps => steps::right(plan, &before),
            _ => ArrayD::from_shape_fn(IxDyn(&plan.shape), |index| {
                value(plan, ndarray::Dimension::slice(&index), given[&index], before[&index])
            }),
        };
        let is_right = |region: &Region| part(right.view(), region) == part(after.view(), region);
        match done {
            Ok((answers, report)) => {
                let wrong =
                    grid.regions().find(|region| !is_right(region)).map(|region| format!("slice {region} is wrong"));
                let complaint = || complaint::<T, N>(&case, &right, &answers, &report);
                case.completed(&report.deaths, wrong.or_else(complaint))
            }
            Err(error) => {
                // Planes that failed are nobody's to look at; and where a slice cannot be done that hands on to others, neither can they.
                let unseen = plan.body == Body::Steps || plan.carry.is_some();
                let fatal = |slice| plan.faults.iter().any(|fault| fault.slice() == Some(slice));
                case.failed(&error, unseen || grid.regions().all(|region| fatal(region.index()) || is_right(&region)))
            }
        }
    }
}

/// The cells of a region.
fn part<'a, T>(cells: ArrayViewD<'a, T>, region: &Region) -> ArrayViewD<'a, T> {
    region.ranges().fold(cells, |mut cells, (axis, range)| {
        cells.slice_axis_inplace(ndarray::Axis(axis), range.into());
        cells
    })
}

/// The job, with nothing lent.
fn job<'p>(plan: &Plan) -> Job<'p> {
    let mut told = 0;
    let honest = !plan.faults.iter().any(|fault| fault.deed.lies());
    let mut job = plan.job();
    if plan.progress {
        job = job.progress(move |done, of| {
            assert!(done <= of && (told <= done || !honest), "progress goes on: {told}, {done} of {of}");
            told = done;
        });
    }
    if plan.graceful {
        job = job.cancel_token(CancelToken::at_signals().expect("handlers"));
    }
    job
}

/// What is wrong with the answers and the report of a job that was completed.
fn complaint<T: Cell, const N: usize>(
    case: &Case<'_>,
    right: &ArrayD<T>,
    gathered: &[[u64; N]],
    report: &Report,
) -> Option<String> {
    let answers =
        case.grid.regions().map(|region| answer::<T, N>(case.plan, region.index(), part(right.view(), &region)));
    if !gathered.iter().copied().eq(answers) {
        return Some(format!("answers are wrong: {:?}", gathered.iter().collect::<Vec<_>>()));
    }
    let mut by_worker: Vec<_> = report.workers.iter().flat_map(|worker| worker.slices.clone()).collect();
    by_worker.sort_unstable();
    let once = by_worker.into_iter().eq(0..case.grid.slices());
    (!once && !case.lied).then(|| format!("not each slice once: {:?}", report.workers))
}

/// The plan and the words, in a worker of a crew.
pub(crate) fn told() -> &'static (Plan, Page) {
    TOLD.get().expect("told before the crew was started")
}

/// Whether a body may come to harm here.
pub(crate) fn in_danger(plan: &Plan) -> bool {
    let in_danger = plan.is_one_process() || std::process::id() != COORDINATOR.load(SeqCst);
    if in_danger && !plan.is_one_process() {
        // What is forked from here on is no worker of this job.
        FORKS.store(NONE_OF_OURS, SeqCst);
    }
    in_danger
}
