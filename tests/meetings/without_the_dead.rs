//! Jobs that continue after a death: the rest meet without the dead.

use std::sync::atomic::Ordering;
use std::time::Duration;

use parfork::{Answers, Error};

use crate::support::{Page, nothing_left};
use crate::{job, kill_me, line, wait_for_ever};

/// Workers that meet ten times, some of which do a deed before meeting number `when`; each cell counts its worker's meetings.
fn go_on(workers: usize, deed: impl Fn(usize, u64) + Sync) -> (Vec<u64>, parfork::Result<Answers<()>>) {
    let mut cells = line(workers);
    let run = nothing_left(|| {
        job(&mut cells).continue_after_death(true).run(|w, mut cell| -> parfork::Result<()> {
            for meeting in 0..10 {
                deed(w.rank(), meeting);
                w.barrier()?;
                cell[0] += 1;
            }
            Ok(())
        })
    });
    (cells.as_slice().to_vec(), run)
}

/// The dead made so many meetings, all others all ten; the error names the first, and counts right.
fn went_on(cells: &[u64], dead: &[(usize, u64)], run: parfork::Result<Answers<()>>) -> String {
    for (rank, &met) in cells.iter().enumerate() {
        let expected = dead.iter().find(|(who, _)| *who == rank).map_or(10, |(_, met)| *met);
        assert_eq!(met, expected, "worker {rank}: {run:?}");
    }
    let error = run.unwrap_err();
    let text = error.to_string();
    let Error::WorkerDied(death) = error else { panic!("{error:?}") };
    assert_eq!((death.done, death.slices), (cells.len() - dead.len(), cells.len()), "{text}");
    let mut named: Vec<_> = death.others.iter().copied().chain([death.rank]).collect();
    named.sort_unstable();
    let mut ranks: Vec<_> = dead.iter().map(|(rank, _)| *rank).collect();
    ranks.sort_unstable();
    assert_eq!(named, ranks, "{text}");
    assert!(ranks.iter().all(|rank| text.contains(&format!("worker {rank}"))), "{text}");
    text
}

pub(crate) fn the_rest_go_on_without_the_dead() {
    for workers in [2, 3, 8] {
        for (who, when) in [(0, 0), (workers - 1, 0), (0, 5), (workers - 1, 9)] {
            // Before all others have come, at the same time, and as the last.
            for pause in [0, 10] {
                let (cells, run) = go_on(workers, |rank, meeting| {
                    if (rank, meeting) == (who, when) {
                        std::thread::sleep(Duration::from_millis(pause));
                        kill_me();
                    }
                });
                let text = went_on(&cells, &[(who, when)], run);
                assert!(text.starts_with(&format!("worker {who} (pid ")) && text.contains("SIGKILL"), "{text}");
            }
        }
    }
    // While it waits: killed by one that comes later.
    let (pids, coming) = (Page::new(), Page::new());
    for _ in 0..20 {
        coming[1].store(0, Ordering::Relaxed);
        let (cells, run) = go_on(4, |rank, meeting| {
            pids[rank].store(u64::from(std::process::id()), Ordering::Relaxed);
            coming[rank].store(meeting, Ordering::Relaxed);
            if (rank, meeting) == (3, 5) {
                while coming[1].load(Ordering::Relaxed) < 5 {
                    std::thread::yield_now();
                }
                // Most often it waits by then.
                std::thread::sleep(Duration::from_millis(5));
                // SAFETY: a signal to a worker.
                unsafe { libc::kill(pids[1].load(Ordering::Relaxed) as i32, libc::SIGKILL) };
            }
        });
        went_on(&cells, &[(1, 5)], run);
    }
}

/// Killed from outside between any two instructions of a meeting, while the others cross again and again.
pub(crate) fn a_death_at_any_moment_stops_nobody() {
    const ROUNDS: u64 = 300;
    for (workers, times) in [(2, 20), (3, 20), (5, 5)] {
        for time in 0..times {
            let (mut cells, pids) = (line(workers), Page::new());
            let run = nothing_left(|| {
                job(&mut cells).continue_after_death(true).run(|w, mut cell| -> parfork::Result<()> {
                    pids[w.rank()].store(u64::from(std::process::id()), Ordering::Relaxed);
                    for round in 0..ROUNDS {
                        w.barrier()?;
                        if w.rank() == 0 && round == 20 + time * 7 {
                            (0..time * 29).for_each(|_| std::hint::spin_loop());
                            // SAFETY: a signal to a worker, which has met and so has stored its number.
                            unsafe { libc::kill(pids[1].load(Ordering::Relaxed) as i32, libc::SIGKILL) };
                        }
                        cell[0] += 1;
                    }
                    Ok(())
                })
            });
            assert!(cells.as_slice().iter().enumerate().all(|(rank, &met)| rank == 1 || met == ROUNDS), "{run:?}");
            assert!(matches!(run, Err(Error::WorkerDied(death)) if death.rank == 1 && death.done == workers - 1));
        }
    }
}

pub(crate) fn the_rest_go_on_without_one_that_panicked() {
    let (cells, run) = go_on(4, |rank, meeting| assert!((rank, meeting) != (2, 3), "expected, of one"));
    let text = went_on(&cells, &[(2, 3)], run);
    assert!(text.contains("expected, of one"), "{text}");
}

pub(crate) fn the_rest_go_on_when_all_but_one_die() {
    let (cells, run) = go_on(6, |rank, meeting| {
        if rank > 0 && meeting == rank as u64 {
            kill_me();
        }
    });
    went_on(&cells, &[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)], run);
    // All at once, and none left.
    let (cells, run) = go_on(6, |_, meeting| {
        if meeting == 2 {
            kill_me();
        }
    });
    went_on(&cells, &[(0, 2), (1, 2), (2, 2), (3, 2), (4, 2), (5, 2)], run);
}

pub(crate) fn the_rest_go_on_without_some_of_hundreds() {
    for workers in [150, 300] {
        let dead: Vec<_> = (0..workers).filter(|rank| rank % 9 == 4).map(|rank| (rank, rank as u64 % 10)).collect();
        let (cells, run) = go_on(workers, |rank, meeting| {
            if dead.contains(&(rank, meeting)) {
                kill_me();
            }
        });
        went_on(&cells, &dead, run);
    }
}

pub(crate) fn going_on_is_not_for_those_who_return() {
    let mut cells = line(4);
    let error = nothing_left(|| {
        let job = job(&mut cells).continue_after_death(true);
        job.run(|w, _| if w.rank() == 1 { Ok(()) } else { w.barrier() }).unwrap_err()
    });
    let Error::BodyFailed(refusal) = &error else { panic!("{error:?}") };
    assert!(refusal.reason.contains("worker 1 will not come: it has returned"), "{error}");
}

/// It dies when it has returned from its body, at the end barrier.
pub(crate) fn a_death_with_nothing_missing_is_no_error() {
    let pids = Page::new();
    let mut cells = line(3);
    let done = nothing_left(|| {
        let job = job(&mut cells).continue_after_death(true);
        job.run(|w, mut cell| {
            cell[0] = 1;
            pids[w.rank()].store(u64::from(std::process::id()), Ordering::Relaxed);
            if w.rank() == 2 {
                std::thread::sleep(Duration::from_millis(50));
                // SAFETY: a signal to a worker.
                unsafe { libc::kill(pids[0].load(Ordering::Relaxed) as i32, libc::SIGKILL) };
                std::thread::sleep(Duration::from_millis(50));
            }
        })
        .unwrap()
    });
    assert_eq!(cells.as_slice(), [1; 3]);
    assert_eq!(done.report().deaths.iter().map(|death| death.rank).collect::<Vec<_>>(), [0]);
}

pub(crate) fn the_dead_are_not_missed_when_time_is_up() {
    let mut cells = line(4);
    let error = nothing_left(|| {
        let job = job(&mut cells).continue_after_death(true);
        job.run(|w, _| -> parfork::Result<()> {
            match w.rank() {
                1 => kill_me(),
                2 => wait_for_ever(),
                _ => {}
            }
            w.barrier_timeout(Duration::from_secs(2))
        })
        .unwrap_err()
    });
    // Whose time is up first, and whose error comes first, is left to chance; both know who was missing.
    let said = error.to_string();
    let own = said.contains("2 of 3 came within 2s: worker 2 did not");
    let told = said.contains("would not wait any longer: 2 of 3 came, worker 2 did not");
    assert!(own || told, "{error}");
}
