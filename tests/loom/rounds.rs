//! Dealer, journal and end barrier together, as the engine of processes uses them: each slice is dealt once, what is *done* is
//! there with its answer, and what a dead worker left is found missing.
#![allow(unsafe_code)]

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::barrier::Barrier;
use crate::dealer::Dealer;
use crate::journal::{Journal, SliceState};
use crate::patience::Patience;
use crate::slices::Schedule;
use crate::words::{AtomicU8, AtomicU32, AtomicU64, futex, step};
use crate::{Model, at_every_step, explore, models, spawn};

pub const MODELS: &[Model] = models![
    each_slice_is_dealt_once,
    a_death_deals_no_slice_twice,
    done_means_cells_and_answer_are_there,
    a_round_with_a_death_is_completed_by_the_next,
];

/// Schedules whose counter is shared, in the words of [`Schedule`].
fn schedules() -> impl Iterator<Item = Schedule> {
    ["dynamic", "dynamic=2", "guided"].into_iter().map(|name| name.parse().unwrap())
}

/// The words of a board, and the cells of an array that is one cell a slice.
struct Job {
    end: Barrier,
    dealt: AtomicU64,
    states: Vec<AtomicU32>,
    answers: Vec<AtomicU8>,
    cells: Vec<UnsafeCell<u8>>,
}

impl Job {
    fn new(slices: usize) -> Arc<Self> {
        Arc::new(Self {
            end: Barrier::default(),
            dealt: AtomicU64::default(),
            states: (0..slices).map(|_| AtomicU32::default()).collect(),
            answers: (0..slices).map(|_| AtomicU8::default()).collect(),
            cells: (0..slices).map(|_| UnsafeCell::new(0)).collect(),
        })
    }

    fn journal(&self) -> Journal<'_> {
        Journal { states: &self.states, answers: &self.answers }
    }

    /// What a worker does with a slice. Loom fails if another writes the cell.
    fn work(&self, rank: usize, slice: usize) {
        self.journal().take(rank, slice);
        step();
        self.cells[slice].with_mut(|cell| {
            // SAFETY: exclusive, or loom has just ended the model.
            unsafe { *cell = slice as u8 + 1 }
        });
        self.journal().finish(rank, slice, &[slice as u8 + 10]);
    }

    /// The slices that the journal does not call done.
    fn missing(&self) -> Vec<usize> {
        let done = |slice: &usize| matches!(self.journal().state(*slice), SliceState::Done { .. });
        (0..self.journal().states.len()).filter(|slice| !done(slice)).collect()
    }

    fn check_done(&self, slice: usize) {
        let seen = self.cells[slice].with(|cell| {
            // SAFETY: nobody writes it, or loom has just ended the model.
            unsafe { *cell }
        });
        let mut answer = [0];
        self.journal().read_answer(slice, &mut answer);
        assert_eq!((seen, answer), (slice as u8 + 1, [slice as u8 + 10]));
    }
}

/// Two workers take all that is dealt to them; loom fails if the same slice is written by both.
fn deal(schedule: Schedule, doom: Option<usize>) -> bool {
    const SLICES: usize = 3;
    let dealer = Dealer { schedule, slices: SLICES, workers: 2 };
    let (dealt, times) =
        (Arc::new(AtomicU64::default()), Arc::new(Vec::from_iter((0..SLICES).map(|_| UnsafeCell::new(0)))));
    let labour = |rank| {
        let (dealt, times) = (dealt.clone(), times.clone());
        move || {
            for slice in (0..).map_while(|runs| dealer.deal(&dealt, rank, runs)).flatten() {
                times[slice].with_mut(|times| {
                    // SAFETY: exclusive, or loom has just ended the model.
                    unsafe { *times += 1 }
                });
            }
        }
    };
    let doomed = spawn(doom, labour(0));
    labour(1)();
    let died = doomed.join().unwrap();
    let count = |slice: &UnsafeCell<i32>| {
        slice.with(|times| {
            // SAFETY: both workers are gone.
            unsafe { *times }
        })
    };
    // A dead worker begins what it was dealt, for it dies at the counter only.
    assert!(times.iter().all(|slice| count(slice) == 1));
    died
}

fn each_slice_is_dealt_once() {
    schedules().for_each(|schedule| explore(None, move || assert!(!deal(schedule, None))));
}

fn a_death_deals_no_slice_twice() {
    for schedule in schedules() {
        for steps in 0..4 {
            explore(None, move || {
                deal(schedule, Some(steps));
            });
        }
    }
}

/// The coordinator looks at the journal while a worker that may die works.
fn done_means_cells_and_answer_are_there() {
    at_every_step(None, |steps| {
        let job = Job::new(2);
        let there = job.clone();
        let worker = spawn(Some(steps), move || (0..2).for_each(|slice| there.work(0, slice)));
        for slice in [1, 0] {
            if matches!(job.journal().state(slice), SliceState::Done { .. }) {
                job.check_done(slice);
            }
        }
        let died = worker.join().unwrap();
        let missing = job.missing();
        assert_eq!(missing.is_empty(), !died);
        (0..2).filter(|slice| !missing.contains(slice)).for_each(|slice| job.check_done(slice));
        died
    });
}

/// A job of three slices: workers and coordinator meet at the end without the dead one, then the coordinator, for a second
/// round's worker, does what is missing: nobody else writes there any more.
fn a_round_with_a_death_is_completed_by_the_next() {
    at_every_step(Some(2), |steps| {
        let job = Job::new(3);
        let dealer = Dealer { schedule: Schedule::DYNAMIC, slices: 3, workers: 2 };
        let labour = |rank| {
            let job = job.clone();
            move || {
                for slice in (0..).map_while(|runs| dealer.deal(&job.dealt, rank, runs)).flatten() {
                    job.work(rank, slice);
                }
                job.end.meet(3, Patience::new(3, 1)).unwrap();
            }
        };
        let (doomed, other) = (spawn(Some(steps), labour(0)), spawn(None, labour(1)));
        let mut arrival = job.end.arrive(3);
        let died = doomed.join().unwrap();
        if died {
            job.end.withdraw();
        }
        while !job.end.crossed(&mut arrival).unwrap() {
            let (word, expected) = job.end.lie_down(&arrival);
            futex::wait(word, expected, None);
        }
        let missing = job.missing();
        assert!(missing.len() <= usize::from(died), "only what the dead worker had");
        missing.into_iter().for_each(|slice| job.work(2, slice));
        (0..3).for_each(|slice| job.check_done(slice));
        assert!(!other.join().unwrap());
        died
    });
}
