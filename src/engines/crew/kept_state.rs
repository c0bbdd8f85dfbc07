//! What a worker of a crew has made once, and keeps from job to job.
//!
//! One for each function that makes such: a worker keeps what it has made last, until it is asked to make it of another argument, or ends.

use std::any::Any;
use std::cell::RefCell;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytemuck::Pod;

use crate::sys::fork_stamp::{self, Stamp};
use crate::worker::Worker;

/// What makes it, of an argument; it captures nothing, as bodies of crews do not.
pub(crate) type BareInit<I, S> = fn(&Worker<'_>, I) -> S;

thread_local! {
    /// What this worker has made, while it is in no job.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

struct Kept {
    made: Made,
    /// Of the type that it makes.
    state: Box<dyn Any>,
}

/// By what, and of what.
#[derive(PartialEq)]
struct Made {
    init: usize,
    seed: Vec<u8>,
    /// A coordinator that works too is the last of crews of any size.
    rank: usize,
    /// What another process has made is not this one's, not even to be dropped.
    by: Stamp,
}

/// The state of one worker in one job, or in several in a row: made, or taken from what is kept, for the first slice; kept when the job is over.
pub(crate) struct KeptState<I: Pod, S: Send + 'static> {
    init: BareInit<I, S>,
    seed: I,
    /// With the rank.
    state: Mutex<Option<(usize, S)>>,
}

impl<I: Pod, S: Send + 'static> KeptState<I, S> {
    pub(crate) fn of(init: BareInit<I, S>, seed: I) -> Self {
        Self { init, seed, state: Mutex::new(None) }
    }

    /// Calls a body with it. What a body has left half done by a panic is made anew.
    pub(crate) fn with<R>(&self, worker: &Worker<'_>, body: impl FnOnce(&mut S) -> R) -> R {
        let (mut state, rank) = (whole(&self.state), worker.rank());
        let (_, state) = state.get_or_insert_with(|| {
            let kept = take(&self.made(rank));
            (rank, kept.unwrap_or_else(|| (self.init)(worker, self.seed)))
        });
        body(state)
    }

    fn made(&self, rank: usize) -> Made {
        let seed = bytemuck::bytes_of(&self.seed).to_vec();
        Made { init: self.init as usize, seed, rank, by: fork_stamp::current() }
    }
}

impl<I: Pod, S: Send + 'static> Drop for KeptState<I, S> {
    fn drop(&mut self) {
        let is_whole = !self.state.is_poisoned();
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((rank, state)) = state.filter(|_| is_whole) {
            let kept = Kept { made: self.made(rank), state: Box::new(state) };
            KEPT.with_borrow_mut(|all| all.push(kept));
        }
    }
}

/// The state that one worker alone has, so that nobody ever waits for the lock: none if a body panicked while it had it, and may have left it half
/// changed.
pub(crate) fn whole<S>(state: &Mutex<Option<S>>) -> MutexGuard<'_, Option<S>> {
    state.lock().unwrap_or_else(|poisoned| {
        state.clear_poison();
        let mut half_changed = poisoned.into_inner();
        *half_changed = None;
        half_changed
    })
}

/// Takes what was made so; what the same function has made otherwise is dropped.
fn take<S: 'static>(made: &Made) -> Option<S> {
    let (others, old) = KEPT.with_borrow_mut(|all| {
        let (others, old): (Vec<_>, Vec<_>) = mem::take(all).into_iter().partition(|kept| kept.made.by != made.by);
        let (same, rest): (Vec<_>, Vec<_>) =
            old.into_iter().partition(|kept| kept.made.init == made.init && kept.state.is::<S>());
        *all = rest;
        (others, same)
    });
    // Their destructors are for the process that made them.
    mem::forget(others);
    let found = old.into_iter().find(|kept| kept.made == *made);
    found.and_then(|kept| kept.state.downcast().ok()).map(|state| *state)
}
