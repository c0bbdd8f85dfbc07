//! Answers that the coordinator hands on while workers work.

use std::any::Any;
use std::collections::VecDeque;
use std::mem;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use crate::error::{Error, Result};
use crate::slices::Schedule;
use crate::sync::{ControlPage, Dealer, SliceState};

/// Whom answers are handed on to.
pub(crate) trait AnswerSink {
    /// Reads the answer of a slice that claims to be done, notes that it was `seen` by its word and its worker, and hands it on. How many
    /// bytes it had in the mailbox.
    ///
    /// # Errors
    /// If it is not done, or not as its worker left it.
    fn deliver(
        &mut self,
        page: &ControlPage,
        slice: usize,
        seen: &mut dyn FnMut(u64, usize) -> Result<()>,
    ) -> Result<(ControlFlow<()>, u64)>;
}

/// The answers of a job that have not been handed on.
pub(crate) struct Undelivered<'h> {
    to: &'h mut dyn AnswerSink,
    order: Order,
    /// How many bytes of each worker's in this round have been.
    bytes: Vec<u64>,
    enough: Option<Enough>,
}

/// Which may be next.
enum Order {
    /// The first of these slices, which ascend.
    Ascending(VecDeque<usize>),
    AsTheyCome(Open),
}

/// Slices of which any may be next, and where to look for those that are done.
struct Open {
    /// The first slice that is run.
    start: usize,
    /// Of each that is run, whether it was handed on.
    handed: Vec<bool>,
    left: usize,
    /// What workers have of this round, in the dealer's numbers: each goes through a run in order, so that only the first of it need be
    /// looked at.
    runs: Vec<Range<usize>>,
    /// How far runs are known that are dealt out by a counter.
    known: usize,
    /// When all slices were looked at: that the counter is right is nobody's word.
    looked: Instant,
    /// Whether there may be some that workers of the round before have left.
    is_later_round: bool,
}

/// A round, as far as it says who has which slices.
#[derive(Clone, Copy)]
pub(super) struct Deal<'r> {
    pub(super) dealer: Dealer,
    /// Which slices the dealer's numbers are, if not those.
    pub(super) slices: Option<&'r [usize]>,
    pub(super) is_first: bool,
    /// Whether workers come to the end of their slices in any order.
    pub(super) in_any_order: bool,
}

/// How often to look at all slices while none is found where it should be.
const LOOK: Duration = Duration::from_millis(100);

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
        let order = match in_order {
            true => Order::Ascending(run.collect()),
            false => Order::AsTheyCome(Open {
                start: run.start,
                handed: vec![false; run.len()],
                left: run.len(),
                runs: Vec::new(),
                known: 0,
                looked: Instant::now(),
                is_later_round: false,
            }),
        };
        Self { to, order, bytes: Vec::new(), enough: None }
    }

    /// A round begins.
    pub(super) fn begin_round(&mut self, page: &ControlPage, deal: Deal<'_>) {
        self.bytes = vec![0; page.layout().workers];
        if let Order::AsTheyCome(open) = &mut self.order {
            let (schedule, slices, workers) = (deal.dealer.schedule, deal.dealer.slices, deal.dealer.workers);
            let all = 0..slices;
            open.is_later_round = !deal.is_first;
            (open.runs, open.known) = match schedule {
                _ if deal.in_any_order => (all.map(|at| at..at + 1).collect(), slices),
                Schedule::Static => {
                    ((0..workers).filter_map(|rank| schedule.fixed(slices, workers, rank)).collect(), slices)
                }
                _ => (Vec::new(), 0),
            };
        }
        self.tell(page);
    }

    /// Hands on what is done, in the order of slices up to the first that is not, or all of it; until it becomes too `late`. Whether
    /// that is enough.
    pub(super) fn look(
        &mut self,
        page: &ControlPage,
        deal: Option<Deal<'_>>,
        ledger: &mut Ledger,
        late: &dyn Fn() -> bool,
    ) -> bool {
        let is_done = |slice: usize| matches!(page.claimed(slice), SliceState::Done { .. });
        let done: Vec<usize> = match &mut self.order {
            Order::Ascending(slices) => slices.iter().copied().take_while(|&slice| is_done(slice)).collect(),
            Order::AsTheyCome(open) => open.done(page, deal, &is_done),
        };
        let mut handed = 0;
        for &slice in &done {
            if self.enough.is_some() || late() {
                break;
            }
            self.deliver(page, ledger, slice);
            handed += 1;
        }
        match &mut self.order {
            Order::Ascending(slices) => drop(slices.drain(..handed)),
            Order::AsTheyCome(open) => done[..handed].iter().for_each(|&slice| open.note_handed(slice)),
        }
        if handed > 0 {
            self.tell(page);
        }
        self.enough.is_some()
    }

    /// Says on the control page how far it is, for those who wait until it is further.
    pub(super) fn tell(&self, page: &ControlPage) {
        let next = if let Order::Ascending(slices) = &self.order { slices.front() } else { None };
        // Nobody will ever come to those after one that is set aside.
        let is_lost = next.is_some_and(|&slice| page.claimed(slice) == SliceState::Aside);
        page.tell_handed_on(&self.bytes, next.copied(), is_lost);
    }

    /// Whether they wait for those before them.
    pub(super) fn is_in_order(&self) -> bool {
        matches!(self.order, Order::Ascending(_))
    }

    /// Whether all are handed on.
    pub(super) fn is_empty(&self) -> bool {
        match &self.order {
            Order::Ascending(slices) => slices.is_empty(),
            Order::AsTheyCome(open) => open.left == 0,
        }
    }

    /// Whether no more are to be handed on.
    pub(super) fn is_enough(&self) -> bool {
        self.enough.is_some()
    }

    /// Why, if so.
    pub(crate) fn take_enough(&mut self) -> Option<Enough> {
        self.enough.take()
    }

    fn deliver(&mut self, page: &ControlPage, ledger: &mut Ledger, slice: usize) {
        let mut whose = None;
        let mut seen = |word, rank| {
            whose = Some(rank);
            ledger.note_done(slice, word, rank)
        };
        let to = &mut *self.to;
        self.enough = match catch_unwind(AssertUnwindSafe(|| to.deliver(page, slice, &mut seen))) {
            Ok(Ok((flow, bytes))) => {
                whose.and_then(|rank| self.bytes.get_mut(rank)).into_iter().for_each(|all| *all += bytes);
                flow.is_break().then_some(Enough::Asked)
            }
            Ok(Err(error)) => Some(Enough::Failed(error)),
            Err(panic) => Some(Enough::Panicked(panic)),
        };
    }
}

impl Open {
    /// Slices that are done and have not been handed on: those that are found where workers are, or without a deal, and now and then when
    /// there are none, wherever they are.
    fn done(&mut self, page: &ControlPage, deal: Option<Deal<'_>>, is_done: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let mut done = Vec::new();
        if let Some(Deal { dealer, slices, .. }) = deal {
            let dealt = page.head().dealt.0.load(Ordering::Relaxed).min(dealer.slices as u64) as usize;
            while self.known < dealt {
                let run = dealer.schedule.run(self.known, dealer.slices, dealer.workers);
                self.known = run.as_ref().map_or(dealer.slices, |run| run.end);
                self.runs.extend(run);
            }
            for run in &mut self.runs {
                let handed = |slice: usize| self.handed[slice - self.start];
                while run.start < run.end {
                    match slices.map_or(run.start, |slices| slices[run.start]) {
                        slice if handed(slice) => {}
                        slice if is_done(slice) => done.push(slice),
                        _ => break,
                    }
                    run.start += 1;
                }
            }
            self.runs.retain(|run| run.start < run.end);
            let is_later_round = mem::take(&mut self.is_later_round);
            if !is_later_round && (!done.is_empty() || self.looked.elapsed() < LOOK) {
                return done;
            }
            // All of them again.
            done.clear();
        }
        self.looked = Instant::now();
        let handed = mem::take(&mut self.handed);
        let all = handed.iter().enumerate().filter(|(_, handed)| !**handed).map(|(at, _)| self.start + at);
        done.extend(all.filter(|&slice| is_done(slice)));
        self.handed = handed;
        done
    }

    fn note_handed(&mut self, slice: usize) {
        self.left -= usize::from(!mem::replace(&mut self.handed[slice - self.start], true));
    }
}
