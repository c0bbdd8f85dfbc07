//! The event log of a worker, or of the coordinator, of a job that is recorded: entries of fixed size that say what happened when.
//!
//! Tapes are the end of the control page, so that workers who stay have them too without being told of another segment; a job that is
//! not recorded has none. Each has one writer at a time: the process or thread of that rank, of which a later one goes on
//! where a dead one stopped. What does not fit is counted. The coordinator reads them after the job, and takes nothing that
//! it finds there for more than a number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::ControlPage;
use crate::error::Result;
use crate::sys::reserve::Late;
use crate::sys::usage::Usage;

/// What begins, ends or has come to pass at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A worker executes its first instruction, or one who stays hears of the job.
    Born { pid: u32 },
    /// It has before it what was lent, and asks for slices from now on.
    Begins,
    /// It begins with a slice.
    Takes { slice: usize },
    /// It has finished that.
    Finishes { slice: usize },
    /// Of so many minor faults it is the cause by now.
    Faults { minor: u64 },
    /// It waits for others at a meeting.
    Meets,
    /// It goes on after a meeting.
    Met,
    /// It takes no more slices.
    Leaves,
    /// It looks at what it has cost.
    Measures,
    /// It has looked at what it has cost, which is noted just before.
    Measured,
    /// A number of what it has cost since its birth, or the one that has died; see [`Usage::words`].
    Cost { which: usize, value: u64 },
    /// The coordinator gets the next round ready.
    Prepares,
    /// It makes a worker.
    Forks { rank: usize },
    /// It makes the process that will make replacements.
    OpensForkServer,
    /// It calls workers who stay.
    Calls,
    /// It works itself.
    Works,
    /// It waits for workers.
    Attends,
    /// It has heard of a worker's death.
    Dies { rank: usize },
    /// It ends and reaps its workers.
    Ends,
}

impl Event {
    /// The first kind of [`Event::Cost`].
    const COSTS: u8 = 64;

    /// Its kind, never 0, and a number.
    fn words(self) -> (u8, u64) {
        match self {
            Self::Born { pid } => (1, u64::from(pid)),
            Self::Begins => (2, 0),
            Self::Takes { slice } => (3, slice as u64),
            Self::Finishes { slice } => (4, slice as u64),
            Self::Faults { minor } => (5, minor),
            Self::Meets => (6, 0),
            Self::Met => (7, 0),
            Self::Leaves => (8, 0),
            Self::Measured => (9, 0),
            Self::Measures => (10, 0),
            Self::Prepares => (32, 0),
            Self::Forks { rank } => (33, rank as u64),
            Self::OpensForkServer => (34, 0),
            Self::Calls => (35, 0),
            Self::Works => (36, 0),
            Self::Attends => (37, 0),
            Self::Dies { rank } => (38, rank as u64),
            Self::Ends => (39, 0),
            Self::Cost { which, value } => (Self::COSTS + which as u8, value),
        }
    }

    /// What they stand for, if for anything.
    fn of(kind: u8, number: u64) -> Option<Self> {
        let which = usize::from(kind.wrapping_sub(Self::COSTS));
        Some(match kind {
            1 => Self::Born { pid: number as u32 },
            2 => Self::Begins,
            3 => Self::Takes { slice: number as usize },
            4 => Self::Finishes { slice: number as usize },
            5 => Self::Faults { minor: number },
            6 => Self::Meets,
            7 => Self::Met,
            8 => Self::Leaves,
            9 => Self::Measured,
            10 => Self::Measures,
            32 => Self::Prepares,
            33 => Self::Forks { rank: number as usize },
            34 => Self::OpensForkServer,
            35 => Self::Calls,
            36 => Self::Works,
            37 => Self::Attends,
            38 => Self::Dies { rank: number as usize },
            39 => Self::Ends,
            _ if which < Usage::WORDS => Self::Cost { which, value: number },
            _ => return None,
        })
    }
}

/// One event log.
///
/// | word      | is                                                            |
/// |-----------|---------------------------------------------------------------|
/// | 0         | how many entries there are, stored after the last of them     |
/// | 1         | how many did not fit                                          |
/// | 16 + 2 n  | nanoseconds on the control page's clock << 8, and the kind of a mark |
/// | 17 + 2 n  | its number                                                    |
#[derive(Clone, Copy)]
pub(crate) struct EventLog<'b>(&'b [AtomicU64]);

impl<'b> EventLog<'b> {
    /// Words before the first entry: neighbours' event logs share no cache lines.
    const HEAD: usize = 16;
    /// Entries of all event logs of a job together: 64 MiB.
    const MOST: usize = 1 << 22;
    /// Entries that an event log always has: a life and some faults.
    const LEAST: usize = 64;

    /// How many entries each of so many workers gets, to note all of so many slices (three marks each at most) and 256 more
    /// where that is not beyond reason.
    pub(crate) fn entries(workers: usize, slices: usize) -> usize {
        let wanted = slices.saturating_mul(3).saturating_add(256);
        wanted.clamp(Self::LEAST, (Self::MOST / (workers + 1)).max(Self::LEAST)).next_multiple_of(8)
    }

    /// How many bytes the event logs of so many workers and their coordinator have; `None` if no control page has as many.
    pub(super) fn bytes(workers: usize, entries: usize) -> Option<usize> {
        if entries == 0 {
            return Some(0);
        }
        let words = entries.checked_mul(2)?.checked_add(Self::HEAD)?;
        words.checked_mul(size_of::<u64>())?.checked_mul(workers.checked_add(1)?)
    }

    /// Where event logs may begin.
    pub(super) const ALIGN: usize = Self::HEAD * size_of::<u64>();

    /// The event log of a number among event logs.
    fn nth(words: &'b [AtomicU64], entries: usize, number: usize) -> Self {
        let length = Self::HEAD + 2 * entries;
        Self(&words[number * length..][..length])
    }

    fn entry(&self, number: usize) -> Option<&'b [AtomicU64; 2]> {
        let at = number.checked_mul(2)?.checked_add(Self::HEAD)?;
        self.0.get(at..)?.first_chunk()
    }

    /// Notes a mark at a time of the control page's clock.
    pub(crate) fn note(&self, at: Duration, mark: Event) {
        let [entries, lost] = [&self.0[0], &self.0[1]];
        let number = entries.load(Ordering::Relaxed);
        match self.entry(number as usize) {
            Some([when, what]) => {
                let (kind, value) = mark.words();
                when.store((at.as_nanos() as u64) << 8 | u64::from(kind), Ordering::Relaxed);
                what.store(value, Ordering::Relaxed);
                // Release: who reads that it is there finds it.
                entries.store(number.wrapping_add(1), Ordering::Release);
            }
            None => lost.store(lost.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed),
        }
    }

    /// Notes what was spent by then.
    pub(crate) fn note_cost(&self, at: Duration, usage: &Usage) {
        for (which, value) in usage.words().into_iter().enumerate() {
            self.note(at, Event::Cost { which, value });
        }
    }

    /// All marks that can be read, in the order in which they were noted, and how many did not fit. The times are whatever
    /// was written.
    pub(crate) fn read(&self) -> (Vec<(Duration, Event)>, u64) {
        // Acquire: with the number come the entries.
        let number = self.0[0].load(Ordering::Acquire) as usize;
        let marks = (0..number).map_while(|number| self.entry(number)).filter_map(|[when, what]| {
            let (when, what) = (when.load(Ordering::Relaxed), what.load(Ordering::Relaxed));
            Some((Duration::from_nanos(when >> 8), Event::of(when as u8, what)?))
        });
        (marks.collect(), self.0[1].load(Ordering::Relaxed))
    }

    fn clear(&self) {
        self.0[..2].iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

impl ControlPage {
    /// Worker `rank`'s event log, if the job is recorded.
    pub(crate) fn log(&self, rank: usize) -> Option<EventLog<'_>> {
        let entries = self.layout().log;
        (entries > 0).then(|| EventLog::nth(self.logs(), entries, rank))
    }

    /// The coordinator's event log, if the job is recorded.
    pub(crate) fn own_log(&self) -> Option<EventLog<'_>> {
        self.log(self.layout().workers)
    }

    fn logs(&self) -> &[AtomicU64] {
        let (at, bytes) = self.logs_at();
        self.segment().words(at, bytes / size_of::<u64>())
    }

    /// Notes that worker `rank` does something now, if the job is recorded.
    pub(crate) fn note(&self, rank: usize, mark: Event) {
        if let Some(log) = self.log(rank) {
            log.note(self.clock(), mark);
        }
    }

    /// Notes that the coordinator does something now, if the job is recorded.
    pub(crate) fn note_own(&self, mark: Event) {
        self.note(self.layout().workers, mark);
    }

    /// Makes empty event logs for the next job of a control page that many jobs use, and sees to it that there is memory for them.
    ///
    /// # Errors
    /// If there is none, or it becomes too `late`.
    pub(crate) fn clear_logs(&self, late: Late<'_>) -> Result<()> {
        if self.layout().log > 0 {
            self.reserve(0, late)?;
            (0..=self.layout().workers).filter_map(|rank| self.log(rank)).for_each(|log| log.clear());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(entries: usize) -> Vec<AtomicU64> {
        (0..EventLog::HEAD + 2 * entries).map(|_| AtomicU64::new(0)).collect()
    }

    fn marks() -> Vec<Event> {
        let mut marks = vec![
            Event::Born { pid: 7 },
            Event::Begins,
            Event::Takes { slice: 1 << 27 },
            Event::Finishes { slice: 0 },
            Event::Faults { minor: u64::MAX },
            Event::Meets,
            Event::Met,
            Event::Leaves,
            Event::Measures,
            Event::Measured,
            Event::Prepares,
            Event::Forks { rank: 1023 },
            Event::OpensForkServer,
            Event::Calls,
            Event::Works,
            Event::Attends,
            Event::Dies { rank: 3 },
            Event::Ends,
        ];
        marks.extend((0..Usage::WORDS).map(|which| Event::Cost { which, value: 1 << which }));
        marks
    }

    #[test]
    fn what_is_noted_is_read() {
        let words = words(64);
        let log = EventLog(&words);
        let noted: Vec<_> = marks().into_iter().zip(1..).map(|(mark, at)| (Duration::from_secs(at), mark)).collect();
        noted.iter().for_each(|&(at, mark)| log.note(at, mark));
        assert_eq!(log.read(), (noted, 0));
        log.clear();
        assert_eq!(log.read(), (Vec::new(), 0));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let words = words(8);
        let log = EventLog(&words);
        (0..20).for_each(|slice| log.note(Duration::from_nanos(slice as u64), Event::Takes { slice }));
        let (read, lost) = log.read();
        assert_eq!((read.len(), lost), (8, 12));
        assert_eq!(read[7], (Duration::from_nanos(7), Event::Takes { slice: 7 }));
    }

    #[test]
    fn tapes_fit_their_job_within_reason() {
        assert_eq!(EventLog::entries(4, 1000), 3256);
        assert!(EventLog::entries(1024, 1 << 28) >= EventLog::LEAST);
        for (workers, slices) in [(1, 0), (2, 5), (1024, 1 << 28), (1, usize::MAX)] {
            let entries = EventLog::entries(workers, slices);
            let bytes = EventLog::bytes(workers, entries).unwrap();
            assert!(
                entries.is_multiple_of(8) && bytes.is_multiple_of(EventLog::ALIGN) && bytes <= 65 << 20,
                "{workers} {slices} {bytes}"
            );
        }
        assert_eq!((EventLog::bytes(3, 0), EventLog::bytes(3, usize::MAX)), (Some(0), None));
    }

    proptest! {
        /// Whatever somebody writes there, reading ends, and writing goes nowhere else.
        #[test]
        fn nonsense_is_harmless(nonsense in proptest::collection::vec(any::<u64>(), EventLog::HEAD + 32), small in any::<u8>()) {
            let words: Vec<_> = nonsense.iter().map(|&word| AtomicU64::new(word)).collect();
            let log = EventLog(&words);
            prop_assert!(log.read().0.len() <= 16);
            words[0].store(u64::from(small), Ordering::Relaxed);
            prop_assert!(log.read().0.len() <= 16);
            log.note(Duration::MAX, Event::Leaves);
            prop_assert!(log.read().0.len() <= 16);
        }
    }
}
