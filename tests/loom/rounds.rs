//! Dealer, slice table and end together, as the engine of processes uses them: each slice is dealt once, what is *done* is
//! there with its answer, and what a dead worker left is found missing.
#![allow(unsafe_code)]

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::atomic::{AtomicU64, Ordering, step};
use crate::dealer::Dealer;
use crate::end::{Arrival, End, RoundKey, WorkDigest};
use crate::ends::attend;
use crate::slice_table::{SliceState, SliceTable};
use crate::slices::Schedule;
use crate::{Model, at_every_step, explore, models, spawn};

pub const MODELS: &[Model] = models![
    each_slice_is_dealt_once,
    a_death_deals_no_slice_twice,
    a_slice_that_is_dealt_twice_is_taken_once,
    done_means_cells_and_answer_are_there,
    a_round_with_a_death_is_completed_by_the_next,
];

/// Schedules whose counter is shared, in the words of [`Schedule`].
fn schedules() -> impl Iterator<Item = Schedule> {
    ["dynamic", "dynamic=2", "guided"].into_iter().map(|name| name.parse().unwrap())
}

/// The words of a control page, and the cells of an array that is one cell a slice.
struct Job {
    end: End,
    arrivals: [Arrival; 2],
    dealt: AtomicU64,
    states: Vec<AtomicU64>,
    answers: Vec<AtomicU64>,
    cells: Vec<UnsafeCell<u8>>,
}

impl Job {
    fn new(slices: usize) -> Arc<Self> {
        let job = Self {
            end: End::default(),
            arrivals: Default::default(),
            dealt: AtomicU64::default(),
            states: (0..slices).map(|_| AtomicU64::default()).collect(),
            answers: (0..slices).map(|_| AtomicU64::default()).collect(),
            cells: (0..slices).map(|_| UnsafeCell::new(0)).collect(),
        };
        job.slice_table().clear();
        Arc::new(job)
    }

    fn slice_table(&self) -> SliceTable<'_> {
        SliceTable { states: &self.states, answers: &self.answers, key: 42 }
    }

    /// What a worker does with a slice that it was dealt: the word that says that it is done, unless it was not free. Loom fails if
    /// another writes the cell.
    fn work(&self, rank: usize, slice: usize) -> Option<u64> {
        self.slice_table().take(rank, slice)?;
        step();
        self.cells[slice].with_mut(|cell| {
            // SAFETY: exclusive, or loom has just ended the model.
            unsafe { *cell = slice as u8 + 1 }
        });
        self.slice_table().finish(rank, slice, false, [slice as u64 + 10].into_iter())
    }

    fn state(&self, slice: usize) -> SliceState {
        self.slice_table().read(slice, |_, _| ()).1
    }

    /// The slices that are not done, and what they are.
    fn missing(&self) -> Vec<(usize, SliceState)> {
        let states = (0..self.states.len()).map(|slice| (slice, self.state(slice)));
        states.filter(|(_, state)| !matches!(state, SliceState::Done { .. })).collect()
    }

    fn check_done(&self, slice: usize) {
        let seen = self.cells[slice].with(|cell| {
            // SAFETY: nobody writes it, or loom has just ended the model.
            unsafe { *cell }
        });
        let mut answer = 0;
        let (_, state) = self.slice_table().read(slice, |_, word| answer = word);
        assert!(matches!(state, SliceState::Done { .. }), "{state:?}");
        assert_eq!((seen, answer), (slice as u8 + 1, slice as u64 + 10));
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

/// The coordinator looks at the slice table while a worker that may die works.
fn done_means_cells_and_answer_are_there() {
    at_every_step(None, |steps| {
        let job = Job::new(2);
        let there = job.clone();
        let worker = spawn(Some(steps), move || (0..2).for_each(|slice| assert!(there.work(0, slice).is_some())));
        for slice in [1, 0] {
            if matches!(job.state(slice), SliceState::Done { .. }) {
                job.check_done(slice);
            }
        }
        let died = worker.join().unwrap();
        let missing = job.missing();
        assert_eq!(missing.is_empty(), !died);
        (0..2).filter(|slice| missing.iter().all(|(other, _)| other != slice)).for_each(|slice| job.check_done(slice));
        died
    });
}

/// Whoever was lied to about what is free: of two that are dealt the same slice one has it, and the other knows that it has not.
fn a_slice_that_is_dealt_twice_is_taken_once() {
    explore(None, || {
        let job = Job::new(1);
        let there = job.clone();
        let counted = Arc::new(AtomicU64::default());
        let count = counted.clone();
        let other = spawn(None, move || {
            count.fetch_add(there.work(0, 0).is_some().into(), Ordering::Relaxed);
        });
        counted.fetch_add(job.work(1, 0).is_some().into(), Ordering::Relaxed);
        assert!(!other.join().unwrap());
        assert_eq!(counted.load(Ordering::Relaxed), 1);
        job.check_done(0);
    });
}

/// A job of three slices: the coordinator waits for all but the dead one, then does, for a second round's worker, what is missing:
/// nobody else writes there any more.
fn a_round_with_a_death_is_completed_by_the_next() {
    let round_key = |round| RoundKey { key: 42, round };
    at_every_step(Some(2), move |steps| {
        let job = Job::new(3);
        let dealer = Dealer { schedule: Schedule::DYNAMIC, slices: 3, workers: 2 };
        let labour = |rank: usize| {
            let job = job.clone();
            move || {
                let mut digest = WorkDigest::default();
                for slice in (0..).map_while(|runs| dealer.deal(&job.dealt, rank, runs)).flatten() {
                    digest.add(job.work(rank, slice).unwrap());
                }
                job.end.arrive(&job.arrivals[rank], round_key(0), rank, digest, 2);
            }
        };
        let (doomed, other) = (spawn(Some(steps), labour(0)), spawn(None, labour(1)));
        let died = doomed.join().unwrap();
        let dead: &[usize] = if died { &[0] } else { &[] };
        dead.iter().for_each(|_| job.end.count_dead());
        attend(&job.end, &job.arrivals, round_key(0), dead).unwrap();
        let missing = job.missing();
        assert!(missing.len() <= usize::from(died), "only what the dead worker had");
        for (slice, state) in missing {
            assert!(matches!(state, SliceState::Free | SliceState::Taken { rank: 0 }));
            job.slice_table().enter(slice, SliceState::Free);
            job.work(2, slice).unwrap();
        }
        (0..3).for_each(|slice| job.check_done(slice));
        assert!(!other.join().unwrap());
        died
    });
}
