//! Workers as processes forked for this job.
//!
//! Coordinator: forks, waits for (all have come to the end OR a death OR the clock OR a request to stop), reaps; once more for
//! slices that dead workers left. Worker: attaches what was lent, labours, says that it has come to the end, leaves when it
//! may.

use super::job_context::{JobContext, Round, RunSlices, Supervision};
use super::ledger::Left;
use super::retry_tracker::RetryTracker;
use super::supervise::supervise;
use super::worker_main::{PreFork, worker_main};
use crate::error::{Death, Error, Result};
use crate::process::{self, Exiting, ForkServer, MailboxLock, WorkerSet};
use crate::sync::{ControlPage, Event, SliceState, SpinPolicy};
use crate::sys::pidfd::Remaining;
use crate::sys::{child, limits, oom};

/// Runs the job, if this process has one thread.
pub(crate) fn run_alone(
    work: &JobContext<'_>,
    labour: &dyn RunSlices,
    orders: &mut Supervision<'_>,
) -> Result<Vec<Death>> {
    // SAFETY: each fork is made by the only thread there is, so no other holds anything that a worker could wait for.
    #[allow(unsafe_code)]
    let mut staff = unsafe { OneShot::new(&process::ensure_single_threaded) };
    run_rounds(work, labour, orders, &mut staff)
}

/// Runs the job, whatever other threads there are.
///
/// # Safety
/// As for [`child::spawn`]: the body uses nothing that another thread may hold at the time of the fork.
#[allow(unsafe_code)]
pub(crate) unsafe fn run_in_threaded_process(
    work: &JobContext<'_>,
    labour: &dyn RunSlices,
    orders: &mut Supervision<'_>,
) -> Result<Vec<Death>> {
    // SAFETY: passed on to the caller.
    let mut staff = unsafe { OneShot::new(&|| Ok(())) };
    run_rounds(work, labour, orders, &mut staff)
}

/// Where the workers of rounds come from.
pub(super) trait WorkerSource {
    /// Lets workers begin with a round.
    fn begin(
        &mut self,
        work: &JobContext<'_>,
        labour: &dyn RunSlices,
        round: &mut Round,
        orders: &Supervision<'_>,
    ) -> Result<&mut WorkerSet>;

    /// How long to look for their end before sleeping.
    fn patience(&self) -> Option<SpinPolicy>;

    /// A round is over: all that its workers could do is done. `more` if there may be another one for this job; `gone` if that
    /// is for when the memory of its workers is gone as well. Whether none of them can do anything any more, if there may be.
    fn end(&mut self, board: &ControlPage, more: bool, gone: bool) -> bool;

    /// The job is over. Those of its processes that should have ended and have not.
    fn close(&mut self) -> Vec<Remaining>;
}

/// Runs rounds until no slice is missing: all slices first, then, with new workers, those that dead ones left. A slice that
/// has killed more workers than there are retries is set aside, and ends the job with an error when all others are done. A round
/// in which nobody died has left nothing, or what it has left is an error, which the answers' reader finds.
pub(super) fn run_rounds(
    work: &JobContext<'_>,
    labour: &dyn RunSlices,
    orders: &mut Supervision<'_>,
    staff: &mut dyn WorkerSource,
) -> Result<Vec<Death>> {
    let done = rounds(work, labour, orders, staff);
    match staff.close() {
        none if none.is_empty() => done,
        processes => Err(Error::Remaining { processes, error: done.err().map(Box::new) }),
    }
}

fn rounds(
    work: &JobContext<'_>,
    labour: &dyn RunSlices,
    orders: &mut Supervision<'_>,
    staff: &mut dyn WorkerSource,
) -> Result<Vec<Death>> {
    oom::count(orders.began);
    let (mut round, mut toll) = (work.first_round(true), RetryTracker::new(work.retries));
    let mut fewest = work.dealer.slices;
    for number in 1.. {
        work.board.note_own(Event::Prepares);
        let patience = staff.patience();
        let crowd = staff.begin(work, labour, &mut round, orders)?;
        let attended = supervise(work, &round, crowd, patience, orders);
        work.board.note_own(Event::Ends);
        let late = orders.late();
        let left = match attended.is_ok() && orders.ledger.has_dead() {
            true => orders.ledger.close_round(work.board, late),
            false => Ok(Some(Vec::new())),
        };
        let more = attended.is_ok() && matches!(&left, Ok(Some(left)) if !left.is_empty());
        let all_past = staff.end(work.board, more, labour.programs().is_some());
        let (deaths, left) = (attended?, left?);
        let Some(left) = left else { return Err(orders.ended(work.board.done(), work.grid.slices())) };
        toll.count(deaths, &left, work.grid, left.len() < fewest);
        fewest = left.len();
        if left.is_empty() {
            break;
        }
        if work.in_step() {
            // Its workers may have met, and nobody else can take part in what they then did.
            return Err(toll.first(work.board.done()));
        }
        let is_lost = |left: &Left| toll.is_set_aside(left.slice);
        // Slices that somebody may still write to are given to nobody else.
        if left.iter().all(is_lost) || toll.is_hopeless() || !all_past {
            return Err(toll.error(work.board.done()));
        }
        // The kernel ends a program with its worker, but later than other workers may go on.
        let processes = labour.programs().map(|programs| programs.end_left()).unwrap_or_default();
        if !processes.is_empty() {
            return Err(Error::Remaining { processes, error: Some(Box::new(toll.error(work.board.done()))) });
        }
        // SAFETY: the round has ended and its workers are past their last instruction; the next one's are not born yet.
        #[allow(unsafe_code)]
        unsafe {
            work.board.clear_for_next_round();
        }
        for left in &left {
            let state = match is_lost(left) {
                true => SliceState::Aside,
                false if left.saved => SliceState::Restore,
                false => SliceState::Free,
            };
            // SAFETY: as above.
            #[allow(unsafe_code)]
            unsafe {
                work.board.enter(left.slice, state);
            }
        }
        left.iter().filter(|left| is_lost(left)).for_each(|left| orders.ledger.set_aside(left.slice));
        let again = left.iter().filter(|left| !is_lost(left)).map(|left| left.slice).collect();
        round = work.later_round(number, again);
    }
    match toll.has_set_aside() {
        true => Err(toll.error(work.board.done())),
        false => Ok(toll.into_deaths()),
    }
}

/// Workers forked for each round.
struct OneShot<'o> {
    may_fork: &'o dyn Fn() -> Result<()>,
    crowd: Option<WorkerSet>,
    nursery: Option<ForkServer>,
    /// Who gives back its memory while others go on.
    leaving: Vec<Exiting>,
    /// Who should have ended and has not.
    remaining: Vec<Remaining>,
}

impl<'o> OneShot<'o> {
    /// # Safety
    /// As for [`child::spawn`], whenever `may_fork` says yes.
    #[allow(unsafe_code)]
    unsafe fn new(may_fork: &'o dyn Fn() -> Result<()>) -> Self {
        Self { may_fork, crowd: None, nursery: None, leaving: Vec::new(), remaining: Vec::new() }
    }

    /// The workers of a job's first round, and the process that will fork those of the others if there may be others.
    fn first(&mut self, work: &JobContext<'_>, labour: &dyn RunSlices, round: &Round) -> Result<WorkerSet> {
        (self.may_fork)()?;
        // SAFETY: this process may fork.
        #[allow(unsafe_code)]
        let crowd = unsafe { fork_workers(work, labour, round) }?;
        // After the workers, which begin the sooner for it. Without one (the limit of processes is reached), this process
        // forks the replacements, if it still may.
        if round.goes_on && !work.in_step() {
            work.board.note_own(Event::OpensNursery);
            // SAFETY: nothing has happened since the forks above that could have started a thread.
            #[allow(unsafe_code)]
            let nursery = unsafe { open_fork_server(work, labour) };
            self.nursery = nursery.ok();
        }
        Ok(crowd)
    }

    /// The workers of a later round.
    fn replacements(&mut self, work: &JobContext<'_>, labour: &dyn RunSlices, round: &Round) -> Result<WorkerSet> {
        work.board.note_own(Event::Forks { rank: 0 });
        match self.nursery.as_mut().map(|nursery| nursery.spawn(round.processes)) {
            Some(Ok(crowd)) if crowd.len() == round.processes => return Ok(crowd),
            // Whoever it made is gone with it.
            failed => drop(failed),
        }
        self.nursery = None;
        (self.may_fork)()?;
        // Workers of that fork_server may have signed.
        // SAFETY: they are gone, and no others are born yet.
        #[allow(unsafe_code)]
        unsafe {
            work.board.clear_for_new_workers();
        }
        // SAFETY: this process may fork.
        #[allow(unsafe_code)]
        unsafe {
            fork_workers(work, labour, round)
        }
    }
}

impl WorkerSource for OneShot<'_> {
    fn begin(
        &mut self,
        work: &JobContext<'_>,
        labour: &dyn RunSlices,
        round: &mut Round,
        _: &Supervision<'_>,
    ) -> Result<&mut WorkerSet> {
        let crowd = match round.first {
            true => self.first(work, labour, round),
            false => self.replacements(work, labour, round),
        };
        Ok(self.crowd.insert(crowd?))
    }

    fn patience(&self) -> Option<SpinPolicy> {
        None
    }

    fn end(&mut self, board: &ControlPage, more: bool, gone: bool) -> bool {
        if !more {
            board.head().end.release();
        }
        // Nobody has anything left to do but leave. Those who take up what is left need not wait until the kernel has torn
        // down the memory of the dead.
        if more && let Some(crowd) = self.crowd.take() {
            let (leaving, remaining) = crowd.leave();
            self.leaving.extend(leaving);
            self.remaining.extend(remaining);
        }
        if gone {
            self.remaining.extend(self.leaving.drain(..).filter_map(Exiting::end));
        }
        self.remaining.is_empty()
    }

    fn close(&mut self) -> Vec<Remaining> {
        let mut remaining = std::mem::take(&mut self.remaining);
        // Workers before the one that reaps them.
        remaining.extend(self.crowd.take().into_iter().flat_map(WorkerSet::dismiss));
        remaining.extend(self.leaving.drain(..).filter_map(Exiting::end));
        remaining.extend(self.nursery.take().and_then(ForkServer::close));
        remaining
    }
}

/// Forks the workers of a round.
///
/// # Safety
/// As for [`child::spawn`].
#[allow(unsafe_code)]
unsafe fn fork_workers(work: &JobContext<'_>, labour: &dyn RunSlices, round: &Round) -> Result<WorkerSet> {
    let workers = round.processes;
    child::flush_buffers();
    let mut crowd = WorkerSet::new(work.board);
    // SAFETY: this process has one thread, or the caller vouches for what the others do to what all have.
    let ways = unsafe { PreFork::of(work.worker_config) };
    for rank in 0..workers {
        work.board.note_own(Event::Forks { rank });
        // SAFETY: passed on to the caller.
        let born = unsafe { child::spawn(|| worker_main(work, labour, round, rank, &ways)) };
        let fork = |source| Error::Fork { started: rank, asked: workers, limit: limits::process_limit(), source };
        crowd.add(born.map_err(fork)?);
    }
    Ok(crowd)
}

/// Forks the process that will fork the workers of later rounds.
///
/// # Safety
/// As for [`child::spawn`].
#[allow(unsafe_code)]
unsafe fn open_fork_server(work: &JobContext<'_>, labour: &dyn RunSlices) -> std::io::Result<ForkServer> {
    // SAFETY: passed on to the caller.
    let ways = unsafe { PreFork::of(work.worker_config) };
    let mut number = 0;
    let bear = |crowd: &mut WorkerSet, held: MailboxLock<'_>| {
        number += 1;
        let mut slices = work.board.free();
        slices.retain(|&slice| work.only.is_none_or(|only| only == slice));
        let round = work.later_round(number, slices);
        for (rank, berth) in work.board.slots().iter().enumerate().take(round.dealer.workers) {
            let life = || {
                held.wait();
                worker_main(work, labour, &round, rank, &ways)
            };
            // SAFETY: the fork_server has one thread.
            let Ok(child) = (unsafe { child::spawn(life) }) else { break };
            berth.enter(child.pid());
            crowd.add(child);
        }
    };
    // SAFETY: passed on to the caller.
    unsafe { ForkServer::open(work.board, bear) }
}
