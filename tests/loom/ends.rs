//! Arrival by rank: the coordinator goes on when all who live have come, sees what they did, and is woken for it in every order; a
//! worker that dies before any of its steps is not waited for, and what it had done of arriving makes no difference.
#![allow(unsafe_code)]

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::atomic::{AtomicU64, Ordering, futex, step};
use crate::end::{Arrival, End, EndedEarly, RoundKey, WorkDigest};
use crate::spin_policy::SpinPolicy;
use crate::{Model, at_every_step, explore, models, spawn};

pub const MODELS: &[Model] = models![
    one_comes_just_as_the_coordinator_falls_asleep,
    one_of_two_dies_and_is_not_waited_for,
    one_of_three_dies_and_is_not_waited_for,
    one_gives_up_just_as_the_coordinator_falls_asleep,
    the_coordinator_lets_go_who_has_come,
    it_is_told_of_what_was_done_just_as_it_falls_asleep,
];

/// What is on a control page, and a cell of each worker's.
pub struct Place {
    pub end: End,
    pub arrivals: Vec<Arrival>,
    cells: Vec<UnsafeCell<u64>>,
}

impl Place {
    fn new(workers: usize) -> Arc<Self> {
        let arrivals = (0..workers).map(|_| Arrival::default()).collect();
        Arc::new(Self { end: End::default(), arrivals, cells: (0..workers).map(|_| UnsafeCell::new(0)).collect() })
    }

    fn round_key(round: u64) -> RoundKey {
        RoundKey { key: 42, round }
    }

    /// A worker's part of a round. Loom fails if somebody else may be at the cell.
    fn work(&self, rank: usize, round: u64) {
        step();
        self.cells[rank].with_mut(|cell| {
            // SAFETY: exclusive, or loom has just ended the model.
            unsafe { *cell = round }
        });
        self.end.arrive(&self.arrivals[rank], Self::round_key(round), rank, WorkDigest::default(), self.arrivals.len());
    }

    /// The coordinator's: waits for all but the dead as [`attend`] does, and reads what they did.
    fn attend(&self, round: u64, dead: &[usize]) -> Result<(), EndedEarly> {
        attend(&self.end, &self.arrivals, Self::round_key(round), dead)?;
        for (rank, cell) in self.cells.iter().enumerate().filter(|(rank, _)| !dead.contains(rank)) {
            let seen = cell.with(|cell| {
                // SAFETY: nobody writes it, or loom has just ended the model.
                unsafe { *cell }
            });
            assert_eq!(seen, round, "of {rank}");
            assert!(self.arrivals[rank].has_done(Self::round_key(round), rank, WorkDigest::default()));
        }
        Ok(())
    }
}

/// Waits until all have come but the dead, in the order of `engines/supervise.rs`: it looks, says that it sleeps, looks once more, and
/// sleeps.
pub fn attend(end: &End, arrivals: &[Arrival], round_key: RoundKey, dead: &[usize]) -> Result<(), EndedEarly> {
    let have_come = || {
        arrivals.iter().enumerate().all(|(rank, arrival)| dead.contains(&rank) || arrival.has_arrived(round_key, rank))
    };
    let mut bell = None;
    loop {
        if let Some(over) = end.over() {
            return Err(over);
        }
        if have_come() {
            return Ok(());
        }
        match bell.take() {
            None => bell = Some(end.prepare_to_sleep()),
            Some((word, expected)) => futex::wait(word, expected, None),
        }
    }
}

fn one_comes_just_as_the_coordinator_falls_asleep() {
    explore(None, || {
        let place = Place::new(1);
        let there = place.clone();
        let worker = spawn(None, move || there.work(0, 1));
        place.attend(1, &[]).unwrap();
        assert!(!worker.join().unwrap());
    });
}

fn death(workers: usize, interruptions: Option<usize>) {
    at_every_step(interruptions, move |steps| {
        let place = Place::new(workers);
        let live = |rank, doom| {
            let there = place.clone();
            spawn(doom, move || there.work(rank, 1))
        };
        let doomed = live(0, Some(steps));
        let others: Vec<_> = (1..workers).map(|rank| live(rank, None)).collect();
        let died = doomed.join().unwrap();
        let dead: &[usize] = if died && !place.arrivals[0].has_arrived(Place::round_key(1), 0) { &[0] } else { &[] };
        if died {
            place.end.count_dead();
        }
        place.attend(1, dead).unwrap();
        others.into_iter().for_each(|other| assert!(!other.join().unwrap()));
        died
    });
}

fn one_of_two_dies_and_is_not_waited_for() {
    death(2, None);
}

fn one_of_three_dies_and_is_not_waited_for() {
    death(3, Some(2));
}

fn one_gives_up_just_as_the_coordinator_falls_asleep() {
    explore(Some(2), || {
        let place = Place::new(2);
        let (there, other) = (place.clone(), place.clone());
        let fails = spawn(None, move || there.end.give_up(Some(0)));
        let comes = spawn(None, move || other.work(1, 1));
        assert_eq!(place.attend(1, &[]), Err(EndedEarly { by: Some(0) }));
        assert!(!fails.join().unwrap() && !comes.join().unwrap());
    });
}

fn the_coordinator_lets_go_who_has_come() {
    for released in [true, false] {
        explore(None, move || {
            let place = Place::new(1);
            let there = place.clone();
            let worker = spawn(None, move || {
                there.work(0, 1);
                assert_eq!(there.end.wait_for_release(SpinPolicy::new(2, 1)), released);
            });
            place.attend(1, &[]).unwrap();
            if released {
                place.end.release()
            } else {
                place.end.give_up(None)
            }
            assert!(!worker.join().unwrap());
        });
    }
}

/// In the order of `attend`: it looks for what was done, says that it sleeps, looks once more, and sleeps. Two tell it of something each.
fn it_is_told_of_what_was_done_just_as_it_falls_asleep() {
    explore(Some(3), || {
        let place = Place::new(2);
        let done = Arc::new([AtomicU64::default(), AtomicU64::default()]);
        let tell = |rank: usize| {
            let (there, done) = (place.clone(), done.clone());
            spawn(None, move || {
                done[rank].store(1, Ordering::Release);
                there.end.tell();
            })
        };
        let workers = [tell(0), tell(1)];
        let mut bell = None;
        while done.iter().any(|word| word.load(Ordering::Acquire) == 0) {
            match bell.take() {
                None => bell = Some(place.end.prepare_to_sleep()),
                Some((word, expected)) => futex::wait(word, expected, None),
            }
        }
        workers.into_iter().for_each(|worker| assert!(!worker.join().unwrap()));
    });
}
