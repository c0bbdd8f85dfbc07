//! A body as addresses in the program's code, which are the same in all forks of it, and as far from each other when it is started again.
#![allow(unsafe_code)]

use bytemuck::Pod;

use super::super::run_slices::{Body, RunSlices};
use super::kept_state::{BareInit, KeptState};
use crate::answer::Answer;
use crate::error::Result;
use crate::lend::Lend;
use crate::sys::image::{self, Image};
use crate::worker::Worker;

/// A body that captures nothing, not even a value without bytes: such a value can be the proof of something that was done in the
/// process that has it, and a worker that was forked before knows nothing of that.
pub(crate) type BareBody<A, L, R> = fn(&Worker<'_>, A, <L as Lend>::Part<'_>) -> R;

/// The callback that runs the slices, given the body that has its argument.
type RunCallback<'h> = &'h mut dyn FnMut(&dyn RunSlices) -> Result<()>;

/// A body that is also handed what its worker has made, once, of an argument of its own.
pub(crate) type BareInitBody<A, S, L, R> = fn(&Worker<'_>, A, &mut S, <L as Lend>::Part<'_>) -> R;

/// A function that makes a [`RunSlices`] of a body and the bytes of its argument, and passes it to a callback; that body, and what makes its state,
/// as pointers without their types: the body once more if it has none.
#[derive(Clone, Copy)]
pub(crate) struct BodyFn {
    call: unsafe fn([*const (); 2], &[u8], RunCallback<'_>) -> Result<()>,
    functions: [*const (); 2],
}

impl BodyFn {
    pub(crate) fn of<L: Lend, A: Pod, R: Answer<K>, K>(body: BareBody<A, L, R>) -> Self {
        Self { call: call_with::<L, A, R, K>, functions: [body as *const (); 2] }
    }

    /// Of a body with a state, which takes the bytes of both arguments, those of the state first.
    pub(crate) fn with_init<L: Lend, I: Pod, S: Send + 'static, A: Pod, R: Answer<K>, K>(
        init: BareInit<I, S>,
        body: BareInitBody<A, S, L, R>,
    ) -> Self {
        Self { call: call_with_init::<L, I, S, A, R, K>, functions: [body as *const (), init as *const ()] }
    }

    /// Where all are, from the code of this crate on.
    pub(super) fn offsets(self) -> [u64; 3] {
        self.addresses().map(image::offset_of)
    }

    /// Whether all are in this piece of code.
    pub(super) fn is_in(self, image: &Image) -> bool {
        self.addresses().into_iter().all(|address| image.holds(address))
    }

    fn addresses(self) -> [u64; 3] {
        let [body, init] = self.functions.map(|function| function.addr() as u64);
        [self.call as usize as u64, body, init]
    }

    /// The one that is there.
    ///
    /// # Safety
    /// They are a `BodyFn`'s, of this process, or of one that this one was forked from, or of one that has the same file of code loaded,
    /// which [holds](Self::is_in) the `BodyFn`.
    pub(super) unsafe fn at(offsets: [u64; 3]) -> Self {
        let [call, body, init] = offsets.map(image::address_of);
        // SAFETY: a function's address as `offsets` gave it, of the same code.
        let call = unsafe {
            std::mem::transmute::<usize, unsafe fn([*const (); 2], &[u8], RunCallback<'_>) -> Result<()>>(call as usize)
        };
        Self { call, functions: [body, init].map(|address| std::ptr::with_exposed_provenance(address as usize)) }
    }

    /// Passes the body with this argument to the callback.
    ///
    /// # Safety
    /// The bytes are of an argument for this body.
    pub(super) unsafe fn call(self, argument: &[u8], run: RunCallback<'_>) -> Result<()> {
        // SAFETY: `of`, `with_init` and `at` keep them together; the rest is passed on to the caller.
        unsafe { (self.call)(self.functions, argument, run) }
    }
}

/// # Safety
/// The first of the functions was a `BareBody<A, L, R>`, and `argument` are the bytes of an `A`.
unsafe fn call_with<L: Lend, A: Pod, R: Answer<K>, K>(
    [body, _]: [*const (); 2],
    argument: &[u8],
    run: RunCallback<'_>,
) -> Result<()> {
    let argument: A = bytemuck::pod_read_unaligned(argument);
    // SAFETY: what it was, as the caller vouches.
    let body = unsafe { std::mem::transmute::<*const (), BareBody<A, L, R>>(body) };
    run(&Body::<L, R, K, _>::new(move |worker: &Worker<'_>, part: L::Part<'_>| body(worker, argument, part)))
}

/// # Safety
/// The functions were a `BareInitBody<A, S, L, R>` and a `BareInit<I, S>`, and `arguments` are the bytes of an `I` and of an `A`.
unsafe fn call_with_init<L: Lend, I: Pod, S: Send + 'static, A: Pod, R: Answer<K>, K>(
    [body, init]: [*const (); 2],
    arguments: &[u8],
    run: RunCallback<'_>,
) -> Result<()> {
    let (seed, argument) = arguments.split_at(size_of::<I>());
    let (seed, argument): (I, A) = (bytemuck::pod_read_unaligned(seed), bytemuck::pod_read_unaligned(argument));
    // SAFETY: what it was, as the caller vouches.
    let body = unsafe { std::mem::transmute::<*const (), BareInitBody<A, S, L, R>>(body) };
    // SAFETY: as above.
    let init = unsafe { std::mem::transmute::<*const (), BareInit<I, S>>(init) };
    let state = KeptState::of(init, seed);
    run(&Body::<L, R, K, _>::new(|worker: &Worker<'_>, part: L::Part<'_>| {
        state.with(worker, |state| body(worker, argument, state, part))
    }))
}
