//! Jobs that go well, on every engine: the right cells, once each, the same bits whoever works; and jobs that are refused
//! before they begin, with the reason.
#![allow(unsafe_code)]

mod beside_threads;
mod deadlines;
mod limits;
mod memory;
mod results;
#[path = "../support/mod.rs"]
mod support;
mod workers;

use std::process::ExitCode;

use ndarray::Dimension;
use parfork::{Order, Schedule, Shared};
use support::cases;

fn main() -> ExitCode {
    support::run(
        cases![
            results::serially_every_cell_is_written_once,
            results::threads_write_every_cell_once,
            results::processes_write_every_cell_once,
            results::every_axis_of_one_and_four_dimensions_can_be_cut,
            results::answers_and_sums_have_the_same_bits_whoever_works,
            results::a_body_borrows_from_its_surroundings_and_its_changes_stay_in_the_worker,
            results::a_body_may_return_any_plain_answer,
            results::several_arrays_are_lent_as_a_tuple,
            limits::outputs_that_cannot_be_cut_alike_are_refused,
            limits::what_cannot_be_cut_is_refused,
            limits::what_is_wrong_with_a_shape_can_be_matched_on,
            results::a_halo_shows_the_neighbours_cells,
            deadlines::progress_rises_to_all,
            deadlines::a_deadline_ends_processes_in_the_middle_of_a_slice,
            deadlines::a_deadline_ends_threads_before_their_next_slice,
            deadlines::any_deadline_can_be_given,
            deadlines::a_deadline_ends_the_forking_of_workers,
            deadlines::a_deadline_ends_the_gathering_of_answers,
            deadlines::a_deadline_ends_what_comes_before_the_workers,
            beside_threads::a_fork_beside_a_thread_is_refused_and_works_after_it_is_joined,
            beside_threads::processes_work_right_after_threads,
            beside_threads::a_vouched_for_fork_works_beside_a_busy_thread,
            beside_threads::a_vouched_for_fork_works_beside_a_thread_that_makes_arrays,
            beside_threads::jobs_can_run_side_by_side,
            limits::a_table_of_slices_that_is_too_large_is_refused_with_the_numbers,
            limits::too_few_and_too_many_workers_are_refused,
            limits::a_limit_of_processes_is_an_error_with_numbers,
            limits::a_limit_of_descriptors_is_no_limit_of_workers,
            memory::forks_have_what_is_shared_with_them,
            memory::four_workers_share_the_memory_of_one_input,
            memory::workers_have_arrays_at_other_addresses,
            results::large_arrays_of_any_length_are_whole,
            workers::hundreds_of_workers_do_tiny_jobs,
            results::a_chunk_of_any_size_deals_every_slice_once,
            workers::unwritten_output_appears_once,
            workers::a_job_within_a_worker,
            memory::elements_of_any_alignment_are_aligned,
            workers::a_report_says_who_did_what,
        ],
        cases![workers::print_and_fork],
    )
}

fn schedules() -> impl Iterator<Item = Schedule> {
    ["static", "dynamic", "dynamic=3", "guided"].into_iter().map(|text| text.parse().unwrap())
}

/// Numbers with no pattern, the same each time.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

fn input<D: Dimension>(shape: D, order: Order) -> Shared<i64, D> {
    let mut array = Shared::zeros_in(shape, order).unwrap();
    let mut noise = noise(7);
    array.as_mut_slice().fill_with(|| noise() as i64);
    array
}

fn die_at(here: bool) {
    if here {
        // SAFETY: ends this process.
        unsafe { libc::abort() }
    }
}
