//! The loop of a worker in a job of steps: it keeps its slices, and does each of them again and again, one step at a time.
//!
//! A slice may begin step `k` when all slices within reach of its margin have done step `k - 1`. They read its cells in that step and it
//! reads theirs; in step `k` it writes over what they read. That is all the waiting there is, and it always ends, in whatever order a
//! worker goes through its slices (`slices/step_order.rs`).
//!
//! Who waits looks at the word that counts a slice's steps (`sync/step_count.rs`), and sleeps on the doorbell of the worker that
//! has the slice. After a death all are called back to the end; how far each slice has come is on the page, and a next round goes on from
//! there.

use std::ops::Range;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use super::job_context::{JobContext, Round, Steps};
use super::run_slices::{RunSlices, lost};
use super::tracer::Tracer;
use super::worker_memory::WorkerMemory;
use crate::cancel::CancelToken;
use crate::error::{ControlPageDamage, Error};
use crate::slices::{Own, Schedule, StepOrder};
use crate::sync::{ExitMessage, Outbox, SliceState, WorkDigest};
use crate::sys::futex;

/// Why a worker does not go on.
enum Halt {
    /// It is called back to the end.
    Recalled,
    /// The job is over, or ends with these words.
    Stopped(Option<ExitMessage>),
}

impl dyn RunSlices + '_ {
    /// Works as worker `rank` until its slices have done all steps, or it is called back; adds to the digest what it has done. Since when
    /// it has had no slice; or its last words, if it has any.
    ///
    /// # Safety
    /// As for `run_slices`.
    #[allow(unsafe_code)]
    pub(super) unsafe fn run_steps(
        &self,
        context: &JobContext<'_>,
        steps: &Steps,
        round: &Round,
        rank: usize,
        worker_memory: &WorkerMemory<'_>,
        (digest, notes, mut outbox): (&mut WorkDigest, &mut Tracer<'_>, Option<&mut Outbox<'_>>),
    ) -> Result<Instant, Option<ExitMessage>> {
        let page = context.page;
        let (mut began, mut answer) = (Instant::now(), Vec::new());
        let mut order = order_of(context, steps, round, rank)?;
        while let Some(at) = order.next(|slice, steps| page.step_count(slice).done().is_some_and(|done| done >= steps))
        {
            let Own { slice, done: step, ref others, .. } = order.own()[at];
            match wait(context, worker_memory, rank, others, step) {
                Ok(false) => {}
                // Time spent waiting is nobody's.
                Ok(true) => began = Instant::now(),
                Err(Halt::Recalled) => {
                    order.own().iter().filter(|own| own.done < steps.count).for_each(|own| {
                        digest.add(page.step_count(own.slice).word_of(own.done));
                    });
                    return Ok(began);
                }
                Err(Halt::Stopped(words)) => return Err(words),
            }
            // The answers of the last step are the job's.
            let is_last = step + 1 == steps.count;
            let outbox = outbox.as_deref_mut().filter(|_| is_last);
            let taken = page.take(rank, slice, began);
            notes.takes(slice, began);
            let worked = match taken {
                // SAFETY: passed on to the caller; it was free, and is this worker's now. All who have cells that it reads have done
                // the step before, and nobody begins the one after before this is done.
                Some(_) => unsafe {
                    self.work_on(context, rank, (slice, step), false, worker_memory, (&mut answer, outbox))
                },
                None => Err(lost(slice)),
            };
            let now = Instant::now();
            let done = worked.and_then(|_| {
                if !is_last {
                    return match page.finish_step(rank, slice, step, now - began) {
                        true => Ok(()),
                        false => Err(lost(slice)),
                    };
                }
                let word = page.finish(rank, slice, false, &answer, now - began);
                digest.add(word.ok_or_else(|| lost(slice))?);
                Ok(())
            });
            done.map_err(Some)?;
            if !others.is_empty() {
                page.slots()[rank].steps.ring();
            }
            order.note_done(at);
            notes.finishes(slice, now);
            began = now;
            if is_last && context.delivers {
                worker_memory.after_slice.map_or_else(|| page.head().end.tell(), |after| after());
                began = Instant::now();
            }
        }
        Ok(began)
    }
}

/// The order in which worker `rank` does the steps of its slices in this round.
fn order_of(context: &JobContext<'_>, steps: &Steps, round: &Round, rank: usize) -> Result<StepOrder, ExitMessage> {
    let owners = owners(context, round);
    let own = run(round, rank).map(|number| {
        let slice = round.slice(number);
        Ok((slice, context.page.step_count(slice).done().ok_or_else(|| damaged(slice))?))
    });
    let own: Vec<(usize, u32)> = own.collect::<Result<_, _>>()?;
    let near = |slice| context.grid.neighbours(slice, &steps.margins);
    Ok(StepOrder::new(rank, &own, (steps.count, steps.depth), near, |slice| owners[slice]))
}

/// The dealer's numbers of the slices that worker `rank` has.
fn run(round: &Round, rank: usize) -> Range<usize> {
    Schedule::Static.fixed(round.dealer.slices, round.dealer.workers, rank).unwrap_or_default()
}

/// Who has each slice in this round of a job of steps.
pub(super) fn owners(context: &JobContext<'_>, round: &Round) -> Vec<Option<usize>> {
    let mut owners = vec![None; context.grid.slices()];
    for rank in 0..round.dealer.workers {
        run(round, rank).for_each(|number| owners[round.slice(number)] = Some(rank));
    }
    owners
}

/// Refuses a page that says of slices within each other's reach that one is more than a step ahead. Whoever turned a word back by one
/// step has changed nothing then: what that step read is still there, for nobody can have gone on without it.
///
/// # Errors
/// Then.
pub(super) fn check(context: &JobContext<'_>, steps: &Steps) -> Result<(), Error> {
    let page = context.page;
    let done = |slice: usize| match page.claimed(slice) {
        SliceState::Done { .. } => Some(steps.count),
        _ => page.step_count(slice).done(),
    };
    for slice in 0..context.grid.slices() {
        let near = context.grid.neighbours(slice, &steps.margins);
        let is_right = done(slice)
            .is_some_and(|own| near.into_iter().all(|near| done(near).is_some_and(|it| it.abs_diff(own) <= 1)));
        if !is_right {
            return Err(Error::ControlPageDamaged { what: ControlPageDamage::Steps { slice } });
        }
    }
    Ok(())
}

/// Waits until a slice may begin `step`, as far as that is for `others` near it, each with who has it, to say; whether it had to.
fn wait(
    context: &JobContext<'_>,
    worker_memory: &WorkerMemory<'_>,
    rank: usize,
    others: &[(usize, usize)],
    step: u32,
) -> Result<bool, Halt> {
    let page = context.page;
    let halted = || {
        if context.stop.is_some_and(CancelToken::is_cancelled) {
            // On threads nobody else tells those who wait for this one.
            page.give_up(None);
        }
        match page.head().end.over() {
            Some(_) => Err(Halt::Stopped(None)),
            None if page.is_recalled() => Err(Halt::Recalled),
            None => Ok(()),
        }
    };
    halted()?;
    let (slot, mut waited) = (&page.slots()[rank], false);
    for &(slice, owner) in others {
        let sleep = |word: &AtomicU32, asleep| {
            slot.pause_clock();
            worker_memory.sleep().unwrap_or(&futex::wait)(word, asleep, None);
            slot.resume_clock(context.is_timed().then(|| page.clock()));
        };
        let damaged = || Halt::Stopped(Some(damaged(slice)));
        let bell = &page.slots()[owner].steps;
        waited |= page.step_count(slice).wait(step, bell, context.spin_policy, damaged, halted, sleep)?;
    }
    Ok(waited)
}

/// What a worker says that finds a word not to be one that counts steps.
fn damaged(slice: usize) -> ExitMessage {
    ExitMessage::Damaged { what: ControlPageDamage::Steps { slice } }
}
