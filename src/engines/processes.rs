//! Workers as processes forked for this job.
//!
//! Coordinator: forks, waits for (all have come to the end OR a death OR the clock OR a request to stop), reaps; once more for
//! slices that dead workers left. Worker: attaches what was lent, runs slices, says that it has come to the end, leaves when it
//! may.

use std::io;
use std::time::Instant;

use super::job_context::{JobContext, Round, Supervision};
use super::ledger::UnfinishedSlice;
use super::retry_tracker::RetryTracker;
use super::run_slices::RunSlices;
use super::run_steps;
use super::supervise::supervise;
use super::worker_main::{PreFork, worker_main};
use crate::error::{Death, Error, Result};
use crate::process::{self, Exiting, ForkServer, SpawnOrder, Spawned, WorkerSet};
use crate::sync::{ControlPage, Event, SliceState, SpinPolicy};
use crate::sys::pidfd::Remaining;
use crate::sys::reserve::Late;
use crate::sys::{child, oom};

/// Runs the job, if this process has one thread.
pub(crate) fn run_alone(
    context: &JobContext<'_>,
    runner: &dyn RunSlices,
    supervision: &mut Supervision<'_>,
) -> Result<Vec<Death>> {
    // SAFETY: each fork is made by the only thread there is, so no other holds anything that a worker could wait for.
    #[allow(unsafe_code)]
    let mut source = unsafe { OneShot::new(&process::ensure_single_threaded) };
    run_rounds(context, runner, supervision, &mut source)
}

/// Runs the job, whatever other threads there are.
///
/// # Safety
/// As for [`child::spawn`]: the body uses nothing that another thread may hold at the time of the fork.
#[allow(unsafe_code)]
pub(crate) unsafe fn run_in_threaded_process(
    context: &JobContext<'_>,
    runner: &dyn RunSlices,
    supervision: &mut Supervision<'_>,
) -> Result<Vec<Death>> {
    // SAFETY: passed on to the caller.
    let mut source = unsafe { OneShot::new(&process::ensure_children_live_here) };
    run_rounds(context, runner, supervision, &mut source)
}

/// Where the workers of rounds come from.
pub(super) trait WorkerSource {
    /// Lets workers begin with a round.
    fn begin(
        &mut self,
        context: &JobContext<'_>,
        runner: &dyn RunSlices,
        round: &mut Round,
        supervision: &mut Supervision<'_>,
    ) -> Result<&mut WorkerSet>;

    /// How long to look for their end before sleeping.
    fn spin_policy(&self) -> Option<SpinPolicy>;

    /// A round is over: all that its workers could do is done. `more` if there may be another one for this job; `gone` if that
    /// is for when the memory of its workers is gone as well. Whether none of them can do anything any more, if there may be.
    fn end(&mut self, page: &ControlPage, more: bool, gone: bool) -> bool;

    /// The job is over. Those of its processes that should have ended and have not.
    fn close(&mut self) -> Vec<Remaining>;
}

/// Runs rounds until no slice is missing: all slices first, then, with new workers, those that dead ones left. A slice that
/// has killed more workers than there are retries is set aside, and ends the job with an error when all others are done. A round
/// in which nobody died has left nothing, or what it has left is an error, which the answers' reader finds.
pub(super) fn run_rounds(
    context: &JobContext<'_>,
    runner: &dyn RunSlices,
    supervision: &mut Supervision<'_>,
    source: &mut dyn WorkerSource,
) -> Result<Vec<Death>> {
    let done = rounds(context, runner, supervision, source);
    match source.close() {
        none if none.is_empty() => done,
        processes => Err(Error::Remaining { processes, error: done.err().map(Box::new) }),
    }
}

fn rounds(
    context: &JobContext<'_>,
    runner: &dyn RunSlices,
    supervision: &mut Supervision<'_>,
    source: &mut dyn WorkerSource,
) -> Result<Vec<Death>> {
    oom::count(Instant::now());
    let (mut round, mut retry_tracker) = (context.first_round(true), RetryTracker::new(context.spec.retries));
    let steps = context.steps.as_ref().map_or(1, |steps| steps.count);
    let mut fewest = context.dealer.slices as u64 * u64::from(steps);
    for number in 1.. {
        context.page.note_own(Event::Prepares);
        let spin_policy = source.spin_policy();
        let worker_set = source
            .begin(context, runner, &mut round, supervision)
            .map_err(|error| supervision.or_ended(error, context.page.how_far()))?;
        let attended = supervise(context, &round, worker_set, spin_policy, supervision);
        context.page.note_own(Event::Ends);
        let late = supervision.late();
        let enough = supervision.has_enough();
        let left = match attended.is_ok() && supervision.ledger.has_dead() && !enough {
            true => {
                let owners = context.steps.as_ref().map(|_| run_steps::owners(context, &round)).unwrap_or_default();
                let checked = context.steps.as_ref().map_or(Ok(()), |steps| run_steps::check(context, steps));
                checked.and_then(|()| {
                    supervision.ledger.close_round(context.page, late, &owners, context.protection.restores())
                })
            }
            false => Ok(Some(Vec::new())),
        };
        let more = attended.is_ok() && matches!(&left, Ok(Some(left)) if !left.is_empty());
        let all_past = source.end(context.page, more, runner.programs().is_some());
        let (deaths, left) = (attended?, left?);
        let Some(left) = left else { return Err(supervision.ended(context.page.how_far())) };
        let missing = left.iter().map(|left| u64::from(steps - left.steps)).sum();
        retry_tracker.count(deaths, &left, context.grid, missing < fewest);
        fewest = missing;
        if left.is_empty() || enough {
            break;
        }
        if context.goes_on_without() {
            // Its workers may have met, and nobody else can take part in what they then did.
            return Err(retry_tracker.first(context.page.how_far().done));
        }
        let is_lost = |left: &UnfinishedSlice| retry_tracker.is_set_aside(left.slice);
        // Others wait for what it would have done.
        let is_waited_for = context.steps.is_some() || left.iter().any(|left| left.given_back);
        let is_needed = |left: &UnfinishedSlice| is_waited_for && is_lost(left);
        // Slices that somebody may still write to are given to nobody else.
        if left.iter().all(is_lost)
            || left.iter().any(is_needed)
            || retry_tracker.is_hopeless(context.page.how_far().done)
            || !all_past
        {
            return Err(retry_tracker.error(context.page.how_far().done));
        }
        // The kernel ends a program with its worker, but later than other workers may go on.
        let processes = runner.programs().map(|programs| programs.end_left()).unwrap_or_default();
        if !processes.is_empty() {
            return Err(Error::Remaining {
                processes,
                error: Some(Box::new(retry_tracker.error(context.page.how_far().done))),
            });
        }
        // SAFETY: the round has ended and its workers are past their last instruction; the next one's are not born yet.
        #[allow(unsafe_code)]
        unsafe {
            context.page.clear_for_next_round();
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
                context.page.enter(left.slice, state);
            }
        }
        left.iter().filter(|left| is_lost(left)).for_each(|left| supervision.ledger.set_aside(left.slice));
        let again: Vec<_> = left.iter().filter(|left| !is_lost(left)).map(|left| left.slice).collect();
        if context.can_meet() {
            // Who is done has not come to a meeting, and does not come any more.
            let returned = supervision.ledger.slices().find(|slice| again.binary_search(slice).is_err());
            returned.into_iter().for_each(|rank| context.page.head().meeting.0.break_for(Some(rank)));
        }
        round = context.later_round(number, again);
    }
    match retry_tracker.has_set_aside() {
        true => Err(retry_tracker.error(context.page.how_far().done)),
        false => Ok(retry_tracker.into_deaths()),
    }
}

/// Workers forked for each round.
struct OneShot<'o> {
    may_fork: &'o dyn Fn() -> Result<()>,
    worker_set: Option<WorkerSet>,
    fork_server: Option<ForkServer>,
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
        Self { may_fork, worker_set: None, fork_server: None, leaving: Vec::new(), remaining: Vec::new() }
    }

    /// The workers of a job's first round, and the process that will fork those of the others if there may be others.
    fn first(
        &mut self,
        context: &JobContext<'_>,
        runner: &dyn RunSlices,
        round: &Round,
        late: Late<'_>,
    ) -> Result<WorkerSet> {
        (self.may_fork)()?;
        // SAFETY: this process may fork.
        #[allow(unsafe_code)]
        let worker_set = unsafe { fork_workers(context, runner, round, late) }?;
        // After the workers, which begin the sooner for it. Without one (the limit of processes is reached), this process
        // forks the replacements, if it still may.
        if round.goes_on && !context.goes_on_without() {
            context.page.note_own(Event::OpensForkServer);
            // SAFETY: nothing has happened since the forks above that could have started a thread.
            #[allow(unsafe_code)]
            let fork_server = unsafe { open_fork_server(context, runner) };
            self.fork_server = fork_server.ok();
        }
        Ok(worker_set)
    }

    /// The workers of a later round.
    fn replacements(
        &mut self,
        context: &JobContext<'_>,
        runner: &dyn RunSlices,
        round: &Round,
        late: Late<'_>,
    ) -> Result<WorkerSet> {
        context.page.note_own(Event::Forks { rank: 0 });
        match self.fork_server.as_mut().map(|fork_server| fork_server.spawn(round.processes, late)) {
            // Orphans are left to die and be counted: they may have taken slices.
            Some(Ok(Spawned::All(worker_set) | Spawned::Orphans(worker_set))) => return Ok(worker_set),
            Some(Ok(Spawned::TooFew(started))) => return Err(Error::too_few_processes(started, round.processes, None)),
            // Whatever it was that took so long.
            Some(Err(_)) if late() => {
                return Err(Error::system("have replacements forked")(io::ErrorKind::TimedOut.into()));
            }
            Some(Err(_)) | None => {}
        }
        self.fork_server = None;
        (self.may_fork)()?;
        // Workers of that fork server may have signed.
        // SAFETY: they are gone, and no others are born yet.
        #[allow(unsafe_code)]
        unsafe {
            context.page.clear_for_new_workers();
        }
        // SAFETY: this process may fork.
        #[allow(unsafe_code)]
        unsafe {
            fork_workers(context, runner, round, late)
        }
    }
}

impl WorkerSource for OneShot<'_> {
    fn begin(
        &mut self,
        context: &JobContext<'_>,
        runner: &dyn RunSlices,
        round: &mut Round,
        supervision: &mut Supervision<'_>,
    ) -> Result<&mut WorkerSet> {
        let late = supervision.late();
        let worker_set = match round.first {
            true => self.first(context, runner, round, &late),
            false => self.replacements(context, runner, round, &late),
        };
        Ok(self.worker_set.insert(worker_set?))
    }

    fn spin_policy(&self) -> Option<SpinPolicy> {
        None
    }

    fn end(&mut self, page: &ControlPage, more: bool, gone: bool) -> bool {
        if !more {
            page.head().end.release();
        }
        // Nobody has anything left to do but leave. Those who take up what is left need not wait until the kernel has torn
        // down the memory of the dead.
        if more && let Some(worker_set) = self.worker_set.take() {
            let (leaving, remaining) = worker_set.leave();
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
        remaining.extend(self.worker_set.take().into_iter().flat_map(WorkerSet::dismiss));
        remaining.extend(self.leaving.drain(..).filter_map(Exiting::end));
        remaining.extend(self.fork_server.take().and_then(ForkServer::close));
        remaining
    }
}

/// Forks the workers of a round.
///
/// # Safety
/// As for [`child::spawn`].
#[allow(unsafe_code)]
unsafe fn fork_workers(
    context: &JobContext<'_>,
    runner: &dyn RunSlices,
    round: &Round,
    late: Late<'_>,
) -> Result<WorkerSet> {
    let workers = round.processes;
    child::flush_buffers();
    let mut worker_set = WorkerSet::new(context.page);
    // SAFETY: this process has one thread, or the caller vouches for what the others do to what all have.
    let ways = unsafe { PreFork::of(context.spec, context.is_confined()) };
    for rank in 0..workers {
        // With gigabytes of its own in this process each fork takes a tenth of a second.
        if late() {
            return Err(Error::system("fork workers")(io::ErrorKind::TimedOut.into()));
        }
        context.page.note_own(Event::Forks { rank });
        // SAFETY: passed on to the caller.
        let born = unsafe { child::spawn(|| worker_main(context, runner, round, rank, &ways)) };
        worker_set.add(born.map_err(|source| Error::too_few_processes(rank, workers, Some(source)))?);
    }
    Ok(worker_set)
}

/// Forks the process that will fork the workers of later rounds.
///
/// # Safety
/// As for [`child::spawn`].
#[allow(unsafe_code)]
unsafe fn open_fork_server(context: &JobContext<'_>, runner: &dyn RunSlices) -> io::Result<ForkServer> {
    // SAFETY: passed on to the caller.
    let ways = unsafe { PreFork::of(context.spec, context.is_confined()) };
    let mut number = 0;
    let bear = |worker_set: &mut WorkerSet, held: SpawnOrder<'_>| {
        number += 1;
        let mut slices = context.page.free();
        slices.retain(|&slice| context.spec.only_slice.is_none_or(|only| only == slice));
        let round = context.later_round(number, slices);
        for (rank, slot) in context.page.slots().iter().enumerate().take(round.dealer.workers) {
            let life = || {
                held.wait();
                worker_main(context, runner, &round, rank, &ways)
            };
            // SAFETY: the fork server has one thread.
            let Ok(child) = (unsafe { child::spawn(life) }) else { return false };
            slot.enter(child.pid());
            worker_set.add(child);
        }
        true
    };
    // SAFETY: passed on to the caller.
    unsafe { ForkServer::open(context.page, bear) }
}
