//! What a program is told when it starts: who it is, which arrays it has, how the job is cut. docs/protocol.md has every field.

use std::ops::Range;

use super::fields::{field, length, lengths, number, one_of, text};
use super::json::{member, read};
use super::planes_told::{PlanesEntry, PlanesTold};
use super::value::{Json, object};
use crate::dtype::Dtype;
use crate::error::ManifestError;
use crate::slices::{Grid, Split};

/// What manifests are. What breaks their readers changes the number.
pub const SCHEMA: &str = "parfork-manifest/2";

/// How orders and answers go, for programs that stay; see [`line`](super::line).
pub const PROTOCOL: &str = "lines/1";

/// The same for programs that do steps.
const STEPS: &str = "steps/1";

/// What one program is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Which worker it belongs to, from 0.
    pub rank: usize,
    /// How many workers the job has.
    pub size: usize,
    /// The process that owns the arrays.
    pub coordinator: u32,
    /// Whether it is started anew for each slice, so that there are no orders.
    pub each: bool,
    /// How the first output is cut.
    pub split: Split,
    /// Where the slices of the axis that is cut end, if that was said.
    pub bounds: Vec<usize>,
    /// The shape that is cut.
    pub shape: Vec<usize>,
    /// The numbers of the slices that the schedule fixes for this worker beforehand, if it does. After a death others come.
    pub mine: Option<Range<usize>>,
    /// The arrays, inputs and outputs.
    pub arrays: Vec<Entry>,
    /// What it does steps on, if it does.
    pub planes: Option<PlanesTold>,
}

/// One array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// The descriptor that leads to its bytes.
    pub fd: u32,
    /// Which byte of the file there is the first element's first. 0, but of an input that is read where it lies.
    pub offset: usize,
    /// Whether it may be written.
    pub output: bool,
    /// The type of its elements.
    pub dtype: Dtype,
    /// The lengths of its axes.
    pub shape: Vec<usize>,
    /// Whether the first index runs fastest (Fortran), not the last (C).
    pub first_is_fastest: bool,
}

impl Entry {
    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        if self.shape.contains(&0) { 0 } else { self.shape.iter().product::<usize>() * self.dtype.size() }
    }

    /// The distance of neighbours along each axis, in bytes.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![0; self.shape.len()];
        let mut stride = self.dtype.size();
        let mut place = |axis: usize| {
            strides[axis] = stride;
            // Of an array without cells no distance matters.
            stride *= self.shape[axis].max(1);
        };
        match self.first_is_fastest {
            true => (0..self.shape.len()).for_each(&mut place),
            false => (0..self.shape.len()).rev().for_each(&mut place),
        }
        strides
    }

    fn to_json(&self) -> Json {
        object! {
            "name": self.name.as_str(),
            "fd": self.fd,
            "access": if self.output { "write" } else { "read" },
            "dtype": self.dtype.to_string(),
            "type": self.dtype.name(),
            "itemsize": self.dtype.size(),
            "shape": self.shape.iter().copied().collect::<Json>(),
            "strides": self.strides().into_iter().collect::<Json>(),
            "order": if self.first_is_fastest { "F" } else { "C" },
            "offset": self.offset,
            "bytes": self.bytes(),
        }
    }

    fn of_json(json: &Json) -> Result<Self, ManifestError> {
        let shape = lengths(json, "shape")?;
        let dtype = Dtype::from_name(text(json, "type")?)?;
        let order = text(json, "order")?;
        let access = text(json, "access")?;
        let fits =
            shape.iter().filter(|&&axis| axis != 0).try_fold(dtype.size(), |bytes, &axis| bytes.checked_mul(axis));
        if fits.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
            return Err(ManifestError::TooLarge { shape });
        }
        let entry = Self {
            name: text(json, "name")?.to_owned(),
            fd: number(json, "fd")?.try_into().map_err(|_| field("fd", "no descriptor"))?,
            offset: length(json, "offset")?,
            output: one_of(access, &["read", "write"], "access")? == 1,
            dtype,
            shape,
            first_is_fastest: one_of(order, &["C", "F"], "order")? == 1,
        };
        let end = entry.offset.checked_add(entry.bytes()).filter(|&end| isize::try_from(end).is_ok());
        let begins = end.is_some() && (entry.offset == 0 || !entry.output);
        if !begins || (lengths(json, "strides")?, number(json, "bytes")?) != (entry.strides(), entry.bytes() as u64) {
            return Err(ManifestError::Layout { name: entry.name });
        }
        Ok(entry)
    }
}

impl Manifest {
    /// As JSON, in one line.
    pub fn to_json(&self) -> String {
        let grid = self.grid();
        let (axes, count): (Json, usize) = match &self.planes {
            Some(told) => (told.axes.iter().copied().collect(), told.count),
            None => (grid.iter().flat_map(Grid::cut_axes).collect(), grid.map_or(0, |grid| grid.slices())),
        };
        let protocol = match (self.each, &self.planes) {
            (true, _) => "each/1",
            (false, None) => PROTOCOL,
            (false, Some(_)) => STEPS,
        };
        let planes = self.planes.iter().flat_map(|told| &told.arrays).map(PlanesEntry::to_json).collect::<Json>();
        let mine = self.mine.as_ref().map(|mine| [mine.start, mine.end].into_iter().collect::<Json>());
        object! {
            "schema": SCHEMA,
            "protocol": protocol,
            "rank": self.rank,
            "size": self.size,
            "coordinator": self.coordinator,
            "slices": object! {
                "split": self.split.to_string(),
                "bounds": self.bounds.iter().copied().collect::<Json>(),
                "shape": self.shape.iter().copied().collect::<Json>(),
                "axes": axes,
                "count": count,
                "mine": mine.unwrap_or(Json::Null),
            },
            "arrays": self.arrays.iter().map(Entry::to_json).collect::<Json>(),
            "planes": planes,
            "steps": self.planes.as_ref().map_or(0, |told| told.steps as usize),
        }
        .to_string()
    }

    /// Reads a manifest: any bytes end in one that is consistent, or in what is wrong.
    ///
    /// # Errors
    /// If it is none, of another version, or says what cannot be.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let json = read(bytes)?;
        let schema = text(&json, "schema")?;
        if schema != SCHEMA {
            return Err(ManifestError::Version { found: schema.to_owned(), known: SCHEMA });
        }
        let protocol = one_of(text(&json, "protocol")?, &[PROTOCOL, "each/1", STEPS], "protocol")?;
        let slices = member(&json, "slices").ok_or(field("slices", "missing"))?;
        let Some(Json::List(arrays)) = member(&json, "arrays") else { return Err(field("arrays", "no list")) };
        let manifest = Self {
            rank: length(&json, "rank")?,
            size: length(&json, "size")?,
            coordinator: number(&json, "coordinator")?.try_into().map_err(|_| field("coordinator", "no process"))?,
            each: protocol == 1,
            split: text(slices, "split")?.parse()?,
            bounds: match member(slices, "bounds") {
                None => Vec::new(),
                Some(_) => lengths(slices, "bounds")?,
            },
            shape: lengths(slices, "shape")?,
            mine: match member(slices, "mine") {
                Some(Json::Null) | None => None,
                Some(_) => match lengths(slices, "mine")?[..] {
                    [start, end] if start <= end => Some(start..end),
                    _ => return Err(field("mine", "no pair of numbers of slices")),
                },
            },
            arrays: arrays.iter().map(Entry::of_json).collect::<Result<_, _>>()?,
            planes: PlanesTold::of_json(&json, slices)?,
        };
        match (protocol, &manifest.planes) {
            (0, Some(_)) => return Err(field("planes", "nothing that slices alone are ordered of")),
            (2, None) => return Err(field("planes", "an empty list")),
            _ => {}
        }
        let Self { rank, size, .. } = manifest;
        let (count, end) = (length(slices, "count")?, manifest.mine.as_ref().map_or(0, |mine| mine.end));
        let slices = match (&manifest.planes, manifest.grid()) {
            // What of planes is cut is known to who has cut them.
            (Some(told), _) => told.count,
            (None, Some(grid)) => grid.slices(),
            (None, None) => return Err(ManifestError::Cut { shape: manifest.shape, split: manifest.split }),
        };
        if rank >= size || count != slices || end > slices {
            return Err(ManifestError::MoreThanThereIs { rank, size, count, slices, end });
        }
        Ok(manifest)
    }

    /// How the first output is cut.
    pub(super) fn grid(&self) -> Option<Grid> {
        Grid::new(self.split, &self.shape).ok()?.with_bounds(&self.bounds).ok()
    }
}

/// A name as a part of a variable's: capital letters, digits and underscores.
pub(super) fn variable(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::Rng;

    fn manifest() -> Manifest {
        let entry = |name: &str, output, shape: &[usize], dtype: &str| Entry {
            name: name.to_owned(),
            fd: 7,
            offset: if output { 0 } else { 128 },
            output,
            dtype: Dtype::from_name(dtype).unwrap(),
            shape: shape.to_vec(),
            first_is_fastest: !output,
        };
        Manifest {
            rank: 1,
            size: 3,
            coordinator: 4711,
            each: false,
            split: Split::tiles(5, 7),
            bounds: Vec::new(),
            shape: vec![10, 20],
            mine: Some(2..4),
            planes: None,
            arrays: vec![entry("A \"ü\"", false, &[10, 20, 3], "f64"), entry("C", true, &[10, 20], "u8")],
        }
    }

    /// Of rows of a plate, which ends in its outermost cells, and of a ring.
    fn steps() -> Manifest {
        let entry = |name: &str, shape: [usize; 2], padding: [usize; 2]| PlanesEntry {
            name: name.to_owned(),
            fds: [8, 9],
            dtype: Dtype::from_name("f32").unwrap(),
            shape: shape.to_vec(),
            margin: vec![1, 2],
            padding: padding.to_vec(),
        };
        let arrays = vec![entry("plate", [12, 20], [0, 0]), entry("ring", [14, 24], [1, 2])];
        let planes = PlanesTold { axes: vec![0, 1], count: 5, steps: 30, arrays };
        Manifest {
            planes: Some(planes),
            split: Split::rows().of(2),
            shape: vec![12, 20],
            arrays: Vec::new(),
            ..manifest()
        }
    }

    #[test]
    #[allow(clippy::single_range_in_vec_init, reason = "one axis is cut")]
    fn what_a_step_reads_and_writes_is_there_or_none() {
        let told = steps().planes.unwrap();
        let ranges = |plane: usize, rows, cols| told.arrays[plane].ranges(&told.axes, &[rows, cols]);
        assert_eq!(ranges(0, 1..3, 2..18), Some(vec![[0..4, 1..3], [0..20, 2..18]]));
        assert_eq!(ranges(1, 1..3, 2..18), Some(vec![[1..5, 2..4], [2..22, 4..20]]));
        assert_eq!(told.arrays[1].ranges(&[0], &[0..12]).unwrap()[1], [0..24, 2..22]);
        // Each end of each axis, and numbers beyond all.
        for (rows, cols) in [
            (0..3, 2..18),
            (1..12, 2..18),
            (1..3, 1..18),
            (1..3, 2..19),
            (Range { start: 3, end: 1 }, 2..18),
            (1..usize::MAX, 2..18),
            (usize::MAX - 1..usize::MAX, 2..18),
        ] {
            assert_eq!(ranges(0, rows.clone(), cols.clone()), None, "{rows:?} {cols:?}");
        }
        assert_eq!(told.arrays[0].ranges(&told.axes, &[1..3]), None);
    }

    #[test]
    fn manifests_are_read_as_they_are_written() {
        for manifest in [
            manifest(),
            steps(),
            Manifest { each: true, ..steps() },
            Manifest { mine: None, each: true, split: Split::rows(), ..manifest() },
            Manifest { split: Split::cols(), bounds: vec![1, 2, 3, 20], ..manifest() },
            Manifest { shape: vec![0], split: Split::rows(), mine: Some(0..0), arrays: Vec::new(), ..manifest() },
        ] {
            assert_eq!(Manifest::parse(manifest.to_json().as_bytes()), Ok(manifest));
        }
        let json: serde_json::Value = serde_json::from_str(&manifest().to_json()).unwrap();
        assert_eq!(json["slices"]["axes"], serde_json::json!([0, 1]));
        assert_eq!(
            (&json["slices"]["count"], &json["arrays"][0]["strides"]),
            (&6.into(), &serde_json::json!([8, 80, 1600]))
        );
        assert_eq!(
            (&json["arrays"][1]["strides"], &json["arrays"][1]["dtype"]),
            (&serde_json::json!([20, 1]), &"|u1".into())
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let good = manifest().to_json();
        for (from, to, why) in [
            ("manifest/2", "manifest/1", "`parfork-manifest/2` is known here"),
            ("lines/1", "lines/9", "none of lines/1, each/1, steps/1"),
            ("lines/1", "steps/1", "`planes` is an empty list"),
            ("\"rank\":1", "\"rank\":3", "more than there is"),
            ("\"count\":6", "\"count\":7", "more than there is"),
            ("\"mine\":[2,4]", "\"mine\":[4,2]", "no pair"),
            ("tiles=5x7", "tiles=0x7", "length 0"),
            ("\"bounds\":[]", "\"bounds\":[5,10]", "cannot be cut"),
            ("[10,20,3]", "[10,20,4]", "not those of its shape"),
            ("\"fd\":7", "\"fd\":-7", "`fd` is no whole number"),
            ("\"offset\":0", "\"offset\":8", "not those of its shape"),
            ("\"offset\":128", "\"offset\":9223372036854775807", "not those of its shape"),
            ("\"bytes\":200", "\"bytes\":201", "not those of its shape"),
            ("[10,20,3]", "[18446744073709551615,20,3]", "larger than memory"),
        ] {
            assert!(good.contains(from), "{from} in {good}");
            let error = Manifest::parse(good.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{to}: {error}");
        }
        let good = steps().to_json();
        for (from, to, why) in [
            ("steps/1", "lines/1", "`planes` is nothing that slices alone"),
            ("\"fds\":[8,9]", "\"fds\":[8]", "no pair of descriptors"),
            ("\"fds\":[8,9]", "\"fds\":[8,4294967296]", "no pair of descriptors"),
            ("\"margin\":[1,2]", "\"margin\":[1,11]", "planes `plate`"),
            ("\"margin\":[1,2]", "\"margin\":[1]", "planes `plate`"),
            ("\"padding\":[0,0]", "\"padding\":[0,3]", "planes `plate`"),
            ("\"axes\":[0,1]", "\"axes\":[1,0]", "planes `plate`"),
            ("\"axes\":[0,1]", "\"axes\":[0,2]", "planes `plate`"),
            ("\"steps\":30", "\"steps\":0", "planes `plate`"),
            ("\"steps\":30", "\"steps\":4294967296", "`steps` is too large"),
            ("\"shape\":[12,20],\"strides\"", "\"shape\":[12,21],\"strides\"", "not those of its shape"),
            ("\"bytes\":960", "\"bytes\":961", "not those of its shape"),
            ("\"mine\":[2,4]", "\"mine\":[2,6]", "more than there is"),
        ] {
            assert!(good.contains(from), "{from} in {good}");
            let error = Manifest::parse(good.replacen(from, to, 1).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{to}: {error}");
        }
    }

    #[test]
    fn mutated_manifests_are_read_or_refused() {
        let seeds = [manifest(), steps()].map(|manifest| manifest.to_json().into_bytes());
        let mut rng = Rng::new(7);
        let mut below = |most: usize| rng.below(most);
        for round in 0..100_000 {
            let mut bytes = seeds[round % 2].clone();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                if bytes.len() < 2 {
                    break;
                }
                match below(4) {
                    0 => bytes[at] = below(256) as u8,
                    1 => bytes[at] = b"0123456789{}[],:\"-e.null"[below(24)],
                    2 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            if let Ok(manifest) = Manifest::parse(&bytes) {
                // All that is read is consistent, so that it can be written and read again.
                assert_eq!(Manifest::parse(manifest.to_json().as_bytes()).as_ref(), Ok(&manifest));
            }
        }
    }
}
