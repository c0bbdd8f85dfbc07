//! Jobs with bounds: on a slice's time, a worker's memory, what a worker may write; and jobs that are asked to stop.
#![allow(unsafe_code)]

mod cancellation;
mod limits;
mod stalls;
#[path = "../support/mod.rs"]
mod support;
mod writes;

use std::io::BufRead;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use support::{cases, play};

fn main() -> ExitCode {
    support::run(
        cases![
            stalls::a_worker_that_loops_stops_or_sleeps_is_replaced,
            stalls::a_worker_that_always_loops_is_named,
            stalls::without_retries_a_stalled_worker_ends_the_job,
            stalls::slices_within_their_time_are_left_alone,
            stalls::a_worker_that_waits_for_others_at_the_end_is_not_late,
            limits::a_worker_beyond_its_memory_aborts_alone,
            limits::what_is_lent_does_not_count_as_a_workers_memory,
            writes::restored_outputs_put_back_what_a_dead_worker_changed,
            writes::retries_of_what_may_be_read_are_refused,
            writes::a_guarded_worker_writes_its_slice_only,
            writes::a_guard_changes_no_result,
            writes::a_guard_and_restored_outputs_together,
            cancellation::a_stop_ends_jobs_on_every_engine,
            stalls::replacements_come_though_threads_run_by_then,
            stalls::replacements_come_though_the_fork_server_is_killed,
            limits::what_only_processes_can_keep_is_refused,
            limits::pinned_workers_have_a_cpu_each,
            stalls::a_worker_that_stands_still_without_a_slice_is_told,
            stalls::a_job_that_was_stopped_as_a_whole_is_not_late,
            cancellation::the_second_signal_ends_at_once,
            cancellation::a_signal_while_no_job_runs_ends_at_once,
        ],
        cases![stalls::work_for_a_while, cancellation::work_on_a_thread_for_ever, cancellation::hold_nothing],
    )
}

/// A span that no slice takes but one that stalls.
const LONG: Duration = Duration::from_millis(300);

fn signal_me(signal: i32) {
    // SAFETY: a signal to this process, a worker.
    unsafe { libc::kill(std::process::id() as i32, signal) };
}

fn loop_for_ever() {
    loop {
        std::hint::spin_loop();
    }
}

fn sleep_for_ever() {
    loop {
        // SAFETY: waits for a signal, and takes nothing.
        unsafe { libc::pause() };
    }
}

/// This program once more, in a part that has said that it is at work; and its words.
fn at_work(part: &str) -> (Child, std::io::Lines<std::io::BufReader<std::process::ChildStdout>>) {
    let mut child = play(part).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "at work");
    (child, lines)
}
