//! The types of elements that segments have, and code for each of them.

use parfork::{Dtype, Element};

use crate::args::common;

/// One that segments have, as people type it.
pub fn element(text: &str) -> Result<Dtype, String> {
    let all = [
        u8::DTYPE,
        u16::DTYPE,
        u32::DTYPE,
        u64::DTYPE,
        i8::DTYPE,
        i16::DTYPE,
        i32::DTYPE,
        i64::DTYPE,
        f32::DTYPE,
        f64::DTYPE,
    ];
    let found = common::dtype(text).ok().filter(|dtype| all.contains(dtype));
    found
        .ok_or_else(|| format!("segments do not have elements of type `{text}`. Use u8 to u64, i8 to i64, f32 or f64."))
}

/// Runs code with `$t` as the type that a [`Dtype`] says, in this machine's byte order; `$of` is what has such elements.
macro_rules! with_dtype {
    ($dtype:expr, $of:expr, $t:ident => $code:expr) => {
        with_dtype!(@ $dtype, $of, $t => $code, u8 u16 u32 u64 i8 i16 i32 i64 f32 f64)
    };
    (@ $dtype:expr, $of:expr, $t:ident => $code:expr, $($type:ty)*) => {
        match $dtype.to_native() {
            $(<$type as parfork::Element>::DTYPE => { type $t = $type; $code })*
            other => Err($crate::shm::data::refused(other, $of)),
        }
    };
}
pub(super) use with_dtype;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_is_bits_where_people_type_it() {
        for (text, dtype) in [("u8", u8::DTYPE), ("uint8", u8::DTYPE), ("|u1", u8::DTYPE), ("f32", f32::DTYPE)] {
            assert_eq!(element(text), Ok(dtype), "{text}");
        }
        for text in ["f2", "u1", "f8", "d", "", "bool", "f16", "complex64", "<c8", "float128"] {
            assert!(element(text).unwrap_err().contains("u8 to u64"), "{text}");
        }
        let other = if cfg!(target_endian = "little") { ">f8" } else { "<f8" };
        assert!(element(other).is_err());
    }
}
