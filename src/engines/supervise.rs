//! The coordinator's loop during a round: it waits for its workers to arrive, for deaths, deadlines and cancellation.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::job_context::{JobContext, Round, Supervision};
use super::ledger::Ledger;
use super::stall_detector::StallDetector;
use crate::error::{Cause, ControlPageDamage, Death, Error, Result};
use crate::process::{WorkerEvent, WorkerSet};
use crate::sync::{ControlPage, EndedEarly, Event, RoundKey, SpinPolicy};
use crate::sys::sandbox::{self, Receiver};

/// How often to look whether somebody wants to write to a file that is lent: the kernel lets them after 45 s.
const LEASES: Duration = Duration::from_millis(500);

/// How often to look what workers in a sandbox print, and whether one makes a call that is not let through.
const CONFINED: Duration = Duration::from_millis(10);

/// Waits until all have come to the end, or the job is over; the deaths among them that the job survives. With `spin_policy` it
/// looks again and again before it goes to sleep. After an error all of them are gone; else they are past their work, and it is
/// for the caller to end them or not.
pub(super) fn supervise(
    context: &JobContext<'_>,
    round: &Round,
    worker_set: &mut WorkerSet,
    spin_policy: Option<SpinPolicy>,
    supervision: &mut Supervision<'_>,
) -> Result<Vec<Death>> {
    context.page.note_own(Event::Attends);
    let (end, round_key) = (&context.page.head().end, context.page.round_key(round.number));
    supervision.begin_round(context, round);
    let mut arrivals = Arrivals { page: context.page, round_key, workers: round.processes, next: 0 };
    let (mut deaths, mut tries, mut bell) = (Vec::new(), 0, None);
    let mut watchdog = Watchdog::new(supervision.spec.slice_deadline);
    let is_leased = context.loans.iter().any(|loan| loan.lease.is_some());
    let mut stall_detector = StallDetector::new();
    let mut reason = None;
    let mut reports = Receiver::default();
    let ended = loop {
        if let Some(EndedEarly { by }) = end.over() {
            break Err(by);
        }
        if arrivals.is_complete(&supervision.ledger) {
            break Ok(());
        }
        if supervision.deliver(context.page, Some(round)) {
            context.page.give_up(None);
            break Err(None);
        }
        let Some(bell) = bell.take() else {
            // Once more after it has said that it sleeps.
            bell =
                (!spin_policy.is_some_and(|spin_policy| spin_policy.pause(&mut tries))).then(|| end.prepare_to_sleep());
            continue;
        };
        if let Some(sandbox) = context.sandbox {
            sandbox.forward_output();
            while let Some(report) = sandbox.next_report(&mut reports) {
                worker_set.end_for(
                    report.rank,
                    report.pid,
                    Cause::Forbidden { call: Some(sandbox::call_name(report.call)) },
                );
            }
        }
        if stall_detector.look(context, worker_set, round.processes) {
            break Err(None);
        }
        supervision.tell_delivered(context.page);
        let event = match watchdog.look(worker_set, context) {
            Overdue::Now { rank, limit } => {
                worker_set.end_stalled(rank, limit);
                WorkerEvent::Died { rank }
            }
            Overdue::Later(at) => {
                let mut words = vec![bell];
                words.extend(supervision.stop.map(|stop| stop.word()));
                let leases = is_leased.then(|| Instant::now() + LEASES);
                let confined = context.sandbox.map(|_| Instant::now() + CONFINED);
                worker_set.wait(
                    &words,
                    supervision
                        .next_look([at, leases, confined, Some(stall_detector.next())].into_iter().flatten().min()),
                )
            }
        };
        if let WorkerEvent::Died { rank } = event {
            note_death(context, worker_set, rank);
            match rank {
                // It had nothing to do.
                _ if rank >= round.processes => drop(worker_set.retire(rank)),
                // It has done all that it had to: worth a word in a job that tells of deaths.
                _ if arrivals.has_arrived(rank) => {
                    // It may have died before it had counted itself.
                    end.count_dead();
                    let (pid, cause) = worker_set.retire(rank);
                    if round.goes_on
                        && let Error::WorkerDied(death) = context.failure(rank, pid, Some(cause))
                    {
                        deaths.push(*death);
                    }
                }
                _ if round.goes_on && context.survives_death() => {
                    let (pid, cause) = worker_set.retire(rank);
                    if worker_set.has_remaining() {
                        // It goes on, and what it writes cannot be told from what its replacement does.
                        worker_set.end();
                        return Err(context.failure(rank, pid, Some(cause)));
                    }
                    supervision.ledger.note_dead(rank);
                    context.page.withdraw(rank);
                    if context.steps.is_some() || supervision.delivers_in_order() {
                        context.page.recall();
                    }
                    match context.failure(rank, pid, Some(cause)) {
                        Error::WorkerDied(death) => deaths.push(*death),
                        refused => {
                            worker_set.end();
                            return Err(refused);
                        }
                    }
                }
                _ => supervision.end_for_dead(context.page, rank),
            }
        }
        supervision.tell(context.page);
        // Who wanted to write may have gone away by the end.
        reason = reason.or_else(|| wanted(context));
        if supervision.are_to_end() || reason.is_some() {
            context.page.give_up(None);
        }
    };
    supervision.tell(context.page);
    let Err(by) = ended else { return Ok(deaths) };
    let culprit = over(context, worker_set, by);
    if supervision.has_enough() {
        return Ok(deaths);
    }
    // All came while it was decided. Those who have not come have not said what they did, and the words of slices alone may have been
    // turned back and written again.
    if arrivals.is_complete(&supervision.ledger) && supervision.ledger.is_all_done(context.page, supervision.late()) {
        return Ok(deaths);
    }
    Err(match culprit {
        // One that ends the job says why. This one has neither done that nor died before this process ended them all.
        Some((rank, ..)) if supervision.died != Some(rank) && context.page.slots()[rank].exit_message().is_none() => {
            Error::ControlPageDamaged { what: ControlPageDamage::End }
        }
        Some((rank, pid, cause)) => context.failure(rank, pid, cause),
        None if supervision.are_to_end() => supervision.ended(context.page.how_far()),
        None => {
            reason.or_else(|| wanted(context)).unwrap_or(Error::ControlPageDamaged { what: ControlPageDamage::End })
        }
    })
}

/// A coordinator that works too and waits at a meeting: there as well it looks for deaths, for workers that stand still, at the
/// clock and for requests to stop. Any of these ends the meeting, and with it the job. It tells progress. Leases it need not look at:
/// files that are read where they lie are refused where it works.
pub(super) struct AtBarrier<'a, 'o> {
    context: &'a JobContext<'a>,
    worker_set: &'a mut WorkerSet,
    supervision: &'a mut Supervision<'o>,
    processes: usize,
    watchdog: Watchdog,
    stall_detector: StallDetector,
    /// What came of telling progress, if that panicked.
    panic: Option<Box<dyn Any + Send>>,
}

impl<'a, 'o> AtBarrier<'a, 'o> {
    pub(super) fn new(
        context: &'a JobContext<'a>,
        worker_set: &'a mut WorkerSet,
        supervision: &'a mut Supervision<'o>,
        processes: usize,
    ) -> Self {
        let (watchdog, stall_detector) = (Watchdog::new(supervision.spec.slice_deadline), StallDetector::new());
        Self { context, worker_set, supervision, processes, watchdog, stall_detector, panic: None }
    }

    /// Goes on with the panic of what was called to tell progress, if there was one: it is not the body's, which waited.
    pub(super) fn end(self) {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
    }

    /// Sleeps while the word has that value, or for a shorter time.
    pub(super) fn sleep(&mut self, word: &AtomicU32, expected: u32, until: Option<Instant>) {
        let page = self.context.page;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.supervision.tell(page))) {
            self.panic = Some(panic);
            return page.give_up(None);
        }
        if self.supervision.are_to_end() || self.stall_detector.look(self.context, self.worker_set, self.processes) {
            return page.give_up(None);
        }
        let event = match self.watchdog.look(self.worker_set, self.context) {
            Overdue::Now { rank, limit } => {
                self.worker_set.end_stalled(rank, limit);
                WorkerEvent::Died { rank }
            }
            Overdue::Later(at) => {
                let mut words = vec![(word, expected)];
                words.extend(self.supervision.stop.map(|stop| stop.word()));
                let next = [at, until, Some(self.stall_detector.next())].into_iter().flatten().min();
                self.worker_set.wait(&words, self.supervision.next_look(next))
            }
        };
        if let WorkerEvent::Died { rank } = event {
            self.supervision.end_for_dead(page, rank);
        }
    }
}

/// Who has come to the end of a round: the coordinator's to say, by each one's own word.
struct Arrivals<'b> {
    page: &'b ControlPage,
    round_key: RoundKey,
    workers: usize,
    /// The first that had not come when it looked last.
    next: usize,
}

impl Arrivals<'_> {
    fn has_arrived(&self, rank: usize) -> bool {
        self.page.arrival(rank).has_arrived(self.round_key, rank)
    }

    /// Whether all have come but those who died before.
    fn is_complete(&mut self, ledger: &Ledger) -> bool {
        while self.next < self.workers && (self.has_arrived(self.next) || ledger.is_dead(self.next)) {
            self.next += 1;
        }
        self.next == self.workers
    }
}

/// Why a job must end that reads a file to which somebody wants to write.
fn wanted(context: &JobContext<'_>) -> Option<Error> {
    let (_, path) = context.loans.iter().filter_map(|loan| loan.lease).find(|(lease, _)| lease.is_wanted())?;
    Some(Error::File {
        path: path.to_owned(),
        what: "another program wants to write to it while it is read".to_owned(),
        remedy: "run this again when that is done".to_owned(),
    })
}

/// Notes a death, and what the dead has cost, before anybody reaps it.
fn note_death(context: &JobContext<'_>, worker_set: &WorkerSet, rank: usize) {
    if let Some(log) = context.page.own_log() {
        let now = context.page.clock();
        log.note(now, Event::Dies { rank });
        if let Some(usage) = worker_set.usage(rank) {
            log.note_cost(now, &usage);
        }
    }
}

/// Ends all workers of a job that broke for worker `by`'s sake; its rank, its process, and what ended that. From here on the
/// slice table stays as it is.
fn over(
    context: &JobContext<'_>,
    worker_set: &mut WorkerSet,
    by: Option<usize>,
) -> Option<(usize, u32, Option<Cause>)> {
    // The job has failed, so that the end of each is certain, even of one that was stopped, and can be waited for.
    worker_set.kill();
    let culprit = by.map(|rank| match worker_set.len() {
        // This process worked as the last rank.
        len if rank == len && rank < context.page.layout().workers => (rank, std::process::id(), None),
        len => {
            // Whatever the word says; of those who stay, not all may have part in this job.
            let rank = rank.min(len.min(context.page.layout().workers) - 1);
            let (pid, cause) = worker_set.retire(rank);
            (rank, pid, Some(cause))
        }
    });
    worker_set.end();
    culprit
}

/// Looks for workers that keep the job waiting, if there is a deadline for slices.
struct Watchdog {
    limit: Option<Duration>,
    /// What all workers were doing when nobody worked on a slice, and since when that is so.
    quiet: Option<(u64, Instant)>,
    /// When to look again at the latest.
    next: Option<Instant>,
    /// Before this time of the control page's clock nobody can have been late.
    resumed: Duration,
}

/// What a look shows.
enum Overdue {
    /// This worker has kept the job waiting for too long.
    Now { rank: usize, limit: Duration },
    /// Nobody can have before this moment.
    Later(Option<Instant>),
}

impl Watchdog {
    fn new(limit: Option<Duration>) -> Self {
        Self { limit, quiet: None, next: None, resumed: Duration::ZERO }
    }

    /// Who is late, or until when nobody can be.
    fn look(&mut self, worker_set: &WorkerSet, context: &JobContext<'_>) -> Overdue {
        let Some(limit) = self.limit else { return Overdue::Later(None) };
        // This process should have looked long ago: it was stopped (Ctrl-Z), and its workers most likely with it.
        if self.next.is_some_and(|next| next.elapsed() > limit / 2) {
            (self.resumed, self.quiet) = (context.page.clock(), None);
        }
        let overdue = self.search(worker_set, context, limit);
        self.next = if let Overdue::Later(next) = overdue { next } else { None };
        overdue
    }

    /// Somebody may have been at one slice for too long. Or, while all seem to wait for each other (at a meeting, at the end),
    /// one of them was stopped: no slice is late then, but nothing changes any more.
    fn search(&mut self, worker_set: &WorkerSet, context: &JobContext<'_>, limit: Duration) -> Overdue {
        if let Some((rank, since)) = worker_set.slowest() {
            self.quiet = None;
            let due = since.max(self.resumed).saturating_add(limit);
            return match due <= context.page.clock() {
                true => Overdue::Now { rank, limit },
                false => Overdue::Later(context.page.at(due)),
            };
        }
        let doing = worker_set.activity();
        let (_, since) = self.quiet.filter(|(before, _)| *before == doing).unwrap_or((doing, Instant::now()));
        self.quiet = Some((doing, since));
        match (since.elapsed() >= limit).then(|| worker_set.culprit()).flatten() {
            Some(rank) => Overdue::Now { rank, limit },
            None => Overdue::Later(since.checked_add(limit)),
        }
    }
}
