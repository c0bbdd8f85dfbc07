//! The little that barrier, dealer and slice table are written over: atomics, a futex, two ways to wait a moment and how often.
//!
//! A layer of its own so that the very same files also compile over `loom`'s atomics, which try every order in which
//! participants can be interrupted: `tests/loom/`.

pub(super) use std::hint::spin_loop;
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(super) use crate::sys::cpu::give_way;
pub(super) use crate::sys::futex;

/// How often to look at a word before sleeping on it while every participant has a CPU: about 25 us, as long as a sleep and
/// wake-up would take.
pub(super) const PAUSES: u32 = 1000;

/// How many of those to make in a row before giving way once: two that wait for each other may have been put on the same CPU,
/// where each would wait out all of its pauses (28 us a job instead of 1).
pub(super) const PAUSES_IN_A_ROW: u32 = 32;

/// How often to give way before that where some have none; each about 130 ns when nobody else wants the CPU.
pub(super) const YIELDS: u32 = 100;
