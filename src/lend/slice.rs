//! What a body gets of an output.

use std::ops::{Deref, DerefMut, Range};

use ndarray::{ArrayViewMut, Axis, Dimension};

use crate::slices::Region;

/// The part of a lent output that a worker may write now: an ndarray view of these cells alone, which knows where in the
/// array they are.
///
/// It is the worker's until the body returns, also where the loan lasts longer, as that of a `&'static mut` array does. What would
/// keep it beyond that does not compile, whatever the job runs on: not in a static or a channel,
/// ```compile_fail
/// # use parfork::{Crew, Shared};
/// static KEPT: std::sync::Mutex<Vec<parfork::Slice<'static, u8, ndarray::Ix1>>> = std::sync::Mutex::new(Vec::new());
/// let forever: &'static mut Shared<u8, _> = Box::leak(Box::new(Shared::zeros(1000)?));
/// Crew::start(1)?.run(forever, (), |_, (), slice| KEPT.lock().unwrap().push(slice))?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// ```compile_fail
/// # use parfork::{Job, Shared};
/// let forever: &'static mut Shared<u8, _> = Box::leak(Box::new(Shared::zeros(1000)?));
/// let (sender, _receiver) = std::sync::mpsc::channel();
/// Job::new(forever).runner(parfork::Engine::Threads).run(move |_, slice| drop(sender.send(slice)))?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// in a variable of its thread,
/// ```compile_fail
/// # use parfork::{Crew, Shared, Slice};
/// # use std::cell::RefCell;
/// thread_local!(static KEPT: RefCell<Option<Slice<'static, u8, ndarray::Ix1>>> = const { RefCell::new(None) });
/// let forever: &'static mut Shared<u8, _> = Box::leak(Box::new(Shared::zeros(1000)?));
/// Crew::start(1)?.run(forever, (), |_, (), slice: Slice<'static, u8, ndarray::Ix1>| KEPT.set(Some(slice)))?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// or around the body, nor by leaving it to a thread, or by being the answer:
/// ```compile_fail
/// # use parfork::{Job, Shared};
/// let forever: &'static mut Shared<u8, _> = Box::leak(Box::new(Shared::zeros(1000)?));
/// let kept = std::sync::Mutex::new(None);
/// Job::new(forever).run(|_, slice| *kept.lock().unwrap() = Some(slice.into_view()))?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// ```compile_fail
/// # use parfork::{Job, Shared};
/// let forever: &'static mut Shared<u8, _> = Box::leak(Box::new(Shared::zeros(1000)?));
/// Job::new(forever).run(|_, mut slice| drop(std::thread::spawn(move || slice.fill(1))))?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// ```compile_fail
/// # use parfork::{Job, Shared};
/// let forever: &'static mut Shared<u8, _> = Box::leak(Box::new(Shared::zeros(1000)?));
/// Job::new(forever).run(|_, slice| Ok::<_, String>(slice))?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// The same goes for views of what is lent to be read:
/// ```compile_fail
/// # use parfork::{Crew, Shared};
/// static KEPT: std::sync::Mutex<Vec<ndarray::ArrayView1<'static, u8>>> = std::sync::Mutex::new(Vec::new());
/// let forever: &'static Shared<u8, _> = Box::leak(Box::new(Shared::zeros(1000)?));
/// Crew::start(1)?.run(forever, (), |_, (), view| KEPT.lock().unwrap().push(view))?;
/// # Ok::<(), parfork::Error>(())
/// ```
/// What is meant to be done with both, does:
/// ```
/// # use parfork::{Crew, Job, Shared};
/// let forever: &'static mut Shared<u8, _> = Box::leak(Box::new(Shared::zeros(1000)?));
/// Job::new(&mut *forever).run(|_, slice| std::thread::scope(|scope| drop(scope.spawn(|| slice.into_view().fill(1)))))?;
/// let sum: u32 = Crew::start(1)?.run(&*forever, (), |w, (), view| w.slice_of(view).fold(0, |sum, &cell| sum + u32::from(cell)))?.sum();
/// assert_eq!(sum, 1000);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct Slice<'a, T, D: Dimension> {
    cells: ArrayViewMut<'a, T, D>,
    region: Region,
}

impl<'a, T, D: Dimension> Slice<'a, T, D> {
    pub(super) fn new(cells: ArrayViewMut<'a, T, D>, region: Region) -> Self {
        Self { cells, region }
    }

    /// Which cells of the whole array these are.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The rows of the whole array that these are; cell `[0, ..]` here is row `rows().start` there.
    ///
    /// # Panics
    /// If the array has no axes.
    pub fn rows(&self) -> Range<usize> {
        self.range(0)
    }

    /// The columns of the whole array that these are.
    ///
    /// # Panics
    /// If the array has less than two axes.
    pub fn cols(&self) -> Range<usize> {
        self.range(1)
    }

    /// The range of any axis of the whole array that these cells are.
    ///
    /// # Panics
    /// If the array has no such axis.
    pub fn range(&self, axis: usize) -> Range<usize> {
        self.region.range(axis).unwrap_or(0..self.cells.len_of(Axis(axis)))
    }

    /// The cells as an ndarray view, for the rest of the call.
    pub fn into_view(self) -> ArrayViewMut<'a, T, D> {
        self.cells
    }
}

impl<'a, T, D: Dimension> Deref for Slice<'a, T, D> {
    type Target = ArrayViewMut<'a, T, D>;

    fn deref(&self) -> &Self::Target {
        &self.cells
    }
}

impl<T, D: Dimension> DerefMut for Slice<'_, T, D> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.cells
    }
}
