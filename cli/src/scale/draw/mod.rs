//! Drawings of lines, areas, dots and words, as SVG; and what plots are made of: axes, frames, legends.

mod axis;
mod canvas;
mod colour;
mod frame;
mod svg;

pub use axis::Axis;
pub use canvas::{Align, Canvas, Mark, Shape};
pub use colour::{Colour, style};
pub use frame::{Entry, Frame, Sample, WORDS};
pub use svg::escape;
