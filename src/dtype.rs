//! The type of an array's elements, by the names that NumPy and Rust have for it.

use std::fmt;
use std::str::FromStr;

use DtypeKind::{Bool, Complex, Float, Int, Uint};

/// The type of an array's elements: which numbers they are, how many bytes each has, and in which order.
///
/// Parsed from whatever `numpy.dtype()` takes for numbers (`<f8`, `float64`, `d`), shown as `numpy.dtype.str`, which .npy headers
/// have: `<f8`. Without a byte order it is this machine's. `u8` and `i8` are NumPy's then, 8 *bytes*; Rust's names, which count
/// bits, are read by [`from_name`](Self::from_name).
///
/// ```
/// use parfork::{Dtype, DtypeKind, Element};
/// let dtype: Dtype = ">i4".parse()?;
/// assert_eq!((dtype.kind(), dtype.size(), dtype.name()), (DtypeKind::Int, 4, "i32"));
/// assert!(dtype.is_big_endian() && dtype.to_string() == ">i4");
/// assert_eq!("float64".parse::<Dtype>()?, f64::DTYPE);
/// assert_eq!(("u8".parse(), Dtype::from_name("u8")), (Ok(u64::DTYPE), Ok(u8::DTYPE)));
/// # Ok::<(), parfork::DtypeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dtype {
    kind: DtypeKind,
    size: u8,
    /// Never for one byte, which has no order.
    big: bool,
}

/// The kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DtypeKind {
    /// `b`: a byte that is 0 or not.
    Bool,
    /// `i`: two's complement.
    Int,
    /// `u`: unsigned.
    Uint,
    /// `f`: IEEE 754 binary; beyond 8 bytes the machine's own, with padding.
    Float,
    /// `c`: two floats, the real and the imaginary part.
    Complex,
}

/// One type in all its names.
struct Row {
    kind: DtypeKind,
    size: u8,
    /// Rust's name, which counts bits; NumPy's where Rust has none.
    name: &'static str,
    /// NumPy's words, the one with the number of bits first.
    words: &'static [&'static str],
    /// NumPy's letters, on 64-bit Linux.
    letters: &'static str,
}

const fn row(
    kind: DtypeKind,
    size: u8,
    name: &'static str,
    words: &'static [&'static str],
    letters: &'static str,
) -> Row {
    Row { kind, size, name, words, letters }
}

/// The long doubles of 12 and 24 bytes are those of 32-bit x86.
const ROWS: [Row; 18] = [
    row(Bool, 1, "bool", &["bool", "bool_"], "?"),
    row(Uint, 1, "u8", &["uint8", "ubyte"], "B"),
    row(Uint, 2, "u16", &["uint16", "ushort"], "H"),
    row(Uint, 4, "u32", &["uint32", "uintc"], "I"),
    row(Uint, 8, "u64", &["uint64", "uint", "uintp", "ulong", "ulonglong"], "LQNP"),
    row(Int, 1, "i8", &["int8", "byte"], "b"),
    row(Int, 2, "i16", &["int16", "short"], "h"),
    row(Int, 4, "i32", &["int32", "intc"], "i"),
    row(Int, 8, "i64", &["int64", "int", "int_", "intp", "long", "longlong"], "lqnp"),
    row(Float, 2, "f16", &["float16", "half"], "e"),
    row(Float, 4, "f32", &["float32", "single"], "f"),
    row(Float, 8, "f64", &["float64", "float", "double"], "d"),
    row(Float, 12, "float96", &["float96"], ""),
    row(Float, 16, "float128", &["float128", "longdouble"], "g"),
    row(Complex, 8, "c64", &["complex64", "csingle"], "F"),
    row(Complex, 16, "c128", &["complex128", "complex", "cdouble"], "D"),
    row(Complex, 24, "complex192", &["complex192"], ""),
    row(Complex, 32, "complex256", &["complex256", "clongdouble"], "G"),
];

impl Dtype {
    /// In this machine's byte order.
    pub(crate) const fn native(kind: DtypeKind, size: usize) -> Self {
        Self { kind, size: size as u8, big: size > 1 && cfg!(target_endian = "big") }
    }

    /// Reads a [`name`](Self::name): Rust's, which counts bits. `f64`, `u8`.
    ///
    /// # Errors
    /// If there is no such name.
    pub fn from_name(name: &str) -> Result<Self, DtypeError> {
        let row = ROWS.iter().find(|row| row.name == name);
        row.map(Self::of).ok_or_else(|| DtypeError { text: name.to_owned(), refused: Refused::Unknown })
    }

    fn of(row: &Row) -> Self {
        Self::native(row.kind, row.size.into())
    }

    fn row(self) -> &'static Row {
        let row = ROWS.iter().find(|row| (row.kind, row.size) == (self.kind, self.size));
        row.expect("made of a row, or of an `Element`")
    }

    /// Which numbers they are.
    pub const fn kind(self) -> DtypeKind {
        self.kind
    }

    /// Bytes an element.
    pub const fn size(self) -> usize {
        self.size as usize
    }

    /// Rust's name, whatever the byte order: `f64`; `bool`, `f16`, `c64` and `c128` likewise. NumPy's (`float128`) of what is larger.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// NumPy's name with the number of bits, whatever the byte order: `float64`.
    pub fn numpy_name(self) -> &'static str {
        self.row().words[0]
    }

    /// Whether the most significant byte comes first. One byte has no order.
    pub const fn is_big_endian(self) -> bool {
        self.big
    }

    /// Whether the bytes come in the order that is not this machine's.
    pub const fn is_swapped(self) -> bool {
        self.size > 1 && self.big != cfg!(target_endian = "big")
    }

    /// The same numbers in this machine's byte order.
    pub const fn to_native(self) -> Self {
        Self::native(self.kind, self.size as usize)
    }

    /// Whether it is C's `long double`, or two of them: of another format on every kind of machine.
    pub const fn is_long_double(self) -> bool {
        self.part_size() > 8
    }

    /// How many bytes have an order among themselves: complex numbers are two.
    pub(crate) const fn part_size(self) -> usize {
        if matches!(self.kind, Complex) { self.size as usize / 2 } else { self.size as usize }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match (self.size, self.big) {
            (1, _) => '|',
            (_, false) => '<',
            (_, true) => '>',
        };
        let kind = match self.kind {
            Bool => 'b',
            Int => 'i',
            Uint => 'u',
            Float => 'f',
            Complex => 'c',
        };
        f.pad(&format!("{order}{kind}{}", self.size))
    }
}

impl fmt::Debug for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dtype({self})")
    }
}

/// A text that is no type of numbers: it says what it is instead, and how NumPy makes numbers of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("dtype '{}' is {}, and elements are numbers: in NumPy {}", text.escape_debug(), self.what(), self.remedy())]
pub struct DtypeError {
    text: String,
    refused: Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Objects,
    Text,
    Dates,
    Raw,
    Unknown,
}

impl DtypeError {
    /// What it is.
    pub fn what(&self) -> &'static str {
        match self.refused {
            Refused::Objects => "Python objects",
            Refused::Text => "text",
            Refused::Dates => "dates or durations",
            Refused::Raw => "raw bytes",
            Refused::Unknown => "of a type unknown here",
        }
    }

    /// What makes numbers of an `array` of it, in NumPy.
    pub fn remedy(&self) -> &'static str {
        match self.refused {
            Refused::Objects | Refused::Text | Refused::Unknown => "array.astype('float64')",
            Refused::Dates => "array.astype('int64')",
            Refused::Raw => "array.view('uint8')",
        }
    }
}

impl FromStr for Dtype {
    type Err = DtypeError;

    fn from_str(text: &str) -> Result<Self, DtypeError> {
        let coded = text.strip_prefix(['<', '>', '|', '=']).unwrap_or(text);
        let whole = coded.len() == text.len();
        let mut letters = coded.chars();
        let (first, digits) = (letters.next().unwrap_or(' '), letters.as_str());
        let is = |row: &&Row| match digits {
            "" if row.letters.contains(first) => true,
            _ => (whole && row.words.contains(&coded)) || Self::of(row).to_string()[1..] == *coded,
        };
        if let Some(row) = ROWS.iter().find(is) {
            let big = match text.as_bytes()[0] {
                b'<' => false,
                b'>' => true,
                _ => cfg!(target_endian = "big"),
            };
            return Ok(Self { big: big && row.size > 1, ..Self::of(row) });
        }
        let refused = match first {
            'O' => Refused::Objects,
            'U' | 'S' | 'a' => Refused::Text,
            'M' | 'm' => Refused::Dates,
            'V' => Refused::Raw,
            _ => Refused::Unknown,
        };
        Err(DtypeError { text: text.to_owned(), refused })
    }
}

#[cfg(test)]
mod tests;
