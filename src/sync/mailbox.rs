//! Where answers go that have no fixed length.
//!
//! A file in memory that no process has mapped, so that no stray write reaches it: workers write to it by a call, which takes memory as it is
//! needed and fails where there is none; the coordinator reads it by a call. In the slice table stands where an answer is and a hash of it, so
//! that the word that says *done* vouches for its bytes as it does for an answer that stands there itself. Room is given out by one counter
//! on the control page. Who counts wrong spoils bytes, which is found out when they are read.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tag;
use crate::error::{ControlPageDamage, Error, Result};
use crate::shared::Backing;
use crate::sys::limits;

/// The answers of a job, as coordinator or worker has them.
#[derive(Clone)]
pub(crate) struct Mailbox {
    file: Arc<Backing>,
}

/// Where an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    at: u64,
    elements: u64,
    hash: u64,
}

impl Place {
    /// How many words it is in the slice table.
    pub(crate) const WORDS: usize = 3;

    pub(crate) fn words(self) -> [u64; Self::WORDS] {
        [self.at, self.elements, self.hash]
    }

    /// How long the answer is, whose elements have so many bytes each.
    pub(crate) fn bytes(self, size: usize) -> u64 {
        self.elements.saturating_mul(size as u64)
    }

    pub(crate) fn of([at, elements, hash]: [u64; Self::WORDS]) -> Self {
        Self { at, elements, hash }
    }
}

/// What one worker has of the room.
pub(crate) struct Outbox<'m> {
    mailbox: &'m Mailbox,
    /// How much room is given out.
    given: &'m AtomicU64,
    own: Range<u64>,
    /// How many bytes it has posted.
    posted: u64,
}

/// How much a worker takes at a time for answers that are shorter than a quarter of it.
const PORTION: u64 = 1 << 16;

/// Room is taken in multiples of it, so that no page has answers of two workers.
const PAGE: u64 = 1 << 12;

impl Mailbox {
    /// One with room for half of the memory that there is: what is handed on is there until all of it is gathered.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new() -> Result<Self> {
        /// Where the kernel does not tell.
        const MOST: u64 = 1 << 40;
        let memory = limits::memory_room().map_or(MOST, |room| room.bytes / 2);
        let room = limits::file_room().map_or(memory, |room| room.bytes.min(memory));
        let file = Backing::sparse(room.clamp(1, MOST) as usize).map_err(Error::system("make room for answers"))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// What a worker of a crew has opened.
    pub(crate) fn opened(file: Arc<Backing>) -> Self {
        Self { file }
    }

    pub(crate) fn file(&self) -> &Backing {
        &self.file
    }

    /// For a worker to post in, with the job's counter of what is `given` out.
    pub(crate) fn outbox<'m>(&'m self, given: &'m AtomicU64) -> Outbox<'m> {
        Outbox { mailbox: self, given, own: 0..0, posted: 0 }
    }

    /// How many elements of so many bytes an answer has; `None` if there is no room for as many.
    pub(crate) fn elements(&self, place: Place, size: usize) -> Option<usize> {
        let elements = usize::try_from(place.elements).ok()?;
        let end = usize::try_from(place.at).ok()?.checked_add(elements.checked_mul(size)?)?;
        (end <= self.file.len()).then_some(elements)
    }

    /// Gives back the memory of an answer that nobody wants any more, `run` being what was given back of its worker's before. Those of
    /// one worker mostly follow each other; pages that are not whole stay.
    pub(crate) fn give_back(&self, run: &mut Range<u64>, place: Place, size: usize) {
        let give_back = |whole: Range<u64>| {
            if !whole.is_empty() {
                // What stays in any case goes with the job.
                let _ = self.file.give_back(whole.start as usize..whole.end as usize);
            }
        };
        let whole = |run: &Range<u64>| run.start.next_multiple_of(PAGE)..run.end / PAGE * PAGE;
        if run.end != place.at {
            give_back(whole(run));
            *run = place.at..place.at;
        }
        run.end += place.elements * size as u64;
        if whole(run).end.saturating_sub(whole(run).start) >= PORTION / 4 {
            give_back(whole(run));
            run.start = whole(run).end;
        }
    }

    /// Gives back the memory of a job's answers, all of which were read, but for some that the next ones may have.
    pub(crate) fn empty(&self, given: &AtomicU64) {
        // Whoever counts wrong has it all given back.
        let end = given
            .load(Ordering::Relaxed)
            .checked_next_multiple_of(PAGE)
            .unwrap_or(u64::MAX)
            .min(self.file.len() as u64);
        if end > PORTION {
            // What stays in any case goes with the mailbox.
            let _ = self.file.give_back(PORTION as usize..end as usize);
        }
    }

    /// Reads the answer of a slice.
    ///
    /// # Errors
    /// If it is not what was posted there.
    pub(crate) fn read(&self, slice: usize, place: Place, into: &mut [u8]) -> Result<()> {
        // Beyond the end there is nothing to read.
        let got = self.file.read(place.at as usize, into);
        match got.is_ok() && hash(into) == place.hash {
            true => Ok(()),
            false => Err(Error::ControlPageDamaged { what: ControlPageDamage::Slice { slice } }),
        }
    }
}

impl Outbox<'_> {
    /// How many bytes were posted here.
    pub(crate) fn posted(&self) -> u64 {
        self.posted
    }

    /// Posts an answer.
    ///
    /// # Errors
    /// If there is no room for it, in words.
    pub(crate) fn post(&mut self, bytes: &[u8], elements: usize) -> Result<Place, String> {
        let at = self.room(bytes.len() as u64).ok_or_else(|| {
            let (room, given) = (self.mailbox.file.len(), self.given.load(Ordering::Relaxed));
            format!(
                "its answer of {} bytes does not fit: the answers of this job may have {room} bytes together, half of the memory that \
                 was free when it began, and {given} are taken. Return less, or write results to an array.",
                bytes.len()
            )
        })?;
        let written: io::Result<()> = self.mailbox.file.write(at as usize, bytes);
        written.map_err(|error| Error::system("hand on an answer")(error).to_string())?;
        self.posted += bytes.len() as u64;
        Ok(Place { at, elements: elements as u64, hash: hash(bytes) })
    }

    /// Where there is room for so many bytes.
    fn room(&mut self, len: u64) -> Option<u64> {
        if len > self.own.end - self.own.start {
            let all = self.mailbox.file.len() as u64;
            let after = |given: u64, take: u64| given.checked_add(take).filter(|&end| end <= all);
            let portion = |given| if len < PORTION / 4 { after(given, PORTION) } else { None };
            let own = |given| after(given, len.checked_next_multiple_of(PAGE)?);
            let next = |given| portion(given).or_else(|| own(given));
            // Relaxed: which bytes, and nothing of what is in them, which goes with the slice's word.
            let start = self.given.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
            let taken = start..next(start)?;
            if len >= PORTION / 4 {
                return Some(start);
            }
            self.own = taken;
        }
        let at = self.own.start;
        self.own.start += len;
        Some(at)
    }
}

/// A hash of four at once, each of every fourth word: one waits for the product of the word before.
fn hash(bytes: &[u8]) -> u64 {
    let mut hashes = [1_u64, 2, 3, 4];
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut last = [0; 32];
    last[..rest.len()].copy_from_slice(rest);
    // Its length goes with where it is.
    for block in blocks.iter().chain([&last]) {
        for (hash, word) in hashes.iter_mut().zip(block.as_chunks::<8>().0) {
            *hash = tag::step(*hash, u64::from_le_bytes(*word));
        }
    }
    tag::hash(hashes.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(room: usize) -> Mailbox {
        Mailbox { file: Arc::new(Backing::sparse(room).unwrap()) }
    }

    #[test]
    fn what_is_posted_is_read() {
        let (mailbox, given) = (of(1 << 20), AtomicU64::new(0));
        let mut outboxes = [mailbox.outbox(&given), mailbox.outbox(&given)];
        let answers: Vec<Vec<u8>> =
            (0..100).map(|n| (0..n * 97 % 40_000).map(|byte| (byte * n) as u8).collect()).collect();
        let mut end = None;
        let places: Vec<_> = answers
            .iter()
            .enumerate()
            .map_while(|(n, answer)| outboxes[n % 2].post(answer, answer.len()).map_err(|full| end = Some(full)).ok())
            .collect();
        assert!(places.len() == 100 && end.is_none(), "{end:?}");
        for (slice, (answer, &place)) in answers.iter().zip(&places).enumerate() {
            let mut read = vec![0; mailbox.elements(place, 1).unwrap()];
            mailbox.read(slice, place, &mut read).unwrap();
            assert_eq!(read, *answer);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_the_rest_is_still_given_out() {
        let (mailbox, given) = (of(100_000), AtomicU64::new(0));
        let mut outbox = mailbox.outbox(&given);
        let refused = outbox.post(&[1; 100_001], 100_001).unwrap_err();
        assert!(refused.contains("answer of 100001 bytes") && refused.contains("have 100000 bytes"), "{refused}");
        outbox.post(&[2; 90_000], 90_000).unwrap();
        // In the two pages that are left whole.
        (0..8).for_each(|_| assert_eq!(outbox.post(&[3; 1000], 1000).unwrap().elements, 1000));
        assert!(outbox.post(&[4; 1000], 1000).is_err());
        outbox.post(&[], 0).unwrap();
        given.store(u64::MAX - 3, Ordering::Relaxed);
        assert!(outbox.post(&[4; 900], 900).is_err());
    }

    #[test]
    fn what_was_read_takes_no_memory() {
        use std::os::unix::fs::MetadataExt;
        let (mailbox, given) = (of(1 << 24), AtomicU64::new(0));
        let path = format!("/proc/self/fd/{}", mailbox.file.descriptor());
        let memory = || std::fs::metadata(&path).unwrap().blocks() * 512;
        for count in [1_u64 << 20, u64::MAX] {
            (0..8).for_each(|_| _ = mailbox.outbox(&given).post(&[1; 1 << 20], 1 << 20).unwrap());
            assert!(memory() >= 8 << 20);
            given.fetch_max(count, Ordering::Relaxed);
            mailbox.empty(&given);
            assert!(memory() <= PORTION, "{} bytes", memory());
            given.store(0, Ordering::Relaxed);
        }
        let place = mailbox.outbox(&given).post(&[7; 9], 9).unwrap();
        let mut read = [0; 9];
        mailbox.read(0, place, &mut read).unwrap();
        assert_eq!(read, [7; 9]);
    }

    #[test]
    fn what_is_not_as_it_was_posted_is_damage() {
        let (mailbox, given) = (of(1 << 16), AtomicU64::new(0));
        let place = mailbox.outbox(&given).post(&[7; 1001], 1001).unwrap();
        let read = |place: Place| {
            let elements = mailbox.elements(place, 1).ok_or(())?;
            mailbox.read(3, place, &mut vec![0; elements]).map_err(|_| ())
        };
        assert_eq!(read(place), Ok(()));
        for wrong in [
            Place { at: place.at + 1, ..place },
            Place { at: u64::MAX, ..place },
            Place { elements: 1000, ..place },
            Place { elements: 1 << 40, ..place },
            Place { hash: place.hash ^ 1, ..place },
        ] {
            assert_eq!(read(wrong), Err(()), "{wrong:?}");
        }
        assert_eq!(mailbox.elements(place, usize::MAX), None);
        mailbox.file.write(1000, &[6]).unwrap();
        assert_eq!(read(place), Err(()));
    }
}
