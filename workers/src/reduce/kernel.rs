//! The reductions as kernels: of a file, or of noise.

use std::path::PathBuf;

use ndarray::Ix1;

use super::axis::AlongAxis;
use super::{Lines, Op, ReduceError, answer_dtype, reducible, run};
use crate::kernel::{
    Arg, ArgValues, Fact, Files, Form, InScale, Kernel, KernelError, Output, Sizes, Source, Step, Steps, Task, whole,
};
use parfork::formats::npy::Header;
use parfork::{Dtype, Element, Error, Order, Report, Shared};

/// `sum`, `mean`, `min`, `max` and `norm`.
pub struct Reduction(pub Op);

impl Kernel for Reduction {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn summary(&self) -> &'static str {
        match self.0 {
            Op::Sum => "Sum of all elements of an array",
            Op::Mean => "Mean of all elements of an array",
            Op::Min => "Least element of an array",
            Op::Max => "Greatest element of an array",
            Op::Norm => "Euclidean norm of an array: the root of the sum of squares",
        }
    }

    fn notes(&self) -> String {
        "Examples:
  parfork mean data.npy -n 4
  parfork sum a.npy b.npy
  parfork max data.npy --axis 0 -o highest.npy

Every integer and float type that .npy has, either byte order. The elements are taken in blocks of 65536 in the order of
memory; --split cuts the table of blocks, 16 to a row, so the answer has the same bits for every split, schedule and -n."
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::input_array("input", "INPUT", "Arrays (.npy); of several each is told with its name").many(),
                Arg::signed("axis", "AXIS", "Along this axis alone, from 0, or -1 for the last; the answers go to -o", whole::<i64>)
                    .optional()
                    .in_scale(InScale::Never),
                Arg::output_array("Where the answers along an axis go (.npy): f8, of sums of integers i8 or u8, of min and max as they are")
                    .optional(),
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[1 << 25], lengths: &[1], form: "a number of elements", example: "20000000" }
    }

    fn open(&self, given: &ArgValues, files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        let path = given.path("input");
        let (header, bytes) = files.bytes(path)?;
        reducible(header.dtype)
            .map_err(|error| KernelError::input(ReduceInputError { path: path.to_owned(), error }))?;
        let axis: Option<i64> = given.list("axis").pop();
        if axis.is_some() == given.all("output").is_empty() {
            return Err(KernelError::arguments(ReduceError::Output));
        }
        let Some(axis) = axis else {
            return Ok(Box::new(Folding { op: self.0, dtype: header.dtype, shape: header.shape, bytes }));
        };
        let wrong = |error| KernelError::input(ReduceInputError { path: path.to_owned(), error });
        along_axis(self.0, header, axis, bytes).map_err(wrong)
    }

    fn made_up(
        &self,
        _given: &ArgValues,
        size: &[usize],
        noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        let bytes = size[0].checked_mul(8);
        let bytes = bytes.ok_or_else(|| KernelError::arguments(ReduceError::TooMany(size[0])))?;
        let mut array = Shared::<u8, Ix1>::zeros(bytes)?;
        array.as_mut_slice().as_chunks_mut().0.iter_mut().for_each(|cell| *cell = noise().to_le_bytes());
        Ok(Box::new(Folding { op: self.0, dtype: f64::DTYPE, shape: size.to_vec(), bytes: Source::Read(array) }))
    }
}

/// A file that cannot be reduced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", .path.display())]
pub struct ReduceInputError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with what it holds.
    pub error: ReduceError,
}

/// The task along an axis, which counts from behind if it is negative.
fn along_axis(op: Op, header: Header, axis: i64, bytes: Source<u8, Ix1>) -> Result<Box<dyn Task>, ReduceError> {
    let (axes, dtype, shape) = (header.shape.len(), header.dtype, header.shape);
    let found = if axis < 0 { axis + axes as i64 } else { axis };
    let axis = usize::try_from(found).ok().filter(|&axis| axis < axes).ok_or(ReduceError::Axis { axis, axes })?;
    let lines = match (header.order, &shape[..]) {
        (Order::C, _) | (_, [_]) => Lines::of(&shape, axis),
        // The bytes are those of its transpose in C order.
        (Order::F, _) => Lines::of(&shape.iter().rev().copied().collect::<Vec<_>>(), axes - 1 - axis),
    };
    let reversed = header.order == Order::F;
    if lines.len == 0 && lines.count() > 0 && op.needs_elements() {
        return Err(ReduceError::Empty(op));
    }
    Ok(match answer_dtype(op, dtype).size() {
        1 => Box::new(AlongAxis::<1> { op, dtype, shape, axis, reversed, lines, bytes }),
        2 => Box::new(AlongAxis::<2> { op, dtype, shape, axis, reversed, lines, bytes }),
        4 => Box::new(AlongAxis::<4> { op, dtype, shape, axis, reversed, lines, bytes }),
        _ => Box::new(AlongAxis::<8> { op, dtype, shape, axis, reversed, lines, bytes }),
    })
}

struct Folding {
    op: Op,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Source<u8, Ix1>,
}

impl Task for Folding {
    fn line(&self) -> String {
        format!("{} of {:?} {}", self.op, self.shape, self.dtype)
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        vec![("dtype", self.dtype.to_string().into()), ("shape", self.shape[..].into())]
    }

    fn form(&self) -> Form {
        Form::Number
    }

    fn output(&self) -> Result<Output, Error> {
        Ok(Output::Number(None))
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let (number, done) = run(jobs(Step::only(self.op.name())), self.op, self.dtype, self.bytes.input())?;
        *output = Output::Number(Some(number));
        Ok(vec![done.report().clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parfork::{Engine, Job, JobSpec};

    /// `--verify` has something to compare then too.
    #[test]
    fn a_slice_alone_has_a_number() {
        let mut chance = 0.5;
        let mut noise = || {
            chance *= 0.999;
            chance
        };
        let task = Reduction(Op::Max).made_up(&ArgValues::default(), &[3 * 65_536 * 16], &mut noise).unwrap();
        let number = |only_slice: Option<usize>| {
            let job = || Job::from(JobSpec { only_slice, ..JobSpec::default() }).runner(Engine::Serial);
            let mut output = task.output().unwrap();
            task.run(&mut |_| job(), &mut output).unwrap();
            output
        };
        assert!(number(None).differs_from(&number(Some(0))).is_none());
        assert!(number(Some(1)).differs_from(&number(Some(0))).unwrap().contains("differs from the serial answer"));
    }
}
