//! The kernel `scan`.

use std::path::PathBuf;

use ndarray::Ix1;
use parfork::formats::npy::ArrayFile;
use parfork::{Dtype, DtypeKind, Error, Order, Report, Shared};

use super::{Sum, Summand, run};
use crate::kernel::{Arg, ArgValues, Fact, Files, Form, Kernel, KernelError, Output, Sizes, Source, Step, Steps, Task};

/// A file of which there are no prefix sums here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanInputError {
    /// Elements that are not summed.
    #[error("{}: prefix sums of dtype '{dtype}' are not known here. Save f4, f8, or integers, in NumPy for example a.astype('f8').", .path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// Its type.
        dtype: Dtype,
    },
    /// Fortran order, in which elements do not lie as they are counted.
    #[error(
        "{}: an array of {axes} axes in Fortran order is not summed. Save it in C order, in NumPy with np.ascontiguousarray(a).",
        .path.display()
    )]
    Fortran {
        /// The file.
        path: PathBuf,
        /// How many axes it has.
        axes: usize,
    },
}

/// `scan`.
pub struct Scan;

impl Kernel for Scan {
    fn name(&self) -> &'static str {
        "scan"
    }

    fn summary(&self) -> &'static str {
        "Prefix sums of all elements (numpy.cumsum)"
    }

    fn notes(&self) -> String {
        "Examples:
  parfork scan a.npy -o sums.npy -n 4 --verify

The sums of an array of any shape, flattened in C order: f4 of f4, f8 of f8, i8 and u8 of integers, which wrap around. Floats are added in
blocks of 16384, in a fixed order: the same bits for every -n and --split, and within rounding those of np.cumsum(a). Slices hand on to the
next, so that only --schedule dynamic will do."
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::input_array("input", "INPUT", "Array of numbers (.npy)"),
                Arg::output_array("Where the sums go, on one axis (.npy)"),
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[1 << 26], lengths: &[1], form: "a number of elements", example: "100000000" }
    }

    fn open(&self, given: &ArgValues, files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        let path = given.path("input").to_owned();
        let file = ArrayFile::open(&path)?;
        let (dtype, axes, order) = (file.header().dtype, file.header().shape.len(), file.header().order);
        if order == Order::F && axes > 1 {
            return Err(KernelError::input(ScanInputError::Fortran { path, axes }));
        }
        let elements = file.header().shape.iter().product::<usize>();
        let file = file.reshaped(&[elements]);
        fn task<T: Summand>(files: &Files<'_>, file: ArrayFile) -> Result<Box<dyn Task>, KernelError> {
            Ok(Box::new(Summing { numbers: files.array::<T, Ix1>(file)?, count: 0 }.counted()))
        }
        // Whatever the order of its bytes.
        match (dtype.kind(), dtype.size()) {
            (DtypeKind::Float, 4) => task::<f32>(files, file),
            (DtypeKind::Float, 8) => task::<f64>(files, file),
            (DtypeKind::Int, 1) => task::<i8>(files, file),
            (DtypeKind::Int, 2) => task::<i16>(files, file),
            (DtypeKind::Int, 4) => task::<i32>(files, file),
            (DtypeKind::Int, 8) => task::<i64>(files, file),
            (DtypeKind::Uint, 1) => task::<u8>(files, file),
            (DtypeKind::Uint, 2) => task::<u16>(files, file),
            (DtypeKind::Uint, 4) => task::<u32>(files, file),
            (DtypeKind::Uint, 8) => task::<u64>(files, file),
            _ => Err(KernelError::input(ScanInputError::Dtype { path, dtype })),
        }
    }

    fn made_up(
        &self,
        _given: &ArgValues,
        size: &[usize],
        noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        let mut numbers = Shared::<f64, Ix1>::zeros(size[0])?;
        numbers.as_mut_slice().iter_mut().for_each(|cell| *cell = noise());
        Ok(Box::new(Summing { numbers: Source::Read(numbers), count: 0 }.counted()))
    }
}

struct Summing<T> {
    numbers: Source<T, Ix1>,
    count: usize,
}

impl<T: Summand> Summing<T> {
    fn counted(self) -> Self {
        let count = self.numbers.input().shape()[0];
        Self { count, ..self }
    }
}

impl<T: Summand> Task for Summing<T> {
    fn line(&self) -> String {
        format!("prefix sums of {} {}", self.count, T::DTYPE)
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        vec![("dtype", T::DTYPE.to_string().into()), ("elements", (self.count as u64).into())]
    }

    fn form(&self) -> Form {
        Form::array::<T::Sum>(&[self.count])
    }

    fn output(&self) -> Result<Output, Error> {
        Output::array::<T::Sum, Ix1>(self.count)
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let done = run::<T>(jobs(Step::only("scan")), self.numbers.input(), output.array_mut())?;
        Ok(vec![done.report().clone()])
    }

    /// One after the other; what rounding may do is bounded by the sum of magnitudes.
    fn reference(&self, output: &Output) -> Option<Result<String, String>> {
        let numbers = self.numbers.view()?;
        let sums: &[T::Sum] = bytemuck::cast_slice(output.bytes().0);
        let (mut sum, mut magnitude, mut most) = (T::Sum::default(), 0.0, 0.0_f64);
        for (at, (number, &found)) in numbers.iter().zip(sums).enumerate() {
            sum = sum.plus(number.widen());
            magnitude += number.widen().approximate().abs();
            let bound = T::Sum::ROUNDING * magnitude * (at + 1) as f64;
            let off = (found.approximate() - sum.approximate()).abs();
            if off > bound {
                return Some(Err(format!(
                    "element {at} is {}, and {} by the definition",
                    found.approximate(),
                    sum.approximate()
                )));
            }
            most = most.max(off);
        }
        Some(Ok(format!("all of {} sums within rounding, {most:e} off at most", sums.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::BLOCK;
    use parfork::{Engine, Job};

    #[test]
    fn the_reference_finds_a_sum_that_is_another() {
        let task = Scan.made_up(&ArgValues::default(), &[3 * BLOCK + 5], &mut || 0.1).unwrap();
        let mut output = task.output().unwrap();
        task.run(&mut |_| Job::default().runner(Engine::Serial), &mut output).unwrap();
        assert!(task.reference(&output).unwrap().unwrap().starts_with("all of 49157 sums"));
        output.array_mut::<f64, Ix1>().as_mut_slice()[40_000] += 1e-3;
        assert!(task.reference(&output).unwrap().unwrap_err().contains("element 40000"));
    }
}
