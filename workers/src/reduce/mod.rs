//! Sum, mean, min, max and norm of an array of any real dtype that a .npy file can hold.
//!
//! The elements, in the order they lie in memory, are cut into blocks of [`BLOCK`]; [`block`] makes a [`Partial`] of each,
//! anywhere, and [`fold`] puts the partials together in block order. Neither knows how blocks were given to workers,
//! so the answer has the same bits for any number of them.
//!
//! How good the answers are:
//!
//! | | integers, booleans | floats |
//! |---|---|---|
//! | sum | exact, 128 bits: no wrap-around | what rounding lost is added back: about the nearest `f64` |
//! | mean | the `f64` nearest to the exact quotient | likewise |
//! | norm | root of the exact sum of squares | likewise; no overflow or underflow on the way |
//! | min, max | exact | exact; NaN if there is one; of zeros of both signs, either |
//!
//! NaN and infinities pass through as in NumPy. A sum that overflows `f64` on the way is infinite, as there. Answers over
//! `f2` and `f4` are `f64`: they are not rounded back.

mod axis;
mod columns;
mod extremum;
mod job;
mod kernel;
mod norm;
mod scan;
mod sum;
mod twofold;

use std::fmt;
use std::str::FromStr;

use parfork::{Dtype, DtypeKind};

pub use crate::kernel::Number;
pub use axis::{Lines, along, answer_dtype};
use extremum::{Ordered, extremum};
pub use job::run;
pub use kernel::{ReduceInputError, Reduction};
use scan::{Big, Little, Stored};
use twofold::Twofold;

/// Elements in a block; the last block of an array may have fewer. 512 KiB of `f64`: it stays in the second-level cache for
/// the second look that a norm sometimes takes.
pub const BLOCK: usize = 65_536;

/// What is computed of all elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Their sum; 0 of none.
    Sum,
    /// Their sum divided by their number.
    Mean,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The square root of the sum of their squares (L2); 0 of none.
    Norm,
}

impl Op {
    /// Its name, that of the command's subcommand.
    pub fn name(self) -> &'static str {
        match self {
            Op::Sum => "sum",
            Op::Mean => "mean",
            Op::Min => "min",
            Op::Max => "max",
            Op::Norm => "norm",
        }
    }

    /// Whether it is not defined for an array without elements.
    pub fn needs_elements(self) -> bool {
        !matches!(self, Op::Sum | Op::Norm)
    }
}

/// There is no reduction of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no reduction {0:?}. Use sum, mean, min, max or norm.")]
pub struct OpError(String);

impl FromStr for Op {
    type Err = OpError;

    fn from_str(name: &str) -> Result<Self, OpError> {
        let all = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Norm];
        all.into_iter().find(|op| op.name() == name).ok_or_else(|| OpError(name.to_owned()))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What [`block`] leaves of a block and [`fold`] takes: plain data, fit to lie in shared memory. All zeros is a partial of no
/// elements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Partial {
    /// An integer: low, high, 0. A float: bits, lost bits, scale. Squares of integers: low, high, carries.
    words: [u64; 3],
    /// 1, or 0 where there is no element to be the least or the greatest.
    some: u64,
}

impl Partial {
    const NONE: Partial = Partial { words: [0; 3], some: 0 };

    fn of_int(value: i128) -> Partial {
        Partial { words: [value as u64, (value >> 64) as u64, 0], some: 1 }
    }

    fn int(&self) -> i128 {
        i128::from(self.words[0]) | i128::from(self.words[1] as i64) << 64
    }

    fn of_float(value: f64) -> Partial {
        Partial::of_twofold(Twofold { sum: value, lost: 0.0 }, 0)
    }

    /// `value`, or for squares `value` * 4^`scale`.
    fn of_twofold(value: Twofold, scale: i64) -> Partial {
        Partial { words: [value.sum.to_bits(), value.lost.to_bits(), scale as u64], some: 1 }
    }

    fn twofold(&self) -> (Twofold, i64) {
        let [sum, lost] = [self.words[0], self.words[1]].map(f64::from_bits);
        (Twofold { sum, lost }, self.words[2] as i64)
    }

    fn of_squares(squares: norm::Squares) -> Partial {
        Partial { words: [squares.rest as u64, (squares.rest >> 64) as u64, squares.carries], some: 1 }
    }

    fn squares(&self) -> norm::Squares {
        let rest = u128::from(self.words[0]) | u128::from(self.words[1]) << 64;
        norm::Squares { rest, carries: self.words[2] }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReduceError {
    /// Mean, min or max of nothing.
    #[error("the {0} of 0 elements is not defined. Give an array with at least one element.")]
    Empty(Op),
    /// Bytes that do not come out even.
    #[error("{len} bytes are not whole elements of {size} bytes. Give a multiple of {size}.")]
    Bytes {
        /// How many there are.
        len: usize,
        /// How many an element has.
        size: usize,
    },
    /// Elements that are no real numbers of at most 8 bytes.
    #[error(
        "arrays of dtype '{0}' ({what}) cannot be reduced. Save real numbers of at most 8 bytes, in NumPy for example {remedy}.",
        what = if .0.kind() == DtypeKind::Complex { "complex numbers" } else { "long doubles" },
        remedy = if .0.kind() == DtypeKind::Complex { "abs(a) or a.real" } else { "a.astype('f8')" }
    )]
    Dtype(Dtype),
    /// An axis that there is not.
    #[error("there is no axis {axis} of {axes}. Give one from {} to {}.", -(*.axes as i64), *.axes as i64 - 1)]
    Axis {
        /// The one that was asked for.
        axis: i64,
        /// How many there are.
        axes: usize,
    },
    /// Where answers go that are many.
    #[error(
        "with --axis there are many answers, which need a file, and without it there is one, which is printed. Give both --axis and -o, or neither."
    )]
    Output,
    /// More elements than memory can have bytes.
    #[error("{0} elements are too many. Give a smaller number.")]
    TooMany(usize),
}

/// Whether such elements can be reduced.
fn reducible(dtype: Dtype) -> Result<(), ReduceError> {
    match dtype.kind() {
        DtypeKind::Complex => Err(ReduceError::Dtype(dtype)),
        _ if dtype.is_long_double() => Err(ReduceError::Dtype(dtype)),
        _ => Ok(()),
    }
}

/// Calls one of two functions with the type of elements.
macro_rules! by_type {
    ($dtype:ident, $integers:ident, $floats:ident, $arguments:tt) => {
        match ($dtype.kind(), $dtype.size(), $dtype.is_big_endian()) {
            (DtypeKind::Bool, 1, _) => $integers::<bool> $arguments,
            (DtypeKind::Int, 1, _) => $integers::<Little<i8>> $arguments,
            (DtypeKind::Int, 2, false) => $integers::<Little<i16>> $arguments,
            (DtypeKind::Int, 2, true) => $integers::<Big<i16>> $arguments,
            (DtypeKind::Int, 4, false) => $integers::<Little<i32>> $arguments,
            (DtypeKind::Int, 4, true) => $integers::<Big<i32>> $arguments,
            (DtypeKind::Int, 8, false) => $integers::<Little<i64>> $arguments,
            (DtypeKind::Int, 8, true) => $integers::<Big<i64>> $arguments,
            (DtypeKind::Uint, 1, _) => $integers::<Little<u8>> $arguments,
            (DtypeKind::Uint, 2, false) => $integers::<Little<u16>> $arguments,
            (DtypeKind::Uint, 2, true) => $integers::<Big<u16>> $arguments,
            (DtypeKind::Uint, 4, false) => $integers::<Little<u32>> $arguments,
            (DtypeKind::Uint, 4, true) => $integers::<Big<u32>> $arguments,
            (DtypeKind::Uint, 8, false) => $integers::<Little<u64>> $arguments,
            (DtypeKind::Uint, 8, true) => $integers::<Big<u64>> $arguments,
            (DtypeKind::Float, 2, false) => $floats::<Little<half::f16>> $arguments,
            (DtypeKind::Float, 2, true) => $floats::<Big<half::f16>> $arguments,
            (DtypeKind::Float, 4, false) => $floats::<Little<f32>> $arguments,
            (DtypeKind::Float, 4, true) => $floats::<Big<f32>> $arguments,
            (DtypeKind::Float, 8, false) => $floats::<Little<f64>> $arguments,
            (DtypeKind::Float, 8, true) => $floats::<Big<f64>> $arguments,
            _ => panic!("no numbers are of dtype {}", $dtype),
        }
    };
}

/// Reduces one block: `bytes` are at most [`BLOCK`] elements of `dtype`, at any alignment.
///
/// # Panics
///
/// When the bytes are not whole elements, or more than a block, or the dtype is complex or a long double.
pub fn block(op: Op, dtype: Dtype, bytes: &[u8]) -> Partial {
    assert!(
        bytes.len().is_multiple_of(dtype.size()) && bytes.len() / dtype.size() <= BLOCK,
        "{} bytes are not a block of {dtype}",
        bytes.len()
    );
    by_type!(dtype, of_integers, of_floats, (op, bytes))
}

/// Reduces columns, as many as there are partials, of at most [`BLOCK`] rows.
fn block_of_columns(op: Op, dtype: Dtype, rows: columns::Rows<'_>, to: &mut [Partial]) {
    use columns::{floats, integers};
    by_type!(dtype, integers, floats, (op, rows, to));
}

fn of_integers<S: Stored<Value: sum::Integer + Ordered + norm::Square>>(op: Op, bytes: &[u8]) -> Partial {
    match op {
        Op::Sum | Op::Mean => sum::integers::<S>(bytes),
        Op::Min => extremum::<S, false>(bytes),
        Op::Max => extremum::<S, true>(bytes),
        Op::Norm => norm::integers::<S>(bytes),
    }
}

fn of_floats<S: Stored<Value: sum::Float + Ordered>>(op: Op, bytes: &[u8]) -> Partial {
    match op {
        Op::Sum | Op::Mean => sum::floats::<S>(bytes),
        Op::Min => extremum::<S, false>(bytes),
        Op::Max => extremum::<S, true>(bytes),
        Op::Norm => norm::floats::<S>(bytes),
    }
}

/// Puts the partials of all blocks, in block order, together; `count` is the number of elements of the array.
///
/// # Errors
///
/// [`ReduceError::Empty`] for mean, min and max of no elements.
///
/// # Panics
///
/// When there are more or fewer partials than blocks.
///
/// ```
/// use parfork_workers::reduce::{self, Number, BLOCK, Op};
/// let data: Vec<f64> = (0..100_000).map(|i| f64::from(i) * 0.1).collect();
/// let dtype = "=f8".parse()?;
/// let blocks = data.chunks(BLOCK).map(|block| reduce::block(Op::Sum, dtype, bytemuck::cast_slice(block)));
/// let partials: Vec<_> = blocks.collect();
/// let sum = reduce::fold(Op::Sum, dtype, 100_000, &partials)?;
/// assert_eq!(sum.to_string(), "499995000.0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fold<'a>(
    op: Op,
    dtype: Dtype,
    count: u64,
    partials: impl IntoIterator<Item = &'a Partial>,
) -> Result<Number, ReduceError> {
    let mut blocks = 0;
    let answer = put_together(op, dtype, count, partials.into_iter().inspect(|_| blocks += 1))?;
    assert_eq!(blocks, count.div_ceil(BLOCK as u64), "partials of an array of {count} elements");
    Ok(answer)
}

/// As [`fold`], of blocks of any size.
fn put_together<'a>(
    op: Op,
    dtype: Dtype,
    count: u64,
    partials: impl Iterator<Item = &'a Partial>,
) -> Result<Number, ReduceError> {
    if count == 0 && op.needs_elements() {
        return Err(ReduceError::Empty(op));
    }
    Ok(match (dtype.kind(), op) {
        (DtypeKind::Float, Op::Sum) => Number::Float(total(partials).value()),
        (DtypeKind::Float, Op::Mean) => Number::Float(total(partials).over(count as f64)),
        (DtypeKind::Float, Op::Norm) => {
            let mut total = norm::Total::default();
            partials.map(Partial::twofold).for_each(|(squares, scale)| total.add(squares, scale));
            Number::Float(total.root())
        }
        (DtypeKind::Float, Op::Min | Op::Max) => {
            let pick = |one: f64, other: f64| match op {
                _ if one.is_nan() => one,
                Op::Min if one <= other => one,
                Op::Max if one >= other => one,
                _ => other,
            };
            let blocks = partials.filter(|partial| partial.some != 0).map(|partial| partial.twofold().0.sum);
            Number::Float(blocks.reduce(pick).ok_or(ReduceError::Empty(op))?)
        }
        (_, Op::Sum) => Number::Int(partials.map(Partial::int).sum()),
        (_, Op::Mean) => Number::Float(sum::quotient(partials.map(Partial::int).sum(), count)),
        (_, Op::Norm) => {
            let mut total = norm::Squares::default();
            partials.for_each(|partial| total.add(partial.squares()));
            Number::Float(total.twofold().sqrt())
        }
        (_, Op::Min | Op::Max) => {
            let blocks = partials.filter(|partial| partial.some != 0).map(Partial::int);
            Number::Int(if op == Op::Min { blocks.min() } else { blocks.max() }.ok_or(ReduceError::Empty(op))?)
        }
    })
}

/// The sum of floats.
fn total<'a>(partials: impl Iterator<Item = &'a Partial>) -> Twofold {
    let mut total = Twofold::default();
    partials.for_each(|partial| total.add(partial.twofold().0));
    total
}

#[cfg(test)]
mod tests;
