//! Many jobs, good and bad: memory, addresses, descriptors and processes after a thousand are what they were after a few.

mod support;

use std::process::ExitCode;
use std::time::Duration;

use parfork::{Engine, Job, Shared};
use support::{cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            good_jobs_leave_nothing,
            failed_jobs_leave_nothing,
            jobs_on_threads_leave_nothing,
            arrays_that_are_dropped_give_back_their_memory,
            arrays_that_cannot_be_made_leave_nothing,
        ],
        cases![],
    )
}

/// Does it a few times, so that pools and arenas are filled; then often, and compares.
fn again_and_again(times: usize, mut job: impl FnMut(usize)) {
    (0..20).for_each(&mut job);
    nothing_left(|| {
        let before = memory();
        (0..times).for_each(&mut job);
        let after = memory();
        // Pages, of 4 KiB: less than one for every four jobs, and no mapping that stays.
        let (addresses, private) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
        assert!(addresses < 64 && private < times / 4, "{times} times: {before:?}, then {after:?} pages");
    });
}

/// Pages of addresses, and pages in RAM that are not shared, of this process.
fn memory() -> (usize, usize) {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: Vec<usize> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    (pages[0], pages[1] - pages[2])
}

fn good_jobs_leave_nothing() {
    let mut array = Shared::<u64, _>::zeros((50, 10)).unwrap();
    let mut count = 0;
    again_and_again(1000, |_| {
        count += 1;
        let sums = parfork::fork(3, &mut array, |_, mut slice| {
            *slice += 1;
            slice.sum()
        });
        assert_eq!(sums.unwrap().sum(), count * 500);
    });
}

fn failed_jobs_leave_nothing() {
    let mut array = Shared::<u64, _>::zeros(50).unwrap();
    again_and_again(400, |time| {
        let job = Job::new(&mut array).workers(3).deadline(Duration::from_millis(5));
        let failed = job.run(|w, _| match (w.region().index() == 7, time % 4) {
            (false, _) => Ok(()),
            (true, 0) => Err("no more"),
            (true, 1) => panic!("expected, told by the coordinator"),
            (true, 2) => std::process::exit(1),
            (true, _) => loop {
                std::hint::spin_loop();
            },
        });
        failed.unwrap_err();
    });
}

fn jobs_on_threads_leave_nothing() {
    let mut array = Shared::<u64, _>::zeros(50).unwrap();
    again_and_again(400, |_| {
        Job::new(&mut array).workers(3).runner(Engine::Threads).run(|_, mut slice| *slice += 1).unwrap();
    });
}

fn arrays_that_are_dropped_give_back_their_memory() {
    again_and_again(100, |time| {
        let mut array = Shared::<u8, _>::zeros(time * 50_003).unwrap();
        parfork::fork(2, &mut array, |_, mut slice| slice.fill(1)).unwrap();
    });
}

fn arrays_that_cannot_be_made_leave_nothing() {
    again_and_again(200, |_| {
        Shared::<u8, _>::zeros(1 << 50).unwrap_err();
    });
    // With room in memory but not among the addresses.
    let pages = memory().0 as u64;
    let limit = pages * 4096 + (40 << 20);
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_AS, limit, limit).unwrap();
    again_and_again(200, |_| {
        let error = Shared::<u8, _>::zeros(39 << 20).unwrap_err().to_string();
        assert!(error.contains("limit of addresses"), "{error}");
    });
}
