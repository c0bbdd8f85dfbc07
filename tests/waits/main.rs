//! Every wait ends: for processes that nobody knows, may not be killed, are stopped or traced; and limits of the system are told as what
//! they are, before a signal is.
#![allow(unsafe_code)]

mod ends;
mod limits;
mod prints;
mod programs;
#[path = "../support/mod.rs"]
mod support;
mod users;

use std::process::ExitCode;

use support::cases;

fn main() -> ExitCode {
    support::run(
        cases![
            ends::a_daemon_of_a_crews_body_is_not_waited_for,
            ends::a_daemon_of_a_replacement_is_not_waited_for,
            ends::a_stop_is_not_an_end,
            ends::a_worker_that_is_traced_to_its_end_is_not_waited_for,
            users::a_crew_ends_with_a_coordinator_that_gave_up_root,
            users::a_crew_ends_with_a_killed_coordinator_that_gave_up_root,
            users::a_worker_that_changed_its_user_ends_with_its_coordinator,
            users::a_worker_that_may_not_be_ended_is_named_at_once,
            users::slices_of_a_worker_that_may_not_be_ended_are_not_given_again,
            limits::a_limit_of_file_sizes_is_an_error_and_no_signal,
            limits::a_limit_of_descriptors_is_told_as_that,
            limits::forbidden_calls_are_told_as_that,
            limits::a_coordinator_that_is_not_dumpable_is_told_why_it_has_no_crew,
            limits::arrays_are_not_in_core_files,
            prints::what_bodies_print_is_written_once,
            programs::a_dead_workers_program_is_ended_before_the_next_begins,
            programs::what_programs_left_is_ended_whatever_its_environment,
        ],
        cases![
            users::give_up_root_and_wait,
            users::work_as_nobody_and_wait,
            limits::be_undumpable,
            prints::print,
            programs::write_on,
        ],
    )
}
