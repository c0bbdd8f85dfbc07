//! The little that barrier, dealer and journal are written over: atomics, a futex, two ways to wait a moment.
//!
//! A layer of its own so that the very same files also compile over `loom`'s atomics, which try every order in which
//! participants can be interrupted: `tests/loom/`.

pub(super) use std::hint::spin_loop;
pub(super) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
pub(super) use std::thread::yield_now;

pub(super) use crate::sys::futex;
