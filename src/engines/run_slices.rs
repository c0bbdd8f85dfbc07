//! What workers run: the loop that takes slices, and the body that it calls for each.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::job_context::{JobContext, Round};
use super::tracer::Tracer;
use super::worker_memory::WorkerMemory;
use crate::answer::Answer;
use crate::cancel::CancelToken;
use crate::error::{ControlPageDamage, Error};
use crate::lend::{Lend, MappedLoans};
use crate::report::Memory;
use crate::slices::Region;
use crate::sync::{ExitMessage, Outbox, WorkDigest};
use crate::sys::pidfd::Remaining;
use crate::sys::{child, fork_stamp, futex};
use crate::worker::{Standing, Worker, exit_stray_worker};

/// Why a worker stopped before the slices ran out; details are on the control page.
pub(crate) struct Stopped;

thread_local! {
    /// Where this thread's last panic was, as a worker's panic hook noted it.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Notes where a panic on this thread happened, for the worker's last words.
pub(crate) fn note_panic(location: String) {
    PANICKED_AT.set(location);
}

/// A body and the types of what it gets and returns, erased: engines need to know no more of it than this, and all that runs slices is
/// compiled once and not for each body.
#[allow(unsafe_code)]
pub(crate) trait RunSlices {
    /// Lets the body work on one slice in one step, 0 if there are no others, and writes what the slice table is told of its answer to
    /// `answer`: its bytes, or where they were posted. The slice is to be put `back` first or not. What came of it; or the last words of a
    /// worker that cannot go on.
    ///
    /// # Safety
    /// As `run_slices`; the slice is this worker's.
    unsafe fn work_on(
        &self,
        context: &JobContext<'_>,
        rank: usize,
        slice_and_step: (usize, u32),
        back: bool,
        worker_memory: &WorkerMemory<'_>,
        answer: (&mut Vec<u8>, Option<&mut Outbox<'_>>),
    ) -> Result<Worked, ExitMessage>;

    /// Other programs that workers hand their slices on to.
    fn programs(&self) -> Option<&dyn Programs>;
}

/// What came of a slice that a body has worked on.
pub(crate) struct Worked {
    /// Whether there is an undo copy.
    saved: bool,
    /// Whether it waited for others and was called back, so that the slice is not done.
    called_back: bool,
}

/// Programs that workers hand their slices on to, each worker to its own.
pub(crate) trait Programs: Sync {
    /// In a worker that takes no more slices: lets its program leave. Memory that counts as the worker's.
    ///
    /// # Errors
    /// If it does not leave as one does that has done its work.
    fn dismiss(&self) -> Result<Memory, String>;

    /// In the coordinator, when all workers of a round are gone: ends what those that died have left, for it may still write to
    /// their slices. What cannot be ended.
    fn end_left(&self) -> Vec<Remaining>;
}

/// A body, which gets parts of loans `L` and returns an `R`.
pub(crate) struct Body<'b, L, R, K, B> {
    body: B,
    programs: Option<&'b dyn Programs>,
    types: PhantomData<fn(L) -> (R, K)>,
}

impl<'b, L: Lend, R: Answer<K>, K, B: Fn(&Worker<'_>, L::Part<'_>) -> R> Body<'b, L, R, K, B> {
    pub(crate) fn new(body: B) -> Self {
        Self { body, programs: None, types: PhantomData }
    }

    /// As [`new`](Self::new), of a body that hands slices on to programs.
    pub(crate) fn with_programs(body: B, programs: &'b dyn Programs) -> Self {
        Self { body, programs: Some(programs), types: PhantomData }
    }
}

#[allow(unsafe_code)]
impl<L: Lend, R: Answer<K>, K, B: Fn(&Worker<'_>, L::Part<'_>) -> R> RunSlices for Body<'_, L, R, K, B> {
    unsafe fn work_on(
        &self,
        context: &JobContext<'_>,
        rank: usize,
        (slice, step): (usize, u32),
        back: bool,
        worker_memory: &WorkerMemory<'_>,
        (answer, outbox): (&mut Vec<u8>, Option<&mut Outbox<'_>>),
    ) -> Result<Worked, ExitMessage> {
        let region = context.grid.region(slice);
        let mapped_loans = MappedLoans { arrays: worker_memory.mapped_loans().iter(), ranges: context.ranges.iter() };
        let mut value = None;
        let worked = call(context, rank, (&region, step), back, worker_memory, &mut |worker| {
            // SAFETY: the caller vouches for the mapped loans. Each slice is dealt once a round, slices are disjoint, and all workers
            // of the round before are gone: this is the only part of it.
            let part = unsafe { L::part(&mut mapped_loans.clone(), &region, step) };
            (self.body)(worker, part).into_answer().map(|answered| value = Some(answered))
        })?;
        if worked.called_back {
            // What the body made of it is as little wanted as what it did; not even its destructor, which may panic.
            std::mem::forget(value);
            return Ok(worked);
        }
        let value = value.expect("a body that was not called back has answered");
        // SAFETY: as above, and the part is gone.
        unsafe { L::mirror(&mut mapped_loans.clone(), &region, step) };
        worker_memory.close(&region).map_err(|error| refused("publish a slice", error))?;
        hand_in((R::bytes(&value), R::elements(&value)), answer, outbox)?;
        Ok(worked)
    }

    fn programs(&self) -> Option<&dyn Programs> {
        self.programs
    }
}

/// Makes a slice ready, calls the body for it, and says what came of it: all of that which does not depend on the body's types.
fn call(
    context: &JobContext<'_>,
    rank: usize,
    (region, step): (&Region, u32),
    back: bool,
    worker_memory: &WorkerMemory<'_>,
    body: &mut dyn FnMut(&Worker<'_>) -> Result<(), String>,
) -> Result<Worked, ExitMessage> {
    let saves = worker_memory.open(region, back).map_err(|error| refused("make a slice ready to be written", error))?;
    if saves && !context.page.note_saved(rank, region.index()) {
        return Err(lost(region.index()));
    }
    let (page, spec, spin_policy) = (context.page, context.spec, context.spin_policy);
    let (sleep, born) = (worker_memory.sleep(), fork_stamp::current());
    let standing = Cell::default();
    let worker = Worker { rank, region: *region, step, page, spec, spin_policy, sleep, born, standing };
    let answered = catch_unwind(AssertUnwindSafe(|| body(&worker)));
    if !born.is_current() {
        exit_stray_worker();
    }
    let called_back = match worker.standing.take() {
        Standing::Whole | Standing::Carried => false,
        Standing::CalledBack => true,
        Standing::Failed(reason) => return Err(ExitMessage::BodyFailed { reason }),
    };
    let worked = Worked { saved: back || saves, called_back };
    match answered {
        Ok(Err(reason)) if !called_back => return Err(ExitMessage::BodyFailed { reason }),
        Err(payload) => {
            let message = message_of(&*payload);
            // Its destructor is the body's code too, and may panic.
            std::mem::forget(payload);
            if !called_back {
                return Err(ExitMessage::Panicked { message, location: PANICKED_AT.take() });
            }
        }
        Ok(_) => {}
    }
    if called_back {
        worker_memory.close(region).map_err(|error| refused("give back a slice", error))?;
    }
    Ok(worked)
}

/// What a worker says that the system refused something.
fn refused(doing: &'static str, error: io::Error) -> ExitMessage {
    ExitMessage::BodyFailed { reason: Error::system(doing)(error).to_string() }
}

/// Puts the bytes of an answer of so many elements where the coordinator finds them, or where they were posted.
fn hand_in(
    (bytes, elements): (&[u8], usize),
    answer: &mut Vec<u8>,
    outbox: Option<&mut Outbox<'_>>,
) -> Result<(), ExitMessage> {
    answer.clear();
    match outbox {
        Some(outbox) => {
            let place = outbox.post(bytes, elements).map_err(|reason| ExitMessage::BodyFailed { reason })?;
            answer.extend_from_slice(bytemuck::bytes_of(&place.words()));
        }
        None => answer.extend_from_slice(bytes),
    }
    Ok(())
}

/// What a worker says that finds a slice not to be as it left it.
pub(super) fn lost(slice: usize) -> ExitMessage {
    ExitMessage::Damaged { what: ControlPageDamage::Dealt { slice } }
}

#[allow(unsafe_code)]
impl dyn RunSlices + '_ {
    /// Works as worker `rank` until no slices are left, with the loans on its `worker_memory`; what it has done.
    ///
    /// # Safety
    /// The worker's memory is of the work's loans, those of the body's parts, and of this process; no other worker of this job has this
    /// rank.
    pub(crate) unsafe fn run_slices(
        &self,
        context: &JobContext<'_>,
        round: &Round,
        rank: usize,
        worker_memory: &WorkerMemory<'_>,
    ) -> Result<WorkDigest, Stopped> {
        let page = context.page;
        for (word, mapped) in page.addresses(rank).iter().zip(worker_memory.mapped_loans()) {
            word.store(mapped.base.addr().get() as u64, std::sync::atomic::Ordering::Relaxed);
        }
        let (mut digest, mut began, mut answer) = (WorkDigest::default(), Instant::now(), Vec::new());
        let mut outbox = context.mailbox.map(|mailbox| mailbox.outbox(&page.head().posted.0));
        let mut notes = Tracer::begin(page, rank, worker_memory.whose(), began);
        if let Some(steps) = &context.steps {
            // SAFETY: passed on to the caller.
            let done = unsafe {
                self.run_steps(context, steps, round, rank, worker_memory, (&mut digest, &mut notes, outbox.as_mut()))
            };
            began = done.map_err(|words| stop(context, round, rank, words))?;
            return self.leave(context, rank, worker_memory, (digest, notes, began));
        }
        'deal: for run in (0..).map_while(|runs| round.dealer.deal(&page.head().dealt.0, rank, runs)) {
            for slice in run.map(|number| round.slice(number)) {
                if let Some(outbox) = outbox.as_ref().filter(|_| context.delivers)
                    && keep_pace(context, rank, worker_memory, outbox.posted(), slice)
                {
                    began = Instant::now();
                }
                let asked = context.stop.is_some_and(CancelToken::is_cancelled);
                if asked {
                    // On threads nobody else tells those who wait for this one at a meeting.
                    page.give_up(None);
                }
                if page.is_recalled() {
                    break 'deal;
                }
                if asked || page.head().end.over().is_some() {
                    return Err(stop(context, round, rank, None));
                }
                let taken = page.take(rank, slice, began);
                notes.takes(slice, began);
                let worked = match taken {
                    // SAFETY: passed on to the caller; it was free, and is this worker's now.
                    Some(back) => unsafe {
                        self.work_on(context, rank, (slice, 0), back, worker_memory, (&mut answer, outbox.as_mut()))
                    },
                    None => Err(lost(slice)),
                };
                // Also when the next one begins: reading the clock takes longer than to be dealt a slice.
                let now = Instant::now();
                let done = worked.and_then(|Worked { saved, called_back }| {
                    let word = match called_back {
                        true => page.give_back(rank, slice, saved, now - began),
                        false => page.finish(rank, slice, saved, &answer, now - began),
                    };
                    word.map(|word| (word, called_back)).ok_or_else(|| lost(slice))
                });
                let words = match done {
                    Ok((word, called_back)) => {
                        digest.add(word);
                        if called_back {
                            began = now;
                            break 'deal;
                        }
                        notes.finishes(slice, now);
                        began = now;
                        if context.delivers {
                            worker_memory.after_slice.map_or_else(|| page.head().end.tell(), |after| after());
                            // The coordinator may be this thread.
                            began = Instant::now();
                        }
                        continue;
                    }
                    Err(words) => words,
                };
                return Err(stop(context, round, rank, Some(words)));
            }
        }
        self.leave(context, rank, worker_memory, (digest, notes, began))
    }

    /// Lets a worker leave that has had no slice since `began`.
    fn leave(
        &self,
        context: &JobContext<'_>,
        rank: usize,
        worker_memory: &WorkerMemory<'_>,
        (digest, notes, began): (WorkDigest, Tracer<'_>, Instant),
    ) -> Result<WorkDigest, Stopped> {
        let page = context.page;
        notes.leaves(began);
        child::flush_own_buffers();
        // Whoever still waits for this worker at a meeting would wait for ever.
        page.head().meeting.0.leave(rank);
        let more = match self.programs().map_or_else(|| Ok(Memory::default()), Programs::dismiss) {
            Ok(memory) => memory,
            Err(reason) => {
                page.slots()[rank].send_exit_message(&ExitMessage::BodyFailed { reason });
                page.give_up(Some(rank));
                return Err(Stopped);
            }
        };
        notes.measures();
        if context.spec.measure_memory {
            page.slots()[rank].note_memory(worker_memory.memory().and(&more));
        }
        notes.measured();
        // The last thing that it may be late for.
        page.slots()[rank].leave();
        Ok(digest)
    }
}

/// Waits while a worker that has posted so many bytes is too far ahead of whom answers are handed on to, unless it is called back or the job is
/// over; whether it had to.
fn keep_pace(
    context: &JobContext<'_>,
    rank: usize,
    worker_memory: &WorkerMemory<'_>,
    posted: u64,
    slice: usize,
) -> bool {
    /// Nobody rings when a word that was spoiled is written anew.
    const LOOK: Duration = Duration::from_millis(10);
    let (page, bell, mut waited) = (context.page, &context.page.slots()[rank].backlog, false);
    loop {
        // Before it looks, so that no ring in between is slept through.
        let ticket = bell.last_ticket();
        let asked = context.stop.is_some_and(CancelToken::is_cancelled);
        if page.may_post(rank, posted, slice) || asked || page.is_recalled() || page.head().end.over().is_some() {
            return waited;
        }
        waited = true;
        let (word, asleep) = bell.prepare_to_sleep(ticket);
        worker_memory.sleep().unwrap_or(&futex::wait)(word, asleep, Some(Instant::now() + LOOK));
    }
}

/// Ends the work of a worker that cannot go on, with its last words; or without any, if the job is over.
fn stop(context: &JobContext<'_>, round: &Round, rank: usize, words: Option<ExitMessage>) -> Stopped {
    // The coordinator ends all workers of a job that fails.
    child::flush_own_buffers();
    if let Some(words) = words {
        context.page.slots()[rank].send_exit_message(&words);
        if !(round.goes_on && matches!(words, ExitMessage::Panicked { .. })) {
            context.page.give_up(Some(rank));
        }
    }
    Stopped
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
