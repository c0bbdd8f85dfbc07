//! The types of numbers that programs are handed, in the words of both sides.

use std::fmt;
use std::str::FromStr;

/// The type of an array's elements, in this machine's byte order.
///
/// ```
/// use parfork::exec::Dtype;
/// let dtype: Dtype = "f64".parse().unwrap();
/// assert_eq!((dtype.numpy().as_str(), dtype.size()), ("<f8", 8));
/// assert_eq!("float64".parse(), Ok(dtype));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtype(&'static Row);

#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: &'static str,
    /// NumPy's word for it.
    long: &'static str,
    kind: char,
    size: usize,
}

const fn row(name: &'static str, long: &'static str, kind: char, size: usize) -> Row {
    Row { name, long, kind, size }
}

static ROWS: [Row; 14] = [
    row("bool", "bool_", 'b', 1),
    row("u8", "uint8", 'u', 1),
    row("u16", "uint16", 'u', 2),
    row("u32", "uint32", 'u', 4),
    row("u64", "uint64", 'u', 8),
    row("i8", "int8", 'i', 1),
    row("i16", "int16", 'i', 2),
    row("i32", "int32", 'i', 4),
    row("i64", "int64", 'i', 8),
    row("f16", "float16", 'f', 2),
    row("f32", "float32", 'f', 4),
    row("f64", "float64", 'f', 8),
    row("c64", "complex64", 'c', 8),
    row("c128", "complex128", 'c', 16),
];

impl Dtype {
    /// Eight bits, without a sign: of pictures mostly.
    pub const U8: Self = Self(&ROWS[1]);
    /// Sixteen bits, without a sign.
    pub const U16: Self = Self(&ROWS[2]);

    /// By NumPy's letter for the kind and bytes an element; `None` for what programs cannot be handed.
    pub fn of(kind: char, size: usize) -> Option<Self> {
        ROWS.iter().find(|row| (row.kind, row.size) == (kind, size)).map(Self)
    }

    /// Its name: bits, and what they are.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// NumPy's letter for the kind: `b` bool, `i` signed, `u` unsigned, `f` float, `c` complex.
    pub fn kind(self) -> char {
        self.0.kind
    }

    /// Bytes an element.
    pub fn size(self) -> usize {
        self.0.size
    }

    /// As .npy headers have it: `<f8`.
    pub fn numpy(self) -> String {
        let order = match self.0.size {
            1 => '|',
            _ if cfg!(target_endian = "little") => '<',
            _ => '>',
        };
        format!("{order}{}{}", self.0.kind, self.0.size)
    }

    /// How many bytes belong together when their order is turned round: complex numbers are two.
    pub(super) fn swapped_bytes(self) -> usize {
        if self.0.kind == 'c' { self.0.size / 2 } else { self.0.size }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no type of elements.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a type of elements. Write {names}.", names = ROWS.each_ref().map(|row| row.name).join(", "))]
pub struct DtypeError(String);

/// Reads `f64`, or NumPy's `float64` and `<f8`. Not `f8` without an order, which would be 8 bits to one and 8 bytes to others.
impl FromStr for Dtype {
    type Err = DtypeError;

    fn from_str(text: &str) -> Result<Self, DtypeError> {
        let is = |dtype: &Self| text == dtype.0.name || text == dtype.0.long || text == dtype.numpy();
        ROWS.iter().map(Self).find(is).ok_or_else(|| DtypeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_in_all_its_words() {
        for dtype in ROWS.iter().map(Dtype) {
            for word in [dtype.name(), dtype.0.long, &dtype.numpy()] {
                assert_eq!(word.parse(), Ok(dtype), "{word}");
            }
            assert_eq!(Dtype::of(dtype.kind(), dtype.size()), Some(dtype));
        }
        assert_eq!((Dtype::U8.name(), Dtype::U16.name()), ("u8", "u16"));
        assert_eq!(Dtype::of('f', 16), None);
        let error = "f8".parse::<Dtype>().unwrap_err().to_string();
        assert!(error.contains("`f8`") && error.contains("f32, f64"), "{error}");
    }
}
