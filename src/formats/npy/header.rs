//! What a .npy file holds, and whether it can be true: checked against the length of the file before anything is made.

use super::super::input::InputFile;
use super::archive;
use super::literal::{self, Descr};
use crate::dtype::{Dtype, DtypeError};
use crate::error::{Error, Result};
use crate::shared::Order;

/// The longest header that is looked at. NumPy's own are below 200 bytes unless there are many fields.
const LONGEST: u64 = 1 << 20;

/// The header of a .npy file, checked: the file is at least as long as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type of the elements.
    pub dtype: Dtype,
    /// The order in which the elements follow each other.
    pub order: Order,
    /// The lengths of the axes; none for a single element.
    pub shape: Vec<usize>,
    /// Where the first element is, in bytes from the start of the file.
    pub data_at: u64,
}

impl Header {
    /// Reads the header of a file; what is read next is the payload.
    pub(super) fn of(source: &mut InputFile) -> Result<Self> {
        let (header, data_at, end) = text(source)?;
        let found = literal::parse(&header)
            .map_err(|reason| source.wrong(format!("its .npy header is damaged: {reason}"), AGAIN))?;
        let dtype = numeric(source, found.descr)?;
        let order = if found.fortran_order { Order::F } else { Order::C };
        let size = dtype.size() as u64;
        let there = end - data_at;
        if payload(&found.shape, size).is_none_or(|promised| promised > u128::from(there)) {
            let promised = payload(&found.shape, size).map_or("more than 2^128".to_owned(), |bytes| bytes.to_string());
            let shape = &found.shape;
            let what = format!(
                "its header promises {promised} bytes (shape {shape:?} of {dtype}), but {there} bytes follow the header"
            );
            return Err(source.wrong(what, AGAIN));
        }
        let length = |&axis: &u64| usize::try_from(axis).unwrap_or(usize::MAX);
        Ok(Self { dtype, order, shape: found.shape.iter().map(length).collect(), data_at })
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        if self.is_empty() { 0 } else { self.shape.iter().product() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Bytes of all elements.
    pub fn byte_len(&self) -> usize {
        self.len() * self.dtype.size()
    }
}

/// What files begin with.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

const AGAIN: &str = "fetch or save the file again";

/// The text of the header, where the payload begins, and where the file ends: in an archive, the file that is meant.
fn text(source: &mut InputFile) -> Result<(String, u64, u64)> {
    let mut within = 0..source.len();
    let mut start = [0; 8];
    let most = start.len().min(usize::try_from(source.len()).unwrap_or(usize::MAX));
    source.fill(&mut start[..most])?;
    if start.starts_with(archive::MAGIC) {
        within = archive::array(source)?;
        source.go_to(within.start)?;
        source.fill(&mut start)?;
    }
    if !start.starts_with(MAGIC) {
        let begin = start[..most].escape_ascii();
        let what = format!("it is not a .npy file: it begins with \"{begin}\" instead of \"\\x93NUMPY\"");
        return Err(source.wrong(what, "save it with numpy.save(file, array)"));
    }
    let (major, minor) = (start[6], start[7]);
    let (field, utf8) = match major {
        1 => (2, false),
        2 => (4, false),
        3 => (4, true),
        _ => {
            let what = format!("it has version {major}.{minor} of the .npy format; 1.0, 2.0 and 3.0 are known");
            return Err(source.wrong(what, "save it again with numpy.save(file, array)"));
        }
    };
    let mut length = [0; 4];
    source.fill(&mut length[..field])?;
    let (length, at) = (u64::from(u32::from_le_bytes(length)), within.start + 8 + field as u64);
    if length > LONGEST || at + length > within.end {
        let rest = within.end.saturating_sub(at).min(LONGEST);
        let what = format!("its header claims to be {length} bytes long, where at most {rest} can be");
        return Err(source.wrong(what, AGAIN));
    }
    let mut bytes = vec![0; length as usize];
    source.fill(&mut bytes)?;
    let text = if utf8 {
        String::from_utf8(bytes).map_err(|_| source.wrong("its .npy header is damaged: it is not UTF-8", AGAIN))?
    } else {
        bytes.into_iter().map(char::from).collect()
    };
    Ok((text, at + length, within.end))
}

/// The dtype if its elements are numbers.
fn numeric(source: &InputFile, descr: Descr) -> Result<Dtype> {
    let Descr::Plain(dtype) = descr else {
        let remedy = "save one field: numpy.save('new.npy', array['name'])";
        return Err(source.wrong("its elements are records with fields (a structured dtype)", remedy));
    };
    dtype.parse().map_err(|error: DtypeError| {
        source.wrong(
            format!("its elements are {} (dtype '{}'), not numbers", error.what(), dtype.escape_debug()),
            format!("convert it with numpy.save('new.npy', {})", error.remedy()),
        )
    })
}

/// Bytes of the payload; `None` if they are more than 2^128.
fn payload(shape: &[u64], size: u64) -> Option<u128> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(u128::from(size), |bytes, &axis| bytes.checked_mul(axis.into()))
}

/// The error when an array has other elements than were asked for.
pub(super) fn other_dtype(source: &InputFile, header: &Header, wanted: Dtype) -> Error {
    source.wrong(
        format!("its elements are {}, where {wanted} is asked for", header.dtype),
        format!("convert it with numpy.save('new.npy', array.astype('{}'))", wanted.numpy_name()),
    )
}
