//! An input that holds an array, opened and looked at once.

use std::path::Path;

use ndarray::{Dimension, Ix1};

use super::super::input::InputFile;
use super::header::{self, Header};
use crate::error::Result;
use crate::shared::{Element, Mapped, Order, Shared};

/// An input that holds an array: a .npy file, what comes through a pipe, or a named segment. It was opened and its header was read
/// and checked, once; its elements come next.
///
/// ```
/// use parfork::{Element, formats::npy::{self, ArrayFile}};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("grid.npy");
/// npy::save(&path, ndarray::array![[1.0, 2.0], [3.0, 4.0]].view())?;
/// let file = ArrayFile::open(&path)?;
/// assert_eq!((file.header().dtype, &file.header().shape[..]), (f64::DTYPE, &[2, 2][..]));
/// let array = file.load::<f64, ndarray::Ix2>()?;
/// assert_eq!(array.view().sum(), 10.0);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct ArrayFile {
    source: InputFile,
    header: Header,
}

impl ArrayFile {
    /// Opens an [`InputFile`] and reads its header. Of an .npz archive the only array, or `FILE.npz:NAME`; not if it is compressed.
    ///
    /// Format versions 1, 2 and 3, from NumPy of Python 2 or 3. Bytes after the payload are left alone, as NumPy does: a
    /// file may hold several arrays, and this is the first.
    ///
    /// # Errors
    /// As [`InputFile::open`]; [`Error::File`](crate::Error::File) if it is no .npy file, is shorter than its header says (with both
    /// numbers), or holds objects, fields, text, bytes or dates, with the NumPy call that converts them.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::of(InputFile::open(path)?)
    }

    /// As [`open`](Self::open), of an input that is open already and of which nothing was read.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(mut source: InputFile) -> Result<Self> {
        #[cfg(feature = "named")]
        if let Some(segment) = source.segment() {
            let crate::shared::named::header::Header { dtype, order, shape, data_at, .. } = segment.header().clone();
            return Ok(Self { header: Header { dtype, order, shape, data_at }, source });
        }
        let header = Header::of(&mut source)?;
        Ok(Self { source, header })
    }

    /// What its header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The input, as it was named.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// The same elements with axes of other lengths: of as many elements, in the order of the file.
    ///
    /// ```
    /// use parfork::formats::npy::{self, ArrayFile};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("vector.npy");
    /// npy::save(&path, ndarray::array![1.0, 2.0, 3.0].view())?;
    /// let column = ArrayFile::open(&path)?.reshaped(&[3, 1]).load::<f64, ndarray::Ix2>()?;
    /// assert_eq!(column.shape(), [3, 1]);
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// # Panics
    /// If they are not as many elements.
    #[must_use]
    pub fn reshaped(mut self, shape: &[usize]) -> Self {
        let (len, asked) = (self.header.len(), shape.iter().product::<usize>());
        assert_eq!(len, asked, "an array of {len} elements cannot have the shape {shape:?}");
        self.header.shape = shape.to_vec();
        self
    }

    /// Reads the array.
    ///
    /// The elements must be of type `T` exactly, in either byte order, and the axes as many as `D` has (any number for
    /// `IxDyn`); the array keeps the order (C or Fortran) of the file. That of a segment is a copy, taken while nobody writes it.
    ///
    /// # Errors
    /// If the elements are of another type or the axes of another number (naming both), or there is too little memory.
    pub fn load<T: Element, D: Dimension>(self) -> Result<Shared<T, D>> {
        let (dim, order, swapped) = (self.dim::<T, D>()?, self.header.order, self.header.dtype.is_swapped());
        let mut array = Shared::zeros_in(dim, order)?;
        self.source.payload(bytemuck::cast_slice_mut(array.as_mut_slice()))?;
        if swapped {
            array.as_mut_slice().iter_mut().for_each(|element: &mut T| *element = element.swapped());
        }
        Ok(array)
    }

    /// Reads the payload as bytes, whatever numbers they are: `header.len()` elements of `header.dtype.size()` bytes each, in the
    /// order of the file and, if `header.dtype.is_swapped()`, with their bytes the other way round.
    ///
    /// # Errors
    /// If there is too little memory, or it cannot be read.
    pub fn load_bytes(self) -> Result<(Header, Shared<u8, Ix1>)> {
        let mut bytes = Shared::zeros(self.header.byte_len())?;
        self.source.payload(bytes.as_mut_slice())?;
        Ok((self.header, bytes))
    }

    /// The array where it lies, for worker processes; `None` if it cannot be used as it is and has to be [loaded](Self::load): its
    /// bytes come in the other order or are not aligned, it has none, somebody has it open to write, it is another user's, or its
    /// file system has no leases; or it is a named segment.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for want of memory.
    pub fn map<T: Element, D: Dimension>(&self) -> Result<Option<Mapped<T, D>>> {
        let dim = self.dim::<T, D>()?;
        Ok(if self.header.dtype.is_swapped() { None } else { self.mapped(dim, self.header.order) })
    }

    /// As [`map`](Self::map), of the payload as [`load_bytes`](Self::load_bytes) has it.
    pub fn map_bytes(&self) -> Option<Mapped<u8, Ix1>> {
        self.mapped(Ix1(self.header.byte_len()), Order::C)
    }

    fn mapped<T: Element, D: Dimension>(&self, dim: D, order: Order) -> Option<Mapped<T, D>> {
        let at = usize::try_from(self.header.data_at).ok()?;
        if self.source.is_segment() { None } else { Mapped::of(self.path(), self.source.file(), at, dim, order) }
    }

    /// The shape, if the elements are of type `T` and the axes as many as `D` has.
    fn dim<T: Element, D: Dimension>(&self) -> Result<D> {
        let header = &self.header;
        if header.dtype.to_native() != T::DTYPE {
            return Err(header::other_dtype(&self.source, header, T::DTYPE));
        }
        let axes = D::NDIM.unwrap_or(header.shape.len());
        if axes != header.shape.len() {
            let shape = &header.shape;
            let what = format!("it has {} axes (shape {shape:?}), where {axes} are asked for", shape.len());
            let lengths = vec!["n"; axes].join(", ");
            let remedy = format!("reshape it with numpy.save('new.npy', array.reshape({lengths}))");
            return Err(self.source.wrong(what, remedy));
        }
        let mut dim = D::zeros(axes);
        dim.slice_mut().copy_from_slice(&header.shape);
        Ok(dim)
    }
}
