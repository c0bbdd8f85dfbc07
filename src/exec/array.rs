//! An array as programs are handed it: bytes in shared memory or in a file, whatever numbers they are.

use std::fs::File;
use std::path::Path;

use ndarray::{Dimension, IntoDimension, Ix1};

use crate::dtype::Dtype;
use crate::error::{Error, ExecError, Result};
use crate::formats::npy::ArrayFile;
use crate::formats::{OutputFile, npy};
use crate::shared::{Backing, Element, Mapped, Order, Shared, byte_length};
use crate::slices::Extent;
use crate::sys::memory::get;

/// An array of numbers of any type: an input that is in a file, or was read from one, or an output.
///
/// ```
/// use parfork::{Element, exec::Array};
/// let squares = Array::output("squares", u32::DTYPE, &[3])?;
/// assert_eq!(squares.as_bytes(), Some(&[0; 12][..]));
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct Array {
    name: String,
    output: bool,
    dtype: Dtype,
    shape: Vec<usize>,
    order: Order,
    contents: Contents,
    payload: Option<Payload>,
}

/// Where an array's bytes are.
#[derive(Debug)]
pub(super) enum Contents {
    /// In shared memory.
    Memory(Shared<u8, Ix1>),
    /// In a file, which is leased.
    File(Mapped<u8, Ix1>),
}

/// Where in a file an output's bytes belong.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) file: File,
    pub(super) at: usize,
    /// Whether a slice is written there as soon as it is done, and its memory given back.
    pub(super) by_slices: bool,
}

impl Array {
    /// A .npy file, whatever numbers it holds, as an input. Programs read it where it lies if that can be, which keeps whoever wants to
    /// write to it waiting as [`Mapped`] does; else it is read into memory, where nobody can write to it.
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
        let (name, dtype) = (name.into(), file.header().dtype);
        if dtype.is_long_double() {
            return Err(Error::File {
                path: file.path().to_owned(),
                what: format!("its elements are {dtype}, which programs cannot be handed"),
                remedy: "convert it with numpy.save('new.npy', array.astype('float64'))".to_owned(),
            });
        }
        // Of the arrays of an archive, some begin where their elements are not aligned.
        let is_as_it_should_be = !dtype.is_swapped() && file.header().data_at.is_multiple_of(dtype.part_size() as u64);
        if let Some(mapped) = is_as_it_should_be.then(|| file.map_bytes()).flatten() {
            let (shape, order) = (file.header().shape.clone(), file.header().order);
            return Ok(Self::new(name, false, dtype, shape, order, Contents::File(mapped)));
        }
        let (header, mut bytes) = file.load_bytes()?;
        if dtype.is_swapped() {
            bytes.as_mut_slice().chunks_exact_mut(dtype.part_size()).for_each(<[u8]>::reverse);
        }
        bytes.seal()?;
        Ok(Self::new(name, false, dtype.to_native(), header.shape, header.order, Contents::Memory(bytes)))
    }

    /// An array that was made elsewhere as an input, in C order. From then on nobody can write to it.
    ///
    /// # Errors
    /// If the system refuses to seal it.
    pub fn input_of<T: Element, D: Dimension>(name: impl Into<String>, array: Shared<T, D>) -> Result<Self> {
        let (dtype, shape, order) = (T::DTYPE, array.shape().to_vec(), array.order());
        let length = array.len() * dtype.size();
        let mut bytes = array.into_elements(length)?;
        bytes.seal()?;
        Ok(Self::new(name.into(), false, dtype, shape, order, Contents::Memory(bytes)))
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
        let contents = Contents::Memory(Shared::zeros(bytes)?);
        Ok(Self::new(name.into(), true, dtype, shape.to_vec(), Order::C, contents))
    }

    /// As [`output`](Self::output), for an output file to which [`write_npy`](Self::write_npy) then writes it. If the file can be
    /// written anywhere, and slices are bands of rows, each is written as soon as it is done, and its memory given back: the array does not
    /// [have its bytes](Self::as_bytes) then.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn output_file(name: impl Into<String>, dtype: Dtype, shape: &[usize], out: &OutputFile) -> Result<Self> {
        let mut array = Self::output(name, dtype, shape)?;
        if let Some(file) = out.file() {
            let file = file.try_clone().map_err(|error| out.failed(&error))?;
            array.payload = Some(Payload { file, at: npy::payload_at(dtype, shape), by_slices: false });
        }
        Ok(array)
    }

    pub(super) fn new(
        name: String,
        output: bool,
        dtype: Dtype,
        shape: Vec<usize>,
        order: Order,
        contents: Contents,
    ) -> Self {
        Self { name, output, dtype, shape, order, contents, payload: None }
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

    /// Its bytes in the order of memory; `None` if they are in a file.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.contents {
            Contents::Memory(bytes) if !self.is_written() => Some(bytes.as_slice()),
            _ => None,
        }
    }

    /// Writes it to an [`OutputFile`] that the caller then [`commit`](OutputFile::commit)s; one that was made
    /// [for a file](Self::output_file), to that.
    ///
    /// # Errors
    /// As [`npy::write_bytes`].
    ///
    /// # Panics
    /// If it is an input that is in a file.
    pub fn write_npy(&self, out: &mut OutputFile) -> Result<()> {
        if self.is_written() {
            return npy::write_header(out, self.dtype, &self.shape);
        }
        let bytes = self.as_bytes().expect("an input in a file is there already");
        npy::write_bytes(out, self.dtype, &self.shape, self.order, bytes)
    }

    /// The array, typed, with any axes that have as many elements.
    ///
    /// # Errors
    /// If its elements are of another type, or there are more or fewer; if there is too little memory for what is in a file.
    ///
    /// # Panics
    /// If it is an output that was written to its file.
    pub fn into_shared<T: Element, D: Dimension>(self, shape: impl IntoDimension<Dim = D>) -> Result<Shared<T, D>> {
        if self.dtype != T::DTYPE {
            let (found, wanted) = (self.dtype, T::DTYPE);
            return Err(ExecError::OtherElements { found, wanted }.into());
        }
        assert!(!self.is_written(), "an output that was written to its file is there");
        match self.into_memory()?.contents {
            Contents::Memory(bytes) => bytes.into_elements(shape),
            Contents::File(_) => unreachable!("it was just read"),
        }
    }

    /// The same array in memory.
    pub(super) fn into_memory(mut self) -> Result<Self> {
        if let Contents::File(mapped) = &self.contents {
            let mut bytes = in_memory(mapped)?;
            bytes.seal()?;
            self.contents = Contents::Memory(bytes);
        }
        Ok(self)
    }

    /// Whether all of it was written to its file as it was done.
    fn is_written(&self) -> bool {
        self.payload.as_ref().is_some_and(|payload| payload.by_slices)
    }

    /// Whether slices that are one run of bytes each are to be written to its file as they are done, if it has one.
    pub(super) fn write_by_slices(&mut self, yes: bool) {
        if let Some(payload) = &mut self.payload {
            payload.by_slices = yes;
        }
    }

    /// Ends the use of memory that was given back: no other array may have it.
    ///
    /// # Errors
    /// If the system refuses to seal it.
    pub(super) fn retire(&mut self) -> Result<()> {
        match &mut self.contents {
            Contents::Memory(bytes) if self.payload.as_ref().is_some_and(|payload| payload.by_slices) => bytes.seal(),
            _ => Ok(()),
        }
    }

    pub(super) fn payload(&self) -> Option<&Payload> {
        self.payload.as_ref()
    }

    pub(super) fn contents(&self) -> &Contents {
        &self.contents
    }

    pub(super) fn backing(&self) -> &Backing {
        match &self.contents {
            Contents::Memory(bytes) => bytes.segment().backing(),
            Contents::File(mapped) => mapped.backing(),
        }
    }

    pub(super) fn extent(&self) -> Extent<'_> {
        let first_is_fastest = self.order == Order::F;
        Extent { shape: &self.shape, first_is_fastest, element: self.dtype.size(), at: 0 }
    }
}

/// The bytes of an array that is in a file.
///
/// # Errors
/// If they cannot be read, or there is too little memory.
pub(super) fn in_memory(mapped: &Mapped<u8, Ix1>) -> Result<Shared<u8, Ix1>> {
    let mut bytes = Shared::zeros(mapped.backing().len())?;
    let read = get(mapped.file(), mapped.backing().begins_at(), bytes.as_mut_slice());
    read.map_err(Error::system("read an array from its file"))?;
    Ok(bytes)
}
