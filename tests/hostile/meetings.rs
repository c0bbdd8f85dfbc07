//! A meeting that never comes about, with a coordinator that works too and waits there; and one that only takes long.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::{Cause, Crew, Error, Job, Schedule, Shared, Slice, Split, Worker};

use super::support::{control_page, nothing_left};

const WIPES: u64 = 0;
const LOOPS: u64 = 1;
const STOPS: u64 = 2;
const DIES: u64 = 3;
const MEETS: u64 = 4;

/// All meet twice; in between, when the coordinator is asleep at the second meeting, worker 0 does its deed.
fn body(w: &Worker<'_>, [deed, coordinator]: [u64; 2], mut cells: Slice<'_, u64, ndarray::Ix2>) -> Result<(), String> {
    let meet = || w.barrier().map_err(|error| error.to_string());
    meet()?;
    *cells += 1;
    if w.rank() == 0 {
        while deed != MEETS && !is_asleep(coordinator) {
            std::thread::yield_now();
        }
        match deed {
            WIPES => control_page().iter().skip(64).take(4096).for_each(|word| word.store(0, Ordering::Relaxed)),
            LOOPS => loop {
                std::hint::spin_loop();
            },
            // SAFETY: stops or ends this worker.
            STOPS => drop(unsafe { libc::raise(libc::SIGSTOP) }),
            // SAFETY: as above.
            DIES => drop(unsafe { libc::raise(libc::SIGKILL) }),
            _ => {}
        }
    }
    meet()
}

fn is_asleep(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().trim_start().starts_with('S')
}

/// Deaths, deadlines and wiped words, each of which must end the job, and leave a crew that works.
pub(crate) fn a_coordinator_at_a_meeting_waits_for_nothing_in_vain() {
    let own = u64::from(std::process::id());
    let soon = Duration::from_millis(200);
    nothing_left(|| {
        let mut crew = Crew::start(2).unwrap();
        crew.coordinator_works(true);
        let mut run = |deed: u64, deadline: Option<Duration>, slices: Option<Duration>| {
            let mut cells = Shared::<u64, ndarray::Ix2>::zeros((3, 64)).unwrap();
            let job = Job::new(&mut cells).split(Split::rows().into_pieces(3)).schedule(Schedule::Static);
            let job = job.crew(&mut crew).workers(3).deadline(deadline.unwrap_or(Duration::MAX));
            let job = if let Some(limit) = slices { job.slice_deadline(limit) } else { job };
            job.run_with([deed, own], body).map(drop)
        };
        for _ in 0..3 {
            let done = run(WIPES, None, None);
            assert!(done.is_err(), "wiped");
            for deed in [LOOPS, STOPS] {
                let done = run(deed, Some(soon), None);
                assert!(matches!(done, Err(Error::Deadline { .. })), "deed {deed}, deadline: {done:?}");
                let done = run(deed, None, Some(soon));
                let Err(Error::WorkerDied(death)) = &done else { panic!("deed {deed}, deadline for slices: {done:?}") };
                assert!(matches!(death.cause, Cause::Stalled { .. }), "{death:?}");
            }
            let done = run(DIES, None, None);
            assert!(matches!(&done, Err(Error::WorkerDied(death)) if death.rank == 0), "{done:?}");
            run(MEETS, None, None).unwrap();
        }
    });
}

/// A worker that somebody has stopped at a meeting, and continues later, while the others are asleep: all they wait for is it.
pub(crate) fn a_stopped_worker_is_no_damage() {
    let mut cells = Shared::<u64, ndarray::Ix2>::zeros((2, 64)).unwrap();
    let job = Job::new(&mut cells).split(Split::rows().into_pieces(2)).schedule(Schedule::Static).workers(2);
    let done = job.run(|w, mut cells| {
        *cells += 1;
        for meeting in 0..2 {
            if w.rank() == 1 && meeting == 0 {
                stop_for_a_second(w);
            }
            w.barrier().map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    });
    done.unwrap();
}

/// Stops the other worker, which waits at a meeting, comes there, and lets a child continue it after a second.
fn stop_for_a_second(w: &Worker<'_>) {
    let _ = w;
    let parent = std::fs::read_to_string("/proc/self/stat").unwrap();
    let parent: u64 = parent.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let own = std::process::id().to_string();
    let other: i32 = children.split_whitespace().find(|&pid| pid != own).unwrap().parse().unwrap();
    while !is_asleep(other as u64) {
        std::thread::yield_now();
    }
    // SAFETY: signals to a sibling that lives as long as this worker does not meet it again.
    unsafe { libc::kill(other, libc::SIGSTOP) };
    // As long as any standstill is looked at.
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        // SAFETY: as above.
        unsafe { libc::kill(other, libc::SIGCONT) };
    });
}
