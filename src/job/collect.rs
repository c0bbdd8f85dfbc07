//! What is left of a job when its workers have come to the end: answers, or why there are none.

use std::convert::Infallible;
use std::panic::resume_unwind;

use crate::answer::Answer;
use crate::engines::{Enough, Ledger, Supervision, Undelivered};
use crate::error::{ControlPageDamage, Death, Error, Result};
use crate::lend::Loan;
use crate::sync::{ControlPage, Mailbox, Place};

/// Reads all answers of a job by its ledger; whether it came to the end before it was too late.
pub(super) type Gather<'g> = dyn FnMut(&ControlPage, &mut Ledger, &dyn Fn() -> bool) -> Result<bool> + 'g;

/// The deaths that the job has survived, when its answers were handed on or gathered.
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
    let gathered = match supervision.undelivered {
        Some(_) => deliver_rest(page, &mut supervision, &late),
        None => gather(page, &mut supervision.ledger, &late),
    };
    match gathered? {
        true => Ok(deaths),
        false => Err(supervision.ended(page.how_far())),
    }
}

/// Makes sure that all slices are done, if not enough of them were, and hands on the answers that are left; false if it became too `late`.
/// A panic of whoever gets them goes on here, where all workers are past their work.
fn deliver_rest(page: &ControlPage, supervision: &mut Supervision<'_>, late: impl Fn() -> bool) -> Result<bool> {
    if !supervision.has_enough() {
        let mut answer = vec![0; page.layout().answer];
        if !supervision.ledger.gather(page, late, |read| read(&mut answer))? || !supervision.deliver_rest(page) {
            return Ok(false);
        }
    }
    match supervision.undelivered.as_mut().and_then(Undelivered::take_enough) {
        None | Some(Enough::Asked) => Ok(true),
        Some(Enough::Failed(error)) => Err(error),
        Some(Enough::Panicked(panic)) => resume_unwind(panic),
    }
}

/// Answers that stand in the slice table; `None` if it became too `late` to read them.
pub(super) fn written<R: Answer<K>, K>(
    page: &ControlPage,
    ledger: &mut Ledger,
    late: impl Fn() -> bool,
) -> Result<Option<Vec<R::Value>>> {
    let mut answers = Vec::new();
    let read_all = ledger.gather(page, late, |read| {
        let mut state = None;
        let answer = R::read(1, |bytes| {
            state = Some(read(bytes));
            Ok::<_, Infallible>(())
        });
        answers.extend(answer.unwrap_or_else(|never| match never {}));
        state.unwrap_or_else(|| unreachable!("read once"))
    });
    Ok(read_all?.then_some(answers))
}

/// Answers of which the slice table says where they are.
pub(super) fn posted<R: Answer<K>, K>(
    page: &ControlPage,
    mailbox: &Mailbox,
    ledger: &mut Ledger,
    late: impl Fn() -> bool,
) -> Result<Option<Vec<R::Value>>> {
    /// How many bytes are read between two looks at the clock.
    const BATCH: usize = 1 << 20;
    let mut places = Vec::new();
    let read_all = ledger.gather(page, &late, |read| {
        let mut place = [0; Place::WORDS];
        let state = read(bytemuck::bytes_of_mut(&mut place));
        places.push(Place::of(place));
        state
    });
    if !read_all? {
        return Ok(None);
    }
    let (mut answers, mut unread) = (Vec::with_capacity(places.len()), 0);
    for (slice, place) in ledger.slices().zip(places) {
        unread += mailbox.elements(place, R::SIZE).unwrap_or(0) * R::SIZE;
        if unread >= BATCH && late() {
            return Ok(None);
        }
        unread %= BATCH;
        answers.push(read_posted::<R, K>(mailbox, slice, place)?);
    }
    Ok(Some(answers))
}

/// The answer of a slice, of which the slice table says where it is.
///
/// # Errors
/// If it is not there.
pub(super) fn read_posted<R: Answer<K>, K>(mailbox: &Mailbox, slice: usize, place: Place) -> Result<R::Value> {
    let damaged = || Error::ControlPageDamaged { what: ControlPageDamage::Slice { slice } };
    let elements = mailbox.elements(place, R::SIZE).ok_or_else(damaged)?;
    R::read(elements, |bytes| mailbox.read(slice, place, bytes))?.ok_or_else(damaged)
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
