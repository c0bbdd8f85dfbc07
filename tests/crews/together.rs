//! The coordinator works too.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::{
    Answers, CancelToken, Cause, Crew, CrewError, Error, Job, JobSpec, RetryPolicy, Schedule, Shared, Split,
};

use super::{count, death, each_one, is_sound, kill_me, page, with_crew};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn with_both<T>(workers: usize, job: impl FnOnce(&mut Crew) -> T) -> T {
    with_crew(workers, |crew| {
        crew.coordinator_works(true);
        job(crew)
    })
}

/// As [`is_sound`], with the coordinator at work; its process is among the others.
fn is_sound_together(crew: &mut Crew) {
    crew.coordinator_works(false);
    is_sound(crew);
    crew.coordinator_works(true);
    let all = crew.workers() + 1;
    let line = Shared::<u8, _>::zeros(all).unwrap();
    let job = Job::from(each_one(all)).crew(crew);
    let pids = job.lend(&line).run_with((), |_, (), _| std::process::id()).unwrap();
    assert_eq!(pids.iter().position(|&pid| pid == std::process::id()), Some(all - 1));
}

pub(crate) fn the_coordinator_works_too() {
    for workers in [1, 2, 3, 8] {
        with_both(workers, |crew| {
            let given = Shared::from_array(&ndarray::Array1::from_shape_fn(1000, |at| at as u64)).unwrap();
            let mut made = Shared::<u64, _>::zeros(1000).unwrap();
            for step in 1..=200_u64 {
                let schedule = if step % 2 == 0 { Schedule::Static } else { Schedule::Guided };
                let pieces = [1, 2, 10, 100, 1000][step as usize % 5];
                let job = Job::new((&given, &mut made))
                    .crew(crew)
                    .schedule(schedule)
                    .split(Split::rows().into_pieces(pieces));
                let sums = job.run_with(step, |w, step, (given, mut slice)| {
                    slice.assign(&w.slice_of(given).mapv(|cell| cell * step));
                    slice.sum()
                });
                assert_eq!(sums.unwrap().sum(), 499_500 * step);
                assert!(made.as_slice().iter().zip(0..).all(|(&cell, at)| cell == at * step));
                if step % 50 == 0 {
                    is_sound_together(crew);
                    crew.coordinator_works(step % 100 == 0);
                }
            }
        });
    }
}

/// A job of 12 slices, of which the one that the coordinator comes to first meets with `deed` half way, so many times.
fn harm(
    crew: &mut Crew,
    times: u64,
    spec: JobSpec,
    deed: fn(u64) -> Result<(), String>,
) -> (Vec<u64>, parfork::Result<Answers<u64>>) {
    page()[0].store(0, Ordering::Relaxed);
    let mut cells = Shared::<u64, _>::zeros(12).unwrap();
    let job = Job::from(JobSpec { schedule: Some(Schedule::Static), ..spec }).crew(crew);
    let argument = [deed as usize as u64, times, u64::from(std::process::id())];
    let done = job.lend(&mut cells).run_with(argument, |w, [deed, times, coordinator], mut slice| {
        slice[0] += 1;
        if u64::from(std::process::id()) == coordinator && count(0) < times {
            // SAFETY: the address of such a function of this program, as given above.
            let deed = unsafe { std::mem::transmute::<usize, fn(u64) -> Result<(), String>>(deed as usize) };
            deed(times)?;
        }
        Ok::<u64, String>(w.region().index() as u64)
    });
    (cells.as_slice().to_vec(), done)
}

fn panic(times: u64) -> Result<(), String> {
    panic!("the coordinator's own, {times}")
}

pub(crate) fn its_own_panic_is_told_each_time() {
    with_both(2, |crew| {
        for times in [1, 7, 9, 3] {
            let (_, done) = harm(crew, times, JobSpec::default(), panic);
            let death = death(done.unwrap_err());
            assert_eq!((death.rank, death.pid), (2, std::process::id()));
            let told = format!("the coordinator's own, {times}");
            assert!(matches!(&death.cause, Cause::Panicked { message, .. } if *message == told), "{death:?}");
            is_sound_together(crew);
        }
    });
}

pub(crate) fn its_own_part_is_not_tried_again() {
    with_both(2, |crew| {
        for times in [1, 2] {
            let spec = JobSpec { retries: 2, retry_policy: RetryPolicy::RestoreOutputs, ..JobSpec::default() };
            let (made, done) = harm(crew, times, spec, panic);
            let death = death(done.unwrap_err());
            let told = format!("the coordinator's own, {times}");
            assert!(matches!(&death.cause, Cause::Panicked { message, .. } if *message == told), "{death:?}");
            assert_eq!((death.rank, death.slice.unwrap().0.index()), (2, 8));
            assert!(made.iter().all(|&cell| cell <= 1), "{made:?}");
            is_sound_together(crew);
        }
    });
}

/// The coordinator has no undo copies: what a dead worker has half changed is for workers to put back.
pub(crate) fn what_the_dead_left_is_put_back() {
    with_both(2, |crew| {
        for step in 0..20 {
            page()[0].store(0, Ordering::Relaxed);
            let mut cells = Shared::<u64, _>::zeros(60).unwrap();
            let schedule = if step % 2 == 0 { Schedule::Static } else { "dynamic=12".parse().unwrap() };
            let job = Job::new(&mut cells).crew(crew).schedule(schedule).retries(1).restore_outputs();
            let done = job.run_with(std::process::id(), |w, coordinator, mut slice| {
                slice[0] += 1;
                if std::process::id() != coordinator && count(0) == 0 {
                    kill_me();
                }
                // So that each has a part.
                std::thread::sleep(Duration::from_micros(200));
                w.rank()
            });
            assert_eq!(done.unwrap().report().deaths.len(), 1);
            assert_eq!(cells.as_slice(), [1; 60]);
        }
        is_sound_together(crew);
    });
}

pub(crate) fn its_own_errors_end_the_job() {
    with_both(2, |crew| {
        for times in [3, 1] {
            let (_, done) = harm(crew, times, JobSpec::default(), |times| Err(format!("no {times}")));
            let Err(Error::BodyFailed(refusal)) = done else { panic!("{done:?}") };
            assert_eq!((refusal.rank, refusal.reason), (2, format!("no {times}")));
            is_sound_together(crew);
        }
    });
}

pub(crate) fn a_death_meanwhile_is_told() {
    with_both(2, |crew| {
        for retries in [0, 1] {
            page()[0].store(0, Ordering::Relaxed);
            let mut line = Shared::<u64, _>::zeros(6).unwrap();
            let job = Job::new(&mut line).crew(crew).schedule(Schedule::Static).retries(retries).body_overwrites();
            let done = job.run_with((), |w, (), mut slice| {
                match w.rank() {
                    1 if count(0) == 0 => kill_me(),
                    2 => std::thread::sleep(Duration::from_millis(20)),
                    _ => {}
                }
                slice.fill(w.region().index() as u64);
            });
            match done {
                Ok(_) => assert!(retries == 1 && line.as_slice().iter().copied().eq(0..6)),
                Err(error) => assert_eq!((death(error).rank, retries), (1, 0)),
            }
            is_sound_together(crew);
        }
    });
}

pub(crate) fn a_death_ends_its_meetings() {
    with_both(2, |crew| {
        let cells = Shared::<u64, _>::zeros(3).unwrap();
        let refused = Job::new(&cells).crew(crew).continue_after_death(true).run_with((), |_, (), _| ());
        assert!(matches!(refused, Err(Error::Crew(CrewError::CoordinatorWorks))), "{refused:?}");
        for _ in 0..3 {
            let mut line = Shared::<u64, _>::zeros(3).unwrap();
            let job = Job::from(each_one(3)).crew(&mut *crew);
            let error = job.lend(&mut line).run_with((), |w, (), mut slice| {
                w.barrier().map_err(|error| error.to_string())?;
                if w.rank() == 1 {
                    kill_me();
                }
                let met = w.barrier();
                slice.fill(1 + u64::from(met.is_err()));
                Ok::<(), String>(())
            });
            assert_eq!(death(error.unwrap_err()).rank, 1);
            assert_eq!(line.as_slice()[2], 2);
            is_sound_together(crew);
        }
    });
}

/// A worker comes to the meeting when it hears of progress, which the coordinator tells while it waits there.
pub(crate) fn progress_is_told_at_its_meetings() {
    with_both(1, |crew| {
        page()[0].store(0, Ordering::Relaxed);
        let line = Shared::<u8, _>::zeros(2).unwrap();
        let job = Job::with(&line, each_one(2)).crew(&mut *crew).deadline(PATIENCE);
        let job = job.progress(|_, _| page()[0].store(1, Ordering::Relaxed));
        let done = job.run_with((), |w, (), _| {
            while w.rank() == 0 && page()[0].load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            w.barrier().map_err(|error| error.to_string())
        });
        assert!(done.is_ok(), "{done:?}");
        is_sound_together(crew);
    });
}

pub(crate) fn a_panic_of_progress_at_its_meetings_is_no_bodys() {
    with_both(1, |crew| {
        let line = Shared::<u8, _>::zeros(2).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let job = Job::with(&line, each_one(2)).crew(&mut *crew).deadline(PATIENCE);
            let job = job.progress(|_, _| panic!("expected, of progress"));
            job.run_with((), |w, (), _| if w.rank() == 1 { drop(w.barrier()) } else { std::thread::sleep(PATIENCE) })
        }));
        let panic = panicked.map(drop).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"expected, of progress"));
        is_sound_together(crew);
    });
}

pub(crate) fn a_stop_ends_its_own_part() {
    for (schedule, others) in [(Schedule::Static, [1, 0]), (Schedule::DYNAMIC, [1, 1])] {
        with_both(1, |crew| {
            for others in others {
                let stop = Arc::new(CancelToken::new());
                let asked = stop.clone();
                let asker = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(50));
                    asked.cancel();
                });
                let mut line = Shared::<u64, _>::zeros(200).unwrap();
                let job = Job::new(&mut line).crew(crew).schedule(schedule).cancel_token(&stop);
                // With nothing to do, all others are at the end long before.
                let error = job.run_with([std::process::id(), others], |_, [coordinator, others], _| {
                    let slow = if std::process::id() == coordinator { 100 } else { others };
                    std::thread::sleep(Duration::from_millis(slow.into()));
                });
                assert!(matches!(error, Err(Error::Stopped { signal: None, .. })), "{error:?}");
                asker.join().unwrap();
                is_sound_together(crew);
            }
        });
    }
}
