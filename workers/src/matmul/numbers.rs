//! Elements of every type that NumPy multiplies, read from a file as those of the product.

use bytemuck::{Pod, Zeroable};
use half::f16;
use ndarray::Ix2;
use parfork::formats::npy::ArrayFile;
use parfork::{Dtype, DtypeKind, Error, Order, Shared};

/// The type of a product of such elements: the smallest that holds both, by NumPy's rules; nothing for long doubles.
pub(super) fn promoted(one: Dtype, other: Dtype) -> Option<Dtype> {
    use DtypeKind::{Bool, Complex, Float, Int, Uint};
    if one.is_long_double() || other.is_long_double() {
        return None;
    }
    // Bytes of the float that holds a number, or the parts of one.
    let float = |dtype: Dtype| match dtype.kind() {
        Bool => 2,
        Int | Uint => (2 * dtype.size()).min(8),
        Float => dtype.size(),
        Complex => dtype.size() / 2,
    };
    let (kinds, size) = ([one.kind(), other.kind()], one.size().max(other.size()));
    let name = if kinds.contains(&Complex) {
        format!("c{}", 16 * float(one).max(float(other)).max(4))
    } else if kinds.contains(&Float) {
        format!("f{}", 8 * float(one).max(float(other)))
    } else if kinds == [Bool; 2] {
        "bool".to_owned()
    } else if !kinds.contains(&Int) {
        format!("u{}", 8 * size)
    } else if !kinds.contains(&Uint) {
        format!("i{}", 8 * size)
    } else {
        let unsigned = if kinds[0] == Uint { one } else { other };
        match size.max(2 * unsigned.size()) {
            16 => "f64".to_owned(),
            size => format!("i{}", 8 * size),
        }
    };
    Some(Dtype::from_name(&name).expect("the names of all types are made so"))
}

/// A number of a file.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Whole(i128),
    Real(f64),
    Complex([f64; 2]),
}

/// What a product is made of.
pub(super) trait Value: Pod + Send + Sync {
    /// Its name.
    const NAME: &'static str;

    /// The number as one of these, which hold it.
    fn of(number: Number) -> Self;
}

macro_rules! values {
    ($($type:ty: $name:literal),+) => {$(
        impl Value for $type {
            const NAME: &'static str = $name;

            #[inline(always)]
            fn of(number: Number) -> Self {
                match number {
                    Number::Whole(number) => number as $type,
                    Number::Real(number) | Number::Complex([number, _]) => number as $type,
                }
            }
        }
    )+};
}

values!(i8: "i8", i16: "i16", i32: "i32", i64: "i64", u8: "u8", u16: "u16", u32: "u32", u64: "u64", f32: "f32", f64: "f64");

/// A boolean: 0 or 1.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
pub(super) struct Truth(pub(super) u8);

impl Value for Truth {
    const NAME: &'static str = "bool";

    fn of(number: Number) -> Self {
        Self(u8::of(number))
    }
}

impl Value for [f32; 2] {
    const NAME: &'static str = "c64";

    #[inline(always)]
    fn of(number: Number) -> Self {
        <[f64; 2]>::of(number).map(|part| part as f32)
    }
}

impl Value for [f64; 2] {
    const NAME: &'static str = "c128";

    #[inline(always)]
    fn of(number: Number) -> Self {
        match number {
            Number::Complex(parts) => parts,
            real => [f64::of(real), 0.0],
        }
    }
}

/// The matrix of a file, in C order.
pub(super) fn converted<T: Value>(file: ArrayFile) -> Result<Shared<T, Ix2>, Error> {
    let (header, bytes) = file.load_bytes()?;
    let (dtype, &[rows, columns]) = (header.dtype, &header.shape[..]) else { unreachable!("looked at before") };
    let mut matrix = Shared::<T, Ix2>::zeros((rows, columns))?;
    let to = matrix.as_mut_slice();
    let mut at = 0;
    each(dtype, bytes.as_slice(), |number| {
        let place = match header.order {
            Order::C => at,
            Order::F => at % rows * columns + at / rows,
        };
        to[place] = T::of(number);
        at += 1;
    });
    Ok(matrix)
}

/// Hands out the numbers that bytes are.
fn each(dtype: Dtype, bytes: &[u8], mut put: impl FnMut(Number)) {
    let swapped = dtype.is_swapped();
    macro_rules! numbers {
        ($type:ty, $number:expr) => {
            for bytes in bytes.as_chunks::<{ size_of::<$type>() }>().0 {
                let mut bytes = *bytes;
                if swapped {
                    bytes.reverse();
                }
                put($number(<$type>::from_ne_bytes(bytes)));
            }
        };
    }
    macro_rules! complex {
        ($type:ty) => {
            for parts in bytes.as_chunks::<{ size_of::<$type>() }>().0.as_chunks::<2>().0 {
                let part = |mut bytes: [u8; size_of::<$type>()]| {
                    if swapped {
                        bytes.reverse();
                    }
                    f64::from(<$type>::from_ne_bytes(bytes))
                };
                put(Number::Complex(parts.map(part)));
            }
        };
    }
    match (dtype.kind(), dtype.size()) {
        (DtypeKind::Bool, _) => bytes.iter().for_each(|&byte| put(Number::Whole((byte != 0).into()))),
        (DtypeKind::Int, 1) => numbers!(i8, |number| Number::Whole(i128::from(number))),
        (DtypeKind::Int, 2) => numbers!(i16, |number| Number::Whole(i128::from(number))),
        (DtypeKind::Int, 4) => numbers!(i32, |number| Number::Whole(i128::from(number))),
        (DtypeKind::Int, _) => numbers!(i64, |number| Number::Whole(i128::from(number))),
        (DtypeKind::Uint, 1) => numbers!(u8, |number| Number::Whole(i128::from(number))),
        (DtypeKind::Uint, 2) => numbers!(u16, |number| Number::Whole(i128::from(number))),
        (DtypeKind::Uint, 4) => numbers!(u32, |number| Number::Whole(i128::from(number))),
        (DtypeKind::Uint, _) => numbers!(u64, |number| Number::Whole(i128::from(number))),
        (DtypeKind::Float, 2) => numbers!(f16, |number: f16| Number::Real(number.to_f64())),
        (DtypeKind::Float, 4) => numbers!(f32, |number| Number::Real(f64::from(number))),
        (DtypeKind::Float, _) => numbers!(f64, Number::Real),
        (DtypeKind::Complex, 8) => complex!(f32),
        (DtypeKind::Complex, _) => complex!(f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `numpy.result_type` of NumPy 2.4 says of all pairs.
    #[test]
    fn types_of_products_are_numpys() {
        let types = "? u1 u2 u4 u8 i1 i2 i4 i8 f2 f4 f8 c8 c16";
        let table = [
            types,
            "u1 u1 u2 u4 u8 i2 i2 i4 i8 f2 f4 f8 c8 c16",
            "u2 u2 u2 u4 u8 i4 i4 i4 i8 f4 f4 f8 c8 c16",
            "u4 u4 u4 u4 u8 i8 i8 i8 i8 f8 f8 f8 c16 c16",
            "u8 u8 u8 u8 u8 f8 f8 f8 f8 f8 f8 f8 c16 c16",
            "i1 i2 i4 i8 f8 i1 i2 i4 i8 f2 f4 f8 c8 c16",
            "i2 i2 i4 i8 f8 i2 i2 i4 i8 f4 f4 f8 c8 c16",
            "i4 i4 i4 i8 f8 i4 i4 i4 i8 f8 f8 f8 c16 c16",
            "i8 i8 i8 i8 f8 i8 i8 i8 i8 f8 f8 f8 c16 c16",
            "f2 f2 f4 f8 f8 f2 f4 f8 f8 f2 f4 f8 c8 c16",
            "f4 f4 f4 f8 f8 f4 f4 f8 f8 f4 f4 f8 c8 c16",
            "f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 c16 c16",
            "c8 c8 c8 c16 c16 c8 c8 c16 c16 c8 c8 c16 c8 c16",
            "c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16",
        ];
        let parse = |text: &str| text.parse::<Dtype>().unwrap();
        for (one, row) in types.split(' ').zip(table) {
            for (other, product) in types.split(' ').zip(row.split(' ')) {
                assert_eq!(promoted(parse(one), parse(other)), Some(parse(product)), "{one} {other}");
            }
            assert_eq!(promoted(parse("g"), parse(one)), None);
        }
    }
}
