//! Workers as processes forked for this job.
//!
//! Coordinator: forks, waits at the end barrier for (all have come OR a death OR the clock OR a request to stop), reaps; once
//! more for slices that dead workers left. Worker: attaches what was lent, labours, meets the coordinator at the end
//! barrier, leaves.

use super::attend::attend;
use super::live::{Ways, live};
use super::toll::Toll;
use super::work::{Labour, Orders, Round, Work};
use crate::error::{Death, Error, Result};
use crate::process::{self, Crowd, Nursery};
use crate::shared::Withheld;
use crate::sys::{child, limits, shortage};

/// Runs the job, if this process has one thread.
pub(crate) fn run_alone(work: &Work<'_>, labour: &dyn Labour, orders: &mut Orders<'_>) -> Result<Vec<Death>> {
    // SAFETY: each fork is made by the only thread there is, so no other holds anything that a worker could wait for.
    #[allow(unsafe_code)]
    unsafe {
        run_rounds(work, labour, orders, process::be_alone)
    }
}

/// Runs the job, whatever other threads there are.
///
/// # Safety
/// As for [`child::spawn`]: the body uses nothing that another thread may hold at the time of the fork.
#[allow(unsafe_code)]
pub(crate) unsafe fn run_beside_threads(
    work: &Work<'_>,
    labour: &dyn Labour,
    orders: &mut Orders<'_>,
) -> Result<Vec<Death>> {
    // SAFETY: passed on to the caller.
    unsafe { run_rounds(work, labour, orders, || Ok(())) }
}

/// Runs rounds until no slice is missing: all slices first, then, with new workers, those that dead ones left. A slice that
/// has killed more workers than there are retries is set aside, and ends the job with an error when all others are done.
///
/// # Safety
/// As for [`child::spawn`], whenever `may_fork` says yes.
#[allow(unsafe_code)]
unsafe fn run_rounds(
    work: &Work<'_>,
    labour: &dyn Labour,
    orders: &mut Orders<'_>,
    may_fork: impl Fn() -> Result<()>,
) -> Result<Vec<Death>> {
    shortage::count();
    let (mut round, mut toll) = (work.first_round(true), Toll::new(work.retries));
    // Who gives back its memory while others go on.
    let mut leaving = Vec::new();
    may_fork()?;
    // SAFETY: passed on to the caller.
    let mut crowd = unsafe { fork_crowd(work, labour, &round) }?;
    // After the workers, which begin the sooner for it. Without one (the limit of processes is reached), this process
    // forks the replacements, if it still may.
    // SAFETY: passed on to the caller; nothing has happened since the forks above that could have started a thread.
    let mut nursery = if round.goes_on && !work.in_step() { unsafe { open_nursery(work, labour) }.ok() } else { None };
    loop {
        let done = work.board.done();
        let (deaths, gone) = attend(work, &round, crowd, orders)?;
        leaving.extend(gone);
        let mut left = work.missing();
        toll.count(deaths, &left, work.board.done() > done);
        if left.is_empty() {
            return Ok(toll.into_deaths());
        }
        if work.in_step() {
            // Its workers may have met, and nobody else can take part in what they then did.
            return Err(toll.first(work.board.done()));
        }
        left.retain(|&slice| !toll.is_set_aside(slice));
        if left.is_empty() || toll.is_hopeless() {
            return Err(toll.error(work.board.done()));
        }
        // SAFETY: the round has ended and its workers are past their last instruction; the next one's are not born yet.
        unsafe { work.board.clear_for_next_round(&left) };
        round = work.next_round();
        crowd = match nursery.as_mut().map(|nursery| nursery.bear(round.dealer.workers)) {
            Some(Ok(crowd)) if crowd.len() == round.dealer.workers => crowd,
            failed => {
                // Whoever it made is gone with it.
                drop(failed);
                nursery = None;
                may_fork()?;
                // Once more: workers of that nursery may have signed there.
                // SAFETY: as above.
                unsafe { work.board.clear_for_next_round(&left) };
                // SAFETY: passed on to the caller.
                unsafe { fork_crowd(work, labour, &round) }?
            }
        };
    }
}

/// Forks the workers of a round.
///
/// # Safety
/// As for [`child::spawn`].
#[allow(unsafe_code)]
unsafe fn fork_crowd<'w>(work: &Work<'w>, labour: &dyn Labour, round: &Round) -> Result<Crowd<'w>> {
    let workers = round.dealer.workers;
    child::flush_buffers();
    let mut crowd = Crowd::new(work.board);
    let mut withheld = Some(Withheld::hold());
    // SAFETY: this process has one thread, or the caller vouches for what the others do to what all have.
    let ways = unsafe { Ways::of(work.threads_per_worker) };
    for rank in 0..workers {
        // SAFETY: passed on to the caller.
        let born = unsafe { child::spawn(|| live(work, labour, round, rank, &ways, withheld.take())) };
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
unsafe fn open_nursery<'w>(work: &Work<'w>, labour: &dyn Labour) -> std::io::Result<Nursery<'w>> {
    // SAFETY: passed on to the caller.
    let ways = unsafe { Ways::of(work.threads_per_worker) };
    let bear = |crowd: &mut Crowd<'w>| {
        let round = work.next_round();
        for (rank, berth) in work.board.berths().iter().enumerate().take(round.dealer.workers) {
            // SAFETY: the nursery has one thread.
            let Ok(child) = (unsafe { child::spawn(|| live(work, labour, &round, rank, &ways, None)) }) else { break };
            berth.enter(child.pid());
            crowd.add(child);
        }
    };
    // SAFETY: passed on to the caller.
    unsafe { Nursery::open(work.board, Withheld::hold(), bear) }
}
