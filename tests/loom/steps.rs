//! Steps: two workers with a slice each, which read each other's cells of the step before and write over what the other has read. Loom
//! fails if anybody reads a cell that somebody may be writing.
#![allow(unsafe_code)]

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::atomic::{AtomicU32, AtomicU64, Ordering, futex, step};
use crate::doorbell::Doorbell;
use crate::spin_policy::SpinPolicy;
use crate::step_count::StepCount;
use crate::{Model, at_every_step, explore, models, spawn};

pub const MODELS: &[Model] =
    models![each_waits_for_the_step_before, one_dies_and_the_other_is_called_back, a_count_that_is_not_right_is_damage];

/// What is on a control page, and the two planes of two cells.
struct Place {
    counts: [AtomicU64; 2],
    bells: [Doorbell; 2],
    recall: AtomicU32,
    planes: [[UnsafeCell<u64>; 2]; 2],
}

/// What a cell becomes of itself and the other.
fn next(own: u64, other: u64) -> u64 {
    3 * own + 5 * other + 1
}

impl Place {
    fn new() -> Arc<Self> {
        let place = Self {
            counts: Default::default(),
            bells: Default::default(),
            recall: AtomicU32::default(),
            planes: [[UnsafeCell::new(1), UnsafeCell::new(2)], [UnsafeCell::new(0), UnsafeCell::new(0)]],
        };
        (0..2).for_each(|slice| place.count(slice).clear());
        Arc::new(place)
    }

    fn count(&self, slice: usize) -> StepCount<'_> {
        StepCount { word: &self.counts[slice], key: 42, slice, most: 2 }
    }

    fn read(&self, step: u32, slice: usize) -> u64 {
        self.planes[step as usize % 2][slice].with(|cell| {
            // SAFETY: nobody writes it, or loom has just ended the model.
            unsafe { *cell }
        })
    }

    fn write(&self, step: u32, slice: usize, value: u64) {
        self.planes[step as usize % 2][slice].with_mut(|cell| {
            // SAFETY: exclusive, or loom has just ended the model.
            unsafe { *cell = value }
        });
    }

    /// Does what is left of a slice's steps, of so many; whether it was called back before.
    fn work(&self, slice: usize, steps: u32) -> bool {
        let (own, other) = (self.count(slice), 1 - slice);
        for number in own.done().unwrap()..steps {
            let look = || match self.recall.load(Ordering::Acquire) {
                0 => Ok(()),
                _ => Err(()),
            };
            let sleep = |word: &AtomicU32, asleep| futex::wait(word, asleep, None);
            let waited = self.count(other).wait(
                number,
                &self.bells[other],
                SpinPolicy::new(9, 1),
                || panic!("nobody has written over it"),
                look,
                sleep,
            );
            if waited.is_err() {
                return true;
            }
            let value = next(self.read(number, slice), self.read(number, other));
            step();
            self.write(number + 1, slice, value);
            assert!(own.count(number));
            self.bells[slice].ring();
        }
        false
    }

    /// The cells after so many steps, when nobody works.
    fn check(&self, steps: u32) {
        let right = (0..steps).fold([1, 2], |[one, two], _| [next(one, two), next(two, one)]);
        assert_eq!([self.read(steps, 0), self.read(steps, 1)], right);
    }
}

fn each_waits_for_the_step_before() {
    explore(Some(3), || {
        let place = Place::new();
        let workers = [0, 1].map(|slice| {
            let there = place.clone();
            spawn(None, move || assert!(!there.work(slice, 2)))
        });
        workers.into_iter().for_each(|worker| assert!(!worker.join().unwrap()));
        place.check(2);
    });
}

/// Worker 0 dies before each of its steps. What is left is done by others when both are past their work.
fn one_dies_and_the_other_is_called_back() {
    at_every_step(Some(2), |steps| {
        let place = Place::new();
        let (doomed, other) = (place.clone(), place.clone());
        let doomed = spawn(Some(steps), move || assert!(!doomed.work(0, 2)));
        let other = spawn(None, move || {
            let _called_back = other.work(1, 2);
        });
        let died = doomed.join().unwrap();
        if died {
            place.recall.store(1, Ordering::Release);
            place.bells.iter().for_each(Doorbell::ring_for_the_dead);
        }
        assert!(!other.join().unwrap());
        place.recall.store(0, Ordering::Release);
        let done = [0, 1].map(|slice| place.count(slice).done().unwrap());
        assert!(done[0].abs_diff(done[1]) <= 1, "{done:?}");
        // One worker has both slices now, and goes through them step by step.
        (1..=2).for_each(|step| (0..2).for_each(|slice| assert!(!place.work(slice, step))));
        place.check(2);
        died
    });
}

fn a_count_that_is_not_right_is_damage() {
    explore(None, || {
        let place = Place::new();
        place.counts[0].store(place.count(0).word_of(3), Ordering::Relaxed);
        assert_eq!(place.count(0).done(), None, "more than there are");
        place.counts[1].store(place.count(0).word_of(7), Ordering::Relaxed);
        let waited = place.count(1).wait(
            1,
            &place.bells[1],
            SpinPolicy::new(9, 1),
            || "damaged",
            || Ok(()),
            |_, _| panic!("it knows at once"),
        );
        assert_eq!((waited, place.count(1).count(0)), (Err("damaged"), false));
    });
}
