//! Words that coordinator and workers agree on: the barrier where they meet, and the board where all can read who works
//! on what. Atomics in shared memory only; whatever a worker leaves there when it dies is a valid value.

mod barrier;
mod berth;
mod board;
mod dealer;
mod journal;
mod words;

pub(crate) use barrier::{Barrier, Broken, Patience};
pub(crate) use berth::{Absence, Berth, Words};
pub(crate) use board::{Board, Layout};
pub(crate) use dealer::Dealer;
pub(crate) use journal::SliceState;
