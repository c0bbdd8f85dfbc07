//! What makes a slice's *done* believable: a number that nobody writes there by chance.
//!
//! A worker gone mad may write anything anywhere on the board: that a slice is done which nobody has worked on, another answer in
//! place of one, what stood there in the job before. So with *done* goes a keyed hash of job, slice, rank and answer, and the
//! coordinator, before it believes the one, checks the other. The key is in the memory of coordinator and workers, not on the
//! board. All workers know it: who means harm and knows where to look can seal what it likes, as it can write what it likes in the
//! slices that it is given.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes seals, and knows them.
#[derive(Debug, Default)]
pub(crate) struct Sealer {
    key: RandomState,
    /// The numbers of this job's first call and of its last, where workers stay for many jobs. In this process's memory, and of
    /// no worth in another's.
    calls: [AtomicU64; 2],
}

impl Sealer {
    /// Seals what is done from now on for this call; of a job whose first call was this one if it is the `first`.
    pub(crate) fn heed(&self, call: u64, first: bool) {
        if first {
            self.calls[0].store(call, Ordering::Relaxed);
        }
        self.calls[1].store(call, Ordering::Relaxed);
    }

    /// Of a slice that is done by a worker, with that answer.
    pub(super) fn seal(&self, slice: usize, rank: usize, answer: &[u8]) -> u64 {
        self.of(self.calls[1].load(Ordering::Relaxed), slice, rank, answer)
    }

    /// Whether a seal is one of this job.
    pub(super) fn knows(&self, seal: u64, slice: usize, rank: usize, answer: &[u8]) -> bool {
        let [first, last] = self.calls.each_ref().map(|call| call.load(Ordering::Relaxed));
        (first..=last).rev().any(|call| seal == self.of(call, slice, rank, answer))
    }

    fn of(&self, call: u64, slice: usize, rank: usize, answer: &[u8]) -> u64 {
        let mut hasher = self.key.build_hasher();
        [call, slice as u64, rank as u64].into_iter().for_each(|number| hasher.write_u64(number));
        hasher.write(answer);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_is_good_for_its_slice_worker_answer_and_job() {
        let sealer = Sealer::default();
        sealer.heed(3, true);
        let seal = sealer.seal(7, 1, b"answer");
        assert!(sealer.knows(seal, 7, 1, b"answer"));
        assert!(!sealer.knows(seal, 8, 1, b"answer"));
        assert!(!sealer.knows(seal, 7, 0, b"answer"));
        assert!(!sealer.knows(seal, 7, 1, b"Answer"));
        assert!(!sealer.knows(seal ^ 1, 7, 1, b"answer"));
        assert!(!Sealer::default().knows(seal, 7, 1, b"answer"));
        sealer.heed(4, false);
        assert!(sealer.knows(seal, 7, 1, b"answer"), "of an earlier round of the same job");
        sealer.heed(5, true);
        assert!(!sealer.knows(seal, 7, 1, b"answer"), "of another job");
    }
}
