//! What workers of the fork server wait for before they attach anything: that the coordinator holds them.
//!
//! Only for whom it holds can the coordinator wait. The fork server may die when it has forked a worker and nobody has heard of that
//! one; so none has anything to do with arrays before the coordinator has said that it has hold of all.

use super::atomic::{AtomicU32, Ordering, futex};

/// The order to leave. Others are fewer: two for each round.
pub(crate) const CLOSE: u32 = u32::MAX;

/// Gives the fork server, or its workers, the next order.
pub(crate) fn tell(ordered: &AtomicU32, order: u32) {
    ordered.store(order, Ordering::Release);
    futex::wake_all(ordered);
}

/// In a worker that was made by this `order`: waits for the next one, which says that it is held. False if another one came: the
/// coordinator has given up those that it does not hold.
pub(crate) fn wait_until_held(ordered: &AtomicU32, order: u32) -> bool {
    loop {
        match ordered.load(Ordering::Acquire) {
            same if same == order => futex::wait(ordered, order, None),
            other => return other == order.wrapping_add(1),
        }
    }
}
