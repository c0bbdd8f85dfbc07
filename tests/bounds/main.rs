//! Jobs with bounds: on a slice's time, a worker's memory, what a worker may write; and jobs that are asked to stop.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
mod support;

use std::io::BufRead;
use std::process::{Child, ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ndarray::{Array2, Ix1, Ix2};
use parfork::{CancelToken, Cause, Crew, CrewSettings, Engine, Error, Job, Order, Schedule, Settings, Shared, Split};
use support::{Page, cases, no_children, nothing_left, play};

fn main() -> ExitCode {
    support::run(
        cases![
            a_worker_that_loops_stops_or_sleeps_is_replaced,
            a_worker_that_always_loops_is_named,
            without_retries_a_stalled_worker_ends_the_job,
            slices_within_their_time_are_left_alone,
            a_worker_that_waits_for_others_at_the_end_is_not_late,
            a_worker_beyond_its_memory_aborts_alone,
            what_is_lent_does_not_count_as_a_workers_memory,
            restored_outputs_put_back_what_a_dead_worker_changed,
            retries_of_what_may_be_read_are_refused,
            a_guarded_worker_writes_its_slice_only,
            a_guard_changes_no_result,
            a_guard_and_restored_outputs_together,
            a_stop_ends_jobs_on_every_engine,
            replacements_come_though_threads_run_by_then,
            replacements_come_though_the_nursery_is_killed,
            what_only_processes_can_keep_is_refused,
            pinned_workers_have_a_cpu_each,
            a_worker_that_stands_still_without_a_slice_is_told,
            a_job_that_was_stopped_as_a_whole_is_not_late,
            the_second_signal_ends_at_once,
            a_signal_while_no_job_runs_ends_at_once,
        ],
        cases![work_for_a_while, work_on_a_thread_for_ever, hold_nothing],
    )
}

/// A span that no slice takes but one that stalls.
const LONG: Duration = Duration::from_millis(300);

fn signal_me(signal: i32) {
    // SAFETY: a signal to this process, a worker.
    unsafe { libc::kill(std::process::id() as i32, signal) };
}

/// The CPUs that the calling process may use, as bits.
fn my_cpus() -> u64 {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
    (0..64).filter(|&cpu| set.is_set(cpu).unwrap()).map(|cpu| 1 << cpu).sum()
}

fn pinned_workers_have_a_cpu_each() {
    let all = my_cpus();
    let cpus = all.count_ones() as usize;
    let one_each = |said: &[u64]| {
        assert!(said.iter().all(|cpus| cpus.count_ones() == 1 && cpus & all != 0), "{said:?} of {all}");
        // Nobody shares while there are others.
        assert_eq!(
            said[..cpus.min(said.len())].iter().fold(0, |set, cpu| set | cpu).count_ones() as usize,
            cpus.min(said.len())
        );
    };
    let line = Shared::<u8, _>::zeros(5).unwrap();
    let job = || Job::new(&line).workers(5).split(Split::rows().into_pieces(5)).schedule(Schedule::Static);
    one_each(&job().pin(true).run(|_, _| my_cpus()).unwrap());
    assert!(job().run(|_, _| my_cpus()).unwrap().iter().all(|&cpus| cpus == all));
    let mut crew = Crew::with(CrewSettings { workers: Some(5), pin: true, ..CrewSettings::default() }).unwrap();
    one_each(&job().crew(&mut crew).run_with((), |_, (), _| my_cpus()).unwrap());
    assert_eq!(my_cpus(), all);
    let refused = job().engine(Engine::Threads).pin(true).run(|_, _| ()).unwrap_err();
    assert!(matches!(refused, Error::Engine { .. }), "{refused}");
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

fn stop_me() {
    signal_me(libc::SIGSTOP);
}

/// A job of 12 cells, in which cell 5 does a deed as often as `times`.
fn job_with(deed: fn(), times: u64, retries: u32) -> (Shared<u64, Ix1>, parfork::Result<parfork::Report>) {
    let begun = Page::new();
    let mut cells = Shared::<u64, _>::zeros(12).unwrap();
    let job = Job::new(&mut cells).workers(3).retries(retries).body_overwrites().slice_deadline(LONG);
    let done = nothing_left(|| {
        job.run(|w, mut slice| {
            let number = w.region().index();
            if number == 5 && begun[0].fetch_add(1, Ordering::Relaxed) < times {
                deed();
            }
            slice.fill(number as u64 + 1);
        })
    });
    (cells, done.map(|done| done.report().clone()))
}

fn a_worker_that_loops_stops_or_sleeps_is_replaced() {
    for (deed, doing) in [(loop_for_ever as fn(), "running"), (stop_me, "stopped"), (sleep_for_ever, "asleep")] {
        let (cells, done) = job_with(deed, 1, 1);
        let report = done.unwrap();
        assert!(cells.as_slice().iter().copied().eq(1..=12));
        let [death] = &report.deaths[..] else { panic!("{:?}", report.deaths) };
        assert_eq!(death.slice.map(|slice| slice.0.index()), Some(5));
        assert!(
            matches!(death.cause, Cause::Stalled { limit, state } if limit == LONG && state.starts_with(doing)),
            "{death}"
        );
    }
}

fn a_worker_that_always_loops_is_named() {
    let (cells, done) = job_with(loop_for_ever, u64::MAX, 1);
    let error = done.unwrap_err();
    let Error::WorkerDied(death) = &error else { panic!("{error:?}") };
    assert_eq!((death.slice.unwrap().0.index(), death.tries, death.done), (5, 2, 11));
    assert!(error.to_string().contains("kept the job waiting for longer than 300ms and was killed"), "{error}");
    assert_eq!(cells.as_slice().iter().filter(|&&cell| cell > 0).count(), 11);
}

fn without_retries_a_stalled_worker_ends_the_job() {
    for deed in [loop_for_ever as fn(), stop_me, sleep_for_ever] {
        let error = job_with(deed, 1, 0).1.unwrap_err();
        assert!(
            matches!(&error, Error::WorkerDied(death) if matches!(death.cause, Cause::Stalled { .. })),
            "{error:?}"
        );
    }
}

fn slices_within_their_time_are_left_alone() {
    let mut cells = Shared::<u64, _>::zeros(60).unwrap();
    let began = Instant::now();
    // 60 slices of 20 ms by two workers take twice as long as one may.
    let job = Job::new(&mut cells).workers(2).slice_deadline(LONG);
    job.run(|_, mut slice| {
        let until = Instant::now() + Duration::from_millis(20);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        slice.fill(1);
    })
    .unwrap();
    assert!(began.elapsed() > LONG && cells.as_slice().iter().all(|&cell| cell == 1));
}

fn a_worker_that_waits_for_others_at_the_end_is_not_late() {
    let mut cells = Shared::<u64, _>::zeros(2).unwrap();
    let job = Job::new(&mut cells).workers(2).schedule(Schedule::Static).slice_deadline(Duration::from_secs(1));
    job.run(|w, _| {
        let until = Instant::now() + Duration::from_millis(if w.rank() == 0 { 0 } else { 700 });
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    })
    .unwrap();
}

fn a_worker_beyond_its_memory_aborts_alone() {
    let tries = Page::new();
    let mut cells = Shared::<u64, _>::zeros(8).unwrap();
    let job = Job::new(&mut cells).workers(2).retries(1).body_overwrites().memory_limit(64 << 20);
    let done = nothing_left(|| {
        job.run(|w, mut slice| {
            let greedy = w.region().index() == 3 && tries[0].fetch_add(1, Ordering::Relaxed) == 0;
            let hoard = vec![1_u8; if greedy { 256 << 20 } else { 16 << 20 }];
            slice.fill(hoard.iter().rev().take(1).map(|&one| u64::from(one)).sum());
        })
    })
    .unwrap();
    assert!(cells.as_slice().iter().all(|&cell| cell == 1));
    let [death] = &done.report().deaths[..] else { panic!("{:?}", done.report().deaths) };
    assert_eq!(death.cause, Cause::AbortedWithin { limit: 64 << 20 });
    assert!(death.to_string().contains("it may have 67108864 bytes beyond"), "{death}");
}

fn what_is_lent_does_not_count_as_a_workers_memory() {
    let source = Shared::<u8, _>::zeros((64, 1 << 20)).unwrap();
    let mut result = Shared::<u8, _>::zeros((64, (1 << 20) - 1)).unwrap();
    for guard in [false, true] {
        let job = Job::new((&source, &mut result)).workers(2).memory_limit(8 << 20).guard(guard);
        job.run(|_, (_, mut slice)| slice.fill(3)).unwrap();
        assert!(result.as_slice().iter().all(|&cell| cell == 3));
        result.as_mut_slice().fill(0);
    }
}

/// Runs a job in place, `cell = 2 * cell + 1`, in which every slice kills its first worker half way.
fn doubled(mut cells: Shared<u32, Ix2>, split: Split, guard: bool) -> Shared<u32, Ix2> {
    let begun = Page::new();
    let job = Job::new(&mut cells).workers(3).split(split).retries(1).restore_outputs().guard(guard);
    let done = nothing_left(|| {
        job.run(|w, mut slice| {
            let half = slice.len() / 2;
            for (number, cell) in slice.iter_mut().enumerate() {
                if number == half && begun[w.region().index()].fetch_add(1, Ordering::Relaxed) == 0 {
                    signal_me(libc::SIGKILL);
                }
                *cell = *cell * 2 + 1;
            }
        })
    })
    .unwrap();
    assert!(!done.report().deaths.is_empty());
    cells
}

fn numbers(shape: (usize, usize), order: Order) -> Shared<u32, Ix2> {
    let mut cells = Shared::zeros_in(shape, order).unwrap();
    for (number, cell) in (0..).zip(cells.as_mut_slice()) {
        *cell = number;
    }
    cells
}

/// Splits of a 40 x 1024 array of 4-byte cells: some whose slices fill their pages, some not.
fn splits() -> [Split; 4] {
    [Split::rows().of(4), Split::rows().of(7), Split::cols().of(100), Split::tiles(13, 500)]
}

fn restored_outputs_put_back_what_a_dead_worker_changed() {
    for (split, order) in splits().into_iter().flat_map(|split| [Order::C, Order::F].map(|order| (split, order))) {
        let cells = doubled(numbers((40, 1024), order), split, false);
        assert!((0..).zip(cells.as_slice()).all(|(number, &cell)| cell == number * 2 + 1), "{split} {order:?}");
    }
}

fn retries_of_what_may_be_read_are_refused() {
    let mut cells = Shared::<u64, _>::zeros(8).unwrap();
    let error = Job::new(&mut cells).workers(2).retries(2).run(|_, _| ()).unwrap_err().to_string();
    assert!(error.contains("body_overwrites()") && error.contains("restore_outputs()"), "{error}");
    // Nothing is written, or there is no other process to die.
    Job::new(&cells).workers(2).retries(2).run(|_, _| ()).unwrap();
    Job::new(&mut cells).workers(2).retries(2).engine(Engine::Threads).run(|_, _| ()).unwrap();
}

fn a_guarded_worker_writes_its_slice_only() {
    // A page for each row; and rows that share pages. The third cell is in another page in either case.
    for (width, stray) in [(1024_usize, 1024_usize), (1000, 3000)] {
        let begun = Page::new();
        let mut cells = Shared::<u32, _>::zeros((16, width)).unwrap();
        let job = Job::new(&mut cells).workers(2).split(Split::rows().of(1)).retries(1).body_overwrites().guard(true);
        let done = nothing_left(|| {
            job.run(|w, mut slice| {
                slice.fill(w.region().index() as u32);
                if w.region().index() == 4 && begun[0].fetch_add(1, Ordering::Relaxed) == 0 {
                    // SAFETY: none: a stray write into the array, but into a slice that is another's.
                    unsafe { slice.as_mut_ptr().wrapping_add(stray).write_volatile(u32::MAX) };
                }
            })
        })
        .unwrap();
        let [death] = &done.report().deaths[..] else { panic!("{:?}", done.report().deaths) };
        assert!(death.to_string().contains("SIGSEGV"), "{death}");
        let expected = Array2::from_shape_fn((16, width), |(row, _)| row as u32);
        assert_eq!(cells.view(), expected);
    }
}

fn a_guard_changes_no_result() {
    for (split, order) in splits().into_iter().flat_map(|split| [Order::C, Order::F].map(|order| (split, order))) {
        let mut cells = numbers((40, 1024), order);
        let before = numbers((3, 5), Order::C);
        Job::new((&mut cells, &before))
            .workers(3)
            .split(split)
            .guard(true)
            .run(|_, (mut slice, _)| slice.mapv_inplace(|cell| cell + 7))
            .unwrap();
        assert!((0..).zip(cells.as_slice()).all(|(number, &cell)| cell == number + 7), "{split} {order:?}");
    }
}

fn a_guard_and_restored_outputs_together() {
    for split in splits() {
        let cells = doubled(numbers((40, 1024), Order::C), split, true);
        assert!((0..).zip(cells.as_slice()).all(|(number, &cell)| cell == number * 2 + 1), "{split}");
    }
}

fn a_stop_ends_jobs_on_every_engine() {
    for engine in Engine::ALL {
        let (stop, begun) = (CancelToken::new(), Page::new());
        let mut cells = Shared::<u64, _>::zeros(1000).unwrap();
        // Threads and the serial engine are told by a body, which shares their memory; processes by the coordinator.
        let job = Job::new(&mut cells).workers(2).engine(engine).cancel_token(&stop).progress(|_, _| {
            if begun[0].load(Ordering::Relaxed) > 5 {
                stop.cancel();
            }
        });
        let error = nothing_left(|| {
            job.run(|_, _| {
                if begun[0].fetch_add(1, Ordering::Relaxed) > 5 {
                    stop.cancel();
                    if engine == Engine::Processes {
                        sleep_for_ever();
                    }
                }
            })
            .unwrap_err()
        });
        assert!(
            matches!(error, Error::Stopped { signal: None, done, slices: 1000 } if done < 1000),
            "{engine}: {error}"
        );
        // The request stays.
        let again = Job::new(&mut cells).workers(2).engine(engine).cancel_token(&stop).run(|_, _| ());
        assert!(matches!(again, Err(Error::Stopped { .. })), "{engine}: {again:?}");
    }
}

fn replacements_come_though_threads_run_by_then() {
    let begun = Page::new();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let mut held = Some(held);
    let mut cells = Shared::<u64, _>::zeros(8).unwrap();
    let job = Job::new(&mut cells).workers(2).retries(1).body_overwrites().progress(|_, _| {
        if let Some(held) = held.take() {
            std::thread::spawn(move || held.recv());
            begun[1].store(1, Ordering::Release);
        }
    });
    let done = job.run(|w, mut slice| {
        while begun[1].load(Ordering::Acquire) == 0 {
            std::hint::spin_loop();
        }
        if w.region().index() == 3 && begun[0].fetch_add(1, Ordering::Relaxed) == 0 {
            signal_me(libc::SIGKILL);
        }
        slice.fill(1);
    });
    assert_eq!(done.unwrap().report().deaths.len(), 1);
    assert!(cells.as_slice().iter().all(|&cell| cell == 1));
    no_children();
    drop(hold);
}

/// The child of this process that bears this name.
fn child_named(name: &str) -> Option<i32> {
    let pid = std::process::id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let named = |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    children.split_whitespace().find(named)?.parse().ok()
}

fn replacements_come_though_the_nursery_is_killed() {
    let begun = Page::new();
    let mut cells = Shared::<u64, _>::zeros(8).unwrap();
    let job = Job::new(&mut cells).workers(2).retries(1).body_overwrites().progress(|_, _| {
        if let Some(fork_server) = child_named("parfork-server") {
            // SAFETY: a signal to a child of this process that has not been reaped.
            unsafe { libc::kill(fork_server, libc::SIGKILL) };
            begun[1].store(1, Ordering::Release);
        }
    });
    let done = nothing_left(|| {
        job.run(|w, mut slice| {
            while begun[1].load(Ordering::Acquire) == 0 {
                std::hint::spin_loop();
            }
            if w.region().index() == 3 && begun[0].fetch_add(1, Ordering::Relaxed) == 0 {
                signal_me(libc::SIGKILL);
            }
            slice.fill(1);
        })
    });
    assert_eq!(done.unwrap().report().deaths.len(), 1);
    assert!(cells.as_slice().iter().all(|&cell| cell == 1));
}

fn what_only_processes_can_keep_is_refused() {
    for engine in [Engine::Threads, Engine::Serial] {
        let mut cells = Shared::<u64, _>::zeros(8).unwrap();
        let settings = || Settings { workers: Some(2), engine, ..Settings::default() };
        for (set, what) in [
            (Settings { slice_deadline: Some(LONG), ..settings() }, "a deadline for slices"),
            (Settings { memory_limit: Some(1 << 30), ..settings() }, "a limit of memory"),
            (Settings { guard: true, ..settings() }, "a guard"),
        ] {
            let error = Job::with(&mut cells, set).run(|_, _| ()).unwrap_err().to_string();
            let expected = format!("{what} needs workers that are processes, and the engine is {engine}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}

/// It has none, and the others do everything; but what it did it has not said. A job that is told to try again goes on without it.
fn a_worker_that_stands_still_without_a_slice_is_told() {
    static FORKS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    extern "C" fn count() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    extern "C" fn be_born() {
        if FORKS.load(Ordering::Relaxed).is_multiple_of(2) {
            stop_me();
        }
    }
    // SAFETY: the handlers use an atomic and one system call.
    assert_eq!(unsafe { libc::pthread_atfork(Some(count), None, Some(be_born)) }, 0);
    let mut cells = Shared::<u64, _>::zeros(12).unwrap();
    let job = Job::new(&mut cells).workers(2).slice_deadline(LONG);
    let alone = nothing_left(|| job.run(|_, mut slice| slice.fill(1)));
    let Err(Error::WorkerDied(death)) = alone else { panic!("{alone:?}") };
    assert_eq!((death.rank, death.slice, death.done), (1, None, 12));
    let job = Job::new(&mut cells).workers(2).slice_deadline(LONG).retries(1).body_overwrites();
    let done = nothing_left(|| job.run(|_, mut slice| slice.fill(1))).unwrap();
    assert!(cells.as_slice().iter().all(|&cell| cell == 1));
    let [death] = &done.report().deaths[..] else { panic!("{:?}", done.report().deaths) };
    assert_eq!((death.rank, death.slice, death.done), (1, None, 12));
    assert!(matches!(death.cause, Cause::Stalled { state: "stopped", .. }), "{death}");
}

/// A slice of a tenth of a second, of the CPU's time.
fn work_for_a_while() {
    let used = || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is live for the kernel to fill.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let begun = Page::new();
    let mut cell = Shared::<u64, _>::zeros(1).unwrap();
    let job = Job::new(&mut cell).workers(1).slice_deadline(WHILE).progress(|_, _| {
        if begun[0].swap(2, Ordering::Relaxed) == 1 {
            println!("at work");
        }
    });
    let done = job.run(|_, _| {
        begun[0].store(1, Ordering::Relaxed);
        while begun[0].load(Ordering::Relaxed) != 2 || used() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
    });
    println!("{} deaths", done.unwrap().report().deaths.len());
}

/// Longer than the slice takes on the busiest machine.
const WHILE: Duration = Duration::from_secs(1);

/// As by Ctrl-Z and `fg`.
fn a_job_that_was_stopped_as_a_whole_is_not_late() {
    let (mut child, mut lines) = at_work("work_for_a_while");
    let pid = child.id();
    let workers = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let all: Vec<i32> = workers.split_whitespace().map(|pid| pid.parse().unwrap()).chain([pid as i32]).collect();
    let signal_all = |signal| {
        for &pid in &all {
            // SAFETY: a signal to a child, or to a child's child, that lives as long as the slice.
            unsafe { libc::kill(pid, signal) };
        }
    };
    signal_all(libc::SIGSTOP);
    // Time is what it is about: the job must come to be late.
    std::thread::sleep(2 * WHILE);
    signal_all(libc::SIGCONT);
    assert_eq!(lines.next().unwrap().unwrap(), "0 deaths");
    assert!(child.wait().unwrap().success());
}

/// Threads cannot be ended, so the job goes on when it is asked to stop.
fn work_on_a_thread_for_ever() {
    let mut cell = Shared::<u64, _>::zeros(1).unwrap();
    let job = Job::new(&mut cell).workers(1).engine(Engine::Threads).cancel_token(CancelToken::at_signals().unwrap());
    let ran = job.run(|_, _| {
        println!("at work");
        loop_for_ever();
    });
    unreachable!("{ran:?}");
}

fn hold_nothing() {
    CancelToken::at_signals().unwrap();
    println!("at work");
    sleep_for_ever();
}

/// This program once more, in a part that has said that it is at work; and its words.
fn at_work(part: &str) -> (Child, std::io::Lines<std::io::BufReader<std::process::ChildStdout>>) {
    let mut child = play(part).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "at work");
    (child, lines)
}

fn send(child: &Child, signal: i32) {
    // SAFETY: a signal to a child that has not been reaped.
    unsafe { libc::kill(child.id() as i32, signal) };
}

fn the_second_signal_ends_at_once() {
    let (mut child, _) = at_work("work_on_a_thread_for_ever");
    send(&child, libc::SIGINT);
    // The first has been noted when it is no longer pending; it leaves no other trace.
    let pending = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let bits = |name| status.lines().find_map(|line| line.strip_prefix(name)?.trim().chars().last());
        [bits("SigPnd:"), bits("ShdPnd:")] != [Some('0'); 2]
    };
    while pending() {
        std::thread::yield_now();
    }
    assert_eq!(child.try_wait().unwrap(), None);
    send(&child, libc::SIGTERM);
    // Two threads may have taken one signal each, and then either is the second.
    let code = child.wait().unwrap().code();
    assert!(code == Some(128 + libc::SIGTERM) || code == Some(128 + libc::SIGINT), "{code:?}");
}

fn a_signal_while_no_job_runs_ends_at_once() {
    let (mut child, _) = at_work("hold_nothing");
    send(&child, libc::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGINT));
}
