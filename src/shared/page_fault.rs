//! What the first touch of a page of a segment costs whoever has it mapped anew, as every worker has.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::Backing;
use crate::sys::memory::{Access, MapMode};
use crate::sys::page::page_size;
use crate::sys::usage::{Usage, UsageOf};

/// How many pages to touch: enough for a median, and some 20 us.
const TOUCHES: usize = 16;

/// Maps a segment once more, touches some pages of it, and unmaps it: the time that a page fault takes there with this access;
/// `None` if there was none. No byte changes.
pub(crate) fn page_fault_cost(backing: &Backing, access: Access) -> Option<Duration> {
    let keeping = if access == Access::Write { MapMode::SharedToWrite } else { MapMode::SharedToRead };
    let mapped = backing.attach(keeping).ok()?;
    // Further apart than what the kernel maps around a fault, where there is room for that.
    let stride = (backing.len() / TOUCHES).max(page_size());
    let before = Usage::now(UsageOf::Thread).minor_faults;
    let mut times: Vec<Duration> = (0..backing.len())
        .step_by(stride)
        .take(TOUCHES)
        .map(|at| {
            // SAFETY: inside of the mapping, which is as long as the segment.
            let byte = unsafe { mapped.base().add(at) }.cast::<AtomicU8>();
            // SAFETY: mapped until the end of this function, and any bits are a value. The job is over: no other process or
            // thread writes there.
            let byte = unsafe { byte.as_ref() };
            let began = Instant::now();
            std::hint::black_box(match access {
                Access::Read => byte.load(Ordering::Relaxed),
                // A zero that the compiler does not know of: it would make a read of this, and of that nothing.
                Access::Write => byte.fetch_add(std::hint::black_box(0), Ordering::Relaxed),
            });
            began.elapsed()
        })
        .collect();
    let faults = Usage::now(UsageOf::Thread).minor_faults.saturating_sub(before) as usize;
    // Those that took longest were the faults.
    times.sort_by(|one, other| other.cmp(one));
    times.truncate(faults);
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Segment;

    #[test]
    fn touching_costs_something_and_changes_nothing() {
        let segment = Segment::for_data(1 << 20, || "a test".to_owned()).unwrap();
        for access in [Access::Read, Access::Write] {
            let cost = page_fault_cost(segment.backing(), access).expect("pages that nobody has touched here");
            assert!(!cost.is_zero());
        }
        // SAFETY: mapped as long as the segment, and nobody else's.
        let bytes = unsafe { std::slice::from_raw_parts(segment.base().as_ptr(), segment.len()) };
        assert!(bytes.iter().all(|&byte| byte == 0));
    }
}
