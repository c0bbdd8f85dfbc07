//! `Mapped`: an array in a file that workers read where it lies.
//!
//! References to bytes of a file are sound only as long as nobody changes it or cuts it off. So it is leased (`sys/lease.rs`): who
//! wants to write waits, and a job that finds its lease wanted back ends long before the kernel takes it by force. Where nothing
//! would look, in the coordinator itself, there is no mapping at all.

use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use ndarray::Dimension;

use super::Backing;
use super::array::Order;
use crate::slices::Extent;
use crate::sys::file::will_need;
use crate::sys::lease::Lease;

/// An array in a file, for jobs whose workers are processes: they map the file and read it there, without a copy. `&mapped` can be
/// [lent](crate::Lend) like `&Shared`; there is no way to look at it in this process.
///
/// While it is there other programs that want to write to the file wait. A job that has it lent then ends within a second, with an
/// error that says so, and they go on when it is dropped.
///
/// ```
/// use parfork::{Shared, Job, Mapped, formats::npy};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("grid.npy");
/// npy::save(&path, ndarray::Array2::<f64>::ones((100, 100)).view())?;
/// // None where the file cannot be used as it is; reading it always works.
/// if let Some(grid) = Mapped::<f64, ndarray::Ix2>::open(&path)? {
///     let mut sums = Shared::<f64, _>::zeros(100)?;
///     Job::new((&grid, &mut sums)).run(|_, (grid, mut slice)| {
///         let first = slice.range(0).start;
///         slice.indexed_iter_mut().for_each(|(row, sum)| *sum = grid.row(first + row).sum());
///     })?;
///     assert_eq!(sums.view().sum(), 10_000.0);
/// }
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct Mapped<T, D> {
    path: PathBuf,
    lease: Lease,
    backing: Backing,
    dim: D,
    order: Order,
    cells: PhantomData<T>,
}

impl<T: Pod, D: Dimension> Mapped<T, D> {
    /// The array that lies from byte `at` of a file on, in this machine's byte order; `None` if the file cannot be leased, or an
    /// element would not be aligned. The file holds that much.
    pub(crate) fn of(path: &Path, file: &File, at: usize, dim: D, order: Order) -> Option<Self> {
        if !at.is_multiple_of(align_of::<T>()) || dim.size() == 0 || size_of::<T>() == 0 {
            return None;
        }
        let len = dim.size() * size_of::<T>();
        let lease = Lease::take(file.try_clone().ok()?).ok()?;
        // What the length was found to be before that may not be so any more.
        file.metadata().ok().filter(|found| found.len() >= (at + len) as u64)?;
        // Two workers that read here and there would have the disk seek.
        will_need(file, at, len);
        let backing = Backing::named(file.try_clone().ok()?.into(), at, len);
        Some(Self { path: path.to_owned(), lease, backing, dim, order, cells: PhantomData })
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &[usize] {
        self.dim.slice()
    }

    /// The order of the elements in the file.
    pub fn order(&self) -> Order {
        self.order
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        self.lease.file()
    }

    pub(crate) fn backing(&self) -> &Backing {
        &self.backing
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(crate) fn extent(&self) -> Extent<'_> {
        Extent { shape: self.shape(), first_is_fastest: self.order == Order::F, element: size_of::<T>(), at: 0 }
    }
}
