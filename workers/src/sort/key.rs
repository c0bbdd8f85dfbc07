//! Elements as unsigned integers in whose order they are sorted.

use bytemuck::{Pod, Zeroable};
use parfork::{Dtype, DtypeKind};

/// What elements are, as [`Key`]s are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Elements {
    kind: u32,
    /// Whether their bytes come the other way round.
    swapped: u32,
}

const UINT: u32 = 0;
const INT: u32 = 1;
const FLOAT: u32 = 2;

impl Elements {
    /// Those of a type; `None` if they have no order, or another size than there are keys.
    pub(super) fn of(dtype: Dtype) -> Option<Self> {
        let kind = match (dtype.kind(), dtype.size()) {
            (DtypeKind::Bool | DtypeKind::Uint, _) => UINT,
            (DtypeKind::Int, _) => INT,
            (DtypeKind::Float, 2 | 4 | 8) => FLOAT,
            _ => return None,
        };
        Some(Self { kind, swapped: dtype.is_swapped().into() })
    }
}

/// An unsigned integer of the size of an element: the element's bytes, or its place among all that there can be.
pub(super) trait Key: Pod + Ord + Into<u64> + Send + Sync {
    /// Its bytes, wherever they lie.
    type Bytes: Pod;

    /// The key of an element.
    fn of(element: Self::Bytes, elements: Elements) -> Self;

    /// The element of a key, in this machine's byte order.
    fn element(self, elements: Elements) -> Self;

    /// The number that an element is: a float, or else an integer.
    fn number(self, elements: Elements) -> Result<f64, i128>;
}

macro_rules! keys {
    ($($key:ty, $signed:ty, $mantissa:expr, $float:expr;)*) => {$(
        impl Key for $key {
            type Bytes = [u8; size_of::<$key>()];

            #[inline(always)]
            fn of(element: Self::Bytes, elements: Elements) -> Self {
                let bits = <$key>::from_ne_bytes(element);
                let bits = if elements.swapped == 1 { bits.swap_bytes() } else { bits };
                let sign = 1 << (<$key>::BITS - 1);
                match elements.kind {
                    UINT => bits,
                    INT => bits ^ sign,
                    // Of negative numbers all bits, of others the sign: they rise as the numbers do then, from the NaNs with a sign to those
                    // without. Less the number of the former, which so come last.
                    _ => {
                        let all = (bits as $signed >> (<$key>::BITS - 1)) as $key;
                        (bits ^ (all | sign)).wrapping_sub((1 << $mantissa) - 1)
                    }
                }
            }

            #[inline(always)]
            fn element(self, elements: Elements) -> Self {
                let sign = 1 << (<$key>::BITS - 1);
                match elements.kind {
                    UINT => self,
                    INT => self ^ sign,
                    _ => {
                        let bits = self.wrapping_add((1 << $mantissa) - 1);
                        let all = !((bits as $signed >> (<$key>::BITS - 1)) as $key);
                        bits ^ (all | sign)
                    }
                }
            }

            fn number(self, elements: Elements) -> Result<f64, i128> {
                match elements.kind {
                    UINT => Err(self.into()),
                    INT => Err((self as $signed).into()),
                    _ => Ok($float(self)),
                }
            }
        }
    )*};
}

keys! {
    u8, i8, 0, |_| unreachable!("no float has 8 bits");
    u16, i16, 10, |bits| half::f16::from_bits(bits).to_f64();
    u32, i32, 23, |bits| f32::from_bits(bits).into();
    u64, i64, 52, f64::from_bits;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_rise_as_numbers_do_and_become_them_again() {
        let floats = Elements { kind: FLOAT, swapped: 0 };
        let mut all: Vec<u16> = (0..=u16::MAX).collect();
        all.sort_by_key(|bits| u16::of(bits.to_ne_bytes(), floats));
        let numbers: Vec<f64> = all.iter().map(|&bits| bits.number(floats).unwrap()).collect();
        let nans = numbers.iter().position(|number| number.is_nan()).unwrap();
        assert!(numbers[..nans].is_sorted() && numbers[nans..].iter().all(|number| number.is_nan()));
        assert_eq!((numbers[0], numbers[nans - 1], numbers.len() - nans), (-f64::INFINITY, f64::INFINITY, 2 * 1023));
        let swapped = Elements { kind: INT, swapped: 1 };
        assert_eq!(u32::of((-2_i32).to_be_bytes(), swapped).element(swapped), -2_i32 as u32);
        for bits in all {
            assert_eq!(u16::of(bits.to_ne_bytes(), floats).element(floats), bits);
        }
        let ends = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 5e-324, 1.5, f64::INFINITY, f64::NAN, -f64::NAN];
        assert!(ends.is_sorted_by_key(|number| u64::of(number.to_ne_bytes(), floats)));
    }
}
