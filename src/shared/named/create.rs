//! Making a segment: everything is decided, reserved and written before it has its name.

use std::fs::File;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use ndarray::{Dimension, IntoDimension};

use super::header::{Header, MOST_AXES, Owner};
use super::name::Name;
use super::segment_folder::SegmentFolder;
use super::{Backing, MapMode, Named};
use crate::dtype::Dtype;
use crate::error::{Error, Result, SegmentErrorKind};
use crate::shared::lengths::with_what_fits;
use crate::shared::{Element, Order, Shared, byte_length};
use crate::sys::page::page_size;
use crate::sys::{file, limits};

/// A segment that is to be made; made by [`Named::create`].
///
/// It is in this user's folder of /dev/shm, for this user alone, and gone with what [`zeros`](Self::zeros) or
/// [`copy_of`](Self::copy_of) return, unless it is [kept](Self::keep). (A process that is killed, or leaves by `exit`, does not come
/// to that; [`gc`](super::gc) removes what it left.)
///
/// ```
/// use parfork::{Shared, named::{self, Named}};
/// # let name = format!("doc-keep-{}", std::process::id());
/// # let name = name.as_str();
/// let table = Shared::from_array(&ndarray::array![[1.0, 2.0], [3.0, 4.0]])?;
/// drop(Named::create(name).keep(true).copy_of(&table)?);
/// let mut again = Named::<f64, ndarray::Ix2>::open(name)?;
/// assert_eq!(again.read()?.view(), table.view());
/// named::remove(name)?;
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CreateOptions<T, D> {
    name: String,
    kept: bool,
    group: Option<String>,
    group_writes: bool,
    order: Order,
    array: PhantomData<(T, D)>,
}

impl<T: Element, D: Dimension> CreateOptions<T, D> {
    pub(super) fn new(name: &str) -> Self {
        let (name, array) = (name.to_owned(), PhantomData);
        Self { name, kept: false, group: None, group_writes: false, order: Order::C, array }
    }

    /// Whether it stays when its creator ends, until it is removed.
    pub fn keep(self, kept: bool) -> Self {
        Self { kept, ..self }
    }

    /// Lets the members of a group (by name or number; one of this user's) read it, as `user:group/name`.
    pub fn group(self, group: &str) -> Self {
        Self { group: Some(group.to_owned()), ..self }
    }

    /// Lets the members of the group write to it too. They are trusted then: see docs/segments.md.
    pub fn group_writes(self, writes: bool) -> Self {
        Self { group_writes: writes, ..self }
    }

    /// The order of the elements in memory.
    pub fn order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Makes it, with zeros.
    ///
    /// # Errors
    /// If there is one of this name, or too little room, in /dev/shm or of memory; the error has the numbers.
    pub fn zeros(self, shape: impl IntoDimension<Dim = D>) -> Result<Named<T, D>> {
        self.make(shape.into_dimension().slice(), None)
    }

    /// Makes it, with the elements of an array, in its order.
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    pub fn copy_of(self, array: &Shared<T, D>) -> Result<Named<T, D>> {
        self.order(array.order()).make(array.shape(), Some(array))
    }

    fn make(self, shape: &[usize], from: Option<&Shared<T, D>>) -> Result<Named<T, D>> {
        let name = match &self.group {
            Some(group) => Name::read(&format!("{group}/{}", self.name))?,
            None => Name::read(&self.name)?,
        };
        if name.user != file::user() {
            return Err(name.error(SegmentErrorKind::OthersFolder));
        }
        let mut header = header(&name, T::DTYPE, shape, self.order, Owner::this()?)?;
        header.kept = self.kept;
        let payload = from.map(|array| bytemuck::cast_slice(array.as_slice()));
        let what = || what(&name, shape, size_of::<T>());
        let made = put(&name, self.group_writes, header, payload, &what);
        let (place, file, header) = made.map_err(|error| with_what_fits(error, shape, size_of::<T>()))?;
        let mut named = Named::map(name, header, file, true)?;
        named.creator = (!self.kept).then_some(place);
        Ok(named)
    }
}

/// The header of a new segment.
pub(super) fn header(name: &Name, dtype: Dtype, shape: &[usize], order: Order, owner: Owner) -> Result<Header> {
    byte_length(shape, dtype.size())?;
    Header::new(dtype, shape, order, owner)
        .ok_or_else(|| name.error(SegmentErrorKind::Axes { most: MOST_AXES, shape: shape.to_vec() }))
}

/// What errors call a segment.
pub(super) fn what(name: &Name, shape: &[usize], size: usize) -> String {
    format!("segment {name}, an array of shape {shape:?} with elements of {size} bytes,")
}

/// Makes a file that is a segment: one of zeros, or of a payload.
pub(super) fn put(
    name: &Name,
    group_writes: bool,
    mut header: Header,
    payload: Option<&[u8]>,
    what: &dyn Fn() -> String,
) -> Result<(SegmentFolder, File, Header)> {
    header.group = name.group;
    header.created = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    let mode = match (name.group, group_writes) {
        (None, _) => 0o600,
        (Some(_), false) => 0o640,
        (Some(_), true) => 0o660,
    };
    let (place, file) = SegmentFolder::put(name, mode, |place, file| fill(place, file, &header, payload, what))?;
    Ok((place, file, header))
}

/// Whether there is memory for a segment, in a folder whose file system has room for so many bytes if that is known.
pub(super) fn check_room(here: Option<u64>, header: &Header, what: &dyn Fn() -> String) -> Result<()> {
    let need = header.bytes.max(1).next_multiple_of(page_size() as u64) + page_size() as u64;
    let here = here.map(|bytes| limits::Room { bytes, by: FILE_SYSTEM });
    let rooms = here.into_iter().chain(limits::memory_room()).chain(limits::file_room());
    match rooms.min_by_key(|room| room.bytes).filter(|room| room.bytes < need) {
        Some(room) => Err(too_little(room, header, what)),
        None => Ok(()),
    }
}

const FILE_SYSTEM: &str = "the file system of segments (/dev/shm)";

fn too_little(limits::Room { bytes, by }: limits::Room, header: &Header, what: &dyn Fn() -> String) -> Error {
    // What fits is payload, beside the page that the header takes.
    let room = bytes.saturating_sub(page_size() as u64);
    Error::Memory { what: what(), need: header.bytes, room, by, fits: None }
}

/// Gives a new file its memory, its payload and its header.
fn fill(
    place: &SegmentFolder,
    file: &File,
    header: &Header,
    payload: Option<&[u8]>,
    what: &dyn Fn() -> String,
) -> Result<()> {
    check_room(place.room(), header, what)?;
    let made = || {
        file.set_len(header.file_len())?;
        file.write_all_at(&header.to_bytes(), 0)?;
        let backing = Backing::named(file.try_clone()?.into(), header.data_at as usize, header.bytes.max(1) as usize);
        let mapped = backing.attach(MapMode::SharedToWrite).map_err(std::io::Error::other)?;
        // Should others have taken what there was meanwhile, this is what fails, and no touch later.
        backing.reserve(&mapped)?;
        payload.map_or(Ok(()), |payload| file.write_all_at(payload, header.data_at))
    };
    made().map_err(|error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::OutOfMemory => {
            let bytes = place.room().unwrap_or(0);
            too_little(limits::Room { bytes, by: FILE_SYSTEM }, header, what)
        }
        _ => Error::system("make a segment")(error),
    })
}
