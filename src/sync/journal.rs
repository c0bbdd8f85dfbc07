//! Which slice is free, taken or done, and each one's answer: what is left of a worker's work when it dies.

use super::words::{AtomicU8, AtomicU32, Ordering};

/// What the journal says of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SliceState {
    Free,
    Taken { rank: usize },
    Done { rank: usize },
}

impl SliceState {
    fn word(self) -> u32 {
        match self {
            Self::Free => 0,
            Self::Taken { rank } => rank as u32 * 2 + 2,
            Self::Done { rank } => rank as u32 * 2 + 3,
        }
    }

    fn of(word: u32) -> Self {
        match word.checked_sub(2) {
            None => Self::Free,
            Some(word) if word % 2 == 0 => Self::Taken { rank: word as usize / 2 },
            Some(word) => Self::Done { rank: word as usize / 2 },
        }
    }
}

/// The journal's words, wherever they are.
pub(super) struct Journal<'w> {
    /// | value        | the slice is  |
    /// |--------------|---------------|
    /// | 0            | free          |
    /// | rank * 2 + 2 | taken by rank |
    /// | rank * 2 + 3 | done by rank  |
    pub(super) states: &'w [AtomicU32],
    /// Equally many bytes for each slice.
    pub(super) answers: &'w [AtomicU8],
}

impl<'w> Journal<'w> {
    pub(super) fn state(&self, slice: usize) -> SliceState {
        // Acquire: with Done comes all that its worker wrote before.
        SliceState::of(self.states[slice].load(Ordering::Acquire))
    }

    pub(super) fn take(&self, rank: usize, slice: usize) {
        self.states[slice].store(SliceState::Taken { rank }.word(), Ordering::Relaxed);
    }

    pub(super) fn finish(&self, rank: usize, slice: usize, answer: &[u8]) {
        for (word, &byte) in self.answer(slice).iter().zip(answer) {
            word.store(byte, Ordering::Relaxed);
        }
        // Release: who reads Done sees the slice's cells and its answer.
        self.states[slice].store(SliceState::Done { rank }.word(), Ordering::Release);
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

    /// The slices that it does not call done, ascending.
    pub(super) fn not_done(&self) -> Vec<usize> {
        (0..self.states.len()).filter(|&slice| !matches!(self.state(slice), SliceState::Done { .. })).collect()
    }
}
