//! One worker, the calling thread.

use super::job_context::{JobContext, RunSlices, Stopped, Supervision};
use super::worker_memory::WorkerMemory;
use crate::error::{Death, Result};
use crate::sync::{EndedEarly, Event};

pub(super) fn run(work: &JobContext<'_>, labour: &dyn RunSlices, orders: &mut Supervision<'_>) -> Result<Vec<Death>> {
    work.board.note_own(Event::Works);
    work.board.note(0, Event::Born { pid: std::process::id() });
    let desk = WorkerMemory::of_coordinator(work.loans, None);
    // SAFETY: the arrays' own addresses in this process, writable; one worker, one rank. What is lent for reading is only
    // viewed for reading.
    #[allow(unsafe_code)]
    let done = unsafe { labour.run_slices(work, &work.first_round(false), 0, &desk) };
    orders.ledger.begin_round(work.board.roll(0), 1);
    work.board.note_own(Event::Ends);
    orders.tell(work.board);
    match done {
        Ok(deeds) => {
            work.board.arrive(0, 0, deeds, 1);
            Ok(Vec::new())
        }
        Err(Stopped) => Err(match work.board.head().end.over() {
            Some(EndedEarly { by: Some(rank) }) => work.failure(rank, std::process::id(), None),
            _ => orders.ended(work.board.done(), work.grid.slices()),
        }),
    }
}
