//! What a worker gone mad does to the control page that it shares with the coordinator, and what becomes of it then.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::support::control_page;

/// What it writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scribble {
    Word(u32),
    Random,
    /// Every word has one bit turned.
    Flips,
    /// What stood there when the worker began with the slice, and others went on.
    Stale,
    /// What stands elsewhere on the page.
    Moved,
}

/// What becomes of it then.
#[derive(Clone, Copy, Debug)]
pub(crate) enum After {
    GoesOn,
    Dies,
    Leaves,
    Panics,
    /// A thread of its own goes on writing.
    WritesOn,
}

/// Where it writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// Every so many words of all.
    Every(usize),
    /// So many words anywhere.
    Anywhere(usize),
    /// So many of those that say which slices are done, and what their answers are.
    Journal(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Madness {
    pub(crate) what: Scribble,
    pub(crate) after: After,
    pub(crate) place: Place,
    /// On which slice.
    pub(crate) slice: usize,
    pub(crate) seed: u64,
}

pub(crate) const SLICES: usize = 24;

impl Madness {
    pub(crate) fn by(chance: &mut Rng) -> Self {
        let what = match chance.u64(..8) {
            0 => Scribble::Word(0),
            1 => Scribble::Word(u32::MAX),
            2 => Scribble::Word([1, 2, 3, 0x4000_0000, 0x8000_0000, 0x7fff_ffff][chance.u64(..6) as usize]),
            3 => Scribble::Flips,
            4 => Scribble::Stale,
            5 => Scribble::Moved,
            _ => Scribble::Random,
        };
        let after =
            [After::GoesOn, After::Dies, After::Leaves, After::Panics, After::WritesOn][chance.u64(..5) as usize];
        let place = match chance.u64(..4) {
            0 => Place::Anywhere(1 + chance.u64(..4) as usize),
            1 => Place::Journal(1 + chance.u64(..4) as usize),
            _ => Place::Every([1, 1, 2, 3, 7, 31][chance.u64(..6) as usize]),
        };
        Self { what, after, place, slice: chance.u64(..SLICES as u64) as usize, seed: chance.u64(..) }
    }

    /// How long the job may take. Of one whose worker never ends nobody promises that it does, without a deadline.
    pub(crate) fn patience(self) -> Duration {
        if matches!(self.after, After::WritesOn) { Duration::from_secs(2) } else { Duration::MAX }
    }

    /// Acts on it, in a worker; `stale` is what stood on the page before.
    pub(crate) fn act(self, stale: &[u32]) {
        if matches!(self.what, Scribble::Stale) {
            wait_for_others(stale);
        }
        self.scribble(stale);
        match self.after {
            After::GoesOn => {}
            // SAFETY: ends this worker.
            After::Dies => drop(unsafe { libc::raise(libc::SIGKILL) }),
            After::Leaves => std::process::exit(0),
            After::Panics => panic!("mad"),
            After::WritesOn => {
                let stale = stale.to_vec();
                std::thread::spawn(move || {
                    loop {
                        self.scribble(&stale);
                    }
                });
            }
        }
    }

    fn scribble(self, stale: &[u32]) {
        let (words, spots, mut chance) = (control_page(), spots(), Rng::with_seed(self.seed));
        let write = |spot: usize, chance: &mut Rng| {
            let at = spots[spot];
            let now = words[at].load(Ordering::Relaxed);
            let lie = match self.what {
                Scribble::Word(lie) => lie,
                Scribble::Random => chance.u64(..) as u32,
                Scribble::Flips => now ^ 1 << chance.u64(..32),
                Scribble::Stale => stale.get(spot).copied().unwrap_or(now),
                Scribble::Moved => words[(at + 64) % words.len()].load(Ordering::Relaxed),
            };
            words[at].store(lie, Ordering::Relaxed);
        };
        let (from, count) = match self.place {
            Place::Every(step) => return (0..spots.len()).step_by(step).for_each(|spot| write(spot, &mut chance)),
            Place::Anywhere(count) => (0, count),
            Place::Journal(count) => ((states() / 4).min(FIRST), count),
        };
        for _ in 0..count {
            let all = (spots.len() - from).min(if from > 0 { 4 * SLICES } else { usize::MAX });
            write(from + chance.u64(..all as u64) as usize, &mut chance);
        }
    }

    /// As numbers, for a crew's bodies.
    fn told(self) -> Told {
        let (what, lie) = match self.what {
            Scribble::Word(lie) => (0, lie),
            Scribble::Random => (1, 0),
            Scribble::Flips => (2, 0),
            Scribble::Stale => (3, 0),
            Scribble::Moved => (4, 0),
        };
        let (place, many) = match self.place {
            Place::Every(step) => (0, step),
            Place::Anywhere(count) => (1, count),
            Place::Journal(count) => (2, count),
        };
        [what, lie.into(), self.after as u64, place, many as u64, self.slice as u64, self.seed]
    }

    fn untold([what, lie, after, place, many, slice, seed]: Told) -> Self {
        let whats = [Scribble::Word(lie as u32), Scribble::Random, Scribble::Flips, Scribble::Stale, Scribble::Moved];
        let after = [After::GoesOn, After::Dies, After::Leaves, After::Panics, After::WritesOn][after as usize];
        let many = many as usize;
        let place = [Place::Every(many), Place::Anywhere(many), Place::Journal(many)][place as usize];
        Self { what: whats[what as usize], after, place, slice: slice as usize, seed }
    }
}

type Told = [u64; 7];

/// What bodies do with their cells, which are 0 before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Overwrites,
    /// It reads what it changes: whoever does a slice twice, or one that another has half done, leaves something wrong.
    Modifies,
}

/// What a crew's body is handed: the coordinator's pid if that works too, its deed, its madness.
pub(crate) fn told(coordinator: u32, mad: Madness, deed: Deed) -> [u64; 9] {
    let mut words = [coordinator.into(), u64::from(deed == Deed::Modifies), 0, 0, 0, 0, 0, 0, 0];
    words[2..].copy_from_slice(&mad.told());
    words
}

/// What [`told`] told.
pub(crate) fn untold(words: [u64; 9]) -> (u32, Madness, Deed) {
    let deed = if words[1] == 1 { Deed::Modifies } else { Deed::Overwrites };
    (words[0] as u32, Madness::untold(std::array::from_fn(|at| words[at + 2])), deed)
}

/// How many of the first words are written over.
const FIRST: usize = 1 << 14;

/// How many words are written over from the slice table on.
const AFTER: usize = 4096;

/// Which words are written over: the first, and those of the slice table and what follows it. A crew's page is large and mostly without
/// memory, which looking there would make.
fn spots() -> Vec<usize> {
    let journal = states() / 4;
    (0..journal.min(FIRST)).chain(journal..control_page().len().min(journal + AFTER)).collect()
}

/// What stands there.
pub(crate) fn snapshot() -> Vec<u32> {
    let page = control_page();
    spots().into_iter().map(|at| page[at].load(Ordering::Relaxed)).collect()
}

/// Where the words of slices are, in bytes, by what the page says of itself to those who look from outside: sizes of head and of
/// a worker's words, room for workers, workers, slices, loans.
pub(crate) fn states() -> usize {
    let words = control_page();
    let plate: Vec<u64> = (0..20)
        .map(|at| {
            let [low, high] = [2 * at, 2 * at + 1].map(|at| u64::from(words[at].load(Ordering::Relaxed)));
            low | high << 32
        })
        .collect();
    // One that was written over leads anywhere.
    let at = plate.iter().skip(9).position(|&word| word == SLICES as u64).map_or(11, |at| at + 9);
    let number = |at: usize| plate[at] as usize;
    let states = number(1)
        .wrapping_add(number(at - 2).wrapping_mul(number(2)))
        .wrapping_add(number(at - 1).wrapping_mul(number(at + 1)).wrapping_mul(8));
    states.min(4 * (words.len() - 2 * SLICES))
}

/// Waits until others have gone on with two slices, or there is none left to do so.
fn wait_for_others(stale: &[u32]) {
    let (began, words, spots) = (Instant::now(), control_page(), spots());
    let journal = || spots.iter().zip(stale).skip((states() / 4).min(FIRST)).take(2 * SLICES);
    let changed = || journal().filter(|&(&at, &was)| words[at].load(Ordering::Relaxed) != was).take(4).count();
    while changed() < 4 && began.elapsed() < Duration::from_millis(2) {
        std::thread::yield_now();
    }
}
