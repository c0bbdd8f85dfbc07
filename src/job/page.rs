//! The control page of a job: one of its own, or its crew's, laid out for it.

use super::plan::Plan;
use crate::engines::WorkerPool;
use crate::error::Result;
use crate::sync::{ControlPage, EventLog, Layout};
use crate::sys::reserve::Late;

/// How many steps of a job of steps are recorded in full.
const FULL: u32 = 8;

/// The page of a job on so many `loans`, with room for answers of so many bytes, and for event logs if it is `recorded`.
///
/// # Errors
/// If there is no memory for it, or it is `late` before that is there.
pub(super) fn control_page(
    plan: &Plan,
    loans: usize,
    answer: usize,
    recorded: bool,
    pool: Option<&WorkerPool>,
    late: Late<'_>,
) -> Result<ControlPage> {
    let log = if recorded {
        EventLog::entries(plan.workers, plan.run.len().saturating_mul(plan.steps.clamp(1, FULL) as usize))
    } else {
        0
    };
    let layout = Layout {
        workers: plan.workers,
        slices: plan.grid.slices(),
        loans,
        answer,
        log,
        steps: plan.steps,
        meets: plan.meets,
        carries: plan.carries,
    };
    let Some(pool) = pool else { return ControlPage::new(layout, late) };
    let page = pool.page(layout)?;
    // Those of the job before.
    page.clear_logs(late)?;
    Ok(page)
}
