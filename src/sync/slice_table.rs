//! The state of each slice (free, taken, done) and its answer: what is left of a worker's work when it dies.
//!
//! One word a slice, tagged (`tag.rs`): a word that is not right is [`SliceState::Damaged`], zero included, and nobody who
//! changes a word from what it should be to what it is next can do so if it is not that.

use super::atomic::{AtomicU64, Ordering};
use super::tag::{self, said, tagged};

/// What the word of a slice says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SliceState {
    Free,
    /// Free, and to be put back first: its undo copy is complete, and a worker that died may have changed it.
    Restore,
    /// Not to be tried again.
    Aside,
    /// A worker has it, and may have begun to change it, unless there are undo copies.
    Taken {
        rank: usize,
    },
    /// A worker has it, and its undo copy is complete.
    Saved {
        rank: usize,
    },
    Done {
        rank: usize,
    },
    /// Free in the next round: a worker that was called back has left it, with its undo copy if there are any.
    GivenBack {
        rank: usize,
    },
    /// Nobody wrote that who has part in the job.
    Damaged,
}

/// The most ranks that a word has room for.
const RANKS: u64 = 1 << (tag::SAID - KIND);

/// How many low bits are the kind.
const KIND: u32 = 3;

impl SliceState {
    /// | bits 3..14 | bits 0..3 | the slice is                    |
    /// |------------|-----------|---------------------------------|
    /// | 0          | 1         | free                            |
    /// | 0          | 2         | free, to be put back first      |
    /// | 0          | 3         | set aside                       |
    /// | rank       | 4         | taken by rank                   |
    /// | rank       | 5         | taken by rank, undo copy complete |
    /// | rank       | 6         | done by rank                    |
    /// | rank       | 7         | given back by rank              |
    fn word(self) -> u64 {
        let of = |kind, rank: usize| (rank as u64 % RANKS) << KIND | kind;
        match self {
            Self::Damaged => 0,
            Self::Free => 1,
            Self::Restore => 2,
            Self::Aside => 3,
            Self::Taken { rank } => of(4, rank),
            Self::Saved { rank } => of(5, rank),
            Self::Done { rank } => of(6, rank),
            Self::GivenBack { rank } => of(7, rank),
        }
    }

    /// What a word claims, whoever wrote it: for people, and to know what to check.
    pub(super) fn claimed(word: u64) -> Self {
        let rank = (said(word) >> KIND) as usize;
        match said(word) % (1 << KIND) {
            1 => Self::Free,
            2 => Self::Restore,
            3 => Self::Aside,
            4 => Self::Taken { rank },
            5 => Self::Saved { rank },
            6 => Self::Done { rank },
            7 => Self::GivenBack { rank },
            _ => Self::Damaged,
        }
    }
}

/// The slice table's words, wherever they are.
pub(super) struct SliceTable<'w> {
    /// | bits 14..64                                    | bits 0..14              |
    /// |------------------------------------------------|-------------------------|
    /// | a hash of key, slice, bits 0..14 and the answer | see [`SliceState::word`] |
    pub(super) states: &'w [AtomicU64],
    /// Equally many words for each slice.
    pub(super) answers: &'w [AtomicU64],
    /// The job's.
    pub(super) key: u64,
}

impl<'w> SliceTable<'w> {
    fn word(&self, slice: usize, state: SliceState, answer: u64) -> u64 {
        tagged(self.key, slice as u64, state.word(), answer)
    }

    /// What a slice's word is, if it is right. With one that is done goes its answer, which is handed on word by word.
    pub(super) fn read(&self, slice: usize, mut answer: impl FnMut(usize, u64)) -> (u64, SliceState) {
        // Acquire: with Done comes all that its worker wrote before.
        let word = self.states[slice].load(Ordering::Acquire);
        let state = SliceState::claimed(word);
        let answer = match state {
            SliceState::Done { .. } => {
                let words = self.answer(slice).iter().map(|word| word.load(Ordering::Relaxed));
                tag::hash(words.enumerate().map(|(at, word)| {
                    answer(at, word);
                    word
                }))
            }
            _ => 0,
        };
        (word, if word == self.word(slice, state, answer) { state } else { SliceState::Damaged })
    }

    /// What a slice's word is, whoever wrote it.
    pub(super) fn claimed(&self, slice: usize) -> SliceState {
        SliceState::claimed(self.states[slice].load(Ordering::Relaxed))
    }

    /// Whether its word was still `before` when it became `after`. A slice has one writer at a time: who has changed its word from
    /// free.
    pub(super) fn pass(&self, slice: usize, before: SliceState, after: SliceState) -> bool {
        let [before, after] = [before, after].map(|state| self.word(slice, state, 0));
        // Acquire: who takes what was put aside for another try finds what was done about it. Release: who reads that it is
        // saved finds the copy.
        self.states[slice].compare_exchange(before, after, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes a slice that is free: whether it is to be put back first; `None` if it is not free.
    pub(super) fn take(&self, rank: usize, slice: usize) -> Option<bool> {
        let takes = |before, after| self.pass(slice, before, after);
        match takes(SliceState::Free, SliceState::Taken { rank }) {
            true => Some(false),
            false => takes(SliceState::Restore, SliceState::Saved { rank }).then_some(true),
        }
    }

    /// Enters the answer, and that a slice is done which this worker has: the word, if it still had it.
    pub(super) fn finish(
        &self,
        rank: usize,
        slice: usize,
        saved: bool,
        answer: impl Iterator<Item = u64>,
    ) -> Option<u64> {
        let mut words = self.answer(slice).iter();
        let hash = tag::hash(answer.zip(&mut words).map(|(value, word)| {
            word.store(value, Ordering::Relaxed);
            value
        }));
        let had = if saved { SliceState::Saved { rank } } else { SliceState::Taken { rank } };
        let (had, done) = (self.word(slice, had, 0), self.word(slice, SliceState::Done { rank }, hash));
        // Release: who reads Done sees the slice's cells and its answer.
        let passed = self.states[slice].compare_exchange(had, done, Ordering::Release, Ordering::Relaxed);
        passed.is_ok().then_some(done)
    }

    /// Enters that a slice is given back which this worker has: the word, if it still had it.
    pub(super) fn give_back(&self, rank: usize, slice: usize, saved: bool) -> Option<u64> {
        let had = if saved { SliceState::Saved { rank } } else { SliceState::Taken { rank } };
        let back = SliceState::GivenBack { rank };
        self.pass(slice, had, back).then(|| self.word(slice, back, 0))
    }

    fn answer(&self, slice: usize) -> &'w [AtomicU64] {
        let size = self.answers.len() / self.states.len();
        &self.answers[slice * size..][..size]
    }

    /// Enters what a slice is from now on. Only for the coordinator, while no worker uses the slice table.
    pub(super) fn enter(&self, slice: usize, state: SliceState) {
        self.states[slice].store(self.word(slice, state, 0), Ordering::Release);
    }

    /// Makes all slices free.
    pub(super) fn clear(&self) {
        (0..self.states.len()).for_each(|slice| self.enter(slice, SliceState::Free));
    }

    /// How many slices claim to be done.
    pub(super) fn done(&self) -> usize {
        (0..self.states.len()).filter(|&slice| matches!(self.claimed(slice), SliceState::Done { .. })).count()
    }

    /// The slices that can be taken, ascending.
    pub(super) fn free(&self) -> Vec<usize> {
        let is_free = |slice: &usize| {
            let claims = self.claimed(*slice);
            matches!(claims, SliceState::Free | SliceState::Restore)
                && self.states[*slice].load(Ordering::Acquire) == self.word(*slice, claims, 0)
        };
        (0..self.states.len()).filter(is_free).collect()
    }
}
