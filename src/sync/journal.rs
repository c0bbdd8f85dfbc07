//! Which slice is free, taken or done, and each one's answer: what is left of a worker's work when it dies.

use super::words::{AtomicU8, AtomicU32, Ordering};

/// What the journal says of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SliceState {
    Free,
    /// Not to be tried again.
    Aside,
    Taken {
        rank: usize,
    },
    Done {
        rank: usize,
    },
}

/// Set in the word of a slice whose cells, as they were before the job, are in the undo copy.
const SAVED: u32 = 1 << 31;

impl SliceState {
    fn word(self) -> u32 {
        match self {
            Self::Free => 0,
            Self::Aside => 1,
            Self::Taken { rank } => rank as u32 * 2 + 2,
            Self::Done { rank } => rank as u32 * 2 + 3,
        }
    }

    fn of(word: u32) -> Self {
        match word.checked_sub(2) {
            None if word == 0 => Self::Free,
            None => Self::Aside,
            Some(word) if word % 2 == 0 => Self::Taken { rank: word as usize / 2 },
            Some(word) => Self::Done { rank: word as usize / 2 },
        }
    }

    /// What the word of a slice says.
    pub(super) fn of_shared(word: u32) -> Self {
        Self::of(word & !SAVED)
    }
}

/// The journal's words, wherever they are.
pub(super) struct Journal<'w> {
    /// | bits 0..31   | the slice is  |
    /// |--------------|---------------|
    /// | 0            | free          |
    /// | 1            | set aside     |
    /// | rank * 2 + 2 | taken by rank |
    /// | rank * 2 + 3 | done by rank  |
    ///
    /// and [`SAVED`] with any of them.
    pub(super) states: &'w [AtomicU32],
    /// Equally many bytes for each slice.
    pub(super) answers: &'w [AtomicU8],
}

impl<'w> Journal<'w> {
    pub(super) fn state(&self, slice: usize) -> SliceState {
        // Acquire: with Done comes all that its worker wrote before.
        SliceState::of_shared(self.states[slice].load(Ordering::Acquire))
    }

    pub(super) fn take(&self, rank: usize, slice: usize) {
        self.enter(slice, SliceState::Taken { rank });
    }

    /// Enters a state and leaves the mark of the undo copy. A slice has one writer at a time: its worker, or the coordinator
    /// between rounds.
    pub(super) fn enter(&self, slice: usize, state: SliceState) {
        let word = &self.states[slice];
        // Release: who reads Done sees the slice's cells and its answer.
        word.store(word.load(Ordering::Relaxed) & SAVED | state.word(), Ordering::Release);
    }

    /// Whether the slice's cells are in the undo copy.
    pub(super) fn is_saved(&self, slice: usize) -> bool {
        self.states[slice].load(Ordering::Acquire) & SAVED != 0
    }

    /// Enters that they are.
    pub(super) fn note_saved(&self, slice: usize) {
        // Release: who reads the mark sees the copy.
        self.states[slice].fetch_or(SAVED, Ordering::Release);
    }

    pub(super) fn finish(&self, rank: usize, slice: usize, answer: &[u8]) {
        for (word, &byte) in self.answer(slice).iter().zip(answer) {
            word.store(byte, Ordering::Relaxed);
        }
        self.enter(slice, SliceState::Done { rank });
    }

    fn answer(&self, slice: usize) -> &'w [AtomicU8] {
        let size = self.answers.len() / self.states.len();
        &self.answers[slice * size..][..size]
    }

    pub(super) fn read_answer(&self, slice: usize, into: &mut [u8]) {
        for (byte, word) in into.iter_mut().zip(self.answer(slice)) {
            *byte = word.load(Ordering::Relaxed);
        }
    }

    /// Makes all slices free, with no undo copy.
    pub(super) fn clear(&self) {
        self.states.iter().for_each(|state| state.store(SliceState::Free.word(), Ordering::Relaxed));
    }

    /// How many slices are done.
    pub(super) fn done(&self) -> usize {
        (0..self.states.len()).filter(|&slice| matches!(self.state(slice), SliceState::Done { .. })).count()
    }

    /// The slices that are free, ascending.
    pub(super) fn free(&self) -> Vec<usize> {
        (0..self.states.len()).filter(|&slice| self.state(slice) == SliceState::Free).collect()
    }
}
