//! An array as programs are handed it: bytes in shared memory, whatever numbers they are.

use std::path::Path;

use ndarray::{Dimension, IntoDimension, Ix1};

use crate::dtype::Dtype;
use crate::error::{Error, ExecError, Result};
use crate::formats::npy::ArrayFile;
use crate::formats::{OutputFile, npy};
use crate::shared::{Element, Order, Shared, byte_length};
use crate::slices::Extent;

/// An array of numbers of any type: an input that was read from a file, or an output.
///
/// ```
/// use parfork::{Element, exec::Array};
/// let squares = Array::output("squares", u32::DTYPE, &[3])?;
/// assert_eq!(squares.as_bytes(), [0; 12]);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct Array {
    name: String,
    output: bool,
    dtype: Dtype,
    shape: Vec<usize>,
    order: Order,
    bytes: Shared<u8, Ix1>,
}

impl Array {
    /// Reads a .npy file, whatever numbers it holds, as an input. From then on nobody can write to it.
    ///
    /// # Errors
    /// If the file cannot be read, holds what is not numbers, or there is too little memory.
    pub fn input(name: impl Into<String>, path: impl AsRef<Path>) -> Result<Self> {
        Self::input_file(name, ArrayFile::open(path)?)
    }

    /// As [`input`](Self::input), of a file that is open.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn input_file(name: impl Into<String>, file: ArrayFile) -> Result<Self> {
        Self::of_file(file)?.sealed(name.into())
    }

    /// An array that was made elsewhere as an input, in C order. From then on nobody can write to it.
    ///
    /// # Errors
    /// If the system refuses to seal it.
    pub fn input_of<T: Element, D: Dimension>(name: impl Into<String>, array: Shared<T, D>) -> Result<Self> {
        let (dtype, shape, order) = (T::DTYPE, array.shape().to_vec(), array.order());
        let length = array.len() * dtype.size();
        let bytes = array.into_elements(length)?;
        Self { name: String::new(), output: false, dtype, shape, order, bytes }.sealed(name.into())
    }

    fn sealed(mut self, name: String) -> Result<Self> {
        self.name = name;
        self.bytes.seal()?;
        Ok(self)
    }

    fn of_file(file: ArrayFile) -> Result<Self> {
        let dtype = file.header().dtype;
        if dtype.is_long_double() {
            return Err(Error::File {
                path: file.path().to_owned(),
                what: format!("its elements are {dtype}, which programs cannot be handed"),
                remedy: "convert it with numpy.save('new.npy', array.astype('float64'))".to_owned(),
            });
        }
        let (header, mut bytes) = file.load_bytes()?;
        if dtype.is_swapped() {
            bytes.as_mut_slice().chunks_exact_mut(dtype.part_size()).for_each(<[u8]>::reverse);
        }
        let dtype = dtype.to_native();
        Ok(Self { name: String::new(), output: false, dtype, shape: header.shape, order: header.order, bytes })
    }

    /// An output, of zeros at first, in C order.
    ///
    /// # Errors
    /// If there is too little memory, or such elements cannot be handed to programs.
    pub fn output(name: impl Into<String>, dtype: Dtype, shape: &[usize]) -> Result<Self> {
        if dtype.is_swapped() || dtype.is_long_double() {
            return Err(ExecError::Elements { dtype }.into());
        }
        let bytes = byte_length(shape, dtype.size())?;
        let bytes = Shared::zeros(bytes)?;
        Ok(Self { name: name.into(), output: true, dtype, shape: shape.to_vec(), order: Order::C, bytes })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether programs may write to it.
    pub fn is_output(&self) -> bool {
        self.output
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The lengths of its axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its bytes in the order of memory.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Writes it to an [`OutputFile`] that the caller then [`commit`](OutputFile::commit)s.
    ///
    /// # Errors
    /// As [`npy::write_bytes`].
    pub fn write_npy(&self, out: &mut OutputFile) -> Result<()> {
        npy::write_bytes(out, self.dtype, &self.shape, self.order, self.as_bytes())
    }

    /// The array, typed, with any axes that have as many elements.
    ///
    /// # Errors
    /// If its elements are of another type, or there are more or fewer.
    pub fn into_shared<T: Element, D: Dimension>(self, shape: impl IntoDimension<Dim = D>) -> Result<Shared<T, D>> {
        if self.dtype != T::DTYPE {
            let (found, wanted) = (self.dtype, T::DTYPE);
            return Err(ExecError::OtherElements { found, wanted }.into());
        }
        self.bytes.into_elements(shape)
    }

    pub(super) fn bytes(&self) -> &Shared<u8, Ix1> {
        &self.bytes
    }

    pub(super) fn extent(&self) -> Extent<'_> {
        let first_is_fastest = self.order == Order::F;
        Extent { shape: &self.shape, first_is_fastest, element: self.dtype.size() }
    }
}
