//! Workers as processes forked for this job.
//!
//! Coordinator: board, forks, waits at the end barrier for (all have come OR a death OR the deadline), reaps. Worker:
//! attach what was lent, labour, meet the coordinator at the end barrier, leave.

use std::time::Instant;

use super::toll::Toll;
use super::work::{Orders, Round, Stopped, Work, note_panic};
use crate::answer::Answer;
use crate::error::{Death, Error, Result};
use crate::lend::Lend;
use crate::process::{self, Crowd, Event};
use crate::shared::{Attached, Withheld};
use crate::sync::{Broken, Dealer, Words};
use crate::sys::child::Child;
use crate::sys::{child, limits};
use crate::worker::Worker;

/// Runs the job, if this process has one thread.
pub(crate) fn run_alone<L: Lend, R: Answer, B: Fn(&Worker<'_>, L::Part) -> R>(
    work: &Work<'_, L, B>,
    orders: &mut Orders<'_>,
) -> Result<Vec<Death>> {
    // SAFETY: each fork is made by the only thread there is, so no other holds anything that a worker could wait for.
    #[allow(unsafe_code)]
    unsafe {
        run_rounds(work, orders, process::be_alone)
    }
}

/// Runs the job, whatever other threads there are.
///
/// # Safety
/// As for [`child::spawn`]: the body uses nothing that another thread may hold at the time of the fork.
#[allow(unsafe_code)]
pub(crate) unsafe fn run_beside_threads<L: Lend, R: Answer, B: Fn(&Worker<'_>, L::Part) -> R>(
    work: &Work<'_, L, B>,
    orders: &mut Orders<'_>,
) -> Result<Vec<Death>> {
    // SAFETY: passed on to the caller.
    unsafe { run_rounds(work, orders, || Ok(())) }
}

/// Runs rounds until no slice is missing: all slices first, then, with new workers, those that dead ones left. A slice that
/// has killed more workers than there are retries is set aside, and ends the job with an error when all others are done.
///
/// # Safety
/// As for [`child::spawn`], whenever `may_fork` says yes.
#[allow(unsafe_code)]
unsafe fn run_rounds<L: Lend, R: Answer, B: Fn(&Worker<'_>, L::Part) -> R>(
    work: &Work<'_, L, B>,
    orders: &mut Orders<'_>,
    may_fork: impl Fn() -> Result<()>,
) -> Result<Vec<Death>> {
    let deadline = orders.deadline.and_then(|span| Instant::now().checked_add(span));
    let (mut round, mut toll) = (work.first_round(true), Toll::new(work.retries));
    // Who gives back its memory while others go on; reaped when the job has ended.
    let mut leaving = Vec::new();
    loop {
        may_fork()?;
        let done = work.board.done();
        // SAFETY: passed on to the caller.
        let deaths = unsafe { run_round(work, &round, orders, deadline, &mut leaving) }?;
        let mut left = work.board.not_done();
        toll.count(deaths, &left, work.board.done() > done);
        if left.is_empty() {
            return Ok(toll.into_deaths());
        }
        left.retain(|&slice| !toll.is_set_aside(slice));
        if left.is_empty() || toll.is_hopeless() {
            return Err(toll.error(work.board.done()));
        }
        let dealer = Dealer { slices: left.len(), workers: work.dealer.workers.min(left.len()), ..work.dealer };
        round = Round { dealer, slices: Some(left), ..round };
        // SAFETY: the round has ended and its workers are past their last instruction; the next one's are not born yet.
        unsafe { work.board.clear_for_next_round() };
    }
}

/// Deals the slices of a round to new workers and waits for them; the deaths among them that the job survives.
///
/// # Safety
/// As for [`child::spawn`].
#[allow(unsafe_code)]
unsafe fn run_round<L: Lend, R: Answer, B: Fn(&Worker<'_>, L::Part) -> R>(
    work: &Work<'_, L, B>,
    round: &Round,
    orders: &mut Orders<'_>,
    deadline: Option<Instant>,
    leaving: &mut Vec<Child>,
) -> Result<Vec<Death>> {
    let workers = round.dealer.workers;
    child::flush_buffers();
    let mut crowd = Crowd::new();
    let mut withheld = Some(Withheld::hold());
    for rank in 0..workers {
        // SAFETY: passed on to the caller.
        let born = unsafe { child::spawn(|| live(work, round, rank, &mut withheld)) };
        let fork = |source| Error::Fork { started: rank, asked: workers, limit: limits::process_limit(), source };
        crowd.add(born.map_err(fork)?);
    }
    drop(withheld);
    let participants = workers as u32 + 1;
    let end = &work.board.head().end;
    let arrival = end.arrive(participants);
    let (mut late, mut deaths) = (false, Vec::new());
    let ended = loop {
        match end.crossed(arrival) {
            Ok(true) => break Ok(()),
            Err(Broken { by }) => break Err(by),
            Ok(false) => {}
        }
        let word = end.word(arrival);
        match crowd.wait(work.board, word, orders.next_look(deadline)) {
            Event::Changed => {}
            // It left because the barrier was crossed, after the look at it above: no death, even if slices of others are missing.
            Event::Died { .. } if end.crossed(arrival) == Ok(true) => {}
            // Killed after its last slice: nothing is missing.
            Event::Died { .. } if work.board.not_done().is_empty() => break Ok(()),
            Event::Died { rank } if round.goes_on => {
                let (pid, cause) = crowd.bury(rank);
                match work.failure(rank, pid, Some(cause)) {
                    Error::WorkerDied(death) => deaths.push(*death),
                    refused => return Err(refused),
                }
                // The coordinator comes to the barrier in its stead. Should it have come itself before it died, the barrier
                // is crossed one worker early: that one is ended too, and what it held is missing from the journal.
                let _ = end.arrive(participants);
            }
            Event::Died { rank } => work.board.give_up(Some(rank)),
        }
        orders.tell(work.board);
        late = deadline.is_some_and(|at| at <= Instant::now());
        if late {
            work.board.give_up(None);
        }
    };
    orders.tell(work.board);
    // After the crossing nobody has anything left to do but leave; before it, the job has failed. Either way the end of
    // each is certain now, even of one that was stopped, so that waiting for it is too.
    crowd.kill();
    match ended {
        Ok(()) => {
            // Those who take up what is left need not wait until the kernel has torn down the memory of the dead.
            if !work.board.not_done().is_empty() {
                leaving.extend(crowd.leave(work.board));
            }
            Ok(deaths)
        }
        Err(by) => {
            let buried = by.map(|rank| rank.min(workers - 1)).map(|rank| (rank, crowd.bury(rank)));
            // All are reaped: from here on the journal stays as it is.
            drop(crowd);
            match buried {
                // What was missing became done before the end of those who worked on it.
                _ if work.board.not_done().is_empty() => Ok(deaths),
                Some((rank, (pid, cause))) => Err(work.failure(rank, pid, Some(cause))),
                None if late => Err(orders.overdue(work.board)),
                // Only the coordinator breaks the barrier for no worker's sake, and it did not.
                None => Err(Error::System {
                    doing: "keep the board as the coordinator left it",
                    source: std::io::Error::other("a worker has written over it"),
                }),
            }
        }
    }
}

/// A worker's life after birth; the status to leave with.
fn live<L: Lend, R: Answer, B: Fn(&Worker<'_>, L::Part) -> R>(
    work: &Work<'_, L, B>,
    round: &Round,
    rank: usize,
    withheld: &mut Option<Withheld>,
) -> i32 {
    let berth = &work.board.berths()[rank];
    berth.obituary.sign();
    keep_panics_quiet();
    let attached = match attach(work, withheld.take()) {
        // Never unmapped: a thread that the body left running may still look at a view.
        Ok(attached) => std::mem::ManuallyDrop::new(attached),
        Err(error) => {
            berth.say(&Words::Refused { reason: error.to_string() });
            work.board.give_up(Some(rank));
            return 1;
        }
    };
    let bases: Vec<_> = attached.iter().map(Attached::base).collect();
    // SAFETY: attached just now with the access each loan asks for, until the process ends; each rank is born once.
    #[allow(unsafe_code)]
    let done = unsafe { work.labour(round, rank, &bases) };
    match done {
        Err(Stopped) => 1,
        Ok(()) => {
            let participants = round.dealer.workers as u32 + 1;
            work.board.head().end.meet(participants, work.patience).map_or(1, |()| 0)
        }
    }
}

/// Maps what was lent, and nothing else of the coordinator's arrays.
fn attach<L: Lend, B>(work: &Work<'_, L, B>, withheld: Option<Withheld>) -> Result<Vec<Attached>> {
    withheld
        .map_or(Ok(()), Withheld::blockade)
        .map_err(Error::system("keep a worker away from arrays it was not lent"))?;
    work.loans().iter().map(|loan| loan.segment.attach(loan.access)).collect()
}

/// Lets a panic of the worker's own thread be told by the coordinator, in its error, instead of on stderr here. The hook
/// that was inherited keeps its say for other threads; it is never dropped, for it is not this process's to drop.
fn keep_panics_quiet() {
    // With abort nobody will catch the panic, so stderr is all there is. A thread that panics already (the job runs in a
    // destructor) must leave the hook as it is.
    if cfg!(panic = "abort") || std::thread::panicking() {
        return;
    }
    let inherited = std::panic::take_hook();
    let worker = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == worker {
            note_panic(info.location().map(ToString::to_string).unwrap_or_default());
        } else {
            inherited(info);
        }
    }));
}
