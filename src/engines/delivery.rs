//! Answers that the coordinator hands on while workers work.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::ledger::Ledger;
use crate::error::{Error, Result};
use crate::sync::{ControlPage, SliceState};

/// Whom answers are handed on to.
pub(crate) trait AnswerSink {
    /// Reads the answer of a slice that claims to be done, notes that it was `seen` by its word and its worker, and hands it on.
    ///
    /// # Errors
    /// If it is not done, or not as its worker left it.
    fn deliver(
        &mut self,
        page: &ControlPage,
        slice: usize,
        seen: &mut dyn FnMut(u64, usize) -> Result<()>,
    ) -> Result<ControlFlow<()>>;
}

/// The answers of a job that have not been handed on.
pub(crate) struct Undelivered<'h> {
    to: &'h mut dyn AnswerSink,
    in_order: bool,
    /// Their slices, ascending.
    slices: VecDeque<usize>,
    enough: Option<Enough>,
}

/// Why no more answers are handed on.
pub(crate) enum Enough {
    /// Whoever gets them wants no more.
    Asked,
    Panicked(Box<dyn Any + Send>),
    Failed(Error),
}

impl<'h> Undelivered<'h> {
    /// Those of the slices `run`.
    pub(crate) fn new(to: &'h mut dyn AnswerSink, in_order: bool, run: Range<usize>) -> Self {
        Self { to, in_order, slices: run.collect(), enough: None }
    }

    /// Hands on what is done, in the order of slices up to the first that is not, or all of it; until it becomes too `late`. Whether
    /// that is enough.
    pub(super) fn look(&mut self, page: &ControlPage, ledger: &mut Ledger, late: &dyn Fn() -> bool) -> bool {
        let Self { to, in_order, slices, enough } = self;
        let is_done = |slice: &usize| matches!(page.claimed(*slice), SliceState::Done { .. });
        let done: Vec<usize> = match in_order {
            true => slices.iter().copied().take_while(is_done).collect(),
            false => slices.iter().copied().filter(is_done).collect(),
        };
        let mut handed = 0;
        for &slice in &done {
            if enough.is_some() || late() {
                break;
            }
            *enough = deliver(*to, page, ledger, slice);
            handed += 1;
        }
        match in_order {
            true => drop(slices.drain(..handed)),
            false if handed == 0 => {}
            false => slices.retain(|slice| done[..handed].binary_search(slice).is_err()),
        }
        enough.is_some()
    }

    /// Whether they wait for those before them.
    pub(super) fn is_in_order(&self) -> bool {
        self.in_order
    }

    /// Whether all are handed on.
    pub(super) fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Whether no more are to be handed on.
    pub(super) fn is_enough(&self) -> bool {
        self.enough.is_some()
    }

    /// Why, if so.
    pub(crate) fn take_enough(&mut self) -> Option<Enough> {
        self.enough.take()
    }
}

fn deliver(to: &mut dyn AnswerSink, page: &ControlPage, ledger: &mut Ledger, slice: usize) -> Option<Enough> {
    let mut seen = |word, rank| ledger.note_done(slice, word, rank);
    match catch_unwind(AssertUnwindSafe(|| to.deliver(page, slice, &mut seen))) {
        Ok(Ok(ControlFlow::Continue(()))) => None,
        Ok(Ok(ControlFlow::Break(()))) => Some(Enough::Asked),
        Ok(Err(error)) => Some(Enough::Failed(error)),
        Err(panic) => Some(Enough::Panicked(panic)),
    }
}
