//! A reduction along one axis: an array of answers, one for each line of elements along that axis.

use std::ops::Range;

use bytemuck::Pod;
use ndarray::{ArrayView, Ix1, Ix2, ShapeBuilder};
use parfork::{Answers, Dtype, DtypeKind, Element, Error, Input, Job, Report, Shared, Split};

use super::columns::{self, Rows};
use super::{BLOCK, Number, Op, Partial, ReduceError, block, block_of_columns, put_together, reducible};
use crate::kernel::{Fact, Form, Output, Source, Step, Steps, Task};
use crate::text_arg::TextArg;

/// From so many lines on they are enough to share out: each is done by one worker, and its partial results are stored nowhere.
const MANY: usize = 16 << 10;

/// Bytes of lines that a slice of many has.
const PIECE: usize = 4 << 20;

/// Lines whose partial results are there at once, of many.
const SIDE_BY_SIDE: usize = 4096;

/// Elements of a block of few lines.
const ELEMENTS: usize = 1 << 19;

/// How an array in C order is walked along an axis: `outer` times `inner` lines of `len` elements, which lie `inner` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// How many positions the axes before that one have.
    pub outer: usize,
    /// How many elements a line has.
    pub len: usize,
    /// How many positions the axes behind it have.
    pub inner: usize,
}

impl Lines {
    /// The lines along axis `axis` of an array of this shape in C order.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn of(shape: &[usize], axis: usize) -> Self {
        let count = |axes: &[usize]| axes.iter().product();
        Self { outer: count(&shape[..axis]), len: shape[axis], inner: count(&shape[axis + 1..]) }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.outer * self.inner
    }

    /// As a body is told of them, and of what to do with them.
    fn told(&self, op: Op, dtype: Dtype) -> [TextArg; 5] {
        let [outer, len, inner] = [self.outer, self.len, self.inner].map(|number| TextArg::of(&number));
        [TextArg::of(&op), TextArg::of(&dtype), outer, len, inner]
    }

    /// How many elements of a line a block has, and how many blocks a line: by what the array is alone, whoever works on it.
    fn blocks(&self) -> (usize, usize) {
        let height = (ELEMENTS / self.inner.max(1)).clamp(64, BLOCK);
        (height, self.len.div_ceil(height))
    }

    /// Reduces rows of as many lines as there are partials, which lie side by side from a column on.
    fn reduce(&self, op: Op, dtype: Dtype, bytes: &[u8], at: (usize, Range<usize>, usize), to: &mut [Partial]) {
        let (before, rows, column) = at;
        let size = dtype.size();
        let from = |row: usize| ((before * self.len + row) * self.inner + column) * size;
        if rows.is_empty() || to.is_empty() {
            to.fill(Partial::NONE);
        } else if self.inner == 1 {
            to[0] = block(op, dtype, &bytes[from(rows.start)..from(rows.end)]);
        } else if self.inner >= columns::FEWEST {
            let bytes = &bytes[from(rows.start)..][..((rows.len() - 1) * self.inner + to.len()) * size];
            block_of_columns(op, dtype, Rows { bytes, stride: self.inner, count: rows.len() }, to);
        } else {
            let mut gathered = vec![0; to.len() * rows.len() * size];
            let row = |row: usize| &bytes[from(rows.start + row)..][..to.len() * size];
            match size {
                1 => gather::<1>(row, rows.len(), &mut gathered),
                2 => gather::<2>(row, rows.len(), &mut gathered),
                4 => gather::<4>(row, rows.len(), &mut gathered),
                _ => gather::<8>(row, rows.len(), &mut gathered),
            }
            let lines = gathered.chunks_exact(rows.len() * size);
            to.iter_mut().zip(lines).for_each(|(to, line)| *to = block(op, dtype, line));
        }
    }
}

/// The type of the answers: f64 of floats, means and norms; i64 or u64 of sums of integers; what the elements are of min and max.
pub fn answer_dtype(op: Op, dtype: Dtype) -> Dtype {
    match (op, dtype.kind()) {
        (Op::Min | Op::Max, _) => dtype.to_native(),
        (Op::Sum, DtypeKind::Uint) => u64::DTYPE,
        (Op::Sum, DtypeKind::Int | DtypeKind::Bool) => i64::DTYPE,
        _ => f64::DTYPE,
    }
}

/// Reduces each of the `lines` of the elements that `bytes` hold, in the order of memory, to one of [`answer_dtype`] in `answers`, which
/// have `S` bytes each.
///
/// ```
/// use parfork_workers::reduce::{self, Lines, Op};
/// use parfork::{Job, Shared};
/// // Columns of [[1, 2, 3], [10, 20, 30]].
/// let data = Shared::from_array(&ndarray::array![1_u8, 2, 3, 10, 20, 30])?;
/// let mut sums = Shared::<[u8; 8], _>::zeros(3)?;
/// reduce::along::<8>(Job::default(), Op::Sum, "|u1".parse()?, Lines::of(&[2, 3], 0), &data, &mut sums)?;
/// assert_eq!(sums.as_slice().iter().map(|sum| u64::from_ne_bytes(*sum)).collect::<Vec<_>>(), [11, 22, 33]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`run`](super::run); if a sum is more than its 64 bits hold; as [`Job::run`].
///
/// # Panics
/// If there are not as many elements as lines have, or answers as there are lines, or `S` is not their size.
pub fn along<'a, const S: usize>(
    job: Job<'_>,
    op: Op,
    dtype: Dtype,
    lines: Lines,
    bytes: impl Into<Input<'a, u8, Ix1>>,
    answers: &mut Shared<[u8; S], Ix1>,
) -> Result<Answers<()>, Error>
where
    [u8; S]: Pod,
{
    reducible(dtype).map_err(Error::kernel)?;
    let bytes = bytes.into();
    let there = (bytes.shape()[0], answers.shape()[0], S);
    let wanted = (lines.count() * lines.len * dtype.size(), lines.count(), answer_dtype(op, dtype).size());
    assert_eq!(there, wanted, "bytes, answers and bytes of each, and what {lines:?} of {dtype} have");
    if lines.len == 0 && lines.count() > 0 && op.needs_elements() {
        return Err(Error::kernel(ReduceError::Empty(op)));
    }
    if lines.count() < MANY {
        return by_table(job, op, dtype, lines, bytes, answers);
    }
    // Neighbouring lines lie in the same cache lines, and short ones are soon done.
    let piece = (PIECE / (lines.len.max(1) * dtype.size())).clamp(1024, 1 << 16);
    job.default_split(Split::rows().of(piece)).body_overwrites().lend((bytes, answers)).run_with(
        lines.told(op, dtype),
        |_, [op, dtype, outer, len, inner], (bytes, mut answers)| {
            let (op, dtype): (Op, Dtype) = (op.read(), dtype.read());
            let lines = Lines { outer: outer.read(), len: len.read(), inner: inner.read() };
            let bytes = bytes.to_slice().expect("a flat array is in one piece");
            let first = answers.rows().start;
            let mut done = 0;
            while done < answers.len() {
                // Lines that lie side by side.
                let (before, column) = ((first + done) / lines.inner, (first + done) % lines.inner);
                let count = (lines.inner - column).min(answers.len() - done).min(SIDE_BY_SIDE);
                let mut partials = vec![Partial::NONE; count * lines.len.div_ceil(BLOCK)];
                for (number, to) in partials.chunks_mut(count).enumerate() {
                    let rows = number * BLOCK..lines.len.min((number + 1) * BLOCK);
                    lines.reduce(op, dtype, bytes, (before, rows, column), to);
                }
                for at in 0..count {
                    let number = put_together(op, dtype, lines.len as u64, partials.iter().skip(at).step_by(count));
                    let stored = stored(number.map_err(|error| error.to_string())?, answer_dtype(op, dtype))?;
                    answers[done + at].copy_from_slice(&stored[..S]);
                }
                done += count;
            }
            Ok::<(), String>(())
        },
    )
}

/// As [`along`], of few lines: they may be long, so that each is cut into blocks, whose partial results make a table.
fn by_table<const S: usize>(
    job: Job<'_>,
    op: Op,
    dtype: Dtype,
    lines: Lines,
    bytes: Input<'_, u8, Ix1>,
    answers: &mut Shared<[u8; S], Ix1>,
) -> Result<Answers<()>, Error>
where
    [u8; S]: Pod,
{
    let (_, blocks) = lines.blocks();
    let mut table = Shared::<Partial, Ix2>::zeros((lines.outer * blocks, lines.inner))?;
    let done = job.body_overwrites().lend((bytes, &mut table)).run_with(
        lines.told(op, dtype),
        |_, [op, dtype, outer, len, inner], (bytes, mut slice)| {
            let (op, dtype): (Op, Dtype) = (op.read(), dtype.read());
            let lines = Lines { outer: outer.read(), len: len.read(), inner: inner.read() };
            let (height, blocks) = lines.blocks();
            let bytes = bytes.to_slice().expect("a flat array is in one piece");
            let (first, column) = (slice.rows().start, slice.cols().start);
            let mut partials = vec![Partial::NONE; slice.ncols()];
            for (row, mut to) in slice.outer_iter_mut().enumerate() {
                let (before, number) = ((first + row) / blocks, (first + row) % blocks);
                let rows = number * height..lines.len.min((number + 1) * height);
                lines.reduce(op, dtype, bytes, (before, rows, column), &mut partials);
                to.iter_mut().zip(&partials).for_each(|(to, partial)| *to = *partial);
            }
        },
    )?;
    let (table, to) = (table.as_slice(), answers.as_mut_slice());
    for (line, to) in to.iter_mut().enumerate() {
        let (before, column) = (line / lines.inner, line % lines.inner);
        let partials = table[before * blocks * lines.inner..][..blocks * lines.inner].iter();
        let partials = partials.skip(column).step_by(lines.inner);
        // Of a job of one slice most have not been looked at.
        if lines.len > 0 && partials.clone().all(|partial| partial.some == 0) {
            continue;
        }
        let number = put_together(op, dtype, lines.len as u64, partials);
        let stored = stored(number.map_err(Error::kernel)?, answer_dtype(op, dtype)).map_err(Error::kernel)?;
        to.copy_from_slice(&stored[..S]);
    }
    Ok(done)
}

/// Puts `rows` rows of elements of `S` bytes into columns: each line in one piece. By bands of eight rows, so that what is written
/// is a piece of a line as well.
fn gather<'b, const S: usize>(from: impl Fn(usize) -> &'b [u8], rows: usize, to: &mut [u8]) {
    const BAND: usize = 8;
    let to = to.as_chunks_mut::<S>().0;
    let row_of = |row: usize| from(row).as_chunks::<S>().0;
    let whole = rows - rows % BAND;
    for first in (0..whole).step_by(BAND) {
        let band: [&[[u8; S]]; BAND] = std::array::from_fn(|row| row_of(first + row));
        for column in 0..band[0].len() {
            let piece: [[u8; S]; BAND] = std::array::from_fn(|row| band[row][column]);
            to[column * rows + first..][..BAND].copy_from_slice(&piece);
        }
    }
    for row in whole..rows {
        for (column, element) in row_of(row).iter().enumerate() {
            to[column * rows + row] = *element;
        }
    }
}

/// An answer as an element of such a type, in as many of the bytes as that has.
fn stored(number: Number, dtype: Dtype) -> Result<[u8; 8], String> {
    let mut bytes = [0; 8];
    let mut put = |element: &[u8]| bytes[..element.len()].copy_from_slice(element);
    let too_large =
        |_| format!("the sum {number} is more than its type {dtype} holds. Sum the elements as floats, a.astype('f8')");
    match (number, dtype.kind(), dtype.size()) {
        (Number::Float(value), _, 2) => put(&half::f16::from_f64(value).to_ne_bytes()),
        (Number::Float(value), _, 4) => put(&(value as f32).to_ne_bytes()),
        (Number::Float(value), ..) => put(&value.to_ne_bytes()),
        (Number::Int(value), DtypeKind::Uint, 8) => put(&u64::try_from(value).map_err(too_large)?.to_ne_bytes()),
        // The least and the greatest are elements, which fit; the first bytes of a number are its low ones, or are taken from behind.
        (Number::Int(value), _, size) => {
            let value = i64::try_from(value).map_err(too_large)?.to_ne_bytes();
            put(if cfg!(target_endian = "little") { &value[..size] } else { &value[8 - size..] });
        }
    }
    Ok(bytes)
}

/// A reduction along an axis as a task.
pub(super) struct AlongAxis<const S: usize> {
    pub(super) op: Op,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) axis: usize,
    /// Whether `lines` are those of the transpose in C order, as those of an array in Fortran order are.
    pub(super) reversed: bool,
    pub(super) lines: Lines,
    pub(super) bytes: Source<u8, Ix1>,
}

impl<const S: usize> AlongAxis<S> {
    /// The shape of the answers.
    fn rest(&self) -> Vec<usize> {
        [&self.shape[..self.axis], &self.shape[self.axis + 1..]].concat()
    }
}

impl<const S: usize> Task for AlongAxis<S>
where
    [u8; S]: Pod,
{
    fn line(&self) -> String {
        format!("{} of {:?} {} along axis {}", self.op, self.shape, self.dtype, self.axis)
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        vec![
            ("dtype", self.dtype.to_string().into()),
            ("shape", self.shape[..].into()),
            ("axis", self.axis.into()),
            ("output_dtype", answer_dtype(self.op, self.dtype).to_string().into()),
        ]
    }

    fn form(&self) -> Form {
        Form::Array { dtype: answer_dtype(self.op, self.dtype), shape: self.rest() }
    }

    fn output(&self) -> Result<Output, Error> {
        Output::array::<[u8; S], Ix1>(self.lines.count())
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let job = jobs(Step::only(self.op.name()));
        let answers = output.array_mut::<[u8; S], Ix1>();
        let done = along::<S>(job, self.op, self.dtype, self.lines, self.bytes.input(), answers)?;
        if self.reversed && self.shape.len() > 2 {
            let as_made = ArrayView::from_shape(self.rest().f(), answers.as_slice()).map_err(Error::kernel)?;
            let in_c_order: Vec<_> = as_made.iter().copied().collect();
            answers.as_mut_slice().copy_from_slice(&in_c_order);
        }
        Ok(vec![done.report().clone()])
    }
}

#[cfg(test)]
mod tests;
