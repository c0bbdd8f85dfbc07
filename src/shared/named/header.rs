//! What a named segment says of itself in its first bytes, and whether that can be true.
//!
//! A function of bytes and the length of the file: nothing here opens, maps or allocates by what it reads. Whoever attaches
//! copies the header once, and believes the copy alone. docs/segments.md has the layout for other languages.

use std::fmt::{self, Display};

use crate::dtype::Dtype;
use crate::shared::{Order, byte_length, is_element};

/// Bytes that do not change as long as the segment lives; the words that do follow.
pub(crate) const HEADER: usize = 1024;

/// The last four hold the checksum of all before.
const CHECKED: usize = HEADER - 4;

/// No text, no number of another format, and not UTF-8.
const MAGIC: [u8; 8] = *b"\x93PARFORK";

/// As a machine writes it; another reads 0x04030201.
const BYTE_ORDER: u32 = 0x0102_0304;

/// Of this layout.
const VERSION: u32 = 1;

/// Axes that there is room for.
pub(crate) const MOST_AXES: usize = 32;

/// The payload begins on a page, and on one of 2 MiB if it is as long; holes in the file take no memory.
const PAGE: u64 = 4096;
const SMALL: u64 = 64 << 10;
const HUGE: u64 = 2 << 20;

/// Flags.
const KEPT: u32 = 1;

/// No group.
const NOBODY: u32 = u32::MAX;

// Where the fields are.
const AT_BYTE_ORDER: usize = 8;
const AT_VERSION: usize = 12;
const AT_LENGTH: usize = 16;
const AT_FLAGS: usize = 20;
const AT_DATA: usize = 24;
const AT_BYTES: usize = 32;
const AT_DTYPE: usize = 40;
const AT_ELEMENT: usize = 48;
const AT_AXES: usize = 52;
const AT_CREATED: usize = 56;
const AT_UID: usize = 64;
const AT_GROUP: usize = 68;
const AT_PID: usize = 72;
const AT_START: usize = 80;
const AT_BOOT: usize = 88;
const AT_PID_SPACE: usize = 104;
const AT_TIME_SPACE: usize = 112;
const AT_SHAPE: usize = 128;
const AT_STRIDES: usize = AT_SHAPE + 8 * MOST_AXES;

/// Runs that mean nothing yet, and are zero.
const UNUSED: [std::ops::Range<usize>; 3] = [76..80, 120..AT_SHAPE, AT_STRIDES + 8 * MOST_AXES..CHECKED];

/// A header, checked: the payload is inside of the file, and what it says agrees with itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether it stays when its creator ends.
    pub(crate) kept: bool,
    /// Where the payload begins, and its length in bytes.
    pub(crate) data_at: u64,
    pub(crate) bytes: u64,
    /// In the byte order of this machine.
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) order: Order,
    pub(crate) owner: Owner,
    /// The group that it is shared with.
    pub(crate) group: Option<u32>,
    /// Seconds since 1970.
    pub(crate) created: u64,
}

/// Which process made a segment: enough to know later whether it is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Its user.
    pub uid: u32,
    /// Its number, which another process may have by now.
    pub pid: u32,
    /// When it was started, in ticks since the machine was (field 22 of proc_pid_stat(5)).
    pub start: u64,
    /// Since when the machine has been running (/proc/sys/kernel/random/boot_id).
    pub boot: [u8; 16],
    /// In which namespace its number is its own (the inode of /proc/self/ns/pid).
    pub pid_space: u64,
    /// In which namespace its time of start was counted (the inode of /proc/self/ns/time; 0 if the kernel has none).
    pub time_space: u64,
}

/// What is wrong with a header, in half a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderError(String);

impl Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn flaw<T>(what: impl Into<String>) -> Result<T, HeaderError> {
    Err(HeaderError(what.into()))
}

impl Header {
    /// The header of a new segment; `None` if the shape has too many axes. The lengths were found possible before.
    pub(crate) fn new(dtype: Dtype, shape: &[usize], order: Order, owner: Owner) -> Option<Self> {
        let bytes = byte_length(shape, dtype.size()).ok()? as u64;
        let data_at = if bytes < HUGE { SMALL } else { HUGE };
        let (shape, order) = (shape.to_vec(), only_order(shape, order));
        let new = Self { kept: false, data_at, bytes, dtype, shape, order, owner, group: None, created: 0 };
        (new.shape.len() <= MOST_AXES).then_some(new)
    }

    /// How long the file has to be: the payload is one byte at least, for nothing cannot be mapped.
    pub(crate) fn file_len(&self) -> u64 {
        self.data_at + self.bytes.max(1)
    }

    /// Reads the first bytes of a file of this length.
    pub(crate) fn parse(bytes: &[u8], file_len: u64) -> Result<Self, HeaderError> {
        if !bytes.starts_with(&MAGIC) {
            let begin = bytes[..bytes.len().min(MAGIC.len())].escape_ascii();
            return flaw(format!("it begins with \"{begin}\" instead of \"{}\"", MAGIC.escape_ascii()));
        }
        let Some(bytes) = bytes.get(..HEADER) else {
            return flaw(format!("it ends after {} bytes, within its header of {HEADER}", bytes.len()));
        };
        let fields = Fields(bytes);
        match fields.word(AT_BYTE_ORDER) {
            BYTE_ORDER => {}
            other if other == BYTE_ORDER.swap_bytes() => {
                return flaw("it was written by a machine with the other byte order");
            }
            other => return flaw(format!("its mark of byte order is {other:#010x}, which is none")),
        }
        match (fields.word(AT_VERSION), fields.word(AT_LENGTH)) {
            (VERSION, length) if length as usize == HEADER => {}
            (VERSION, length) => return flaw(format!("its header claims {length} bytes where version 1 has {HEADER}")),
            (version, _) => {
                return flaw(format!("it has version {version} of the layout, and {VERSION} is known here"));
            }
        }
        let (sum, noted) = (crc32fast::hash(&bytes[..CHECKED]), fields.word(CHECKED));
        if sum != noted {
            return flaw(format!("its header's checksum is {sum:#010x} where {noted:#010x} is noted"));
        }
        if UNUSED.into_iter().any(|unused| bytes[unused].iter().any(|&byte| byte != 0)) {
            return flaw("bytes of its header that mean nothing in this version are not zero");
        }
        let flags = fields.word(AT_FLAGS);
        if flags & !KEPT != 0 {
            return flaw(format!("its flags are {flags:#x}, of which this version knows only {KEPT:#x}"));
        }
        let dtype = dtype(fields.bytes(AT_DTYPE))?;
        let element = dtype.size();
        if fields.word(AT_ELEMENT) as usize != element {
            let noted = fields.word(AT_ELEMENT);
            return flaw(format!("its elements are {dtype}, which takes {element} bytes and not {noted}"));
        }
        let (shape, order) = lie(&fields, element)?;
        let length =
            byte_length(&shape, element).map_err(|_| HeaderError(format!("its shape {shape:?} overflows")))? as u64;
        let (data_at, noted) = (fields.long(AT_DATA), fields.long(AT_BYTES));
        if noted != length {
            return flaw(format!("its shape {shape:?} of {dtype} takes {length} bytes and not {noted}"));
        }
        if data_at < PAGE || data_at % PAGE != 0 {
            return flaw(format!("its payload would begin at {data_at}, which is not at a page after the header"));
        }
        // The last byte that is mapped has to exist.
        if data_at.checked_add(length.max(1)).is_none_or(|end| end > file_len) {
            return flaw(format!(
                "its shape {shape:?} of {dtype} takes {length} bytes from {data_at} on, and the file is {file_len} long"
            ));
        }
        let group = Some(fields.word(AT_GROUP)).filter(|&group| group != NOBODY);
        let (kept, created) = (flags & KEPT != 0, fields.long(AT_CREATED));
        Ok(Self { kept, data_at, bytes: length, dtype, shape, order, owner: fields.owner(), group, created })
    }

    /// As [`parse`](Self::parse) reads it.
    pub(crate) fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &MAGIC);
        let words = [
            (AT_BYTE_ORDER, BYTE_ORDER),
            (AT_VERSION, VERSION),
            (AT_LENGTH, HEADER as u32),
            (AT_FLAGS, if self.kept { KEPT } else { 0 }),
            (AT_ELEMENT, self.dtype.size() as u32),
            (AT_AXES, self.shape.len() as u32),
            (AT_UID, self.owner.uid),
            (AT_GROUP, self.group.unwrap_or(NOBODY)),
            (AT_PID, self.owner.pid),
        ];
        words.iter().for_each(|(at, word)| put(*at, &word.to_ne_bytes()));
        let longs = [
            (AT_DATA, self.data_at),
            (AT_BYTES, self.bytes),
            (AT_CREATED, self.created),
            (AT_START, self.owner.start),
            (AT_PID_SPACE, self.owner.pid_space),
            (AT_TIME_SPACE, self.owner.time_space),
        ];
        longs.iter().for_each(|(at, long)| put(*at, &long.to_ne_bytes()));
        put(AT_DTYPE, self.dtype.to_string().as_bytes());
        put(AT_BOOT, &self.owner.boot);
        let strides = strides(&self.shape, self.dtype.size(), self.order);
        for (axis, (&length, stride)) in self.shape.iter().zip(strides).enumerate() {
            put(AT_SHAPE + 8 * axis, &(length as u64).to_ne_bytes());
            put(AT_STRIDES + 8 * axis, &stride.to_ne_bytes());
        }
        resum(&mut bytes);
        bytes
    }
}

/// Puts the right sum where it belongs, if there is room.
pub(crate) fn resum(bytes: &mut [u8]) {
    if let Some(header) = bytes.get_mut(..HEADER) {
        let sum = crc32fast::hash(&header[..CHECKED]);
        header[CHECKED..].copy_from_slice(&sum.to_ne_bytes());
    }
}

/// As many bytes as a header has.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.0[at..at + N]);
        field
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes(at))
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.bytes(at))
    }

    fn owner(&self) -> Owner {
        Owner {
            uid: self.word(AT_UID),
            pid: self.word(AT_PID),
            start: self.long(AT_START),
            boot: self.bytes(AT_BOOT),
            pid_space: self.long(AT_PID_SPACE),
            time_space: self.long(AT_TIME_SPACE),
        }
    }
}

/// The type of the elements, if it is one that arrays here have, in this machine's byte order.
fn dtype(field: [u8; 8]) -> Result<Dtype, HeaderError> {
    let length = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    let (text, padding) = field.split_at(length);
    let dtype = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Dtype>().ok());
    // In the one way of writing it that there is.
    let dtype = match dtype.filter(|&dtype| is_element(dtype) && dtype.to_string().as_bytes() == text) {
        Some(dtype) if dtype.is_swapped() => {
            return flaw(format!("its elements are \"{dtype}\", of the other byte order"));
        }
        Some(dtype) => dtype,
        None => return flaw(format!("its elements are \"{}\", which is no dtype known here", text.escape_ascii())),
    };
    if padding.iter().any(|&byte| byte != 0) {
        return flaw("its dtype is followed by bytes that are not zero");
    }
    Ok(dtype)
}

/// How the array lies: its shape, and its order, which the strides say.
fn lie(fields: &Fields<'_>, element: usize) -> Result<(Vec<usize>, Order), HeaderError> {
    let axes = fields.word(AT_AXES) as usize;
    if axes > MOST_AXES {
        return flaw(format!("it claims {axes} axes, and there can be {MOST_AXES}"));
    }
    let longs = |from: usize| (0..MOST_AXES).map(move |axis| fields.long(from + 8 * axis));
    if [AT_SHAPE, AT_STRIDES].into_iter().any(|from| longs(from).skip(axes).any(|long| long != 0)) {
        return flaw(format!("it has {axes} axes, and lengths or strides of more"));
    }
    let shape: Result<Vec<usize>, _> = longs(AT_SHAPE).take(axes).map(usize::try_from).collect();
    let shape = shape.map_err(|_| HeaderError("one of its axes is longer than can be addressed".to_owned()))?;
    if byte_length(&shape, element).is_err() {
        return flaw(format!("its shape {shape:?} of elements of {element} bytes overflows"));
    }
    let noted: Vec<u64> = longs(AT_STRIDES).take(axes).collect();
    match [Order::C, Order::F].into_iter().find(|&order| strides(&shape, element, order).eq(noted.iter().copied())) {
        Some(order) => Ok((shape, order)),
        None => flaw(format!("its strides {noted:?} are neither C's nor Fortran's for the shape {shape:?}")),
    }
}

/// Bytes from one index to the next, of each axis. Axes of no length count as of one.
fn strides(shape: &[usize], element: usize, order: Order) -> impl Iterator<Item = u64> {
    let axes = shape.len();
    (0..axes).map(move |axis| {
        let faster = if order == Order::C { &shape[axis + 1..] } else { &shape[..axis] };
        faster.iter().fold(element as u64, |bytes, &length| bytes.wrapping_mul(length.max(1) as u64))
    })
}

/// C where both orders are the same.
fn only_order(shape: &[usize], order: Order) -> Order {
    if strides(shape, 1, Order::C).eq(strides(shape, 1, Order::F)) { Order::C } else { order }
}

#[cfg(test)]
mod tests;
