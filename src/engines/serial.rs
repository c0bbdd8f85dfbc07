//! One worker, the calling thread.

use super::work::{Orders, Stopped, Work};
use crate::answer::Answer;
use crate::error::{Death, Result};
use crate::lend::Lend;
use crate::worker::Worker;

pub(super) fn run<L: Lend, R: Answer, B: Fn(&Worker<'_>, L::Part) -> R>(
    work: &Work<'_, L, B>,
    orders: &mut Orders<'_>,
) -> Result<Vec<Death>> {
    let bases: Vec<_> = work.loans().iter().map(|loan| loan.segment.base()).collect();
    // SAFETY: the arrays' own addresses in this process, writable; one worker, one rank. What is lent for reading is only
    // viewed for reading.
    #[allow(unsafe_code)]
    let done = unsafe { work.labour(&work.first_round(false), 0, &bases) };
    orders.tell(work.board);
    done.map(|()| Vec::new()).map_err(|Stopped| work.failure(0, std::process::id(), None))
}
