//! The control page of a job: one of its own, or its crew's, laid out for it.

use super::plan::Plan;
use crate::engines::WorkerPool;
use crate::error::Result;
use crate::sync::{ControlPage, EventLog, Layout};

/// The page of a job on so many `loans`, with room for answers of so many bytes, and for event logs if it is `recorded`.
///
/// # Errors
/// If there is no memory for it.
pub(super) fn control_page(
    plan: &Plan,
    loans: usize,
    answer: usize,
    recorded: bool,
    pool: Option<&WorkerPool>,
) -> Result<ControlPage> {
    let log = if recorded { EventLog::entries(plan.workers, plan.run.len()) } else { 0 };
    let layout = Layout { workers: plan.workers, slices: plan.grid.slices(), loans, answer, log };
    let Some(pool) = pool else { return ControlPage::new(layout) };
    let page = pool.page(layout)?;
    // Those of the job before.
    page.clear_logs()?;
    Ok(page)
}
