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
