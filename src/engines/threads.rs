//! Workers as threads of this process, in a rayon pool made for the job and gone with it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Instant;

use super::job_context::{JobContext, RunSlices, Stopped, Supervision};
use super::worker_memory::WorkerMemory;
use crate::error::{Death, Error, Result};
use crate::sync::{EndedEarly, Event};

pub(super) fn run(
    work: &JobContext<'_>,
    labour: &(dyn RunSlices + Sync),
    orders: &mut Supervision<'_>,
) -> Result<Vec<Death>> {
    let workers = work.dealer.workers;
    let (left, stopped) = (AtomicUsize::new(workers), AtomicBool::new(false));
    orders.ledger.begin_round(work.board.roll(0), workers);
    let live = |rank: usize, _leaving: Leaving<'_>| {
        work.board.note(rank, Event::Born { pid: std::process::id() });
        let desk = WorkerMemory::of_coordinator(work.loans, None);
        // SAFETY: the arrays' own addresses in this process, writable; each rank is spawned once below. What is lent for
        // reading is only viewed for reading.
        #[allow(unsafe_code)]
        match unsafe { labour.run_slices(work, &work.first_round(false), rank, &desk) } {
            Ok(deeds) => work.board.arrive(0, rank, deeds, workers),
            Err(Stopped) => stopped.store(true, Ordering::Relaxed),
        }
    };
    // Joined one by one, not only known to have ended: a later job may fork only when they are gone from the process.
    let ran = thread::scope(|scope| {
        let mut threads = Vec::with_capacity(workers);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).spawn_handler(|thread| {
            work.board.note_own(Event::Forks { rank: thread.index() });
            threads.push(thread::Builder::new().spawn_scoped(scope, || thread.run())?);
            Ok(())
        });
        let ran = pool.build().map(|pool| {
            pool.in_place_scope(|jobs| {
                // Broadcast: each thread takes one share and never another's, which a thread that waits in rayon for its
                // body's sake would otherwise do.
                let coordinator = thread::current();
                let (live, left) = (&live, &left);
                jobs.spawn_broadcast(move |_, it| live(it.index(), Leaving { left, coordinator: coordinator.clone() }));
                work.board.note_own(Event::Attends);
                watch(work, orders, left);
                work.board.note_own(Event::Ends);
            });
        });
        threads.into_iter().for_each(|thread| drop(thread.join()));
        ran
    });
    ran.map_err(|error| Error::System { doing: "start threads", source: std::io::Error::other(error) })?;
    match work.board.head().end.over() {
        None if !stopped.into_inner() => Ok(Vec::new()),
        Some(EndedEarly { by: Some(rank) }) => Err(work.failure(rank, std::process::id(), None)),
        _ => Err(orders.ended(work.board.done(), work.grid.slices())),
    }
}

/// Tells progress until all have left, and when the job is to end lets nobody begin another slice. A thread cannot be ended
/// in the middle of one.
fn watch(work: &JobContext<'_>, orders: &mut Supervision<'_>, left: &AtomicUsize) {
    while left.load(Ordering::Acquire) > 0 {
        orders.tell(work.board);
        let over = work.board.head().end.over().is_some();
        match orders.next_look(None).filter(|_| !over) {
            Some(look) => thread::park_timeout(look.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
        if orders.are_to_end() {
            work.board.give_up(None);
        }
    }
    orders.tell(work.board);
}

/// Counts its holder out when dropped, and wakes the coordinator for the last.
struct Leaving<'l> {
    left: &'l AtomicUsize,
    coordinator: Thread,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.coordinator.unpark();
        }
    }
}
