//! The main function of a forked worker, from birth to the status it exits with.

use std::mem::ManuallyDrop;
use std::rc::Rc;

use super::job_context::{JobContext, Round};
use super::run_slices::{RunSlices, Stopped, note_panic};
use super::worker_memory::WorkerMemory;
use crate::error::{Error, Result};
use crate::spec::JobSpec;
use crate::sync::{Event, ExitMessage, WorkerSlot};
use crate::sys::memory::{Access, put_apart};
use crate::sys::pools::Pools;
use crate::sys::{child, cpu, fault_handler, limits, proc};

/// What the coordinator looks up before the fork for all its workers.
pub(super) struct PreFork {
    pools: Option<Pools>,
    /// Which CPUs workers are bound to in turn; none for whichever the system likes.
    cpus: Vec<usize>,
    /// Whether a panic is to be shown with a backtrace. Asked for before the fork and not after the panic: another thread may
    /// hold the environment's lock at the fork.
    backtraces: bool,
    /// Whether this process had one thread.
    alone: bool,
}

impl PreFork {
    /// # Safety
    /// As for [`Pools::of`].
    #[allow(unsafe_code)]
    pub(super) unsafe fn of(spec: &JobSpec, confined: bool) -> Self {
        // Whose words would be looked up in files.
        let backtraces = !confined && std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
        // SAFETY: passed on to the caller.
        let pools = unsafe { Pools::of(spec.threads_per_worker.unwrap_or(1)) };
        // Where the system does not tell which CPUs there are, it does not take them away either.
        let cpus = if spec.pin { cpu::spread().unwrap_or_default() } else { Vec::new() };
        let alone = proc::threads().is_ok_and(|threads| threads == 1);
        Self { pools, cpus, backtraces, alone }
    }
}

/// Takes its robust lock, attaches the arrays, runs slices, arrives at the end.
pub(super) fn worker_main(
    context: &JobContext<'_>,
    runner: &dyn RunSlices,
    round: &Round,
    rank: usize,
    ways: &PreFork,
) -> i32 {
    context.page.note(rank, Event::Born { pid: std::process::id() });
    let slot = &context.page.slots()[rank];
    start_worker(slot, rank, ways);
    let worker_memory = match prepare(context, rank) {
        // Never unmapped: a thread that the body left running may still look at a view.
        Ok(worker_memory) => ManuallyDrop::new(worker_memory),
        Err(error) => {
            slot.send_exit_message(&ExitMessage::BodyFailed { reason: error.to_string() });
            context.page.give_up(Some(rank));
            return 1;
        }
    };
    // SAFETY: attached just now with the access each loan asks for, until the process ends; each rank is born once.
    #[allow(unsafe_code)]
    let done = unsafe { runner.run_slices(context, round, rank, &worker_memory) };
    match done {
        Err(Stopped) => 1,
        Ok(digest) => {
            context.page.arrive(round.number, rank, digest, round.processes);
            i32::from(!context.page.head().end.wait_for_release(context.spin_policy))
        }
    }
}

/// What a worker does first of all.
pub(super) fn start_worker(slot: &WorkerSlot, rank: usize, ways: &PreFork) {
    slot.enter(std::process::id());
    slot.lock.acquire();
    put_apart(rank, std::ptr::from_ref(slot).addr());
    child::flush_what_bodies_print(ways.alone);
    child::name(&format!("parfork-w{rank}"));
    if let Some(&cpu) = ways.cpus.get(rank % ways.cpus.len().max(1)) {
        // One that was taken away since leaves the worker free to run elsewhere.
        let _ = cpu::pin(cpu);
    }
    // Where the system refuses a handler, a fault is told without its place.
    // SAFETY: the control page is inherited, and no code here unmaps it in a worker.
    #[allow(unsafe_code)]
    let _ = unsafe { fault_handler::install(&slot.fault) };
    if let Some(pools) = &ways.pools {
        // SAFETY: a fork has one thread, and leaves before it comes to the end of what it inherited of `ways`.
        #[allow(unsafe_code)]
        unsafe {
            pools.limit();
        }
    }
    keep_panics_quiet(rank, ways.backtraces);
}

/// Maps what was lent, and nothing else of the coordinator's arrays; limits the memory that may be added to that, and what else
/// this process can do.
fn prepare<'w>(context: &JobContext<'w>, rank: usize) -> Result<WorkerMemory<'w>> {
    let mut worker_memory = WorkerMemory::attach(context.loans, context.protection, |number, keeping| {
        let loan = &context.loans[number];
        let attached = match loan.access {
            Access::Read => loan.backing.attach_for_reading(),
            Access::Write => loan.backing.attach(keeping),
        };
        attached.map(Rc::new)
    })?;
    if let Some(limit) = context.spec.memory_limit {
        let private = limit.saturating_add(context.protection.private_bytes(context.loans) as u64);
        limits::limit_private_memory(Some(private)).map_err(Error::system("limit a worker's memory"))?;
        if context.is_confined() {
            limits::limit_addresses(private).map_err(Error::system("limit a worker's addresses"))?;
        }
    }
    if let Some(sandbox) = context.sandbox {
        let mut keep = context.protection.descriptors(context.loans);
        keep.extend(context.mailbox.map(|mailbox| mailbox.file().descriptor()));
        if context.spec.measure_memory {
            keep.push(worker_memory.open_gauge().map_err(Error::system("open /proc/self/smaps_rollup"))?);
        }
        sandbox.enter(rank, keep)?;
    }
    Ok(worker_memory)
}

/// Lets a panic of the worker's own thread be told by the coordinator, in its error, instead of on stderr here; a
/// backtrace, if the user wants them, is for stderr. The hook that was inherited keeps its say for other threads; it is
/// never dropped, for it is not this process's to drop.
fn keep_panics_quiet(rank: usize, backtraces: bool) {
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
            if backtraces {
                show(rank, info);
            }
        } else {
            inherited(info);
        }
    }));
}

/// Shows a panic and how it came to it, in one piece, so that workers do not talk into each other's.
fn show(rank: usize, info: &std::panic::PanicHookInfo<'_>) {
    let trace = std::backtrace::Backtrace::force_capture();
    let text = format!("worker {rank} (pid {}) {info}\nstack backtrace:\n{trace}", std::process::id());
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
}
