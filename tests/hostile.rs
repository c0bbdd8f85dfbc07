//! Workers gone mad, which write over the whole board that they share with the coordinator: it ends with an error, or with the
//! right result, in bounded time, and leaves nothing behind.
//!
//! `PARFORK_HOSTILE=TRIALS[,SEED]` runs so many of each kind of job instead of a few, from another seed.
#![allow(unsafe_code)]

mod support;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parfork::{Crew, Error, Gathered, Job, Schedule, Shared, Split, Worker};
use support::{cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            plain_jobs,
            jobs_with_retries,
            jobs_with_undo_and_guard,
            jobs_that_meet,
            recorded_jobs,
            jobs_of_a_crew,
            jobs_of_a_crew_that_starts_anew,
            a_board_of_zeros_ends_a_job_without_a_deadline,
            done_is_not_believed_of_whoever_says_so,
        ],
        &[],
    )
}

/// Numbers that chance gives; xorshift, from a seed.
#[derive(Clone, Copy)]
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end
    }
}

/// How many trials of each kind, and the first seed.
fn trials() -> (u64, u64) {
    let text = std::env::var("PARFORK_HOSTILE").unwrap_or_default();
    let mut numbers = text.split(',').map(|number| number.parse().ok());
    (numbers.next().flatten().unwrap_or(12), numbers.next().flatten().unwrap_or(1))
}

/// What a mad worker writes.
#[derive(Clone, Copy, Debug)]
enum Scribble {
    Word(u32),
    Random,
    /// Every word has one bit turned.
    Flips,
    /// What stood there when the worker began with the slice.
    Stale,
    /// What stands elsewhere on the board.
    Moved,
}

/// What becomes of it then.
#[derive(Clone, Copy, Debug)]
enum After {
    GoesOn,
    Dies,
    Leaves,
    Panics,
    /// A thread of its own goes on writing.
    WritesOn,
}

#[derive(Clone, Copy, Debug)]
struct Madness {
    what: Scribble,
    after: After,
    /// Every so many words.
    step: usize,
    /// On which slice.
    slice: usize,
    seed: u64,
}

const SLICES: usize = 24;

impl Madness {
    fn by(chance: &mut Chance) -> Self {
        let what = match chance.below(8) {
            0 => Scribble::Word(0),
            1 => Scribble::Word(u32::MAX),
            2 => Scribble::Word([1, 2, 3, 0x4000_0000, 0x8000_0000, 0x7fff_ffff][chance.below(6) as usize]),
            3 => Scribble::Flips,
            4 => Scribble::Stale,
            5 => Scribble::Moved,
            _ => Scribble::Random,
        };
        let after =
            [After::GoesOn, After::Dies, After::Leaves, After::Panics, After::WritesOn][chance.below(5) as usize];
        let step = [1, 1, 2, 3, 7, 31][chance.below(6) as usize];
        Self { what, after, step, slice: chance.below(SLICES as u64) as usize, seed: chance.next() }
    }

    /// How long the job may take. Of one whose worker never ends nobody promises that it does, without a deadline.
    fn patience(self) -> Duration {
        if matches!(self.after, After::WritesOn) { Duration::from_secs(2) } else { Duration::MAX }
    }

    /// Acts on it, in a worker; `stale` is what stood on the board before.
    fn act(self, stale: &[u32]) {
        self.scribble(stale);
        match self.after {
            After::GoesOn => {}
            // SAFETY: ends this worker.
            After::Dies => drop(unsafe { libc::raise(libc::SIGKILL) }),
            After::Leaves => std::process::exit(0),
            After::Panics => panic!("mad"),
            After::WritesOn => {
                let stale = stale.to_vec();
                std::thread::spawn(move || {
                    loop {
                        self.scribble(&stale);
                    }
                });
            }
        }
    }

    fn scribble(self, stale: &[u32]) {
        let (words, mut chance) = (board(), Chance::new(self.seed));
        for (at, word) in words.iter().enumerate().step_by(self.step) {
            let now = word.load(Ordering::Relaxed);
            let lie = match self.what {
                Scribble::Word(lie) => lie,
                Scribble::Random => chance.next() as u32,
                Scribble::Flips => now ^ 1 << chance.below(32),
                Scribble::Stale => stale[at],
                Scribble::Moved => words[(at + 64) % words.len()].load(Ordering::Relaxed),
            };
            word.store(lie, Ordering::Relaxed);
        }
    }
}

/// The words of the board: the only segment that a worker has inherited, readable and writable. A crew's is large and mostly
/// without memory, which looking there would make: its first 64 KiB will do.
fn board() -> &'static [AtomicU32] {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().rev().find(|line| line.contains("rw-s") && line.contains("memfd:parfork-board"));
    let (start, end) = line.unwrap().split_whitespace().next().unwrap().split_once('-').unwrap();
    let number = |text| usize::from_str_radix(text, 16).unwrap();
    let (start, end) = (number(start), number(end));
    let words = std::ptr::with_exposed_provenance(start);
    // SAFETY: mapped as long as this worker lives; all use of these words is atomic.
    unsafe { std::slice::from_raw_parts(words, (end - start).min(1 << 16) / 4) }
}

/// The cells of slice `index` as they should be.
fn right(index: usize) -> u64 {
    (index as u64 + 1) * 1_000_003
}

/// The body of all jobs here: fills its slice, and answers its number; on the one slice it goes mad before or after that.
fn work(worker: &Worker<'_>, mad: Option<Madness>, mut slice: parfork::Slice<'_, u64, ndarray::Ix2>) -> u64 {
    let index = worker.region().index();
    let mad = mad.filter(|mad| mad.slice == index);
    let stale: Vec<u32> = mad.map_or(Vec::new(), |_| board().iter().map(|word| word.load(Ordering::Relaxed)).collect());
    if let Some(mad) = mad.filter(|mad| mad.seed.is_multiple_of(2)) {
        mad.act(&stale);
    }
    slice.fill(right(index));
    if let Some(mad) = mad {
        mad.act(&stale);
    }
    right(index)
}

/// No trial takes longer, on the busiest machine; most take milliseconds.
const LONGEST: Duration = Duration::from_secs(40);

/// Runs trials of one kind of job: with an error, or with cells and answers that are right.
fn try_out(
    kind: u64,
    mut job: impl FnMut(&mut Shared<u64, ndarray::Ix2>, usize, Madness) -> parfork::Result<Gathered<u64>>,
) {
    let (trials, seed) = trials();
    let (mut right_ones, mut errors) = (0, 0);
    for trial in 0..trials {
        let mut chance =
            Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(trial).wrapping_mul(31).wrapping_add(kind));
        let (workers, mad) = ([1, 2, 3, 8][chance.below(4) as usize], Madness::by(&mut chance));
        let told = format!("trial {trial} of seed {seed}: {workers} workers, {mad:?}");
        let mut cells = Shared::<u64, _>::zeros((SLICES, 512)).unwrap();
        let began = Instant::now();
        match job(&mut cells, workers, mad) {
            Ok(answers) => {
                right_ones += 1;
                let cells = cells.view();
                let filled =
                    |(index, row): (usize, ndarray::ArrayView1<'_, u64>)| row.iter().all(|&cell| cell == right(index));
                assert!(cells.rows().into_iter().enumerate().all(filled), "wrong cells, {told}");
                assert!(answers.iter().copied().eq((0..SLICES).map(right)), "wrong answers, {told}");
            }
            Err(error) => {
                errors += 1;
                let text = error.to_string();
                assert!(text.len() > 20, "{text:?}, {told}");
            }
        }
        assert!(began.elapsed() < LONGEST, "it took {:?}, {told}", began.elapsed());
    }
    println!("{trials} trials: {right_ones} right, {errors} errors");
    let mut cells = Shared::<u64, _>::zeros((SLICES, 512)).unwrap();
    Job::new(&mut cells).workers(3).run(|w, slice| work(w, None, slice)).unwrap();
}

fn plain_jobs() {
    try_out(1, |cells, workers, mad| {
        nothing_left(|| {
            Job::new(cells).workers(workers).deadline(mad.patience()).run(|w, slice| work(w, Some(mad), slice))
        })
    });
}

fn jobs_with_retries() {
    try_out(2, |cells, workers, mad| {
        nothing_left(|| {
            let job = Job::new(cells)
                .workers(workers)
                .retries(2)
                .overwrites()
                .deadline(mad.patience())
                .schedule(Schedule::Guided);
            job.run(|w, slice| work(w, Some(mad), slice))
        })
    });
}

fn jobs_with_undo_and_guard() {
    try_out(3, |cells, workers, mad| {
        nothing_left(|| {
            let job = Job::new(cells).workers(workers).retries(1).undo_copies().guard(true).deadline(mad.patience());
            job.run(|w, slice| work(w, Some(mad), slice))
        })
    });
}

fn jobs_that_meet() {
    try_out(4, |cells, _, mad| {
        nothing_left(|| {
            let job = Job::new(cells).workers(SLICES).split(Split::default().into_pieces(SLICES));
            // Of as many slices as workers each has one, and they can meet.
            job.schedule(Schedule::Static).deadline(mad.patience()).run(|w, slice| {
                let answer = work(w, Some(mad), slice);
                w.meet().map_err(|error| error.to_string())?;
                Ok::<_, String>(answer)
            })
        })
    });
}

fn recorded_jobs() {
    try_out(5, |cells, workers, mad| {
        nothing_left(|| {
            let job = Job::new(cells)
                .workers(workers)
                .retries(2)
                .overwrites()
                .record(true)
                .measure_memory(true)
                .deadline(mad.patience());
            let done = job.run(|w, slice| work(w, Some(mad), slice))?;
            let record = done.report().record().expect("it was recorded");
            // Whatever the tapes say, the views are made.
            assert!(record.lanes().len() + record.json().len() + record.summary(80).len() > 0);
            Ok(done)
        })
    });
}

/// What a crew's body is handed of its madness.
type Told = [u64; 6];

fn told(mad: Madness) -> Told {
    let (what, lie) = match mad.what {
        Scribble::Word(lie) => (0, lie),
        Scribble::Random => (1, 0),
        Scribble::Flips => (2, 0),
        Scribble::Stale => (3, 0),
        Scribble::Moved => (4, 0),
    };
    [what, lie.into(), mad.after as u64, mad.step as u64, mad.slice as u64, mad.seed]
}

fn untold([what, lie, after, step, slice, seed]: Told) -> Madness {
    let whats = [Scribble::Word(lie as u32), Scribble::Random, Scribble::Flips, Scribble::Stale, Scribble::Moved];
    let after = [After::GoesOn, After::Dies, After::Leaves, After::Panics, After::WritesOn][after as usize];
    Madness { what: whats[what as usize], after, step: step as usize, slice: slice as usize, seed }
}

fn jobs_of_a_crew() {
    let mut crew = Crew::start(3).unwrap();
    try_out(6, |cells, workers, mad| run_on(&mut crew, cells, workers.min(3), mad));
}

fn jobs_of_a_crew_that_starts_anew() {
    try_out(7, |cells, workers, mad| nothing_left(|| run_on(&mut Crew::start(workers).unwrap(), cells, workers, mad)));
}

/// A mad job, then one that must be right.
fn run_on(
    crew: &mut Crew,
    cells: &mut Shared<u64, ndarray::Ix2>,
    workers: usize,
    mad: Madness,
) -> parfork::Result<Gathered<u64>> {
    let job = Job::new(&mut *cells).crew(&mut *crew).workers(workers).retries(1).overwrites().deadline(mad.patience());
    let done = job.run_with(told(mad), |w, mad, slice| work(w, Some(untold(mad)), slice));
    let mut next = || {
        let job = Job::new(&mut *cells).crew(&mut *crew).workers(workers).deadline(mad.patience());
        let answers = job.run_with((), |w, (), slice| work(w, None, slice))?;
        assert!(answers.iter().copied().eq((0..SLICES).map(right)), "the answers of the job after it");
        Ok::<_, Error>(())
    };
    // After a job that went well the mad one may still be there, and at it. After one that failed all are new.
    if done.is_ok() && next().is_ok() {
        return done;
    }
    next().expect("a job of new workers");
    done
}

/// Nobody dies, and there is no deadline: that the arrivals of all were wiped out must be noticed all the same.
fn a_board_of_zeros_ends_a_job_without_a_deadline() {
    for slice in [0, 5, SLICES - 1] {
        for after in [After::GoesOn, After::Leaves, After::Dies] {
            let mut cells = Shared::<u64, _>::zeros((SLICES, 512)).unwrap();
            let mad = Madness { what: Scribble::Word(0), after, step: 1, slice, seed: 1 };
            let job = Job::new(&mut cells).workers(3);
            match nothing_left(|| job.run(|w, slice| work(w, Some(mad), slice))) {
                // It was so early that nobody had written anything but zeros, or so late that all was told.
                Ok(answers) => assert!(answers.iter().copied().eq((0..SLICES).map(right))),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

/// A mad worker calls all slices done by itself: none of it is believed.
fn done_is_not_believed_of_whoever_says_so() {
    for rank in 0..2_u32 {
        let mut cells = Shared::<u64, _>::zeros((SLICES, 512)).unwrap();
        let job = Job::new(&mut cells).workers(2);
        let error = nothing_left(|| {
            job.run(|w, slice| {
                let mad =
                    Madness { what: Scribble::Word(rank * 2 + 3), after: After::GoesOn, step: 1, slice: 3, seed: 1 };
                work(w, Some(mad), slice)
            })
        });
        assert!(matches!(error, Err(Error::System { .. } | Error::WorkerDied(_) | Error::Refused(_))), "{error:?}");
    }
}
