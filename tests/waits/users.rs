//! Coordinators and workers that change their user. These cases need root, and say so where they have not.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid, setgid, setresuid, setuid};
use parfork::{Crew, Error, Job, Obstacle, Shared};

use crate::ends::end;
use crate::support::{Page, Watched, no_children, play};

const NOBODY: Uid = Uid::from_raw(65534);
const SOON: Duration = Duration::from_secs(60);

/// Whether this is root, which alone can become somebody else.
fn is_root() -> bool {
    let is_root = Uid::effective().is_root();
    if !is_root {
        println!("skipped: only root can change its user");
    }
    is_root
}

fn become_nobody() {
    setgid(Gid::from_raw(NOBODY.as_raw())).unwrap();
    setuid(NOBODY).unwrap();
}

pub(crate) fn a_crew_ends_with_a_coordinator_that_gave_up_root() {
    if !is_root() {
        return;
    }
    let (mut cells, began) = (Shared::<u8, _>::zeros(4).unwrap(), Instant::now());
    let mut crew = Crew::start(2).unwrap();
    crew.run(&mut cells, (), |_, (), mut slice| slice.fill(1)).unwrap();
    become_nobody();
    crew.run(&mut cells, (), |_, (), mut slice| slice.fill(2)).unwrap();
    assert_eq!(cells.as_slice(), [2; 4]);
    let job = Job::new(&mut cells).crew(&mut crew).deadline(Duration::from_millis(300));
    let failed = job.run_with((), |_, (), _| std::thread::sleep(SOON));
    assert!(matches!(failed, Err(Error::Deadline { .. })), "{:?}", failed.map(drop));
    drop(crew);
    no_children();
    assert!(began.elapsed() < SOON);
}

/// A part: it tells its workers' numbers, and waits to be killed.
pub(crate) fn give_up_root_and_wait() {
    let mut cells = Shared::<u8, _>::zeros(2).unwrap();
    let mut crew = Crew::start(2).unwrap();
    let pids = crew.run(&mut cells, (), |_, (), _| std::process::id()).unwrap();
    become_nobody();
    pids.iter().for_each(|pid| println!("{pid}"));
    std::thread::sleep(10 * SOON);
}

pub(crate) fn a_crew_ends_with_a_killed_coordinator_that_gave_up_root() {
    if is_root() {
        workers_end_with("users::give_up_root_and_wait", 1);
    }
}

/// A part: its workers are no longer ended by the kernel, and wait for each other.
pub(crate) fn work_as_nobody_and_wait() {
    let mut cells = Shared::<u8, _>::zeros(2).unwrap();
    Job::new(&mut cells)
        .workers(2)
        .split(parfork::Split::rows().into_pieces(2))
        .run(|w, _| {
            become_nobody();
            let line = format!("{}\n", std::process::id());
            // SAFETY: live bytes and their number.
            unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
            if w.rank() == 0 {
                // At the end, for the other one; which waits in a meeting that nobody else comes to.
                return;
            }
            let _ = w.barrier_timeout(10 * SOON);
        })
        .unwrap();
    std::thread::sleep(10 * SOON);
}

pub(crate) fn a_worker_that_changed_its_user_ends_with_its_coordinator() {
    if is_root() {
        workers_end_with("users::work_as_nobody_and_wait", 2);
    }
}

/// Kills a coordinator that has told the numbers of this many workers; these end.
fn workers_end_with(part: &str, many: usize) {
    let mut coordinator = play(part).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(coordinator.stdout.take().unwrap()).lines();
    let pids: Vec<u32> = lines.take(many).map(|line| line.unwrap().parse().unwrap()).collect();
    let workers: Vec<_> = pids.into_iter().filter_map(|pid| Watched::new(pid).ok()).collect();
    coordinator.kill().unwrap();
    coordinator.wait().unwrap();
    assert!(workers.iter().all(|worker| worker.ends_within(SOON)), "a worker outlives its coordinator");
}

/// Runs a job whose worker of rank 0 stays root and busy while this process gives that up for as long as the job lasts; its number,
/// what came of it, and how often a slice was begun.
fn with_a_worker_of_root(retries: u32) -> (u32, Error, u64) {
    let (mut cells, page) = (Shared::<u8, _>::zeros(2).unwrap(), Page::new());
    let began = Instant::now();
    let job = Job::new(&mut cells).workers(2).retries(retries).body_overwrites();
    let job = job.slice_deadline(Duration::from_millis(500)).progress(|_, _| {
        if page[0].load(Ordering::Acquire) != 0 && Uid::effective().is_root() {
            setresuid(NOBODY, NOBODY, Uid::from_raw(0)).unwrap();
        }
    });
    let failed = job.run(|w, _| {
        if w.region().index() == 0 {
            page[1].fetch_add(1, Ordering::AcqRel);
            page[0].store(u64::from(std::process::id()), Ordering::Release);
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    });
    setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).unwrap();
    assert!(began.elapsed() < SOON);
    let pid = page[0].load(Ordering::Acquire) as u32;
    (pid, failed.map(drop).unwrap_err(), page[1].load(Ordering::Acquire))
}

pub(crate) fn a_worker_that_may_not_be_ended_is_named_at_once() {
    if !is_root() {
        return;
    }
    let (pid, error, _) = with_a_worker_of_root(0);
    let text = error.to_string();
    let Error::Remaining { processes, error: Some(_) } = error else { panic!("{error}") };
    assert!(
        processes.len() == 1 && processes[0].pid == pid && processes[0].obstacle == Obstacle::NotPermitted,
        "{text}"
    );
    assert!(text.contains(&format!("process {pid} cannot be ended")) && text.contains("End it by hand"), "{text}");
    end(pid.into());
    let mut cells = Shared::<u8, _>::zeros(2).unwrap();
    parfork::fork(2, &mut cells, |_, _| ()).unwrap();
    no_children();
}

pub(crate) fn slices_of_a_worker_that_may_not_be_ended_are_not_given_again() {
    if !is_root() {
        return;
    }
    let (pid, error, begun) = with_a_worker_of_root(2);
    assert!(matches!(error, Error::Remaining { .. }) && error.to_string().contains(&pid.to_string()), "{error}");
    assert_eq!(begun, 1, "two workers had slice 0 at the same time");
    end(pid.into());
}
