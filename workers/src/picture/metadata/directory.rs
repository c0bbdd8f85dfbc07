//! Directories of tags, which TIFF files and EXIF are made of.

use std::cell::Cell;

/// In which order the bytes of a number stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::picture) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// This machine's.
    pub(in crate::picture) const NATIVE: Self = if cfg!(target_endian = "little") { Self::Little } else { Self::Big };

    /// What the first bytes of a TIFF, or of EXIF, say.
    pub(in crate::picture) fn of(head: &[u8]) -> Option<Self> {
        match head.get(..4)? {
            b"II*\0" => Some(Self::Little),
            b"MM\0*" => Some(Self::Big),
            _ => None,
        }
    }

    /// What says so, and that the first directory follows.
    pub(in crate::picture) fn head(self) -> Vec<u8> {
        let name: &[u8] = if self == Self::Little { b"II*\0" } else { b"MM\0*" };
        [name, &self.bytes(HEADER)].concat()
    }

    pub(super) fn short(self, bytes: [u8; 2]) -> u16 {
        if self == Self::Little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    pub(super) fn long(self, bytes: [u8; 4]) -> u32 {
        if self == Self::Little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    pub(super) fn bytes_of_short(self, number: u16) -> [u8; 2] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    pub(super) fn bytes(self, number: u32) -> [u8; 4] {
        if self == Self::Little { number.to_le_bytes() } else { number.to_be_bytes() }
    }
}

/// Bytes before the first directory.
pub(in crate::picture) const HEADER: u32 = 8;

const SHORT: u16 = 3;
const LONG: u16 = 4;

/// The directory of what a camera was set to, within the first; of where it was; and of nobody knows what, within the former.
pub(super) const CAMERA: u16 = 0x8769;
const PLACE: u16 = 0x8825;
const INTEROPERABILITY: u16 = 0xA005;

/// No directory has more entries, and no entry is longer.
const MOST_ENTRIES: u16 = 1024;
const LONGEST: usize = 1 << 24;

/// A tag, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::picture) struct Entry {
    pub(in crate::picture) tag: u16,
    kind: u16,
    count: u32,
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Bytes(Vec<u8>),
    Directory(Vec<Entry>),
}

impl Entry {
    /// Numbers of 16 bits.
    pub(in crate::picture) fn shorts(tag: u16, numbers: &[u16], order: ByteOrder) -> Self {
        let bytes = numbers.iter().flat_map(|number| order.bytes_of_short(*number)).collect();
        Self { tag, kind: SHORT, count: numbers.len() as u32, value: Value::Bytes(bytes) }
    }

    /// A number of 32 bits.
    pub(in crate::picture) fn long(tag: u16, number: u32, order: ByteOrder) -> Self {
        Self { tag, kind: LONG, count: 1, value: Value::Bytes(order.bytes(number).to_vec()) }
    }

    /// Bytes of a kind of which one is a byte.
    pub(in crate::picture) fn bytes(tag: u16, kind: u16, bytes: Vec<u8>) -> Self {
        Self { tag, kind, count: bytes.len() as u32, value: Value::Bytes(bytes) }
    }

    /// Its bytes, unless it is a directory.
    pub(in crate::picture) fn into_bytes(self) -> Vec<u8> {
        match self.value {
            Value::Bytes(bytes) => bytes,
            Value::Directory(_) => Vec::new(),
        }
    }
}

/// In which order the bytes of a file stand, and where its first directory is.
pub(in crate::picture) fn first(file: &ReadAt<'_>) -> Option<(ByteOrder, u32)> {
    let head = file(0, HEADER as usize)?;
    let order = ByteOrder::of(&head)?;
    Some((order, order.long(head[4..].try_into().ok()?)))
}

/// Bytes of a file: so many from a place on.
pub(in crate::picture) type ReadAt<'r> = dyn Fn(u64, usize) -> Option<Vec<u8>> + 'r;

/// As `file`, until so many bytes were read.
pub(in crate::picture) fn bounded<'r>(
    most: usize,
    file: &'r ReadAt<'r>,
) -> impl Fn(u64, usize) -> Option<Vec<u8>> + 'r {
    let left = Cell::new(most);
    move |at, length| {
        left.set(left.get().checked_sub(length)?);
        file(at, length)
    }
}

/// The entries of a directory whose tags are wanted, and all of those within; what cannot be read is left out. Numbers are
/// turned from one order of bytes into another.
pub(in crate::picture) fn read(
    file: &ReadAt<'_>,
    [from, to]: [ByteOrder; 2],
    at: u32,
    wanted: &dyn Fn(u16) -> bool,
) -> Vec<Entry> {
    let two = |bytes: &[u8]| bytes.try_into().map_or(0, |bytes| from.short(bytes));
    let four = |bytes: &[u8]| bytes.try_into().map_or(0, |bytes| from.long(bytes));
    let count = file(at.into(), 2).map_or(0, |bytes| two(&bytes)).min(MOST_ENTRIES);
    let table = file(u64::from(at) + 2, 12 * usize::from(count)).unwrap_or_default();
    let entry = |bytes: &[u8]| {
        let (tag, kind, count) = (two(&bytes[..2]), two(&bytes[2..4]), four(&bytes[4..8]));
        if let (CAMERA | PLACE | INTEROPERABILITY, true) = (tag, count == 1) {
            // There is one in the first, and one in that, whatever they say.
            let deeper =
                |within: u16| within != CAMERA && within != PLACE && (tag == CAMERA || within != INTEROPERABILITY);
            let entries = read(file, [from, to], four(&bytes[8..]), &deeper);
            return (!entries.is_empty()).then_some(Entry { tag, kind: LONG, count, value: Value::Directory(entries) });
        }
        let (width, swapped) = match kind {
            1 | 2 | 6 | 7 => (1, 1),
            3 | 8 => (2, 2),
            4 | 9 | 11 => (4, 4),
            5 | 10 => (8, 4),
            12 => (8, 8),
            _ => return None,
        };
        let length = usize::try_from(count).ok()?.checked_mul(width).filter(|length| *length <= LONGEST)?;
        let mut value = match length {
            0..=4 => bytes[8..8 + length].to_vec(),
            _ => file(four(&bytes[8..]).into(), length)?,
        };
        if from != to {
            value.chunks_exact_mut(swapped).for_each(<[u8]>::reverse);
        }
        Some(Entry { tag, kind, count, value: Value::Bytes(value) })
    };
    table.chunks_exact(12).filter(|bytes| wanted(two(&bytes[..2]))).filter_map(entry).collect()
}

/// A directory that is to stand at a place, an even one, with all that belongs to it behind.
pub(in crate::picture) fn written(entries: &[Entry], order: ByteOrder, at: u32) -> Vec<u8> {
    let behind = at + 2 + 12 * entries.len() as u32 + 4;
    let (mut table, mut values) = (order.bytes_of_short(entries.len() as u16).to_vec(), Vec::new());
    for Entry { tag, kind, count, value } in entries {
        let place = behind + values.len() as u32;
        table.extend(order.bytes_of_short(*tag));
        table.extend(order.bytes_of_short(*kind));
        table.extend(order.bytes(*count));
        match value {
            Value::Bytes(bytes) if bytes.len() <= 4 => table.extend((0..4).map(|at| bytes.get(at).unwrap_or(&0))),
            Value::Bytes(bytes) => {
                table.extend(order.bytes(place));
                values.extend(bytes);
            }
            Value::Directory(entries) => {
                table.extend(order.bytes(place));
                values.extend(written(entries, order, place));
            }
        }
        values.resize(values.len().next_multiple_of(2), 0);
    }
    // No further directory.
    table.extend([0; 4]);
    table.extend(values);
    table
}
