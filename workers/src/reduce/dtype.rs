//! Which numbers the bytes of an array are: NumPy's array-interface type strings, as .npy headers carry them.

use std::fmt;
use std::str::FromStr;

/// The type of an array's elements, for example `<f8`: kind, bytes an element, byte order.
///
/// Parsed from a NumPy type string (`numpy.dtype.str`, the `descr` of a .npy header), shown as one. One-byte types have no
/// byte order: they are shown with `|` and any order is taken.
///
/// ```
/// use parfork_workers::reduce::{Dtype, Endian, Kind};
/// let dtype: Dtype = ">i4".parse()?;
/// assert_eq!((dtype.kind, dtype.size, dtype.endian), (Kind::Int, 4, Endian::Big));
/// assert_eq!(dtype.to_string(), ">i4");
/// let remedy = "<c16".parse::<Dtype>().unwrap_err().to_string();
/// assert!(remedy.contains("complex"));
/// # Ok::<(), parfork_workers::reduce::DtypeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dtype {
    /// Signed, unsigned, floating or boolean.
    pub kind: Kind,
    /// Bytes an element: 1, 2, 4 or 8; for floats 2, 4 or 8; for booleans 1.
    pub size: usize,
    /// Byte order.
    pub endian: Endian,
}

/// The kinds of numbers that can be reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `b`: a byte that is 0 or not; counts as 0 or 1.
    Bool,
    /// `i`: two's complement.
    Int,
    /// `u`: unsigned.
    Uint,
    /// `f`: IEEE 754 binary.
    Float,
}

/// Which byte of a number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endian {
    /// The least significant.
    Little,
    /// The most significant.
    Big,
}

/// Why elements of this type cannot be reduced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "arrays of dtype {descr:?} ({what}) cannot be reduced. \
     Save real numbers of at most 8 bytes, in NumPy for example {remedy}."
)]
pub struct DtypeError {
    descr: String,
    what: &'static str,
    remedy: &'static str,
}

impl FromStr for Dtype {
    type Err = DtypeError;

    fn from_str(descr: &str) -> Result<Dtype, DtypeError> {
        let refuse = |what, remedy| Err(DtypeError { descr: descr.to_owned(), what, remedy });
        let (endian, rest) = match descr.split_at_checked(1) {
            Some(("<" | "|", rest)) => (Endian::Little, rest),
            Some((">", rest)) => (Endian::Big, rest),
            Some(("=", rest)) => (NATIVE, rest),
            _ => (NATIVE, descr),
        };
        let kind = match rest.split_at_checked(1) {
            Some(("b", _)) => Kind::Bool,
            Some(("i", _)) => Kind::Int,
            Some(("u", _)) => Kind::Uint,
            Some(("f", _)) => Kind::Float,
            Some(("c", _)) => return refuse("complex numbers", "abs(a) or a.real"),
            Some(("O", _)) => return refuse("Python objects", "a.astype('f8')"),
            Some(("S" | "a" | "U", _)) => return refuse("text", "a.astype('f8')"),
            Some(("V", _)) => return refuse("records or raw bytes", "one of its fields, a['name']"),
            Some(("M" | "m", _)) => return refuse("dates or time spans", "a.astype('i8')"),
            _ => return refuse("not a NumPy type string", "a.astype('f8')"),
        };
        match (kind, &rest[1..]) {
            (Kind::Bool | Kind::Int | Kind::Uint, "1") => Ok(Dtype { kind, size: 1, endian: Endian::Little }),
            (Kind::Int | Kind::Uint | Kind::Float, "2") => Ok(Dtype { kind, size: 2, endian }),
            (Kind::Int | Kind::Uint | Kind::Float, "4") => Ok(Dtype { kind, size: 4, endian }),
            (Kind::Int | Kind::Uint | Kind::Float, "8") => Ok(Dtype { kind, size: 8, endian }),
            (Kind::Float, "12" | "16") => refuse("long double", "a.astype('f8')"),
            _ => refuse("no such size of number", "a.astype('f8')"),
        }
    }
}

/// This machine's byte order.
const NATIVE: Endian = if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little };

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match (self.size, self.endian) {
            (1, _) => '|',
            (_, Endian::Little) => '<',
            (_, Endian::Big) => '>',
        };
        let kind = match self.kind {
            Kind::Bool => 'b',
            Kind::Int => 'i',
            Kind::Uint => 'u',
            Kind::Float => 'f',
        };
        write!(f, "{order}{kind}{}", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_at_most_eight_bytes_is_taken_and_shown_as_it_came() {
        for descr in ["|b1", "|i1", "|u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">u4", "<i8", ">u8", "<f2", ">f4", "<f8"]
        {
            assert_eq!(descr.parse::<Dtype>().unwrap().to_string(), descr);
        }
        assert_eq!("=f4".parse::<Dtype>(), "f4".parse());
        assert_eq!("<i1".parse::<Dtype>().unwrap().to_string(), "|i1");
    }

    #[test]
    fn the_rest_is_refused_with_a_remedy() {
        for (descr, what) in [
            ("<c8", "complex"),
            ("|O", "objects"),
            ("|S5", "text"),
            ("<U5", "text"),
            ("|V16", "records"),
            ("<M8[ns]", "dates"),
            ("<m8[s]", "time spans"),
            ("<f16", "long double"),
            ("<i3", "size"),
            ("|f1", "size"),
            ("<f08", "size"),
            ("", "not a NumPy"),
            ("<", "not a NumPy"),
            ("é8", "not a NumPy"),
        ] {
            let error = descr.parse::<Dtype>().unwrap_err().to_string();
            assert!(error.contains(what) && error.contains("NumPy"), "{descr}: {error}");
        }
    }
}
