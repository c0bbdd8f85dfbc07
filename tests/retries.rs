//! Jobs that survive the death of workers: what a dead one left undone is done by others, a slice that kills them all is set
//! aside, and the result is the same as if nobody had died.
#![allow(unsafe_code)]

mod support;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::{Answers, Cause, Engine, Error, Job, JobSpec, RetryPolicy, Schedule, Shared, Split, Worker};
use support::{Page, cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            one_death_costs_nothing_but_time,
            many_deaths_cost_nothing_but_time,
            a_slice_that_kills_all_is_set_aside_and_named,
            a_body_that_never_works_is_not_tried_on_every_slice,
            a_panic_is_tried_again,
            an_error_of_a_body_is_not_tried_again,
            a_job_whose_workers_have_met_is_not_tried_again,
            workers_that_die_before_any_slice_end_the_job,
            a_worker_killed_at_the_end_takes_no_other_along,
            the_deadline_is_for_all_rounds,
            every_replacement_that_dies_is_heard_of,
            threads_do_not_survive_a_panic,
        ],
        cases![],
    )
}

const WORKERS: [usize; 4] = [1, 2, 3, 8];
const SLICES: usize = 40;

fn kill_me() {
    // SAFETY: a signal to this process, a worker.
    unsafe { libc::kill(std::process::id() as i32, libc::SIGKILL) };
}

/// Runs a job of 40 rows, whose slice `s` does `deed(s, times begun before)` half way and then holds `s + 1`.
fn run(
    workers: usize,
    schedule: Schedule,
    retries: u32,
    deed: impl Fn(usize, u64) + Sync,
) -> (Shared<u64, ndarray::Ix2>, parfork::Result<Answers<u64>>) {
    let begun = Page::new();
    let mut rows = Shared::<u64, _>::zeros((SLICES, 3)).unwrap();
    let spec = JobSpec {
        workers: Some(workers),
        schedule: Some(schedule),
        retries,
        retry_policy: RetryPolicy::BodyOverwrites,
        ..JobSpec::default()
    };
    let body = |w: &Worker<'_>, mut slice: parfork::Slice<'_, u64, ndarray::Ix2>| {
        let number = w.region().index();
        slice[[0, 0]] = u64::MAX;
        deed(number, begun[number].fetch_add(1, Ordering::Relaxed));
        slice.fill(number as u64 + 1);
        number as u64 * 10
    };
    let done = nothing_left(|| Job::with(&mut rows, spec).split(Split::rows().of(1)).run(body));
    (rows, done)
}

fn schedules() -> [Schedule; 4] {
    ["static", "dynamic", "dynamic=7", "guided"].map(|name| name.parse().unwrap())
}

fn is_right(rows: &Shared<u64, ndarray::Ix2>, answers: &[u64]) {
    assert!(rows.view().rows().into_iter().zip(1..).all(|(row, number)| row.iter().all(|&cell| cell == number)));
    assert!(answers.iter().copied().eq((0..SLICES as u64).map(|number| number * 10)));
}

fn one_death_costs_nothing_but_time() {
    for (workers, schedule) in WORKERS.into_iter().flat_map(|workers| schedules().map(|schedule| (workers, schedule))) {
        let (rows, done) = run(workers, schedule, 1, |slice, before| {
            if slice == 17 && before == 0 {
                kill_me();
            }
        });
        let done = done.unwrap();
        is_right(&rows, &done);
        let [death] = &done.report().deaths[..] else { panic!("{:?}", done.report().deaths) };
        assert_eq!(death.slice.map(|slice| slice.0.index()), Some(17));
        assert_eq!(death.cause, Cause::Signalled { signal: libc::SIGKILL });
        let mut by_worker: Vec<_> = done.report().workers.iter().flat_map(|worker| worker.slices.clone()).collect();
        by_worker.sort_unstable();
        assert!(by_worker.into_iter().eq(0..SLICES));
    }
}

fn many_deaths_cost_nothing_but_time() {
    for (workers, schedule) in WORKERS.into_iter().flat_map(|workers| schedules().map(|schedule| (workers, schedule))) {
        let (rows, done) = run(workers, schedule, 2, |slice, before| {
            if slice % 5 == 0 && before < 2 {
                kill_me();
            }
        });
        let done = done.unwrap();
        is_right(&rows, &done);
        assert!(done.report().deaths.len() >= 16 / workers.min(16));
    }
}

fn a_slice_that_kills_all_is_set_aside_and_named() {
    for (workers, retries) in WORKERS.into_iter().flat_map(|workers| [1, 2, 5].map(|retries| (workers, retries))) {
        let (rows, done) = run(workers, Schedule::DYNAMIC, retries, |slice, _| {
            if slice == 9 {
                kill_me();
            }
        });
        let error = done.unwrap_err();
        let Error::WorkerDied(death) = &error else { panic!("{error:?}") };
        assert_eq!((death.slice.unwrap().0.index(), death.tries), (9, retries + 1));
        assert_eq!(death.done, SLICES - 1);
        assert!(error.to_string().contains(&format!("the last of {} workers to die on it", retries + 1)), "{error}");
        let view = rows.view();
        let others = view.rows().into_iter().zip(1..).filter(|(_, number)| *number != 10);
        assert!(others.into_iter().all(|(row, number)| row.iter().all(|&cell| cell == number)));
    }
}

/// Eight slices that nobody survives, and none that was ever done: the others are spared. One that is done, and they are not.
fn a_body_that_never_works_is_not_tried_on_every_slice() {
    for workers in WORKERS {
        let (_, done) = run(workers, Schedule::DYNAMIC, 2, |_, _| kill_me());
        let Error::WorkerDied(death) = done.unwrap_err() else { panic!("no death") };
        assert_eq!((death.done, death.tries), (0, 3));
        let (rows, done) = run(workers, Schedule::DYNAMIC, 2, |slice, _| {
            if slice != 30 {
                kill_me();
            }
        });
        let Error::WorkerDied(death) = done.unwrap_err() else { panic!("no death") };
        // Among the first eight none was done; who comes that far knows nothing of the thirtieth.
        assert!(
            death.done == 0 && rows.view()[[30, 0]] != 31 || death.done == 1 && rows.view()[[30, 0]] == 31,
            "{death:?}"
        );
        let (rows, done) = run(workers, Schedule::DYNAMIC, 1, |slice, _| {
            if slice % 10 != 1 {
                kill_me();
            }
        });
        let Error::WorkerDied(death) = done.unwrap_err() else { panic!("no death") };
        assert!(
            death.done == 4 && (1..SLICES).step_by(10).all(|row| rows.view()[[row, 0]] == row as u64 + 1),
            "{death:?}"
        );
    }
}

fn a_panic_is_tried_again() {
    let (rows, done) = run(3, Schedule::DYNAMIC, 1, |slice, before| assert!(slice != 4 || before > 0, "not at once"));
    let done = done.unwrap();
    is_right(&rows, &done);
    let [death] = &done.report().deaths[..] else { panic!("{:?}", done.report().deaths) };
    assert!(matches!(&death.cause, Cause::Panicked { message, location }
        if message == "not at once" && location.contains("retries.rs")));
    let (_, done) = run(3, Schedule::DYNAMIC, 1, |slice, _| assert!(slice != 4, "never"));
    let error = done.unwrap_err();
    assert!(error.to_string().contains("never") && error.to_string().contains("the last of 2 workers"), "{error}");
}

fn an_error_of_a_body_is_not_tried_again() {
    let begun = Page::new();
    let mut rows = Shared::<u64, _>::zeros(SLICES).unwrap();
    let job = Job::new(&mut rows).workers(2).retries(3).body_overwrites();
    let error = nothing_left(|| {
        let body = |w: &Worker<'_>, _: parfork::Slice<'_, u64, _>| {
            if w.region().index() == 3 {
                begun[0].fetch_add(1, Ordering::Relaxed);
                return Err("no");
            }
            Ok(())
        };
        job.run(body).unwrap_err()
    });
    assert!(matches!(error, Error::BodyFailed(_)), "{error:?}");
    assert_eq!(begun[0].load(Ordering::Relaxed), 1);
}

fn a_job_whose_workers_have_met_is_not_tried_again() {
    let mut cells = Shared::<u64, _>::zeros(4).unwrap();
    let job = Job::new(&mut cells)
        .workers(4)
        .retries(3)
        .body_overwrites()
        .schedule(Schedule::Static)
        .split(Split::rows().into_pieces(4));
    let error = nothing_left(|| {
        let body = |w: &Worker<'_>, _: parfork::Slice<'_, u64, _>| {
            w.barrier()?;
            if w.rank() == 2 {
                kill_me();
            }
            w.barrier()
        };
        job.run(body).unwrap_err()
    });
    assert!(matches!(&error, Error::WorkerDied(death) if death.rank == 2), "{error:?}");
}

fn workers_that_die_before_any_slice_end_the_job() {
    extern "C" fn be_born() {
        kill_me();
    }
    // SAFETY: the handler makes one system call.
    assert_eq!(unsafe { libc::pthread_atfork(None, None, Some(be_born)) }, 0);
    let (_, done) = run(2, Schedule::DYNAMIC, 2, |_, _| ());
    let error = done.unwrap_err();
    assert!(error.to_string().contains("SIGKILL") && error.to_string().contains("on no slice"), "{error}");
}

/// It has come to the end barrier, so that its arrival must be taken back, or the barrier is crossed without one that lives.
fn a_worker_killed_at_the_end_takes_no_other_along() {
    let (first, begun) = (Page::new(), Page::new());
    let (rows, done) = run(2, Schedule::Static, 1, |slice, _| {
        begun[slice].fetch_add(1, Ordering::Relaxed);
        if slice == 0 {
            first[0].store(u64::from(std::process::id()), Ordering::Relaxed);
        }
        if slice == SLICES - 1 {
            std::thread::sleep(Duration::from_millis(100));
            // SAFETY: a signal to the other worker, which has done its half and waits at the end.
            unsafe { libc::kill(first[0].load(Ordering::Relaxed) as i32, libc::SIGKILL) };
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let done = done.unwrap();
    is_right(&rows, &done);
    assert_eq!(done.report().deaths.len(), 1);
    assert_eq!(begun[SLICES - 1].load(Ordering::Relaxed), 1, "the other was ended with its last slice half done");
}

fn the_deadline_is_for_all_rounds() {
    let mut rows = Shared::<u64, _>::zeros(SLICES).unwrap();
    let job = Job::new(&mut rows).workers(2).retries(u32::MAX).body_overwrites().deadline(Duration::from_millis(200));
    let error = nothing_left(|| {
        job.run(|w, _| {
            if w.region().index() == 3 {
                kill_me()
            }
        })
        .unwrap_err()
    });
    assert!(matches!(error, Error::Deadline { .. }), "{error:?}");
}

/// The kernel wakes one of those who wait for a death, and the process that forks replacements waits as well: who was woken
/// must tell the other, or the coordinator finds out half a second later, 100 times.
fn every_replacement_that_dies_is_heard_of() {
    let begun = Page::new();
    let mut row = Shared::<u64, _>::zeros(1).unwrap();
    let job = Job::new(&mut row).workers(1).retries(100).body_overwrites().deadline(Duration::from_secs(20));
    let done = nothing_left(|| {
        job.run(|_, mut slice| {
            if begun[0].fetch_add(1, Ordering::Relaxed) < 100 {
                // Long enough for all to have gone to sleep.
                std::thread::sleep(Duration::from_millis(5));
                kill_me();
            }
            slice.fill(1);
        })
    });
    assert_eq!(done.unwrap().report().deaths.len(), 100);
}

fn threads_do_not_survive_a_panic() {
    for engine in [Engine::Serial, Engine::Threads] {
        let mut rows = Shared::<u64, _>::zeros(SLICES).unwrap();
        let job = Job::new(&mut rows).workers(2).retries(3).runner(engine);
        let run = nothing_left(|| job.run(|w, _| assert!(w.region().index() != 3, "on a thread")));
        assert!(matches!(run, Err(Error::WorkerDied(_))), "{run:?}");
    }
}
