//! What a process has and needs around it: descriptors, children of its own, address space, and the coordinator.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::{Cause, Error, Job, Schedule, Shared};

use crate::support::{Page, Watched, nothing_left, play};
use crate::{BAD, SLICES, WORKERS, all_is_well, death, pause_for_ever, raise};

pub(crate) fn a_body_may_close_all_descriptors() {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).measure_memory(true);
            job.run(|_, mut slice| {
                // SAFETY: this process's own, and it uses none of them any more.
                unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
                slice[0] = 1;
            })
            .unwrap();
        });
        assert_eq!(array.as_slice(), [1; SLICES]);
    }
    death(
        || {
            // SAFETY: as above.
            unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
            panic!("in silence");
        },
        |_, text| assert!(text.contains("in silence"), "{text}"),
    );
}

/// Forks a grandchild that lives until the other end of `hold` is closed. Its pid.
fn beget(hold: &std::io::PipeReader) -> u64 {
    use std::os::fd::AsRawFd;
    // SAFETY: the child calls nothing but read and _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let mut byte = 0_u8;
        // SAFETY: one live byte.
        unsafe { libc::read(hold.as_raw_fd(), std::ptr::from_mut(&mut byte).cast(), 1) };
        // SAFETY: ends the process without touching its memory.
        unsafe { libc::_exit(0) };
    }
    pid as u64
}

pub(crate) fn a_grandchild_that_outlives_its_worker_is_not_waited_for() {
    grandchild(|| {}, |run| drop(run.unwrap()));
}

pub(crate) fn a_dead_worker_with_a_living_grandchild_is_noticed() {
    grandchild(
        || raise(libc::SIGKILL),
        |run| assert!(run.as_ref().is_err_and(|error| error.to_string().contains("SIGKILL")), "{run:?}"),
    );
}

fn grandchild(end: impl Fn(), check: impl Fn(parfork::Result<parfork::Answers<()>>)) {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let pid = Page::new();
        nothing_left(|| {
            let (held, hold) = std::io::pipe().unwrap();
            let run = parfork::fork(workers, &mut array, |w, _| {
                // SAFETY: the worker's own copy, or the grandchild would hold itself.
                unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&hold)) };
                if w.region().index() == BAD {
                    pid[0].store(beget(&held), Ordering::Release);
                    end();
                }
            });
            check(run);
            let alive = Watched::new(pid[0].load(Ordering::Acquire) as u32).expect("the grandchild lives on");
            drop(hold);
            assert!(alive.ends_within(Duration::from_secs(60)));
        });
        all_is_well();
    }
}

pub(crate) fn a_coordinator_that_ignores_its_childrens_ends_gets_results() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    for workers in WORKERS {
        all_is_well();
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| {
            let run = parfork::fork(workers, &mut array, |w, _| {
                if w.region().index() == BAD {
                    raise(libc::SIGKILL)
                }
            });
            run.unwrap_err()
        });
        let text = error.to_string();
        let Error::WorkerDied(death) = error else { panic!("{text}") };
        // The cause can be read as long as the kernel is not done with the dead.
        let seen = death.cause == Cause::Signalled { signal: libc::SIGKILL };
        assert!(seen || death.cause == Cause::Unknown, "{text}");
        assert!(seen || text.contains("Let this program's SIGCHLD handler leave parfork's children alone"), "{text}");
    }
}

pub(crate) fn a_worker_that_cannot_attach_says_why() {
    use nix::sys::resource::{Resource, setrlimit};
    let mut array = Shared::<u8, _>::zeros(64 << 20).unwrap();
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let now = pages.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 4096;
    // Room for what there is and the control page, but not for the array a second time.
    setrlimit(Resource::RLIMIT_AS, now + (16 << 20), now + (16 << 20)).unwrap();
    let error = nothing_left(|| parfork::fork(2, &mut array, |_, _| ()).unwrap_err());
    assert!(error.to_string().contains("map a lent array"), "{error}");
    assert!(error.to_string().contains("Cannot allocate memory") || error.to_string().contains("ENOMEM"), "{error}");
}

pub(crate) fn a_killed_coordinator_takes_its_workers_along() {
    for _ in 0..5 {
        let mut coordinator = play("surroundings::coordinate_for_ever").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(coordinator.stdout.take().unwrap()).lines();
        let workers: Vec<_> = (0..8).map(|_| lines.next().unwrap().unwrap().parse().unwrap()).collect();
        let workers: Vec<_> = workers.into_iter().map(|pid| Watched::new(pid).expect("a worker lives")).collect();
        coordinator.kill().unwrap();
        coordinator.wait().unwrap();
        assert!(workers.iter().all(|worker| worker.ends_within(Duration::from_secs(60))));
        // Nobody else has the pipe, so that it ends.
        assert!(lines.next().is_none());
    }
}

pub(crate) fn coordinate_for_ever() {
    let mut array = Shared::<u8, _>::zeros(8).unwrap();
    let job = Job::new(&mut array).workers(8).schedule(Schedule::Static);
    job.run(|w, _| {
        let line = format!("{}\n", std::process::id());
        // SAFETY: live bytes and their number.
        unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
        // Some asleep, some busy, some at a meeting.
        match w.rank() % 3 {
            0 => pause_for_ever(),
            1 => drop(w.barrier()),
            _ => loop {
                std::hint::spin_loop();
            },
        }
    })
    .unwrap();
}
