//! One worker, the calling thread.

use std::cell::RefCell;

use super::job_context::{JobContext, Supervision};
use super::run_slices::{RunSlices, Stopped};
use super::worker_memory::WorkerMemory;
use crate::error::{Death, Result};
use crate::sync::{EndedEarly, Event};

pub(super) fn run(
    context: &JobContext<'_>,
    runner: &dyn RunSlices,
    supervision: &mut Supervision<'_>,
) -> Result<Vec<Death>> {
    context.page.note_own(Event::Works);
    context.page.note(0, Event::Born { pid: std::process::id() });
    let round = context.first_round(false);
    supervision.begin_round(context, &round);
    let supervising = RefCell::new(&mut *supervision);
    let deliver = || {
        let mut supervision = supervising.borrow_mut();
        // Whom nobody hands answers on to cannot go on leaving them.
        if supervision.deliver(context.page, Some(&round)) || supervision.are_to_end() {
            context.page.give_up(None);
        }
    };
    let mut worker_memory = WorkerMemory::of_coordinator(context.loans, None);
    worker_memory.after_slice = Some(&deliver);
    // SAFETY: the arrays' own addresses in this process, writable; one worker, one rank. What is lent for reading is only
    // viewed for reading.
    #[allow(unsafe_code)]
    let done = unsafe { runner.run_slices(context, &round, 0, &worker_memory) };
    context.page.note_own(Event::Ends);
    supervision.tell(context.page);
    match done {
        Ok(digest) => {
            context.page.arrive(0, 0, digest, 1);
            Ok(Vec::new())
        }
        Err(Stopped) if supervision.has_enough() => Ok(Vec::new()),
        Err(Stopped) => Err(match context.page.head().end.over() {
            Some(EndedEarly { by: Some(rank) }) => context.failure(rank, std::process::id(), None),
            _ => supervision.ended(context.page.how_far()),
        }),
    }
}
