//! A control page as it is told to a process that is no fork of the one that made it.

use std::time::{Duration, Instant};

use super::ControlPage;
use super::key::Keys;
use crate::error::Result;
use crate::shared::{Segment, SegmentHandle};
use crate::sys::futex;

/// What such a process needs to know to open it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageHandle {
    segment: SegmentHandle,
    /// Of its keys.
    nonce: u64,
    slots: usize,
    /// When its clock began, by CLOCK_MONOTONIC, in nanoseconds.
    epoch: u64,
}

impl PageHandle {
    /// How many words it is.
    pub(crate) const WORDS: usize = SegmentHandle::WORDS + 3;

    pub(crate) fn words(self) -> [u64; Self::WORDS] {
        let [number, fd, at, len, inode] = self.segment.words();
        [number, fd, at, len, inode, self.nonce, self.slots as u64, self.epoch]
    }

    pub(crate) fn of_words(words: [u64; Self::WORDS]) -> Self {
        let [number, fd, at, len, inode, nonce, slots, epoch] = words;
        let segment = SegmentHandle::of_words([number, fd, at, len, inode]);
        Self { segment, nonce, slots: slots as usize, epoch }
    }
}

impl ControlPage {
    /// How this one is told, which is [for many](Self::for_many) jobs.
    ///
    /// # Errors
    /// If the system does not say which file it is.
    pub(crate) fn told(&self) -> Result<PageHandle> {
        let epoch = futex::monotonic().saturating_sub(self.clock()).as_nanos() as u64;
        let (segment, nonce) = (self.segment().backing().told()?, self.keys().nonce());
        Ok(PageHandle { segment, nonce, slots: self.layout().workers, epoch })
    }

    /// The one that process `owner` has told of.
    ///
    /// # Errors
    /// If it is not there, or something else is.
    pub(crate) fn open(told: &PageHandle, owner: u32) -> Result<Self> {
        let segment = Segment::open_control_page(&told.segment, owner)?;
        let age = futex::monotonic().saturating_sub(Duration::from_nanos(told.epoch));
        let epoch = Instant::now().checked_sub(age).unwrap_or_else(Instant::now);
        Self::of_segment(segment, Keys::with(told.nonce), told.slots, epoch)
    }
}
