//! What is made once for each worker.

use std::ops::Range;
use std::sync::atomic::Ordering;

use parfork::{Crew, CrewError, Engine, Error, Job, Worker};

use crate::kill_me;
use crate::support::{Page, nothing_left};

pub(crate) fn a_state_is_made_once_for_each_worker() {
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 5].map(|workers| (engine, workers))) {
        let dies = engine == Engine::Processes;
        let (made, begun) = (Page::new(), Page::new());
        let done = nothing_left(|| {
            let init = |w: &Worker<'_>| {
                made[w.rank()].fetch_add(1, Ordering::Relaxed);
                (w.rank(), 0)
            };
            let body = |w: &Worker<'_>, state: &mut (usize, u64), mine: Range<usize>| {
                state.1 += 1;
                if mine.start == 20 && dies && begun[0].fetch_add(1, Ordering::Relaxed) == 0 {
                    kill_me();
                }
                [u64::from(state.0 == w.rank()), state.1]
            };
            Job::new(0..40).workers(workers).runner(engine).retries(u32::from(dies)).run_init(init, body)
        });
        let done = done.unwrap();
        assert!(done.iter().all(|&[own, _]| own == 1), "{engine} {workers}");
        // The slices of each worker are counted by its own state: as many ones as states that came to an end of a slice.
        let firsts = done.iter().filter(|&&[_, number]| number == 1).count() as u64;
        let all: u64 = (0..workers).map(|rank| made[rank].load(Ordering::Relaxed)).sum();
        assert!(firsts <= all && all <= workers as u64 + u64::from(dies), "{engine} {workers}: {firsts} of {all}");
    }
    let panicked = Job::new(0..9).workers(2).run_init(|_| -> u8 { panic!("expected") }, |_, _, _| ()).unwrap_err();
    assert!(matches!(&panicked, Error::WorkerDied(death) if death.to_string().contains("expected")), "{panicked}");
    let mut crew = Crew::start(1).unwrap();
    let refused = Job::new(0..9).crew(&mut crew).run_init(|_| (), |_, (), _| ()).unwrap_err();
    assert!(matches!(refused, Error::Crew(CrewError::BodyCaptures)), "{refused}");
    let refused = Job::new(0..9).workers(0).run_init(|_| (), |_, (), _| ()).unwrap_err();
    assert!(matches!(refused, Error::Workers { asked: 0, .. }), "{refused}");
}

/// What workers of crews made, and when: of each rank.
static MADE: std::sync::OnceLock<Page> = std::sync::OnceLock::new();

fn made(rank: usize) -> u64 {
    MADE.get().expect("it is there before all workers")[rank].load(Ordering::Relaxed)
}

/// Whether a worker is to die, once.
const DIES: usize = 100;

/// A body whose state is its rank, what it was made of, and how many slices it has seen since.
fn count(crew: &mut Crew, seed: u64, dies: bool) -> parfork::Result<Vec<[u64; 3]>> {
    let init = |w: &Worker<'_>, seed: u64| {
        MADE.get().unwrap()[w.rank()].fetch_add(1, Ordering::Relaxed);
        (w.rank(), seed, 0)
    };
    MADE.get().unwrap()[DIES].store(u64::from(dies), Ordering::Relaxed);
    let job = Job::new(0..40).split(parfork::Split::rows().of(1)).schedule(parfork::Schedule::Static).crew(crew);
    let done = job.retries(1).body_overwrites().run_init_with(seed, init, 1_u64, |w, one, state, mine| {
        state.2 += one;
        if mine.start == 20 && MADE.get().unwrap()[DIES].swap(0, Ordering::Relaxed) == 1 {
            kill_me();
        }
        [u64::from(state.0 == w.rank()), state.1, state.2]
    })?;
    assert_eq!(done.report().deaths.len(), usize::from(dies));
    Ok(done.to_vec())
}

pub(crate) fn a_crew_keeps_it_from_job_to_job() {
    MADE.get_or_init(Page::new);
    for coordinator_works in [false, true] {
        MADE.get().unwrap().iter().for_each(|word| word.store(0, Ordering::Relaxed));
        nothing_left(|| {
            let mut crew = Crew::start(2).unwrap();
            crew.coordinator_works(coordinator_works);
            let workers = 2 + usize::from(coordinator_works);
            let times = |times: u64| assert!((0..workers).all(|rank| made(rank) == times), "made {times} times");
            for job in 0..3 {
                let done = count(&mut crew, 7, false).unwrap();
                assert!(done.iter().all(|&[own, seed, _]| (own, seed) == (1, 7)));
                // It goes on counting from job to job: slice 0 is the first of the first worker.
                let each = done.iter().filter(|answer| answer[2] <= 1).count();
                assert_eq!(each, if job == 0 { workers } else { 0 });
                times(1);
            }
            // Of another seed it is another.
            assert!(count(&mut crew, 8, false).unwrap().iter().all(|answer| answer[1] == 8));
            times(2);
            // Whoever replaces a dead worker makes its own.
            if !coordinator_works {
                let done = count(&mut crew, 8, true).unwrap();
                assert!(done.iter().all(|&[own, seed, _]| (own, seed) == (1, 8)));
                let all: u64 = (0..workers).map(made).sum();
                assert!(all == 5 || all == 6, "{all}: those of a round after a death are new, and have slices or not");
            }
            // What a panic has left half done is made anew.
            let init = |_: &Worker<'_>, _: u8| vec![0_u8];
            let job = Job::new(0..4).crew(&mut crew).run_init_with(1_u8, init, (), |_, (), state, mine| {
                assert_eq!(state.len(), 1, "whole");
                state.push(1);
                assert!(mine.start != 3, "expected");
                state.pop();
            });
            assert!(matches!(job, Err(Error::WorkerDied(_))), "{job:?}");
            let job = Job::new(0..4).crew(&mut crew).run_init_with(1_u8, init, (), |_, (), state, _| state.len());
            assert!(job.unwrap().iter().all(|&len| len == 1));
        });
    }
}

/// The same functions on every engine.
pub(crate) fn what_a_crew_runs_every_engine_does() {
    let run = |job: Job<'_>| {
        let job = job.lend(0..10).split(parfork::Split::rows().of(1)).workers(2);
        let init = |_: &Worker<'_>, from: u64| (0..10).map(|n| from + n).collect::<Vec<_>>();
        let body = |_: &Worker<'_>, by: u64, table: &mut Vec<u64>, mine: Range<usize>| table[mine.start] * by;
        let done = job.run_init_with(100, init, 2, body).unwrap();
        assert!(done.iter().copied().eq((100..110).map(|n| 2 * n)));
    };
    Engine::ALL.into_iter().for_each(|engine| nothing_left(|| run(Job::default().runner(engine))));
    nothing_left(|| run(Job::default().crew(&mut Crew::start(2).unwrap())));
}
