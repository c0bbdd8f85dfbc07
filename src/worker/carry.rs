//! What a slice hands on to the next.

use std::time::{Duration, Instant};

use bytemuck::Pod;

use super::{Standing, Worker, exit_stray_worker};
use crate::error::{CarryError, Result};
use crate::slices::Schedule;
use crate::sync::{MOST_CARRIED, SliceState};
use crate::sys::futex;

/// How long to sleep at most before looking whether the slice before is done and has handed nothing on, of which nobody tells.
const LOOK: Duration = Duration::from_millis(10);

impl Worker<'_> {
    /// Waits for what all slices before this one come to, and hands on what they come to with this one: `with` is given the value that
    /// the slice before has handed on, the first slice `first`, and its result is what the next one is given. Returns what was given.
    ///
    /// A scan in one pass over memory: a slice that fits the cache is read once to be summed and again, from there, to be written.
    ///
    /// ```
    /// use parfork::{Job, Shared, Split};
    /// let numbers = Shared::from_array(&ndarray::Array1::from_elem(1_000_000, 0.5))?;
    /// let mut sums = Shared::<f64, _>::zeros(1_000_000)?;
    /// Job::new((&numbers, &mut sums)).workers(2).split(Split::rows().of(1 << 15)).run(|w, (numbers, mut sums)| {
    ///     let mine = w.slice_of(numbers);
    ///     let mut sum = w.carry(0.0, |before| before + mine.sum())?;
    ///     sums.iter_mut().zip(mine).for_each(|(to, x)| {
    ///         sum += x;
    ///         *to = sum;
    ///     });
    ///     Ok::<(), parfork::Error>(())
    /// })?;
    /// assert_eq!(sums.view()[999_999], 500_000.0);
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// Once in a slice, and in every slice, with values of the same type, which have 64 bytes at most. What comes after in a body is done
    /// while others go on; what comes before, while they wait. The result depends on how the array is cut, as floats do on the order in
    /// which they are added, and on nothing else: not on the number of workers.
    ///
    /// With [retries](crate::Job::retries) a slice that is tried again is given the value that it was given before, and has to hand on the
    /// same. When a worker dies, who waits for what it would have handed on gets [`CalledBack`](CarryError::CalledBack) and returns; its
    /// slice is done again, too. Of a crew whose coordinator works too, a death ends the job while that waits here.
    ///
    /// # Errors
    /// If slices are not dealt one by one ([`Schedule::DYNAMIC`]), in a job of [steps](crate::Job::steps), or with
    /// [`only_slice`](crate::Job::only_slice), before anything is done; if this was called before in this slice; if the slice before is
    /// done and has not called this; if the job is over; and as above. A slice in which this failed is not done, whatever its body makes
    /// of the error.
    pub fn carry<T: Pod>(&self, first: T, with: impl FnOnce(T) -> T) -> Result<T> {
        const { assert!(size_of::<T>() <= MOST_CARRIED, "what a slice hands on has 64 bytes at most") };
        if !self.born.is_current() {
            exit_stray_worker();
        }
        let carried = self.carry_on(first, with);
        if let Err(error) = &carried {
            self.standing.set(match error {
                CarryError::CalledBack { .. } => Standing::CalledBack,
                error => Standing::Failed(error.to_string()),
            });
        }
        Ok(carried?)
    }

    fn carry_on<T: Pod>(&self, first: T, with: impl FnOnce(T) -> T) -> Result<T, CarryError> {
        let (slice, layout) = (self.region.index(), self.page.layout());
        match (self.spec.only_slice, self.spec.schedule.unwrap_or_default()) {
            _ if layout.steps > 0 => return Err(CarryError::InSteps),
            (Some(slice), _) => return Err(CarryError::OnlySlice { slice }),
            (None, schedule) if layout.carries == 0 || schedule != Schedule::DYNAMIC => {
                return Err(CarryError::NotInOrder { schedule });
            }
            (None, _) => {}
        }
        if !matches!(self.standing.replace(Standing::Carried), Standing::Whole) {
            return Err(CarryError::Twice { slice });
        }
        let before = match slice.checked_sub(1) {
            Some(previous) => self.wait_for(previous)?,
            None => first,
        };
        let after = with(before);
        // A copy of this worker that came back from there would hand on in its name.
        if !self.born.is_current() {
            exit_stray_worker();
        }
        let (carried, mut handed_on) = (self.page.carried(slice), T::zeroed());
        match carried.read(bytemuck::bytes_of_mut(&mut handed_on)) {
            true if bytemuck::bytes_of(&handed_on) != bytemuck::bytes_of(&after) => {
                return Err(CarryError::Changed { slice });
            }
            true => {}
            false => carried.write(bytemuck::bytes_of(&after)),
        }
        // Also if it was there: who wrote it may have died before it rang.
        self.page.head().carried.0.ring();
        Ok(before)
    }

    /// What slice `previous` hands on.
    fn wait_for<T: Pod>(&self, previous: usize) -> Result<T, CarryError> {
        let (page, slice) = (self.page, self.region.index());
        let (carried, own) = (page.carried(previous), &page.slots()[self.rank]);
        let (mut value, mut last) = (T::zeroed(), T::zeroed());
        let mut sleeps = false;
        let look = |is_to_sleep: bool| {
            if page.head().end.over().is_some() {
                return Err(CarryError::JobEnded);
            }
            if page.is_recalled() {
                return Err(CarryError::CalledBack { slice });
            }
            if !is_to_sleep {
                return Ok(());
            }
            // With the word that it is done comes what it had handed on before.
            match page.state(previous).1 {
                SliceState::Done { .. } if !carried.read(bytemuck::bytes_of_mut(&mut last)) => {
                    Err(CarryError::Missing { slice: previous })
                }
                // Nobody will ever hand on to this one.
                SliceState::Aside => {
                    page.recall();
                    Err(CarryError::CalledBack { slice })
                }
                // Maybe with a slice before this one, on which all wait.
                _ if page.has_dead() => {
                    page.recall();
                    Err(CarryError::CalledBack { slice })
                }
                _ => Ok(()),
            }
        };
        let sleep = |word: &_, asleep| {
            if !sleeps {
                own.pause_clock();
                sleeps = true;
            }
            self.sleep.unwrap_or(&futex::wait)(word, asleep, Some(Instant::now() + LOOK));
        };
        let bell = &page.head().carried.0;
        let waited = carried.wait(bytemuck::bytes_of_mut(&mut value), bell, self.spin_policy, look, sleep);
        if sleeps {
            own.resume_clock(self.is_timed().then(|| page.clock()));
        }
        waited.map(|()| value)
    }
}
