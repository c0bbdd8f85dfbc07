//! Crews: workers that stay between jobs get every job right, whatever happens to them in between and meanwhile.
#![allow(unsafe_code)]

mod arrays;
mod ends;
mod faults;
mod program;
mod results;
#[path = "../support/sampled.rs"]
mod sampled;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod together;
mod untyped;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parfork::{Crew, Error, Job, JobSpec, Schedule, Shared, Split};
use support::{Page, Watched};

/// Cases named after their functions, each also with crews whose workers are forked by a program.
macro_rules! both_ways {
    ($($case:path),* $(,)?) => {
        [$([
            (stringify!($case), $case as fn()),
            (concat!("in_program::", stringify!($case)), (|| {
                IN_PROGRAM.store(true, Ordering::Relaxed);
                $case();
            }) as fn()),
        ]),*]
    };
}

fn main() -> ExitCode {
    parfork::serve();
    let both_ways = both_ways![
        results::are_those_of_a_loop,
        results::have_the_bits_of_jobs_without_a_crew,
        results::arguments_and_answers_of_any_size_arrive_whole,
        results::boards_grow_and_shrink,
        results::a_table_of_slices_that_is_too_large_is_refused_with_the_numbers,
        results::idle_members_disturb_nobody,
        results::hundreds_of_workers_do_job_after_job,
        results::a_smaller_or_larger_crew_does_the_same,
        arrays::lent_to_read_then_to_write_then_to_read,
        arrays::the_same_twice_in_one_job,
        arrays::an_input_cannot_be_written,
        arrays::each_is_mapped_once,
        arrays::those_of_earlier_jobs_are_closed,
        arrays::those_that_are_copied_are_closed,
        arrays::a_dropped_one_gives_back_its_memory_at_once,
        arrays::more_of_them_than_there_is_memory_for,
        arrays::twenty_thousand_jobs_leave_nothing,
        faults::a_worker_killed_between_jobs_is_replaced,
        faults::a_worker_that_fails_in_a_job_is_named,
        faults::retries_complete_jobs,
        faults::restored_outputs_put_slices_back,
        faults::the_fork_server_may_die_between_jobs,
        faults::the_fork_server_may_die_in_a_job,
        faults::the_fork_server_may_die_with_a_hundred_workers,
        faults::a_stopped_fork_server_is_continued,
        faults::replacements_come_though_there_are_threads,
        faults::whoever_scribbles_on_the_board_hangs_nobody,
        faults::an_order_that_nobody_gave_brings_no_second_worker_of_a_rank,
        settings::meetings_go_well,
        settings::a_death_reaches_those_who_meet,
        settings::the_rest_go_on_without_the_dead,
        settings::deadlines_are_kept,
        settings::a_deadline_that_comes_with_the_end_is_for_this_job_alone,
        settings::slice_deadlines_are_kept,
        settings::a_stop_ends_a_job_and_not_the_crew,
        settings::a_guard_keeps_stray_writes_out,
        settings::memory_is_limited_and_the_limit_lifted,
        settings::one_slice_alone,
        settings::memory_is_measured,
        settings::progress_is_told,
        settings::a_panic_of_progress_ends_the_workers,
        settings::what_a_crew_cannot_do_is_refused,
        together::the_coordinator_works_too,
        together::its_own_panic_is_told_each_time,
        together::its_own_part_is_not_tried_again,
        together::what_the_dead_left_is_put_back,
        together::its_own_errors_end_the_job,
        together::a_death_meanwhile_is_told,
        together::a_death_ends_its_meetings,
        together::a_stop_ends_its_own_part,
        together::progress_is_told_at_its_meetings,
        together::a_panic_of_progress_at_its_meetings_is_no_bodys,
        untyped::any_number_of_any_elements,
        untyped::beside_a_range,
        untyped::the_same_bytes_to_read_and_to_write,
        untyped::undo_copies_begin_where_the_cells_do,
        untyped::cells_that_are_not_inside_are_refused,
        ends::idle_workers_sleep,
        ends::all_go_with_the_coordinator,
        ends::a_fork_of_the_coordinator_cannot_use_its_crew,
        ends::whoever_is_dismissed_is_gone,
    ];
    let one_way = support::cases![
        faults::without_a_fork_server_and_with_threads_there_are_none,
        program::threads_are_no_obstacle,
        program::states_are_kept,
        program::it_outlives_the_thread_that_started_it,
        program::all_go_with_the_coordinator,
        program::crews_share_it,
        program::its_end_is_survived_by_all_its_crews,
        program::crews_are_started_by_many_threads_at_once,
        program::a_fork_has_one_of_its_own,
        program::what_does_not_serve_is_told,
        program::bodies_of_other_libraries_are_refused,
        program::its_file_may_be_replaced_meanwhile,
    ];
    // Some of them the other way, or all.
    let in_program = sampled::Sampler::new().some(both_ways.map(|[_, other]| other), 20);
    support::run(
        Vec::leak([&both_ways.map(|[one, _]| one), &in_program[..], one_way].concat()),
        support::cases![ends::be_killed, program::be_killed, program::be_removed],
    )
}

/// Whether a case has its crews' workers forked by a program, as processes with threads do.
static IN_PROGRAM: AtomicBool = AtomicBool::new(false);

/// Words that the case and all its workers share: a body captures nothing, but finds what was there when the crew started. Each case
/// has a folder for temporary files.
fn page() -> &'static Page {
    static PAGE: OnceLock<Page> = OnceLock::new();
    PAGE.get_or_init(|| Page::of_file(&std::env::temp_dir().join("page")))
}

/// A crew whose workers have the [`page`].
fn start(workers: usize) -> Crew {
    page();
    match IN_PROGRAM.load(Ordering::Relaxed) {
        true => Crew::in_program(workers).unwrap(),
        false => Crew::start(workers).unwrap(),
    }
}

/// Does that, and makes sure that nothing is left but the [`page`].
fn nothing_left<T>(job: impl FnOnce() -> T) -> T {
    page();
    support::nothing_left(job)
}

/// Starts a crew, does that with it, and makes sure that nothing is left when it is dropped.
fn with_crew<T>(workers: usize, job: impl FnOnce(&mut Crew) -> T) -> T {
    nothing_left(|| job(&mut start(workers)))
}

/// What to set for one slice each, so that workers may meet.
fn each_one(workers: usize) -> JobSpec {
    JobSpec {
        workers: Some(workers),
        split: Some(Split::rows().into_pieces(workers)),
        schedule: Some(Schedule::Static),
        ..JobSpec::default()
    }
}

/// The processes of a crew's workers, by rank.
fn pids(crew: &mut Crew) -> Vec<u32> {
    let workers = crew.workers();
    let line = Shared::<u8, _>::zeros(workers).unwrap();
    let job = Job::from(each_one(workers)).crew(crew);
    job.lend(&line).run_with((), |_, (), _| std::process::id()).unwrap().into_vec()
}

/// Makes sure that a crew is as good as new: all of its workers do a job.
fn is_sound(crew: &mut Crew) {
    let mut cells = Shared::<u64, _>::zeros(100).unwrap();
    let salt = crew.workers() as u64;
    let answers = crew.run(&mut cells, salt, |w, salt, mut slice| {
        slice.fill(w.region().index() as u64 + salt);
        w.region().index() as u64
    });
    assert_eq!(answers.unwrap().sum(), 4950);
    assert!(cells.view().iter().copied().eq(salt..salt + 100));
    let pids = pids(crew);
    assert!(pids.iter().all(|&pid| pid != std::process::id()), "{pids:?}");
}

/// The process that forks a crew's workers: this one's child, or its program's.
fn fork_server() -> u32 {
    let [fork_server] = fork_servers()[..] else { panic!("not one fork server: {:?}", fork_servers()) };
    fork_server
}

fn fork_servers() -> Vec<u32> {
    let children = children(std::process::id());
    let programs: Vec<_> = children.iter().copied().filter(|&pid| name(pid) == "parfork-program").collect();
    let all = children.into_iter().chain(programs.into_iter().flat_map(self::children));
    all.filter(|&pid| name(pid) == "parfork-server").collect()
}

fn children(parent: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn name(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

fn send(pid: u32, signal: i32) {
    // SAFETY: a signal to a process that this case has started.
    unsafe { libc::kill(pid as i32, signal) };
}

fn kill_me() {
    send(std::process::id(), libc::SIGKILL);
}

/// Ends a process, and waits until it is gone.
fn end(pid: u32) {
    let watched = Watched::new(pid).unwrap();
    send(pid, libc::SIGKILL);
    assert!(watched.ends_within(Duration::from_secs(60)));
}

/// Whether it is so soon.
fn soon(mut is: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    while !is() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Counts one of the page's words up; what it was before.
fn count(word: usize) -> u64 {
    page()[word].fetch_add(1, Ordering::Relaxed)
}

/// The death that a job ended with.
fn death(error: Error) -> parfork::Death {
    match error {
        Error::WorkerDied(death) => *death,
        error => panic!("{error:?}"),
    }
}
