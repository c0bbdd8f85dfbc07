//! Words that coordinator and workers agree on: the barrier where they meet, and the board where all can read who works
//! on what. Atomics in shared memory only; whatever a worker leaves there when it dies is a valid value.

mod barrier;
mod berth;
mod bill;
mod board;
mod call;
mod dealer;
mod ears;
mod journal;
mod patience;
mod tape;
mod words;

pub(crate) use barrier::{Barrier, Broken, Sleep};
pub(crate) use berth::{Absence, Berth, Words};
pub(crate) use board::{Board, Layout};
pub(crate) use call::{Call, Heard};
pub(crate) use dealer::Dealer;
pub(crate) use ears::Ears;
pub(crate) use journal::SliceState;
pub(crate) use patience::Patience;
pub(crate) use tape::{Mark, Tape};
