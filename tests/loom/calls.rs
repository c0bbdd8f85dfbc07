//! Workers who stay: each call is heard, also by one who falls asleep just then; who has come to the end of a job and waits for
//! the next one comes once more when somebody dies before that end; and what a job is can be read by whoever hears of it.
#![allow(unsafe_code)]

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::barrier::Barrier;
use crate::call::Call;
use crate::ears::Ears;
use crate::patience::Patience;
use crate::words::{AtomicU64, Ordering, futex, step};
use crate::{Model, at_every_step, explore, models, spawn};

pub const MODELS: &[Model] = models![
    a_call_comes_just_as_one_falls_asleep,
    two_workers_do_a_job_each_their_part,
    one_dies_and_the_other_has_come_to_the_end,
];

/// What is on a board, a bill of one number, and what each of two workers makes of it.
struct Place {
    call: Call,
    job: AtomicU64,
    end: Barrier,
    bill: UnsafeCell<u64>,
    made: [UnsafeCell<u64>; 2],
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            call: Call::default(),
            job: AtomicU64::default(),
            end: Barrier::default(),
            bill: UnsafeCell::new(0),
            made: [UnsafeCell::new(0), UnsafeCell::new(0)],
        })
    }

    /// A worker's life of so many jobs, with so many participants.
    fn live(self: Arc<Self>, rank: usize, jobs: u64, participants: u32) {
        let mut ears = Ears::new(Patience::new(9, 1), self.call.heard(), 0);
        for job in 1..=jobs {
            ears.listen(&self.call, &self.job, &self.end);
            assert_eq!(ears.job(), job);
            step();
            let told = self.bill.with(|bill| {
                // SAFETY: nobody writes it, or loom has just ended the model.
                unsafe { *bill }
            });
            self.made[rank].with_mut(|made| {
                // SAFETY: exclusive, or loom has just ended the model.
                unsafe { *made = told }
            });
            ears.come(self.end.arrive(participants));
        }
        // Until it is told to leave.
        ears.listen(&self.call, &self.job, &self.end);
        assert_eq!(ears.job(), u64::MAX);
    }

    /// Tells what a job is, and calls. Loom fails if somebody may still be reading of the one before.
    fn tell(&self, job: u64) {
        self.bill.with_mut(|bill| {
            // SAFETY: exclusive, or loom has just ended the model.
            unsafe { *bill = job * 10 }
        });
        self.job.store(job, Ordering::Release);
        self.call.out();
    }

    /// Tells all to leave.
    fn dismiss(&self) {
        self.job.store(u64::MAX, Ordering::Release);
        self.call.out();
    }

    /// The coordinator's part of a job's end, while workers may die: what `about_it` does then.
    fn attend(&self, participants: u32, about_it: impl FnOnce(&Self)) {
        let mut arrival = self.end.arrive(participants);
        about_it(self);
        while !self.end.crossed(&mut arrival).unwrap() {
            let (word, expected) = self.end.lie_down(&arrival);
            futex::wait(word, expected, None);
        }
    }

    /// As `Board::withdraw`.
    fn withdraw(&self) {
        self.end.withdraw();
        self.call.out();
    }

    fn check(&self, ranks: std::ops::Range<usize>, job: u64) {
        for rank in ranks {
            let made = self.made[rank].with(|made| {
                // SAFETY: nobody writes it, or loom has just ended the model.
                unsafe { *made }
            });
            assert_eq!(made, job * 10);
        }
    }
}

fn a_call_comes_just_as_one_falls_asleep() {
    explore(Some(4), || {
        let place = Place::new();
        let there = place.clone();
        let worker = spawn(None, move || there.live(0, 2, 2));
        for job in 1..=2 {
            place.tell(job);
            place.attend(2, |_| ());
            place.check(0..1, job);
        }
        place.dismiss();
        assert!(!worker.join().unwrap());
    });
}

fn two_workers_do_a_job_each_their_part() {
    explore(Some(1), || {
        let place = Place::new();
        let workers = [0, 1].map(|rank| {
            let there = place.clone();
            spawn(None, move || there.live(rank, 1, 3))
        });
        place.tell(1);
        place.attend(3, |_| ());
        place.check(0..2, 1);
        place.dismiss();
        workers.into_iter().for_each(|worker| assert!(!worker.join().unwrap()));
    });
}

/// Worker 0 dies before each of its steps, or has come to the end and will do nothing more.
fn one_dies_and_the_other_has_come_to_the_end() {
    at_every_step(Some(1), |steps| {
        let place = Place::new();
        let (doomed, other) = (place.clone(), place.clone());
        let doomed = spawn(Some(steps), move || {
            let mut ears = Ears::new(Patience::new(9, 1), doomed.call.heard(), 0);
            ears.listen(&doomed.call, &doomed.job, &doomed.end);
            step();
            ears.come(doomed.end.arrive(3));
        });
        let other = spawn(None, move || other.live(1, 1, 3));
        place.tell(1);
        let mut died = false;
        place.attend(3, |place| {
            died = doomed.join().unwrap();
            if died {
                place.withdraw();
            }
        });
        place.check(1..2, 1);
        place.dismiss();
        assert!(!other.join().unwrap());
        died
    });
}
