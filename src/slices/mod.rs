//! Who gets what: how an array is cut into slices ([`Split`]), which cells a slice is ([`Region`]), and how slices are
//! given out ([`Schedule`]).
//!
//! Pure arithmetic, no memory touched. That slices are disjoint and cover the array is what every write in this crate
//! relies on; `grid.rs` argues it and its property tests check it.

mod grid;
mod margins;
mod neighbours;
mod plan;
mod runs;
mod schedule;
mod split;
mod step_order;
mod weight;

pub use grid::{Grid, Region};
pub(crate) use margins::{AxisMargin, Edge, Margins};
pub use plan::{Balance, PlannedSlice, plan};
pub(crate) use runs::Extent;
pub use schedule::{Schedule, ScheduleError};
pub use split::{Split, SplitError};
pub(crate) use step_order::{Own, StepOrder};
pub use weight::by_weight;
