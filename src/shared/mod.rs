//! Shared memory and the arrays on it: who may touch which byte when.
//!
//! A [`Segment`] is a run of bytes that processes share; [`Shared`] is a typed n-d array that owns one.
//! In the coordinator an array is borrowed like any other: many readers or one writer. A worker gets at the bytes only
//! by attaching what it was lent, at an address of its own; the coordinator's address is empty there. Unsafe is opened
//! in `array.rs`, `backing.rs` and `segment.rs`, nowhere else in this room.

mod array;
mod attached;
mod backing;
mod element;
mod lengths;
#[cfg(feature = "npy")]
mod mapped;
#[cfg(feature = "named")]
pub mod named;
mod page_fault;
mod segment;
mod segment_cache;

pub(crate) use array::raw_view;
pub use array::{Order, Shared};
pub(crate) use attached::Attached;
pub(crate) use backing::{Backing, SegmentHandle, give_back_at_once, retain_live, scratch};
pub use element::Element;
pub(crate) use element::is_element;
pub(crate) use lengths::byte_length;
#[cfg(feature = "npy")]
pub use mapped::Mapped;
pub(crate) use page_fault::page_fault_cost;
pub(crate) use segment::{CONTROL_PAGE, Segment, ShmSafe};
pub use segment_cache::set_segment_cache;
