//! Waiting: for the lock of a segment, and for its next generation.
//!
//! | byte | lock on it | who has it |
//! |---|---|---|
//! | 0 | the data | readers shared, a writer alone |
//! | 1 | the gate | a writer alone while it waits for byte 0, readers shared for a moment: so that new readers queue behind it |
//! | 2 | presence | shared, whoever has it attached to be written |
//!
//! The kernel gives these back when their holder dies, and tells nobody: so who waits sleeps on the bell, and looks again after
//! [`LOOK`].

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Named;
use super::state::Seen;
use crate::cancel::CancelToken;
use crate::error::{Result, SegmentErrorKind};
use crate::sys::lock::{self, Lock};
use crate::sys::signals::SignalGuard;

const DATA: Range<u64> = 0..1;
const GATE: Range<u64> = 1..2;
const PRESENCE: Range<u64> = 2..3;

/// How long a death can go unnoticed.
const LOOK: Duration = Duration::from_millis(10);

/// For how long to wait, and what to take.
///
/// ```
/// use std::time::Duration;
/// use parfork::named::Wait;
/// let wait = Wait::new().deadline(Duration::from_secs(5)).accept_torn();
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Wait<'s> {
    deadline: Option<Duration>,
    stop: Option<&'s CancelToken>,
    unfinished: bool,
    new_writers: bool,
}

impl<'s> Wait<'s> {
    /// As long as it takes.
    pub fn new() -> Self {
        Self::default()
    }

    /// For this long at most.
    pub fn deadline(self, time: Duration) -> Self {
        Self { deadline: Some(time), ..self }
    }

    /// Until it is asked to stop.
    pub fn cancel_token(self, stop: &'s CancelToken) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Also takes a segment whose last writer did not finish.
    pub fn accept_torn(self) -> Self {
        Self { unfinished: true, ..self }
    }

    /// Also waits for a next generation when nobody who could write it is left.
    pub fn wait_for_new_writers(self) -> Self {
        Self { new_writers: true, ..self }
    }
}

/// One wait, begun.
struct OngoingWait<'w> {
    wait: Wait<'w>,
    until: Option<Instant>,
    _hold: Option<SignalGuard>,
}

impl<'w> OngoingWait<'w> {
    fn new(wait: Wait<'w>) -> Self {
        let until = wait.deadline.and_then(|time| Instant::now().checked_add(time));
        // A signal is a request meanwhile, for there is somebody who heeds it.
        Self { wait, until, _hold: wait.stop.map(|_| SignalGuard::new()) }
    }

    /// Sleeps until the bell rings, or it is time to look again.
    fn sleep<T, D>(&self, named: &Named<T, D>, seen: u32) -> Result<(), SegmentErrorKind> {
        if self.wait.stop.is_some_and(CancelToken::is_cancelled) {
            return Err(SegmentErrorKind::Stopped);
        }
        let now = Instant::now();
        if self.until.is_some_and(|until| now >= until) {
            return Err(SegmentErrorKind::Deadline(self.wait.deadline.unwrap_or_default()));
        }
        named.state.sleep(seen, (now + LOOK).min(self.until.unwrap_or(now + LOOK)));
        Ok(())
    }
}

impl<T, D> Named<T, D> {
    /// Takes the lock of the data.
    pub(super) fn acquire(&self, kind: Lock, wait: Wait<'_>) -> Result<()> {
        self.own()?;
        if kind == Lock::Alone && !self.writable {
            return Err(self.name.error(SegmentErrorKind::ReadOnly));
        }
        let watch = OngoingWait::new(wait);
        let taken = self.queue(GATE, kind, &watch).and_then(|()| {
            let taken = self.queue(DATA, kind, &watch);
            self.give_back(GATE);
            taken
        });
        taken?;
        self.usable(wait).inspect_err(|_| self.release())
    }

    fn queue(&self, bytes: Range<u64>, kind: Lock, watch: &OngoingWait<'_>) -> Result<()> {
        loop {
            let seen = self.state.bell();
            if lock::take(&self.file, bytes.clone(), kind).map_err(crate::error::Error::system("lock a segment"))? {
                return Ok(());
            }
            watch.sleep(self, seen).map_err(|kind| self.name.error(kind))?;
        }
    }

    /// Whether what the lock is of can be used, now that it is held.
    fn usable(&self, wait: Wait<'_>) -> Result<()> {
        self.whole()?;
        match self.state.seen() {
            Seen { writer: 0, .. } => Ok(()),
            _ if wait.unfinished => Ok(()),
            Seen { generation, .. } => Err(self.name.error(SegmentErrorKind::Unfinished { generation })),
        }
    }

    /// Whether the file is still as long as it has to be.
    pub(super) fn whole(&self) -> Result<()> {
        let found = self.file.metadata().map_err(crate::error::Error::system("look at a segment"))?.len();
        match self.header.file_len() {
            expected if found < expected => Err(self.name.error(SegmentErrorKind::CutOff { found, expected })),
            _ => Ok(()),
        }
    }

    /// Gives the lock of the data back.
    pub(super) fn release(&self) {
        self.give_back(DATA);
    }

    fn give_back(&self, bytes: Range<u64>) {
        let gone = lock::give_back(&self.file, bytes);
        debug_assert!(gone.is_ok(), "an own lock can be given back");
        self.state.ring();
    }

    /// Says that this process may write; how often that was said of this segment.
    pub(super) fn come(&self) -> Result<u32> {
        if self.writable {
            // Shared, which nobody here refuses; a stranger who does can only make others think that nobody is there.
            let _ = lock::take(&self.file, PRESENCE, Lock::Shared)
                .map_err(crate::error::Error::system("lock a segment"))?;
            return Ok(self.state.own().attached.fetch_add(1, Ordering::AcqRel).wrapping_add(1));
        }
        Ok(self.state.seen().attached)
    }

    /// Whether somebody else has it attached to be written.
    pub(super) fn is_accompanied(&self) -> bool {
        lock::of_others(&self.file, PRESENCE).is_ok_and(|lock| lock.is_some())
    }

    /// Waits until it has been written whole more often than `generation` times; how often that is now.
    ///
    /// Between two processes that take turns, each waits for the generation after its own. What is read after it, under
    /// [`read`](Self::read), may be of a later generation yet.
    ///
    /// # Errors
    /// [`SegmentErrorKind::Deadline`] and [`SegmentErrorKind::Stopped`] as the wait says; [`SegmentErrorKind::Removed`] if it was; [`SegmentErrorKind::Unfinished`] if
    /// the writer died in the middle; [`SegmentErrorKind::Deserted`] if others had it attached to be written, and none has any more.
    pub fn wait_past(&self, generation: u64, wait: Wait<'_>) -> Result<u64> {
        let watch = OngoingWait::new(wait);
        loop {
            let seen = self.state.bell();
            let now = self.generation();
            if now > generation {
                return Ok(now);
            }
            let end = self.hopeless(now, wait).map_or_else(|| watch.sleep(self, seen), Err);
            if let Err(kind) = end {
                // It may have come to its end well in the meantime.
                let last = self.generation();
                return if last > generation { Ok(last) } else { Err(self.name.error(kind)) };
            }
        }
    }

    /// Why the next generation after `now` will not come.
    fn hopeless(&self, now: u64, wait: Wait<'_>) -> Option<SegmentErrorKind> {
        if self.is_removed() {
            return Some(SegmentErrorKind::Removed);
        }
        let Seen { writer, attached, .. } = self.state.seen();
        if writer != 0 && !wait.unfinished && lock::of_others(&self.file, DATA).is_ok_and(|lock| lock.is_none()) {
            // Who finished between these two looks has made another generation, or taken its name away.
            let Seen { writer: still, generation, .. } = self.state.seen();
            let same = still == writer && generation == now;
            return same.then_some(SegmentErrorKind::Unfinished { generation: now });
        }
        let came = self.accompanied || attached != self.attached;
        let deserted = !wait.new_writers && came && !self.is_accompanied();
        deserted.then_some(SegmentErrorKind::Deserted { generation: now })
    }
}
