//! What the error of a dead worker says of the fault: which array, which cell, whose, in which function.
//!
//! Every expected index is worked out here by hand, from the shape and the address that the body touches.
#![allow(unsafe_code)]

mod causes;
mod functions;
mod handlers;
mod places;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use ndarray::{ArrayView2, Ix2};
use parfork::{ArrayName, Cause, Error, Fault, Shared, Slice, Worker};
use support::{cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            places::a_write_to_an_input_names_the_cell,
            places::arrays_of_a_kind_are_numbered,
            places::a_write_past_the_end_is_counted_in_bytes,
            places::a_write_before_the_start_is_counted_in_bytes,
            places::a_cell_of_an_output_names_its_slice_and_who_holds_it,
            places::the_coordinators_own_views_are_told_from_others,
            places::a_null_pointer_and_nowhere_are_told,
            places::an_address_that_cannot_be_is_told,
            causes::an_overflow_of_the_stack_is_told,
            causes::an_overflow_in_a_thread_of_the_body_is_told,
            causes::instructions_that_cannot_be_are_told,
            functions::the_function_is_named_with_its_line,
            causes::a_signal_that_was_sent_is_no_fault_and_ends_the_worker,
            handlers::a_body_may_mend_its_faults_itself,
            handlers::a_handler_from_before_the_fork_still_mends_faults,
            handlers::a_fault_of_a_bodys_own_child_is_not_its_workers,
            handlers::a_board_of_lies_about_faults_is_harmless,
            handlers::other_engines_leave_the_handlers_alone,
            handlers::an_earlier_fault_is_forgotten_with_its_worker,
            handlers::a_worker_of_a_workers_own_job_is_witnessed_too,
            functions::a_backtrace_comes_if_the_user_wants_it,
            causes::a_kill_for_want_of_memory_is_told,
        ],
        cases![functions::panic_in_a_worker],
    )
}

/// Slice at which things go wrong.
const BAD: usize = 5;

/// The fault that the job ended with, and the error's text.
fn fault<T: std::fmt::Debug>(run: parfork::Result<T>) -> (Fault, String) {
    let error = run.unwrap_err();
    let text = error.to_string();
    let Error::WorkerDied(death) = error else { panic!("{text}") };
    assert_eq!(death.slice.expect("the slice it died on").0.index(), BAD, "{text}");
    let Cause::Faulted(fault) = death.cause else { panic!("{text}") };
    (*fault, text)
}

const INPUT: ArrayName = ArrayName { output: false, number: 0, of: 1 };
const OUTPUT: ArrayName = ArrayName { output: true, number: 0, of: 1 };

fn write_to<T>(address: *const T, bytes: isize) {
    let there = address.cast::<u8>().cast_mut().wrapping_offset(bytes);
    // SAFETY: none: this is what must end the worker.
    unsafe { there.write_volatile(1) };
}

fn read_from(address: usize) -> u8 {
    // SAFETY: none: this is what must end the worker.
    unsafe { std::ptr::with_exposed_provenance::<u8>(address).read_volatile() }
}

/// Lends an input of 512 x 16 u64 and an output of 24 x 4 u32 in slices of a row, and does something in the sixth.
fn with_both(deed: impl Fn(ArrayView2<u64>, &mut Slice<u32, Ix2>) + Sync, check: impl Fn(&Fault, &str)) {
    for workers in [1, 3] {
        let input = Shared::<u64, _>::zeros((512, 16)).unwrap();
        let mut output = Shared::<u32, _>::zeros((24, 4)).unwrap();
        let (fault, text) = nothing_left(|| {
            fault(parfork::fork(workers, (&input, &mut output), |w: &Worker<'_>, (input, mut slice)| {
                if w.region().index() == BAD {
                    deed(input, &mut slice);
                }
            }))
        });
        check(&fault, &text);
        assert!(input.as_slice().iter().all(|&cell| cell == 0));
    }
}
