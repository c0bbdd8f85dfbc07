//! A job as an engine sees it, and the loop that every worker runs, whatever it is made of.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use crate::answer::Answer;
use crate::error::{Cause, Death, Error, Refusal, SliceName};
use crate::lend::{Lend, Loan};
use crate::slices::Grid;
use crate::sync::{Board, Dealer, Patience, Words};
use crate::sys::proc::Memory;
use crate::worker::Worker;

/// What all workers of a job share.
pub(crate) struct Work<'w, L, B> {
    pub(crate) lent: &'w L,
    pub(crate) body: &'w B,
    pub(crate) grid: &'w Grid,
    pub(crate) board: &'w Board,
    pub(crate) dealer: Dealer,
    pub(crate) patience: Patience,
    /// Whether each worker reads its own memory before it ends.
    pub(crate) measure_memory: bool,
    /// How often a slice is tried again after a worker died on it.
    pub(crate) retries: u32,
    /// To how many threads libraries are held in each worker process; 0 leaves them alone.
    pub(crate) threads_per_worker: usize,
    /// The one slice to be run, if not all.
    pub(crate) only: Option<usize>,
}

/// Slices to be dealt: all of a job, or those that are left after workers have died.
pub(crate) struct Round {
    pub(crate) dealer: Dealer,
    /// Which, if not all.
    pub(crate) slices: Option<Vec<usize>>,
    /// Whether the job goes on when a worker dies.
    pub(crate) goes_on: bool,
}

impl Round {
    /// What the dealer's `number` stands for.
    fn slice(&self, number: usize) -> usize {
        self.slices.as_ref().map_or(number, |slices| slices[number])
    }
}

/// What only the coordinator has.
pub(crate) struct Orders<'o> {
    pub(crate) deadline: Option<Duration>,
    /// Told now and then how many slices are done, of how many.
    pub(crate) progress: Option<Box<dyn FnMut(usize, usize) + 'o>>,
}

impl Orders<'_> {
    /// How often progress is told.
    pub(crate) const TICK: Duration = Duration::from_millis(50);

    pub(crate) fn tell(&mut self, board: &Board) {
        if let Some(progress) = &mut self.progress {
            progress(board.done(), board.layout().slices);
        }
    }

    /// The error of a job that took too long.
    pub(crate) fn overdue(&self, board: &Board) -> Error {
        let deadline = self.deadline.unwrap_or_default();
        Error::Deadline { deadline, done: board.done(), slices: board.layout().slices }
    }

    /// When to look up from waiting, if nothing happens: at the deadline or to tell progress.
    pub(crate) fn next_look(&self, deadline: Option<Instant>) -> Option<Instant> {
        let tick = self.progress.is_some().then(|| Instant::now() + Self::TICK);
        deadline.into_iter().chain(tick).min()
    }
}

/// Why a worker stopped before the slices ran out; details are on the board.
pub(crate) struct Stopped;

thread_local! {
    /// Where this thread's last panic was, as a worker's panic hook noted it.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes where a panic on this thread happened, for the worker's last words.
pub(crate) fn note_panic(location: String) {
    PANICKED_AT.set(location);
}

impl<L: Lend, B> Work<'_, L, B> {
    /// The loans, in order.
    pub(crate) fn loans(&self) -> Vec<Loan<'_>> {
        let mut loans = Vec::new();
        self.lent.loans(&mut loans);
        loans
    }

    /// Works as worker `rank` until no slices are left, with the loans at `bases`.
    ///
    /// # Safety
    /// `bases` are the addresses of all loans in order, mapped in this process with the access asked for; no other worker
    /// of this job has this rank.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn labour<R: Answer>(
        &self,
        round: &Round,
        rank: usize,
        bases: &[NonNull<u8>],
    ) -> Result<(), Stopped>
    where
        B: Fn(&Worker<'_>, L::Part) -> R,
    {
        for (rank, address) in self.board.addresses(rank).iter().zip(bases) {
            rank.store(address.addr().get() as u64, std::sync::atomic::Ordering::Relaxed);
        }
        for run in (0..).map_while(|runs| round.dealer.deal(&self.board.head().dealt.0, rank, runs)) {
            for slice in run.map(|number| round.slice(number)) {
                if self.board.head().end.broken().is_some() {
                    return Err(Stopped);
                }
                self.board.take(rank, slice);
                let region = self.grid.region(slice);
                // SAFETY: the caller vouches for the addresses. Each slice is dealt once a round, slices are disjoint, and
                // all workers of the round before are gone: this is the only part of it.
                let part = unsafe { self.lent.part(&mut bases.iter(), &region) };
                let worker =
                    Worker { rank, region, board: self.board, in_step: self.in_step(), patience: self.patience };
                let began = Instant::now();
                let words = match catch_unwind(AssertUnwindSafe(|| (self.body)(&worker, part).into_answer())) {
                    Ok(Ok(answer)) => {
                        self.board.finish(rank, slice, bytemuck::bytes_of(&answer), began.elapsed());
                        continue;
                    }
                    Ok(Err(reason)) => Words::Refused { reason },
                    Err(payload) => {
                        let message = message_of(&*payload);
                        // Its destructor is the body's code too, and may panic.
                        std::mem::forget(payload);
                        Words::Panicked { message, location: PANICKED_AT.take() }
                    }
                };
                self.board.berths()[rank].say(&words);
                if !(round.goes_on && matches!(words, Words::Panicked { .. })) {
                    self.board.give_up(Some(rank));
                }
                return Err(Stopped);
            }
        }
        // Whoever still waits for this worker at a meeting would wait for ever.
        self.board.head().meeting.break_for(Some(rank));
        if self.measure_memory {
            self.board.berths()[rank].note_memory(Memory::of_this_process().unwrap_or_default());
        }
        Ok(())
    }

    /// The first round: all slices. Only processes can `survive` the death of a worker; and not if workers may meet, for
    /// those who did cannot meet again.
    pub(crate) fn first_round(&self, survive: bool) -> Round {
        let goes_on = survive && self.retries > 0 && !self.in_step();
        Round { dealer: self.dealer, slices: self.only.map(|slice| vec![slice]), goes_on }
    }

    /// The slices that are to be run and are not done, ascending.
    pub(crate) fn missing(&self) -> Vec<usize> {
        let mut missing = self.board.not_done();
        missing.retain(|&slice| self.only.is_none_or(|only| only == slice));
        missing
    }

    /// Whether every worker has exactly one slice, fixed beforehand.
    fn in_step(&self) -> bool {
        self.dealer.schedule == crate::slices::Schedule::Static && self.dealer.slices == self.dealer.workers
    }

    /// The error of a job that broke because of worker `rank`, of which `exit` is what the system says, if it was asked.
    pub(crate) fn failure(&self, rank: usize, pid: u32, exit: Option<Cause>) -> Error {
        let berth = &self.board.berths()[rank];
        let slices = self.board.layout().slices;
        let slice = berth.at(slices).map(|slice| SliceName(self.grid.region(slice)));
        let cause = match berth.said() {
            Some(Words::Refused { reason }) => return Error::Refused(Box::new(Refusal { rank, slice, reason })),
            Some(Words::Panicked { message, location }) => Cause::Panicked { message, location },
            None => exit.map_or(Cause::Unknown, |exit| self.explain(rank, exit)),
        };
        Error::WorkerDied(Box::new(Death { rank, pid, slice, cause, tries: 1, done: self.board.done(), slices }))
    }
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
