//! Memory of arrays that were dropped, kept for the next ones: huge pages that are there need not be made.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use super::Segment;
use crate::sys::fork_stamp::{self, Stamp};

struct SegmentCache {
    /// Bytes that may be kept.
    budget: u64,
    /// The process that keeps them: its forks have the list, and not the memory.
    by: Option<Stamp>,
    /// The oldest first.
    segments: Vec<Segment>,
}

static KEPT: Mutex<SegmentCache> = Mutex::new(SegmentCache { budget: 0, by: None, segments: Vec::new() });

/// What this process keeps. Nothing in a worker, nor while another thread looks: a worker forked just then would wait for ever.
fn kept() -> Option<MutexGuard<'static, SegmentCache>> {
    KEPT.try_lock().ok().filter(|kept| kept.budget > 0 && kept.by.is_some_and(Stamp::is_current))
}

/// From now on keeps up to `budget` bytes of memory of arrays that are dropped, for new ones of the same length in bytes; 0, as
/// it is at first, gives all of it back.
///
/// To get a gigabyte from the kernel takes 70 ms, to clear one that is there 30, and to use it as it is nothing
/// ([`Shared::empty`](crate::Shared::empty)). What is kept is given back when there is no room for a new array otherwise.
///
/// ```
/// use parfork::Shared;
/// parfork::set_segment_cache(1 << 30);
/// for step in 0..10 {
///     let mut scratch = Shared::<f32, _>::empty((1024, 1024))?;
///     scratch.view_mut().fill(step as f32);
/// }
/// parfork::set_segment_cache(0);
/// # Ok::<(), parfork::Error>(())
/// ```
pub fn set_segment_cache(budget: u64) {
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    (kept.budget, kept.by) = (budget, Some(fork_stamp::current()));
    // What the process that this one was forked from keeps is of no use here.
    kept.segments.retain(Segment::is_here);
    let dropped = shrink(&mut kept);
    drop(kept);
    drop(dropped);
}

/// Takes out what is more than the budget. To be dropped without the lock.
fn shrink(kept: &mut SegmentCache) -> Vec<Segment> {
    let mut bytes: u64 = kept.segments.iter().map(|segment| segment.len() as u64).sum();
    let more_than = |segment: &&Segment| {
        let more = bytes > kept.budget;
        bytes -= if more { segment.len() as u64 } else { 0 };
        more
    };
    let count = kept.segments.iter().take_while(more_than).count();
    kept.segments.drain(..count).collect()
}

/// One of so many bytes, whatever they are.
pub(super) fn take(len: usize) -> Option<Segment> {
    let mut kept = kept()?;
    let at = kept.segments.iter().rposition(|segment| segment.len() == len)?;
    Some(kept.segments.remove(at))
}

/// Gives all back; whether there was anything.
pub(super) fn release() -> bool {
    let segments = kept().map(|mut kept| std::mem::take(&mut kept.segments));
    segments.is_some_and(|segments| !segments.is_empty())
}

/// A segment that is kept when it is dropped, if there is budget for it.
#[derive(Debug)]
pub(super) struct CachedSegment(Option<Segment>);

impl CachedSegment {
    pub(super) fn new(segment: Segment) -> Self {
        Self(Some(segment))
    }
}

impl Deref for CachedSegment {
    type Target = Segment;

    fn deref(&self) -> &Segment {
        let Some(segment) = &self.0 else { unreachable!("taken out by drop alone") };
        segment
    }
}

impl DerefMut for CachedSegment {
    fn deref_mut(&mut self) -> &mut Segment {
        let Some(segment) = &mut self.0 else { unreachable!("taken out by drop alone") };
        segment
    }
}

impl Drop for CachedSegment {
    fn drop(&mut self) {
        let Some(segment) = self.0.take() else { return };
        // One that nobody may write is of no use to whoever comes next, and one that forks have is not its own.
        let is_of_use = segment.is_here() && !segment.backing().is_sealed() && !segment.is_shared_with_forks();
        let Some(mut kept) = kept().filter(|_| is_of_use) else { return };
        kept.segments.push(segment);
        let dropped = shrink(&mut kept);
        drop(kept);
        drop(dropped);
    }
}
