//! Jobs whose workers meet: any number of them, any number of times, with deaths at every turn, with deadlines, and going on
//! without the dead.
#![allow(unsafe_code)]

mod crossings;
mod news;
mod replaced;
#[path = "../support/mod.rs"]
mod support;
mod values;
mod without_the_dead;

use std::process::ExitCode;

use parfork::{Job, Schedule, Shared, Split};
use support::cases;

fn main() -> ExitCode {
    support::run(
        cases![
            crossings::any_number_meet_any_number_of_times,
            crossings::nobody_leaves_a_meeting_before_all_have_come,
            crossings::workers_that_are_not_in_step_cannot_meet,
            crossings::a_worker_that_returns_early_is_not_waited_for,
            crossings::a_broken_meeting_stays_broken,
            crossings::threads_may_use_rayon_and_meet,
            news::a_death_reaches_those_who_wait_at_a_meeting,
            news::a_stop_reaches_those_who_wait_at_a_meeting,
            news::each_who_waits_is_told_who_died,
            news::each_who_waits_is_told_of_a_panic_and_of_an_error,
            news::who_comes_too_late_is_named,
            news::time_that_is_not_up_changes_nothing,
            news::time_that_is_up_is_for_threads_too,
            without_the_dead::the_rest_go_on_without_the_dead,
            without_the_dead::a_death_at_any_moment_stops_nobody,
            without_the_dead::the_rest_go_on_without_one_that_panicked,
            without_the_dead::the_rest_go_on_when_all_but_one_die,
            without_the_dead::the_rest_go_on_without_some_of_hundreds,
            without_the_dead::going_on_is_not_for_those_who_return,
            without_the_dead::a_death_with_nothing_missing_is_no_error,
            without_the_dead::the_dead_are_not_missed_when_time_is_up,
            replaced::who_dies_before_all_meet_is_replaced_and_then_they_do,
            replaced::a_crew_replaces_who_dies_before_all_meet,
            replaced::who_does_not_meet_is_replaced_alone,
            replaced::who_is_tried_again_meets_nobody_who_has_returned,
            replaced::a_slice_that_is_called_back_is_done_again_whatever_its_body_answers,
            replaced::a_slice_that_kills_all_before_they_meet_is_named,
            values::of_all_come_in_the_order_of_ranks,
            values::decide_for_all_when_to_stop,
            values::of_the_dead_are_missed,
            values::are_not_had_by_who_comes_without_one,
            crossings::many_workers_on_few_cpus_live_and_die,
        ],
        cases![],
    )
}

fn kill_me() {
    // SAFETY: a signal to this process, a worker.
    unsafe { libc::kill(std::process::id() as i32, libc::SIGKILL) };
}

/// A job on one cell for each worker.
fn job<'p>(line: &mut Shared<u64, ndarray::Ix1>) -> Job<'p, &mut Shared<u64, ndarray::Ix1>> {
    let workers = line.len();
    Job::new(line).workers(workers).schedule(Schedule::Static).split(Split::rows().into_pieces(workers))
}

fn line(workers: usize) -> Shared<u64, ndarray::Ix1> {
    Shared::zeros(workers).unwrap()
}

fn wait_for_ever() {
    loop {
        // SAFETY: waits for a signal, touches nothing.
        unsafe { libc::pause() };
    }
}
