//! A body as an address in the program's code, which is the same in all forks of it.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use bytemuck::Pod;

use super::super::work::{Body, Labour};
use crate::answer::Answer;
use crate::error::Result;
use crate::lend::Lend;
use crate::worker::Worker;

/// What a labour is handed on to.
type HandOn<'h> = &'h mut dyn FnMut(&dyn Labour) -> Result<()>;

/// A function that makes a [`Labour`] of the bytes of an argument, and hands it on.
#[derive(Clone, Copy)]
pub(crate) struct Tender(unsafe fn(&[u8], HandOn<'_>) -> Result<()>);

impl Tender {
    /// For a body that captures nothing: only then all there is of it is its code.
    pub(crate) fn of<L: Lend, A: Pod, R: Answer, B: Fn(&Worker<'_>, A, L::Part) -> R + Copy + 'static>(_: B) -> Self {
        const {
            assert!(
                size_of::<B>() == 0,
                "the body of a crew's job cannot capture anything: hand it over as the argument"
            )
        };
        Self(tend::<L, A, R, B>)
    }

    /// Where it is.
    pub(super) fn address(self) -> usize {
        self.0 as usize
    }

    /// The one that is at an address.
    ///
    /// # Safety
    /// The address was that of a tender, in this process or in one that this one was forked from.
    pub(super) unsafe fn at(address: usize) -> Self {
        // SAFETY: a function's address as `address` gave it, of the same program at the same place.
        Self(unsafe { std::mem::transmute::<usize, unsafe fn(&[u8], HandOn<'_>) -> Result<()>>(address) })
    }

    /// Hands on the labour with this argument.
    ///
    /// # Safety
    /// The bytes are of an argument for this tender's body.
    pub(super) unsafe fn tend(self, argument: &[u8], hand_on: HandOn<'_>) -> Result<()> {
        // SAFETY: passed on to the caller.
        unsafe { self.0(argument, hand_on) }
    }
}

/// # Safety
/// A value of type `B` existed when the address of this function was taken, and `argument` are the bytes of an `A`.
unsafe fn tend<L: Lend, A: Pod, R: Answer, B: Fn(&Worker<'_>, A, L::Part) -> R + Copy + 'static>(
    argument: &[u8],
    hand_on: HandOn<'_>,
) -> Result<()> {
    let argument: A = bytemuck::pod_read_unaligned(argument);
    // SAFETY: `Tender::of` took a value of this type, which has no bytes and can be copied: any aligned address has one.
    let body: B = unsafe { NonNull::<B>::dangling().read() };
    hand_on(&Body::<L, R, _>::new(move |worker: &Worker<'_>, part| body(worker, argument, part)))
}
