//! The layer of `src/sync/atomic.rs` over loom: every order in which threads can be interrupted is tried, and every value that
//! a load may see. A thread stands for a process; one that is doomed stops for ever before the n-th thing it does here.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::Arc;

pub use loom::hint::spin_loop;
use loom::sync::atomic;
pub use loom::sync::atomic::Ordering;

use crate::{Model, explore, models};

pub const MODELS: &[Model] = models![nothing_comes_into_the_middle_of_an_addition];

/// Sleep at once: looking again and again is what loom does anyhow.
pub const PAUSES: u32 = 0;
pub const PAUSES_IN_A_ROW: u32 = 1;
pub const YIELDS: u32 = 0;

/// Lets other threads go on.
pub fn give_way(_: u32) -> bool {
    loom::thread::yield_now();
    true
}

loom::thread_local! {
    /// How many steps this process still has to live; for ever if `None`.
    static LEFT: Cell<Option<usize>> = Cell::new(None);
}

/// What a process unwinds with that dies.
pub struct Dead;

/// This process is to die before its step number `steps`.
pub fn doom(steps: Option<usize>) {
    LEFT.with(|left| left.set(steps));
}

/// One thing that a process does and that others can see: before it, it may die.
pub fn step() {
    let left = LEFT.with(Cell::get);
    if left == Some(0) {
        // Nothing it still does while it unwinds is a step.
        doom(None);
        resume_unwind(Box::new(Dead));
    }
    doom(left.map(|left| left - 1));
}

macro_rules! atomics {
    ($($name:ident $value:ty),*) => {
        $(#[derive(Default)]
        pub struct $name(atomic::$name);

        #[allow(dead_code, reason = "not every width needs every operation")]
        impl $name {
            pub fn load(&self, order: Ordering) -> $value {
                step();
                self.0.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                step();
                // To loom, a store may come between the two halves of a read-modify-write that another thread has done before
                // it (tokio-rs/loom#254); to a machine it may not. So it sees the newest value first, as only a
                // read-modify-write does, and nobody comes in between. Not a swap: a store ends a release sequence. What is
                // lost is that stores to one word may land in another order than they are tried in.
                let _ = self.0.compare_exchange(value, value, Ordering::Relaxed, Ordering::Relaxed);
                loom::stop_exploring();
                self.0.store(value, order);
                loom::explore();
            }

            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_add(value, order)
            }

            pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_and(value, order)
            }

            pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_or(value, order)
            }

            pub fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                step();
                self.0.compare_exchange(old, new, success, failure)
            }

            pub fn compare_exchange_weak(
                &self,
                old: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(old, new, success, failure)
            }

            pub fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                change: impl Fn($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut value = self.load(failure);
                while let Some(next) = change(value) {
                    match self.compare_exchange(value, next, success, failure) {
                        Ok(value) => return Ok(value),
                        Err(changed) => value = changed,
                    }
                }
                Err(value)
            }
        })*
    };
}

atomics!(AtomicU32 u32, AtomicU64 u64);

/// Nobody wakes without being woken on the word that it sleeps on, so that a wake-up that is lost is a deadlock, which loom
/// reports.
pub mod futex {
    use std::collections::BTreeMap;
    use std::time::Instant;

    use loom::sync::{Condvar, Mutex};

    use super::{AtomicU32, Ordering, step};

    loom::lazy_static! {
        /// How often those who sleep on a word, by its address, were woken.
        static ref ASLEEP: (Mutex<BTreeMap<usize, u32>>, Condvar) = (Mutex::new(BTreeMap::new()), Condvar::new());
    }

    pub fn wait(word: &AtomicU32, expected: u32, _: Option<Instant>) {
        step();
        let (lock, woken) = &*ASLEEP;
        let mut queue = lock.lock().unwrap();
        // As the kernel does: compare and fall asleep in one step.
        if word.0.load(Ordering::Relaxed) == expected {
            let times = *queue.entry(address(word)).or_default();
            while queue.get(&address(word)) == Some(&times) {
                queue = woken.wait(queue).unwrap();
            }
        }
    }

    pub fn wake_all(word: &AtomicU32) {
        step();
        let (lock, woken) = &*ASLEEP;
        let mut queue = lock.lock().unwrap();
        if let Some(times) = queue.get_mut(&address(word)) {
            *times += 1;
            woken.notify_all();
        }
    }

    fn address(word: &AtomicU32) -> usize {
        std::ptr::from_ref(word).addr()
    }
}

/// Of the layer itself, or a model may fail of what cannot happen.
fn nothing_comes_into_the_middle_of_an_addition() {
    explore(None, || {
        let word = Arc::new(AtomicU32::default());
        let there = word.clone();
        let adds = loom::thread::spawn(move || there.fetch_add(1, Ordering::Relaxed));
        word.store(10, Ordering::Relaxed);
        let found = adds.join().unwrap();
        let left = word.load(Ordering::Relaxed);
        assert!(matches!((found, left), (0, 10) | (10, 11)), "found {found}, left {left}");
    });
}
