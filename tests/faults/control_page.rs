//! A worker that writes over the control page, which it shares with the coordinator, and what it can hide by that.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::{Error, Job, Shared};

use crate::support::nothing_left;
use crate::{BAD, SLICES, WORKERS, all_is_well, raise};

/// Where the control page is: the only segment that a worker has at the coordinator's address, readable and writable.
fn board() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().rev().find(|line| line.contains("rw-s") && line.contains("memfd:parfork"));
    let (start, end) = line.unwrap().split_whitespace().next().unwrap().split_once('-').unwrap();
    let number = |text| usize::from_str_radix(text, 16).unwrap();
    (number(start), number(end))
}

/// The control page's words, to lie in.
fn board_words() -> &'static [std::sync::atomic::AtomicU32] {
    let (start, end) = board();
    let words = std::ptr::with_exposed_provenance(start);
    // SAFETY: mapped as long as this worker lives; all use of these words is atomic.
    unsafe { std::slice::from_raw_parts(words, (end - start) / 4) }
}

/// A worker gone mad can spoil results, and can keep the others from meeting until the deadline. It cannot crash the
/// coordinator, nor hide a death from it. The loan is for reading, so that the control page is all that is shared and writable.
pub(crate) fn a_board_of_lies_ends_the_job() {
    let array = Shared::<u8, _>::zeros(SLICES).unwrap();
    let words = [0, 1, 2, 3, 5, 0xff, 0x7fff_ffff, 0x8000_0001, 0x4000_0000, u32::MAX];
    for (lie, workers) in words.iter().flat_map(|&lie| [1, 2, 8].map(|workers| (lie, workers))) {
        for (step, dies) in [(1, false), (1, true), (3, false), (7, true)] {
            nothing_left(|| {
                let patience = if dies { Duration::from_secs(20) } else { Duration::from_millis(50) };
                let job = Job::new(&array).workers(workers).deadline(patience);
                let run = job.run(|w, _| {
                    if w.region().index() == BAD {
                        board_words().iter().step_by(step).for_each(|word| word.store(lie, Ordering::Relaxed));
                        if dies {
                            raise(libc::SIGKILL);
                        }
                    }
                });
                let late = dies && matches!(run, Err(Error::Deadline { .. }));
                assert!(!late, "{workers} workers, every {step}th word {lie:#x}: nobody noticed the death");
            });
        }
    }
    all_is_well();
}

pub(crate) fn a_lie_in_an_obituary_hides_no_death() {
    for (workers, mark) in WORKERS.into_iter().flat_map(|workers| [0, 0x8000_0000].map(|mark| (workers, mark))) {
        let array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&array).workers(workers).deadline(Duration::from_secs(10));
            let run = job.run(|w, _| {
                if w.region().index() == BAD {
                    // Its own word holds its own number; another's there, and the kernel leaves the word alone.
                    let own = std::process::id() | 0x8000_0000;
                    for word in board_words().iter().filter(|word| word.load(Ordering::Relaxed) == own) {
                        word.store(0x1234 | mark, Ordering::Relaxed);
                    }
                    raise(libc::SIGKILL);
                }
            });
            run.unwrap_err()
        });
        assert!(error.to_string().contains("SIGKILL"), "{error}");
    }
}
