//! What one has of a segment while one holds its lock: views, which nobody else writes under.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use ndarray::{ArrayView, ArrayViewMut, Dimension, Ix1, RawArrayViewMut};

use super::header::Header;
use super::name::Name;
use super::segment_folder::SegmentFolder;
use super::wait::Wait;
use super::{NAMED, Named};
use crate::error::{Error, Result, SegmentErrorKind};
use crate::shared::{Element, Shared, raw_view};
use crate::slices::Extent;
use crate::sys::lock::Lock;

/// A segment that nobody writes as long as this lives. Lend `&guard` to a job to have all workers read it.
#[derive(Debug)]
#[must_use = "the lock is given back when it is dropped"]
pub struct ReadGuard<'n, T: Element, D: Dimension> {
    named: &'n Named<T, D>,
    /// What is looked at instead, if the segment is another user's, who need not keep to any lock.
    copy: Option<Shared<T, D>>,
}

/// A segment that nobody else reads or writes as long as this lives. Lend `&mut guard` to a job to have it cut into slices.
///
/// What was written counts when it is [published](Self::publish). A guard that is dropped without, after it was written through,
/// leaves the segment marked as unfinished: an error on the way out must not look like a result.
#[derive(Debug)]
#[must_use = "the lock is given back when it is dropped"]
pub struct WriteGuard<'n, T: Element, D: Dimension> {
    named: &'n Named<T, D>,
}

impl<'n, T: Element, D: Dimension> ReadGuard<'n, T, D> {
    /// The lock is held.
    pub(super) fn new(named: &'n Named<T, D>) -> Result<Self> {
        let mut guard = Self { named, copy: None };
        if named.foreign {
            guard.copy = Some(named.copy()?);
        }
        Ok(guard)
    }

    /// The whole array; a copy that was taken with the lock, if the segment is another user's.
    ///
    /// Should another process cut the file off meanwhile, the use of what is gone ends this process with SIGBUS. In a job's worker
    /// that is an error of the job, and [`copy`](Self::copy) is refused instead.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        if let Some(copy) = &self.copy {
            return copy.view();
        }
        // SAFETY: the lock keeps every writer out that keeps to it, and this process has no other guard of this handle.
        #[allow(unsafe_code)]
        unsafe {
            self.named.raw_view().deref_into_view()
        }
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        self.named.shape()
    }

    /// How often it has been written whole.
    pub fn generation(&self) -> u64 {
        self.named.generation()
    }

    /// A copy of one's own, in the same order.
    ///
    /// # Errors
    /// If there is too little memory, or the file was cut off.
    pub fn copy(&self) -> Result<Shared<T, D>> {
        self.named.copy()
    }

    /// The segment, or the copy that is looked at instead.
    pub(crate) fn source(&self) -> Result<&Named<T, D>, &Shared<T, D>> {
        self.copy.as_ref().map_or(Ok(self.named), Err)
    }
}

impl<'n, T: Element, D: Dimension> WriteGuard<'n, T, D> {
    /// The lock is held.
    pub(super) fn new(named: &'n Named<T, D>) -> Self {
        Self { named }
    }

    /// The whole array, to read. As for [`ReadGuard::view`].
    pub fn view(&self) -> ArrayView<'_, T, D> {
        // SAFETY: the lock keeps everybody else out, and `&self` this process's own writes.
        #[allow(unsafe_code)]
        unsafe {
            self.named.raw_view().deref_into_view()
        }
    }

    /// The whole array, to write. As for [`ReadGuard::view`].
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        self.begin();
        // SAFETY: the lock keeps everybody else out, and `&mut self` this process's other views. Only who attached to write has
        // the lock, so that it is mapped writable.
        #[allow(unsafe_code)]
        unsafe {
            self.named.raw_view().deref_into_view_mut()
        }
    }

    /// How often it has been written whole.
    pub fn generation(&self) -> u64 {
        self.named.generation()
    }

    /// A copy of one's own, in the same order.
    ///
    /// # Errors
    /// As [`ReadGuard::copy`].
    pub fn copy(&self) -> Result<Shared<T, D>> {
        self.named.copy()
    }

    /// Writes all of it anew: the elements of another array, of the same shape.
    ///
    /// # Errors
    /// If the shapes differ, or the file was cut off.
    pub fn copy_from(&mut self, other: &Shared<T, D>) -> Result<()> {
        let named = self.named;
        if other.shape() != named.shape() {
            let (shape, new_shape) = (named.shape().to_vec(), other.shape().to_vec());
            let (found, new) = (T::DTYPE, T::DTYPE);
            return Err(named.name.error(SegmentErrorKind::DoesNotFit { found, shape, new, new_shape }));
        }
        if other.order() != named.order() {
            let mut turned = Shared::zeros_in(other.raw_dim(), named.order())?;
            turned.view_mut().assign(&other.view());
            return self.copy_from(&turned);
        }
        named.own()?;
        named.whole()?;
        self.begin();
        named.put(other)
    }

    /// Says that it is written whole: the next generation, which others may read and may have waited for.
    ///
    /// # Errors
    /// If the file was cut off; it stays marked as unfinished then.
    pub fn publish(self) -> Result<u64> {
        self.named.own()?;
        self.named.whole()?;
        let words = self.named.state.own();
        // In this order: who dies in between leaves it marked.
        let generation = words.generation.fetch_add(1, Ordering::AcqRel) + 1;
        words.writer.store(0, Ordering::Release);
        Ok(generation)
    }

    /// Marks it as unfinished.
    pub(crate) fn begin(&self) {
        if self.named.own().is_err() {
            // The lock is another process's, and what is lent or looked at here will be refused.
            return;
        }
        self.named.state.own().writer.store(std::process::id(), Ordering::Release);
    }

    /// The segment.
    pub(crate) fn named(&self) -> &Named<T, D> {
        self.named
    }
}

impl<T: Element, D: Dimension> Drop for ReadGuard<'_, T, D> {
    fn drop(&mut self) {
        self.named.let_go();
    }
}

impl<T: Element, D: Dimension> Drop for WriteGuard<'_, T, D> {
    fn drop(&mut self) {
        self.named.let_go();
    }
}

impl<T: Element, D: Dimension> Named<T, D> {
    /// Gives the lock back, unless this is a fork of the process that has it.
    fn let_go(&self) {
        if self.by.is_current() {
            self.release();
        }
    }

    /// Where it is mapped in this process.
    fn here(&self) -> std::ptr::NonNull<u8> {
        assert!(self.mapped.is_here(), "{}", Error::NotOwner { what: NAMED });
        self.mapped.base()
    }

    /// How it lies in its mapping.
    pub(crate) fn extent(&self) -> Extent<'_> {
        Extent {
            shape: &self.header.shape,
            first_is_fastest: self.header.order == crate::shared::Order::F,
            element: size_of::<T>(),
            at: 0,
        }
    }

    /// The whole array. Not a reference.
    fn raw_view(&self) -> RawArrayViewMut<T, D> {
        // SAFETY: its payload is mapped there, as long as this shape of such elements needs, from a page on: checked by `parse`
        // and when it was attached.
        #[allow(unsafe_code)]
        unsafe {
            raw_view(self.here(), self.extent())
        }
    }

    fn copy(&self) -> Result<Shared<T, D>> {
        self.own()?;
        let mut copy = Shared::<T, D>::empty_in(self.raw_dim(), self.order())?;
        self.copy_to(bytemuck::cast_slice_mut(copy.as_mut_slice())).map(|()| copy)
    }
}

impl<T, D> Named<T, D> {
    /// Copies the first bytes of the payload, through the file.
    fn copy_to(&self, bytes: &mut [u8]) -> Result<()> {
        match self.file.read_exact_at(bytes, self.header.data_at) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let (found, expected) = (self.file.metadata().map_or(0, |found| found.len()), self.header.file_len());
                Err(self.name.error(SegmentErrorKind::CutOff { found, expected }))
            }
            Err(error) => Err(Error::system("read a segment")(error)),
        }
    }
}

/// A segment that was found and looked at: what it says of itself, and its bytes, whatever its elements are.
#[derive(Debug)]
pub(crate) struct Opened {
    name: Name,
    header: Header,
    file: File,
}

impl Opened {
    /// Opens it by its name.
    ///
    /// # Errors
    /// As [`Named::open`].
    pub(crate) fn find(name: &str) -> Result<Self> {
        let name = Name::read(name)?;
        let (file, header) = super::open_file(&SegmentFolder::of(&name)?, &name, false)?;
        Ok(Self { name, header, file })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Copies the first bytes of the payload while nobody writes it.
    pub(crate) fn copy_to(self, bytes: &mut [u8]) -> Result<()> {
        // Its elements are not looked at: the type says nothing of them.
        let named = Named::<u8, Ix1>::map(self.name, self.header, self.file, false)?;
        named.acquire(Lock::Shared, Wait::new())?;
        named.copy_to(bytes)
    }
}
