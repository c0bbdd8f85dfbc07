//! The types of elements by their names, and code for each of them.

use std::fmt;
use std::str::FromStr;

/// A type that segments have, as NumPy calls it without the byte order: `f4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dtype(&'static str);

/// NumPy's name, Rust's, and NumPy's long one.
const NAMES: [[&str; 3]; 10] = [
    ["u1", "u8", "uint8"],
    ["u2", "u16", "uint16"],
    ["u4", "u32", "uint32"],
    ["u8", "u64", "uint64"],
    ["i1", "i8", "int8"],
    ["i2", "i16", "int16"],
    ["i4", "i32", "int32"],
    ["i8", "i64", "int64"],
    ["f4", "f32", "float32"],
    ["f8", "f64", "float64"],
];

impl Dtype {
    /// Of NumPy's name with a byte order, `<f4`: as files and segments have it.
    pub fn of(text: &str) -> Option<Self> {
        let plain = text.strip_prefix(['<', '>', '|', '=']).unwrap_or(text);
        NAMES.iter().find(|names| names[0] == plain).map(|names| Self(names[0]))
    }

    /// NumPy's name.
    pub fn name(self) -> &'static str {
        self.0
    }
}

/// As people type it: `u8` is Rust's, 8 bits.
impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|names| names[1..].contains(&text)).map(|names| Self(names[0]));
        found.ok_or_else(|| format!("`{text}` is no type of elements here. Use u8 to u64, i8 to i64, f32 or f64."))
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = NAMES.iter().find(|names| names[0] == self.0);
        f.write_str(names.map_or(self.0, |names| names[1]))
    }
}

/// Runs code with `$t` as the type that a [`Dtype`] says.
macro_rules! with_dtype {
    ($dtype:expr, $t:ident => $code:expr) => {
        with_dtype!(@ $dtype, $t => $code, "u1" u8, "u2" u16, "u4" u32, "u8" u64, "i1" i8, "i2" i16, "i4" i32, "i8" i64, "f4" f32, "f8" f64)
    };
    (@ $dtype:expr, $t:ident => $code:expr, $($name:literal $type:ty),*) => {
        match $dtype.name() {
            $($name => { type $t = $type; $code })*
            _ => unreachable!("the names of `Dtype` are these"),
        }
    };
}
pub(super) use with_dtype;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_is_bits_where_people_type_it_and_bytes_where_numpy_writes_it() {
        let typed = |text: &str| text.parse::<Dtype>().unwrap();
        assert_eq!((typed("u8").name(), typed("uint8").name(), typed("f32").name()), ("u1", "u1", "f4"));
        assert_eq!((Dtype::of("|u1"), Dtype::of("<u8")), (Some(typed("u8")), Some(typed("u64"))));
        assert!(["f2", "u1", "<f4", "", "complex64"].iter().all(|text| text.parse::<Dtype>().is_err()));
        assert_eq!((Dtype::of("<f2"), typed("float64").to_string()), (None, "f64".to_owned()));
        for [numpy, rust, _] in NAMES {
            let bytes = with_dtype!(typed(rust), T => size_of::<T>());
            assert_eq!(numpy[1..], bytes.to_string());
        }
    }
}
