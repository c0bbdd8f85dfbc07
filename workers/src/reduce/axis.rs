//! A reduction along one axis: an array of answers, one for each line of elements along that axis.

use std::ops::Range;

use bytemuck::Pod;
use ndarray::Ix1;
use parfork::{Answers, Dtype, DtypeKind, Element, Error, Input, Job, Report, Shared, Split};

use super::{BLOCK, Number, Op, Partial, ReduceError, block, fold, reducible};
use crate::kernel::{Fact, Form, Output, Source, Step, Steps, Task};
use crate::text_arg::TextArg;

/// Bytes of lines that are gathered at once: they stay in the second-level cache.
const GATHERED: usize = 256 << 10;

/// Lines that are gathered at once at least: of each row several cache lines, which are fetched ahead.
const FEWEST: usize = 64;

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
    let told = [TextArg::of(&op), TextArg::of(&dtype), TextArg::of(&lines.len), TextArg::of(&lines.inner)];
    // Neighbouring lines lie in the same cache lines, and short ones are soon done.
    let piece = (GATHERED / (lines.len.max(1) * dtype.size())).clamp(64, 1 << 16);
    job.default_split(Split::rows().of(piece)).body_overwrites().lend((bytes, answers)).run_with(
        told,
        |_, [op, dtype, len, inner], (bytes, mut answers)| {
            let (op, dtype): (Op, Dtype) = (op.read(), dtype.read());
            let bytes = bytes.to_slice().expect("a flat array is in one piece");
            let lines = answers.rows();
            reduce_lines(op, dtype, (len.read(), inner.read()), bytes, lines, |at, number| {
                let bytes = stored(number, answer_dtype(op, dtype))?;
                answers[at].copy_from_slice(&bytes[..S]);
                Ok(())
            })
        },
    )
}

/// Reduces these lines of `len` elements that lie `inner` apart, and hands out each one's place among them and its answer.
fn reduce_lines(
    op: Op,
    dtype: Dtype,
    (len, inner): (usize, usize),
    bytes: &[u8],
    lines: Range<usize>,
    mut answer: impl FnMut(usize, Number) -> Result<(), String>,
) -> Result<(), String> {
    let size = dtype.size();
    // A block of each line at a time, with the same borders whoever has it.
    let longest = len.min(BLOCK);
    let most = (GATHERED / (longest.max(1) * size)).max(FEWEST);
    let (mut gathered, mut partials) = (Vec::new(), Vec::new());
    let mut line = lines.start;
    while line < lines.end {
        // Lines that lie side by side.
        let (before, column) = (line / inner, line % inner);
        let count = most.min(inner - column).min(lines.end - line);
        let blocks = len.div_ceil(BLOCK);
        partials.clear();
        partials.resize(count * blocks, Partial::NONE);
        for number in 0..blocks {
            let rows = number * BLOCK..len.min((number + 1) * BLOCK);
            let at = |row: usize| ((before * len + row) * inner + column) * size;
            let bytes = match inner {
                1 => &bytes[at(rows.start)..][..rows.len() * size],
                _ => {
                    gathered.resize(count * rows.len() * size, 0);
                    let from = |row: usize| &bytes[at(rows.start + row)..][..count * size];
                    match size {
                        1 => gather::<1>(from, rows.len(), &mut gathered),
                        2 => gather::<2>(from, rows.len(), &mut gathered),
                        4 => gather::<4>(from, rows.len(), &mut gathered),
                        _ => gather::<8>(from, rows.len(), &mut gathered),
                    }
                    &gathered[..]
                }
            };
            for (at, line) in bytes.chunks_exact(rows.len() * size).enumerate() {
                partials[at * blocks + number] = block(op, dtype, line);
            }
        }
        for at in 0..count {
            let number = fold(op, dtype, len as u64, &partials[at * blocks..][..blocks]);
            answer(line - lines.start + at, number.map_err(|error| error.to_string())?)?;
        }
        line += count;
    }
    Ok(())
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
    pub(super) lines: Lines,
    pub(super) bytes: Source<u8, Ix1>,
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
        let shape = [&self.shape[..self.axis], &self.shape[self.axis + 1..]].concat();
        Form::Array { dtype: answer_dtype(self.op, self.dtype), shape }
    }

    fn output(&self) -> Result<Output, Error> {
        Output::array::<[u8; S], Ix1>(self.lines.count())
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let job = jobs(Step::only(self.op.name()));
        let done = along::<S>(job, self.op, self.dtype, self.lines, self.bytes.input(), output.array_mut())?;
        Ok(vec![done.report().clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, Axis, Zip};
    use parfork::Engine;

    const OPS: [Op; 5] = [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Norm];

    /// The answers of one cut, as bytes.
    fn answers<const S: usize>(
        op: Op,
        dtype: Dtype,
        lines: Lines,
        data: &[u8],
        split: Split,
    ) -> Result<Vec<[u8; S]>, Error>
    where
        [u8; S]: Pod,
    {
        let data = Shared::from_array(&ndarray::ArrayView1::from(data))?;
        let mut answers = Shared::<[u8; S], _>::zeros(lines.count())?;
        let job = Job::default().runner(Engine::Serial).split(split);
        along::<S>(job, op, dtype, lines, &data, &mut answers)?;
        Ok(answers.as_slice().to_vec())
    }

    fn floats(shape: (usize, usize, usize)) -> Array3<f64> {
        let mut rng = fastrand::Rng::with_seed(7);
        Array3::from_shape_simple_fn(shape, || rng.f64() - 0.3)
    }

    /// What ndarray's own folds give, along each axis; the same bits for every cut.
    #[test]
    fn answers_are_those_of_a_fold() {
        for shape in [(5, 7, 11), (1, 1, 1), (3, 1, 40), (1, 65_541, 2), (4, 0, 2), (0, 3, 2), (2, 30, 70)] {
            let array = floats(shape);
            let bytes = bytemuck::cast_slice(array.as_slice().unwrap());
            // Lines of more than a block take their time.
            let is_long = shape.1 > BLOCK;
            let (axes, ops) = if is_long { (1..2, &OPS[1..3]) } else { (0..3, &OPS[..]) };
            for (axis, op) in axes.flat_map(|axis| ops.iter().map(move |&op| (axis, op))) {
                let lines = Lines::of(array.shape(), axis);
                let [all, few, one] = [Split::rows(), Split::rows().of(5), Split::rows().into_pieces(1)]
                    .map(|split| answers::<8>(op, f64::DTYPE, lines, bytes, split));
                if lines.len == 0 && lines.count() > 0 && op.needs_elements() {
                    assert!(one.unwrap_err().to_string().contains("of 0 elements"));
                    continue;
                }
                let (all, one) = (all.unwrap(), one.unwrap());
                assert_eq!((&all, few.unwrap()), (&one, one.clone()), "{shape:?} {axis} {op}");
                let count = lines.len as f64;
                let naive = array.map_axis(Axis(axis), |line| match op {
                    Op::Sum => line.sum(),
                    Op::Mean => line.sum() / count,
                    Op::Min => line.fold(f64::INFINITY, |one, &other| one.min(other)),
                    Op::Max => line.fold(f64::NEG_INFINITY, |one, &other| one.max(other)),
                    Op::Norm => line.fold(0.0, |sum, number| sum + number * number).sqrt(),
                });
                Zip::from(&naive.flatten()).and(&ndarray::Array1::from(one)).for_each(|naive, one| {
                    let one = f64::from_ne_bytes(*one);
                    assert!((naive - one).abs() <= 1e-9 * count.max(1.0), "{shape:?} {axis} {op}: {one}, not {naive}");
                });
            }
        }
    }

    #[test]
    fn integers_are_exact_and_have_types_of_their_own() {
        let numbers: Vec<i16> = (0..6 * 50).map(|number| (number * 7919 % 65_536) as u16 as i16).collect();
        let of = |axis| Lines::of(&[6, 50], axis);
        let (dtype, bytes) = (i16::DTYPE, bytemuck::cast_slice(&numbers));
        let sums = answers::<8>(Op::Sum, dtype, of(0), bytes, Split::rows()).unwrap();
        let least = answers::<2>(Op::Min, dtype, of(1), bytes, Split::rows()).unwrap();
        for (column, sum) in sums.into_iter().enumerate() {
            let naive: i64 = (0..6).map(|row| i64::from(numbers[row * 50 + column])).sum();
            assert_eq!(i64::from_ne_bytes(sum), naive);
        }
        for (row, least) in least.into_iter().enumerate() {
            assert_eq!(Some(&i16::from_ne_bytes(least)), numbers[row * 50..][..50].iter().min());
        }
        let [flags, large] = [vec![1_u8, 0, 1, 1], [u64::MAX; 2].map(u64::to_ne_bytes).concat()];
        let flags = answers::<1>(Op::Max, "?".parse().unwrap(), Lines::of(&[2, 2], 0), &flags, Split::rows()).unwrap();
        assert_eq!(flags, [[1], [1]]);
        let once = answers::<8>(Op::Sum, u64::DTYPE, Lines::of(&[1, 2], 0), &large, Split::rows()).unwrap();
        assert_eq!(once, [u64::MAX.to_ne_bytes(); 2]);
        let error = answers::<8>(Op::Sum, u64::DTYPE, Lines::of(&[2, 1], 0), &large, Split::rows()).unwrap_err();
        assert!(error.to_string().contains("36893488147419103230 is more than its type"), "{error}");
    }
}
