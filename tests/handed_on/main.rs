//! What slices are handed that is no array, and what they hand on: ranges, random numbers.
#![allow(unsafe_code)]

mod random;
mod ranges;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::run(
        support::cases![
            ranges::each_number_is_in_one_part,
            ranges::a_range_goes_with_arrays_that_are_as_long,
            ranges::what_does_not_fit_is_refused,
            ranges::a_dead_workers_part_is_done_by_others,
            ranges::a_crew_is_told_of_them,
            random::numbers_are_of_a_slice_and_a_seed,
        ],
        &[],
    )
}

/// Ends this process, a worker, as nobody can prevent.
fn kill_me() {
    // SAFETY: a signal to this process.
    unsafe { libc::kill(std::process::id() as i32, libc::SIGKILL) };
}
