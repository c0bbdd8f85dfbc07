//! What can be set for a job, for jobs of a crew.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::{CancelToken, Cause, CrewError, Engine, Error, Job, JobSpec, Schedule, Shared, Split, Worker};

use super::support::Watched;
use super::{count, death, each_one, is_sound, kill_me, page, pids, with_crew};

pub(crate) fn meetings_go_well() {
    for workers in [1, 2, 3, 8] {
        with_crew(workers, |crew| {
            let mut line = Shared::<u64, _>::zeros(workers).unwrap();
            for round in 1..=100_u64 {
                let job = Job::from(each_one(workers)).crew(&mut *crew);
                let sums = job.lend(&mut line).run_with(round, |w, round, mut slice| {
                    slice.fill(round);
                    page()[w.rank()].store(round, Ordering::Relaxed);
                    w.barrier().map_err(|error| error.to_string())?;
                    let sum: u64 = (0..w.workers()).map(|rank| page()[rank].load(Ordering::Relaxed)).sum();
                    w.barrier().map_err(|error| error.to_string())?;
                    Ok::<u64, String>(sum)
                });
                assert!(sums.unwrap().iter().all(|sum| *sum == round * workers as u64));
                if round % 10 == 0 {
                    is_sound(crew);
                }
            }
        });
    }
}

pub(crate) fn a_death_reaches_those_who_meet() {
    for workers in [2, 3, 8] {
        with_crew(workers, |crew| {
            let mut line = Shared::<u64, _>::zeros(workers).unwrap();
            for retries in [0, 2] {
                let job = Job::from(JobSpec {
                    retries,
                    retry_policy: parfork::RetryPolicy::BodyOverwrites,
                    ..each_one(workers)
                })
                .crew(&mut *crew);
                let error = job.lend(&mut line).run_with((), |w, (), _| {
                    w.barrier().map_err(|error| error.to_string())?;
                    if w.rank() == 1 {
                        kill_me();
                    }
                    let told = w.barrier().unwrap_err().to_string();
                    if told.contains("worker 1") { Ok(()) } else { Err(told) }
                });
                assert_eq!(death(error.unwrap_err()).rank, 1);
                is_sound(crew);
            }
        });
    }
}

pub(crate) fn the_rest_go_on_without_the_dead() {
    with_crew(4, |crew| {
        let mut line = Shared::<u64, _>::zeros(4).unwrap();
        for round in 1..=10_u64 {
            let job = Job::from(JobSpec { continue_after_death: true, ..each_one(4) }).crew(&mut *crew);
            let error = job.lend(&mut line).run_with(round, |w, round, mut slice| {
                for step in 0..10 {
                    if (step, w.rank()) == (round % 10, 2) {
                        kill_me();
                    }
                    w.barrier().map_err(|error| error.to_string())?;
                }
                slice.fill(round);
                Ok::<(), String>(())
            });
            let death = death(error.unwrap_err());
            assert_eq!((death.rank, death.done), (2, 3));
            let right = line.as_slice().iter().enumerate().all(|(rank, &cell)| cell == round || rank == 2);
            assert!(right, "{:?}", line.view());
            is_sound(crew);
        }
    });
}

pub(crate) fn deadlines_are_kept() {
    with_crew(2, |crew| {
        let mut cells = Shared::<u64, _>::zeros(10).unwrap();
        for _ in 0..3 {
            let job = Job::new(&mut cells).crew(crew).deadline(Duration::from_millis(50));
            let error = job.run_with((), |w, (), _| {
                while w.region().index() == 3 {
                    std::hint::spin_loop();
                }
            });
            assert!(matches!(error, Err(Error::Deadline { slices: 10, .. })), "{error:?}");
            is_sound(crew);
            Job::new(&mut cells).crew(crew).deadline(Duration::from_secs(50)).run_with((), |_, (), _| ()).unwrap();
        }
    });
}

/// Time is up just when all have come to the end: the job is done, and what was said to end it is not for the next one.
pub(crate) fn a_deadline_that_comes_with_the_end_is_for_this_job_alone() {
    with_crew(2, |crew| {
        let mut line = Shared::<u64, _>::zeros(2).unwrap();
        let (mut counts, mut span) = ([0, 0], Duration::from_micros(300));
        for step in 1..=3000_u64 {
            let job = Job::from(JobSpec { deadline: Some(span), ..each_one(2) }).crew(&mut *crew);
            let done = job.lend(&mut line).run_with(step, |_, step, mut slice| {
                std::thread::sleep(Duration::from_micros(100));
                slice.fill(step);
            });
            counts[usize::from(done.is_ok())] += 1;
            // Nearer and nearer to how long a job takes, whatever that is.
            match done {
                Ok(_) => {
                    assert_eq!(line.as_slice(), [step; 2]);
                    span -= span / 100;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Deadline { .. }), "{error:?}");
                    span += span / 30;
                }
            }
        }
        println!("{counts:?} jobs not done, done");
        is_sound(crew);
    });
}

pub(crate) fn slice_deadlines_are_kept() {
    with_crew(2, |crew| {
        let mut cells = Shared::<u64, _>::zeros(10).unwrap();
        for retries in [0, 1] {
            page()[0].store(0, Ordering::Relaxed);
            let job = Job::new(&mut cells).crew(crew).slice_deadline(Duration::from_millis(300));
            let done = job.retries(retries).body_overwrites().run_with((), |w, (), mut slice| {
                if w.region().index() == 3 && count(0) == 0 {
                    super::send(std::process::id(), libc::SIGSTOP);
                }
                slice.fill(3);
            });
            match done {
                Ok(done) => {
                    assert!(retries == 1 && cells.as_slice() == [3; 10]);
                    assert!(matches!(done.report().deaths[0].cause, Cause::Stalled { .. }));
                }
                Err(error) => {
                    assert_eq!(retries, 0);
                    assert!(matches!(death(error).cause, Cause::Stalled { .. }));
                }
            }
            is_sound(crew);
        }
        // A worker that waits between jobs is not late for anything.
        std::thread::sleep(Duration::from_millis(400));
        let before = pids(crew);
        for _ in 0..3 {
            let job = Job::new(&mut cells).crew(crew).slice_deadline(Duration::from_millis(300));
            job.run_with((), |_, (), _| std::thread::sleep(Duration::from_millis(1))).unwrap();
            std::thread::sleep(Duration::from_millis(400));
        }
        assert_eq!(pids(crew), before);
    });
}

/// Asks a job to stop, soon, from another thread.
fn ask_soon(stop: &Arc<CancelToken>) -> std::thread::JoinHandle<()> {
    let stop = stop.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        stop.cancel();
    })
}

pub(crate) fn a_stop_ends_a_job_and_not_the_crew() {
    with_crew(2, |crew| {
        let mut cells = Shared::<u64, _>::zeros(10).unwrap();
        for _ in 0..3 {
            let stop = Arc::new(CancelToken::new());
            let asker = ask_soon(&stop);
            let job = Job::new(&mut cells).crew(crew).cancel_token(&stop);
            let error = job.run_with((), |_, (), _| std::thread::sleep(Duration::from_secs(100)));
            assert!(matches!(error, Err(Error::Stopped { signal: None, .. })), "{error:?}");
            asker.join().unwrap();
            is_sound(crew);
            let refused = Job::new(&mut cells).crew(crew).cancel_token(&stop).run_with((), |_, (), _| ());
            assert!(matches!(refused, Err(Error::Stopped { done: 0, .. })), "{refused:?}");
            is_sound(crew);
        }
    });
}

/// 1024 numbers fill two pages; ten fill none.
pub(crate) fn a_guard_keeps_stray_writes_out() {
    with_crew(3, |crew| {
        for cells in [1024, 10] {
            let mut rows = Shared::<u64, _>::zeros((9, cells)).unwrap();
            for step in 1..=5_u64 {
                let job = Job::new(&mut rows).crew(crew).split(Split::rows().of(1)).guard(true);
                let done = job.run_with(step, |w, step, mut slice| {
                    assert!(slice.iter().all(|&cell| cell == step - 1));
                    slice.fill(step);
                    w.rank()
                });
                done.unwrap();
                assert!(rows.as_slice().iter().all(|&cell| cell == step));
                let plain = crew.run(&mut rows, (), |_, (), mut slice| slice.iter_mut().for_each(|cell| *cell += 0));
                plain.unwrap();
                let job = Job::new(&mut rows).crew(crew).split(Split::rows().of(1)).guard(true);
                let error = job.run_with(cells, |w, cells, mut slice| {
                    if w.region().index() == 4 {
                        let there = slice.as_mut_ptr().wrapping_add(4 * cells);
                        // SAFETY: none: another's slice, which the guard must keep as it is.
                        unsafe { there.write_volatile(77) };
                    }
                });
                match error {
                    Err(error) => assert!(matches!(death(error).cause, Cause::Faulted(_))),
                    // On its own page, which was private.
                    Ok(_) => assert_eq!(cells, 10),
                }
                assert!(rows.as_slice().iter().all(|&cell| cell == step));
                is_sound(crew);
            }
        }
    });
}

fn allocate(bytes: usize) -> usize {
    let room = std::hint::black_box(vec![1_u8; bytes]);
    room.iter().step_by(4096).map(|&byte| usize::from(byte)).sum()
}

pub(crate) fn memory_is_limited_and_the_limit_lifted() {
    with_crew(2, |crew| {
        let cells = Shared::<u64, _>::zeros(2).unwrap();
        let before = pids(crew);
        for _ in 0..5 {
            let job = Job::new(&cells).crew(crew).memory_limit(32 << 20);
            job.run_with(1_usize << 20, |_, bytes, _| allocate(bytes)).unwrap();
            crew.run(&cells, 64_usize << 20, |_, bytes, _| allocate(bytes)).unwrap();
        }
        assert_eq!(pids(crew), before, "the same workers, then without a limit");
        let job = Job::new(&cells).crew(crew).memory_limit(32 << 20);
        let error = job.run_with(64_usize << 20, |_, bytes, _| allocate(bytes)).unwrap_err();
        assert!(matches!(death(error).cause, Cause::AbortedWithin { limit } if limit == 32 << 20));
        crew.run(&cells, 64_usize << 20, |_, bytes, _| allocate(bytes)).unwrap();
        is_sound(crew);
    });
}

pub(crate) fn one_slice_alone() {
    with_crew(3, |crew| {
        for slice in [0, 7, 9, 7] {
            let mut cells = Shared::<u64, _>::zeros(10).unwrap();
            let job = Job::new(&mut cells).crew(crew).only_slice(slice);
            let answers = job.run_with((), |w, (), mut slice| {
                slice.fill(1);
                w.region().index()
            });
            assert_eq!(answers.unwrap()[..], [slice]);
            assert!(cells.as_slice().iter().enumerate().all(|(at, &cell)| cell == u64::from(at == slice)));
            is_sound(crew);
        }
        let cells = Shared::<u64, _>::zeros(10).unwrap();
        let error = Job::new(&cells).crew(crew).only_slice(10).run_with((), |_, (), _| ());
        assert!(matches!(error, Err(Error::NoSuchSlice { slice: 10, slices: 10 })));
    });
}

pub(crate) fn memory_is_measured() {
    with_crew(2, |crew| {
        let cells = Shared::<u64, _>::zeros(2).unwrap();
        for measure in [true, false, true] {
            let job = Job::from(JobSpec { measure_memory: measure, ..each_one(2) }).crew(&mut *crew);
            let done = job.lend(&cells).run_with((), |_, (), _| ()).unwrap();
            assert!(done.report().workers.iter().all(|worker| worker.memory.is_some() == measure));
        }
    });
}

pub(crate) fn progress_is_told() {
    with_crew(2, |crew| {
        let cells = Shared::<u64, _>::zeros(20).unwrap();
        for _ in 0..2 {
            let (mut last, mut times) = (0, 0);
            page()[0].store(0, Ordering::Relaxed);
            let job = Job::new(&cells).crew(crew).progress(|done, of| {
                assert!(last <= done && done <= of && of == 20, "{last} {done} {of}");
                (last, times) = (done, times + 1);
                page()[0].store(1, Ordering::Relaxed);
            });
            // The last slice is not done before something was told.
            let body = |w: &Worker<'_>, (), _: ndarray::ArrayView1<'_, u64>| {
                while w.region().index() == 19 && page()[0].load(Ordering::Relaxed) == 0 {
                    std::thread::yield_now();
                }
            };
            job.run_with((), body).unwrap();
            assert!(last == 20 && times > 1, "{last} {times}");
        }
    });
}

/// Else they would go on writing to what is the caller's again.
pub(crate) fn a_panic_of_progress_ends_the_workers() {
    with_crew(2, |crew| {
        let workers: Vec<_> = pids(crew).into_iter().map(|pid| Watched::new(pid).unwrap()).collect();
        let mut cells = Shared::<u64, _>::zeros(2).unwrap();
        (0..2).for_each(|rank| page()[rank].store(0, Ordering::Relaxed));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let job = Job::with(&mut cells, each_one(2)).crew(&mut *crew);
            let job = job.progress(|_, _| {
                let at_work = (0..2).all(|rank| page()[rank].load(Ordering::Relaxed) == 1);
                assert!(!at_work, "expected, of progress");
            });
            job.run_with((), |w, (), mut slice| {
                page()[w.rank()].store(1, Ordering::Relaxed);
                while w.rank() < 2 {
                    slice[0] += 1;
                }
            })
            .map(drop)
        }));
        assert!(panicked.is_err());
        assert!(workers.iter().all(|worker| worker.ends_within(Duration::ZERO)), "a worker is still at work");
        is_sound(crew);
    });
}

pub(crate) fn what_a_crew_cannot_do_is_refused() {
    with_crew(2, |crew| {
        let before = pids(crew);
        let cells = Shared::<u64, _>::zeros(20).unwrap();
        let refused = Job::new(&cells).crew(crew).run(|_, _| ());
        assert!(matches!(refused, Err(Error::Crew(CrewError::BodyCaptures))), "{refused:?}");
        // SAFETY: nothing is forked, for this is refused.
        let refused = unsafe { Job::new(&cells).crew(crew).run_in_threaded_process(|_, _| ()) };
        assert!(matches!(refused, Err(Error::Crew(CrewError::BodyCaptures))), "{refused:?}");
        #[cfg(feature = "exec")]
        {
            use parfork::Element;
            use parfork::exec::{self, Array, Program};
            let array = Array::output("c", u8::DTYPE, &[10]).unwrap();
            let refused = exec::run(Job::default().crew(crew), &Program::new("true"), vec![array]).map(drop);
            assert!(matches!(refused, Err(Error::Crew(CrewError::Program))), "{refused:?}");
        }
        // A job has one runner: the last that was chosen.
        let serial = Job::new(&cells).crew(crew).runner(Engine::Serial).run_with((), |_, (), _| ()).unwrap();
        assert_eq!((serial.report().engine, serial.report().workers.len()), (Engine::Serial, 1));
        let refused = Job::new(&cells).crew(crew).threads_per_worker(2).run_with((), |_, (), _| ());
        assert!(matches!(refused, Err(Error::Crew(CrewError::DecidedAtStart))), "{refused:?}");
        let refused = Job::new(&cells).crew(crew).workers(3).run_with((), |_, (), _| ());
        assert!(matches!(refused, Err(Error::Workers { asked: 3, most: 2 })), "{refused:?}");
        let refused = Job::new(&cells).crew(crew).split(Split::cols()).run_with((), |_, (), _| ());
        assert!(matches!(refused, Err(Error::Split(_))), "{refused:?}");
        // SAFETY: nothing is forked, for this is refused or run without the crew.
        let alone = unsafe { Job::new(&cells).schedule(Schedule::Static).run_in_threaded_process(|_, _| ()) };
        alone.unwrap();
        is_sound(crew);
        assert_eq!(pids(crew), before);
    });
}
