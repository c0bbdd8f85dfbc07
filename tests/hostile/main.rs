//! Workers gone mad, which write over the control page that they share with the coordinator: a job ends with an error, or with the
//! right result, in bounded time, and leaves nothing behind.
//!
//! `PARFORK_HOSTILE=TRIALS[,SEED]` runs so many of each kind of job instead of a few, from another seed.
#![allow(unsafe_code)]

mod madness;
mod meetings;
#[path = "../support/mod.rs"]
mod support;
mod turned_back;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use madness::{After, Chance, Deed, Madness, Place, SLICES, Scribble, told, untold};
use parfork::{Answers, Crew, Error, Job, Schedule, Shared, Split, Worker};
use support::{cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            plain_jobs,
            guarded_jobs,
            jobs_with_retries,
            jobs_with_undo,
            jobs_with_undo_and_guard,
            jobs_that_meet,
            recorded_jobs,
            jobs_of_a_crew,
            jobs_of_a_crew_that_starts_anew,
            jobs_of_a_crew_whose_coordinator_works_too,
            a_page_of_zeros_ends_a_job_without_a_deadline,
            one_wrong_bit_is_an_error_and_no_second_try,
            a_copy_of_a_worker_has_no_part_in_its_job,
            what_a_crew_was_not_told_it_does_not_do,
            meetings::a_coordinator_at_a_meeting_waits_for_nothing_in_vain,
            meetings::a_stopped_worker_is_no_damage,
            turned_back::a_job_is_not_done_that_its_deadline_ended,
            turned_back::a_job_is_not_done_in_which_one_died_that_had_not_come,
        ],
        &[],
    )
}

/// How many trials of each kind, and the first seed.
fn trials() -> (u64, u64) {
    let text = std::env::var("PARFORK_HOSTILE").unwrap_or_default();
    let mut numbers = text.split(',').map(|number| number.parse().ok());
    (numbers.next().flatten().unwrap_or(12), numbers.next().flatten().unwrap_or(1))
}

/// The cells of slice `index` as they should be.
fn right(index: usize) -> u64 {
    (index as u64 + 1) * 1_000_003
}

const BOTH: &[Deed] = &[Deed::Overwrites, Deed::Modifies];

/// The body of all jobs here: does its slice in two halves, and answers its number; on the one slice it goes mad between these or
/// after them.
fn work(
    worker: &Worker<'_>,
    mad: Option<Madness>,
    deed: Deed,
    mut slice: parfork::Slice<'_, u64, ndarray::Ix2>,
) -> u64 {
    let index = worker.region().index();
    let mad = mad.filter(|mad| mad.slice == index);
    let stale: Vec<u32> = mad.map_or(Vec::new(), |_| madness::snapshot());
    let half = slice.ncols() / 2;
    let mut act = |half: std::ops::Range<usize>| {
        let cells = slice.slice_mut(ndarray::s![.., half]);
        for cell in cells {
            *cell = if deed == Deed::Modifies { *cell + right(index) } else { right(index) };
        }
    };
    act(0..half);
    if let Some(mad) = mad.filter(|mad| mad.seed.is_multiple_of(2)) {
        mad.act(&stale);
    }
    act(half..2 * half);
    if let Some(mad) = mad {
        mad.act(&stale);
    }
    right(index)
}

fn check(cells: &Shared<u64, ndarray::Ix2>, answers: &[u64], told: &str) {
    let wrong = cells.view().rows().into_iter().enumerate().find_map(|(index, row)| {
        let wrong = row.iter().find(|&&cell| cell != right(index));
        wrong.map(|&cell| format!("slice {index}: {cell} instead of {}", right(index)))
    });
    assert_eq!(wrong, None, "wrong cells, {told}");
    assert!(answers.iter().copied().eq((0..SLICES).map(right)), "wrong answers, {told}");
}

/// No trial takes longer, on the busiest machine; most take milliseconds.
const LONGEST: Duration = Duration::from_secs(40);

/// Runs trials of one kind of job, whose bodies do one of `deeds`: with an error, or with cells and answers that are right.
fn try_out(
    kind: u64,
    deeds: &[Deed],
    mut job: impl FnMut(&mut Cells, usize, Madness, Deed) -> parfork::Result<Answers<u64>>,
) {
    let (trials, seed) = trials();
    let (mut right_ones, mut errors) = (0, 0);
    for trial in 0..trials {
        let mut chance =
            Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(trial).wrapping_mul(31).wrapping_add(kind));
        let (workers, mad) = ([1, 2, 3, 8][chance.below(4) as usize], Madness::by(&mut chance));
        let deed = deeds[chance.below(deeds.len() as u64) as usize];
        let told = format!("trial {trial} of seed {seed}: {workers} workers, {deed:?}, {mad:?}");
        let mut cells = Cells::zeros((SLICES, 512)).unwrap();
        let began = Instant::now();
        match job(&mut cells, workers, mad, deed) {
            Ok(answers) => {
                right_ones += 1;
                check(&cells, &answers, &told);
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
    let mut cells = Cells::zeros((SLICES, 512)).unwrap();
    let answers = Job::new(&mut cells).workers(3).run(|w, slice| work(w, None, Deed::Modifies, slice)).unwrap();
    check(&cells, &answers, "the job after all that");
}

type Cells = Shared<u64, ndarray::Ix2>;

fn plain_jobs() {
    try_out(1, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| {
            Job::new(cells).workers(workers).deadline(mad.patience()).run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

fn guarded_jobs() {
    try_out(8, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells).workers(workers).guard(true).deadline(mad.patience());
            job.run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

fn jobs_with_retries() {
    try_out(2, &[Deed::Overwrites], |cells, workers, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells)
                .workers(workers)
                .retries(2)
                .body_overwrites()
                .deadline(mad.patience())
                .schedule(Schedule::Guided);
            job.run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

fn jobs_with_undo() {
    try_out(9, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells).workers(workers).retries(2).restore_outputs().deadline(mad.patience());
            job.run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

fn jobs_with_undo_and_guard() {
    try_out(3, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| {
            let job =
                Job::new(cells).workers(workers).retries(1).restore_outputs().guard(true).deadline(mad.patience());
            job.run(|w, slice| work(w, Some(mad), deed, slice))
        })
    });
}

fn jobs_that_meet() {
    try_out(4, BOTH, |cells, _, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells).workers(SLICES).split(Split::default().into_pieces(SLICES));
            // Of as many slices as workers each has one, and they can meet.
            job.schedule(Schedule::Static).deadline(mad.patience()).run(|w, slice| {
                let answer = work(w, Some(mad), deed, slice);
                w.barrier().map_err(|error| error.to_string())?;
                Ok::<_, String>(answer)
            })
        })
    });
}

fn recorded_jobs() {
    try_out(5, &[Deed::Overwrites], |cells, workers, mad, deed| {
        nothing_left(|| {
            let job = Job::new(cells)
                .workers(workers)
                .retries(2)
                .body_overwrites()
                .record(true)
                .measure_memory(true)
                .deadline(mad.patience());
            let done = job.run(|w, slice| work(w, Some(mad), deed, slice))?;
            let record = done.report().record().expect("it was recorded");
            // Whatever the event logs say, the views are made.
            assert!(record.timelines().len() + record.json().len() + record.summary(80).len() > 0);
            Ok(done)
        })
    });
}

fn jobs_of_a_crew() {
    let mut crew = Crew::start(3).unwrap();
    try_out(6, BOTH, |cells, workers, mad, deed| run_on(&mut crew, cells, workers.min(3), mad, deed));
}

fn jobs_of_a_crew_that_starts_anew() {
    try_out(7, BOTH, |cells, workers, mad, deed| {
        nothing_left(|| run_on(&mut Crew::start(workers).unwrap(), cells, workers, mad, deed))
    });
}

fn jobs_of_a_crew_whose_coordinator_works_too() {
    let mut crew = Crew::start(2).unwrap();
    crew.coordinator_works(true);
    // The coordinator itself stays sane: what it writes over, and who it ends, is its own. The mad slice is another's, which one
    // that works faster must not take.
    let coordinator = std::process::id();
    try_out(10, BOTH, |cells, _, mad, deed| {
        let mad = Madness { slice: mad.slice % (SLICES / 3 * 2), ..mad };
        let job = Job::new(&mut *cells).crew(&mut crew).workers(3).schedule(Schedule::Static).deadline(mad.patience());
        job.run_with(told(coordinator, mad, deed), |w, argument, slice| {
            let (coordinator, mad, deed) = untold(argument);
            let mad = Some(mad).filter(|_| std::process::id() != coordinator);
            work(w, mad, deed, slice)
        })
    });
}

/// A mad job, then one that must be right.
fn run_on(
    crew: &mut Crew,
    cells: &mut Cells,
    workers: usize,
    mad: Madness,
    deed: Deed,
) -> parfork::Result<Answers<u64>> {
    // With retries where they are safe: an error that nobody survives, a death that others make up for, or an undo copy put back.
    let job = Job::new(&mut *cells).crew(&mut *crew).workers(workers).deadline(mad.patience());
    let job = match (deed, mad.seed % 3) {
        (Deed::Overwrites, 1) => job.retries(1).body_overwrites(),
        (_, 2) => job.retries(1).restore_outputs(),
        _ => job,
    };
    let done = job.run_with(told(0, mad, deed), |w, argument, slice| {
        let (_, mad, deed) = untold(argument);
        work(w, Some(mad), deed, slice)
    });
    let mut next = || {
        let mut cells = Cells::zeros((SLICES, 512)).unwrap();
        let job = Job::new(&mut cells).crew(&mut *crew).workers(workers).deadline(mad.patience());
        let answers = job.run_with((), |w, (), slice| work(w, None, Deed::Modifies, slice))?;
        check(&cells, &answers, "the job after it");
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
fn a_page_of_zeros_ends_a_job_without_a_deadline() {
    for slice in [0, 5, SLICES - 1] {
        for after in [After::GoesOn, After::Leaves, After::Dies] {
            let mut cells = Cells::zeros((SLICES, 512)).unwrap();
            let mad = Madness { what: Scribble::Word(0), after, place: Place::Every(1), slice, seed: 1 };
            let job = Job::new(&mut cells).workers(3);
            if let Ok(answers) = nothing_left(|| job.run(|w, slice| work(w, Some(mad), Deed::Modifies, slice))) {
                check(&cells, &answers, "it was so late that all was told");
            }
        }
    }
}

/// One bit of what says that a slice is done, of its answer, or of what says that one is free. Nobody dies: nothing is tried again,
/// with retries or without.
fn one_wrong_bit_is_an_error_and_no_second_try() {
    fn mad(worker: &Worker<'_>, [slice, bit]: [u64; 2], mut cells: parfork::Slice<'_, u64, ndarray::Ix2>) -> u64 {
        *cells += 1;
        if worker.region().index() == 20 {
            let word = &madness::page()[madness::states() / 4 + 2 * slice as usize + bit as usize / 32];
            word.fetch_xor(1 << (bit % 32), Ordering::Relaxed);
        }
        7
    }
    let mut crew = Crew::start(2).unwrap();
    // The words of slices, then their answers.
    for slice in [3, 23, SLICES as u64 + 3] {
        for bit in [0, 4, 13, 14, 31, 32, 63] {
            for how in 0..4 {
                let mut cells = Cells::zeros((SLICES, 512)).unwrap();
                let job = Job::new(&mut cells).workers(2);
                let done = match how {
                    0 => job.run(|w, cells| mad(w, [slice, bit], cells)),
                    1 => job.retries(2).restore_outputs().run(|w, cells| mad(w, [slice, bit], cells)),
                    2 => job.crew(&mut crew).run_with([slice, bit], mad),
                    _ => job.crew(&mut crew).retries(2).restore_outputs().run_with([slice, bit], mad),
                };
                let told = format!("slice {slice}, bit {bit}, {how}: {done:?}");
                // An answer may have been given later than it was changed, by a worker that was slower than the other.
                let too_early = slice >= SLICES as u64
                    && done.as_ref().is_ok_and(|answers| answers.iter().all(|&answer| answer == 7))
                    && cells.view().iter().all(|&cell| cell == 1);
                assert!(too_early || matches!(done, Err(Error::ControlPageDamaged { .. })), "{told}");
                assert!(cells.view().iter().all(|&cell| cell <= 1), "done twice, {told}");
            }
        }
    }
}

/// A body that forks, and whose child falls through: it comes back to where only the worker should. Also one made without the
/// C library, which nobody is told of.
fn a_copy_of_a_worker_has_no_part_in_its_job() {
    for calls_handlers in [true, false] {
        for retries in [0, 1] {
            let mut cells = Cells::zeros((SLICES, 512)).unwrap();
            let job = Job::new(&mut cells).workers(2).deadline(Duration::from_secs(20));
            let job = if retries > 0 { job.retries(retries).restore_outputs() } else { job };
            let done = job.run(|w, mut slice| {
                *slice += right(w.region().index());
                if w.region().index() == 5 {
                    let child = match calls_handlers {
                        // SAFETY: a fork of a process with one thread, whose child does nothing but come back.
                        true => unsafe { libc::fork() },
                        // SAFETY: as of fork.
                        false => unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t },
                    };
                    assert!(child >= 0);
                }
                right(w.region().index())
            });
            let told = format!("handlers {calls_handlers}, {retries} retries");
            match done {
                Ok(answers) => check(&cells, &answers, &told),
                Err(error) => assert!(!calls_handlers, "{error}, {told}"),
            }
        }
    }
}

/// A thread of a mad worker goes on changing what a crew is told of its jobs, or whatever stands before the workers' words: who
/// reads that does what the coordinator wrote, or nothing.
fn what_a_crew_was_not_told_it_does_not_do() {
    let mut crew = Crew::start(2).unwrap();
    let (mut right_ones, mut errors) = (0, 0);
    for place in [0_u64, 1] {
        for number in 0..60_u64 {
            let mut cells = Cells::zeros((SLICES, 64)).unwrap();
            let job = Job::new(&mut cells).crew(&mut crew).workers(2).deadline(Duration::from_secs(2));
            let done = job.run_with([number, place], |w, [number, place], mut slice| {
                *slice += number;
                if number.is_multiple_of(4) && w.region().index() == 0 {
                    std::thread::spawn(move || write_on(place, number));
                }
                number
            });
            match done {
                Ok(answers) => {
                    right_ones += 1;
                    assert!(answers.iter().all(|&answer| answer == number), "{answers:?} of {number}");
                    assert!(cells.view().iter().all(|&cell| cell == number), "cells of {number}");
                }
                Err(_) => errors += 1,
            }
        }
    }
    println!("{right_ones} right, {errors} errors");
}

/// Turns bits of what is told, which stands after the slice table, or of the head of the page, for ever.
fn write_on(place: u64, seed: u64) {
    let (words, mut chance) = (madness::page(), Chance::new(seed + 1));
    let told = madness::states() / 4 + 4 * SLICES;
    let head = words[2].load(Ordering::Relaxed) as usize / 4;
    let range = if place == 0 { told..told + 200 } else { 64..head };
    loop {
        let at = range.start + chance.below(range.len() as u64) as usize;
        words[at].fetch_xor(1 << chance.below(32), Ordering::Relaxed);
        std::thread::yield_now();
    }
}
