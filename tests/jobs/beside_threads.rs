//! Processes that are forked after threads and beside them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ndarray::Array1;
use parfork::{Engine, Error, Job, Shared};

use crate::support::{no_children, nothing_left};

pub(crate) fn a_fork_beside_a_thread_is_refused_and_works_after_it_is_joined() {
    let mut line = Shared::<u8, _>::zeros(5).unwrap();
    for _ in 0..5 {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || held.recv());
        let refused = nothing_left(|| parfork::fork(2, &mut line, |_, _| ()).unwrap_err());
        assert!(matches!(refused, Error::ThreadsRunning { threads: 2 }), "{refused:?}");
        assert_eq!(
            refused.to_string(),
            "this process has 2 threads, and a worker forked now could find a lock held for ever by one of them. \
             Fork before starting threads, have a crew's workers forked by a program (Crew::in_program), use Engine::Threads, or read \
             the contract of Job::run_in_threaded_process."
        );
        let refused = Job::new(&mut line).run(|_, _| ()).unwrap_err();
        assert!(matches!(refused, Error::ThreadsRunning { .. }));
        Job::new(&mut line).runner(Engine::Threads).run(|_, _| ()).unwrap();
        drop(hold);
        thread.join().unwrap().unwrap_err();
        parfork::fork(2, &mut line, |_, mut slice| slice[0] += 1).unwrap();
    }
    assert_eq!(line.as_slice(), [5; 5]);
}

pub(crate) fn processes_work_right_after_threads() {
    let mut line = Shared::<u64, _>::zeros(64).unwrap();
    for _ in 0..50 {
        for engine in [Engine::Threads, Engine::Processes] {
            let job = Job::new(&mut line).workers(8).runner(engine);
            job.run(|_, mut slice| slice[0] += 1).unwrap_or_else(|error| panic!("{engine}: {error}"));
        }
    }
    assert_eq!(line.as_slice(), [100; 64]);
    // Hundreds of threads take a while to go.
    let mut line = Shared::<u64, _>::zeros(600).unwrap();
    for engine in [Engine::Threads, Engine::Processes].repeat(2) {
        let job = Job::new(&mut line).workers(if engine == Engine::Threads { 600 } else { 2 }).runner(engine);
        job.run(|_, mut slice| slice[0] += 1).unwrap_or_else(|error| panic!("{engine}: {error}"));
    }
    no_children();
}

/// A thread that does `work` again and again, while `with` runs.
fn beside(work: impl Fn() + Sync, with: impl FnOnce()) {
    let (begun, stop) = (std::sync::Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            begun.wait();
            while !stop.load(Ordering::Relaxed) {
                work();
            }
        });
        begun.wait();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(with));
        stop.store(true, Ordering::Relaxed);
        done.unwrap();
    });
}

pub(crate) fn a_vouched_for_fork_works_beside_a_busy_thread() {
    let work = || drop(std::hint::black_box((0..500).map(|i| i.to_string()).collect::<Vec<_>>()));
    beside(work, || {
        for _ in 0..50 {
            let mut line = Shared::<usize, _>::zeros(20).unwrap();
            let job = Job::new(&mut line).workers(3);
            // SAFETY: the body uses nothing but the allocator and its slice.
            let run =
                unsafe { job.run_in_threaded_process(|w, mut slice| slice[0] = vec![0; w.region().index()].len()) };
            run.unwrap();
            assert!(line.as_slice().iter().copied().eq(0..20));
        }
    });
    no_children();
}

/// The body uses nothing of the other thread's, so nothing of parfork's own may stand in its way either.
pub(crate) fn a_vouched_for_fork_works_beside_a_thread_that_makes_arrays() {
    let work = || drop(Shared::<u8, _>::zeros(1).unwrap());
    beside(work, || {
        for round in 0..1000 {
            let mut line = Shared::<u8, _>::zeros(2).unwrap();
            // A worker of this job that hangs does so for ever, so the deadline decides nothing but when to say so.
            let job = Job::new(&mut line).workers(2).deadline(Duration::from_secs(20));
            // SAFETY: the body uses nothing but its slice.
            let run = unsafe { job.run_in_threaded_process(|_, mut slice| slice[0] = 1) };
            run.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    });
}

pub(crate) fn jobs_can_run_side_by_side() {
    std::thread::scope(|threads| {
        for number in 1..=3_u64 {
            threads.spawn(move || {
                for _ in 0..30 {
                    let source = Shared::from_array(&Array1::from_elem(40, number)).unwrap();
                    let mut output = Shared::<u64, _>::zeros(40).unwrap();
                    let job = Job::new((&source, &mut output)).workers(2).deadline(Duration::from_secs(20));
                    // SAFETY: the body uses nothing but its slice.
                    let run =
                        unsafe { job.run_in_threaded_process(|w, (source, mut out)| out.assign(&w.slice_of(source))) };
                    run.unwrap();
                    assert_eq!(output.as_slice(), [number; 40]);
                }
            });
        }
    });
    no_children();
}
