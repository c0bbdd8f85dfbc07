//! Workers gone mad, which write over the control page that they share with the coordinator: a job ends with an error, or with the
//! right result, in bounded time, and leaves nothing behind.
//!
//! `PARFORK_TESTS=all` runs more of each kind of job, and `PARFORK_TESTS=SEED` others.
#![allow(unsafe_code)]

mod backlog;
mod jobs;
mod lies;
mod madness;
mod meetings;
#[path = "../support/sampled.rs"]
mod sampled;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod turned_back;

use std::ops::Deref;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use madness::{Deed, Madness, SLICES};
use parfork::{Job, Shared, Worker};
use support::cases;

fn main() -> ExitCode {
    parfork::serve();
    support::run(
        cases![
            jobs::plain_jobs,
            jobs::guarded_jobs,
            jobs::jobs_with_retries,
            jobs::jobs_with_undo,
            jobs::jobs_with_undo_and_guard,
            jobs::jobs_that_meet,
            jobs::jobs_that_carry,
            jobs::recorded_jobs,
            jobs::jobs_of_a_crew,
            jobs::jobs_of_a_crew_in_a_program,
            jobs::jobs_of_a_crew_that_starts_anew,
            jobs::jobs_of_a_crew_whose_coordinator_works_too,
            backlog::jobs_whose_answers_are_handed_on,
            backlog::words_of_the_backlog_hang_nobody,
            steps::jobs_of_steps,
            steps::words_that_count_steps_hang_nobody,
            lies::a_page_of_zeros_ends_a_job_without_a_deadline,
            lies::a_page_turned_back_ends_a_crews_job_without_a_deadline,
            lies::one_wrong_bit_is_an_error_and_no_second_try,
            lies::a_copy_of_a_worker_has_no_part_in_its_job,
            lies::what_a_crew_was_not_told_it_does_not_do,
            lies::a_worker_that_others_accuse_was_not_killed,
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
    (sampled::number(8, 25), sampled::seed())
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
fn try_out<A: Deref<Target = [u64]>>(
    kind: u64,
    deeds: &[Deed],
    mut job: impl FnMut(&mut Cells, usize, Madness, Deed) -> parfork::Result<A>,
) {
    let (trials, seed) = trials();
    let (mut right_ones, mut errors) = (0, 0);
    for trial in 0..trials {
        let mut chance = fastrand::Rng::with_seed(
            seed.wrapping_mul(1_000_003).wrapping_add(trial).wrapping_mul(31).wrapping_add(kind),
        );
        let (workers, mad) = ([1, 2, 3, 8][chance.usize(..4)], Madness::by(&mut chance));
        let deed = deeds[chance.usize(..deeds.len())];
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
