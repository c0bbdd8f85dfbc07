//! A crew: persistent worker processes, as the coordinator sees them.
//!
//! They are forked by a fork server, one process of one thread that was itself forked when the crew was started: by the coordinator, or
//! by a program that does so for all crews (`server.rs`). A job is told to them by a descriptor on the control page (`descriptor.rs`) and
//! a call; they map what they do not have yet (`mapping_cache.rs`), run slices, come to the end barrier and wait for the next call
//! (`persistent_worker.rs`). When one dies, or a job fails, all are ended and the next job has new ones: a worker that has been in a job
//! that failed may be anywhere.

mod body_fn;
mod cpu_spread;
mod descriptor;
mod kept_state;
mod mapping_cache;
mod persistent_worker;
mod server;

pub(crate) use body_fn::BodyFn;
pub(crate) use kept_state::{KeptState, whole};
pub(crate) use server::{ServerSource, SharedProgram, serve};

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::job_context::{JobContext, Round, Supervision};
use super::processes::{WorkerSource, run_rounds};
use super::run_slices::RunSlices;
use super::supervise::AtBarrier;
use super::worker_memory::WorkerMemory;
use crate::cancel::CancelToken;
use crate::error::{CrewError, Death, Error, Result};
use crate::process::{ForkServer, Spawned, WorkerSet};
use crate::shared::{give_back_at_once, retain_live};
use crate::spec::JobSpec;
use crate::sync::{ControlPage, Event, JobTag, Layout, Mailbox, SpinPolicy};
use crate::sys::fork_stamp::{self, Stamp};
use crate::sys::pidfd::Remaining;
use crate::sys::proc;
use crate::sys::reserve::{Late, never};
use descriptor::DescriptorParts;

/// Reads words as a worker does.
#[cfg(any(test, fuzzing))]
pub(super) fn read_descriptor(words: &[u64]) {
    if let Some(descriptor) = descriptor::JobDescriptor::read(words) {
        assert!(descriptor.slices.is_none_or(|slices| slices.iter().all(|&slice| slice < descriptor.layout.slices)));
    }
}

/// A crew's workers, and what they have been told.
pub(crate) struct WorkerPool {
    page: ControlPage,
    workers: usize,
    cpus: usize,
    /// What is set for all its jobs: for how many threads, and whether workers are bound to CPUs.
    spec: JobSpec,
    coordinator_works: bool,
    source: ServerSource,
    worker_set: Option<WorkerSet>,
    fork_server: Option<ForkServer>,
    /// The number of the last job.
    job: u64,
    /// What was told last, and room to write what comes next.
    descriptor: Vec<u64>,
    next: Vec<u64>,
    /// The tag of what was told last.
    tag: u64,
    /// Of which job the slice table is.
    slice_table: Option<JobTag>,
    /// The arrays that workers may have mapped.
    known: BTreeSet<u64>,
    /// Where answers of any length went last, and since when.
    mailbox: Option<(Mailbox, Instant)>,
    /// The process that has this crew.
    by: Stamp,
}

/// A job for a crew, besides what every engine knows of it.
pub(crate) struct CrewJob<'t> {
    pub(crate) body_fn: BodyFn,
    pub(crate) argument: &'t [u8],
}

impl WorkerPool {
    /// Has so many workers forked, of at most as many as `most` there will ever be.
    ///
    /// # Errors
    /// If there is no memory for the control page, or the system makes fewer processes.
    ///
    /// # Safety
    /// As for [`child::spawn`](crate::sys::child::spawn), whenever this process is the `source` and may fork.
    #[allow(unsafe_code)]
    pub(crate) unsafe fn start(
        workers: usize,
        most: usize,
        spec: JobSpec,
        cpus: usize,
        source: ServerSource,
    ) -> Result<Self> {
        if !proc::is_open_to_forks() {
            return Err(CrewError::NotDumpable.into());
        }
        let mut pool = Self {
            // One more, for the coordinator if it works too.
            page: ControlPage::for_many(most + 1)?,
            workers,
            cpus,
            spec,
            coordinator_works: false,
            source,
            worker_set: None,
            fork_server: None,
            job: 0,
            descriptor: Vec::new(),
            next: Vec::new(),
            tag: 0,
            slice_table: None,
            known: BTreeSet::new(),
            mailbox: None,
            by: fork_stamp::current(),
        };
        give_back_at_once();
        pool.gather(&never)?;
        Ok(pool)
    }

    /// How many workers there are, the coordinator not counted.
    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// How many can work on a job.
    pub(crate) fn ranks(&self) -> usize {
        self.workers + usize::from(self.coordinator_works)
    }

    /// Whether the coordinator works too.
    pub(crate) fn coordinator_works(&self) -> bool {
        self.coordinator_works
    }

    /// Lets the coordinator work too, or not.
    pub(crate) fn set_coordinator_works(&mut self, coordinator_works: bool) {
        self.coordinator_works = coordinator_works;
    }

    /// Lets there be another number of workers.
    pub(crate) fn resize(&mut self, workers: usize) -> Result<()> {
        self.check()?;
        if workers != self.workers {
            self.worker_set = None;
            self.workers = workers;
        }
        self.gather(&never)
    }

    /// Refuses to be used in a process that has only a copy of it.
    pub(crate) fn check(&self) -> Result<()> {
        match self.by.is_current() {
            true => Ok(()),
            false => Err(Error::NotOwner { what: "this crew" }),
        }
    }

    /// The control page as it is laid out for a job.
    pub(crate) fn page(&self, layout: Layout) -> Result<ControlPage> {
        self.page.laid_out(layout)
    }

    /// Runs a job.
    pub(crate) fn run(
        &mut self,
        task: &CrewJob<'_>,
        context: &JobContext<'_>,
        runner: &dyn RunSlices,
        supervision: &mut Supervision<'_>,
    ) -> Result<Vec<Death>> {
        if self.coordinator_works && context.delivers {
            return Err(CrewError::HandsOn.into());
        }
        self.source.check(task.body_fn)?;
        run_rounds(context, runner, supervision, &mut AtCrewJob { pool: self, task, remaining: Vec::new() })
    }

    /// Where answers of any length go: to the same place job after job, which workers have open, for as long as what is known of the
    /// room for them is of use.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn mailbox(&mut self) -> Result<Mailbox> {
        const OLD: Duration = Duration::from_secs(1);
        if self.mailbox.as_ref().is_none_or(|(_, made)| made.elapsed() > OLD) {
            self.mailbox = Some((Mailbox::new()?, Instant::now()));
        }
        let Some((mailbox, _)) = &self.mailbox else { unreachable!("made above") };
        Ok(mailbox.clone())
    }

    /// Ends all workers; the next job has new ones.
    pub(crate) fn end_workers(&mut self) {
        self.worker_set = None;
        // One that could not be ended may still write there.
        self.mailbox = None;
    }

    /// Lets all workers be there and be new, if one is missing, and waits for that until it is `late`, a little longer.
    fn gather(&mut self, late: Late<'_>) -> Result<()> {
        let is_intact = self.fork_server.as_ref().is_some_and(ForkServer::is_intact);
        // It may be over also when time is up just after all have come to the end of a job, which is done then.
        let is_whole = self.page.head().end.over().is_none();
        if is_intact && is_whole && self.worker_set.as_ref().is_some_and(WorkerSet::is_whole) {
            return Ok(());
        }
        self.worker_set = None;
        if !is_intact {
            // And whoever it made that was not asked for.
            self.fork_server = None;
        }
        // One of those who are gone may have written over it: it is not taken for told.
        self.descriptor.clear();
        // What is there now may be the next job's number, which new workers would take for one that is over.
        self.page.head().job.store(self.job, Ordering::Release);
        let slots = self.page.laid_out(Layout::without_job(self.workers))?;
        slots.reserve_slots()?;
        loop {
            // SAFETY: all workers are gone.
            #[allow(unsafe_code)]
            unsafe {
                slots.clear_for_new_workers();
            }
            let is_new = self.fork_server.is_none();
            if is_new {
                // SAFETY: if this process may fork, as whoever started the crew has vouched.
                #[allow(unsafe_code)]
                let fork_server = unsafe { self.source.open(&self.page, &self.spec, self.cpus, late) }?;
                self.fork_server =
                    Some(fork_server.map_err(|source| Error::too_few_processes(0, self.workers, Some(source)))?);
            }
            let Some(fork_server) = &mut self.fork_server else { unreachable!("opened above") };
            let source = match fork_server.spawn(self.workers, late) {
                Ok(Spawned::All(worker_set)) => {
                    self.worker_set = Some(worker_set);
                    return Ok(());
                }
                Ok(Spawned::TooFew(started)) => return Err(Error::too_few_processes(started, self.workers, None)),
                // They have not been called to a job.
                Ok(Spawned::Orphans(_)) => io::Error::other("the process that was to fork them was killed"),
                Err(source) => source,
            };
            // Somebody has killed it, and its workers with it.
            self.fork_server = None;
            match late() {
                // Whatever it was that took so long.
                true => return Err(Error::system("have workers forked")(io::ErrorKind::TimedOut.into())),
                false if is_new => return Err(Error::too_few_processes(0, self.workers, Some(source))),
                false => {}
            }
        }
    }

    /// Tells what is to be done, if that is not what was done last, and calls.
    fn call(&mut self, task: &CrewJob<'_>, context: &JobContext<'_>, round: &mut Round, late: Late<'_>) -> Result<()> {
        let arrays = context.loans.iter().map(|loan| loan.backing);
        for lent in arrays.chain(context.mailbox.map(Mailbox::file)) {
            self.known.insert(lent.told()?.number);
        }
        let (body_fn, argument) = (task.body_fn.offsets(), task.argument);
        let slice_table = self.slice_table.filter(|_| !round.first);
        let more = DescriptorParts { body_fn, argument, keep: &self.known, slice_table };
        descriptor::write(&mut self.next, context, round, more)?;
        if self.next != self.descriptor {
            // Those that were dropped since are no longer kept.
            retain_live(&mut self.known);
            let more = DescriptorParts { body_fn, argument, keep: &self.known, slice_table };
            descriptor::write(&mut self.next, context, round, more)?;
            self.tag = context.page.post_descriptor(self.job + 1, &self.next, late)?;
            mem::swap(&mut self.next, &mut self.descriptor);
        }
        self.job += 1;
        round.number = self.job;
        if round.first {
            let job = self.slice_table.insert(JobTag { call: self.job, tag: self.tag });
            context.page.keys().set_job(*job);
            context.page.clear_for_next_job();
        }
        let head = context.page.head();
        // Release: who hears of the job finds slice table and descriptor ready.
        head.job.store(self.job, Ordering::Release);
        head.call.ring();
        Ok(())
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        if !self.by.is_current() {
            // Another process's children, which are not for this one to end.
            mem::forget(self.worker_set.take());
            mem::forget(self.fork_server.take());
        }
        // Workers before the one that reaps them.
        self.worker_set = None;
    }
}

/// A crew at a job.
struct AtCrewJob<'t> {
    pool: &'t mut WorkerPool,
    task: &'t CrewJob<'t>,
    /// Who should have ended and has not.
    remaining: Vec<Remaining>,
}

impl WorkerSource for AtCrewJob<'_> {
    fn begin(
        &mut self,
        context: &JobContext<'_>,
        runner: &dyn RunSlices,
        round: &mut Round,
        supervision: &mut Supervision<'_>,
    ) -> Result<&mut WorkerSet> {
        let pool = &mut *self.pool;
        let late = supervision.late();
        pool.gather(&late)?;
        round.processes = round.dealer.workers.min(pool.workers);
        if !round.first {
            // What the dead left half changed is put back by those who have undo copies, which this process has not.
            round.dealer.workers = round.processes;
        }
        context.page.note_own(Event::Calls);
        pool.call(self.task, context, round, &late)?;
        let own = round.processes;
        if own < round.dealer.workers {
            context.page.note_own(Event::Works);
            context.page.note(own, Event::Born { pid: std::process::id() });
            context.page.slots()[own].begin_job(context.is_timed().then(|| context.page.clock()));
            cpu_spread::note_in(context.page, pool.job, own);
            let Some(worker_set) = &mut pool.worker_set else { unreachable!("gathered above") };
            let meeting = RefCell::new(AtBarrier::new(context, worker_set, supervision, own));
            let sleep = |word: &AtomicU32, expected, until| meeting.borrow_mut().sleep(word, expected, until);
            let worker_memory = WorkerMemory::of_coordinator(context.loans, Some(&sleep));
            // SAFETY: the arrays' own addresses in this process, writable; the last rank is nobody else's. What is lent for
            // reading is only viewed for reading. How it ended is on the control page.
            #[allow(unsafe_code)]
            let done = unsafe { runner.run_slices(context, round, own, &worker_memory) };
            meeting.into_inner().end();
            if let Ok(digest) = done {
                context.page.arrival(own).enter(context.page.round_key(round.number), own, digest);
            } else {
                // Nobody takes up its part, of which there is no undo copy. The reason that is there already stays.
                let asked = context.stop.is_some_and(CancelToken::is_cancelled);
                context.page.give_up((!asked).then_some(own));
            }
        }
        pool.worker_set.as_mut().ok_or_else(|| unreachable!("gathered above"))
    }

    fn spin_policy(&self) -> Option<SpinPolicy> {
        Some(SpinPolicy::new(self.pool.workers + 1, self.pool.cpus))
    }

    fn end(&mut self, _: &ControlPage, more: bool, _gone: bool) -> bool {
        if more || !self.pool.worker_set.as_ref().is_some_and(WorkerSet::is_whole) {
            self.remaining.extend(self.pool.worker_set.take().into_iter().flat_map(WorkerSet::dismiss));
        }
        self.remaining.is_empty()
    }

    fn close(&mut self) -> Vec<Remaining> {
        std::mem::take(&mut self.remaining)
    }
}

impl Drop for AtCrewJob<'_> {
    /// A panic of what is called to tell progress unwinds while workers are at work, on what is the caller's again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.pool.end_workers();
        }
    }
}
