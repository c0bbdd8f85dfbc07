//! The product as a kernel: of two files, or of noise.

use std::path::PathBuf;

use ndarray::{ArrayView2, Ix2};

use super::{Element, run};
use crate::kernel::{
    Arg, ArgValues, Fact, Files, Form, InScale, Kernel, KernelError, Output, Sizes, Source, Step, Steps, Task,
};
use parfork::formats::npy::ArrayFile;
use parfork::{Dtype, Element as _, Error, Report, Shared};

/// `matmul`.
pub struct Matmul;

impl Kernel for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn summary(&self) -> &'static str {
        "Multiply two matrices"
    }

    fn notes(&self) -> String {
        "Examples:
  parfork matmul a.npy b.npy -o c.npy
  parfork matmul a.npy b.npy -o c.npy -n 8 --split tiles=512x512 --verify

f32 and f64, C or Fortran order, any sizes. The product is written in C order. shm:NAME is a named segment."
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::input_array("a", "A", "Left matrix, m x k"),
                Arg::input_array("b", "B", "Right matrix, k x n"),
                Arg::output_array("Where the product goes, m x n (.npy)"),
                Arg::choice("dtype", "TYPE", "Element type of made-up matrices", &["f32", "f64"])
                    .or("f64")
                    .in_scale(InScale::Only),
            ]
        }
    }

    fn sizes(&self) -> Sizes {
        Sizes { usual: &[1536], lengths: &[1, 3], form: "N or MxKxN", example: "1024 or 4096x512x4096" }
    }

    fn grown(&self, size: &[usize], workers: usize) -> Option<(Vec<usize>, f64)> {
        let [m, k, n] = lengths(size);
        Some((vec![m.checked_mul(workers)?, k, n], workers as f64))
    }

    fn open(&self, given: &ArgValues, files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        let (a, b) = (ArrayFile::open(given.path("a"))?, ArrayFile::open(given.path("b"))?);
        let (one, other) = (a.header().dtype.to_native(), b.header().dtype.to_native());
        match (one, other) {
            (f32::DTYPE, f32::DTYPE) => Product::<f32>::open(a, b, files),
            (f64::DTYPE, f64::DTYPE) => Product::<f64>::open(a, b, files),
            (f32::DTYPE | f64::DTYPE, f32::DTYPE | f64::DTYPE) => {
                let [a, b] = [a, b].map(|file| (file.path().to_owned(), file.header().dtype));
                Err(KernelError::input(MatmulInputError::Types { a, b }))
            }
            _ => {
                let wrong = if matches!(one, f32::DTYPE | f64::DTYPE) { &b } else { &a };
                let (path, dtype) = (wrong.path().to_owned(), wrong.header().dtype);
                Err(KernelError::input(MatmulInputError::Type { path, dtype }))
            }
        }
    }

    fn made_up(
        &self,
        given: &ArgValues,
        size: &[usize],
        noise: &mut dyn FnMut() -> f64,
    ) -> Result<Box<dyn Task>, KernelError> {
        let mut noise = || noise() - 0.5;
        match given.read::<String>("dtype").as_str() {
            "f32" => Product::made_up(size, || noise() as f32),
            _ => Product::made_up(size, noise),
        }
    }
}

/// Files whose matrices cannot be multiplied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatmulInputError {
    /// Matrices of two types.
    #[error(
        "{} is {} and {} is {}, and a product has one type. Convert one with NumPy: a.astype('f8').",
        .a.0.display(), .a.1, .b.0.display(), .b.1
    )]
    Types {
        /// The first file, and the type of its elements.
        a: (PathBuf, Dtype),
        /// The second.
        b: (PathBuf, Dtype),
    },
    /// Elements that products are not made of.
    #[error(
        "{} has elements of type {dtype}, and matrices are multiplied in f4 or f8. Convert it with NumPy: a.astype('f8').",
        .path.display()
    )]
    Type {
        /// The file.
        path: PathBuf,
        /// The type of its elements.
        dtype: Dtype,
    },
    /// Shapes that do not go together.
    #[error(
        "the shapes {}x{} of {} and {}x{} of {} do not multiply. The first must have as many columns as the second has rows.",
        .a.1[0], .a.1[1], .a.0.display(), .b.1[0], .b.1[1], .b.0.display()
    )]
    Shapes {
        /// The first file, with its rows and columns.
        a: (PathBuf, [usize; 2]),
        /// The second.
        b: (PathBuf, [usize; 2]),
    },
}

/// m, k and n of a size; a single length is all of them.
fn lengths(size: &[usize]) -> [usize; 3] {
    [0, 1, 2].map(|axis| size.get(axis).copied().unwrap_or(size[0]))
}

struct Product<T> {
    a: Source<T, Ix2>,
    b: Source<T, Ix2>,
    m: usize,
    k: usize,
    n: usize,
}

impl<T: Element> Product<T> {
    fn open(a: ArrayFile, b: ArrayFile, files: &Files<'_>) -> Result<Box<dyn Task>, KernelError> {
        let [left_path, right_path] = [&a, &b].map(|file| file.path().to_owned());
        let (a, b) = (files.array::<T, Ix2>(a)?, files.array::<T, Ix2>(b)?);
        let shape = |matrix: &Source<T, Ix2>| matrix.input().shape().to_vec();
        let (left, right) = (shape(&a), shape(&b));
        let ([m, k], [rows, n]) = (&left[..], &right[..]) else { unreachable!("matrices have two axes") };
        if k != rows {
            let (a, b) = ((left_path, [*m, *k]), (right_path, [*rows, *n]));
            return Err(KernelError::input(MatmulInputError::Shapes { a, b }));
        }
        Ok(Box::new(Self { a, b, m: *m, k: *k, n: *n }))
    }

    fn made_up(size: &[usize], mut noise: impl FnMut() -> T) -> Result<Box<dyn Task>, KernelError> {
        let mut matrix = |shape: (usize, usize)| {
            let mut matrix = Shared::<T, Ix2>::zeros(shape)?;
            matrix.as_mut_slice().iter_mut().for_each(|cell| *cell = noise());
            Ok::<_, Error>(Source::Read(matrix))
        };
        let [m, k, n] = lengths(size);
        Ok(Box::new(Self { a: matrix((m, k))?, b: matrix((k, n))?, m, k, n }))
    }
}

impl<T: Element> Task for Product<T> {
    fn line(&self) -> String {
        let Self { m, k, n, .. } = self;
        format!("{m}x{k} times {k}x{n} f{}", size_of::<T>())
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        let dtype = format!("f{}", size_of::<T>());
        vec![("dtype", dtype.into()), ("m", self.m.into()), ("k", self.k.into()), ("n", self.n.into())]
    }

    fn form(&self) -> Form {
        Form::array::<T>(&[self.m, self.n])
    }

    fn output(&self) -> Result<Output, Error> {
        Output::array::<T, Ix2>((self.m, self.n))
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let done = run(jobs(Step::only("matmul")), self.a.input(), self.b.input(), output.array_mut())?;
        Ok(vec![done.report().clone()])
    }

    fn reference(&self, output: &Output) -> Option<Result<String, String>> {
        let (a, b) = (self.a.view()?, self.b.view()?);
        Some(agrees_with_the_definition(a, b, bytemuck::cast_slice(output.bytes().0)))
    }
}

/// Multiplications that a check takes at most: some tenths of a second.
const ENOUGH: usize = 1 << 26;

/// Compares elements of C = A B with what the definition gives in double precision: all of them if that is not too much, else every
/// so many. Of both sums each addition and multiplication is rounded, so that they differ by no more than 2 k eps |A| |B| (Higham,
/// Accuracy and Stability of Numerical Algorithms, 3.5), where eps is that of the less precise.
fn agrees_with_the_definition<T: Element>(a: ArrayView2<T>, b: ArrayView2<T>, c: &[T]) -> Result<String, String> {
    let (k, n) = (a.ncols(), b.ncols());
    // Odd, so that it does not stay in a few columns.
    let step = (c.len().saturating_mul(k) / ENOUGH) | 1;
    let mut compared = 0;
    for at in (0..c.len()).step_by(step) {
        let (row, col) = (at / n, at % n);
        let products = a.row(row).into_iter().zip(b.column(col)).map(|(&a, &b)| a.into() * b.into());
        let (sum, sizes) =
            products.fold((0.0, 0.0), |(sum, sizes), product: f64| (sum + product, sizes + product.abs()));
        let bound = 2.0 * (k + 1) as f64 * T::EPSILON * sizes + f64::from(f32::MIN_POSITIVE);
        let ours: f64 = c[at].into();
        // Where a sum may overflow on the way, or has a NaN in it, there is nothing to compare.
        let is_sum = sizes < f64::from(f32::MAX) / 2.0;
        let is_near = (ours - sum).abs() <= bound;
        if is_sum && !is_near {
            return Err(format!(
                "C[{row}, {col}] is {ours}, and the sum that defines it is {sum}, give or take {bound:e}"
            ));
        }
        compared += 1;
    }
    Ok(format!("{compared} of {} elements within rounding of the sums that define them", c.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn a_wrong_element_is_found_and_rounding_is_not() {
        let (a, b) = (array![[1.0_f32, 1e-4], [3.0, 4.0]], array![[0.1, 1.0], [1.0, 0.0]]);
        let c = a.dot(&b);
        let told = agrees_with_the_definition(a.view(), b.view(), c.as_slice().unwrap()).unwrap();
        assert_eq!(told, "4 of 4 elements within rounding of the sums that define them");
        let mut wrong: Array2<f32> = c.clone();
        wrong[[1, 0]] += 1e-5;
        let told = agrees_with_the_definition(a.view(), b.view(), wrong.as_slice().unwrap()).unwrap_err();
        assert!(told.starts_with("C[1, 0] is 4.3"), "{told}");
        wrong[[1, 0]] = f32::NAN;
        assert!(agrees_with_the_definition(a.view(), b.view(), wrong.as_slice().unwrap()).is_err());
        let huge = array![[f32::MAX, f32::MAX]];
        let overflow = agrees_with_the_definition(huge.view(), array![[1.0], [1.0]].view(), &[f32::INFINITY]);
        assert!(overflow.is_ok());
        let none = agrees_with_the_definition::<f64>(Array2::zeros((0, 3)).view(), Array2::zeros((3, 2)).view(), &[]);
        assert!(none.is_ok());
    }

    #[test]
    fn products_grow_by_their_rows() {
        assert_eq!(Matmul.grown(&[100], 3), Some((vec![300, 100, 100], 3.0)));
        assert_eq!(Matmul.grown(&[10, 20, 30], 2), Some((vec![20, 20, 30], 2.0)));
        assert_eq!(Matmul.grown(&[usize::MAX], 2), None);
    }
}
