//! Processes that have not ended, or not quite.

use nix::sys::wait::{Id, WaitPidFlag};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::unistd::Pid;
use parfork::{Crew, Error, Job, Schedule, Shared, Split};

use crate::support::{Page, Watched, no_children};

/// Longer than anything here may be waited for.
const LONG: u32 = 3600;

/// Far less than that, and far more than the job takes.
const SOON: Duration = Duration::from_secs(60);

/// Leaves a child behind, as daemon(3) and many a library do; its number.
fn leave_a_daemon() -> u64 {
    // SAFETY: the child sleeps, and does nothing else.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: integers; it keeps none of the test's pipes.
        unsafe { libc::close_range(0, 2, 0) };
        // SAFETY: touches nothing.
        unsafe { libc::sleep(LONG) };
        // SAFETY: ends the child without touching its memory.
        unsafe { libc::_exit(0) }
    }
    child as u64
}

/// Ends a process that a worker has left behind.
pub(crate) fn end(pid: u64) {
    let watched = Watched::new(pid as u32).expect("it lives");
    // SAFETY: a number that was its own a line ago; it is nobody's child who reaps here.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    assert!(watched.ends_within(SOON));
}

pub(crate) fn a_daemon_of_a_crews_body_is_not_waited_for() {
    let (mut cells, page, began) = (Shared::<u64, _>::zeros(2).unwrap(), Page::new(), Instant::now());
    let mut crew = Crew::start(1).unwrap();
    let daemons = crew.run(&mut cells, (), |w, (), _| if w.region().index() == 0 { leave_a_daemon() } else { 0 });
    page[0].store(daemons.unwrap().iter().sum(), Ordering::Relaxed);
    drop(crew);
    assert!(began.elapsed() < SOON);
    no_children();
    end(page[0].load(Ordering::Relaxed));
}

pub(crate) fn a_daemon_of_a_replacement_is_not_waited_for() {
    let (mut cells, page, began) = (Shared::<u64, _>::zeros(2).unwrap(), Page::new(), Instant::now());
    let job = Job::new(&mut cells).workers(1).retries(1).body_overwrites().deadline(SOON / 2);
    let done = job.run(|w, _| {
        if w.region().index() == 0 {
            if page[0].fetch_add(1, Ordering::Relaxed) == 0 {
                std::process::abort();
            }
            page[1].store(leave_a_daemon(), Ordering::Relaxed);
        }
    });
    assert_eq!(done.unwrap().report().deaths.len(), 1);
    assert!(began.elapsed() < SOON);
    no_children();
    end(page[1].load(Ordering::Relaxed));
}

/// `waitid` tells of the stops of a child that its parent traces, and a body can make its parent do so.
pub(crate) fn a_stop_is_not_an_end() {
    let mut cells = Shared::<u8, _>::zeros(4).unwrap();
    let split = Split::rows().into_pieces(2);
    let job = Job::new(&mut cells).workers(2).split(split).schedule(Schedule::Static).deadline(Duration::from_secs(2));
    let failed = job.run(|w, _| {
        if w.rank() == 0 {
            ptrace::traceme().unwrap();
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGWINCH).unwrap();
        }
        w.rank()
    });
    assert!(matches!(failed, Err(Error::Deadline { .. })), "{:?}", failed.map(drop));
    no_children();
}

/// Whom another process traces its parent cannot reap before that one lets go of it.
pub(crate) fn a_worker_that_is_traced_to_its_end_is_not_waited_for() {
    let (mut cells, page, began) = (Shared::<u8, _>::zeros(4).unwrap(), Page::new(), Instant::now());
    let split = Split::rows().into_pieces(2);
    let job = Job::new(&mut cells).workers(2).split(split).schedule(Schedule::Static).deadline(Duration::from_secs(2));
    let failed = job.run(|w, _| {
        if w.rank() == 0 {
            // SAFETY: integers. Fails where the kernel needs no such permission.
            unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
            let worker = Pid::this();
            // SAFETY: the child makes a few system calls and sleeps.
            match unsafe { libc::fork() } {
                0 => {
                    let seized = ptrace::seize(worker, ptrace::Options::empty());
                    // SAFETY: integers.
                    unsafe { libc::close_range(0, 2, 0) };
                    page[1].store(1 + u64::from(seized.is_err()), Ordering::Release);
                    // SAFETY: an integer.
                    unsafe { libc::sleep(LONG) };
                    // SAFETY: ends the process.
                    unsafe { libc::_exit(0) };
                }
                tracer => page[0].store(tracer as u64, Ordering::Release),
            }
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    });
    assert!(began.elapsed() < SOON);
    assert!(matches!(failed, Err(Error::Deadline { .. })), "{:?}", failed.map(drop));
    assert_eq!(page[1].load(Ordering::Acquire), 1, "nobody traced it");
    end(page[0].load(Ordering::Acquire));
    // Reaped since, or by the next fork.
    while parfork::fork(1, &mut cells, |_, _| ()).is_ok() {
        let looks = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if nix::sys::wait::waitid(Id::All, looks).is_err() {
            break;
        }
    }
    no_children();
}
