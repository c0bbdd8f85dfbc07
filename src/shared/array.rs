//! `Shared`: an n-d array in shared memory, with ndarray views.
//!
//! It owns its segment as a `Vec` owns its buffer, so that `view` borrows it and `view_mut` borrows it alone. Lending goes
//! through raw views, which are not references: what a worker writes is never under a reference of another's.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;

use bytemuck::Pod;
use ndarray::{ArrayBase, ArrayView, ArrayViewMut, Data, Dimension, IntoDimension, RawArrayViewMut, ShapeBuilder};

use super::Segment;
use super::lengths::{byte_length, with_what_fits};
use super::segment_cache::CachedSegment;
use crate::error::{Error, Result, ShapeError};
use crate::slices::Extent;

/// The least page of all machines.
const PAGE: usize = 4096;

/// In which order the cells of an array follow each other in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Row by row, the last index running fastest (C, NumPy's default).
    #[default]
    C,
    /// Column by column, the first index running fastest (Fortran).
    F,
}

/// An n-dimensional array in memory that worker processes can share; `T` is plain old data.
///
/// In this process it is used through [`view`](Self::view) and [`view_mut`](Self::view_mut). Workers get at it when it is
/// lent to a job: `&array` is read-only for all of them, `&mut array` is cut into slices.
///
/// The memory is anonymous (a memfd), reserved when the array is made and freed when it is dropped.
///
/// ```
/// use parfork::Shared;
/// let mut grid = Shared::<f64, _>::zeros((3, 4))?;
/// grid.view_mut()[[1, 2]] = 5.0;
/// assert_eq!(grid.view().sum(), 5.0);
/// # Ok::<(), parfork::Error>(())
/// ```
pub struct Shared<T, D> {
    segment: CachedSegment,
    dim: D,
    order: Order,
    cells: PhantomData<T>,
}

impl<T: Pod, D: Dimension> Shared<T, D> {
    /// An array of zeros (of zero bytes), in C order.
    ///
    /// # Errors
    /// If the shape has more bytes than can be addressed, or there is too little memory; nothing is killed later for want
    /// of it.
    pub fn zeros(shape: impl IntoDimension<Dim = D>) -> Result<Self> {
        Self::zeros_in(shape, Order::C)
    }

    /// An array of zeros in the order asked for.
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    pub fn zeros_in(shape: impl IntoDimension<Dim = D>, order: Order) -> Result<Self> {
        Self::make(shape, order, |bytes, what| Segment::for_data(bytes, what))
    }

    /// An array whose elements are any, in C order: to be written before they are read. They are zeros, or what was in
    /// arrays of this process that were dropped, if their memory is [kept](crate::set_segment_cache).
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    pub fn empty(shape: impl IntoDimension<Dim = D>) -> Result<Self> {
        Self::empty_in(shape, Order::C)
    }

    /// The same in the order asked for.
    pub(super) fn empty_in(shape: impl IntoDimension<Dim = D>, order: Order) -> Result<Self> {
        Self::make(shape, order, |bytes, what| Segment::for_any_data(bytes, what))
    }

    fn make(
        shape: impl IntoDimension<Dim = D>,
        order: Order,
        segment: impl FnOnce(usize, &dyn Fn() -> String) -> Result<Segment>,
    ) -> Result<Self> {
        let dim = shape.into_dimension();
        let bytes = byte_length(dim.slice(), size_of::<T>())?;
        if align_of::<T>() > PAGE {
            let element = std::any::type_name::<T>();
            return Err(ShapeError::Alignment { element, align: align_of::<T>(), page: PAGE }.into());
        }
        let what = || format!("an array of shape {:?} with elements of {} bytes", dim.slice(), size_of::<T>());
        let segment = segment(bytes, &what).map_err(|error| with_what_fits(error, dim.slice(), size_of::<T>()))?;
        Ok(Self { segment: CachedSegment::new(segment), dim, order, cells: PhantomData })
    }

    /// An array of zeros with the shape and order of another, whose elements may differ.
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    pub fn zeros_like<U: Pod>(other: &Shared<U, D>) -> Result<Self> {
        Self::zeros_in(other.dim.clone(), other.order)
    }

    /// A copy of any ndarray, in C order.
    ///
    /// ```
    /// use ndarray::array;
    /// use parfork::Shared;
    /// let shared = Shared::from_array(&array![[1, 2], [3, 4]])?;
    /// assert_eq!(shared.view(), array![[1, 2], [3, 4]]);
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    pub fn from_array<S: Data<Elem = T>>(array: &ArrayBase<S, D>) -> Result<Self> {
        let mut shared = Self::empty(array.raw_dim())?;
        shared.view_mut().assign(array);
        Ok(shared)
    }

    /// The whole array, to read.
    ///
    /// # Panics
    /// In a worker, or another fork of the process that made the array: what is there of it is only this value. Lend it to the job.
    #[track_caller]
    pub fn view(&self) -> ArrayView<'_, T, D> {
        // SAFETY: the view is of this array's own segment; `&self` for its lifetime keeps every writer out: `view_mut`
        // and lending for writing both need `&mut self`, and workers of an ended job are gone.
        unsafe { self.raw_view().deref_into_view() }
    }

    /// The whole array, to write.
    ///
    /// # Panics
    /// As [`view`](Self::view).
    #[track_caller]
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        // SAFETY: as in `view`; `&mut self` for its lifetime keeps out readers too.
        unsafe { self.raw_view().deref_into_view_mut() }
    }

    /// All elements in the order of memory.
    ///
    /// # Panics
    /// As [`view`](Self::view).
    #[track_caller]
    pub fn as_slice(&self) -> &[T] {
        // SAFETY: the segment holds `len` elements from a page boundary on, every bit pattern is a `T` (Pod), and `&self`
        // keeps writers out as in `view`.
        unsafe { std::slice::from_raw_parts(self.base().cast().as_ptr(), self.dim.size()) }
    }

    /// All elements in the order of memory, to write.
    ///
    /// # Panics
    /// As [`view`](Self::view).
    #[track_caller]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as in `as_slice`, and `&mut self` keeps readers out too.
        unsafe { std::slice::from_raw_parts_mut(self.base().cast().as_ptr(), self.dim.size()) }
    }

    /// Where its first element is in this process, for code that is told addresses: another language's. What may be read and written
    /// there, and when, is what references would allow.
    ///
    /// # Panics
    /// As [`view`](Self::view).
    #[track_caller]
    pub fn as_ptr(&self) -> *mut T {
        self.base().cast().as_ptr()
    }

    /// Lets forks of this process have it too, at the same address, where they were not made by this crate: those of another language's
    /// library, say. They get at it by its address alone; for its methods it stays this process's.
    ///
    /// # Errors
    /// The system's.
    pub fn share_with_forks(&mut self) -> Result<()> {
        self.segment.backing().own()?;
        self.segment.share_with_forks()
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// The shape in ndarray's type.
    pub fn raw_dim(&self) -> D {
        self.dim.clone()
    }

    /// The order of the elements in memory.
    pub fn order(&self) -> Order {
        self.order
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.dim.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same bytes under another shape with as many elements, without a copy.
    ///
    /// # Errors
    /// If the number of elements differs.
    pub fn into_shape<E: Dimension>(self, shape: impl IntoDimension<Dim = E>) -> Result<Shared<T, E>> {
        let dim = shape.into_dimension();
        if byte_length(dim.slice(), size_of::<T>())? != self.len() * size_of::<T>() {
            return Err(ShapeError::Elements { from: self.shape().to_vec(), to: dim.slice().to_vec() }.into());
        }
        Ok(Shared { segment: self.segment, dim, order: self.order, cells: PhantomData })
    }

    /// The same bytes as elements of another type, in C order, without a copy.
    ///
    /// # Errors
    /// If they are not as many.
    pub(crate) fn into_elements<U: Pod, E: Dimension>(
        self,
        shape: impl IntoDimension<Dim = E>,
    ) -> Result<Shared<U, E>> {
        let dim = shape.into_dimension();
        let (from, to) = (self.len() * size_of::<T>(), byte_length(dim.slice(), size_of::<U>())?);
        if from != to || align_of::<U>() > PAGE {
            return Err(ShapeError::Bytes { from, to, shape: dim.slice().to_vec() }.into());
        }
        Ok(Shared { segment: self.segment, dim, order: Order::C, cells: PhantomData })
    }

    /// From now on no process can make a mapping or open a descriptor through which it could be written; this process still
    /// can, through the mapping that it has.
    pub(crate) fn seal(&mut self) -> Result<()> {
        self.segment.backing().own()?;
        self.segment.backing().seal().map_err(Error::system("seal an array"))
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// How it lies in its segment.
    pub(crate) fn extent(&self) -> Extent<'_> {
        Extent { shape: self.shape(), first_is_fastest: self.order == Order::F, element: size_of::<T>(), at: 0 }
    }

    /// The whole array. Not a reference: using it is for whoever knows who else does.
    #[track_caller]
    fn raw_view(&self) -> RawArrayViewMut<T, D> {
        // SAFETY: this array's own segment is mapped there.
        unsafe { raw_view(self.base(), self.extent()) }
    }

    /// Where it is mapped in this process.
    #[track_caller]
    fn base(&self) -> NonNull<u8> {
        assert!(self.segment.is_here(), "{}", Error::NotOwner { what: "this array" });
        self.segment.base()
    }
}

/// The array that lies at `base` as `extent` says. Not a reference: using it is for whoever knows who else does.
///
/// # Panics
/// If it has another number of axes than `D`, or elements of another size than `T`, or does not begin where its segment does.
///
/// # Safety
/// A segment that `Shared` made for such an array of elements `T` is mapped at `base`.
pub(crate) unsafe fn raw_view<T: Pod, D: Dimension>(base: NonNull<u8>, extent: Extent<'_>) -> RawArrayViewMut<T, D> {
    assert_eq!((extent.element, extent.at), (size_of::<T>(), 0));
    let mut dim = D::zeros(extent.shape.len());
    dim.slice_mut().copy_from_slice(extent.shape);
    // SAFETY: `zeros_in` made the segment as long as this shape needs, contiguous in this order, and checked that the
    // length fits an isize; a mapping starts on a page, which is aligned for any `T`.
    unsafe { RawArrayViewMut::from_shape_ptr(dim.set_f(extent.first_is_fastest), base.cast().as_ptr()) }
}

impl<T: Pod, D: Dimension> fmt::Debug for Shared<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("element", &std::any::type_name::<T>())
            .field("shape", &self.shape())
            .field("order", &self.order)
            .field("address", &self.segment.base())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Axis, array};

    #[test]
    fn views_of_both_orders_agree_with_ndarray() {
        for order in [Order::C, Order::F] {
            let mut shared = Shared::<i32, _>::zeros_in((3, 5), order).unwrap();
            for ((i, j), cell) in shared.view_mut().indexed_iter_mut() {
                *cell = (10 * i + j) as i32;
            }
            assert_eq!(shared.view(), Array2::from_shape_fn((3, 5), |(i, j)| (10 * i + j) as i32));
            assert_eq!(shared.as_slice()[1], if order == Order::C { 1 } else { 10 });
        }
    }

    #[test]
    fn empty_arrays_and_none_at_all() {
        let empty = Shared::<f64, _>::zeros((0, 7)).unwrap();
        assert!(empty.is_empty() && empty.view().is_empty() && empty.as_slice().is_empty());
        let scalar = Shared::<f64, _>::zeros(()).unwrap();
        assert_eq!(scalar.view().sum(), 0.0);
    }

    #[test]
    fn impossible_shapes_are_refused_with_numbers() {
        let error = Shared::<f64, _>::zeros((1 << 40, 1 << 40)).unwrap_err().to_string();
        assert!(error.contains("1099511627776"), "{error}");
        assert!(Shared::<f64, _>::zeros((0, usize::MAX, usize::MAX)).is_err());
        let error = Shared::<u8, _>::zeros(1 << 50).unwrap_err();
        assert!(
            matches!(&error, Error::Memory { need, room, fits: Some(fits), .. }
                if *need == 1 << 50 && *room > 0 && room < need && fits[..] == [*room as usize]),
            "{error}"
        );
        let error = Shared::<u16, _>::zeros((1 << 40, 3, 100)).unwrap_err();
        let Error::Memory { room, .. } = error else { panic!("{error}") };
        let expected = format!("Use a shape of {:?} at most", [room / 600, 3, 100]);
        assert!(error.to_string().contains(&expected), "{error}");
    }

    #[test]
    fn reshaping_keeps_the_bytes() {
        let shared = Shared::from_array(&array![[1, 2, 3], [4, 5, 6]]).unwrap();
        let flat = shared.into_shape(6).unwrap();
        assert_eq!(flat.view(), array![1, 2, 3, 4, 5, 6]);
        assert!(flat.into_shape((2, 2)).is_err());
    }

    /// One test for all of it: what is kept is the process's, and tests share that.
    #[test]
    fn kept_memory_is_used_again_and_given_back() {
        const LEN: usize = (3 << 20) + 12_345;
        let base = |array: &Shared<u8, ndarray::Ix1>| array.as_slice().as_ptr();
        crate::set_segment_cache(2 * LEN as u64);
        let mut first = Shared::<u8, _>::zeros(LEN).unwrap();
        first.as_mut_slice().fill(7);
        let place = base(&first);
        drop(first);
        let again = Shared::<u8, _>::empty(LEN).unwrap();
        assert!(base(&again) == place && again.as_slice().iter().all(|&byte| byte == 7));
        drop(again);
        let zeros = Shared::<u8, _>::zeros(LEN).unwrap();
        assert!(base(&zeros) == place && zeros.as_slice().iter().all(|&byte| byte == 0));
        // Another length gets memory of its own, and the third is too many.
        let mut others: Vec<_> = (0..2).map(|_| Shared::<u8, _>::zeros(LEN).unwrap()).collect();
        others.push(zeros);
        assert!(others.iter().all(|other| other.as_slice().len() == LEN));
        others[0].as_mut_slice().fill(1);
        drop(others.remove(0));
        drop(others.remove(0));
        drop(others);
        let kept: Vec<_> = (0..3).map(|_| Shared::<u8, _>::empty(LEN).unwrap()).collect();
        assert!(kept.iter().all(|array| array.as_slice().iter().all(|&byte| byte == 0)), "the oldest was given back");
        crate::set_segment_cache(0);
    }

    #[test]
    fn a_large_array_is_zero_and_writable() {
        let mut shared = Shared::<u16, _>::zeros((3000, 1001)).unwrap();
        assert!(shared.view().iter().all(|&cell| cell == 0));
        shared.view_mut().index_axis_mut(Axis(0), 2999).fill(7);
        assert_eq!(shared.view().iter().map(|&cell| u64::from(cell)).sum::<u64>(), 7 * 1001);
    }
}
