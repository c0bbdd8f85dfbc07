//! Who meets and who cannot: any number of workers, any number of times, on every engine.

use std::sync::atomic::Ordering;

use parfork::{Engine, Error, Job, Schedule, Shared, Split, Worker};

use crate::support::{Page, nothing_left};
use crate::{job, kill_me, line};

pub(crate) fn any_number_meet_any_number_of_times() {
    for (workers, rounds) in [(1, 10_000), (2, 10_000), (7, 1000), (64, 100), (256, 20), (512, 10)] {
        let (mut cells, came) = (line(workers), Page::new());
        let met = nothing_left(|| {
            let body = |w: &Worker<'_>, mut cell: parfork::Slice<'_, u64, ndarray::Ix1>| -> parfork::Result<u64> {
                let mut early = 0;
                for round in 1..=rounds {
                    came[0].fetch_add(1, Ordering::Relaxed);
                    w.barrier()?;
                    early += u64::from(came[0].load(Ordering::Relaxed) < round * workers as u64);
                    cell[0] += 1;
                }
                Ok(early)
            };
            job(&mut cells).run(body).unwrap()
        });
        assert!(met.iter().all(|&early| early == 0), "{workers} workers");
        assert!(cells.as_slice().iter().all(|&cell| cell == rounds));
    }
}

pub(crate) fn nobody_leaves_a_meeting_before_all_have_come() {
    const ROUNDS: u64 = 20;
    for engine in [Engine::Processes, Engine::Threads] {
        for workers in [1, 2, 3, 8, 40] {
            let came = Page::new();
            let mut steps = Shared::<u64, _>::zeros(workers).unwrap();
            let job = Job::new(&mut steps).workers(workers).split(Split::rows().into_pieces(workers));
            let run = job.schedule(Schedule::Static).runner(engine).run(|w, mut steps| -> parfork::Result<u64> {
                let mut late = 0;
                for round in 1..=ROUNDS {
                    came[0].fetch_add(1, Ordering::Relaxed);
                    steps[0] += 1;
                    w.barrier()?;
                    late += u64::from(came[0].load(Ordering::Relaxed) != round * workers as u64);
                    w.barrier()?;
                }
                Ok(late)
            });
            assert_eq!(run.unwrap().into_vec(), vec![0; workers], "{engine} {workers}");
            assert!(steps.as_slice().iter().all(|&steps| steps == ROUNDS));
        }
    }
    // Serially one worker meets itself.
    let mut one = Shared::<u8, _>::zeros(1).unwrap();
    Job::new(&mut one).schedule(Schedule::Static).runner(Engine::Serial).run(|w, _| w.barrier()).unwrap();
}

pub(crate) fn workers_that_are_not_in_step_cannot_meet() {
    let mut line = Shared::<u8, _>::zeros(8).unwrap();
    for (schedule, pieces) in
        [(Schedule::DYNAMIC, 4), (Schedule::Guided, 4), (Schedule::Static, 5), (Schedule::Static, 8)]
    {
        for engine in [Engine::Processes, Engine::Threads] {
            let refused = nothing_left(|| {
                let job = Job::new(&mut line).workers(4).split(Split::rows().into_pieces(pieces));
                job.schedule(schedule).runner(engine).run(|w, _| w.barrier()).unwrap_err()
            });
            assert!(matches!(refused, Error::BodyFailed(_)), "{refused:?}");
            let text = refused.to_string();
            assert!(
                text.contains(&format!(
                    "4 workers share {pieces}. Use Schedule::Static and Split::rows().into_pieces(4)"
                )),
                "{text}"
            );
        }
    }
}

pub(crate) fn a_worker_that_returns_early_is_not_waited_for() {
    for engine in [Engine::Processes, Engine::Threads] {
        for workers in [2, 3, 8, 40] {
            let mut line = Shared::<u8, _>::zeros(workers).unwrap();
            let early = workers - 1;
            let error = nothing_left(|| {
                let job = Job::new(&mut line).workers(workers).schedule(Schedule::Static).runner(engine);
                job.run(|w, _| -> parfork::Result<()> {
                    w.barrier()?;
                    if w.rank() == early { Ok(()) } else { w.barrier() }
                })
                .unwrap_err()
            });
            let Error::BodyFailed(refusal) = &error else { panic!("{error:?}") };
            let rank = refusal.rank;
            assert!(rank != early);
            let text = format!("worker {early} will not come");
            assert!(error.to_string().contains(&text), "{error}");
        }
    }
}

/// A body that goes on after the news that a meeting cannot be must not meet its own earlier arrivals.
pub(crate) fn a_broken_meeting_stays_broken() {
    for engine in [Engine::Processes, Engine::Threads] {
        let mut line = Shared::<u8, _>::zeros(3).unwrap();
        let job = Job::new(&mut line).workers(3).schedule(Schedule::Static).runner(engine);
        let met = job.run(|w, _| if w.rank() == 0 { 0 } else { (0..100).filter(|_| w.barrier().is_ok()).count() });
        assert_eq!(met.unwrap().into_vec(), [0, 0, 0], "{engine}: worker 0 came to no meeting, so there was none");
    }
}

/// A thread that waits inside of rayon takes up other work; another worker's share must not be among it, or the one waits
/// at a meeting for the other, which waits beneath it on the same stack.
pub(crate) fn threads_may_use_rayon_and_meet() {
    // On one CPU, where giving way decides who runs: the second part of a join goes to another thread before that one looks
    // for a share of the job.
    let mut one = nix::sched::CpuSet::new();
    let all = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
    one.set((0..nix::sched::CpuSet::count()).find(|&cpu| all.is_set(cpu).unwrap()).unwrap()).unwrap();
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &one).unwrap();
    let give_way = |times| (0..times).for_each(|_| std::thread::yield_now());
    for workers in [2, 3, 8].repeat(20) {
        let mut line = Shared::<u8, _>::zeros(workers).unwrap();
        let job = Job::new(&mut line).workers(workers).schedule(Schedule::Static).runner(Engine::Threads);
        job.run(|w, mut slice| -> parfork::Result<()> {
            rayon::join(|| give_way(20), || give_way(200));
            slice[0] = 1;
            w.barrier()
        })
        .unwrap();
        assert_eq!(line.as_slice(), vec![1; workers]);
    }
}

/// 256 workers on whatever CPUs there are: meeting, dying, being replaced.
pub(crate) fn many_workers_on_few_cpus_live_and_die() {
    const WORKERS: usize = 256;
    let (mut rows, begun) = (Shared::<u64, _>::zeros(2048).unwrap(), Page::new());
    let done = nothing_left(|| {
        Job::new(&mut rows)
            .workers(WORKERS)
            .retries(3)
            .body_overwrites()
            .split(Split::rows().of(2))
            .run(|w, mut slice| {
                let number = w.region().index();
                slice[0] = u64::MAX;
                if number % 50 == 7 && begun[number].fetch_add(1, Ordering::Relaxed) < 2 {
                    kill_me();
                }
                slice.fill(number as u64 + 1);
                number as u64
            })
            .unwrap()
    });
    assert!(done.iter().copied().eq(0..1024));
    assert!(rows.as_slice().iter().copied().eq((0..2048).map(|row| row / 2 + 1)));
    assert_eq!(done.report().deaths.len(), 2 * (0..1024).filter(|number| number % 50 == 7).count());
    for _ in 0..3 {
        let mut cells = line(WORKERS);
        let met = nothing_left(|| {
            job(&mut cells).run(|w, mut cell| -> parfork::Result<u64> {
                for _ in 0..10 {
                    cell[0] += 1;
                    w.barrier()?;
                }
                Ok(cell[0])
            })
        });
        assert!(met.unwrap().iter().all(|&met| met == 10));
        let mut cells = line(WORKERS);
        let error = nothing_left(|| {
            let body = |w: &Worker<'_>, _: parfork::Slice<'_, u64, ndarray::Ix1>| -> parfork::Result<()> {
                w.barrier()?;
                if w.rank() == 200 {
                    kill_me();
                }
                w.barrier()
            };
            job(&mut cells).run(body).unwrap_err()
        });
        assert!(matches!(error, Error::WorkerDied(death) if death.rank == 200));
    }
}
