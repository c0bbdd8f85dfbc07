//! A reduction as a job: what is cut is the table of partial results, so a cut changes who works and nothing else.

use ndarray::{Ix1, Ix2};

use super::{BLOCK, Number, Op, Partial, ReduceError, block, fold, reducible};
use crate::text_arg::TextArg;
use parfork::{Answers, Dtype, Error, Input, Job, Shared};

/// Blocks in a row of the table of partial results.
const ACROSS: usize = 16;

/// Reduces the elements that `bytes` hold, in the order of memory.
///
/// The job's output is a table of partial results, 16 to a row, one for each [`BLOCK`] elements; the job's split
/// cuts that table. The answer has the same bits for every split, schedule, engine and number of workers.
///
/// ```
/// use parfork_workers::reduce::{self, Number, Op};
/// use parfork::{Job, Shared};
/// let data = Shared::from_array(&ndarray::Array1::<u8>::from_elem(1_000_000, 3))?;
/// let (sum, _) = reduce::run(Job::default(), Op::Sum, "|u1".parse()?, &data)?;
/// assert_eq!(sum, Number::Int(3_000_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// For mean, min and max of no elements; for complex numbers and long doubles; for bytes that are not whole elements; and as [`Job::run`].
pub fn run<'a>(
    job: Job<'_>,
    op: Op,
    dtype: Dtype,
    bytes: impl Into<Input<'a, u8, Ix1>>,
) -> Result<(Number, Answers<()>), Error> {
    reducible(dtype).map_err(Error::kernel)?;
    let bytes = bytes.into();
    let len = bytes.shape()[0];
    if !len.is_multiple_of(dtype.size()) {
        return Err(Error::kernel(ReduceError::Bytes { len, size: dtype.size() }));
    }
    let count = len / dtype.size();
    let blocks = count.div_ceil(BLOCK);
    if blocks == 0 && op.needs_elements() {
        return Err(Error::kernel(ReduceError::Empty(op)));
    }
    let mut table = Shared::<Partial, Ix2>::zeros((blocks.div_ceil(ACROSS), ACROSS.min(blocks)))?;
    let told = [TextArg::of(&op), TextArg::of(&dtype)];
    let done =
        job.body_overwrites().lend((bytes, &mut table)).run_with(told, |_, [op, dtype], (bytes, mut slice)| {
            let (op, dtype): (Op, Dtype) = (op.read(), dtype.read());
            let blocks = (bytes.len() / dtype.size()).div_ceil(BLOCK);
            let bytes = bytes.to_slice().expect("a flat array is in one piece");
            let (first_row, first_col) = (slice.rows().start, slice.cols().start);
            for ((row, col), partial) in slice.indexed_iter_mut() {
                let number = (first_row + row) * ACROSS + first_col + col;
                if number < blocks {
                    let start = number * BLOCK * dtype.size();
                    *partial = block(op, dtype, &bytes[start..bytes.len().min(start + BLOCK * dtype.size())]);
                }
            }
        })?;
    let answer = fold(op, dtype, count as u64, &table.as_slice()[..blocks]);
    Ok((answer.map_err(Error::kernel)?, done))
}
