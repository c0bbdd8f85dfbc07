//! Workers who stay between jobs, as the coordinator has them.
//!
//! They are forked by a fork_server, one process of one thread that was itself forked when the crew was started. A job is told to
//! them by a bill on the board (`descriptor.rs`) and a call; they map what they do not have yet (`mapping_cache.rs`), labour, come to the end
//! barrier and wait for the next call (`persistent_worker.rs`). When one dies, or a job fails, all are ended and the next job has new ones: a
//! worker that has been in a job that failed may be anywhere.

mod body_fn;
mod cpu_spread;
mod descriptor;
mod mapping_cache;
mod persistent_worker;

pub(crate) use body_fn::BodyFn;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};

use super::job_context::{JobContext, Round, RunSlices, Supervision, WorkerConfig};
use super::processes::{WorkerSource, run_rounds};
use super::supervise::AtBarrier;
use super::worker_main::PreFork;
use super::worker_memory::WorkerMemory;
use crate::cancel::CancelToken;
use crate::error::{Death, Error, Result};
use crate::process::{ForkServer, MailboxLock, WorkerSet};
use crate::shared::{give_back_at_once, retain_live};
use crate::slices::Split;
use crate::sync::{ControlPage, Event, JobTag, Layout, SpinPolicy};
use crate::sys::fork_stamp::{self, Stamp};
use crate::sys::pidfd::Remaining;
use crate::sys::{child, limits, proc};
use descriptor::DescriptorParts;

/// Reads words as a worker does.
#[cfg(any(test, fuzzing))]
pub(super) fn read_descriptor(words: &[u64]) {
    if let Some(bill) = descriptor::JobDescriptor::read(words) {
        assert!(bill.slices.is_none_or(|slices| slices.iter().all(|&slice| slice < bill.layout.slices)));
    }
}

/// A crew's workers, and what they have been told.
pub(crate) struct WorkerPool {
    board: ControlPage,
    workers: usize,
    cpus: usize,
    upbringing: WorkerConfig,
    joins_in: bool,
    may_fork: fn() -> Result<()>,
    crowd: Option<WorkerSet>,
    nursery: Option<ForkServer>,
    /// The number of the last job.
    job: u64,
    /// What was told last, and room to write what comes next.
    bill: Vec<u64>,
    next: Vec<u64>,
    /// The tag of what was told last.
    tag: u64,
    /// Of which job the journal is.
    journal: Option<JobTag>,
    /// The arrays that workers may have mapped.
    known: BTreeSet<u64>,
    /// The process that has this crew.
    by: Stamp,
}

/// A job for a crew, besides what every engine knows of it.
pub(crate) struct CrewJob<'t> {
    pub(crate) tender: BodyFn,
    pub(crate) argument: &'t [u8],
    pub(crate) split: Split,
}

impl WorkerPool {
    /// Forks so many workers, whenever `may_fork` says yes, of at most as many as `most` there will ever be.
    ///
    /// # Errors
    /// If there is no memory for the board, or the system makes fewer processes.
    ///
    /// # Safety
    /// As for [`child::spawn`], whenever `may_fork` says yes.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn start(
        workers: usize,
        most: usize,
        upbringing: WorkerConfig,
        cpus: usize,
        may_fork: fn() -> Result<()>,
    ) -> Result<Self> {
        if !proc::is_open_to_forks() {
            return Err(Error::Crew(format!("{}.", proc::NOT_DUMPABLE)));
        }
        let mut hands = Self {
            // One more, for the coordinator if it works too.
            board: ControlPage::for_many(most + 1)?,
            workers,
            cpus,
            upbringing,
            joins_in: false,
            may_fork,
            crowd: None,
            nursery: None,
            job: 0,
            bill: Vec::new(),
            next: Vec::new(),
            tag: 0,
            journal: None,
            known: BTreeSet::new(),
            by: fork_stamp::current(),
        };
        give_back_at_once();
        hands.gather()?;
        Ok(hands)
    }

    /// How many workers there are, the coordinator not counted.
    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// How many can work on a job.
    pub(crate) fn ranks(&self) -> usize {
        self.workers + usize::from(self.joins_in)
    }

    /// Whether the coordinator works too.
    pub(crate) fn coordinator_works(&self) -> bool {
        self.joins_in
    }

    /// Lets the coordinator work too, or not.
    pub(crate) fn set_coordinator_works(&mut self, joins_in: bool) {
        self.joins_in = joins_in;
    }

    /// Lets there be another number of workers.
    pub(crate) fn resize(&mut self, workers: usize) -> Result<()> {
        self.check()?;
        if workers != self.workers {
            self.crowd = None;
            self.workers = workers;
        }
        self.gather()
    }

    /// Refuses to be used in a process that has only a copy of it.
    pub(crate) fn check(&self) -> Result<()> {
        match self.by.is_current() {
            true => Ok(()),
            false => Err(Error::NotOwner { what: "this crew" }),
        }
    }

    /// The board as it is laid out for a job.
    pub(crate) fn board(&self, layout: Layout) -> Result<ControlPage> {
        self.board.laid_out(layout)
    }

    /// Runs a job.
    pub(crate) fn run(
        &mut self,
        task: &CrewJob<'_>,
        work: &JobContext<'_>,
        labour: &dyn RunSlices,
        orders: &mut Supervision<'_>,
    ) -> Result<Vec<Death>> {
        if self.joins_in && work.go_on_without_dead {
            return Err(Error::Crew(
                "a coordinator that works cannot meanwhile take the dead off meetings. Leave out Crew::join_in, or \
                 Job::go_on_without_dead."
                    .to_owned(),
            ));
        }
        run_rounds(work, labour, orders, &mut AtCrewJob { hands: self, task, remaining: Vec::new() })
    }

    /// Ends all workers; the next job has new ones.
    pub(crate) fn end_workers(&mut self) {
        self.crowd = None;
    }

    /// Lets all workers be there and be new, if one is missing.
    fn gather(&mut self) -> Result<()> {
        let is_intact = self.nursery.as_ref().is_some_and(ForkServer::is_intact);
        // It may be over also when time is up just after all have come to the end of a job, which is done then.
        let is_whole = self.board.head().end.over().is_none();
        if is_intact && is_whole && self.crowd.as_ref().is_some_and(WorkerSet::is_whole) {
            return Ok(());
        }
        self.crowd = None;
        if !is_intact {
            // And whoever it made that was not asked for.
            self.nursery = None;
        }
        // One of those who are gone may have written over it: it is not taken for told.
        self.bill.clear();
        // What is there now may be the next job's number, which new workers would take for one that is over.
        self.board.head().job.store(self.job, Ordering::Release);
        let berths = self.board.laid_out(Layout { workers: self.workers, slices: 0, loans: 0, answer: 0, log: 0 })?;
        berths.reserve_slots()?;
        loop {
            // SAFETY: all workers are gone.
            #[allow(unsafe_code)]
            unsafe {
                berths.clear_for_new_workers();
            }
            let is_new = self.nursery.is_none();
            if is_new {
                (self.may_fork)()?;
                // SAFETY: this process may fork, as whoever started the crew has vouched.
                #[allow(unsafe_code)]
                let nursery = unsafe { open_fork_server(&self.board, self.upbringing, self.cpus) };
                self.nursery = Some(nursery.map_err(|source| self.too_few(0, source))?);
            }
            let Some(nursery) = &mut self.nursery else { unreachable!("opened above") };
            match nursery.spawn(self.workers) {
                Ok(crowd) if crowd.len() == self.workers => {
                    self.crowd = Some(crowd);
                    return Ok(());
                }
                Ok(crowd) => return Err(self.too_few(crowd.len(), io::Error::from_raw_os_error(libc::EAGAIN))),
                Err(source) if is_new => {
                    self.nursery = None;
                    return Err(self.too_few(0, source));
                }
                // Somebody has killed it, and its workers with it.
                Err(_) => self.nursery = None,
            }
        }
    }

    fn too_few(&self, started: usize, source: io::Error) -> Error {
        Error::Fork { started, asked: self.workers, limit: limits::process_limit(), source }
    }

    /// Tells what is to be done, if that is not what was done last, and calls.
    fn call(&mut self, task: &CrewJob<'_>, work: &JobContext<'_>, round: &mut Round) -> Result<()> {
        for loan in work.loans {
            self.known.insert(loan.backing.told()?.number);
        }
        let (tender, argument, split) = (task.tender.addresses(), task.argument, task.split);
        let journal = self.journal.filter(|_| !round.first);
        let more = DescriptorParts { tender, argument, split, keep: &self.known, journal };
        descriptor::write(&mut self.next, work, round, more)?;
        if self.next != self.bill {
            // Those that were dropped since are no longer kept.
            retain_live(&mut self.known);
            let more = DescriptorParts { tender, argument, split, keep: &self.known, journal };
            descriptor::write(&mut self.next, work, round, more)?;
            self.tag = work.board.post_descriptor(self.job + 1, &self.next)?;
            mem::swap(&mut self.next, &mut self.bill);
        }
        self.job += 1;
        round.number = self.job;
        if round.first {
            let job = self.journal.insert(JobTag { call: self.job, tag: self.tag });
            work.board.keys().set_job(*job);
            work.board.clear_for_next_job();
        }
        let head = work.board.head();
        // Release: who hears of the job finds journal and bill ready.
        head.job.store(self.job, Ordering::Release);
        head.call.ring();
        Ok(())
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        if !self.by.is_current() {
            // Another process's children, which are not for this one to end.
            mem::forget(self.crowd.take());
            mem::forget(self.nursery.take());
        }
        // Workers before the one that reaps them.
        self.crowd = None;
    }
}

/// A crew at a job.
struct AtCrewJob<'t> {
    hands: &'t mut WorkerPool,
    task: &'t CrewJob<'t>,
    /// Who should have ended and has not.
    remaining: Vec<Remaining>,
}

impl WorkerSource for AtCrewJob<'_> {
    fn begin(
        &mut self,
        work: &JobContext<'_>,
        labour: &dyn RunSlices,
        round: &mut Round,
        orders: &Supervision<'_>,
    ) -> Result<&mut WorkerSet> {
        let hands = &mut *self.hands;
        hands.gather()?;
        round.processes = round.dealer.workers.min(hands.workers);
        if !round.first {
            // What the dead left half changed is put back by those who have undo copies, which this process has not.
            round.dealer.workers = round.processes;
        }
        work.board.note_own(Event::Calls);
        hands.call(self.task, work, round)?;
        let own = round.processes;
        if own < round.dealer.workers {
            work.board.note_own(Event::Works);
            work.board.note(own, Event::Born { pid: std::process::id() });
            work.board.slots()[own].begin_job(work.timed.then(|| work.board.clock()));
            cpu_spread::note_in(work.board, hands.job, own);
            let Some(crowd) = &mut hands.crowd else { unreachable!("gathered above") };
            let meeting = RefCell::new(AtBarrier::new(work, crowd, orders, own));
            let sleep = |word: &AtomicU32, expected, until| meeting.borrow_mut().sleep(word, expected, until);
            let desk = WorkerMemory::of_coordinator(work.loans, Some(&sleep));
            // SAFETY: the arrays' own addresses in this process, writable; the last rank is nobody else's. What is lent for
            // reading is only viewed for reading. How it ended is on the board.
            #[allow(unsafe_code)]
            let done = unsafe { labour.run_slices(work, round, own, &desk) };
            if let Ok(deeds) = done {
                work.board.arrival(own).enter(work.board.roll(round.number), own, deeds);
            } else {
                // Nobody takes up its part, of which there is no undo copy. The reason that is there already stays.
                let asked = work.stop.is_some_and(CancelToken::is_cancelled);
                work.board.give_up((!asked).then_some(own));
            }
        }
        hands.crowd.as_mut().ok_or_else(|| unreachable!("gathered above"))
    }

    fn patience(&self) -> Option<SpinPolicy> {
        Some(self.hands.patience())
    }

    fn end(&mut self, _: &ControlPage, more: bool, _gone: bool) -> bool {
        if more || !self.hands.crowd.as_ref().is_some_and(WorkerSet::is_whole) {
            self.remaining.extend(self.hands.crowd.take().into_iter().flat_map(WorkerSet::dismiss));
        }
        self.remaining.is_empty()
    }

    fn close(&mut self) -> Vec<Remaining> {
        std::mem::take(&mut self.remaining)
    }
}

impl WorkerPool {
    fn patience(&self) -> SpinPolicy {
        SpinPolicy::new(self.workers + 1, self.cpus)
    }
}

/// Forks the process that forks the workers.
///
/// # Safety
/// As for [`child::spawn`].
#[allow(unsafe_code)]
unsafe fn open_fork_server(board: &ControlPage, upbringing: WorkerConfig, cpus: usize) -> io::Result<ForkServer> {
    // SAFETY: passed on to the caller.
    let ways = unsafe { PreFork::of(upbringing) };
    let coordinator = std::process::id();
    let bear = |crowd: &mut WorkerSet, held: MailboxLock<'_>| {
        let head = board.head();
        let wanted = (head.fork_server.0.wanted.load(Ordering::Acquire) as usize).min(board.slots().len());
        let (heard, job) = (head.call.last_ticket(), head.job.load(Ordering::Acquire));
        for rank in 0..wanted {
            let birth = persistent_worker::WorkerInit {
                board,
                rank,
                ways: &ways,
                coordinator,
                workers: wanted,
                cpus,
                heard,
                job,
            };
            let life = || {
                held.wait();
                persistent_worker::worker_main(birth)
            };
            // SAFETY: the fork_server has one thread.
            let Ok(child) = (unsafe { child::spawn(life) }) else { break };
            board.slots()[rank].enter(child.pid());
            crowd.add(child);
        }
    };
    // SAFETY: passed on to the caller.
    unsafe { ForkServer::open(board, bear) }
}
