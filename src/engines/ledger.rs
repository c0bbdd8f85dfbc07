//! The coordinator's private list of a job's slices: which it has seen done, in memory that no worker can write to.
//!
//! The control page says what workers say; this is what was found right. A slice that was once seen done must be so at the end, by
//! the same word. Whoever came to the end of a round did just what the words of its slices say. What is not done then is a dead
//! worker's, or was left by one; anything else is damage, which is an error and never a reason to try again: who cannot know what a
//! body has changed must not let another change it once more.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::error::{ControlPageDamage, Error, Result};
use crate::sync::{ControlPage, RoundKey, SliceState, WorkDigest};

/// The ledger of a job, of which a round goes on.
pub(crate) struct Ledger {
    /// The slices that are to be run.
    run: Range<usize>,
    /// Of each slice, its word if it was seen done, else 0. Empty until somebody dies, or an answer is handed on: nobody else looks before
    /// the end.
    done: Vec<u64>,
    /// Slices whose undo copy is known to be complete.
    saved: BTreeSet<usize>,
    /// Slices that are not to be tried again.
    aside: BTreeSet<usize>,
    /// The ranks that died in this round before they had come to its end.
    dead: BTreeSet<usize>,
    /// What each rank did in this round, as far as it was seen.
    digest: Vec<WorkDigest>,
    round_key: Option<RoundKey>,
}

/// A slice that is not done at the end of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnfinishedSlice {
    pub(super) slice: usize,
    /// Who died on it.
    pub(super) on: Option<usize>,
    /// Whether it is to be put back before the next try.
    pub(super) saved: bool,
    /// How many of its steps are done, in a job of steps.
    pub(super) steps: u32,
    /// Whether a worker that was called back has given it back.
    pub(super) given_back: bool,
}

/// How many words of slices and answers are looked at between two looks at the clock.
const BATCH: usize = 1 << 17;

impl Ledger {
    /// Of a job that has not begun.
    pub(crate) fn new(run: Range<usize>) -> Self {
        let (saved, aside, dead) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { run, done: Vec::new(), saved, aside, dead, digest: Vec::new(), round_key: None }
    }

    /// The slices that are to be run.
    pub(crate) fn slices(&self) -> Range<usize> {
        self.run.clone()
    }

    /// A round begins with so many workers.
    pub(super) fn begin_round(&mut self, round_key: RoundKey, workers: usize) {
        self.dead.clear();
        self.digest.clear();
        self.digest.resize(workers, WorkDigest::default());
        self.round_key = Some(round_key);
    }

    /// Worker `rank` is dead, and had not come to the end.
    pub(super) fn note_dead(&mut self, rank: usize) {
        self.dead.insert(rank);
    }

    /// Whether it died before it had come.
    pub(super) fn is_dead(&self, rank: usize) -> bool {
        self.dead.contains(&rank)
    }

    /// Whether anybody did.
    pub(super) fn has_dead(&self) -> bool {
        !self.dead.is_empty()
    }

    /// A slice is not to be tried again.
    pub(super) fn set_aside(&mut self, slice: usize) {
        self.aside.insert(slice);
    }

    /// Enters that a slice was seen done, by its word, perhaps once more.
    pub(super) fn note_done(&mut self, slice: usize, word: u64, rank: usize) -> Result<()> {
        self.done.resize(self.run.len(), 0);
        match self.done.get(slice - self.run.start) {
            Some(&known) if known == word => Ok(()),
            Some(0) => self.see_done(slice, word, rank),
            _ => Err(damaged(slice, SliceState::Damaged)),
        }
    }

    /// Whether all slices are done; not before all claim it, and not if it becomes too `late` to look.
    pub(super) fn is_all_done(&mut self, page: &ControlPage, late: impl Fn() -> bool) -> bool {
        let claims = |slice| matches!(page.claimed(slice), SliceState::Done { .. });
        self.run.clone().all(claims) && self.look(page, late, |_| Ok(())).is_ok_and(|left| left == Some(0))
    }

    /// Closes a round in which somebody died: the slices that are left; `None` if it became too `late` to look. In a job of steps each
    /// slice has one of the `owners`, who says how many are done. Who has given back a slice has left an undo copy of it, if there are any.
    ///
    /// # Errors
    /// If a word is not what it should be.
    pub(super) fn close_round(
        &mut self,
        page: &ControlPage,
        late: impl Fn() -> bool,
        owners: &[Option<usize>],
        restores: bool,
    ) -> Result<Option<Vec<UnfinishedSlice>>> {
        let (mut left, saved, dead) = (Vec::new(), self.saved.clone(), self.dead.clone());
        let mut backs = Vec::new();
        let mut enter = |(slice, word, state): (usize, u64, SliceState)| {
            let is_saved = saved.contains(&slice);
            let steps = if owners.is_empty() { Some(0) } else { page.step_count(slice).done() };
            let steps = steps.ok_or(Error::ControlPageDamaged { what: ControlPageDamage::Steps { slice } })?;
            let mut given_back = false;
            let (on, saved) = match state {
                // Dealt to a dead worker that did not come to it.
                SliceState::Free if !is_saved => (None, false),
                SliceState::Restore if is_saved => (None, true),
                SliceState::Taken { rank } if dead.contains(&rank) && !is_saved => (Some(rank), false),
                SliceState::Saved { rank } if dead.contains(&rank) => (Some(rank), true),
                SliceState::GivenBack { rank } => {
                    given_back = true;
                    backs.push((slice, word, rank));
                    (None, restores)
                }
                state => return Err(damaged(slice, state)),
            };
            left.push(UnfinishedSlice { slice, on, saved, steps, given_back });
            Ok(())
        };
        if self.look(page, late, &mut enter)?.is_none() {
            return Ok(None);
        }
        for (slice, word, rank) in backs {
            self.digest.get_mut(rank).ok_or_else(|| damaged(slice, SliceState::GivenBack { rank }))?.add(word);
        }
        for left in &left {
            if let Some(digest) = owners.get(left.slice).and_then(|&owner| self.digest.get_mut(owner?)) {
                digest.add(page.step_count(left.slice).word_of(left.steps));
            }
        }
        self.saved.extend(left.iter().filter(|left| left.saved).map(|left| left.slice));
        self.check_work_done(page)?;
        self.round_key = None;
        Ok(Some(left))
    }

    /// Looks at all slices that are not known to be done, nor set aside; hands on those that are not. How many these are; `None` if
    /// it became too `late` to look on.
    fn look(
        &mut self,
        page: &ControlPage,
        late: impl Fn() -> bool,
        mut missing: impl FnMut((usize, u64, SliceState)) -> Result<()>,
    ) -> Result<Option<usize>> {
        self.done.resize(self.run.len(), 0);
        let (mut pace, mut left) = (ClockPace::new(page), 0);
        for slice in self.run.clone() {
            if self.done[slice - self.run.start] != 0 || self.aside.contains(&slice) {
                continue;
            }
            if pace.is_due() && late() {
                return Ok(None);
            }
            match page.state(slice) {
                (word, SliceState::Done { rank }) => self.see_done(slice, word, rank)?,
                (word, state) => {
                    left += 1;
                    missing((slice, word, state))?;
                }
            }
        }
        Ok(Some(left))
    }

    fn see_done(&mut self, slice: usize, word: u64, rank: usize) -> Result<()> {
        self.digest.get_mut(rank).ok_or_else(|| damaged(slice, SliceState::Done { rank }))?.add(word);
        if let Some(known) = self.done.get_mut(slice - self.run.start) {
            *known = word;
        }
        Ok(())
    }

    /// Makes sure that all who came to the end of the round did what was seen to be done, and nothing else.
    fn check_work_done(&self, page: &ControlPage) -> Result<()> {
        let Some(round_key) = self.round_key else { return Ok(()) };
        let mut all = self.digest.iter().enumerate().filter(|(rank, _)| !self.is_dead(*rank));
        match all.find(|&(rank, &digest)| !page.arrival(rank).has_done(round_key, rank, digest)) {
            None => Ok(()),
            Some((rank, _)) => Err(Error::ControlPageDamaged { what: ControlPageDamage::WorkDone { rank } }),
        }
    }

    /// Reads the answers of a job whose workers have all come to the end, or died with nothing left to do; each of `size` bytes is
    /// handed to `into`. False if it became too `late` for that.
    ///
    /// # Errors
    /// If a slice is not done, or a word is not what it should be.
    pub(crate) fn gather(
        &mut self,
        page: &ControlPage,
        late: impl Fn() -> bool,
        mut into: impl FnMut(&dyn Fn(&mut [u8]) -> (u64, SliceState)) -> (u64, SliceState),
    ) -> Result<bool> {
        let mut pace = ClockPace::new(page);
        for slice in self.run.clone() {
            if pace.is_due() && late() {
                return Ok(false);
            }
            let known = self.done.get(slice - self.run.start).copied().unwrap_or(0);
            match into(&|answer| page.read_answer(slice, answer)) {
                (word, SliceState::Done { .. }) if word == known => {}
                (word, SliceState::Done { rank }) if known == 0 => self.see_done(slice, word, rank)?,
                (_, SliceState::Done { .. }) => return Err(damaged(slice, SliceState::Damaged)),
                (_, state) => return Err(damaged(slice, state)),
            }
        }
        self.check_work_done(page)?;
        Ok(true)
    }
}

fn damaged(slice: usize, state: SliceState) -> Error {
    let what = match state {
        SliceState::Damaged | SliceState::Done { .. } => ControlPageDamage::Slice { slice },
        SliceState::Taken { rank } | SliceState::Saved { rank } | SliceState::GivenBack { rank } => {
            ControlPageDamage::NotDone { slice, taken_by: Some(rank) }
        }
        SliceState::Free | SliceState::Restore | SliceState::Aside => {
            ControlPageDamage::NotDone { slice, taken_by: None }
        }
    };
    Error::ControlPageDamaged { what }
}

/// When to look at the clock.
struct ClockPace {
    each: usize,
    words: usize,
}

impl ClockPace {
    fn new(page: &ControlPage) -> Self {
        Self { each: 1 + page.layout().answer / 8, words: 0 }
    }

    /// Whether it is time to, one slice further on.
    fn is_due(&mut self) -> bool {
        self.words += self.each;
        let is_due = self.words >= BATCH;
        if is_due {
            self.words = 0;
        }
        is_due
    }
}
