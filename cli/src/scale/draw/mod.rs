//! Drawings of lines, areas, dots and words, as SVG; and what plots are made of: axes, frames, legends.

mod axis;
mod frame;
mod ink;
mod sheet;
mod svg;

pub use axis::Axis;
pub use frame::{Entry, Frame, Sample, WORDS};
pub use ink::{Ink, style};
pub use sheet::{Align, Mark, Shape, Sheet};
pub use svg::escape;
