//! The fork server may die between any two steps: the coordinator's wait ends, and no worker touches an array that the coordinator does
//! not wait for.
#![allow(unsafe_code)]

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::thread::JoinHandle;

use crate::atomic::{AtomicU32, Ordering, futex, step};
use crate::held::{CLOSE, tell, wait_until_held};
use crate::{Model, at_every_step, models, spawn_watched};

pub const MODELS: &[Model] = models![no_worker_is_at_work_that_nobody_waits_for];

/// The order to fork, the word that it is done, and what stands there when the fork server is dead.
const FORK: u32 = 1;
const DONE: u32 = 1;
const DEAD: u32 = u32::MAX;

#[derive(Default)]
struct Page {
    ordered: AtomicU32,
    done: AtomicU32,
    cells: UnsafeCell<u32>,
    born: Mutex<Vec<JoinHandle<()>>>,
}

impl Page {
    fn write(&self) {
        self.cells.with_mut(|cells| {
            // SAFETY: exclusive, or loom has just ended the model.
            unsafe { *cells += 1 }
        });
    }

    /// The fork server: forks a worker when it is told to, and says so.
    fn serve(self: Arc<Self>) {
        while self.ordered.load(Ordering::Acquire) == 0 {
            futex::wait(&self.ordered, 0, None);
        }
        step();
        let page = self.clone();
        let worker = loom::thread::spawn(move || {
            if wait_until_held(&page.ordered, FORK) {
                page.write();
            }
        });
        self.born.lock().unwrap().push(worker);
        self.done.store(DONE, Ordering::Release);
        futex::wake_all(&self.done);
    }
}

fn no_worker_is_at_work_that_nobody_waits_for() {
    at_every_step(Some(3), |doom| {
        let page = Arc::new(Page::default());
        let (served, dead) = (page.clone(), page.clone());
        // The kernel tells of its death.
        let retire = move || {
            dead.done.store(DEAD, Ordering::Release);
            futex::wake_all(&dead.done);
        };
        let server = spawn_watched(Some(doom), move || served.serve(), retire);
        tell(&page.ordered, FORK);
        let done = loop {
            match page.done.load(Ordering::Acquire) {
                0 => futex::wait(&page.done, 0, None),
                done => break done,
            }
        };
        let take = || std::mem::take(&mut *page.born.lock().unwrap());
        if done == DONE {
            // Holds what was made, says so, and waits for that.
            let held = take();
            tell(&page.ordered, FORK + 1);
            held.into_iter().for_each(|worker| worker.join().unwrap());
        } else {
            tell(&page.ordered, CLOSE);
        }
        // Whoever is not held may still be on its way out.
        page.write();
        let died = server.join().unwrap();
        take().into_iter().for_each(|worker| worker.join().unwrap());
        died
    });
}
