//! What a program is told of the planes that it does steps on; docs/protocol.md has every field.

use std::ops::Range;

use super::fields::{field, length, lengths, number, text};
use super::json::member;
use super::value::{Json, object};
use crate::dtype::Dtype;
use crate::error::ManifestError;

/// What a program is told that does steps.
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

impl PlanesTold {
    /// What a manifest says of planes, and what its `slices` say; `None` if there are none.
    pub(super) fn of_json(json: &Json, slices: &Json) -> Result<Option<Self>, ManifestError> {
        let planes = match member(json, "planes") {
            Some(Json::List(planes)) if !planes.is_empty() => planes,
            None | Some(Json::List(_)) => return Ok(None),
            Some(_) => return Err(field("planes", "no list")),
        };
        let told = Self {
            axes: lengths(slices, "axes")?,
            count: length(slices, "count")?,
            steps: number(json, "steps")?.try_into().map_err(|_| field("steps", "too large"))?,
            arrays: planes.iter().map(PlanesEntry::of_json).collect::<Result<_, _>>()?,
        };
        let ascend = told.axes.is_sorted_by(|one, other| one < other);
        let is_there = |entry: &&PlanesEntry| told.axes.last().is_none_or(|&last| last < entry.shape.len());
        match told.arrays.iter().find(|entry| !ascend || told.steps == 0 || !is_there(entry)) {
            None => Ok(Some(told)),
            Some(entry) => Err(entry.refused()),
        }
    }
}

impl PlanesEntry {
    /// What a step reads and what it writes of a plane, along each axis, of a slice that is so much of the axes that are cut; `None` if
    /// there are no such cells.
    pub(super) fn ranges(&self, axes: &[usize], cells: &[Range<usize>]) -> Option<Vec<[Range<usize>; 2]>> {
        let one = |(axis, &length): (usize, &usize)| {
            let (margin, padding) = (self.margin[axis], self.padding[axis]);
            let last = length.checked_sub(margin)?;
            let written = match axes.iter().position(|&cut| cut == axis) {
                Some(at) => cells.get(at)?.start.checked_add(padding)?..cells.get(at)?.end.checked_add(padding)?,
                None => margin..last,
            };
            let is_there = margin <= written.start && written.start <= written.end && written.end <= last;
            is_there.then(|| [written.start - margin..written.end + margin, written])
        };
        self.shape.iter().enumerate().map(one).collect()
    }

    fn strides(&self) -> Vec<usize> {
        let elements = |from: usize| self.shape[from..].iter().product::<usize>();
        (0..self.shape.len()).map(|axis| elements(axis + 1) * self.dtype.size()).collect()
    }

    pub(super) fn of_json(json: &Json) -> Result<Self, ManifestError> {
        let dtype = Dtype::from_name(text(json, "type")?)?;
        let [shape, margin, padding] = ["shape", "margin", "padding"].map(|name| lengths(json, name));
        let (shape, margin, padding) = (shape?, margin?, padding?);
        let bytes = shape.iter().try_fold(dtype.size(), |bytes, &axis| bytes.checked_mul(axis));
        let Some(bytes) = bytes.filter(|&bytes| isize::try_from(bytes).is_ok() && !shape.contains(&0)) else {
            return Err(ManifestError::TooLarge { shape });
        };
        let fds: Vec<u32> = lengths(json, "fds")?.into_iter().filter_map(|fd| fd.try_into().ok()).collect();
        let fds = fds.try_into().map_err(|_| field("fds", "no pair of descriptors"))?;
        let entry = Self { name: text(json, "name")?.to_owned(), fds, dtype, shape, margin, padding };
        let axes = entry.shape.len();
        let fits = entry.margin.len() == axes
            && entry.padding.len() == axes
            && entry.margin.iter().zip(&entry.shape).all(|(&margin, &length)| margin <= length / 2)
            && entry.padding.iter().zip(&entry.margin).all(|(padding, margin)| padding <= margin);
        if !fits {
            return Err(entry.refused());
        }
        if (lengths(json, "strides")?, length(json, "bytes")?) != (entry.strides(), bytes) {
            return Err(ManifestError::Layout { name: entry.name });
        }
        Ok(entry)
    }

    fn refused(&self) -> ManifestError {
        let Self { name, shape, margin, padding, .. } = self.clone();
        ManifestError::Planes { name, shape, margin, padding }
    }

    pub(super) fn to_json(&self) -> Json {
        object! {
            "name": self.name.as_str(),
            "fds": self.fds.into_iter().collect::<Json>(),
            "dtype": self.dtype.to_string(),
            "type": self.dtype.name(),
            "itemsize": self.dtype.size(),
            "shape": self.shape.iter().copied().collect::<Json>(),
            "strides": self.strides().into_iter().collect::<Json>(),
            "bytes": self.shape.iter().product::<usize>() * self.dtype.size(),
            "margin": self.margin.iter().copied().collect::<Json>(),
            "padding": self.padding.iter().copied().collect::<Json>(),
        }
    }
}
