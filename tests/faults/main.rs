//! Jobs in which a worker, or the coordinator, comes to harm: an error that says who, where, why and what to do, in bounded
//! time, nothing left behind, and a process in which the next job works.
#![allow(unsafe_code)]

mod control_page;
mod deaths;
mod fork_servers;
mod moments;
mod panics;
#[path = "../support/mod.rs"]
mod support;
mod surroundings;

use std::ffi::c_int;
use std::process::ExitCode;

use parfork::{Cause, Death, Error, Job, Shared, Slice, Worker};
use support::{cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            deaths::a_killed_worker_is_named,
            deaths::a_worker_that_ends_itself_is_named,
            deaths::a_real_time_signal_is_named,
            deaths::a_write_to_an_input_ends_the_worker_alone,
            deaths::a_use_of_an_array_that_was_not_lent_ends_the_worker,
            deaths::a_use_of_the_coordinators_address_ends_the_worker,
            deaths::an_exit_is_not_taken_for_success,
            panics::a_panic_is_told_with_message_and_place,
            panics::a_panic_without_text_is_told,
            panics::a_panic_whose_message_panics_stays_in_the_worker,
            panics::an_error_of_a_body_is_told,
            panics::an_error_that_panics_while_it_is_told_is_a_panic,
            deaths::a_stack_overflow_is_named,
            moments::a_stopped_worker_ends_at_the_deadline,
            moments::the_death_of_several_at_once_is_one_error,
            moments::a_death_at_birth_is_noticed,
            moments::a_death_between_lock_and_mark_is_noticed,
            moments::a_death_after_which_nothing_is_missing_is_no_error,
            panics::a_panic_in_a_bodys_own_thread_is_the_bodys_affair,
            surroundings::a_body_may_close_all_descriptors,
            surroundings::a_grandchild_that_outlives_its_worker_is_not_waited_for,
            surroundings::a_dead_worker_with_a_living_grandchild_is_noticed,
            surroundings::a_coordinator_that_ignores_its_childrens_ends_gets_results,
            panics::a_panic_of_progress_ends_the_workers,
            panics::a_panic_of_the_coordinator_lets_destructors_run_jobs,
            surroundings::a_worker_that_cannot_attach_says_why,
            surroundings::a_killed_coordinator_takes_its_workers_along,
            control_page::a_board_of_lies_ends_the_job,
            control_page::a_lie_in_an_obituary_hides_no_death,
            fork_servers::a_job_whose_replacements_cannot_all_be_made_ends_with_the_reason,
            fork_servers::a_crew_whose_replacements_cannot_all_be_made_says_so_and_tries_again,
            fork_servers::a_fork_server_killed_by_whom_it_made_costs_no_slice,
            fork_servers::a_slow_fork_server_does_not_keep_a_job_beyond_its_deadline,
            fork_servers::a_fork_server_said_to_be_dead_is_replaced,
            fork_servers::a_fork_server_whose_lock_was_written_over_still_dies_by_name,
            panics::on_threads_and_serially_a_panic_is_an_error_too,
        ],
        cases![surroundings::coordinate_for_ever],
    )
}

const WORKERS: [usize; 3] = [1, 2, 8];

/// Slices of the jobs here: rows of two cells.
const SLICES: usize = 24;

/// The slice at which things go wrong.
const BAD: usize = 5;

/// Runs a body that ends its worker in slice [`BAD`]; checks what the error says of where, and that all is well after.
/// Gives the death and the error's text to `check`.
fn death(body: impl Fn() + Sync, check: impl Fn(&Death, &str)) {
    death_in(|_, _| body(), check);
}

fn death_in(body: impl Fn(&Worker<'_>, Slice<'_, u64, ndarray::Ix2>) + Sync, check: impl Fn(&Death, &str)) {
    for workers in WORKERS {
        let mut array = Shared::<u64, _>::zeros((SLICES, 2)).unwrap();
        let error = nothing_left(|| {
            let run = Job::new(&mut array).workers(workers).run(|w, mut slice| {
                slice.fill(1);
                if w.region().index() == BAD {
                    body(w, slice);
                }
            });
            run.unwrap_err()
        });
        let text = error.to_string();
        let Error::WorkerDied(death) = error else { panic!("{error:?}") };
        assert!(death.rank < workers && death.slices == SLICES && death.done < SLICES, "{death:?}");
        assert_eq!(death.slice.expect("the slice it died on").0.index(), BAD);
        gone(death.pid);
        assert!(text.starts_with(&format!("worker {} (pid {}) ", death.rank, death.pid)), "{text}");
        assert!(text.contains(" while it worked on slice 5 [5..6, ..]; "), "{text}");
        assert!(text.contains(&format!("{} of 24 slices were done", death.done)), "{text}");
        check(&death, &text);
        all_is_well();
    }
}

fn signalled(signal: c_int, words: &str) -> impl Fn(&Death, &str) {
    move |death, text| {
        assert_eq!(death.cause, Cause::Signalled { signal }, "{text}");
        assert!(text.contains(words), "{text}");
    }
}

/// `tests/fault_handler/` looks at what is said of faults; here it is that the end is what it is.
fn faulted(signal: c_int, words: &str) -> impl Fn(&Death, &str) {
    move |death, text| {
        assert!(matches!(&death.cause, Cause::Faulted(fault) if fault.signal == signal), "{text}");
        assert!(text.contains(words), "{text}");
    }
}

/// The process is not there any more; a pid is not given again so soon.
fn gone(pid: u32) {
    // SAFETY: no signal is sent.
    assert_eq!(unsafe { libc::kill(pid as i32, 0) }, -1, "worker {pid} is still there");
}

/// A job works in this process.
fn all_is_well() {
    let mut array = Shared::<usize, _>::zeros(100).unwrap();
    nothing_left(|| {
        parfork::fork(3, &mut array, |w, mut slice| slice.fill(w.region().index())).unwrap();
    });
    assert!(array.as_slice().iter().copied().eq(0..100));
}

fn raise(signal: c_int) {
    // SAFETY: sends this process a signal.
    unsafe { libc::raise(signal) };
}

fn pause_for_ever() {
    loop {
        // SAFETY: waits for a signal, touches nothing.
        unsafe { libc::pause() };
    }
}
