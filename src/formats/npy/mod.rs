//! NumPy's .npy files: read straight into shared memory, written as NumPy writes them.
//!
//! The header says type, order and shape; it is checked against the length of the file before memory is asked for. The
//! payload is read by the kernel into the array's own segment, in a few large reads, and swapped there if its bytes come
//! in the other order. Writing is the same backwards: an array that is contiguous goes out without a copy.
//!
//! ```
//! use parfork::{Shared, formats::npy};
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("grid.npy");
//! let grid = Shared::from_array(&ndarray::array![[1.0, 2.0], [3.0, 4.0]])?;
//! npy::save(&path, grid.view())?; // numpy.load("grid.npy") gives the same array
//! let again = Shared::<f64, ndarray::Ix2>::load(&path)?;
//! assert_eq!(again.view(), grid.view());
//! # Ok::<(), parfork::Error>(())
//! ```
//!
//! `shm:NAME` in place of a path is a copy of a [named segment](crate::named), taken while nobody writes it.
//!
//! The parser of headers is our own, 100 lines: the crates that read .npy bring 15 more (a grammar compiler among them)
//! and do not take what NumPy under Python 2 wrote.

mod header;
mod literal;

use std::io::{self, Write};
use std::path::Path;

use bytemuck::cast_slice;
use ndarray::{ArrayView, Dimension, Ix1, IxDyn};

pub use crate::shared::Element;
pub use header::Header;

use super::AtomicFile;
use super::input::InputFile;
#[cfg(feature = "named")]
use super::input::segment;
use crate::error::Result;
#[cfg(feature = "named")]
use crate::shared::named;
use crate::shared::{Mapped, Order, Shared, dtype};

/// Reads an array of any number of axes.
///
/// The elements must be of type `T` exactly, in either byte order; the array keeps the order (C or Fortran) of the file.
///
/// # Errors
/// As [`Header::read`]; also if the elements are of another type (naming both), or there is too little memory.
pub fn read<T: Element>(path: impl AsRef<Path>) -> Result<Shared<T, IxDyn>> {
    Shared::load(path)
}

/// Reads the payload of an array as bytes, whatever numbers they are: `header.len()` elements of `header.item_size()` bytes
/// each, in the order of the file and, if `header.swapped()`, with their bytes the other way round.
///
/// # Errors
/// As [`Header::read`], or if there is too little memory.
pub fn read_bytes(path: impl AsRef<Path>) -> Result<(Header, Shared<u8, Ix1>)> {
    #[cfg(feature = "named")]
    if let Some(name) = segment(path.as_ref()) {
        let (named::header::Header { dtype, order, shape, data_at, .. }, bytes) = named::bytes(name)?;
        return Ok((Header { dtype, order, shape, data_at }, bytes));
    }
    let mut source = InputFile::open(path.as_ref())?;
    let header = Header::of(&mut source)?;
    let mut bytes = Shared::zeros(header.byte_len())?;
    source.fill(bytes.as_mut_slice())?;
    Ok((header, bytes))
}

impl<T: Element, D: Dimension> Shared<T, D> {
    /// Reads a .npy file into shared memory.
    ///
    /// The elements must be of type `T` exactly, in either byte order, and the axes as many as `D` has (any number for
    /// `IxDyn`); the array keeps the order (C or Fortran) of the file.
    ///
    /// # Errors
    /// As [`Header::read`]; also if the elements are of another type or the axes of another number (naming both), or there
    /// is too little memory.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        #[cfg(feature = "named")]
        if let Some(name) = segment(path.as_ref()) {
            return Self::attach(name)?.read()?.copy();
        }
        let (mut source, header, dim) = open::<T, D>(path.as_ref())?;
        let mut array = Self::zeros_in(dim, header.order)?;
        source.fill(bytemuck::cast_slice_mut(array.as_mut_slice()))?;
        if header.swapped() {
            array.as_mut_slice().iter_mut().for_each(|element| *element = element.swapped());
        }
        Ok(array)
    }
}

/// Opens a file whose elements are of type `T`, and whose axes are as many as `D` has.
fn open<T: Element, D: Dimension>(path: &Path) -> Result<(InputFile, Header, D)> {
    let mut source = InputFile::open(path)?;
    let header = Header::of(&mut source)?;
    if (header.kind(), header.item_size()) != (T::KIND, size_of::<T>()) {
        return Err(header::other_dtype(&source, &header, &dtype::<T>()));
    }
    let axes = D::NDIM.unwrap_or(header.shape.len());
    if axes != header.shape.len() {
        let what = format!("it has {} axes (shape {:?}), where {axes} are asked for", header.shape.len(), header.shape);
        let lengths = vec!["n"; axes].join(", ");
        return Err(source.wrong(what, format!("reshape it with numpy.save('new.npy', array.reshape({lengths}))")));
    }
    let mut dim = D::zeros(axes);
    dim.slice_mut().copy_from_slice(&header.shape);
    Ok((source, header, dim))
}

impl<T: Element, D: Dimension> Mapped<T, D> {
    /// The array of a .npy file, where it lies; `None` if it cannot be used as it is and has to be [read](Shared::load): its bytes
    /// come in the other order or are not aligned, it has none, somebody has it open to write, it is another user's, or its file
    /// system has no leases; or it is a named segment.
    ///
    /// # Errors
    /// As [`Shared::load`], but for want of memory.
    pub fn open(path: impl AsRef<Path>) -> Result<Option<Self>> {
        #[cfg(feature = "named")]
        if segment(path.as_ref()).is_some() {
            return Ok(None);
        }
        let (mut source, header, dim) = open::<T, D>(path.as_ref())?;
        let at = source.position()?;
        Ok(if header.swapped() { None } else { Self::of(source.path(), source.file(), at, dim, header.order) })
    }
}

impl Mapped<u8, Ix1> {
    /// The payload of a .npy file as bytes, as [`read_bytes`] describes it, but where it lies; `None` as in [`open`](Self::open).
    ///
    /// # Errors
    /// As [`Header::read`].
    pub fn open_bytes(path: impl AsRef<Path>) -> Result<(Header, Option<Self>)> {
        #[cfg(feature = "named")]
        if segment(path.as_ref()).is_some() {
            return Ok((Header::read(path)?, None));
        }
        let mut source = InputFile::open(path.as_ref())?;
        let header = Header::of(&mut source)?;
        let (at, dim) = (source.position()?, Ix1(header.byte_len()));
        let mapped = Self::of(source.path(), source.file(), at, dim, Order::C);
        Ok((header, mapped))
    }
}

/// Writes an array to an [`AtomicFile`] that the caller then [`commit`](AtomicFile::commit)s.
///
/// The bytes are those of `numpy.save`: version 1.0, payload at a multiple of 64 bytes, little endian on little-endian
/// machines. An array that is contiguous in C or Fortran order keeps that order and is not copied; another becomes C.
///
/// # Errors
/// If the disk is full or fails.
pub fn write<T: Element, D: Dimension>(out: &mut AtomicFile, array: ArrayView<'_, T, D>) -> Result<()> {
    encode(out, array).map_err(|error| out.failed(&error))
}

/// As [`write()`], of bytes that are numbers of the type that NumPy calls `dtype`, an array of this shape in this order.
///
/// # Errors
/// If the disk is full or fails.
///
/// # Panics
/// If they are not as many as `item_size` bytes an element make.
pub fn write_bytes(
    out: &mut AtomicFile,
    dtype: &str,
    item_size: usize,
    shape: &[usize],
    order: Order,
    bytes: &[u8],
) -> Result<()> {
    assert_eq!(bytes.len(), shape.iter().product::<usize>() * item_size);
    let written = out.write_all(&header_text(dtype, shape, order)).and_then(|()| out.write_all(bytes));
    written.map_err(|error| out.failed(&error))
}

/// Writes an array to a file that appears when it is whole.
///
/// # Errors
/// As [`AtomicFile::at`] and [`write()`].
pub fn save<T: Element, D: Dimension>(path: impl AsRef<Path>, array: ArrayView<'_, T, D>) -> Result<()> {
    let mut out = AtomicFile::at(path)?;
    out.reserve((header_text(&dtype::<T>(), array.shape(), Order::C).len() + array.len() * size_of::<T>()) as u64)?;
    write(&mut out, array)?;
    out.commit()
}

fn encode<T: Element, D: Dimension>(out: &mut impl Write, array: ArrayView<'_, T, D>) -> io::Result<()> {
    let backwards = array.t();
    let (order, whole) = match (array.as_slice(), backwards.as_slice()) {
        (Some(slice), _) => (Order::C, Some(slice)),
        (None, Some(slice)) => (Order::F, Some(slice)),
        (None, None) => (Order::C, None),
    };
    out.write_all(&header_text(&dtype::<T>(), array.shape(), order))?;
    if let Some(slice) = whole {
        return out.write_all(cast_slice(slice));
    }
    let mut piece = Vec::with_capacity(1 << 13);
    for element in &array {
        piece.push(*element);
        if piece.len() == piece.capacity() {
            out.write_all(cast_slice(&piece))?;
            piece.clear();
        }
    }
    out.write_all(cast_slice(&piece))
}

/// Everything before the payload, byte for byte as NumPy 2 writes it, room for the longest axis to grow included.
fn header_text(dtype: &str, shape: &[usize], order: Order) -> Vec<u8> {
    let lengths = match shape {
        [length] => format!("({length},)"),
        _ => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    };
    let (fortran, growing) = match order {
        Order::C => ("False", shape.first()),
        Order::F => ("True", shape.last()),
    };
    let mut text = format!("{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {lengths}, }}");
    text.extend(growing.map(|length| " ".repeat(21 - length.to_string().len())));
    // Version 1.0 counts up to 65535 bytes, which is some 3000 axes; NumPy takes 64.
    let versions = [(1, 10), (2, 12)];
    let (version, start) = versions[usize::from(text.len() + 128 > usize::from(u16::MAX))];
    text.push_str(&" ".repeat(64 - (start + text.len() + 1) % 64));
    text.push('\n');
    let mut header = b"\x93NUMPY".to_vec();
    header.extend([version, 0]);
    header.extend(&(text.len() as u32).to_le_bytes()[..start - 8]);
    header.extend(text.as_bytes());
    header
}
