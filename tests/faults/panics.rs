//! Panics and errors: of bodies, of threads that a body starts, of what is called to tell progress, and of the coordinator.

use std::sync::atomic::{AtomicU64, Ordering};

use parfork::{Cause, Engine, Error, Job, Shared, Split};

use crate::support::{no_children, nothing_left};
use crate::{BAD, SLICES, WORKERS, all_is_well, death, pause_for_ever, raise, signalled};

pub(crate) fn a_panic_is_told_with_message_and_place() {
    let line = line!() + 2;
    death(
        || panic!("row {} is out of range", 5),
        |death, text| {
            let Cause::Panicked { message, location } = &death.cause else { panic!("{death:?}") };
            assert_eq!(message, "row 5 is out of range");
            assert_eq!(*location, format!("tests/faults/panics.rs:{line}:12"));
            assert!(text.contains(&format!("panicked at {location}: {message} while")), "{text}");
            assert!(text.contains(". Mend the body, which panics on this slice. `Job::only_slice(5)`"), "{text}");
        },
    );
    let long = "ü".repeat(100_000);
    death(
        || panic!("{long}"),
        |death, _| assert!(matches!(&death.cause, Cause::Panicked { message, .. } if message.len() < 3000)),
    );
}

pub(crate) fn a_panic_without_text_is_told() {
    death(
        || std::panic::panic_any(42_u64),
        |_, text| assert!(text.contains(": a panic without a message while"), "{text}"),
    );
    // Without the hook: nobody notes a place.
    death(
        || std::panic::resume_unwind(Box::new("resumed")),
        |death, _| assert_eq!(death.cause, Cause::Panicked { message: "resumed".into(), location: String::new() }),
    );
}

/// What unwinds out of a worker's life would be the coordinator's code, run a second time.
pub(crate) fn a_panic_whose_message_panics_stays_in_the_worker() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the payload's destructor");
        }
    }
    death(
        || std::panic::panic_any(Bomb),
        |death, text| assert!(matches!(death.cause, Cause::Panicked { .. }), "{text}"),
    );
}

pub(crate) fn an_error_of_a_body_is_told() {
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| WORKERS.map(|n| (engine, n))) {
        let mut array = Shared::<u64, _>::zeros((SLICES, 2)).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).split(Split::tiles(4, 1)).runner(engine);
            job.run(|w, _| if w.region().index() == BAD { Err("no light in here") } else { Ok(()) }).unwrap_err()
        });
        let Error::BodyFailed(refusal) = &error else { panic!("{error:?}") };
        let parfork::BodyFailure { rank, slice, reason, .. } = &**refusal;
        assert_eq!((*rank < workers, slice.unwrap().0.index(), reason.as_str()), (true, BAD, "no light in here"));
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("worker {rank} gave up on slice 5 [8..12, 1..2, ..]: no light in here")),
            "{text}"
        );
    }
    all_is_well();
}

pub(crate) fn an_error_that_panics_while_it_is_told_is_a_panic() {
    struct Shy;
    impl std::fmt::Display for Shy {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("not to be shown")
        }
    }
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| parfork::fork(workers, &mut array, |_, _| Err::<(), _>(Shy)).unwrap_err());
        assert!(error.to_string().contains("not to be shown"), "{error}");
    }
}

pub(crate) fn a_panic_in_a_bodys_own_thread_is_the_bodys_affair() {
    for workers in WORKERS {
        let mut array = Shared::<usize, _>::zeros(SLICES).unwrap();
        nothing_left(|| {
            let run = parfork::fork(workers, &mut array, |_, mut slice| {
                let panicked = std::thread::spawn(|| panic!("expected, in a thread of a worker")).join();
                slice[0] = usize::from(panicked.is_err());
            });
            run.unwrap();
        });
        assert_eq!(array.as_slice(), [1; SLICES]);
    }
    death(|| drop(std::thread::spawn(|| raise(libc::SIGKILL)).join()), signalled(libc::SIGKILL, "(SIGKILL: killed)"));
    death(
        || std::thread::scope(|threads| drop(threads.spawn(|| panic!("in a scope")))),
        |_, text| assert!(text.contains("a scoped thread panicked"), "{text}"),
    );
}

pub(crate) fn a_panic_of_progress_ends_the_workers() {
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| WORKERS.map(|n| (engine, n))) {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        nothing_left(|| {
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let job = Job::new(&mut array).workers(workers).runner(engine);
                job.progress(|_, _| panic!("expected, of progress")).run(|_, _| ()).map(drop)
            }));
            assert!(panicked.is_err());
        });
        all_is_well();
    }
    // Workers in the middle of their slices go as well.
    let mut array = Shared::<u8, _>::zeros(8).unwrap();
    nothing_left(|| {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let job = Job::new(&mut array).workers(8).progress(|_, _| panic!("expected, of progress"));
            job.run(|_, _| pause_for_ever()).map(drop)
        }));
        assert!(panicked.is_err());
    });
}

pub(crate) fn a_panic_of_the_coordinator_lets_destructors_run_jobs() {
    struct Last<'a>(&'a AtomicU64);
    impl Drop for Last<'_> {
        fn drop(&mut self) {
            let mut array = Shared::<u64, _>::zeros(10).unwrap();
            let run = parfork::fork(2, &mut array, |w, mut slice| slice[0] = w.region().index() as u64);
            let right = run.is_ok() && array.as_slice().iter().copied().eq(0..10);
            self.0.store(1 + u64::from(right), Ordering::Relaxed);
        }
    }
    let done = AtomicU64::new(0);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _last = Last(&done);
        panic!("expected, of the coordinator");
    }));
    assert!(panicked.is_err());
    assert_eq!(done.into_inner(), 2, "the job in the destructor");
    no_children();
}

pub(crate) fn on_threads_and_serially_a_panic_is_an_error_too() {
    for (engine, workers) in
        [Engine::Serial, Engine::Threads].into_iter().flat_map(|engine| WORKERS.map(|n| (engine, n)))
    {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).runner(engine);
            job.run(|w, _| assert!(w.region().index() != BAD, "expected, on {engine}")).unwrap_err()
        });
        let text = error.to_string();
        assert!(text.contains(&format!("expected, on {engine} while it worked on slice 5 [5..6, ..]")), "{text}");
        Job::new(&mut array).workers(workers).runner(engine).run(|_, _| ()).unwrap();
    }
    all_is_well();
}
