//! The transpose of a matrix of any elements: B\[j, i\] = A\[i, j\], in C order.
//!
//! Elements are moved as they are, so that their type is of no matter, only their size. Squares go through a copy that stays in
//! the first-level cache: what is read lies in rows of A and what is written in rows of B, and where rows are some power of two
//! apart, the elements of a column do not fight for a few places in the cache.

use std::ops::Range;
use std::path::PathBuf;

use bytemuck::Pod;
use ndarray::{ArrayView2, ArrayViewMut2, Ix1, Ix2, ShapeBuilder, s};

use crate::kernel::{Arg, ArgValues, Fact, Files, Form, Kernel, KernelError, Output, Sizes, Source, Step, Steps, Task};
use parfork::{Answers, Dtype, Element, Error, Input, Job, Order, Report, Shared, Slice, Split};

/// Computes B\[`rows`, `cols`\] of the transpose B of `a` into `out`.
///
/// # Panics
/// When the region is not inside B, or `out` has another shape than it.
///
/// ```
/// use ndarray::{Array2, array};
/// let mut right = Array2::zeros((3, 1));
/// parfork_workers::transpose::block(array![[1, 2, 3], [4, 5, 6]].view(), 0..3, 1..2, right.view_mut());
/// assert_eq!(right, array![[4], [5], [6]]);
/// ```
pub fn block<T: Pod>(a: ArrayView2<T>, rows: Range<usize>, cols: Range<usize>, mut out: ArrayViewMut2<T>) {
    let a = a.slice(s![cols, rows]);
    assert_eq!(out.dim(), (a.ncols(), a.nrows()), "the shape of the region's output");
    let from: Option<Vec<&[T]>> = a.rows().into_iter().map(|row| row.to_slice()).collect();
    let to: Option<Vec<&mut [T]>> = out.rows_mut().into_iter().map(|row| row.into_slice()).collect();
    match (from, to) {
        // 256 bytes of a row.
        (Some(from), Some(mut to)) => match size_of::<T>() {
            0..=4 => squares::<T, 64>(&from, &mut to),
            5..=8 => squares::<T, 32>(&from, &mut to),
            9..=16 => squares::<T, 16>(&from, &mut to),
            _ => squares::<T, 8>(&from, &mut to),
        },
        // It lies there as it is to be written, or with odd strides.
        _ => out.assign(&a.t()),
    }
}

/// Transposes squares of so many elements a side, and what is left at the edges.
fn squares<T: Pod, const SIDE: usize>(from: &[&[T]], to: &mut [&mut [T]]) {
    let mut square = [[T::zeroed(); SIDE]; SIDE];
    for (strip, from) in from.chunks(SIDE).enumerate() {
        let down = strip * SIDE..strip * SIDE + from.len();
        for (strip, to) in to.chunks_mut(SIDE).enumerate() {
            let across = strip * SIDE..strip * SIDE + to.len();
            for (line, row) in square.iter_mut().zip(from) {
                line[..across.len()].copy_from_slice(&row[across.clone()]);
            }
            for (col, row) in to.iter_mut().enumerate() {
                let row = &mut row[down.clone()];
                // As many as the compiler knows, for all but the edges.
                match <&mut [T; SIDE]>::try_from(&mut *row) {
                    Ok(row) => row.iter_mut().zip(&square).for_each(|(to, line)| *to = line[col]),
                    Err(_) => row.iter_mut().zip(&square).for_each(|(to, line)| *to = line[col]),
                }
            }
        }
    }
}

/// Bytes, or a result, that are not of the shape of the matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{bytes} bytes as a {m}x{n} matrix of elements of {element} bytes cannot be transposed to one of shape {to:?}. Give {} bytes and a \
     result of {n}x{m}.",
    .shape[0] * .shape[1] * .element, m = .shape[0], n = .shape[1]
)]
pub struct TransposeError {
    /// The bytes there are.
    pub bytes: usize,
    /// Rows and columns of the matrix.
    pub shape: [usize; 2],
    /// Bytes of an element.
    pub element: usize,
    /// The shape of the result.
    pub to: Vec<usize>,
}

/// A file whose array cannot be transposed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransposeInputError {
    /// It has not two axes.
    #[error(
        "{} has {} axes (shape {shape:?}), and a matrix has 2. Reshape it with NumPy: a.reshape(m, n).", .path.display(), .shape.len()
    )]
    Axes {
        /// The file.
        path: PathBuf,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Elements of a size that none has.
    #[error("elements of {size} bytes are not known here. Use another type.")]
    Element {
        /// How many bytes each has.
        size: usize,
    },
}

/// Tiles unless the job says otherwise: some megabytes to read and as many to write.
const TILE: usize = 512;

/// Transposes the `shape` matrix of elements of `S` bytes that `bytes` holds in an `order`.
///
/// # Errors
/// If there are more or fewer bytes, or `result` has another shape than the transpose; and as [`Job::run`].
pub fn run<'a, const S: usize>(
    job: Job<'_>,
    shape: [usize; 2],
    order: Order,
    bytes: impl Into<Input<'a, u8, Ix1>>,
    result: &mut Shared<[u8; S], Ix2>,
) -> Result<Answers<()>, Error>
where
    [u8; S]: Pod,
{
    let (bytes, [m, n]) = (bytes.into(), shape);
    if bytes.shape()[0] != m * n * S || result.shape() != [n, m] {
        let (bytes, to) = (bytes.shape()[0], result.shape().to_vec());
        return Err(Error::kernel(TransposeError { bytes, shape, element: S, to }));
    }
    let told = [m as u64, n as u64, u64::from(order == Order::F)];
    job.default_split(Split::tiles(TILE, TILE)).body_overwrites().lend((bytes, result)).run_with(
        told,
        |_, [m, n, fortran], (bytes, slice): (_, Slice<[u8; S], Ix2>)| {
            let bytes: ndarray::ArrayView1<u8> = bytes;
            let elements = bytemuck::cast_slice(bytes.to_slice().expect("a flat array is in one piece"));
            let shape = (m as usize, n as usize).set_f(fortran == 1);
            let a = ArrayView2::from_shape(shape, elements).expect("as many elements as the coordinator has counted");
            block(a, slice.rows(), slice.cols(), slice.into_view());
        },
    )
}

/// `transpose`.
pub struct Transpose;

impl Kernel for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn summary(&self) -> &'static str {
        "Transpose a matrix"
    }

    fn notes(&self) -> String {
        "Example:
  parfork transpose a.npy -o b.npy -n 4 --verify

Every type of numbers that .npy has, C or Fortran order. The transpose has the same type and is written in C order."
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::input_array("input", "INPUT", "Matrix, m x n (.npy)"),
                Arg::output_array("Where the transpose goes, n x m (.npy)"),
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[4096, 4096], lengths: &[2], form: "MxN", example: "4096x1024" }
    }

    fn open(&self, given: &ArgValues, files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        let path = given.path("input");
        let (header, bytes) = files.bytes(path)?;
        let &[m, n] = &header.shape[..] else {
            let (path, shape) = (path.to_owned(), header.shape);
            return Err(KernelError::input(TransposeInputError::Axes { path, shape }));
        };
        task(header.dtype, [m, n], header.order, bytes)
    }

    fn made_up(
        &self,
        _given: &ArgValues,
        size: &[usize],
        noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        let (m, n) = (size[0], size[1]);
        let mut elements = Shared::<u8, _>::zeros((m, n, 8))?.into_shape(m * n * 8)?;
        elements.as_mut_slice().as_chunks_mut().0.iter_mut().for_each(|cell| *cell = noise().to_le_bytes());
        task(f64::DTYPE, [m, n], Order::C, Source::Read(elements))
    }
}

fn task(dtype: Dtype, shape: [usize; 2], order: Order, bytes: Source<u8, Ix1>) -> Result<Box<dyn Task>, KernelError> {
    let matrix = Matrix { dtype, shape, order, bytes };
    Ok(match dtype.size() {
        1 => Box::new(TransposeTask::<1>(matrix)),
        2 => Box::new(TransposeTask::<2>(matrix)),
        4 => Box::new(TransposeTask::<4>(matrix)),
        8 => Box::new(TransposeTask::<8>(matrix)),
        12 => Box::new(TransposeTask::<12>(matrix)),
        16 => Box::new(TransposeTask::<16>(matrix)),
        24 => Box::new(TransposeTask::<24>(matrix)),
        32 => Box::new(TransposeTask::<32>(matrix)),
        size => {
            return Err(KernelError::input(TransposeInputError::Element { size }));
        }
    })
}

struct Matrix {
    dtype: Dtype,
    shape: [usize; 2],
    order: Order,
    bytes: Source<u8, Ix1>,
}

/// One whose elements have `S` bytes.
struct TransposeTask<const S: usize>(Matrix);

impl<const S: usize> Task for TransposeTask<S>
where
    [u8; S]: Pod,
{
    fn line(&self) -> String {
        let Matrix { dtype, shape: [m, n], .. } = &self.0;
        format!("transpose of {m}x{n} {dtype}")
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        vec![("dtype", self.0.dtype.to_string().into()), ("shape", self.0.shape[..].into())]
    }

    fn form(&self) -> Form {
        let [m, n] = self.0.shape;
        Form::Array { dtype: self.0.dtype, shape: vec![n, m] }
    }

    fn output(&self) -> Result<Output, Error> {
        let [m, n] = self.0.shape;
        Output::array::<[u8; S], Ix2>((n, m))
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let Matrix { shape, order, bytes, .. } = &self.0;
        let done = run::<S>(jobs(Step::only("transpose")), *shape, *order, bytes.input(), output.array_mut())?;
        Ok(vec![done.report().clone()])
    }

    /// Element by element, where the file has it.
    fn reference(&self, output: &Output) -> Option<Result<String, String>> {
        let (bytes, [m, n]) = (self.0.bytes.view()?, self.0.shape);
        let (from, to) = (bytes.to_slice()?.as_chunks::<S>().0, output.bytes().0.as_chunks::<S>().0);
        // Without elements either may be as large as can be.
        for i in 0..m.min(from.len()) {
            for j in 0..n {
                let at = if self.0.order == Order::F { j * m + i } else { i * n + j };
                if to[j * m + i] != from[at] {
                    return Some(Err(format!("element [{j}, {i}] is not what [{i}, {j}] of the matrix is")));
                }
            }
        }
        Some(Ok(format!("all of {} elements where the definition puts them", from.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    fn whole_and_part<T: Pod + PartialEq + std::fmt::Debug>(
        shape: (usize, usize),
        [fortran, reversed]: [bool; 2],
        cut: [prop::sample::Index; 4],
        element: impl Fn(usize) -> T,
    ) {
        let (m, n) = shape;
        let mut a = Array2::from_elem(shape.set_f(fortran), element(0));
        a.indexed_iter_mut().for_each(|((i, j), cell)| *cell = element(i * n + j));
        let a = if reversed { a.slice(s![..;-1, ..;-1]) } else { a.view() };
        let range = |x: prop::sample::Index, y: prop::sample::Index, len: usize| {
            let (x, y) = (x.index(len + 1), y.index(len + 1));
            x.min(y)..x.max(y)
        };
        for (rows, cols) in [(0..n, 0..m), (range(cut[0], cut[1], n), range(cut[2], cut[3], m))] {
            let mut out = Array2::from_elem((rows.len(), cols.len()), element(usize::MAX));
            block(a, rows.clone(), cols.clone(), out.view_mut());
            for ((j, i), cell) in out.indexed_iter() {
                assert_eq!(*cell, a[[cols.start + i, rows.start + j]], "{m}x{n}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_region_is_what_a_naive_loop_makes_of_it(
            shape in (0_usize..150, 0_usize..150),
            orders in any::<[bool; 2]>(),
            cut in any::<[prop::sample::Index; 4]>(),
        ) {
            whole_and_part(shape, orders, cut, |at| at as u8);
            whole_and_part(shape, orders, cut, |at| at as u16);
            whole_and_part(shape, orders, cut, |at| at as f32);
            whole_and_part(shape, orders, cut, |at| (at as u64).to_le_bytes());
            whole_and_part(shape, orders, cut, |at| at as u128);
            whole_and_part(shape, orders, cut, |at| [at as u64; 4]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_remedy() {
        let (bytes, mut result) = (Shared::<u8, _>::zeros(24).unwrap(), Shared::zeros((3, 3)).unwrap());
        let error = run::<4>(Job::default(), [2, 3], Order::C, &bytes, &mut result).unwrap_err().to_string();
        assert!(error.contains("shape [3, 3]") && error.contains("Give 24 bytes and a result of 3x2"), "{error}");
    }

    #[test]
    fn the_naive_reference_finds_an_element_that_is_elsewhere() {
        let mut number = 0.0;
        let mut count = || {
            number += 1.0;
            number
        };
        let task = Transpose.made_up(&ArgValues::default(), &[3, 5], &mut count).unwrap();
        let mut output = task.output().unwrap();
        task.run(&mut |_| Job::default().runner(parfork::Engine::Serial), &mut output).unwrap();
        assert_eq!(output.bytes().0[..8], 1.0_f64.to_le_bytes());
        assert!(task.reference(&output).unwrap().unwrap().starts_with("all of 15 elements"));
        output.array_mut::<[u8; 8], Ix2>().view_mut().swap([4, 1], [1, 2]);
        assert!(task.reference(&output).unwrap().unwrap_err().contains("[4, 1]"));
    }
}
