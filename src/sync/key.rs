//! The key of a job's tags: by chance, another for each job, and in the private memory of coordinator and workers alone.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::tag;

/// The keys of a control page.
#[derive(Debug)]
pub(crate) struct Keys {
    /// By chance, of this page.
    nonce: u64,
    /// The key of the job that this process has part in. Atomic for the sake of threads, and never in shared memory.
    key: AtomicU64,
}

impl Default for Keys {
    fn default() -> Self {
        // Keyed by chance, as hash maps are.
        Self::with(RandomState::new().build_hasher().finish())
    }
}

/// A job of a crew as its tags know it: the number of its first call, and the tag of what was told then. Who works by anything
/// else that was once told finds no word of this job to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobTag {
    pub(crate) call: u64,
    pub(crate) tag: u64,
}

impl Keys {
    /// Those that have this [`nonce`](Self::nonce).
    pub(crate) fn with(nonce: u64) -> Self {
        Self { nonce, key: AtomicU64::new(tag::mix(nonce)) }
    }

    /// The number that all of them are made of, for a process that is to have the same and is no fork of this one.
    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Has the key of this job from now on.
    pub(crate) fn set_job(&self, job: JobTag) {
        self.key.store(tag::hash([self.nonce, job.call, job.tag].into_iter()), Ordering::Relaxed);
    }

    /// The key of the job.
    pub(crate) fn key(&self) -> u64 {
        self.key.load(Ordering::Relaxed)
    }

    /// The tag of what is told from call number `version` on.
    pub(crate) fn tag_of(&self, version: u64, words: impl Iterator<Item = u64>) -> u64 {
        tag::hash([self.nonce, version].into_iter().chain(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_and_every_job_has_a_key_of_its_own() {
        let (keys, others) = (Keys::default(), Keys::default());
        let of = |keys: &Keys, call, tag| {
            keys.set_job(JobTag { call, tag });
            keys.key()
        };
        let right = of(&keys, 3, 4);
        assert_ne!(right, of(&others, 3, 4));
        assert_ne!(right, of(&keys, 4, 4));
        assert_ne!(right, of(&keys, 3, 5));
        assert_eq!(right, of(&keys, 3, 4));
        assert_ne!(keys.tag_of(1, [1, 2].into_iter()), others.tag_of(1, [1, 2].into_iter()));
    }
}
