//! What slices are handed that is no array, and what they hand on: ranges, random numbers, answers of any length, answers while others work,
//! what all slices before come to.
#![allow(unsafe_code)]

mod answers;
mod backlog;
mod carry;
mod each;
mod init;
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
            answers::of_any_length_arrive_whole,
            answers::those_of_dead_workers_are_kept,
            answers::a_crew_hands_them_on,
            answers::what_there_is_no_room_for_is_an_error_with_numbers,
            answers::what_was_written_over_is_damage,
            backlog::who_is_too_far_ahead_waits,
            backlog::a_slice_for_which_all_wait_is_done_though_its_worker_dies,
            backlog::a_crew_begins_each_job_anew,
            each::in_the_order_of_slices_while_others_work,
            each::as_they_come,
            each::a_break_ends_the_job_well,
            each::a_panic_ends_the_job_first,
            each::each_once_though_workers_die,
            each::a_death_does_not_keep_those_after_it_waiting,
            each::deadlines_stops_and_errors_end_it,
            each::a_crew_hands_on_and_stays,
            each::their_memory_is_given_back,
            init::a_state_is_made_once_for_each_worker,
            init::a_crew_keeps_it_from_job_to_job,
            init::what_a_crew_runs_every_engine_does,
            carry::each_is_given_what_all_before_it_come_to,
            carry::prefix_sums_of_any_cut_are_those_of_a_naive_loop,
            carry::what_cannot_be_is_refused_before_the_work,
            carry::who_hands_nothing_on_is_named_by_the_next,
            carry::who_dies_is_replaced_and_its_slice_given_the_same,
            carry::a_death_long_after_is_no_matter_for_those_who_went_on,
            carry::who_hands_on_another_value_the_second_time_is_refused,
            carry::a_slice_that_kills_all_is_named_and_nobody_waits_for_it,
            carry::deadlines_stops_and_errors_end_those_who_wait,
        ],
        &[],
    )
}

/// Ends this process, a worker, as nobody can prevent.
fn kill_me() {
    // SAFETY: a signal to this process.
    unsafe { libc::kill(std::process::id() as i32, libc::SIGKILL) };
}
