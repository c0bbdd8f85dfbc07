//! A body as addresses in the program's code, which are the same in all forks of it, and as far from each other when it is started again.
#![allow(unsafe_code)]

use bytemuck::Pod;

use super::super::run_slices::{Body, RunSlices};
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

/// A function that makes a [`RunSlices`] of a body and the bytes of its argument, and passes it to a callback; and that body, as a pointer without
/// its type.
#[derive(Clone, Copy)]
pub(crate) struct BodyFn {
    call: unsafe fn(*const (), &[u8], RunCallback<'_>) -> Result<()>,
    body: *const (),
}

impl BodyFn {
    pub(crate) fn of<L: Lend, A: Pod, R: Answer<K>, K>(body: BareBody<A, L, R>) -> Self {
        Self { call: call_with::<L, A, R, K>, body: body as *const () }
    }

    /// Where both are, from the code of this crate on.
    pub(super) fn offsets(self) -> [u64; 2] {
        self.addresses().map(image::offset_of)
    }

    /// Whether both are in this piece of code.
    pub(super) fn is_in(self, image: &Image) -> bool {
        self.addresses().into_iter().all(|address| image.holds(address))
    }

    fn addresses(self) -> [u64; 2] {
        [self.call as usize as u64, self.body.addr() as u64]
    }

    /// The one that is there.
    ///
    /// # Safety
    /// They are a `BodyFn`'s, of this process, or of one that this one was forked from, or of one that has the same file of code loaded,
    /// which [holds](Self::is_in) the `BodyFn`.
    pub(super) unsafe fn at(offsets: [u64; 2]) -> Self {
        let [call, body] = offsets.map(image::address_of);
        // SAFETY: a function's address as `offsets` gave it, of the same code.
        let call = unsafe {
            std::mem::transmute::<usize, unsafe fn(*const (), &[u8], RunCallback<'_>) -> Result<()>>(call as usize)
        };
        Self { call, body: std::ptr::with_exposed_provenance(body as usize) }
    }

    /// Passes the body with this argument to the callback.
    ///
    /// # Safety
    /// The bytes are of an argument for this body.
    pub(super) unsafe fn call(self, argument: &[u8], run: RunCallback<'_>) -> Result<()> {
        // SAFETY: `of` and `at` keep the two together; the rest is passed on to the caller.
        unsafe { (self.call)(self.body, argument, run) }
    }
}

/// # Safety
/// `body` was a `BareBody<A, L, R>`, and `argument` are the bytes of an `A`.
unsafe fn call_with<L: Lend, A: Pod, R: Answer<K>, K>(
    body: *const (),
    argument: &[u8],
    run: RunCallback<'_>,
) -> Result<()> {
    let argument: A = bytemuck::pod_read_unaligned(argument);
    // SAFETY: what it was, as the caller vouches.
    let body = unsafe { std::mem::transmute::<*const (), BareBody<A, L, R>>(body) };
    run(&Body::<L, R, K, _>::new(move |worker: &Worker<'_>, part: L::Part<'_>| body(worker, argument, part)))
}
