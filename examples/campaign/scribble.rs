//! Workers gone mad, which write over the control page that they share with the coordinator. They ask it nothing of how it is laid
//! out: every word of it may be hit.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::rng::TrialRng;

/// A worker gone mad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scribble {
    lie: Lie,
    extent: Extent,
    /// Bytes of the page, from its begin, that it writes to; a crew's is large and mostly without memory.
    room: usize,
    pub(crate) after: After,
    seed: u64,
}

/// What it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    Word(u32),
    Random,
    /// What is there, with one bit turned.
    Flip,
    /// What stood there when the worker began with the slice.
    Stale,
    /// What stands elsewhere on the page.
    Moved,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Every so many words.
    Every(usize),
    /// So many words anywhere.
    Few(usize),
    /// So many words of what slices hand on to the next, alone.
    HandedOn(usize),
}

/// Words of 32 bits of what the campaign's slices hand on (`answers.rs`): a tag, and three numbers, the last of them the job's own.
const HANDED_ON: usize = 2 * (1 + 3);

/// What becomes of the worker then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    GoesOn,
    Killed,
    Aborts,
    Exits,
    Panics,
    /// A thread of its own goes on writing, and the worker with its slice.
    WritesOn,
}

impl Scribble {
    /// One that may look for what slices hand on, if they do.
    pub(crate) fn new(rng: &mut TrialRng, carries: bool) -> Self {
        let lie = match rng.within(0..10) {
            0 | 1 => Lie::Word(0),
            2 => Lie::Word(rng.one(&[u32::MAX, 1, 2, 3, 0x4000_0000, 0x8000_0000, 0x7fff_ffff])),
            3..6 => Lie::Flip,
            6 => Lie::Stale,
            7 => Lie::Moved,
            _ => Lie::Random,
        };
        let after = match rng.within(0..12) {
            0..5 => After::GoesOn,
            5 | 6 => After::Killed,
            7 => After::Aborts,
            8 => After::Exits,
            9 => After::Panics,
            _ => After::WritesOn,
        };
        let extent = match rng.in_a_hundred(55) {
            _ if carries && rng.in_a_hundred(40) => Extent::HandedOn(rng.one(&[1, 1, 2, 8])),
            true => Extent::Few(rng.one(&[1, 1, 1, 2, 4, 16])),
            false => Extent::Every(rng.one(&[1, 1, 2, 3, 7, 31])),
        };
        let room = match extent {
            // Most of it is never looked at: small jobs are told in the first pages.
            Extent::Few(_) | Extent::HandedOn(_) => rng.one(&[1, 2, 4, 8, 16, 64]) << 10,
            Extent::Every(_) => rng.one(&[4, 64, 64, 1 << 10, 4 << 10]) << 10,
        };
        Self { lie, extent, room, after, seed: rng.next() }
    }

    /// Whether it needs a copy of the page as it was before.
    pub(crate) fn is_stale(self) -> bool {
        self.lie == Lie::Stale
    }

    /// Does it once; `stale` is what [`copy`] found before, if that [is needed](Self::is_stale), and `salt` is in all that the job's slices
    /// hand on.
    pub(crate) fn write(self, stale: &[u32], salt: u64) {
        let (words, rng) = (words(), &mut TrialRng::of(self.seed, 0));
        let room = words.len().min(self.room / size_of::<u32>());
        let write = |at: usize, rng: &mut TrialRng| {
            let lie = match self.lie {
                Lie::Word(word) => word,
                Lie::Random => rng.next() as u32,
                Lie::Flip => words[at].load(Relaxed) ^ 1 << rng.within(0..32),
                Lie::Stale => stale.get(at).copied().unwrap_or_default(),
                Lie::Moved => words[(at + 64) % words.len()].load(Relaxed),
            };
            words[at].store(lie, Relaxed);
        };
        match self.extent {
            Extent::Every(step) => (0..room).step_by(step).for_each(|at| write(at, rng)),
            Extent::Few(few) => (0..few).for_each(|_| write(rng.within(0..room), rng)),
            Extent::HandedOn(few) => {
                let is_last = |at: &usize| {
                    let [low, high] = [at - 2, at - 1].map(|at| u64::from(words[at].load(Relaxed)));
                    low | high << 32 == salt
                };
                let ends: Vec<usize> = (HANDED_ON..=words.len()).step_by(2).filter(is_last).collect();
                // Nobody may have handed anything on yet.
                for _ in 0..few * usize::from(!ends.is_empty()) {
                    write(rng.one(&ends) - 1 - rng.within(0..HANDED_ON), rng);
                }
            }
        }
    }

    /// Does it again and again, on a thread of its own.
    pub(crate) fn write_on(self, stale: Vec<u32>, salt: u64) {
        std::thread::spawn(move || {
            loop {
                self.write(&stale, salt);
            }
        });
    }
}

/// The page as it is now.
pub(crate) fn copy() -> Vec<u32> {
    words().iter().map(|word| word.load(Relaxed)).collect()
}

/// The words of the control page, 4 MiB at most: of what a worker can write to, the one segment with a name of its own that is not
/// an array's.
fn words() -> &'static [AtomicU32] {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("a process has maps");
    let is_page =
        |line: &&str| line.contains(" rw-s ") && line.contains("memfd:parfork-") && !line.contains("-scratch");
    let line = maps.lines().rev().find(is_page).expect("a worker has mapped the control page");
    let number = |text| usize::from_str_radix(text, 16).expect("an address");
    let (start, end) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')).expect("a range");
    let (start, end) = (number(start), number(end));
    let words = std::ptr::with_exposed_provenance(start);
    // SAFETY: mapped as long as this worker lives; all use of these words is atomic.
    unsafe { std::slice::from_raw_parts(words, (end - start).min(4 << 20) / size_of::<u32>()) }
}
