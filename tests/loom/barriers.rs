//! The barrier: nobody hangs, nobody overtakes, what was written before a meeting is visible after.
#![allow(unsafe_code)]

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::atomic::{futex, step};
use crate::barrier::{Barrier, Broken};
use crate::spin_policy::SpinPolicy;
use crate::{Model, at_every_step, at_every_step_from, explore, is_tried, models, spawn, spawn_watched};

pub const MODELS: &[Model] = models![
    two_meet,
    one_falls_asleep_just_as_the_last_crosses,
    three_meet,
    one_of_two_dies_and_is_withdrawn,
    one_of_three_dies_and_is_withdrawn,
    two_of_three_die_and_are_withdrawn,
    one_of_two_dies_and_it_breaks,
    one_of_three_dies_and_it_breaks,
    one_dies_while_it_breaks_it,
    one_dies_while_it_leaves,
    time_is_up_just_when_the_last_comes,
];

/// A barrier, and what each participant writes before it and reads after.
struct Place {
    barrier: Barrier,
    cells: Vec<UnsafeCell<u32>>,
}

impl Place {
    fn new(participants: usize) -> Arc<Self> {
        Arc::new(Self { barrier: Barrier::default(), cells: (0..participants).map(|_| UnsafeCell::new(0)).collect() })
    }

    fn arrive_and_wait(&self) -> Result<(), Broken> {
        self.barrier.arrive_and_wait(self.cells.len() as u32, SpinPolicy::new(self.cells.len(), 1))
    }

    /// Loom fails if somebody else may be reading it or writing it.
    fn write(&self, rank: usize, value: u32) {
        step();
        self.cells[rank].with_mut(|cell| {
            // SAFETY: exclusive, or loom has just ended the model.
            unsafe { *cell = value }
        });
    }

    /// Reads what those wrote who are sure to have come. Loom fails if one of them may be writing, or has written unseen.
    fn read(&self, ranks: impl Iterator<Item = usize>, value: u32) {
        for rank in ranks {
            let seen = self.cells[rank].with(|cell| {
                // SAFETY: nobody writes it, or loom has just ended the model.
                unsafe { *cell }
            });
            assert_eq!(seen, value);
        }
    }

    /// Writes, meets, reads what others wrote.
    fn share(&self, rank: usize, doomed: &[usize], round: u32) -> Result<(), Broken> {
        self.write(rank, round);
        self.arrive_and_wait()?;
        self.read((0..self.cells.len()).filter(|other| *other == rank || !doomed.contains(other)), round);
        Ok(())
    }
}

/// All live; between rounds they meet, so that what one wrote is not written again before all have read it.
fn meetings(participants: usize, rounds: u32, interruptions: Option<usize>) {
    explore(interruptions, move || {
        let place = Place::new(participants);
        let live = |rank| {
            let place = place.clone();
            move || {
                for round in 1..=rounds {
                    place.share(rank, &[], round).unwrap();
                    place.arrive_and_wait().unwrap();
                }
            }
        };
        let others: Vec<_> = (1..participants).map(|rank| spawn(None, live(rank))).collect();
        live(0)();
        others.into_iter().for_each(|other| assert!(!other.join().unwrap()));
    });
}

fn two_meet() {
    meetings(2, 2, Some(3));
}

fn three_meet() {
    meetings(3, 1, Some(1));
}

/// One that has found nothing new says so and falls asleep, while the other comes, crosses and wakes only those who have said
/// so; twice, for what was said of the first crossing must not be missing at the second.
fn one_falls_asleep_just_as_the_last_crosses() {
    explore(Some(4), || {
        let place = Place::new(2);
        let there = place.clone();
        let last = spawn(None, move || (1..=2).for_each(|round| there.share(1, &[0], round).unwrap()));
        for _ in 0..2 {
            let mut arrival = place.barrier.arrive(2);
            while !place.barrier.crossed(&mut arrival).unwrap() {
                let (word, expected) = place.barrier.prepare_to_sleep(&arrival);
                futex::wait(word, expected, None);
            }
        }
        assert!(!last.join().unwrap());
    });
}

/// They meet `times` times, and worker 0 dies before each of its steps, after which the
/// coordinator does what is to be done about it.
fn death(participants: usize, times: u32, interruptions: Option<usize>, about_it: fn(&Barrier), error: Option<Broken>) {
    at_every_step(interruptions, move |steps| {
        let place = Place::new(participants);
        let live = |rank| {
            let place = place.clone();
            move || {
                let met =
                    (1..times).try_fold((), |(), _| place.arrive_and_wait()).and_then(|()| place.share(rank, &[0], 1));
                if let Some(error) = error {
                    // With an error there is no meeting ever after, not even with oneself.
                    assert!(met.is_ok() || (met == Err(error) && place.arrive_and_wait() == Err(error)));
                } else {
                    met.unwrap();
                }
            }
        };
        let there = place.clone();
        let doomed = spawn_watched(Some(steps), live(0), move || about_it(&there.barrier));
        let others: Vec<_> = (2..participants).map(|rank| spawn(None, live(rank))).collect();
        live(1)();
        others.into_iter().for_each(|other| assert!(!other.join().unwrap()));
        doomed.join().unwrap()
    });
}

fn one_of_two_dies_and_is_withdrawn() {
    death(2, 2, Some(3), Barrier::withdraw, None);
}

fn one_of_three_dies_and_is_withdrawn() {
    death(3, 1, Some(2), Barrier::withdraw, None);
}

fn one_of_two_dies_and_it_breaks() {
    death(2, 2, Some(3), |barrier| barrier.break_for(Some(0)), Some(Broken { by: Some(0) }));
}

fn one_of_three_dies_and_it_breaks() {
    death(3, 1, Some(2), |barrier| barrier.break_for(Some(0)), Some(Broken { by: Some(0) }));
}

fn two_of_three_die_and_are_withdrawn() {
    for first in (0..).filter(|&first| is_tried(first)) {
        let outlived = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let noted = outlived.clone();
        // The barrier knows no ranks: whichever of the two dies after fewer steps, the story is the same, so the first does.
        at_every_step_from(first, Some(1), move |second| {
            let place = Place::new(3);
            let live = |rank| {
                let place = place.clone();
                move || place.share(rank, &[0, 1], 1).unwrap()
            };
            let spawn = |rank, doom| {
                let place = place.clone();
                spawn_watched(Some(doom), live(rank), move || place.barrier.withdraw())
            };
            let doomed = [spawn(0, first), spawn(1, second)];
            live(2)();
            let [one, other] = doomed.map(|worker| worker.join().unwrap());
            if one {
                noted.store(false, std::sync::atomic::Ordering::Relaxed);
            }
            other
        });
        if outlived.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
    }
}

/// A worker that fails and tells the others, and dies before it has woken them.
fn one_dies_while_it_breaks_it() {
    at_every_step(None, |steps| {
        let place = Place::new(2);
        let (own, its) = (place.clone(), place.clone());
        let fail = move || {
            own.write(0, 1);
            own.barrier.break_for(Some(0));
        };
        let doomed = spawn_watched(Some(steps), fail, move || its.barrier.break_for(Some(0)));
        assert_eq!(place.arrive_and_wait(), Err(Broken { by: Some(0) }));
        doomed.join().unwrap()
    });
}

/// A worker that comes to no more meetings, after one at which the other may have gone to sleep: that is woken, by whoever left
/// or, if it died before it could, by who looks after deaths.
fn one_dies_while_it_leaves() {
    at_every_step(Some(3), |steps| {
        let place = Place::new(2);
        let (own, its) = (place.clone(), place.clone());
        let leave = move || {
            own.arrive_and_wait().unwrap();
            own.barrier.leave(0);
        };
        let doomed = spawn_watched(Some(steps), leave, move || its.barrier.break_for(Some(0)));
        let _ = place.arrive_and_wait();
        assert_eq!(place.arrive_and_wait(), Err(Broken { by: Some(0) }));
        doomed.join().unwrap()
    });
}

/// Both have met, or both are told that one would not wait.
fn time_is_up_just_when_the_last_comes() {
    explore(None, || {
        let place = Place::new(2);
        let there = place.clone();
        let last = loom::thread::spawn(move || {
            there.write(1, 1);
            there.arrive_and_wait()
        });
        place.write(0, 1);
        let mut arrival = place.barrier.arrive(2);
        place.barrier.break_off(&arrival, 0);
        let met = place.barrier.crossed(&mut arrival);
        match met {
            Ok(crossed) => {
                assert!(crossed);
                place.read(0..2, 1);
            }
            Err(broken) => assert_eq!(broken, Broken { by: Some(0) }),
        }
        assert_eq!(last.join().unwrap(), met.map(|_| ()));
    });
}
