//! What a control page says to those outside the job: the coordinator writes its public header, and anybody reads that and what it
//! leads to.
//!
//! Who looks from outside has copies of bytes that change under it, of a process that it need not trust: every number is checked
//! against the length of the control page and against what a job can be before it is used.

use std::io;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use super::control_page::{ControlPage, Head, SLOTS};
use super::layout::Layout;
use super::public_header::{MAGIC, NAME, PublicHeader};
use super::slice_table::SliceState;
use super::worker_slot::{SlotSnapshot, WorkerSlot};
use crate::engine::{Engine, MOST_WORKERS};
use crate::slices::{Grid, Schedule};
use crate::sys::image::Image;
use crate::sys::{futex, proc};

/// What is to be told of a job.
pub(crate) struct JobInfo<'s> {
    /// What is running; the program's name if nobody has said.
    pub(crate) name: Option<&'s str>,
    pub(crate) engine: Engine,
    pub(crate) schedule: Schedule,
    /// The slices that are to be run.
    pub(crate) run: Range<usize>,
    /// Bytes of all arrays lent.
    pub(crate) lent: u64,
    pub(crate) began: Instant,
}

/// While it lives, the control page says that its job runs.
pub(crate) struct RunningGuard<'b>(&'b PublicHeader);

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.0.runs.store(0, Ordering::Relaxed);
    }
}

impl ControlPage {
    /// Tells whoever looks that a job has begun.
    pub(crate) fn publish_job(&self, sign: &JobInfo<'_>) -> RunningGuard<'_> {
        let header = &self.head().header;
        let word = |number: usize| number as u64;
        if !header.is_published(Head::SIZES) {
            // A worker of an earlier job has written over it.
            header.publish(Head::SIZES, self.clock());
        }
        let version = header.version.load(Ordering::Relaxed);
        header.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Who reads one of the words below also reads that edition.
        fence(Ordering::Release);
        header.jobs.store(header.jobs.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        header.began.store(self.clock_at(sign.began).as_nanos() as u64, Ordering::Relaxed);
        for (place, number) in header.layout.iter().zip(self.layout_words()) {
            place.store(number, Ordering::Relaxed);
        }
        header.run[0].store(word(sign.run.start), Ordering::Relaxed);
        header.run[1].store(word(sign.run.end), Ordering::Relaxed);
        let engine = Engine::ALL.iter().position(|&engine| engine == sign.engine).unwrap_or_default();
        header.engine.store(word(engine), Ordering::Relaxed);
        header.schedule.store(sign.schedule.word(), Ordering::Relaxed);
        header.lent.store(sign.lent, Ordering::Relaxed);
        let mut name = sign.name.unwrap_or_else(|| proc::program()).as_bytes().chunks(8);
        for place in &header.name {
            let mut bytes = [0; 8];
            let piece = name.next().unwrap_or_default();
            bytes[..piece.len()].copy_from_slice(piece);
            place.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        }
        header.runs.store(1, Ordering::Relaxed);
        header.version.store(version.wrapping_add(2), Ordering::Release);
        RunningGuard(header)
    }
}

impl ControlPage {
    /// How it is laid out, as its header tells it.
    fn layout_words(&self) -> [u64; 7] {
        let Layout { workers, slices, loans, answer, log, steps, .. } = self.layout();
        [self.room_for_slots(), workers, slices, loans, answer, log, steps as usize].map(|number| number as u64)
    }

    /// Whether a process has it mapped at an address. Where that is, the process alone knows: not all have inherited it.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn is_at(&self, pid: u32, address: u64) -> io::Result<bool> {
        let inode = self.segment().backing().told().map_err(io::Error::other)?.inode;
        Ok(Image::at(&pid.to_string(), address)?.is_some_and(|image| image.inode() == inode))
    }

    /// Whether its header does not say what this process, whose control page it is, wrote there: then somebody has written over that, and
    /// who knows over what else.
    pub(crate) fn is_header_damaged(&self) -> bool {
        let header = &self.head().header;
        !header.is_published(Head::SIZES)
            || header.layout.iter().zip(self.layout_words()).any(|(word, known)| word.load(Ordering::Relaxed) != known)
    }
}

/// The bytes of a control page, from outside.
pub(crate) trait Bytes {
    /// How many there are.
    fn len(&self) -> u64;

    /// Copies those from `at` on.
    fn copy(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

/// What a control page says, as far as it can be.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) engine: Engine,
    pub(crate) schedule: Schedule,
    /// Whether a job runs; else all is of the last one.
    pub(crate) runs: bool,
    pub(crate) jobs: u64,
    /// How long ago the last job began.
    pub(crate) elapsed: Duration,
    /// Bytes of all arrays lent.
    pub(crate) lent: u64,
    /// The slices that are to be run.
    pub(crate) run: Range<usize>,
    /// How many of those were set aside.
    pub(crate) aside: usize,
    /// How many steps each slice has, 0 in a job without, and how many all of them have done.
    pub(crate) steps: (u32, u64),
    pub(crate) slots: Vec<WorkerSnapshot>,
}

/// One worker, as the control page has it.
#[derive(Clone, Debug)]
pub(crate) struct WorkerSnapshot {
    pub(crate) snapshot: SlotSnapshot,
    /// How many slices it has done, and has now.
    pub(crate) done: usize,
    pub(crate) taken: usize,
    /// How long it has been at what it is at.
    pub(crate) since: Duration,
}

/// Why a control page cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Nobody has used it yet.
    #[error("no job has begun on it")]
    Blank,
    #[error("it is of another version of parfork")]
    Version,
    #[error("what it says cannot be: {0}")]
    Absurd(&'static str),
    #[error(transparent)]
    System(#[from] io::Error),
}

/// How often to read a header that changes before giving up: jobs of a crew may follow each other every microsecond.
const TRIES: usize = 100;

/// Reads a control page.
pub(crate) fn snapshot(page: &dyn Bytes) -> Result<Snapshot, Unreadable> {
    let words = read_header(page)?;
    let word = |offset: usize| words[offset / 8];
    let now = futex::monotonic();
    let clock = |nanos: u64| {
        now.saturating_sub(Duration::from_nanos(word(offset_of!(PublicHeader, epoch)).saturating_add(nanos)))
    };
    let layout: [usize; 7] = std::array::from_fn(|i| word(offset_of!(PublicHeader, layout) + 8 * i) as usize);
    let [room, workers, slices, loans, answer, log, steps] = layout;
    let steps = u32::try_from(steps).map_err(|_| Unreadable::Absurd("no job has as many steps"))?;
    let run = word(offset_of!(PublicHeader, run)) as usize..word(offset_of!(PublicHeader, run) + 8) as usize;
    // One more than can be asked for: the coordinator, if it works too.
    if workers > room || room > MOST_WORKERS + 1 || slices > Grid::MOST || run.start > run.end || run.end > slices {
        return Err(Unreadable::Absurd("it has more workers or slices than a job can have"));
    }
    let at = Layout { workers, slices, loans, answer, log, steps, meets: false, carries: 0 }
        .offsets(SLOTS, room)
        .filter(|at| at.end as u64 <= page.len());
    let at = at.ok_or(Unreadable::Absurd("it is longer than its memory"))?;
    let mut slots = Vec::with_capacity(workers);
    let mut bytes = [0; WorkerSlot::GLIMPSED];
    for rank in 0..workers {
        page.copy((SLOTS + rank * size_of::<WorkerSlot>()) as u64, &mut bytes)?;
        let snapshot = WorkerSlot::snapshot(&bytes);
        slots.push(WorkerSnapshot { done: 0, taken: 0, since: clock(snapshot.since), snapshot });
    }
    let (aside, done) = count(page, (at.states, at.steps), (run.clone(), steps), &mut slots)?;
    let engine = Engine::ALL.get(word(offset_of!(PublicHeader, engine)) as usize);
    let name: Vec<u8> = (0..NAME).map(|i| (word(offset_of!(PublicHeader, name) + i) >> (i % 8 * 8)) as u8).collect();
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(Snapshot {
        pid: u32::try_from(word(offset_of!(PublicHeader, pid)))
            .map_err(|_| Unreadable::Absurd("no process has such a number"))?,
        name: printable(name),
        engine: *engine.ok_or(Unreadable::Absurd("there is no such engine"))?,
        schedule: Schedule::of_word(word(offset_of!(PublicHeader, schedule))),
        runs: word(offset_of!(PublicHeader, runs)) != 0,
        jobs: word(offset_of!(PublicHeader, jobs)),
        elapsed: clock(word(offset_of!(PublicHeader, began))),
        lent: word(offset_of!(PublicHeader, lent)),
        run,
        aside,
        steps: (steps, done),
        slots,
    })
}

/// A text that moves no cursor, whoever wrote it.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The words of a header, all of one edition.
fn read_header(page: &dyn Bytes) -> Result<[u64; size_of::<PublicHeader>() / 8], Unreadable> {
    let word = |bytes: &[u8], offset: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[offset..offset + 8]);
        u64::from_ne_bytes(word)
    };
    if page.len() < size_of::<Head>() as u64 {
        return Err(Unreadable::Blank);
    }
    for _ in 0..TRIES {
        let mut bytes = [0; size_of::<PublicHeader>()];
        page.copy(0, &mut bytes)?;
        let sizes = [0, 8].map(|i| word(&bytes, offset_of!(PublicHeader, sizes) + i));
        match word(&bytes, offset_of!(PublicHeader, magic)) {
            0 => return Err(Unreadable::Blank),
            MAGIC if sizes == Head::SIZES => {}
            _ => return Err(Unreadable::Version),
        }
        let version = word(&bytes, offset_of!(PublicHeader, version));
        let mut again = [0; 8];
        page.copy(offset_of!(PublicHeader, version) as u64, &mut again)?;
        match version {
            0 => return Err(Unreadable::Blank),
            _ if version.is_multiple_of(2) && u64::from_ne_bytes(again) == version => {
                return Ok(std::array::from_fn(|i| word(&bytes, 8 * i)));
            }
            _ => {}
        }
    }
    Err(Unreadable::Absurd("its jobs change faster than it can be read"))
}

/// Counts for each worker the slices of `run` that the slice table says it has; how many are set aside, and how many steps of all are done,
/// if each has `steps`.
fn count(
    page: &dyn Bytes,
    (states, counts): (usize, usize),
    (run, steps): (Range<usize>, u32),
    slots: &mut [WorkerSnapshot],
) -> io::Result<(usize, u64)> {
    let (mut aside, mut done, mut next) = (0, 0, run.start);
    let mut bytes = [[0; 4096]; 2];
    while next < run.end {
        let many = (run.end - next).min(bytes[0].len() / 8);
        let [piece, counted] = bytes.each_mut().map(|bytes| &mut bytes[..8 * many]);
        page.copy((states + 8 * next) as u64, piece)?;
        if steps > 0 {
            page.copy((counts + 8 * next) as u64, counted)?;
        }
        let words =
            |bytes: &[u8]| bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect::<Vec<_>>();
        for (word, count) in words(piece).into_iter().zip(words(counted)) {
            let state = SliceState::claimed(word);
            // How many is in its lower half. The last step is not counted: its slice is done.
            done += u64::from(if let SliceState::Done { .. } = state { steps } else { (count as u32).min(steps) });
            match state {
                SliceState::Free | SliceState::Restore | SliceState::GivenBack { .. } | SliceState::Damaged => {}
                SliceState::Aside => aside += 1,
                SliceState::Taken { rank } | SliceState::Saved { rank } => {
                    slots.get_mut(rank).into_iter().for_each(|seat| seat.taken += 1)
                }
                SliceState::Done { rank } => slots.get_mut(rank).into_iter().for_each(|seat| seat.done += 1),
            }
        }
        next += many;
    }
    Ok((aside, done))
}

#[cfg(test)]
mod tests;
