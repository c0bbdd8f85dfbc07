//! Sorting as a kernel, `sort`.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::path::PathBuf;

use ndarray::{ArrayView, Ix1, Ix2, IxDyn, ShapeBuilder};
use parfork::formats::npy::{ArrayFile, Header};
use parfork::{Dtype, Element, Error, Order, Report, Shared, Split};

use super::key::{Elements, Key};
use super::run;
use crate::kernel::{Arg, ArgValues, Fact, Files, Form, Kernel, KernelError, Output, Sizes, Source, Steps, Task};

/// `sort`.
pub struct Sort;

/// An input that cannot be sorted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SortError {
    /// Elements of a type that is not sorted.
    #[error(
        "{} has elements {dtype}, and sorted are bool, integers, and floats of 2, 4 or 8 bytes. Convert it with NumPy: a.astype('f8'), or \
         a.real.", .path.display()
    )]
    Dtype {
        /// The file.
        path: PathBuf,
        /// Its type.
        dtype: Dtype,
    },
    /// Lines that were to be cut.
    #[error(
        "{lines} lines are sorted each as a whole, and a split of {split} cuts them. Cut between lines: rows, or rows=N."
    )]
    Cut {
        /// How many.
        lines: usize,
        /// As it was asked for.
        split: Split,
    },
    /// A made-up array of more elements than there can be.
    #[error("{0} elements are more than can be addressed. Ask for fewer.")]
    TooMany(usize),
}

impl Kernel for Sort {
    fn name(&self) -> &'static str {
        "sort"
    }

    fn summary(&self) -> &'static str {
        "Sort an array"
    }

    fn notes(&self) -> String {
        "Examples:
  parfork sort data.npy -o sorted.npy --verify
  parfork sort lines.npy -o sorted.npy -n 4

Bool, integers and floats of 2, 4 and 8 bytes, either byte order; ascending, along the last axis, as numpy.sort does: each line for
itself. NaN comes last; -0 before 0, and NaNs by their bits, so that the result has the same bits for every -n and schedule.

A single line is sorted in parts, one for each worker, and merged: beside input and result that takes memory for as many elements once
more. --split is that of the result, as it is merged: cols=N; of many lines, rows=N."
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::input_array("input", "INPUT", "The array to sort (.npy)"),
                Arg::output_array("Where the sorted array goes (.npy)"),
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[1 << 25], lengths: &[1], form: "a number of elements", example: "20000000" }
    }

    fn open(&self, given: &ArgValues, files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        let path = given.path("input");
        let file = ArrayFile::open(path)?;
        let Header { dtype, order, shape, .. } = file.header().clone();
        let Some(elements) = Elements::of(dtype) else {
            return Err(KernelError::input(SortError::Dtype { path: path.to_owned(), dtype }));
        };
        let is_in_order = order == Order::C || shape.len() < 2;
        let bytes = if is_in_order { files.bytes_of(file)?.1 } else { Source::Read(in_c_order(file)?) };
        Ok(match dtype.size() {
            1 => Box::new(Sorting::<u8>::of(elements, dtype, shape, bytes)),
            2 => Box::new(Sorting::<u16>::of(elements, dtype, shape, bytes)),
            4 => Box::new(Sorting::<u32>::of(elements, dtype, shape, bytes)),
            _ => Box::new(Sorting::<u64>::of(elements, dtype, shape, bytes)),
        })
    }

    fn made_up(
        &self,
        _given: &ArgValues,
        size: &[usize],
        noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        let bytes = size[0].checked_mul(8).ok_or_else(|| KernelError::arguments(SortError::TooMany(size[0])))?;
        let mut bytes = Shared::<u8, Ix1>::zeros(bytes)?;
        bytes.as_mut_slice().as_chunks_mut().0.iter_mut().for_each(|cell| *cell = noise().to_ne_bytes());
        let elements = Elements::of(f64::DTYPE).expect("they are sorted");
        Ok(Box::new(Sorting::<u64>::of(elements, f64::DTYPE, size.to_vec(), Source::Read(bytes))))
    }
}

/// The elements of an array in Fortran order, in C order.
fn in_c_order(file: ArrayFile) -> Result<Shared<u8, Ix1>, Error> {
    let (Header { dtype, shape, .. }, bytes) = file.load_bytes()?;
    // The bytes of an element are one axis more, which is the first in Fortran order.
    let stored: Vec<usize> = std::iter::once(dtype.size()).chain(shape).collect();
    let bytes = ArrayView::from_shape(IxDyn(&stored).f(), bytes.as_slice()).expect("as many bytes as the header says");
    let axes: Vec<usize> = (1..stored.len()).chain([0]).collect();
    let bytes = bytes.permuted_axes(IxDyn(&axes));
    let mut ordered = Shared::<u8, Ix1>::zeros(bytes.len())?;
    ordered.as_mut_slice().iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
    Ok(ordered)
}

/// Lines to sort.
struct Sorting<K> {
    elements: Elements,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Source<u8, Ix1>,
    key: PhantomData<K>,
}

impl<K: Key> Sorting<K> {
    fn of(elements: Elements, dtype: Dtype, shape: Vec<usize>, bytes: Source<u8, Ix1>) -> Self {
        Self { elements, dtype: dtype.to_native(), shape, bytes, key: PhantomData }
    }

    /// How many there are, and the elements of each.
    fn lines(&self) -> (usize, usize) {
        let (length, axes) = self.shape.split_last().map_or((1, &[][..]), |(&length, axes)| (length, axes));
        (axes.iter().product(), length)
    }
}

impl<K: Key> Task for Sorting<K> {
    fn line(&self) -> String {
        let lengths: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        format!("sort of {} {}", lengths.join("x"), self.dtype)
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        vec![("dtype", self.dtype.to_string().into()), ("shape", self.shape[..].into())]
    }

    fn form(&self) -> Form {
        Form::Array { dtype: self.dtype, shape: self.shape.clone() }
    }

    fn output(&self) -> Result<Output, Error> {
        Output::array::<K, Ix2>(self.lines())
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        run::<K>(jobs, self.elements, self.bytes.input(), output.array_mut())
    }

    /// Each line by the numbers that its elements are.
    fn reference(&self, output: &Output) -> Option<Result<String, String>> {
        let (elements, (lines, length)) = (self.elements, self.lines());
        let native = Elements::of(self.dtype)?;
        let from: Vec<K> = bytemuck::cast_slice(self.bytes.view()?.to_slice()?)
            .iter()
            .map(|&element| K::of(element, elements).element(native))
            .collect();
        let found: &[K] = bytemuck::cast_slice(output.bytes().0);
        for line in 0..if length == 0 { 0 } else { lines } {
            let range = line * length..(line + 1) * length;
            let mut right = from[range.clone()].to_vec();
            right.sort_by(|one, other| compare(one.number(native), other.number(native)));
            let same = |(one, other): (&K, &K)| compare(one.number(native), other.number(native)).is_eq();
            if let Some(at) = right.iter().zip(&found[range]).position(|pair| !same(pair)) {
                return Some(Err(format!(
                    "element {at} of line {line} is not the one that comparing numbers puts there"
                )));
            }
        }
        Some(Ok(format!("all of {} elements where comparing numbers puts them", from.len())))
    }
}

/// The order of two elements: NaN is after all others.
fn compare(one: Result<f64, i128>, other: Result<f64, i128>) -> Ordering {
    match (one, other) {
        (Ok(one), Ok(other)) => one.partial_cmp(&other).unwrap_or_else(|| one.is_nan().cmp(&other.is_nan())),
        (one, other) => one.err().cmp(&other.err()),
    }
}
