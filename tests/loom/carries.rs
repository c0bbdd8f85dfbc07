//! What slices hand on: two workers take slices in order, and each of these is given what the one before hands on. Nobody sleeps for ever,
//! nobody is given anything else, and what one that dies leaves is given the same again.

use std::sync::Arc;

use crate::atomic::{AtomicU32, AtomicU64, Ordering, futex, step};
use crate::carried::{Carried, WORDS};
use crate::doorbell::Doorbell;
use crate::spin_policy::SpinPolicy;
use crate::{Model, at_every_step, explore, models, spawn};

pub const MODELS: &[Model] = models![
    each_is_given_what_the_one_before_hands_on,
    one_dies_and_those_who_wait_for_it_are_called_back,
    two_places_in_turn_are_enough,
];

/// What is on a control page.
struct Place {
    dealt: AtomicU64,
    words: Vec<[AtomicU64; WORDS]>,
    bell: Doorbell,
    dead: AtomicU32,
    recall: AtomicU32,
    /// 1 of each slice that is done.
    done: Vec<AtomicU32>,
}

/// What slice `slice` makes of what it is given.
fn next(given: u64, slice: usize) -> u64 {
    3 * given + slice as u64 + 1
}

/// What it is given.
fn given(slice: usize) -> u64 {
    (0..slice).fold(5, next)
}

impl Place {
    fn new(slices: usize, places: usize) -> Arc<Self> {
        Arc::new(Self {
            dealt: AtomicU64::default(),
            words: (0..places).map(|_| Default::default()).collect(),
            bell: Doorbell::default(),
            dead: AtomicU32::default(),
            recall: AtomicU32::default(),
            done: (0..slices).map(|_| AtomicU32::default()).collect(),
        })
    }

    fn carried(&self, slice: usize) -> Carried<'_> {
        Carried { place: &self.words[slice % self.words.len()], key: 42, slice }
    }

    /// Does one slice; false if it was called back.
    fn work_on(&self, slice: usize) -> bool {
        let mut value = 5_u64.to_ne_bytes();
        if slice > 0 {
            let look = |is_to_sleep: bool| {
                if self.recall.load(Ordering::Acquire) != 0 {
                    return Err(());
                }
                if is_to_sleep && self.dead.load(Ordering::Acquire) != 0 {
                    self.recall.store(1, Ordering::Release);
                    self.bell.ring_for_the_dead();
                    return Err(());
                }
                Ok(())
            };
            let sleep = |word: &AtomicU32, asleep| futex::wait(word, asleep, None);
            let before = self.carried(slice - 1);
            if before.wait(&mut value, &self.bell, SpinPolicy::new(9, 1), look, sleep).is_err() {
                return false;
            }
        }
        assert_eq!(u64::from_ne_bytes(value), given(slice));
        let after = next(u64::from_ne_bytes(value), slice).to_ne_bytes();
        let (carried, mut handed_on) = (self.carried(slice), [0; 8]);
        match carried.read(&mut handed_on) {
            true => assert_eq!(handed_on, after),
            false => carried.write(&after),
        }
        self.bell.ring();
        step();
        self.done[slice].store(1, Ordering::Release);
        true
    }

    /// Does all that it is dealt, until it is called back.
    fn work(&self) {
        loop {
            let slice = self.dealt.fetch_add(1, Ordering::Relaxed) as usize;
            if slice >= self.done.len() || !self.work_on(slice) || self.recall.load(Ordering::Acquire) != 0 {
                return;
            }
        }
    }

    /// Does what is left, when nobody else works.
    fn do_the_rest(&self) {
        self.recall.store(0, Ordering::Release);
        self.dead.store(0, Ordering::Release);
        let left = (0..self.done.len()).filter(|&slice| self.done[slice].load(Ordering::Acquire) == 0);
        left.for_each(|slice| assert!(self.work_on(slice)));
    }
}

fn each_is_given_what_the_one_before_hands_on() {
    explore(Some(3), || {
        let place = Place::new(3, 3);
        let workers = [place.clone(), place.clone()].map(|place| spawn(None, move || place.work()));
        workers.into_iter().for_each(|worker| assert!(!worker.join().unwrap()));
        assert!((0..3).all(|slice| place.done[slice].load(Ordering::Acquire) == 1));
    });
}

/// One dies before each of its steps, before, in and after it hands on. What is left is done when all are past their work.
fn one_dies_and_those_who_wait_for_it_are_called_back() {
    at_every_step(Some(2), |steps| {
        let place = Place::new(3, 3);
        let (doomed, other) = (place.clone(), place.clone());
        let doomed = spawn(Some(steps), move || doomed.work());
        let other = spawn(None, move || other.work());
        let died = doomed.join().unwrap();
        if died {
            place.dead.store(1, Ordering::Release);
            place.bell.ring_for_the_dead();
        }
        assert!(!other.join().unwrap());
        place.do_the_rest();
        died
    });
}

/// Where nothing is tried again: who comes to write has read the value of the slice before, so that nobody needs the one before that.
fn two_places_in_turn_are_enough() {
    explore(Some(2), || {
        let place = Place::new(4, 2);
        let workers = [place.clone(), place.clone()].map(|place| spawn(None, move || place.work()));
        workers.into_iter().for_each(|worker| assert!(!worker.join().unwrap()));
        assert!((0..4).all(|slice| place.done[slice].load(Ordering::Acquire) == 1));
    });
}
