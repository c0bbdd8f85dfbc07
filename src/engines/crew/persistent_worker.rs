//! A worker who stays: it waits for calls, reads what the job is, labours, says that it is done, and waits again.
#![allow(unsafe_code)]

use std::ptr::NonNull;

use super::super::job_context::{JobContext, Round, RunSlices, Stopped, WorkerConfig};
use super::super::worker_main::{PreFork, start_worker};
use super::super::worker_memory::{OutputProtection, WorkerMemory};
use super::body_fn::BodyFn;
use super::cpu_spread::CpuSpread;
use super::descriptor::JobDescriptor;
use super::mapping_cache::MappingCache;
use crate::error::{Error, Result};
use crate::lend::{Loan, cut};
use crate::sync::{ControlPage, Dealer, Event, ExitMessage, JobTag, JobWaiter, Posted, SpinPolicy, Ticket, WorkDigest};
use crate::sys::limits;
use crate::sys::memory::Access;

/// What a worker who stays knows from birth.
pub(super) struct WorkerInit<'b> {
    pub(super) board: &'b ControlPage,
    pub(super) rank: usize,
    pub(super) ways: &'b PreFork,
    pub(super) coordinator: u32,
    /// How many workers there are, on how many CPUs.
    pub(super) workers: usize,
    pub(super) cpus: usize,
    /// The last call before its birth, and the job of that.
    pub(super) heard: Ticket,
    pub(super) job: u64,
}

/// Lives until it is ended, or cannot go on. The status to leave with.
pub(super) fn worker_main(birth: WorkerInit<'_>) -> i32 {
    let WorkerInit { board, rank, ways, coordinator, workers, cpus, heard, job } = birth;
    start_worker(&board.slots()[rank], rank, ways);
    let patience = SpinPolicy::new(workers + 1, cpus);
    let ears = JobWaiter::new(patience, heard, job);
    let mut worker = PersistentWorker {
        board,
        rank,
        cpus,
        ears,
        larder: MappingCache::new(coordinator),
        apart: CpuSpread::default(),
    };
    worker.listen();
    loop {
        let served = match worker.read() {
            Ok(Some((posted, bill))) => worker.serve(&bill, &posted),
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
                board.slots()[rank].send_exit_message(&match error {
                    Error::ControlPageDamaged { what } => ExitMessage::Damaged { what },
                    error => ExitMessage::BodyFailed { reason: error.to_string() },
                });
                board.give_up(Some(rank));
                return 1;
            }
        }
    }
}

struct PersistentWorker<'b> {
    board: &'b ControlPage,
    rank: usize,
    cpus: usize,
    ears: JobWaiter,
    larder: MappingCache,
    apart: CpuSpread,
}

impl PersistentWorker<'_> {
    /// Waits for another job.
    fn listen(&mut self) {
        let head = self.board.head();
        self.ears.wait_for_job(&head.call, &head.job);
    }

    /// The bill of the last job; `None` if that job is over, for then it was without this worker.
    fn read(&self) -> Result<Option<(Posted, JobDescriptor)>> {
        let damaged = || {
            let what = "what the workers of a crew are told to do is not what the coordinator wrote".to_owned();
            Error::ControlPageDamaged { what }
        };
        let posted = self.board.descriptor().map_err(|_| damaged())?;
        let Some(posted) = posted.filter(|posted| posted.edition <= self.ears.job()) else { return Ok(None) };
        let bill = JobDescriptor::read(&posted.words).ok_or_else(damaged)?;
        Ok(Some((posted, bill)))
    }

    /// Works on a job, if it has part in it, and on those after it as long as they are told by the same bill; listens for
    /// the next one.
    fn serve(&mut self, bill: &JobDescriptor, posted: &Posted) -> Result<Result<(), Stopped>> {
        self.larder.keep_only(&bill.keep);
        if self.rank >= bill.processes {
            self.listen();
            return Ok(Ok(()));
        }
        // Each can have a CPU of its own.
        let can_part = bill.dealt <= self.cpus;
        let Self { ears, larder, apart, .. } = self;
        let backings = bill.loans.iter().map(|told| larder.take(&told.array, told.access));
        let backings = backings.collect::<Result<Vec<_>>>()?;
        // Where the coordinator has them is of no use here.
        let nowhere = NonNull::dangling();
        let loans: Vec<Loan<'_>> =
            bill.loans.iter().zip(&backings).map(|(told, backing)| told.loan(backing, nowhere)).collect();
        let grid = cut(bill.split, &loans)?;
        let mut copies = bill.undo_copies.iter();
        let mut copy = || copies.next().map(|copy| larder.take(copy, Access::Write)).transpose();
        let care = OutputProtection::with(&loans, &grid, bill.guard, |_| copy())?;
        let board = self.board.laid_out(bill.layout)?;
        let dealt = bill.slices.as_ref().map_or(bill.layout.slices, Vec::len);
        let dealer = Dealer { schedule: bill.schedule, slices: dealt, workers: bill.dealt };
        let work = JobContext {
            loans: &loans,
            grid: &grid,
            board: &board,
            dealer,
            patience: SpinPolicy::new(bill.layout.workers, self.cpus),
            timed: bill.timed,
            measure_memory: bill.measure_memory,
            retries: 0,
            care: &care,
            memory_limit: bill.memory_limit,
            sandbox: None,
            stop: None,
            go_on_without_dead: bill.go_on_without_dead,
            worker_config: WorkerConfig { threads: 0, pin: false, confined: false },
            only: None,
        };
        let (slices, goes_on, processes) = (bill.slices.clone(), bill.goes_on, bill.processes);
        let mut round = Round { dealer, slices, first: true, number: 0, goes_on, processes };
        let desk =
            WorkerMemory::attach(&loans, &care, |loan, keeping| larder.map(bill.loans[loan].array.number, keeping))?;
        larder.close_the_rest()?;
        let mut desk = Some(desk);
        let mut done = Ok(());
        // SAFETY: the coordinator, of whose program this process is a copy, wrote the address of a tender there.
        let tender = unsafe { BodyFn::at(bill.tender) };
        // Again and again, until there is another bill; once if what is mapped is for this job alone.
        let mut at_work = |labour: &dyn RunSlices| {
            while let Some(at) = &desk {
                board.keys().set_job(bill.journal.unwrap_or(JobTag { call: ears.job(), tag: posted.tag }));
                round.number = ears.job();
                if can_part {
                    apart.keep(&board, ears.job(), self.rank, bill.dealt);
                }
                let deeds = match self::work_once(&work, &round, self.rank, at, labour)? {
                    Ok(deeds) => deeds,
                    Err(stopped) => {
                        done = Err(stopped);
                        break;
                    }
                };
                if care.is_taken() {
                    desk = None;
                }
                let head = board.head();
                board.arrive(round.number, self.rank, deeds, round.processes);
                ears.wait_for_job(&head.call, &head.job);
                if board.version() != posted.edition {
                    break;
                }
            }
            Ok(())
        };
        // SAFETY: and its argument.
        unsafe { tender.call(&bill.argument, &mut at_work) }?;
        Ok(done)
    }
}

/// Works on one job.
fn work_once(
    work: &JobContext<'_>,
    round: &Round,
    rank: usize,
    desk: &WorkerMemory<'_>,
    labour: &dyn RunSlices,
) -> Result<Result<WorkDigest, Stopped>> {
    work.board.note(rank, Event::Born { pid: std::process::id() });
    work.board.slots()[rank].begin_job(work.timed.then(|| work.board.clock()));
    if let Some(limit) = work.memory_limit {
        let private = limit.saturating_add(work.care.private_bytes(work.loans) as u64);
        limits::limit_private_memory(Some(private)).map_err(Error::system("limit a worker's memory"))?;
    }
    // SAFETY: mapped with the access that each loan asks for until the desk is dropped, and told of by the coordinator, whose
    // loans are of the types of this labour; each rank is one process.
    let done = unsafe { labour.run_slices(work, round, rank, desk) };
    if work.memory_limit.is_some() {
        limits::limit_private_memory(None).map_err(Error::system("lift the limit of a worker's memory"))?;
    }
    Ok(done)
}
