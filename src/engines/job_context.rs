//! A job as an engine sees it: what its workers share, and what only the coordinator has.

use std::io::ErrorKind;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::delivery::{Deal, Undelivered};
use super::ledger::Ledger;
use super::worker_memory::OutputProtection;
use crate::cancel::CancelToken;
use crate::error::{BodyFailure, Cause, Death, Error, HowFar, SliceName};
use crate::hooks::Progress;
use crate::lend::Loan;
use crate::process::cause_of;
use crate::sandbox::Confinement;
use crate::slices::{Grid, Margins};
use crate::spec::JobSpec;
use crate::sync::{Absence, ControlPage, Dealer, ExitMessage, Mailbox, SpinPolicy};
use crate::sys::sandbox;

/// What all workers of a job share.
pub(crate) struct JobContext<'w> {
    /// What is set, with the number of workers and the split decided; in a crew's workers what they need of it.
    pub(crate) spec: &'w JobSpec,
    pub(crate) loans: &'w [Loan<'w>],
    /// The ranges among what is lent.
    pub(crate) ranges: &'w [Range<usize>],
    pub(crate) grid: &'w Grid,
    pub(crate) page: &'w ControlPage,
    pub(crate) dealer: Dealer,
    /// What it takes to do several steps, if planes are lent.
    pub(crate) steps: Option<Steps>,
    pub(crate) spin_policy: SpinPolicy,
    /// Whether the coordinator wants to know of each slice when it is done.
    pub(crate) delivers: bool,
    /// Where answers of any length go, if the job has such.
    pub(crate) mailbox: Option<&'w Mailbox>,
    /// How outputs are looked after.
    pub(crate) protection: &'w OutputProtection,
    /// What a worker process is confined to when it has attached what was lent.
    pub(crate) sandbox: Option<&'w Confinement>,
    /// A request to stop that a worker on a thread looks at between slices. A process is ended by the coordinator.
    pub(crate) stop: Option<&'w CancelToken>,
}

/// How often each slice is worked on, and how far it reads.
pub(crate) struct Steps {
    pub(crate) count: u32,
    /// How many steps a worker may go on in one place before it goes on through its slices.
    pub(crate) depth: u32,
    /// Of all planes.
    pub(crate) margins: Vec<Margins>,
}

impl Steps {
    /// Of a job with these settings and loans, if it has planes.
    pub(crate) fn of(spec: &JobSpec, loans: &[Loan<'_>]) -> Option<Self> {
        let mut margins: Vec<Margins> = Vec::new();
        for one in loans.iter().filter_map(|loan| loan.margins) {
            // Planes are four loans.
            if !margins.contains(&one) {
                margins.push(one);
            }
        }
        (!margins.is_empty()).then(|| Self { count: spec.steps.unwrap_or(1), depth: spec.depth.unwrap_or(1), margins })
    }
}

/// Slices to be dealt: all of a job, or those that are left after workers have died.
pub(crate) struct Round {
    pub(crate) dealer: Dealer,
    /// Which, if not all.
    pub(crate) slices: Option<Vec<usize>>,
    /// Whether it is the job's first.
    pub(crate) first: bool,
    /// Another for each round of a job; a crew's workers know it as the number of the call.
    pub(crate) number: u64,
    /// Whether the job goes on when a worker dies.
    pub(crate) goes_on: bool,
    /// How many of the workers are processes of their own: all, but for the coordinator if it works too, as the last rank.
    pub(crate) processes: usize,
}

impl Round {
    /// Who has which slices; in steps workers come to the end of theirs in any order.
    fn deal(&self, in_steps: bool) -> Deal<'_> {
        Deal { dealer: self.dealer, slices: self.slices.as_deref(), is_first: self.first, in_any_order: in_steps }
    }

    /// What the dealer's `number` stands for.
    pub(super) fn slice(&self, number: usize) -> usize {
        self.slices.as_ref().map_or(number, |slices| slices[number])
    }
}

/// What only the coordinator has.
pub(crate) struct Supervision<'o> {
    pub(crate) spec: &'o JobSpec,
    /// Until when the job may take, if it has a deadline that ever comes.
    pub(crate) until: Option<Instant>,
    pub(crate) stop: Option<&'o CancelToken>,
    /// Told now and then how many slices are done, of how many.
    pub(crate) progress: Option<Progress<'o>>,
    /// What it knows of the slices.
    pub(crate) ledger: Ledger,
    /// Answers that are yet to be handed on, if they are.
    pub(crate) undelivered: Option<Undelivered<'o>>,
    /// The worker whose death ended the job.
    pub(crate) died: Option<usize>,
}

impl<'o> Supervision<'o> {
    /// How often progress is told.
    const TICK: Duration = Duration::from_millis(50);

    pub(crate) fn tell(&mut self, page: &ControlPage) {
        if let Some(progress) = &mut self.progress {
            let HowFar { done, slices, steps } = page.how_far();
            progress(done, slices.saturating_mul(steps.max(1) as usize));
        }
    }

    /// A round begins.
    pub(crate) fn begin_round(&mut self, context: &JobContext<'_>, round: &Round) {
        self.ledger.begin_round(context.page.round_key(round.number), round.dealer.workers);
        if let Some(undelivered) = &mut self.undelivered {
            undelivered.begin_round(context.page, round.deal(context.steps.is_some()));
        }
    }

    /// Hands on answers of this round, or of all, if that is asked for: whether there are enough of them, so that the job is to end well.
    pub(crate) fn deliver(&mut self, page: &ControlPage, round: Option<&Round>) -> bool {
        let late = self.late();
        let deal = round.map(|round| round.deal(false));
        self.undelivered.as_mut().is_some_and(|undelivered| undelivered.look(page, deal, &mut self.ledger, &late))
    }

    /// Says again how many have been handed on: somebody may have written over it.
    pub(crate) fn tell_delivered(&self, page: &ControlPage) {
        self.undelivered.iter().for_each(|undelivered| undelivered.tell(page));
    }

    /// Whether answers wait for those before them.
    pub(crate) fn delivers_in_order(&self) -> bool {
        self.undelivered.as_ref().is_some_and(Undelivered::is_in_order)
    }

    /// Hands on what is left of them when all slices are done: whether that was possible in time.
    pub(crate) fn deliver_rest(&mut self, page: &ControlPage) -> bool {
        self.deliver(page, None) || self.undelivered.as_ref().is_none_or(Undelivered::is_empty)
    }

    /// Whether there were enough.
    pub(crate) fn has_enough(&self) -> bool {
        self.undelivered.as_ref().is_some_and(Undelivered::is_enough)
    }

    /// Whether the job is to end, done or not.
    pub(crate) fn are_to_end(&self) -> bool {
        self.late()()
    }

    /// Ends the job because of a worker that is known to be dead.
    pub(crate) fn end_for_dead(&mut self, page: &ControlPage, rank: usize) {
        self.died = Some(rank);
        page.slots()[rank].set_absent(Some(Absence::Dead));
        page.give_up(Some(rank));
    }

    /// Asks that.
    pub(crate) fn late(&self) -> impl Fn() -> bool + Sync + use<'o> {
        let (until, stop) = (self.until, self.stop);
        move || until.is_some_and(|until| until <= Instant::now()) || stop.is_some_and(CancelToken::is_cancelled)
    }

    /// The error of a job that was to end when it had come so far.
    pub(crate) fn ended(&self, HowFar { done, slices, steps }: HowFar) -> Error {
        match (self.stop.filter(|stop| stop.is_cancelled()), self.spec.deadline) {
            (None, Some(deadline)) => Error::Deadline { deadline, done, slices, steps },
            (stop, _) => Error::Stopped { signal: stop.and_then(CancelToken::signal), done, slices, steps },
        }
    }

    /// As [`ended`](Self::ended), if that is why something could not be made.
    pub(crate) fn or_ended(&self, error: Error, how_far: HowFar) -> Error {
        match &error {
            Error::System { source, .. } if source.kind() == ErrorKind::TimedOut && self.are_to_end() => {
                self.ended(how_far)
            }
            _ => error,
        }
    }

    /// When to look up from waiting, if nothing happens: at the deadline, to tell progress, or at `other`.
    pub(crate) fn next_look(&self, other: Option<Instant>) -> Option<Instant> {
        let tick = self.progress.is_some().then(|| Instant::now() + Self::TICK);
        [self.until, tick, other].into_iter().flatten().min()
    }
}

impl JobContext<'_> {
    /// The first round: all slices. Only processes can `survive` the death of a worker. Where workers may meet they can go on without
    /// the dead, if that is wanted; else, as all others, slices are tried again.
    pub(crate) fn first_round(&self, survive: bool) -> Round {
        let goes_on = survive && (self.goes_on_without() || self.spec.retries > 0);
        let processes = self.dealer.workers;
        let slices = self.spec.only_slice.map(|slice| vec![slice]);
        Round { dealer: self.dealer, slices, first: true, number: 0, goes_on, processes }
    }

    /// Round `number` of the job: these slices, ascending, for no more workers than before.
    pub(crate) fn later_round(&self, number: u64, slices: Vec<usize>) -> Round {
        let workers = self.dealer.workers.min(slices.len());
        let dealer = Dealer { slices: slices.len(), workers, ..self.dealer };
        Round { dealer, slices: Some(slices), first: false, number, goes_on: true, processes: workers }
    }

    /// Whether there is a deadline for slices.
    pub(super) fn is_timed(&self) -> bool {
        self.spec.slice_deadline.is_some()
    }

    /// Whether each worker process is confined to a sandbox before it works.
    pub(super) fn is_confined(&self) -> bool {
        self.sandbox.is_some_and(Confinement::confines_workers)
    }

    /// Whether every worker has exactly one slice, fixed beforehand, so that all can meet.
    pub(super) fn can_meet(&self) -> bool {
        self.page.layout().meets
    }

    /// Whether workers that meet go on without the dead, of which nothing is tried again.
    pub(super) fn goes_on_without(&self) -> bool {
        self.can_meet() && self.spec.continue_after_death
    }

    /// Whether a worker that has just died may be replaced, or gone on without: not when others have met it, who cannot meet again.
    pub(super) fn survives_death(&self) -> bool {
        !self.can_meet() || self.goes_on_without() || self.page.first_meeting().close()
    }

    /// The error of a job that broke because of worker `rank`, of which `exit` is what the system says, if it was asked.
    pub(crate) fn failure(&self, rank: usize, pid: u32, exit: Option<Cause>) -> Error {
        let slot = &self.page.slots()[rank];
        let HowFar { done, slices, steps } = self.page.how_far();
        let mut slice = slot.at(slices).map(|slice| SliceName(self.grid.region(slice)));
        let step = |slice: Option<SliceName>| {
            slice.filter(|_| self.steps.is_some()).and_then(|slice| self.page.step_count(slice.0.index()).done())
        };
        let cause = match slot.exit_message() {
            Some(ExitMessage::BodyFailed { reason }) => {
                return Error::BodyFailed(Box::new(BodyFailure {
                    rank,
                    slice,
                    step: step(slice),
                    reason: self.with_refused(rank, reason),
                }));
            }
            Some(ExitMessage::Damaged { what }) => return Error::ControlPageDamaged { what },
            Some(ExitMessage::Panicked { message, location }) => {
                Cause::Panicked { message: self.with_refused(rank, message), location }
            }
            Some(ExitMessage::ProgramExited { exit, pid, program, began }) => {
                // It cannot be the slice's fault then.
                slice = slice.filter(|_| began);
                Cause::Program { program, pid, began, cause: Box::new(self.explain(rank, cause_of(exit))) }
            }
            None => exit.map_or(Cause::Unknown, |exit| self.explain(rank, exit)),
        };
        Error::WorkerDied(Box::new(Death {
            rank,
            pid,
            slice,
            step: step(slice),
            cause,
            tries: 1,
            done,
            slices,
            steps,
            others: Vec::new(),
        }))
    }

    /// The last system call that its sandbox refused a worker, if there was one.
    pub(super) fn refused(&self, rank: usize) -> Option<String> {
        self.sandbox.and(self.page.slots()[rank].fault.refused()).map(sandbox::call_name)
    }

    /// What a worker said, and what its sandbox had refused it before.
    fn with_refused(&self, rank: usize, words: String) -> String {
        match self.refused(rank) {
            Some(call) => format!("{words} (its sandbox had refused it the system call {call})"),
            None => words,
        }
    }
}
