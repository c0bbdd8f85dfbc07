//! What is left of a job when its workers have come to the end: answers, or why there are none.

use bytemuck::Pod;

use crate::engines::Supervision;
use crate::error::{Death, Error, Result};
use crate::lend::Loan;
use crate::sync::ControlPage;

/// The deaths that the job has survived, and the answers of the slices that were run.
///
/// # Errors
/// If the engine says so; if a slice is not done, the control page is not as the workers left it, or an input was written to meanwhile.
pub(super) fn collect<A: Pod>(
    deaths: Result<Vec<Death>>,
    page: &ControlPage,
    loans: &[Loan<'_>],
    mut supervision: Supervision<'_>,
) -> Result<(Vec<Death>, Vec<A>)> {
    let deaths = deaths?;
    unchanged(loans)?;
    let mut answers = Vec::new();
    let late = supervision.late();
    let gathered = supervision.ledger.gather(page, late, |read| {
        let mut answer = A::zeroed();
        let state = read(bytemuck::bytes_of_mut(&mut answer));
        answers.push(answer);
        state
    });
    match gathered? {
        true => Ok((deaths, answers)),
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
