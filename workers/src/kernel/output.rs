//! What comes out of a kernel, and what is told of it.

use std::any::Any;
use std::fmt;

use bytemuck::Pod;
use ndarray::{Dimension, IntoDimension, Ix3};
use parfork::{Dtype, Element, Error, Shared};

use crate::picture::Picture;

/// What comes out, before there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// An array, in C order.
    Array {
        /// The type of its elements.
        dtype: Dtype,
        /// The lengths of its axes.
        shape: Vec<usize>,
    },
    /// A picture.
    Picture {
        /// Rows, columns, channels.
        shape: [usize; 3],
        /// Bits of a sample.
        bits: u32,
    },
    /// A number.
    Number,
}

impl Form {
    /// An array of elements `T`.
    pub fn array<T: Element>(shape: &[usize]) -> Self {
        Self::Array { dtype: T::DTYPE, shape: shape.to_vec() }
    }
}

/// What comes out.
pub enum Output {
    /// An array, in C order.
    Array(Box<dyn Cells>),
    /// A picture.
    Picture(Picture),
    /// A number, once the job has run.
    Number(Option<Number>),
}

/// An array of any type.
pub trait Cells: Any {
    /// Its elements' bytes, in the order of memory.
    fn bytes(&self) -> &[u8];

    /// Bytes of an element.
    fn item_size(&self) -> usize;
}

impl<T: Pod, D: Dimension + 'static> Cells for Shared<T, D> {
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.as_slice())
    }

    fn item_size(&self) -> usize {
        size_of::<T>()
    }
}

impl Output {
    /// An array of zeros.
    ///
    /// # Errors
    /// As [`Shared::zeros`].
    pub fn array<T: Pod, D: Dimension + 'static>(shape: impl IntoDimension<Dim = D>) -> Result<Self, Error> {
        Ok(Self::Array(Box::new(Shared::<T, D>::zeros(shape)?)))
    }

    /// A black picture.
    ///
    /// # Errors
    /// As [`Shared::zeros`].
    pub fn picture(shape: [usize; 3], bits: u32) -> Result<Self, Error> {
        Ok(Self::Picture(match bits {
            8 => Picture::U8(Shared::<u8, Ix3>::zeros(shape)?),
            _ => Picture::U16(Shared::<u16, Ix3>::zeros(shape)?),
        }))
    }

    /// The array that it is.
    ///
    /// # Panics
    /// If it is another.
    pub fn array_mut<T: Pod, D: Dimension + 'static>(&mut self) -> &mut Shared<T, D> {
        let Self::Array(cells) = self else { panic!("this output is no array") };
        let cells: &mut dyn Any = &mut **cells;
        cells.downcast_mut().expect("a task is given the output that it made")
    }

    /// The bytes of all elements of an array or a picture, and of each.
    pub fn bytes(&self) -> (&[u8], usize) {
        match self {
            Self::Array(cells) => (cells.bytes(), cells.item_size()),
            Self::Picture(Picture::U8(samples)) => (samples.bytes(), 1),
            Self::Picture(Picture::U16(samples)) => (samples.bytes(), 2),
            Self::Number(_) => (&[], 1),
        }
    }

    /// How it differs from what the serial engine left, if it does.
    pub fn differs_from(&self, serial: &Self) -> Option<String> {
        if let (Self::Number(Some(number)), Self::Number(Some(serial))) = (self, serial) {
            let what = format!("the answer {number} differs from the serial answer {serial}");
            return (!number.same_bits(*serial)).then_some(what);
        }
        let ((ours, item_size), (theirs, _)) = (self.bytes(), serial.bytes());
        difference(ours, theirs, item_size)
    }
}

/// How elements of so many bytes differ from those that the serial engine left, if they do.
pub fn difference(ours: &[u8], serial: &[u8], item_size: usize) -> Option<String> {
    if ours == serial {
        return None;
    }
    let pairs = ours.chunks(item_size).zip(serial.chunks(item_size));
    let differing: Vec<usize> =
        pairs.enumerate().filter(|(_, (ours, serial))| ours != serial).map(|(at, _)| at).collect();
    let (count, all) = (differing.len(), serial.len() / item_size);
    let first = differing.first().copied().unwrap_or(ours.len().min(serial.len()) / item_size);
    Some(format!("{count} of {all} elements differ from the serial result, the first at element {first}"))
}

/// A number that comes out.
///
/// Shown as Python would: integers without a point, floats with the fewest digits that read back as the same number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Sum, min or max of integers or booleans.
    Int(i128),
    /// Anything of floats; mean or norm of integers.
    Float(f64),
}

impl Number {
    /// The answer as the nearest `f64`.
    pub fn to_f64(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float(value) => value,
        }
    }

    /// Whether it is the same to the last bit.
    pub fn same_bits(self, other: Self) -> bool {
        match (self, other) {
            (Number::Int(one), Number::Int(other)) => one == other,
            (Number::Float(one), Number::Float(other)) => one.to_bits() == other.to_bits(),
            _ => false,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(value) => value.fmt(f),
            Number::Float(value) if value.is_nan() => f.write_str("nan"),
            Number::Float(value) => write!(f, "{value:?}"),
        }
    }
}

/// Something told of a task, for programs.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A text.
    Text(String),
    /// A number of things.
    Whole(u64),
    /// Another number.
    Real(f64),
    /// Several.
    List(Vec<Fact>),
}

macro_rules! facts {
    ($($from:ty: $kind:ident($value:ident) $made:expr),+ $(,)?) => {$(
        impl From<$from> for Fact {
            fn from($value: $from) -> Self {
                Self::$kind($made)
            }
        }
    )+};
}

facts! {
    String: Text(text) text,
    &str: Text(text) text.to_owned(),
    usize: Whole(number) number as u64,
    u32: Whole(number) number.into(),
    u64: Whole(number) number,
    f64: Real(number) number,
}

impl<T: Clone + Into<Fact>> From<&[T]> for Fact {
    fn from(several: &[T]) -> Self {
        Self::List(several.iter().cloned().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_by_elements() {
        let output = |cells: &[u32]| {
            Output::Array(Box::new(Shared::from_array(&ndarray::Array1::from(cells.to_vec())).unwrap()))
        };
        assert_eq!(output(&[1, 2, 3]).differs_from(&output(&[1, 2, 3])), None);
        let differs = output(&[1, 2, 3]).differs_from(&output(&[1, 258, 259])).unwrap();
        assert_eq!(differs, "2 of 3 elements differ from the serial result, the first at element 1");
        let number = |number: f64| Output::Number(Some(Number::Float(number)));
        assert_eq!(number(f64::NAN).differs_from(&number(f64::NAN)), None);
        assert!(number(0.0).differs_from(&number(-0.0)).unwrap().contains("0.0 differs from the serial answer -0.0"));
        assert_eq!(Output::Number(None).differs_from(&Output::Number(None)), None);
    }
}
