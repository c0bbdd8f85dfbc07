//! Jobs with retries whose workers meet: who dies before anybody has come to a meeting is replaced, and all meet then; later nobody is.

use std::sync::atomic::Ordering;

use parfork::{BarrierError, Crew, Error, Slice, Worker};

use crate::support::{Page, nothing_left};
use crate::{job, kill_me, line};

type Cell<'c> = Slice<'c, u64, ndarray::Ix1>;

/// Adds to its cell before and after a meeting. The last worker dies the first `times` times, before the meeting, and the others come when
/// that is known: `words` are how often it has begun, and the process that died last.
fn meet(w: &Worker<'_>, words: &Page, times: u64, mut cell: Cell<'_>) -> parfork::Result<u64> {
    cell[0] += 1;
    if w.rank() == w.workers() - 1 {
        let before = words[0].fetch_add(1, Ordering::Relaxed);
        if before < times {
            die(words, before);
        }
    } else {
        wait_for_deaths(words, (words[3 + w.rank()].fetch_add(1, Ordering::Relaxed) + 1).min(times));
    }
    let sum = w.all(w.rank() as u64 + 1)?.iter().sum();
    cell[0] += 1;
    w.barrier()?;
    Ok(sum)
}

/// Dies for the `before + 1`th time.
fn die(words: &Page, before: u64) {
    words[1].store(u64::from(std::process::id()), Ordering::Relaxed);
    words[SEEN].store(0, Ordering::Relaxed);
    words[2].store(before + 1, Ordering::Release);
    kill_me();
}

/// How often the coordinator has told progress since the last one was dead.
const SEEN: usize = 20;

/// What the coordinator does when it tells progress, which it does after it has looked for deaths.
fn look(words: &Page) -> impl FnMut(usize, usize) {
    move |_, _| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", words[1].load(Ordering::Relaxed)));
        // Or reaped, by the fork server.
        if words[1].load(Ordering::Relaxed) > 0 && stat.map_or(true, |stat| stat.contains(") Z ")) {
            words[SEEN].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Until the coordinator knows that a worker died for the so manieth time, and has decided what becomes of the job.
fn wait_for_deaths(words: &Page, times: u64) {
    while times > 0 && (words[2].load(Ordering::Acquire) < times || words[SEEN].load(Ordering::Relaxed) < 3) {
        std::thread::yield_now();
    }
}

pub(crate) fn who_dies_before_all_meet_is_replaced_and_then_they_do() {
    for (workers, times) in [1, 2, 5].into_iter().flat_map(|workers| [1, 2].map(|times| (workers, times))) {
        let (mut cells, words) = (line(workers), Page::new());
        let done = nothing_left(|| {
            let job = job(&mut cells).retries(2).restore_outputs().progress(look(&words));
            job.run(|w, cell| meet(w, &words, times, cell))
        });
        let done = done.unwrap_or_else(|error| panic!("{workers} workers, {times} deaths: {error}"));
        let sum = (workers * (workers + 1) / 2) as u64;
        assert!(done.iter().all(|&all| all == sum), "{done:?}");
        assert_eq!(done.report().deaths.len() as u64, times);
        // What those had done who were called back was put back.
        assert!(cells.as_slice().iter().all(|&cell| cell == 2), "{:?}", cells.as_slice());
    }
}

pub(crate) fn a_crew_replaces_who_dies_before_all_meet() {
    static WORDS: std::sync::OnceLock<Page> = std::sync::OnceLock::new();
    let words = WORDS.get_or_init(Page::new);
    let mut crew = Crew::start(3).unwrap();
    for _ in 0..3 {
        (0..8).for_each(|word| words[word].store(0, Ordering::Relaxed));
        let mut cells = line(3);
        let job = job(&mut cells).crew(&mut crew).retries(1).restore_outputs().progress(look(words));
        let done = job.run_with((), |w, (), cell| meet(w, WORDS.get().expect("made before"), 1, cell)).unwrap();
        assert_eq!((done.report().deaths.len(), done.sum()), (1, 18));
        assert_eq!(cells.as_slice(), [2; 3]);
    }
}

/// Without a meeting others go on to their end, and what is left is one slice, or some.
pub(crate) fn who_does_not_meet_is_replaced_alone() {
    for dead in [&[1][..], &[0, 3], &[0, 1, 2, 3]] {
        let (mut cells, begun) = (line(4), Page::new());
        let done = nothing_left(|| {
            job(&mut cells).retries(1).body_overwrites().run(|w, mut cell| {
                let slice = w.region().index();
                if begun[slice].fetch_add(1, Ordering::Relaxed) == 0 && dead.contains(&slice) {
                    kill_me();
                }
                cell[0] = slice as u64 + 1;
            })
        });
        assert_eq!(done.unwrap().report().deaths.len(), dead.len());
        assert_eq!(cells.as_slice(), [1, 2, 3, 4]);
        let times = (0..4).map(|slice| begun[slice].load(Ordering::Relaxed));
        assert!(times.enumerate().all(|(slice, times)| times == 1 + u64::from(dead.contains(&slice))));
    }
}

pub(crate) fn who_is_tried_again_meets_nobody_who_has_returned() {
    let (mut cells, begun) = (line(3), Page::new());
    let failed = nothing_left(|| {
        let body = |w: &Worker<'_>, _: Cell<'_>| match w.region().index() {
            1 if begun[0].fetch_add(1, Ordering::Relaxed) == 0 => {
                kill_me();
                Ok(())
            }
            1 => w.barrier(),
            _ => Ok(()),
        };
        job(&mut cells).retries(1).body_overwrites().run(body).unwrap_err()
    });
    let Error::BodyFailed(failure) = &failed else { panic!("{failed}") };
    assert!(failure.reason.contains("worker 0 will not come: it has returned"), "{failed}");
}

/// A body that makes nothing of the error has not done its slice all the same.
pub(crate) fn a_slice_that_is_called_back_is_done_again_whatever_its_body_answers() {
    let (mut cells, words) = (line(2), Page::new());
    let done = nothing_left(|| {
        job(&mut cells).retries(1).body_overwrites().progress(look(&words)).run(|w, mut cell| {
            if w.rank() == 1 {
                if words[0].fetch_add(1, Ordering::Relaxed) == 0 {
                    die(&words, 0);
                }
            } else {
                wait_for_deaths(&words, 1);
            }
            cell[0] = match w.barrier() {
                Ok(()) => 1,
                Err(Error::Barrier(BarrierError::CalledBack)) => 2,
                Err(_) => 3,
            };
            cell[0]
        })
    });
    assert_eq!(done.unwrap()[..], [1, 1]);
    assert_eq!(cells.as_slice(), [1, 1]);
}

pub(crate) fn a_slice_that_kills_all_before_they_meet_is_named() {
    for workers in [1, 2, 4] {
        let mut cells = line(workers);
        let failed = nothing_left(|| {
            let job = job(&mut cells).retries(2).body_overwrites();
            job.run(|w, _| -> parfork::Result<()> {
                if w.region().index() == 0 {
                    kill_me();
                }
                w.barrier()
            })
            .unwrap_err()
        });
        let Error::WorkerDied(death) = &failed else { panic!("{failed}") };
        assert_eq!(death.slice.map(|slice| slice.0.index()), Some(0), "{failed}");
        // Once, if others have come to the meeting by then.
        assert!((1..=3).contains(&death.tries), "{failed}");
    }
}
