//! Named segments: arrays in shared memory that other programs find by name, and that stay if they are told to.
//!
//! One process creates a segment and others open it; they come to its elements through a lock for many readers or one writer,
//! which the kernel gives back when its holder dies. A count of generations says how often it was written whole, and can be waited
//! on. `docs/segments.md` has the layout, for other languages, and who can do what.
//!
//! ```
//! use parfork::named::{Named, Wait};
//! # let name = format!("doc-{}", std::process::id());
//! # let name = name.as_str();
//! // In one program: gone when `header` is dropped, unless it is kept.
//! let mut header = Named::<f32, _>::create(name).zeros((480, 640))?;
//! let mut held = header.write()?;
//! parfork::fork(2, &mut held, |_, mut slice| slice.fill(1.5))?;
//! held.publish()?;
//!
//! // In another: read-only, by whoever may.
//! let mut header = Named::<f32, ndarray::Ix2>::open(name)?;
//! header.wait_past(0, Wait::new())?;
//! let held = header.read()?;
//! assert_eq!(held.view().sum(), 480.0 * 640.0 * 1.5);
//! # Ok::<(), parfork::Error>(())
//! ```

mod create;
mod destination;
mod guard;
pub(crate) mod header;
mod list;
mod name;
mod owner;
mod segment_folder;
mod state;
mod wait;

use std::fs::File;
use std::marker::PhantomData;
use std::os::unix::fs::{FileExt, MetadataExt};

use ndarray::Dimension;

pub use create::CreateOptions;
pub(crate) use destination::{Destination, Elements};
pub(crate) use guard::Opened;
pub use guard::{ReadGuard, WriteGuard};
pub use header::Owner;
pub use list::{Found, GcEntry, Holder, Info, gc, info, list, remove};
pub use owner::Liveness;
pub use wait::Wait;

use super::attached::Attached;
use super::backing::Backing;
use super::{Element, Order, Shared};
use crate::error::{Error, Result, SegmentErrorKind};
use crate::sys::fork_stamp::{self, Stamp};
use crate::sys::lock::Lock;
use crate::sys::memory::MapMode;
use crate::sys::page::page_size;
use header::{HEADER, Header};
use name::Name;
use segment_folder::SegmentFolder;
use state::SegmentState;

/// A named segment that this process has open: an array of `T` with the axes of `D`.
///
/// Its elements are there for as long as a lock is held: [`read`](Self::read), [`write`](Self::write). One lock at a time, hence
/// `&mut self`; a process that wants more opens it again.
#[derive(Debug)]
pub struct Named<T, D> {
    name: Name,
    header: Header,
    file: File,
    state: SegmentState,
    backing: Backing,
    mapped: Attached,
    writable: bool,
    /// Whether it is another user's.
    foreign: bool,
    /// The process that attached it.
    by: Stamp,
    /// How often it had been attached to be written, this time included, and whether somebody else had it so.
    attached: u32,
    accompanied: bool,
    /// Where it goes from when this is dropped.
    creator: Option<SegmentFolder>,
    axes: PhantomData<(T, D)>,
}

/// A file that is a segment, and what it says of itself.
fn open_file(place: &SegmentFolder, name: &Name, write: bool) -> Result<(File, Header)> {
    let (file, found) = place.open(name, write)?;
    let mut bytes = [0; HEADER];
    let mut length = 0;
    while let more @ 1.. = file.read_at(&mut bytes[length..], length as u64).map_err(Error::system("read a segment"))? {
        length += more;
    }
    let refuse = |what: String| {
        let remedy = "remove it, or use it with the version that made it (parfork shm info)".to_owned();
        Error::File { path: place.path().join(name.file()), what: format!("it is no segment: {what}"), remedy }
    };
    let header = Header::parse(&bytes[..length], found.len()).map_err(|flaw| refuse(flaw.to_string()))?;
    if header.owner.uid != found.uid() {
        return Err(refuse(format!("it says that user {} made it, and belongs to {}", header.owner.uid, found.uid())));
    }
    match usize::try_from(header.data_at) {
        Ok(at) if at.is_multiple_of(page_size()) => Ok((file, header)),
        _ => Err(refuse(format!("its payload begins at {}, and not on a page of {}", header.data_at, page_size()))),
    }
}

impl<T: Element, D: Dimension> Named<T, D> {
    /// Makes a named segment: see [`CreateOptions`].
    pub fn create(name: &str) -> CreateOptions<T, D> {
        CreateOptions::new(name)
    }

    /// Opens a named segment, to read: what it says of itself is checked first. `name` is one's own, `group/name` one that is
    /// shared with a group, `user:group/name` another user's.
    ///
    /// # Errors
    /// If there is none, or it is not what it should be, with the reason: see docs/segments.md for all that is checked.
    pub fn open(name: &str) -> Result<Self> {
        Self::attach(name, false)
    }

    /// As [`open`](Self::open), to read and write.
    ///
    /// # Errors
    /// Also if this user may only read it.
    pub fn open_mut(name: &str) -> Result<Self> {
        Self::attach(name, true)
    }

    fn attach(name: &str, write: bool) -> Result<Self> {
        let name = Name::read(name)?;
        let place = SegmentFolder::of(&name)?;
        let (file, header) = open_file(&place, &name, write)?;
        let (found, wanted) = (header.dtype, T::DTYPE);
        let axes = D::NDIM.unwrap_or(header.shape.len());
        if found != wanted || axes != header.shape.len() {
            let shape = header.shape;
            return Err(name.error(SegmentErrorKind::OtherArray { found, shape, wanted, axes }));
        }
        Self::map(name, header, file, write)
    }

    /// Maps what was opened and checked.
    fn map(name: Name, header: Header, file: File, writable: bool) -> Result<Self> {
        let foreign = header.owner.uid != crate::sys::file::user();
        let state = SegmentState::of(&file, writable, foreign)?;
        let copy = file.try_clone().map_err(Error::system("keep a segment open"))?;
        let backing = Backing::named(copy.into(), header.data_at as usize, (header.bytes as usize).max(1));
        let mapped = backing.attach(if writable { MapMode::SharedToWrite } else { MapMode::SharedToRead })?;
        let by = fork_stamp::current();
        let (attached, accompanied, creator) = (0, false, None);
        let axes = PhantomData;
        let mut named = Self {
            name,
            header,
            file,
            state,
            backing,
            mapped,
            writable,
            foreign,
            by,
            attached,
            accompanied,
            creator,
            axes,
        };
        (named.attached, named.accompanied) = (named.come()?, named.is_accompanied());
        Ok(named)
    }

    /// Locks it for reading: many may at once. Waits for a writer; not for a dead one.
    ///
    /// # Errors
    /// [`SegmentErrorKind::Unfinished`](crate::SegmentErrorKind) if the last writer did not finish, [`SegmentErrorKind::CutOff`](crate::SegmentErrorKind) if the file
    /// is shorter than it was.
    pub fn read(&mut self) -> Result<ReadGuard<'_, T, D>> {
        self.read_within(Wait::new())
    }

    /// As [`read`](Self::read), for as long as `wait` says.
    ///
    /// # Errors
    /// Also [`SegmentErrorKind::Deadline`](crate::SegmentErrorKind) and [`SegmentErrorKind::Stopped`](crate::SegmentErrorKind).
    pub fn read_within(&mut self, wait: Wait<'_>) -> Result<ReadGuard<'_, T, D>> {
        self.acquire(Lock::Shared, wait)?;
        ReadGuard::new(self)
    }

    /// Locks it for writing: alone. Waits for readers and writers; not for dead ones.
    ///
    /// # Errors
    /// As [`read`](Self::read); also if it was opened to be read.
    pub fn write(&mut self) -> Result<WriteGuard<'_, T, D>> {
        self.write_within(Wait::new())
    }

    /// As [`write`](Self::write), for as long as `wait` says.
    ///
    /// # Errors
    /// Also [`SegmentErrorKind::Deadline`](crate::SegmentErrorKind) and [`SegmentErrorKind::Stopped`](crate::SegmentErrorKind).
    pub fn write_within(&mut self, wait: Wait<'_>) -> Result<WriteGuard<'_, T, D>> {
        self.acquire(Lock::Alone, wait)?;
        Ok(WriteGuard::new(self))
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// The shape in ndarray's type.
    pub fn raw_dim(&self) -> D {
        let mut dim = D::zeros(self.header.shape.len());
        dim.slice_mut().copy_from_slice(&self.header.shape);
        dim
    }

    /// The order of the elements in memory.
    pub fn order(&self) -> Order {
        self.header.order
    }

    pub(crate) fn backing(&self) -> &Backing {
        &self.backing
    }

    pub(crate) fn base(&self) -> std::ptr::NonNull<u8> {
        self.mapped.base()
    }
}

/// What errors call a segment that is another process's.
const NAMED: &str = "this handle of a named segment";

impl<T, D> Named<T, D> {
    /// Refuses to be used in a fork of the process that attached it: the lock that both would have is one.
    fn own(&self) -> Result<()> {
        if self.by.is_current() { Ok(()) } else { Err(Error::NotOwner { what: NAMED }) }
    }

    /// How often it has been written whole.
    pub fn generation(&self) -> u64 {
        self.state.seen().generation
    }

    /// Whether its name is gone. Its elements stay for as long as it is attached.
    pub fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    /// Writes the payload, through the file and not through the mapping: what is gone there is made again.
    fn put<U: Element, E: Dimension>(&self, from: &Shared<U, E>) -> Result<()> {
        let bytes = bytemuck::cast_slice(from.as_slice());
        self.file.write_all_at(bytes, self.header.data_at).map_err(Error::system("write to a segment"))
    }
}

/// What is not kept goes with its creator.
impl<T, D> Drop for Named<T, D> {
    fn drop(&mut self) {
        let Some(place) = self.creator.take().filter(|_| self.by.is_current()) else { return };
        let Ok(found) = self.file.metadata() else { return };
        // What cannot be removed now is for `gc`.
        let _ = place.remove(self.name.file(), found.ino());
        self.state.ring();
    }
}
