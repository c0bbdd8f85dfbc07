//! An array as programs are handed it: bytes in shared memory, whatever numbers they are.

use std::io::Write;
use std::path::Path;

use ndarray::{Ix1, Ix3};

use super::dtype::Dtype;
use crate::error::{Error, Result};
use crate::formats::picture::{self, Picture};
use crate::formats::{Landing, npy};
use crate::shared::{Order, Shared};
use crate::slices::Extent;

/// An array of numbers of any type: an input that was read from a file, or an output.
///
/// ```
/// use parfork::exec::Array;
/// let squares = Array::output("squares", "u32".parse().unwrap(), &[3])?;
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
    /// Reads a .npy file, whatever numbers it holds, or a picture (rows, columns, channels; `u8` or `u16`) as an input. From then
    /// on nobody can write to it.
    ///
    /// # Errors
    /// If the file cannot be read, holds what is not numbers, or there is too little memory.
    pub fn input(name: impl Into<String>, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if !Self::is_npy(path) {
            return Self::from_picture(name, picture::read(path)?);
        }
        let mut array = Self::of_npy(path)?;
        array.name = name.into();
        array.bytes.seal()?;
        Ok(array)
    }

    /// Whether a path is that of an array and not of a picture, by its ending.
    pub fn is_npy(path: &Path) -> bool {
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"))
    }

    /// A picture that was read already (rows, columns, channels; `u8` or `u16`) as an input. From then on nobody can write to it.
    ///
    /// # Errors
    /// If the system refuses to seal it.
    pub fn from_picture(name: impl Into<String>, picture: Picture) -> Result<Self> {
        let mut array = match picture {
            Picture::U8(samples) => Self::of_samples(samples, Dtype::U8)?,
            Picture::U16(samples) => Self::of_samples(samples, Dtype::U16)?,
        };
        array.name = name.into();
        array.bytes.seal()?;
        Ok(array)
    }

    fn of_npy(path: &Path) -> Result<Self> {
        let (header, mut bytes) = npy::read_bytes(path)?;
        let dtype = Dtype::of(header.kind(), header.item_size()).ok_or_else(|| Error::File {
            path: path.to_owned(),
            what: format!("its elements are {}, which programs cannot be handed", header.dtype),
            remedy: "convert it with numpy.save('new.npy', array.astype('float64'))".to_owned(),
        })?;
        if header.swapped() {
            bytes.as_mut_slice().chunks_exact_mut(dtype.swapped_bytes()).for_each(<[u8]>::reverse);
        }
        Ok(Self { name: String::new(), output: false, dtype, shape: header.shape, order: header.order, bytes })
    }

    fn of_samples<S: bytemuck::Pod>(samples: Shared<S, Ix3>, dtype: Dtype) -> Result<Self> {
        let (shape, length) = (samples.shape().to_vec(), samples.len() * dtype.size());
        let bytes = samples.into_elements(length)?;
        Ok(Self { name: String::new(), output: false, dtype, shape, order: Order::C, bytes })
    }

    /// An output, of zeros at first, in C order.
    ///
    /// # Errors
    /// If there is too little memory.
    pub fn output(name: impl Into<String>, dtype: Dtype, shape: &[usize]) -> Result<Self> {
        let bytes = shape.iter().try_fold(dtype.size(), |bytes, &axis| bytes.checked_mul(axis)).ok_or_else(|| {
            Error::Shape(format!(
                "shape {shape:?} of {dtype} has more bytes than can be addressed. Use a smaller shape."
            ))
        })?;
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

    /// Writes it as .npy to a landing that the caller then [`land`](Landing::land)s.
    ///
    /// # Errors
    /// If the disk is full or fails.
    pub fn write_npy(&self, out: &mut Landing) -> Result<()> {
        npy::write_bytes(out, &self.dtype.numpy(), self.dtype.size(), &self.shape, self.order, self.as_bytes())?;
        out.flush().map_err(|error| out.failed(&error))
    }

    /// It as a picture: 8 or 16 bits, and rows, columns and perhaps channels.
    ///
    /// # Errors
    /// If it is none.
    pub fn into_picture(self) -> Result<Picture> {
        let shape = picture_shape(self.dtype, &self.shape)?;
        match self.dtype {
            Dtype::U8 => self.bytes.into_elements::<u8, Ix3>(shape).map(Picture::U8),
            _ => self.bytes.into_elements::<u16, Ix3>(shape).map(Picture::U16),
        }
    }

    pub(super) fn bytes(&self) -> &Shared<u8, Ix1> {
        &self.bytes
    }

    pub(super) fn extent(&self) -> Extent<'_> {
        let first_is_fastest = self.order == Order::F;
        Extent { shape: &self.shape, first_is_fastest, element: self.dtype.size() }
    }
}

/// Rows, columns and channels of an array of such elements, if it can be a picture.
///
/// # Errors
/// If it cannot.
pub fn picture_shape(dtype: Dtype, shape: &[usize]) -> Result<[usize; 3]> {
    match (dtype, shape) {
        (Dtype::U8 | Dtype::U16, &[rows, cols]) => Ok([rows, cols, 1]),
        (Dtype::U8 | Dtype::U16, &[rows, cols, channels @ 1..=4]) => Ok([rows, cols, channels]),
        _ => Err(Error::Shape(format!(
            "an array of shape {shape:?} of {dtype} is no picture. Pictures are rows x columns x 1 to 4 channels of u8 or u16; \
             everything else goes to .npy."
        ))),
    }
}
