//! Single lies that must be noticed or do no harm: zeros, one wrong bit, a copy of a worker that says what the worker says, changed orders.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use parfork::{ControlPageDamage, Crew, Error, Job, Worker};

use crate::madness::{self, After, Deed, Madness, Place, SLICES, Scribble, told, untold};
use crate::support::{Page, control_page, nothing_left};
use crate::{Cells, check, right, work};

/// Nobody dies, and there is no deadline: that the arrivals of all were wiped out must be noticed all the same.
pub(crate) fn a_page_of_zeros_ends_a_job_without_a_deadline() {
    for slice in [0, 5, SLICES - 1] {
        for after in [After::GoesOn, After::Leaves, After::Dies] {
            let mut cells = Cells::zeros((SLICES, 512)).unwrap();
            let mad = Madness { what: Scribble::Word(0), after, place: Place::Every(1), slice, seed: 1 };
            let job = Job::new(&mut cells).workers(3);
            if let Ok(answers) = nothing_left(|| job.run(|w, slice| work(w, Some(mad), Deed::Modifies, slice))) {
                check(&cells, &answers, "it was so late that all was told");
            }
        }
    }
}

/// The same of a crew's job, whose workers may have the page elsewhere than the coordinator.
pub(crate) fn a_page_turned_back_ends_a_crews_job_without_a_deadline() {
    for start in [Crew::start as fn(usize) -> parfork::Result<Crew>, Crew::in_program] {
        let mut crew = start(3).unwrap();
        for what in [Scribble::Word(0), Scribble::Stale] {
            for slice in [0, 5, SLICES - 1] {
                let mad = Madness { what, after: After::GoesOn, place: Place::Every(1), slice, seed: 1 };
                let mut cells = Cells::zeros((SLICES, 512)).unwrap();
                let job = Job::new(&mut cells).crew(&mut crew);
                let done = job.run_with(told(0, mad, Deed::Modifies), |w, argument, slice| {
                    let (_, mad, deed) = untold(argument);
                    work(w, Some(mad), deed, slice)
                });
                if let Ok(answers) = done {
                    check(&cells, &answers, "it was so late that all was told");
                }
            }
        }
    }
}

/// One bit of what says that a slice is done, of its answer, or of what says that one is free. Nobody dies: nothing is tried again,
/// with retries or without.
pub(crate) fn one_wrong_bit_is_an_error_and_no_second_try() {
    fn mad(worker: &Worker<'_>, [slice, bit]: [u64; 2], mut cells: parfork::Slice<'_, u64, ndarray::Ix2>) -> u64 {
        *cells += 1;
        if worker.region().index() == 20 {
            let word = &control_page()[madness::states() / 4 + 2 * slice as usize + bit as usize / 32];
            word.fetch_xor(1 << (bit % 32), Ordering::Relaxed);
        }
        7
    }
    let mut crew = Crew::start(2).unwrap();
    // The words of slices, then their answers.
    for slice in [3, 23, SLICES as u64 + 3] {
        for bit in [0, 4, 13, 14, 31, 32, 63] {
            for how in 0..4 {
                let mut cells = Cells::zeros((SLICES, 512)).unwrap();
                let job = Job::new(&mut cells).workers(2);
                let done = match how {
                    0 => job.run(|w, cells| mad(w, [slice, bit], cells)),
                    1 => job.retries(2).restore_outputs().run(|w, cells| mad(w, [slice, bit], cells)),
                    2 => job.crew(&mut crew).run_with([slice, bit], mad),
                    _ => job.crew(&mut crew).retries(2).restore_outputs().run_with([slice, bit], mad),
                };
                let told = format!("slice {slice}, bit {bit}, {how}: {done:?}");
                // An answer may have been given later than it was changed, by a worker that was slower than the other.
                let too_early = slice >= SLICES as u64
                    && done.as_ref().is_ok_and(|answers| answers.iter().all(|&answer| answer == 7))
                    && cells.view().iter().all(|&cell| cell == 1);
                assert!(too_early || matches!(done, Err(Error::ControlPageDamaged { .. })), "{told}");
                assert!(cells.view().iter().all(|&cell| cell <= 1), "done twice, {told}");
            }
        }
    }
}

/// A body that forks, and whose child falls through: it comes back to where only the worker should. Also one made without the
/// C library, which nobody is told of.
pub(crate) fn a_copy_of_a_worker_has_no_part_in_its_job() {
    for calls_handlers in [true, false] {
        for retries in [0, 1] {
            let mut cells = Cells::zeros((SLICES, 512)).unwrap();
            let job = Job::new(&mut cells).workers(2).deadline(Duration::from_secs(20));
            let job = if retries > 0 { job.retries(retries).restore_outputs() } else { job };
            let done = job.run(|w, mut slice| {
                *slice += right(w.region().index());
                if w.region().index() == 5 {
                    let child = match calls_handlers {
                        // SAFETY: a fork of a process with one thread, whose child does nothing but come back.
                        true => unsafe { libc::fork() },
                        // SAFETY: as of fork.
                        false => unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t },
                    };
                    assert!(child >= 0);
                }
                right(w.region().index())
            });
            let told = format!("handlers {calls_handlers}, {retries} retries");
            match done {
                Ok(answers) => check(&cells, &answers, &told),
                Err(error) => assert!(!calls_handlers, "{error}, {told}"),
            }
        }
    }
}

/// A thread of a mad worker goes on changing what a crew is told of its jobs, or whatever stands before the workers' words: who
/// reads that does what the coordinator wrote, or nothing.
pub(crate) fn what_a_crew_was_not_told_it_does_not_do() {
    let mut crew = Crew::start(2).unwrap();
    let (mut right_ones, mut errors) = (0, 0);
    for place in [0_u64, 1] {
        for number in 0..60_u64 {
            let mut cells = Cells::zeros((SLICES, 64)).unwrap();
            let job = Job::new(&mut cells).crew(&mut crew).workers(2).deadline(Duration::from_secs(2));
            let done = job.run_with([number, place], |w, [number, place], mut slice| {
                *slice += number;
                if number.is_multiple_of(4) && w.region().index() == 0 {
                    std::thread::spawn(move || write_on(place, number));
                }
                number
            });
            match done {
                Ok(answers) => {
                    right_ones += 1;
                    assert!(answers.iter().all(|&answer| answer == number), "{answers:?} of {number}");
                    assert!(cells.view().iter().all(|&cell| cell == number), "cells of {number}");
                }
                Err(_) => errors += 1,
            }
        }
    }
    println!("{right_ones} right, {errors} errors");
}

/// Turns bits of what is told, which stands after the slice table, or of the head of the page, for ever.
fn write_on(place: u64, seed: u64) {
    let (words, mut chance) = (control_page(), Rng::with_seed(seed + 1));
    let told = madness::states() / 4 + 4 * SLICES;
    let head = words[2].load(Ordering::Relaxed) as usize / 4;
    let range = if place == 0 { told..told + 200 } else { 64..head };
    loop {
        let at = range.start + chance.u64(..range.len() as u64) as usize;
        words[at].fetch_xor(1 << chance.u64(..32), Ordering::Relaxed);
        std::thread::yield_now();
    }
}

/// Somebody writes that the job is over because of a worker, which lives and has said nothing: that is no end that a worker came to,
/// and least of all a signal that somebody should look for, though the coordinator ends them all.
pub(crate) fn a_worker_that_others_accuse_was_not_killed() {
    let word = word_that_says_who_ended_the_job();
    for (accused, retries) in [(0_u32, 0), (1, 0), (0, 2), (1, 2)] {
        let mut cells = Cells::zeros((2, 8)).unwrap();
        let job = Job::new(&mut cells).workers(2).retries(retries).body_overwrites().deadline(Duration::from_secs(20));
        let done = nothing_left(|| {
            job.run(|w, _| -> () {
                if w.region().index() == 0 {
                    control_page()[word].store(accused + 1, Ordering::Relaxed);
                }
                loop {
                    std::hint::spin_loop();
                }
            })
        });
        let what = ControlPageDamage::End;
        assert!(matches!(done, Err(Error::ControlPageDamaged { what: it }) if it == what), "{accused}: {done:?}");
    }
}

/// Where that is, in 32-bit words: what one worker sees change when the other fails.
fn word_that_says_who_ended_the_job() -> usize {
    /// The failing worker's rank + 1.
    const SAID: u32 = 2;
    let [found, ready] = [Page::new(), Page::new()];
    while found[0].load(Ordering::Relaxed) == 0 {
        let mut cells = Cells::zeros((2, 8)).unwrap();
        ready[0].store(0, Ordering::Relaxed);
        let failed = Job::new(&mut cells).workers(2).run(|w, _| -> Result<(), &str> {
            if w.rank() == 1 {
                while ready[0].load(Ordering::Relaxed) == 0 {
                    std::thread::yield_now();
                }
                return Err("on purpose");
            }
            let words = control_page();
            let head = words[2].load(Ordering::Relaxed) as usize / 4;
            let zeros: Vec<usize> = (0..head).filter(|&at| words[at].load(Ordering::Relaxed) == 0).collect();
            ready[0].store(1, Ordering::Relaxed);
            // Until it is ended, which may come before it has seen it. Others stand behind it, and are written after it: whoever has
            // seen one of them sees this when it looks again.
            let look = || zeros.iter().find(|&&at| words[at].load(Ordering::Relaxed) == SAID);
            loop {
                if look().is_some() {
                    look().into_iter().for_each(|&at| found[0].store(at as u64, Ordering::Relaxed));
                }
            }
        });
        assert!(failed.is_err());
    }
    found[0].load(Ordering::Relaxed) as usize
}
