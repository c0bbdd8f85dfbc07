//! The worker's side of a job: who it is, which slice it has, what it may read for it, where it meets the others.

use ndarray::{ArrayView, Axis, Dimension};

use crate::error::{Error, Result};
use crate::slices::Region;
use crate::sync::{Board, Patience};

/// What a body knows of itself: its first argument, on every slice.
pub struct Worker<'j> {
    pub(crate) rank: usize,
    pub(crate) region: Region,
    pub(crate) board: &'j Board,
    /// Each worker has exactly one slice, so that all are in a body at the same time.
    pub(crate) in_step: bool,
    pub(crate) patience: Patience,
}

impl Worker<'_> {
    /// Which worker this is, 0 to [`workers`](Self::workers).
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many workers the job has; never more than it has slices.
    pub fn workers(&self) -> usize {
        self.board.layout().workers
    }

    /// The slice it works on.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The cells of an array that belong to its slice; of an array that was lent whole, to read.
    ///
    /// ```
    /// use parfork::Shared;
    /// let ones = Shared::from_array(&ndarray::Array1::<f64>::ones(1000))?;
    /// let sum: f64 = parfork::fork(2, &ones, |w, a| w.share_of(a).sum())?.sum();
    /// assert_eq!(sum, 1000.0);
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the array is smaller than the slice, or has fewer axes than are cut.
    pub fn share_of<'a, T, D: Dimension>(&self, array: ArrayView<'a, T, D>) -> ArrayView<'a, T, D> {
        self.region.ranges().fold(array, |array, (axis, range)| cut(array, axis, range))
    }

    /// The cells of an array that belong to its slice, and the halo around them as far as the array goes. The slice's own
    /// cells begin at `region().range(axis).start - region().range_with_halo(axis).start` of it.
    ///
    /// # Panics
    /// As [`share_of`](Self::share_of).
    pub fn share_with_halo<'a, T, D: Dimension>(&self, array: ArrayView<'a, T, D>) -> ArrayView<'a, T, D> {
        self.region.ranges_with_halo().fold(array, |array, (axis, range)| cut(array, axis, range))
    }

    /// Waits until every worker of the job has come here; what they wrote before is visible after.
    ///
    /// Only for jobs in which every worker has one slice, all at the same time: a static schedule and as many slices as
    /// workers, as [`Split::into_pieces`](crate::Split::into_pieces) makes them.
    ///
    /// # Errors
    /// If a worker dies, fails, or returns without coming here, all who wait are told instead of waiting for ever. Also if
    /// the job is not of that kind.
    pub fn meet(&self) -> Result<()> {
        let workers = self.workers();
        if !self.in_step {
            let slices = self.board.layout().slices;
            return Err(Error::Barrier(format!(
                "workers can meet only if each has one slice, but {workers} workers share {slices}. Use Schedule::Static \
                 and Split::rows().into_pieces({workers})."
            )));
        }
        self.board.head().meeting.meet(workers as u32, self.patience).map_err(|broken| {
            let who = broken.by.map_or("the coordinator ended the job".to_owned(), |rank| {
                format!("worker {rank} will not come: it died, failed or returned")
            });
            Error::Barrier(format!("the workers cannot meet, because {who}"))
        })
    }
}

fn cut<T, D: Dimension>(
    mut array: ArrayView<'_, T, D>,
    axis: usize,
    range: std::ops::Range<usize>,
) -> ArrayView<'_, T, D> {
    array.slice_axis_inplace(Axis(axis), range.into());
    array
}
