//! What is left of a job when its workers have come to the end: answers, or why there are none.

use crate::engines::Supervision;
use crate::error::{Death, Error, Result};
use crate::lend::Loan;
use crate::sync::{ControlPage, SliceState};

/// Has one answer's bytes read, and keeps it; what the read said.
pub(super) type Gather<'g> = dyn FnMut(&dyn Fn(&mut [u8]) -> (u64, SliceState)) -> (u64, SliceState) + 'g;

/// The deaths that the job has survived; the answers of the slices that were run go to `gather`.
///
/// # Errors
/// If the engine says so; if a slice is not done, the control page is not as the workers left it, or an input was written to meanwhile.
pub(super) fn collect(
    deaths: Result<Vec<Death>>,
    page: &ControlPage,
    loans: &[Loan<'_>],
    mut supervision: Supervision<'_>,
    gather: &mut Gather<'_>,
) -> Result<Vec<Death>> {
    let deaths = deaths?;
    unchanged(loans)?;
    let late = supervision.late();
    match supervision.ledger.gather(page, late, gather)? {
        true => Ok(deaths),
        false => Err(supervision.ended(page.done(), page.layout().slices)),
    }
}

/// Refuses what was made of files that were written to meanwhile: the coordinator looks at its leases, unless it is stopped.
fn unchanged(loans: &[Loan<'_>]) -> Result<()> {
    match loans.iter().filter_map(|loan| loan.lease).find(|(lease, _)| lease.is_void()) {
        None => Ok(()),
        Some((_, path)) => Err(Error::File {
            path: path.to_owned(),
            what: "another program wrote to it while it was read".to_owned(),
            remedy: "run this again when that is done".to_owned(),
        }),
    }
}
