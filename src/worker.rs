//! The worker's side of a job: who it is, which slice it has, what it may read for it, where it meets the others.

mod carry;

use std::cell::Cell;
use std::time::{Duration, Instant};

use bytemuck::Pod;
use ndarray::{ArrayView, Axis, Dimension};

use crate::error::{Absent, Attendance, BarrierError, Result};
use crate::philox::Philox;
use crate::slices::Region;
use crate::spec::JobSpec;
use crate::sync::{Absence, ControlPage, Event, ExitMessage, MOST_VALUE, Sleep, SliceState, SpinPolicy};
use crate::sys::fork_stamp::Stamp;
use crate::sys::{exit, futex};

/// What a body knows of itself: its first argument, on every slice.
pub struct Worker<'j> {
    pub(crate) rank: usize,
    pub(crate) region: Region,
    /// Which step, from 0.
    pub(crate) step: u32,
    pub(crate) page: &'j ControlPage,
    /// What is set.
    pub(crate) spec: &'j JobSpec,
    pub(crate) spin_policy: SpinPolicy,
    /// How it waits for others, if deaths are its own affair: nobody else looks for them while the coordinator works.
    pub(crate) sleep: Option<&'j Sleep<'j>>,
    /// The process that it was made in.
    pub(crate) born: Stamp,
    /// What its slice is for the others by now.
    pub(crate) standing: Cell<Standing>,
}

/// What has become of a slice while its body waited for others.
#[derive(Default)]
pub(crate) enum Standing {
    #[default]
    Whole,
    /// It has handed on to the next one, or is about to.
    Carried,
    /// It is given back and done again in the next round, whatever the body returns.
    CalledBack,
    /// It cannot be done, for this reason.
    Failed(String),
}

/// Ends a process that a body forked and that came back from there, as its worker did: it has no part in the job, and what it said
/// on the control page would be in that worker's name.
pub(crate) fn exit_stray_worker() -> ! {
    let text = format!(
        "parfork: process {} was forked by the body of a job and came back from it, where it has no part; it ends here. Let what a \
         body forks end by exec or _exit.\n",
        std::process::id()
    );
    // Past std's lock, which may have been held at that fork.
    let _ = nix::unistd::write(std::io::stderr(), text.as_bytes());
    exit::leave(1)
}

impl Worker<'_> {
    /// Which worker this is, 0 to [`workers`](Self::workers).
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many workers the job has; never more than it has slices.
    pub fn workers(&self) -> usize {
        self.page.layout().workers
    }

    /// Which step it does of a job of [steps](crate::Job::steps), counted from 0; 0 in other jobs.
    pub fn step(&self) -> u32 {
        self.step
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
    /// let sum: f64 = parfork::fork(2, &ones, |w, a| w.slice_of(a).sum())?.sum();
    /// assert_eq!(sum, 1000.0);
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// # Panics
    /// If the array is smaller than the slice, or has fewer axes than are cut.
    pub fn slice_of<'a, T, D: Dimension>(&self, array: ArrayView<'a, T, D>) -> ArrayView<'a, T, D> {
        self.region.ranges().fold(array, |array, (axis, range)| cut(array, axis, range))
    }

    /// The cells of an array that belong to its slice, and the halo around them as far as the array goes. The slice's own
    /// cells begin at `region().range(axis).start - region().range_with_halo(axis).start` of it.
    ///
    /// # Panics
    /// As [`slice_of`](Self::slice_of).
    pub fn slice_with_halo<'a, T, D: Dimension>(&self, array: ArrayView<'a, T, D>) -> ArrayView<'a, T, D> {
        self.region.ranges_with_halo().fold(array, |array, (axis, range)| cut(array, axis, range))
    }

    /// Random numbers for its slice, and step: the same for any number of workers, on any engine, and when the slice is tried again. No two
    /// slices, and no two seeds, share any. Each call begins anew; who needs more streams for a slice takes more seeds.
    ///
    /// ```
    /// use parfork::{Engine, Job, Worker};
    /// let hits = |w: &Worker<'_>, mine: std::ops::Range<usize>| {
    ///     let mut random = w.random(2026);
    ///     mine.filter(|_| random.uniform().powi(2) + random.uniform().powi(2) < 1.0).count()
    /// };
    /// let hits = Job::new(0..1_000_000).workers(2).run(hits)?.sum();
    /// assert_eq!(hits, 785_859);
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// They are those of NumPy's `Generator(Philox(key=seed, counter=[0, 0, step, slice]))`, where `slice` is the slice's number.
    pub fn random(&self, seed: u64) -> Philox {
        Philox::new([seed, 0], [0, 0, self.step.into(), self.region.index() as u64])
    }

    /// Waits until every worker of the job has come here; what they wrote before is visible after.
    ///
    /// It is for what workers do together apart from the arrays: files, devices, taking times; with a value each there is
    /// [`all`](Self::all). It carries no data: of an array that is lent for writing a worker never sees another's cells, before it or
    /// after. To iterate on an array are [`Planes`](crate::Planes), where nobody waits for more than the slices that it reads.
    ///
    /// Only for jobs in which every worker has one slice, all at the same time: a static schedule and as many slices as
    /// workers, as [`Split::into_pieces`](crate::Split::into_pieces) makes them.
    ///
    /// # Errors
    /// If a worker dies, fails, or returns without coming here, all who wait are told which one and why instead of waiting
    /// for ever; those who come later are told the same. A job may [go on without the
    /// dead](crate::Job::continue_after_death) instead. Also if the job is not of that kind.
    pub fn barrier(&self) -> Result<()> {
        self.come(None)
    }

    /// Waits so long at most until every worker of the job has come here.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier). If time is up, the error says who has not come, and the meeting is over for all workers and
    /// for good: whoever has come is counted, and cannot be taken back without leaving the others in doubt who has met.
    pub fn barrier_timeout(&self, span: Duration) -> Result<()> {
        self.come(Some(span))
    }

    /// Meets all others as [`barrier`](Self::barrier) does, with a value each: those of all workers, in the order of ranks.
    ///
    /// So that all can decide the same: whether to go on, who has found the most, what the sum is.
    ///
    /// ```
    /// use parfork::{Job, Schedule, Shared, Split};
    /// let mut cells = Shared::from_array(&ndarray::Array1::from_iter((0..1000).map(f64::from)))?;
    /// let job = Job::new(&mut cells).workers(4).schedule(Schedule::Static).split(Split::rows().into_pieces(4));
    /// job.run(|w, mut mine| {
    ///     let sum: f64 = w.all(mine.sum())?.into_iter().sum();
    ///     mine.mapv_inplace(|cell| cell / sum);
    ///     Ok::<(), parfork::Error>(())
    /// })?;
    /// assert!((cells.view().sum() - 1.0).abs() < 1e-12);
    /// # Ok::<(), parfork::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); also if a worker came to this meeting by [`barrier`](Self::barrier), with a value of another size, or
    /// died in a job that [goes on without the dead](crate::Job::continue_after_death).
    pub fn all<T: Pod>(&self, value: T) -> Result<Vec<T>> {
        const { assert!(size_of::<T>() <= MOST_VALUE, "a value for all has 128 bytes at most") };
        if self.can_meet() && self.born.is_current() {
            let meeting = self.page.slots()[self.rank].barriers().wrapping_add(1);
            self.page.bring(self.rank, meeting, bytemuck::bytes_of(&value));
        }
        self.barrier()?;
        let meeting = self.page.slots()[self.rank].barriers();
        let read = |rank: usize| {
            let mut value = T::zeroed();
            match self.page.brought(rank, meeting, bytemuck::bytes_of_mut(&mut value)) {
                true => Ok(value),
                false => {
                    let died = self.page.slots()[rank].absence() == Some(Absence::Dead);
                    Err(BarrierError::NoValue { rank, died }.into())
                }
            }
        };
        (0..self.workers()).map(read).collect()
    }

    fn come(&self, span: Option<Duration>) -> Result<()> {
        if !self.born.is_current() {
            exit_stray_worker();
        }
        let workers = self.workers();
        if !self.can_meet() {
            let slices = self.page.layout().slices;
            return Err(BarrierError::NotInStep { workers, slices }.into());
        }
        match self.page.first_meeting().come() {
            Some(true) => {}
            Some(false) => {
                self.standing.set(Standing::CalledBack);
                return Err(BarrierError::CalledBack.into());
            }
            None => return Err(BarrierError::Damaged.into()),
        }
        let own = &self.page.slots()[self.rank];
        let meeting = own.arrive_at_barrier();
        own.set_absent(span.map(|_| Absence::Impatient));
        // A span without an end in this world's time is none.
        let limit = span.and_then(|span| Instant::now().checked_add(span)).map(|at| (at, self.rank));
        own.pause_clock();
        self.page.note(self.rank, Event::Meets);
        let sleep = self.sleep.unwrap_or(&futex::wait);
        let met = self.page.head().meeting.0.arrive_and_wait_until(workers as u32, self.spin_policy, limit, sleep);
        // Reading the clock costs more than the meeting itself.
        own.resume_clock(self.is_timed().then(|| self.page.clock()));
        self.page.note(self.rank, Event::Met);
        if met.is_ok() {
            own.set_absent(None);
        }
        met.map_err(|broken| {
            let error = match (broken.by, span) {
                (None, _) => BarrierError::JobEnded,
                (Some(rank), Some(span)) if rank == self.rank => {
                    BarrierError::TimedOut { attendance: self.attendance(meeting), span }
                }
                (Some(rank), _) => self.why_not(rank, meeting),
            };
            error.into()
        })
    }

    /// Whether each worker has exactly one slice, so that all are in a body at the same time.
    fn can_meet(&self) -> bool {
        self.page.layout().meets
    }

    /// Whether the coordinator wants to know since when it has been at its slice.
    fn is_timed(&self) -> bool {
        self.spec.slice_deadline.is_some()
    }

    /// Who of the living has come to meeting number `meeting`, and who has not.
    fn attendance(&self, meeting: u32) -> Attendance {
        let living: Vec<_> =
            self.page.slots().iter().enumerate().filter(|(_, it)| it.absence() != Some(Absence::Dead)).collect();
        let missing = living.iter().filter(|(_, it)| it.barriers() != meeting).map(|&(rank, _)| rank).collect();
        Attendance { living: living.len(), missing }
    }

    /// What the control page knows of a worker for whose sake nobody can meet any more.
    fn why_not(&self, rank: usize, meeting: u32) -> BarrierError {
        // What the control page says may be wrong, if a worker has written over it, but must not be more than wrong.
        let Some(slot) = self.page.slots().get(rank) else { return BarrierError::Damaged };
        if slot.absence() == Some(Absence::Impatient) {
            return BarrierError::OtherTimedOut { rank, attendance: self.attendance(meeting) };
        }
        let why = match (slot.exit_message(), slot.absence()) {
            (Some(ExitMessage::Panicked { message, .. }), _) => Absent::Panicked { message },
            (Some(ExitMessage::BodyFailed { reason }), _) => Absent::BodyFailed { reason },
            (Some(ExitMessage::Damaged { what }), _) => Absent::Damaged { what },
            (Some(ExitMessage::ProgramExited { program, .. }), _) => Absent::ProgramEnded { program },
            (None, Some(Absence::Dead)) => Absent::Died,
            // In a job whose workers meet, slice and worker have the same number.
            (None, _) if self.page.claimed(rank) == (SliceState::Done { rank }) => Absent::Returned,
            (None, _) => Absent::Unknown,
        };
        BarrierError::Gone { rank, pid: slot.pid(), slice: slot.at(self.page.layout().slices), why }
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
