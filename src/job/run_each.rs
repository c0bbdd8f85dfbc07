//! Jobs whose answers are handed on while workers work.

use std::convert::Infallible;
use std::ops::{ControlFlow, Range};

use bytemuck::Pod;

use super::Job;
use super::collect::read_posted;
use crate::answer::Answer;
use crate::engines::{AnswerSink, Body};
use crate::error::{ControlPageDamage, Error, Result};
use crate::lend::Lend;
use crate::report::Report;
use crate::sync::{ControlPage, Mailbox, Place, SliceState};
use crate::worker::Worker;

impl<L: Lend> Job<'_, L> {
    /// Runs `body` once for each slice, and calls `each` in this process with a slice's number and its answer while workers go on, in the
    /// order of slices. [`Break`](ControlFlow::Break) ends the job, which has then gone well: for the first hit of a search, say, which is
    /// the same for any number of workers.
    ///
    /// ```
    /// use parfork::Job;
    /// use std::ops::ControlFlow;
    /// // The first number of which 100 divisors are known.
    /// let mut first = None;
    /// let job = Job::new(1..1_000_000_000).workers(2).split(parfork::Split::rows().of(1000));
    /// let body = |_: &parfork::Worker<'_>, mut mine: std::ops::Range<usize>| {
    ///     mine.find(|n| (1..=n.isqrt()).filter(|d| n.is_multiple_of(*d)).count() >= 50).into_iter().collect::<Vec<_>>()
    /// };
    /// job.run_each(body, |_slice, found| {
    ///     first = found.first().copied();
    ///     if first.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    /// })?;
    /// assert_eq!(first, Some(45_360));
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// With retries, a death calls the other workers back from what they would do next: slices that a dead worker left come first.
    ///
    /// Answers are handed on once each, as they are known to be right; should the job fail after that, it returns the error all the same. Their
    /// memory is given back. Workers go on while `each` runs, and what they are ahead of it is kept: of answers of any length 64 MiB together,
    /// or 1 MiB a worker if that is more; who has left more than its share of that begins no other slice until `each` has caught up. While it runs, nothing else is looked at: a
    /// death, a deadline and a request to stop take effect when it returns. If it panics, the job ends, and then the panic goes on.
    ///
    /// The serial engine calls it after each slice; threads, processes and crews whenever the coordinator is awake.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_each<R: Answer<K>, K>(
        self,
        body: impl Fn(&Worker<'_>, L::Part<'_>) -> R + Sync,
        mut each: impl FnMut(usize, R::Value) -> ControlFlow<()>,
    ) -> Result<Report> {
        let each = Each::new(&mut each, true);
        Ok(self.without_crew()?.run_body(&Body::<L, R, K, _>::new(body), Some(each))?.into_report())
    }

    /// As [`run_each`](Self::run_each), but answers are handed on as they come: no slice waits for one before it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_each_unordered<R: Answer<K>, K>(
        self,
        body: impl Fn(&Worker<'_>, L::Part<'_>) -> R + Sync,
        mut each: impl FnMut(usize, R::Value) -> ControlFlow<()>,
    ) -> Result<Report> {
        let each = Each::new(&mut each, false);
        Ok(self.without_crew()?.run_body(&Body::<L, R, K, _>::new(body), Some(each))?.into_report())
    }

    /// [`run_each`](Self::run_each) for a body that captures nothing and is handed an argument, as [`run_with`](Self::run_with) is for
    /// [`run`](Self::run): on a crew, unless its coordinator works too, or by the engine's own workers. A crew of which a job was ended by
    /// [`Break`](ControlFlow::Break) has new workers for the next one.
    ///
    /// # Errors
    /// As [`run_with`](Self::run_with); also if the crew's coordinator works too.
    pub fn run_each_with<A: Pod + Sync, R: Answer<K>, K>(
        self,
        argument: A,
        body: fn(&Worker<'_>, A, L::Part<'_>) -> R,
        mut each: impl FnMut(usize, R::Value) -> ControlFlow<()>,
    ) -> Result<Report> {
        Ok(self.run_with_argument(argument, body, Some(Each::new(&mut each, true)))?.into_report())
    }

    /// As [`run_each_with`](Self::run_each_with), but answers are handed on as they come.
    ///
    /// # Errors
    /// As [`run_each_with`](Self::run_each_with).
    pub fn run_each_with_unordered<A: Pod + Sync, R: Answer<K>, K>(
        self,
        argument: A,
        body: fn(&Worker<'_>, A, L::Part<'_>) -> R,
        mut each: impl FnMut(usize, R::Value) -> ControlFlow<()>,
    ) -> Result<Report> {
        Ok(self.run_with_argument(argument, body, Some(Each::new(&mut each, false)))?.into_report())
    }
}

/// Whoever is given the answers of a job one by one.
pub(crate) struct Each<'e, A> {
    to: &'e mut dyn FnMut(usize, A) -> ControlFlow<()>,
    pub(super) in_order: bool,
}

impl<'e, A> Each<'e, A> {
    fn new(to: &'e mut dyn FnMut(usize, A) -> ControlFlow<()>, in_order: bool) -> Self {
        Self { to, in_order }
    }

    /// For the answers of type `R`, which are in this mailbox, if not on the control page.
    pub(super) fn of<R, K>(self, mailbox: Option<Mailbox>) -> impl AnswerSink
    where
        R: Answer<K, Value = A>,
    {
        Reader::<'e, R, K> { each: self, mailbox, given_back: Vec::new() }
    }
}

struct Reader<'e, R: Answer<K>, K> {
    each: Each<'e, R::Value>,
    mailbox: Option<Mailbox>,
    /// Of each worker, what of its answers was given back last.
    given_back: Vec<Range<u64>>,
}

impl<R: Answer<K>, K> AnswerSink for Reader<'_, R, K> {
    fn deliver(
        &mut self,
        page: &ControlPage,
        slice: usize,
        seen: &mut dyn FnMut(u64, usize) -> Result<()>,
    ) -> Result<(ControlFlow<()>, u64)> {
        let mut seen = |(word, state): (u64, SliceState)| match state {
            SliceState::Done { rank } => seen(word, rank).map(|()| rank),
            _ => Err(damaged(slice)),
        };
        let Some(mailbox) = &self.mailbox else {
            let mut state = (0, SliceState::Damaged);
            let answer = R::read(1, |bytes| {
                state = page.read_answer(slice, bytes);
                Ok::<_, Infallible>(())
            });
            seen(state)?;
            return answer
                .unwrap_or_else(|never| match never {})
                .map(|answer| ((self.each.to)(slice, answer), 0))
                .ok_or_else(|| damaged(slice));
        };
        let mut place = [0; Place::WORDS];
        let rank = seen(page.read_answer(slice, bytemuck::bytes_of_mut(&mut place)))?;
        let place = Place::of(place);
        let answer = read_posted::<R, K>(mailbox, slice, place)?;
        self.given_back.resize(self.given_back.len().max(rank + 1), 0..0);
        mailbox.give_back(&mut self.given_back[rank], place, R::SIZE);
        Ok(((self.each.to)(slice, answer), place.bytes(R::SIZE)))
    }
}

fn damaged(slice: usize) -> Error {
    Error::ControlPageDamaged { what: ControlPageDamage::Slice { slice } }
}
