//! The product as a kernel: of two files, or of noise.

use std::path::PathBuf;

use half::f16;
use half::slice::HalfFloatSliceExt;
use ndarray::{ArrayView2, Ix2};

use super::numbers::{Truth, Value, converted, promoted};
use super::products::{self, Multiply};
use super::{Element, run};
use crate::kernel::{
    Arg, ArgValues, Fact, Files, Form, InScale, Kernel, KernelError, Output, Sizes, Source, Step, Steps, Task,
};
use parfork::formats::npy::ArrayFile;
use parfork::{Dtype, Error, Report, Shared};

/// `matmul`.
pub struct Matmul;

impl Kernel for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn summary(&self) -> &'static str {
        "Multiply two matrices, or a matrix and a vector"
    }

    fn notes(&self) -> String {
        "Examples:
  parfork matmul a.npy b.npy -o c.npy
  parfork matmul a.npy b.npy -o c.npy -n 8 --split tiles=512x512 --verify

Any type of NumPy's but long doubles, C or Fortran order, any sizes; of mixed types the product has the one that NumPy's @ gives it, and
integers wrap around as there. An array of one axis is a vector, a row at the left and a column at the right, and the product has no
axis for it. The product is written in C order. shm:NAME is a named segment."
            .to_owned()
    }

    fn args(&self) -> &'static [Arg] {
        const {
            &[
                Arg::input_array("a", "A", "Left matrix, m x k, or vector of k"),
                Arg::input_array("b", "B", "Right matrix, k x n, or vector of k"),
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
        let fitted = Fitted::of(ArrayFile::open(given.path("a"))?, ArrayFile::open(given.path("b"))?)?;
        let [one, other] = [&fitted.a, &fitted.b].map(|file| file.header().dtype);
        let Some(dtype) = promoted(one, other) else {
            let wrong = if one.is_long_double() { &fitted.a } else { &fitted.b };
            let (path, dtype) = (wrong.path().to_owned(), wrong.header().dtype);
            return Err(KernelError::input(MatmulInputError::Type { path, dtype }));
        };
        Ok(match dtype.name() {
            "bool" => Box::new(Whole::<Truth>::open(fitted)?),
            "u8" => Box::new(Whole::<u8>::open(fitted)?),
            "u16" => Box::new(Whole::<u16>::open(fitted)?),
            "u32" => Box::new(Whole::<u32>::open(fitted)?),
            "u64" => Box::new(Whole::<u64>::open(fitted)?),
            "i8" => Box::new(Whole::<i8>::open(fitted)?),
            "i16" => Box::new(Whole::<i16>::open(fitted)?),
            "i32" => Box::new(Whole::<i32>::open(fitted)?),
            "i64" => Box::new(Whole::<i64>::open(fitted)?),
            "c64" => Box::new(Whole::<[f32; 2]>::open(fitted)?),
            "c128" => Box::new(Whole::<[f64; 2]>::open(fitted)?),
            "f16" => Box::new(Halves(Product::<f32>::open(fitted, files)?)),
            "f32" => Box::new(Product::<f32>::open(fitted, files)?),
            _ => Box::new(Product::<f64>::open(fitted, files)?),
        })
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
    /// Elements that products are not made of.
    #[error(
        "{} has elements of type {dtype}, long doubles, and matrices are multiplied in 8 bytes or less. Convert it with NumPy: a.astype('f8').",
        .path.display()
    )]
    Type {
        /// The file.
        path: PathBuf,
        /// The type of its elements.
        dtype: Dtype,
    },
    /// An array that is no matrix and no vector.
    #[error("{} has {axes} axes, and matrices have two, vectors one. In NumPy: numpy.save('m.npy', a[0]).", .path.display())]
    Axes {
        /// The file.
        path: PathBuf,
        /// How many axes it has.
        axes: usize,
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

/// Files that can be multiplied.
struct Fitted {
    /// With two axes each.
    a: ArrayFile,
    b: ArrayFile,
    size: Size,
}

#[derive(Clone, Debug)]
struct Size {
    m: usize,
    k: usize,
    n: usize,
    /// What the result is, as people have it: without the axes of what were vectors.
    shape: Vec<usize>,
}

impl Fitted {
    fn of(a: ArrayFile, b: ArrayFile) -> Result<Self, KernelError> {
        if let Some(wrong) = [&a, &b].into_iter().find(|file| !matches!(file.header().shape.len(), 1 | 2)) {
            let (path, axes) = (wrong.path().to_owned(), wrong.header().shape.len());
            return Err(KernelError::input(MatmulInputError::Axes { path, axes }));
        }
        // A row and a column.
        let vectors = [&a, &b].map(|file| <[usize; 1]>::try_from(&file.header().shape[..]).ok());
        let a = if let Some([k]) = vectors[0] { a.reshaped(&[1, k]) } else { a };
        let b = if let Some([k]) = vectors[1] { b.reshaped(&[k, 1]) } else { b };
        let [[m, k], [rows, n]] = [&a, &b].map(|file| [file.header().shape[0], file.header().shape[1]]);
        if k != rows {
            let [a, b] = [(&a, [m, k]), (&b, [rows, n])].map(|(file, shape)| (file.path().to_owned(), shape));
            return Err(KernelError::input(MatmulInputError::Shapes { a, b }));
        }
        let axes = [(vectors[0], m), (vectors[1], n)].into_iter().filter(|(vector, _)| vector.is_none());
        let shape = axes.map(|(_, length)| length).collect();
        Ok(Self { a, b, size: Size { m, k, n, shape } })
    }
}

impl Size {
    /// As [`Task::line`] has it, of elements of this type.
    fn line(&self, dtype: Dtype) -> String {
        let Self { m, k, n, .. } = self;
        format!("{m}x{k} times {k}x{n} {}", short(dtype))
    }

    fn facts(&self, dtype: Dtype) -> Vec<(&'static str, Fact)> {
        vec![("dtype", short(dtype).into()), ("m", self.m.into()), ("k", self.k.into()), ("n", self.n.into())]
    }

    fn form(&self, dtype: Dtype) -> Form {
        Form::Array { dtype, shape: self.shape.clone() }
    }
}

/// NumPy's short name, f8.
fn short(dtype: Dtype) -> String {
    dtype.to_string()[1..].to_owned()
}

/// A product of floats.
struct Product<T> {
    a: Source<T, Ix2>,
    b: Source<T, Ix2>,
    size: Size,
}

impl<T: Element + Value> Product<T> {
    fn open(fitted: Fitted, files: &Files<'_>) -> Result<Self, KernelError> {
        let read = |file: ArrayFile| match file.header().dtype.to_native() == T::DTYPE {
            true => files.array(file),
            false => converted(file).map(Source::Read),
        };
        Ok(Self { a: read(fitted.a)?, b: read(fitted.b)?, size: fitted.size })
    }

    fn made_up(size: &[usize], mut noise: impl FnMut() -> T) -> Result<Box<dyn Task>, KernelError> {
        let mut matrix = |shape: (usize, usize)| {
            let mut matrix = Shared::<T, Ix2>::zeros(shape)?;
            matrix.as_mut_slice().iter_mut().for_each(|cell| *cell = noise());
            Ok::<_, Error>(Source::Read(matrix))
        };
        let [m, k, n] = lengths(size);
        let size = Size { m, k, n, shape: vec![m, n] };
        Ok(Box::new(Self { a: matrix((m, k))?, b: matrix((k, n))?, size }))
    }
}

impl<T: Element> Task for Product<T> {
    fn line(&self) -> String {
        self.size.line(T::DTYPE)
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        self.size.facts(T::DTYPE)
    }

    fn form(&self) -> Form {
        self.size.form(T::DTYPE)
    }

    fn output(&self) -> Result<Output, Error> {
        Output::array::<T, Ix2>((self.size.m, self.size.n))
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

/// A product of f16: the nearest of what it is in f32.
struct Halves(Product<f32>);

impl Halves {
    fn dtype() -> Dtype {
        Dtype::from_name("f16").expect("a name of ours")
    }
}

impl Task for Halves {
    fn line(&self) -> String {
        self.0.size.line(Self::dtype())
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        self.0.size.facts(Self::dtype())
    }

    fn form(&self) -> Form {
        self.0.size.form(Self::dtype())
    }

    fn output(&self) -> Result<Output, Error> {
        Output::array::<f16, Ix2>((self.0.size.m, self.0.size.n))
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let mut wide = self.0.output()?;
        let reports = self.0.run(jobs, &mut wide)?;
        let (to, wide) = (output.array_mut::<f16, Ix2>(), wide.array_mut::<f32, Ix2>());
        to.as_mut_slice().convert_from_f32_slice(wide.as_slice());
        Ok(reports)
    }
}

/// A product of other elements, in memory and in C order.
struct Whole<T> {
    a: Shared<T, Ix2>,
    b: Shared<T, Ix2>,
    size: Size,
}

impl<T: Multiply> Whole<T> {
    fn open(fitted: Fitted) -> Result<Self, KernelError> {
        Ok(Self { a: converted(fitted.a)?, b: converted(fitted.b)?, size: fitted.size })
    }

    fn dtype() -> Dtype {
        Dtype::from_name(T::NAME).expect("a name of ours")
    }
}

impl<T: Multiply> Task for Whole<T> {
    fn line(&self) -> String {
        self.size.line(Self::dtype())
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        self.size.facts(Self::dtype())
    }

    fn form(&self) -> Form {
        self.size.form(Self::dtype())
    }

    fn output(&self) -> Result<Output, Error> {
        Output::array::<T, Ix2>((self.size.m, self.size.n))
    }

    fn run(&self, jobs: &mut Steps<'_>, output: &mut Output) -> Result<Vec<Report>, Error> {
        let done = products::run(jobs(Step::only("matmul")), &self.a, &self.b, output.array_mut())?;
        Ok(vec![done.report().clone()])
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
