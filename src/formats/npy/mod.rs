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
//! In place of a path there can be any [`Address`](super::Address): `-`, or `shm:NAME`.
//!
//! The parser of headers is our own, 100 lines: the crates that read .npy bring 15 more (a grammar compiler among them)
//! and do not take what NumPy under Python 2 wrote.

mod archive;
mod array_file;
mod header;
mod literal;

use std::io::{self, Write};
use std::path::Path;

use bytemuck::cast_slice;
use ndarray::{ArrayView, Dimension, Ix1, IxDyn};

pub(super) use archive::MAGIC as ARCHIVE_MAGIC;
pub use array_file::ArrayFile;
pub use header::Header;
pub(super) use header::MAGIC;

use super::OutputFile;
use crate::dtype::Dtype;
use crate::error::Result;
#[cfg(feature = "named")]
use crate::shared::named::Elements;
use crate::shared::{Element, Mapped, Order, Shared};

/// Reads an array of any number of axes.
///
/// The elements must be of type `T` exactly, in either byte order; the array keeps the order (C or Fortran) of the file.
///
/// # Errors
/// As [`Shared::load`].
pub fn read<T: Element>(path: impl AsRef<Path>) -> Result<Shared<T, IxDyn>> {
    Shared::load(path)
}

/// Reads the payload of an array as [bytes](ArrayFile::load_bytes).
///
/// # Errors
/// As [`ArrayFile::open`], or if there is too little memory.
pub fn read_bytes(path: impl AsRef<Path>) -> Result<(Header, Shared<u8, Ix1>)> {
    ArrayFile::open(path)?.load_bytes()
}

impl<T: Element, D: Dimension> Shared<T, D> {
    /// [Reads](ArrayFile::load) a .npy file, or a named segment, into shared memory.
    ///
    /// # Errors
    /// As [`ArrayFile::open`] and [`ArrayFile::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        ArrayFile::open(path)?.load()
    }
}

impl<T: Element, D: Dimension> Mapped<T, D> {
    /// The array of a .npy file, [where it lies](ArrayFile::map).
    ///
    /// # Errors
    /// As [`ArrayFile::open`] and [`ArrayFile::map`].
    pub fn open(path: impl AsRef<Path>) -> Result<Option<Self>> {
        ArrayFile::open(path)?.map()
    }
}

/// Writes an array to an [`OutputFile`] that the caller then [`commit`](OutputFile::commit)s.
///
/// The bytes are those of `numpy.save`: version 1.0, payload at a multiple of 64 bytes, little endian on little-endian
/// machines. An array that is contiguous in C or Fortran order keeps that order and is not copied; another becomes C. A segment gets
/// the array itself.
///
/// # Errors
/// If the disk is full or fails, or a segment is of another type or shape.
pub fn write<T: Element, D: Dimension>(out: &mut OutputFile, array: ArrayView<'_, T, D>) -> Result<()> {
    if !out.is_segment() {
        return encode(out, array).map_err(|error| out.failed(&error));
    }
    let copy = Shared::from_array(&array)?;
    write_bytes(out, T::DTYPE, array.shape(), copy.order(), cast_slice(copy.as_slice()))
}

/// Makes sure that there is room for an array of this type and shape; and if the output is a segment, that it can hold such an array.
///
/// # Errors
/// If not.
pub fn prepare(out: &mut OutputFile, dtype: Dtype, shape: &[usize]) -> Result<()> {
    #[cfg(feature = "named")]
    if let Some(segment) = out.segment() {
        return segment.takes(Elements { dtype, shape, order: Order::C });
    }
    let header = header_text(dtype, shape, Order::C).len();
    out.reserve((header + crate::shared::byte_length(shape, dtype.size())?) as u64)
}

/// Where the elements of an array in C order begin in its file.
pub(crate) fn payload_at(dtype: Dtype, shape: &[usize]) -> usize {
    header_text(dtype, shape, Order::C).len()
}

/// As [`write_bytes`], of an array in C order whose elements are in the file already.
pub(crate) fn write_header(out: &mut OutputFile, dtype: Dtype, shape: &[usize]) -> Result<()> {
    out.write_all(&header_text(dtype, shape, Order::C)).map_err(|error| out.failed(&error))
}

/// As [`write()`], of the bytes of an array of this type, shape and order.
///
/// # Errors
/// If the disk is full or fails, or a segment is of another type or shape.
///
/// # Panics
/// If they are more or fewer.
pub fn write_bytes(out: &mut OutputFile, dtype: Dtype, shape: &[usize], order: Order, bytes: &[u8]) -> Result<()> {
    assert_eq!(bytes.len(), shape.iter().product::<usize>() * dtype.size());
    #[cfg(feature = "named")]
    if out.is_segment() {
        return out.fill(Elements { dtype, shape, order }, bytes);
    }
    let written = out.write_all(&header_text(dtype, shape, order)).and_then(|()| out.write_all(bytes));
    written.map_err(|error| out.failed(&error))
}

/// Writes an array to an output, where it appears when it is whole.
///
/// # Errors
/// As [`OutputFile::open`] and [`write()`].
pub fn save<T: Element, D: Dimension>(path: impl AsRef<Path>, array: ArrayView<'_, T, D>) -> Result<()> {
    let mut out = OutputFile::open(path)?;
    prepare(&mut out, T::DTYPE, array.shape())?;
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
    out.write_all(&header_text(T::DTYPE, array.shape(), order))?;
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
fn header_text(dtype: Dtype, shape: &[usize], order: Order) -> Vec<u8> {
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
    let mut header = MAGIC.to_vec();
    header.extend([version, 0]);
    header.extend(&(text.len() as u32).to_le_bytes()[..start - 8]);
    header.extend(text.as_bytes());
    header
}
