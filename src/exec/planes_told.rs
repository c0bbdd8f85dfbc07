//! What a program is told of the planes that it does steps on; docs/protocol.md has every field.

use super::value::{Json, object};
use crate::dtype::Dtype;

/// What a program is told that does steps. There is no client for such in Rust, where [`Planes`](crate::Planes) are lent to a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanesTold {
    /// The axes that are cut, ascending.
    pub axes: Vec<usize>,
    /// How many slices there are.
    pub count: usize,
    /// How many steps each has.
    pub steps: u32,
    /// The planes.
    pub arrays: Vec<PlanesEntry>,
}

/// An array that is there twice, with what is beyond its edges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanesEntry {
    /// What it is called.
    pub name: String,
    /// The descriptors of both planes: in steps 0, 2, 4 and so on the first is read and the second written.
    pub fds: [u32; 2],
    /// The type of its elements.
    pub dtype: Dtype,
    /// The lengths of the axes of each plane, with what is beyond edges.
    pub shape: Vec<usize>,
    /// How many cells a slice reads beyond its own, on each side of each axis.
    pub margin: Vec<usize>,
    /// Where in a plane the array begins, on each axis.
    pub padding: Vec<usize>,
}

impl PlanesEntry {
    pub(super) fn to_json(&self) -> Json {
        let elements = |from: usize| self.shape[from..].iter().product::<usize>();
        let strides = (0..self.shape.len()).map(|axis| elements(axis + 1) * self.dtype.size());
        object! {
            "name": self.name.as_str(),
            "fds": self.fds.into_iter().collect::<Json>(),
            "dtype": self.dtype.to_string(),
            "type": self.dtype.name(),
            "itemsize": self.dtype.size(),
            "shape": self.shape.iter().copied().collect::<Json>(),
            "strides": strides.collect::<Json>(),
            "bytes": elements(0) * self.dtype.size(),
            "margin": self.margin.iter().copied().collect::<Json>(),
            "padding": self.padding.iter().copied().collect::<Json>(),
        }
    }
}
