//! The words of slices turned back to what they were before others did these: they are done once more, and say so like any other.
//! Only what each worker says of itself at the end tells it.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::{Answers, Error, Job, Shared, Worker};

use super::madness::{SLICES, states};
use super::support::{Page, control_page, nothing_left};

/// How many workers have begun.
const BEGUN: usize = 0;
/// The worker of slice 0 has seen the page.
const SEEN: usize = 1;
/// It has turned the page back.
const TURNED: usize = 2;
/// The process of slice 2.
const OTHER: usize = 3;

/// How many slices are dealt when each of three workers has one, and when each but one has been told that there are no more.
const EARLY: u32 = 3;
const LATE: u32 = SLICES as u32 + 1;

/// Two workers come to no end, and a deadline ends them, when every slice is said to be done. One of them did all but three, the
/// third worker did these again.
pub(crate) fn a_job_is_not_done_that_its_deadline_ended() {
    let done = job(false);
    assert!(matches!(done, Err(Error::Deadline { done: SLICES, .. })), "{done:?}");
}

/// As above; but these two die.
pub(crate) fn a_job_is_not_done_in_which_one_died_that_had_not_come() {
    let done = job(true);
    assert!(matches!(&done, Err(Error::WorkerDied(death)) if death.done == SLICES), "{done:?}");
}

/// What comes of the job. Its deadline must be long enough for the page to be turned back, which on a busy machine may take long.
fn job(they_die: bool) -> parfork::Result<Answers<()>> {
    let jobs = [3, 12, 48].map(|seconds| move || attempt(they_die, Duration::from_secs(seconds)));
    jobs.into_iter().find_map(|job| job()).expect("the page was turned back")
}

/// As above, if the page was turned back in time.
fn attempt(they_die: bool, deadline: Duration) -> Option<parfork::Result<Answers<()>>> {
    let flags = Page::new();
    let mut cells = Shared::<u64, ndarray::Ix2>::zeros((SLICES, 64)).unwrap();
    let job = Job::new(&mut cells).workers(3).schedule("dynamic".parse().unwrap()).deadline(deadline);
    let done = nothing_left(|| {
        job.run(|w: &Worker<'_>, mut cells| {
            *cells += 1;
            match w.region().index() {
                0 => turn_back(&flags, they_die),
                1 => begin(&flags, TURNED),
                2 => {
                    flags[OTHER].store(std::process::id().into(), Ordering::Relaxed);
                    stay(|| {});
                    begin(&flags, SEEN);
                }
                _ => {}
            }
        })
    });
    (flags[TURNED].load(Ordering::Relaxed) == 1).then_some(done)
}

/// Waits until the three have begun, and for a flag.
fn begin(flags: &Page, flag: usize) {
    flags[BEGUN].fetch_add(1, Ordering::Relaxed);
    until(|| flags[flag].load(Ordering::Relaxed) > 0);
}

fn turn_back(flags: &Page, they_die: bool) {
    flags[BEGUN].fetch_add(1, Ordering::Relaxed);
    until(|| flags[BEGUN].load(Ordering::Relaxed) == 3);
    let word = |at: usize| control_page()[at].load(Ordering::Relaxed);
    let (journal, all) = (states() / 4, control_page().len());
    let before: Vec<u32> = (0..all).map(word).collect();
    flags[SEEN].store(1, Ordering::Relaxed);
    let mut dealt = None;
    until(|| {
        dealt = (0..journal).find(|&at| before[at] == EARLY && word(at) == LATE);
        dealt.is_some()
    });
    for at in (journal + 2 * EARLY as usize..journal + 2 * SLICES).chain(dealt) {
        control_page()[at].store(before[at], Ordering::Relaxed);
    }
    flags[TURNED].store(1, Ordering::Relaxed);
    until(|| dealt.is_some_and(|dealt| word(dealt) == LATE));
    let (other, own) = (flags[OTHER].load(Ordering::Relaxed) as i32, std::process::id() as i32);
    let taken = word(journal);
    stay(move || {
        if they_die {
            // Done with its slice, that is.
            until(|| control_page()[journal].load(Ordering::Relaxed) != taken);
            for pid in [other, own] {
                // SAFETY: signals to this process and to its sibling, which its parent has not waited for.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        }
    });
}

/// Keeps this worker from leaving, by a thread that does something `then`: before a worker says what it has done it writes out what
/// its bodies have printed, and waits for the lock.
fn stay(then: impl FnOnce() + Send + 'static) {
    let (held, is_held) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lock = std::io::stdout().lock();
        let _ = lock.flush();
        held.send(()).unwrap();
        then();
        loop {
            std::thread::park();
        }
    });
    is_held.recv().unwrap();
}

fn until(mut it_is_so: impl FnMut() -> bool) {
    while !it_is_so() {
        std::thread::yield_now();
    }
}
