//! Workers as threads of this process, in a rayon pool made for the job and gone with it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Instant;

use super::job_context::{JobContext, Round, Supervision};
use super::run_slices::{RunSlices, Stopped};
use super::worker_memory::WorkerMemory;
use crate::error::{Death, Error, Result};
use crate::sync::{EndedEarly, Event};

pub(super) fn run(
    context: &JobContext<'_>,
    runner: &(dyn RunSlices + Sync),
    supervision: &mut Supervision<'_>,
) -> Result<Vec<Death>> {
    let workers = context.dealer.workers;
    let (left, stopped) = (AtomicUsize::new(workers), AtomicBool::new(false));
    let round = context.first_round(false);
    supervision.begin_round(context, &round);
    let live = |rank: usize, leaving: LeaveGuard<'_>| {
        context.page.note(rank, Event::Born { pid: std::process::id() });
        let wake = || leaving.coordinator.unpark();
        let mut worker_memory = WorkerMemory::of_coordinator(context.loans, None);
        worker_memory.after_slice = Some(&wake);
        let runner: &dyn RunSlices = runner;
        // SAFETY: the arrays' own addresses in this process, writable; each rank is spawned once below. What is lent for
        // reading is only viewed for reading.
        #[allow(unsafe_code)]
        match unsafe { runner.run_slices(context, &round, rank, &worker_memory) } {
            Ok(digest) => context.page.arrive(0, rank, digest, workers),
            Err(Stopped) => stopped.store(true, Ordering::Relaxed),
        }
    };
    // Joined one by one, not only known to have ended: a later job may fork only when they are gone from the process.
    let ran = thread::scope(|scope| {
        let mut threads = Vec::with_capacity(workers);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).spawn_handler(|thread| {
            context.page.note_own(Event::Forks { rank: thread.index() });
            threads.push(thread::Builder::new().spawn_scoped(scope, || thread.run())?);
            Ok(())
        });
        let ran = pool.build().map(|pool| {
            pool.in_place_scope(|jobs| {
                // Broadcast: each thread takes one share and never another's, which a thread that waits in rayon for its
                // body's sake would otherwise do.
                let coordinator = thread::current();
                let (live, left) = (&live, &left);
                jobs.spawn_broadcast(move |_, it| {
                    live(it.index(), LeaveGuard { left, coordinator: coordinator.clone() })
                });
                context.page.note_own(Event::Attends);
                watch(context, supervision, &round, left);
                context.page.note_own(Event::Ends);
            });
        });
        threads.into_iter().for_each(|thread| drop(thread.join()));
        ran
    });
    ran.map_err(|error| Error::System { doing: "start threads", source: std::io::Error::other(error) })?;
    match context.page.head().end.over() {
        None if !stopped.into_inner() => Ok(Vec::new()),
        _ if supervision.has_enough() => Ok(Vec::new()),
        Some(EndedEarly { by: Some(rank) }) => Err(context.failure(rank, std::process::id(), None)),
        _ => Err(supervision.ended(context.page.how_far())),
    }
}

/// Tells progress until all have left, and when the job is to end lets nobody begin another slice. A thread cannot be ended
/// in the middle of one.
fn watch(context: &JobContext<'_>, supervision: &mut Supervision<'_>, round: &Round, left: &AtomicUsize) {
    while left.load(Ordering::Acquire) > 0 {
        supervision.tell(context.page);
        if supervision.deliver(context.page, Some(round)) {
            context.page.give_up(None);
        }
        let over = context.page.head().end.over().is_some();
        match supervision.next_look(None).filter(|_| !over) {
            Some(look) => thread::park_timeout(look.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
        if supervision.are_to_end() {
            context.page.give_up(None);
        }
    }
    supervision.tell(context.page);
}

/// Counts its holder out when dropped, and wakes the coordinator for the last.
struct LeaveGuard<'l> {
    left: &'l AtomicUsize,
    coordinator: Thread,
}

impl Drop for LeaveGuard<'_> {
    fn drop(&mut self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.coordinator.unpark();
        }
    }
}
