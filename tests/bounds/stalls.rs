//! Workers that take too long over a slice or do nothing at all, and those that take their place.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ndarray::Ix1;
use parfork::{Cause, Error, Job, Schedule, Shared};

use crate::support::{Page, no_children, nothing_left};
use crate::{LONG, at_work, loop_for_ever, signal_me, sleep_for_ever};

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

pub(crate) fn a_worker_that_loops_stops_or_sleeps_is_replaced() {
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

pub(crate) fn a_worker_that_always_loops_is_named() {
    let (cells, done) = job_with(loop_for_ever, u64::MAX, 1);
    let error = done.unwrap_err();
    let Error::WorkerDied(death) = &error else { panic!("{error:?}") };
    assert_eq!((death.slice.unwrap().0.index(), death.tries, death.done), (5, 2, 11));
    assert!(error.to_string().contains("kept the job waiting for longer than 300ms and was killed"), "{error}");
    assert_eq!(cells.as_slice().iter().filter(|&&cell| cell > 0).count(), 11);
}

pub(crate) fn without_retries_a_stalled_worker_ends_the_job() {
    for deed in [loop_for_ever as fn(), stop_me, sleep_for_ever] {
        let error = job_with(deed, 1, 0).1.unwrap_err();
        assert!(
            matches!(&error, Error::WorkerDied(death) if matches!(death.cause, Cause::Stalled { .. })),
            "{error:?}"
        );
    }
}

pub(crate) fn slices_within_their_time_are_left_alone() {
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

pub(crate) fn a_worker_that_waits_for_others_at_the_end_is_not_late() {
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

pub(crate) fn replacements_come_though_threads_run_by_then() {
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

pub(crate) fn replacements_come_though_the_fork_server_is_killed() {
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

/// It has none, and the others do everything; but what it did it has not said. A job that is told to try again goes on without it.
pub(crate) fn a_worker_that_stands_still_without_a_slice_is_told() {
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
pub(crate) fn work_for_a_while() {
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
pub(crate) fn a_job_that_was_stopped_as_a_whole_is_not_late() {
    let (mut child, mut lines) = at_work("stalls::work_for_a_while");
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
