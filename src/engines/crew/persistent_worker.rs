//! The main loop of a persistent worker: wait for a job, read its descriptor, run slices, arrive at the end, wait again.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use super::super::job_context::{JobContext, Round, Steps};
use super::super::run_slices::{RunSlices, Stopped};
use super::super::worker_main::{PreFork, start_worker};
use super::super::worker_memory::{OutputProtection, WorkerMemory};
use super::body_fn::BodyFn;
use super::cpu_spread::CpuSpread;
use super::descriptor::JobDescriptor;
use super::mapping_cache::MappingCache;
use crate::error::{ControlPageDamage, Error, Result};
use crate::lend::{Loan, cut};
use crate::sync::{
    ControlPage, Dealer, Event, ExitMessage, JobTag, JobWaiter, Mailbox, Posted, SpinPolicy, Ticket, WorkDigest,
};
use crate::sys::limits;
use crate::sys::memory::Access;

/// What a worker who stays knows from birth.
pub(super) struct WorkerInit<'b> {
    pub(super) page: &'b ControlPage,
    pub(super) rank: usize,
    pub(super) ways: &'b PreFork,
    pub(super) coordinator: u32,
    /// How many workers there are, on how many CPUs.
    pub(super) workers: usize,
    pub(super) cpus: usize,
    /// The last call before its birth, and the job of that.
    pub(super) ticket: Ticket,
    pub(super) job: u64,
}

/// Lives until it is ended, or cannot go on. The status to leave with.
pub(super) fn worker_main(init: WorkerInit<'_>) -> i32 {
    let WorkerInit { page, rank, ways, coordinator, workers, cpus, ticket, job } = init;
    start_worker(&page.slots()[rank], rank, ways);
    let spin_policy = SpinPolicy::new(workers + 1, cpus);
    let waiter = JobWaiter::new(spin_policy, ticket, job);
    let mut worker = PersistentWorker {
        page,
        rank,
        pid: std::process::id(),
        cpus,
        waiter,
        cache: MappingCache::new(coordinator),
        apart: CpuSpread::default(),
    };
    worker.listen();
    loop {
        let served = match worker.read() {
            Ok(Some((posted, descriptor))) => worker.serve(&descriptor, &posted),
            Ok(None) => {
                worker.listen();
                continue;
            }
            Err(error) => Err(error),
        };
        match served {
            Ok(Ok(())) => {}
            Ok(Err(Stopped)) => return 1,
            Err(error) => {
                page.slots()[rank].send_exit_message(&match error {
                    Error::ControlPageDamaged { what } => ExitMessage::Damaged { what },
                    error => ExitMessage::BodyFailed { reason: error.to_string() },
                });
                page.give_up(Some(rank));
                return 1;
            }
        }
    }
}

struct PersistentWorker<'b> {
    page: &'b ControlPage,
    rank: usize,
    pid: u32,
    cpus: usize,
    waiter: JobWaiter,
    cache: MappingCache,
    apart: CpuSpread,
}

impl PersistentWorker<'_> {
    /// Waits for another job.
    fn listen(&mut self) {
        let head = self.page.head();
        self.waiter.wait_for_job(&head.call, &head.job);
    }

    /// The descriptor of the last job; `None` if that job is over, for then it was without this worker.
    fn read(&self) -> Result<Option<(Posted, JobDescriptor)>> {
        let damaged = || Error::ControlPageDamaged { what: ControlPageDamage::Descriptor };
        let posted = self.page.descriptor().map_err(|_| damaged())?;
        let Some(posted) = posted.filter(|posted| posted.version <= self.waiter.job()) else { return Ok(None) };
        let descriptor = JobDescriptor::read(&posted.words).ok_or_else(damaged)?;
        Ok(Some((posted, descriptor)))
    }

    /// Works on a job, if it has part in it, and on those after it as long as they are told by the same descriptor; listens for
    /// the next one.
    fn serve(&mut self, descriptor: &JobDescriptor, posted: &Posted) -> Result<Result<(), Stopped>> {
        self.cache.keep_only(&descriptor.keep);
        if self.rank >= descriptor.processes {
            self.listen();
            return Ok(Ok(()));
        }
        // Each can have a CPU of its own.
        let can_part = descriptor.dealt <= self.cpus;
        let Self { waiter, cache, apart, .. } = self;
        let backings = descriptor.loans.iter().map(|told| cache.take(&told.array, told.access));
        let backings = backings.collect::<Result<Vec<_>>>()?;
        // Where the coordinator has them is of no use here.
        let nowhere = NonNull::dangling();
        let loans: Vec<Loan<'_>> =
            descriptor.loans.iter().zip(&backings).map(|(told, backing)| told.loan(backing, nowhere)).collect();
        let grid = cut(descriptor.spec.split.unwrap_or_default(), &descriptor.spec.bounds, &loans, &descriptor.ranges)?;
        let mailbox =
            descriptor.mailbox.map(|told| cache.take(&told, Access::Write).map(Mailbox::opened)).transpose()?;
        let mut copies = descriptor.restore_outputs.iter();
        let mut copy = || copies.next().map(|copy| cache.take(copy, Access::Write)).transpose();
        let protection = OutputProtection::with(&loans, &grid, descriptor.spec.guard, |_| copy())?;
        let page = self.page.laid_out(descriptor.layout)?;
        let dealt = descriptor.slices.as_ref().map_or(descriptor.layout.slices, Vec::len);
        let schedule = descriptor.spec.schedule.unwrap_or_default();
        let dealer = Dealer { schedule, slices: dealt, workers: descriptor.dealt };
        let context = JobContext {
            spec: &descriptor.spec,
            loans: &loans,
            ranges: &descriptor.ranges,
            grid: &grid,
            page: &page,
            dealer,
            steps: Steps::of(&descriptor.spec, &loans),
            spin_policy: SpinPolicy::new(descriptor.layout.workers, self.cpus),
            delivers: descriptor.delivers,
            mailbox: mailbox.as_ref(),
            protection: &protection,
            sandbox: None,
            stop: None,
        };
        let (slices, goes_on, processes) = (descriptor.slices.clone(), descriptor.goes_on, descriptor.processes);
        let mut round = Round { dealer, slices, first: true, number: 0, goes_on, processes };
        let worker_memory = WorkerMemory::attach(&loans, &protection, |loan, keeping| {
            cache.map(descriptor.loans[loan].array.number, keeping)
        })?;
        cache.close_the_rest()?;
        let mut worker_memory = Some(worker_memory);
        let mut done = Ok(());
        // SAFETY: the coordinator, of whose code this process has a copy, wrote there where a `BodyFn` is, which it has looked for in it.
        let body_fn = unsafe { BodyFn::at(descriptor.body_fn) };
        // Again and again, until there is another descriptor; once if what is mapped is for this job alone.
        let mut at_work = |runner: &dyn RunSlices| {
            while let Some(at) = &worker_memory {
                page.keys().set_job(descriptor.slice_table.unwrap_or(JobTag { call: waiter.job(), tag: posted.tag }));
                round.number = waiter.job();
                if can_part {
                    apart.keep(&page, waiter.job(), self.rank, descriptor.dealt);
                }
                let digest = match self::work_once(&context, &round, self.rank, self.pid, at, runner)? {
                    Ok(digest) => digest,
                    Err(stopped) => {
                        done = Err(stopped);
                        break;
                    }
                };
                if protection.is_taken() {
                    worker_memory = None;
                }
                let head = page.head();
                page.arrive(round.number, self.rank, digest, round.processes);
                waiter.wait_for_job(&head.call, &head.job);
                if page.version() != posted.version {
                    break;
                }
            }
            Ok(())
        };
        // SAFETY: and its argument.
        unsafe { body_fn.call(&descriptor.argument, &mut at_work) }?;
        Ok(done)
    }
}

/// Works on one job.
fn work_once(
    context: &JobContext<'_>,
    round: &Round,
    rank: usize,
    pid: u32,
    worker_memory: &WorkerMemory<'_>,
    runner: &dyn RunSlices,
) -> Result<Result<WorkDigest, Stopped>> {
    context.page.note(rank, Event::Born { pid });
    context.page.slots()[rank].begin_job(context.is_timed().then(|| context.page.clock()));
    if let Some(limit) = context.spec.memory_limit {
        let private = limit.saturating_add(context.protection.private_bytes(context.loans) as u64);
        limits::limit_private_memory(Some(private)).map_err(Error::system("limit a worker's memory"))?;
    }
    // SAFETY: mapped with the access that each loan asks for until the worker's memory is dropped, and told of by the coordinator, whose
    // loans are of the types of this body; each rank is one process.
    let done = unsafe { runner.run_slices(context, round, rank, worker_memory) };
    if context.spec.memory_limit.is_some() {
        limits::limit_private_memory(None).map_err(Error::system("lift the limit of a worker's memory"))?;
    }
    Ok(done)
}
