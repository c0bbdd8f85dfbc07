//! Jobs of steps: each result is that of a naive loop, however the array is cut, whoever works, whoever dies.
#![allow(unsafe_code)]

mod deaths;
mod programs;
mod refusals;
mod results;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::run(
        support::cases![
            results::are_those_of_a_naive_loop,
            results::every_engine_has_the_same_bits,
            results::a_crew_goes_on_from_job_to_job,
            results::a_coordinator_that_works_takes_part,
            results::answers_are_those_of_the_last_step,
            results::two_planes_and_an_input_go_together,
            results::many_workers_on_few_cpus_come_to_the_end,
            results::a_body_knows_its_step,
            results::progress_counts_steps,
            results::records_name_the_step,
            results::uneven_slices_and_blocks_are_steps_too,
            deaths::at_any_moment_cost_nothing_but_time,
            deaths::on_a_crew_cost_nothing_but_time,
            deaths::a_slice_that_kills_all_ends_the_job_with_its_step,
            deaths::without_retries_end_the_job,
            deaths::a_panic_and_an_error_name_the_step,
            deaths::a_word_that_counts_steps_written_over_is_an_error,
            deaths::a_job_that_is_ended_says_how_many_steps_were_done,
            deaths::a_body_that_stands_still_meets_its_deadline,
            programs::do_what_a_body_does,
            programs::die_as_a_body_does,
            programs::have_two_planes_and_an_input,
            programs::that_ask_for_something_else_are_told,
            refusals::what_cannot_be_is_said_with_the_numbers,
            refusals::settings_that_are_not_kept,
            refusals::torn_planes_are_an_error_until_they_have_new_content,
            refusals::a_stray_write_to_the_plane_that_is_read_ends_its_worker,
        ],
        support::cases![programs::rule, programs::rule_of_two, programs::other],
    )
}
