//! Workers who stay: each call is heard, also by one who falls asleep just then; who has come to the end of a job waits for the next
//! one, whoever dies; and what a job is can be read by whoever hears of it.
#![allow(unsafe_code)]

use std::sync::Arc;

use loom::cell::UnsafeCell;

use crate::atomic::{AtomicU64, Ordering, step};
use crate::doorbell::Doorbell;
use crate::end::{Arrival, End, RoundKey, WorkDigest};
use crate::ends::attend;
use crate::job_waiter::JobWaiter;
use crate::spin_policy::SpinPolicy;
use crate::{Model, at_every_step, explore, models, spawn};

pub const MODELS: &[Model] = models![
    a_call_comes_just_as_one_falls_asleep,
    two_workers_do_a_job_each_their_part,
    one_dies_and_the_other_has_come_to_the_end,
];

/// What is on a control page, a descriptor of one number, and what each of two workers makes of it.
struct Place {
    doorbell: Doorbell,
    job: AtomicU64,
    end: End,
    arrivals: Vec<Arrival>,
    bill: UnsafeCell<u64>,
    made: [UnsafeCell<u64>; 2],
}

impl Place {
    fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            doorbell: Doorbell::default(),
            job: AtomicU64::default(),
            end: End::default(),
            arrivals: (0..workers).map(|_| Arrival::default()).collect(),
            bill: UnsafeCell::new(0),
            made: [UnsafeCell::new(0), UnsafeCell::new(0)],
        })
    }

    /// Says that a worker has come to the end of a job.
    fn come(&self, rank: usize, round: u64) {
        let round_key = RoundKey { key: 42, round };
        self.end.arrive(&self.arrivals[rank], round_key, rank, WorkDigest::default(), self.arrivals.len());
    }

    /// A worker's life of so many jobs.
    fn live(self: Arc<Self>, rank: usize, jobs: u64) {
        let mut waiter = JobWaiter::new(SpinPolicy::new(9, 1), self.doorbell.last_ticket(), 0);
        for job in 1..=jobs {
            waiter.wait_for_job(&self.doorbell, &self.job);
            assert_eq!(waiter.job(), job);
            step();
            let told = self.bill.with(|bill| {
                // SAFETY: nobody writes it, or loom has just ended the model.
                unsafe { *bill }
            });
            self.made[rank].with_mut(|made| {
                // SAFETY: exclusive, or loom has just ended the model.
                unsafe { *made = told }
            });
            self.come(rank, job);
        }
        // Until it is told to leave.
        waiter.wait_for_job(&self.doorbell, &self.job);
        assert_eq!(waiter.job(), u64::MAX);
    }

    /// Tells what a job is, and calls. Loom fails if somebody may still be reading of the one before.
    fn tell(&self, job: u64) {
        self.bill.with_mut(|bill| {
            // SAFETY: exclusive, or loom has just ended the model.
            unsafe { *bill = job * 10 }
        });
        self.end.clear_bell();
        self.job.store(job, Ordering::Release);
        self.doorbell.ring();
    }

    /// Tells all to leave.
    fn dismiss(&self) {
        self.job.store(u64::MAX, Ordering::Release);
        self.doorbell.ring();
    }

    /// The coordinator's part of a job's end, without the dead.
    fn attend(&self, round: u64, dead: &[usize]) {
        dead.iter().for_each(|_| self.end.count_dead());
        attend(&self.end, &self.arrivals, RoundKey { key: 42, round }, dead).unwrap();
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

/// One job, and two: at the second, the worker's addition to the bell for the first may come late, after the bell was cleared. Three
/// interruptions are enough for that, which are tried in any case; four take half a minute.
fn a_call_comes_just_as_one_falls_asleep() {
    for jobs in [1, 2] {
        explore(Some(4), move || {
            let place = Place::new(1);
            let there = place.clone();
            let worker = spawn(None, move || there.live(0, jobs));
            for job in 1..=jobs {
                place.tell(job);
                place.attend(job, &[]);
                place.check(0..1, job);
            }
            place.dismiss();
            assert!(!worker.join().unwrap());
        });
    }
}

fn two_workers_do_a_job_each_their_part() {
    explore(Some(1), || {
        let place = Place::new(2);
        let workers = [0, 1].map(|rank| {
            let there = place.clone();
            spawn(None, move || there.live(rank, 1))
        });
        place.tell(1);
        place.attend(1, &[]);
        place.check(0..2, 1);
        place.dismiss();
        workers.into_iter().for_each(|worker| assert!(!worker.join().unwrap()));
    });
}

/// Worker 0 dies before each of its steps, or has come to the end and will do nothing more.
fn one_dies_and_the_other_has_come_to_the_end() {
    at_every_step(Some(1), |steps| {
        let place = Place::new(2);
        let (doomed, other) = (place.clone(), place.clone());
        let doomed = spawn(Some(steps), move || {
            let mut waiter = JobWaiter::new(SpinPolicy::new(9, 1), doomed.doorbell.last_ticket(), 0);
            waiter.wait_for_job(&doomed.doorbell, &doomed.job);
            step();
            doomed.come(0, 1);
        });
        let other = spawn(None, move || other.live(1, 1));
        place.tell(1);
        let died = doomed.join().unwrap();
        place.attend(1, if died { &[0] } else { &[] });
        place.check(1..2, 1);
        place.dismiss();
        assert!(!other.join().unwrap());
        died
    });
}
