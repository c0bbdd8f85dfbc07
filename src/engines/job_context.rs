//! A job as an engine sees it, and the loop that every worker runs, whatever it is made of.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use super::tracer::Tracer;
use super::worker_memory::{OutputProtection, WorkerMemory};
use crate::answer::Answer;
use crate::cancel::CancelToken;
use crate::error::{BodyFailure, Cause, Death, Error, SliceName};
use crate::lend::{Lend, Loan};
use crate::process::cause_of;
use crate::report::Memory;
use crate::sandbox::Confinement;
use crate::slices::Grid;
use crate::sync::{ControlPage, Dealer, ExitMessage, SpinPolicy, WorkDigest};
use crate::sys::pidfd::Remaining;
use crate::sys::{child, fork_stamp, sandbox};
use crate::worker::{Worker, leave_astray};

/// What all workers of a job share.
pub(crate) struct JobContext<'w> {
    pub(crate) loans: &'w [Loan<'w>],
    pub(crate) grid: &'w Grid,
    pub(crate) page: &'w ControlPage,
    pub(crate) dealer: Dealer,
    pub(crate) spin_policy: SpinPolicy,
    /// Whether there is a deadline for slices.
    pub(crate) timed: bool,
    /// Whether each worker reads its own memory before it ends.
    pub(crate) measure_memory: bool,
    /// How often a slice is tried again after a worker died on it.
    pub(crate) retries: u32,
    /// How outputs are looked after.
    pub(crate) protection: &'w OutputProtection,
    /// Bytes of memory of its own that a worker process may add.
    pub(crate) memory_limit: Option<u64>,
    /// What a worker process is confined to when it has attached what was lent.
    pub(crate) sandbox: Option<&'w Confinement>,
    /// A request to stop that a worker on a thread looks at between slices. A process is ended by the coordinator.
    pub(crate) stop: Option<&'w CancelToken>,
    /// Whether workers that meet go on doing so when one has died.
    pub(crate) continue_after_death: bool,
    pub(crate) worker_config: WorkerConfig,
    /// The one slice to be run, if not all.
    pub(crate) only: Option<usize>,
}

/// What is done for worker processes at birth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerConfig {
    /// To how many threads libraries are held in each; 0 leaves them alone.
    pub(crate) threads: usize,
    /// Whether each is bound to a CPU.
    pub(crate) pin: bool,
    /// Whether each is confined to a sandbox before it works.
    pub(crate) confined: bool,
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
    /// What the dealer's `number` stands for.
    fn slice(&self, number: usize) -> usize {
        self.slices.as_ref().map_or(number, |slices| slices[number])
    }
}

/// Called in the coordinator with the number of slices done and of all.
pub type Progress<'p> = Box<dyn FnMut(usize, usize) + 'p>;

/// What only the coordinator has.
pub(crate) struct Supervision<'o> {
    pub(crate) began: Instant,
    /// How long the job may take, and until when that is.
    pub(crate) deadline: Option<(Duration, Option<Instant>)>,
    /// How long one slice may take.
    pub(crate) slice_deadline: Option<Duration>,
    pub(crate) stop: Option<&'o CancelToken>,
    /// Told now and then how many slices are done, of how many.
    pub(crate) progress: Option<Progress<'o>>,
    /// What it knows of the slices.
    pub(crate) ledger: Ledger,
}

impl<'o> Supervision<'o> {
    /// How often progress is told.
    const TICK: Duration = Duration::from_millis(50);

    pub(crate) fn tell(&mut self, page: &ControlPage) {
        if let Some(progress) = &mut self.progress {
            progress(page.done(), page.layout().slices);
        }
    }

    /// Whether the job is to end, done or not.
    pub(crate) fn are_to_end(&self) -> bool {
        self.late()()
    }

    /// Asks that.
    pub(crate) fn late(&self) -> impl Fn() -> bool + use<'o> {
        let (until, stop) = (self.deadline.and_then(|(_, until)| until), self.stop);
        move || until.is_some_and(|until| until <= Instant::now()) || stop.is_some_and(CancelToken::is_cancelled)
    }

    /// The error of a job that was to end when so many of its slices were done.
    pub(crate) fn ended(&self, done: usize, slices: usize) -> Error {
        match (self.stop.filter(|stop| stop.is_cancelled()), self.deadline) {
            (None, Some((deadline, _))) => Error::Deadline { deadline, done, slices },
            (stop, _) => Error::Stopped { signal: stop.and_then(CancelToken::signal), done, slices },
        }
    }

    /// When to look up from waiting, if nothing happens: at the deadline, to tell progress, or at `other`.
    pub(crate) fn next_look(&self, other: Option<Instant>) -> Option<Instant> {
        let tick = self.progress.is_some().then(|| Instant::now() + Self::TICK);
        [self.deadline.and_then(|(_, until)| until), tick, other].into_iter().flatten().min()
    }
}

/// Why a worker stopped before the slices ran out; details are on the control page.
pub(crate) struct Stopped;

thread_local! {
    /// Where this thread's last panic was, as a worker's panic hook noted it.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes where a panic on this thread happened, for the worker's last words.
pub(crate) fn note_panic(location: String) {
    PANICKED_AT.set(location);
}

/// What a worker does with its slices, whoever it is. Engines need to know no more of a body than this.
#[allow(unsafe_code)]
pub(crate) trait RunSlices {
    /// Works as worker `rank` until no slices are left, with the loans on its `worker_memory`; what it has done.
    ///
    /// # Safety
    /// The worker's memory is of the work's loans, those of the body's parts, and of this process; no other worker of this job has this
    /// rank.
    unsafe fn run_slices(
        &self,
        context: &JobContext<'_>,
        round: &Round,
        rank: usize,
        worker_memory: &WorkerMemory<'_>,
    ) -> Result<WorkDigest, Stopped>;

    /// Other programs that workers hand their slices on to.
    fn programs(&self) -> Option<&dyn Programs>;
}

/// Programs that workers hand their slices on to, each worker to its own.
pub(crate) trait Programs: Sync {
    /// In a worker that takes no more slices: lets its program leave. Memory that counts as the worker's.
    fn dismiss(&self) -> Memory;

    /// In the coordinator, when all workers of a round are gone: ends what those that died have left, for it may still write to
    /// their slices. What cannot be ended.
    fn end_left(&self) -> Vec<Remaining>;
}

/// A body, which gets parts of loans `L` and returns an `R`.
pub(crate) struct Body<'b, L, R, B> {
    body: B,
    programs: Option<&'b dyn Programs>,
    types: PhantomData<fn(L) -> R>,
}

impl<'b, L: Lend, R: Answer, B: Fn(&Worker<'_>, L::Part<'_>) -> R> Body<'b, L, R, B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, programs: None, types: PhantomData }
    }

    /// As [`new`](Self::new), of a body that hands slices on to programs.
    pub(crate) fn with_programs(body: B, programs: &'b dyn Programs) -> Self {
        Self { body, programs: Some(programs), types: PhantomData }
    }

    /// Lets the body work on one slice, which is to be put `back` first or not: its answer, and whether it has an undo copy; or the
    /// last words of a worker that cannot go on.
    ///
    /// # Safety
    /// As [`run_slices`](Labour::labour); the slice is this worker's.
    #[allow(unsafe_code)]
    unsafe fn work_on(
        &self,
        context: &JobContext<'_>,
        rank: usize,
        slice: usize,
        back: bool,
        worker_memory: &WorkerMemory<'_>,
    ) -> Result<(R::Value, bool), ExitMessage> {
        let region = context.grid.region(slice);
        let refused =
            |doing| move |error: io::Error| ExitMessage::BodyFailed { reason: Error::system(doing)(error).to_string() };
        let saves = worker_memory.open(&region, back).map_err(refused("make a slice ready to be written"))?;
        if saves && !context.page.note_saved(rank, slice) {
            return Err(lost(slice));
        }
        // SAFETY: the caller vouches for the seats. Each slice is dealt once a round, slices are disjoint, and all workers
        // of the round before are gone: this is the only part of it.
        let part = unsafe { L::part(&mut worker_memory.seats().iter(), &region) };
        let (in_step, spin_policy, timed) = (context.in_step(), context.spin_policy, context.timed);
        let sleep = worker_memory.sleep();
        let born = fork_stamp::current();
        let worker = Worker { rank, region, page: context.page, in_step, spin_policy, timed, sleep, born };
        let answered = catch_unwind(AssertUnwindSafe(|| (self.body)(&worker, part).into_answer()));
        if !born.is_current() {
            leave_astray();
        }
        let answer = match answered {
            Ok(answer) => answer.map_err(|reason| ExitMessage::BodyFailed { reason })?,
            Err(payload) => {
                let message = message_of(&*payload);
                // Its destructor is the body's code too, and may panic.
                std::mem::forget(payload);
                return Err(ExitMessage::Panicked { message, location: PANICKED_AT.take() });
            }
        };
        worker_memory.close(&region).map_err(refused("publish a slice"))?;
        Ok((answer, back || saves))
    }
}

/// What a worker says that finds a slice not to be as it left it.
fn lost(slice: usize) -> ExitMessage {
    ExitMessage::Damaged { what: format!("slice {slice} was dealt to a worker and was not free, or no longer its own") }
}

#[allow(unsafe_code)]
impl<L: Lend, R: Answer, B: Fn(&Worker<'_>, L::Part<'_>) -> R> RunSlices for Body<'_, L, R, B> {
    unsafe fn run_slices(
        &self,
        context: &JobContext<'_>,
        round: &Round,
        rank: usize,
        worker_memory: &WorkerMemory<'_>,
    ) -> Result<WorkDigest, Stopped> {
        let page = context.page;
        for (word, seat) in page.addresses(rank).iter().zip(worker_memory.seats()) {
            word.store(seat.base.addr().get() as u64, std::sync::atomic::Ordering::Relaxed);
        }
        let (mut digest, mut began) = (WorkDigest::default(), Instant::now());
        let mut notes = Tracer::begin(page, rank, worker_memory.whose(), began);
        for run in (0..).map_while(|runs| round.dealer.deal(&page.head().dealt.0, rank, runs)) {
            for slice in run.map(|number| round.slice(number)) {
                let asked = context.stop.is_some_and(CancelToken::is_cancelled);
                if asked {
                    // On threads nobody else tells those who wait for this one at a meeting.
                    page.give_up(None);
                }
                if asked || page.head().end.over().is_some() {
                    child::flush_own_buffers();
                    return Err(Stopped);
                }
                let taken = page.take(rank, slice, began);
                notes.takes(slice, began);
                let worked = match taken {
                    // SAFETY: passed on to the caller; it was free, and is this worker's now.
                    Some(back) => unsafe { self.work_on(context, rank, slice, back, worker_memory) },
                    None => Err(lost(slice)),
                };
                // Also when the next one begins: reading the clock takes longer than to be dealt a slice.
                let now = Instant::now();
                let done = worked.and_then(|(answer, saved)| {
                    let done = page.finish(rank, slice, saved, bytemuck::bytes_of(&answer), now - began);
                    done.ok_or_else(|| lost(slice))
                });
                let words = match done {
                    Ok(word) => {
                        digest.add(word);
                        notes.finishes(slice, now);
                        began = now;
                        continue;
                    }
                    Err(words) => words,
                };
                // The coordinator ends all workers of a job that fails.
                child::flush_own_buffers();
                page.slots()[rank].send_exit_message(&words);
                if !(round.goes_on && matches!(words, ExitMessage::Panicked { .. })) {
                    page.give_up(Some(rank));
                }
                return Err(Stopped);
            }
        }
        notes.leaves(began);
        child::flush_own_buffers();
        // Whoever still waits for this worker at a meeting would wait for ever.
        page.head().meeting.0.leave(rank);
        let more = self.programs.map_or_else(Memory::default, Programs::dismiss);
        notes.measures();
        if context.measure_memory {
            page.slots()[rank].note_memory(worker_memory.memory().and(&more));
        }
        notes.measured();
        // The last thing that it may be late for.
        page.slots()[rank].leave();
        Ok(digest)
    }

    fn programs(&self) -> Option<&dyn Programs> {
        self.programs
    }
}

impl JobContext<'_> {
    /// The first round: all slices. Only processes can `survive` the death of a worker. Where workers may meet nothing is
    /// tried again, for those who did cannot meet again; but they can go on without the dead, if that is wanted.
    pub(crate) fn first_round(&self, survive: bool) -> Round {
        let goes_on = survive && if self.in_step() { self.continue_after_death } else { self.retries > 0 };
        let processes = self.dealer.workers;
        let slices = self.only.map(|slice| vec![slice]);
        Round { dealer: self.dealer, slices, first: true, number: 0, goes_on, processes }
    }

    /// Round `number` of the job: these slices, ascending, for no more workers than before.
    pub(crate) fn later_round(&self, number: u64, slices: Vec<usize>) -> Round {
        let workers = self.dealer.workers.min(slices.len());
        let dealer = Dealer { slices: slices.len(), workers, ..self.dealer };
        Round { dealer, slices: Some(slices), first: false, number, goes_on: true, processes: workers }
    }

    /// Whether every worker has exactly one slice, fixed beforehand.
    pub(super) fn in_step(&self) -> bool {
        self.dealer.schedule == crate::slices::Schedule::Static && self.dealer.slices == self.dealer.workers
    }

    /// The error of a job that broke because of worker `rank`, of which `exit` is what the system says, if it was asked.
    pub(crate) fn failure(&self, rank: usize, pid: u32, exit: Option<Cause>) -> Error {
        let slot = &self.page.slots()[rank];
        let slices = self.page.layout().slices;
        let slice = slot.at(slices).map(|slice| SliceName(self.grid.region(slice)));
        let cause = match slot.exit_message() {
            Some(ExitMessage::BodyFailed { reason }) => {
                return Error::BodyFailed(Box::new(BodyFailure {
                    rank,
                    slice,
                    reason: self.with_refused(rank, reason),
                }));
            }
            Some(ExitMessage::Damaged { what }) => return Error::ControlPageDamaged { what },
            Some(ExitMessage::Panicked { message, location }) => {
                Cause::Panicked { message: self.with_refused(rank, message), location }
            }
            Some(ExitMessage::ProgramExited { exit, pid, program }) => {
                Cause::Program { program, pid, cause: Box::new(self.explain(rank, cause_of(exit))) }
            }
            None => exit.map_or(Cause::Unknown, |exit| self.explain(rank, exit)),
        };
        Error::WorkerDied(Box::new(Death {
            rank,
            pid,
            slice,
            cause,
            tries: 1,
            done: self.page.done(),
            slices,
            others: Vec::new(),
        }))
    }
}

impl JobContext<'_> {
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

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
