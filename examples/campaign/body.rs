//! The body of all jobs: changes its slice as planned, takes its time, and comes to harm.

use std::time::{Duration, Instant};

use bytemuck::Pod;
use ndarray::ArrayViewMutD;
use parfork::slices::Region;

use crate::deed::{Deed, REASON, WORDS};
use crate::offspring::{ChildEnd, Who};
use crate::page::{Victim, Words};
use crate::plan::{Body, Fault, Place, Plan};
use crate::rng::mix;
use crate::scribble::{self, After};

/// What cells are made of.
pub(crate) trait Cell: Pod + parfork::Element + PartialEq + Send + Sync {
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! cells {
    ($($cell:ty)+) => {$(
        impl Cell for $cell {
            // Fewer bits than any of them has, so that there and back is the same.
            fn of(bits: u64) -> Self {
                (bits % 128) as Self
            }

            fn bits(self) -> u64 {
                self as u64
            }
        }
    )+};
}

cells!(u8 i32 f64);

/// The value of the cell at `index` of the whole array, where the input is `input` and the cell was `before`. Of a body that adds it
/// is another one after each time: `before` and what is added are less than half of all values.
pub(crate) fn value<T: Cell>(plan: &Plan, index: &[usize], input: T, before: T) -> T {
    let place = index.iter().fold(plan.salt, |place, &at| mix(place ^ at as u64)) ^ input.bits();
    match plan.body {
        Body::Overwrites | Body::Steps => T::of(place),
        Body::Adds | Body::AddsAgain => T::of(before.bits() + 1 + place % 63),
    }
}

/// What the input's cell number `at` is.
pub(crate) fn given<T: Cell>(plan: &Plan, at: usize) -> T {
    T::of(mix(plan.salt ^ at as u64))
}

/// What the output's cell number `at` is before the job.
pub(crate) fn earlier<T: Cell>(plan: &Plan, at: usize) -> T {
    T::of(mix(plan.salt ^ !(at as u64)) % 64)
}

/// The answer of a slice of which these are the cells when it is done.
pub(crate) fn answer<'c, T: Cell, const N: usize>(
    plan: &Plan,
    slice: usize,
    cells: impl IntoIterator<Item = &'c T>,
) -> [u64; N] {
    let sum = cells.into_iter().fold(plan.salt, |sum, cell| mix(sum ^ cell.bits()));
    std::array::from_fn(|at| mix(sum ^ (slice * 8 + at) as u64))
}

/// Notes that a fault happens to this very process, now.
pub(crate) fn befall(words: &Words, fault: usize, rank: Option<usize>) {
    words.mark(fault, Victim { pid: std::process::id(), rank });
    words.land(fault);
}

/// A slice as a body has it.
pub(crate) struct Context<'c> {
    pub(crate) plan: &'c Plan,
    pub(crate) words: &'c Words,
    pub(crate) rank: usize,
    pub(crate) region: Region,
    /// Whether it may come to harm.
    pub(crate) in_danger: bool,
    pub(crate) step: u32,
}

impl Context<'_> {
    /// Changes the slice, and comes to harm where it is planned to. Of a child of that harm it is at the end at once. What a cell
    /// becomes is said by `value`, of where it is in the slice and in the array, and of what was there.
    ///
    /// # Errors
    /// The one deed that is nothing but an error; what a job within the body has to say.
    pub(crate) fn work<T: Cell>(
        &self,
        slice: &mut ArrayViewMutD<'_, T>,
        value: impl Fn(&[usize], &[usize], T) -> T,
    ) -> Result<Who, String> {
        let Self { plan, region, .. } = self;
        if matches!(plan.body, Body::Overwrites | Body::Steps) {
            slice.fill(T::of(127));
        }
        let is_stale = |deed| matches!(deed, Deed::Scribble(scribble) if scribble.is_stale());
        let stale = self.harms().any(|(_, fault)| is_stale(fault.deed)).then(scribble::copy).unwrap_or_default();
        let (first, shape) = (slice.as_mut_ptr(), slice.shape().to_owned());
        let harm = |hundredths: usize| self.harm(hundredths, &stale, || self.stray(first, &shape));
        let starts: Vec<_> =
            (0..plan.shape.len()).map(|axis| region.range(axis).map_or(0, |range| range.start)).collect();
        let (cells, mut harmed) = (slice.len(), 0);
        let end = Instant::now() + self.busy();
        for (at, (index, cell)) in slice.indexed_iter_mut().enumerate() {
            for hundredths in harmed..at * 100 / cells {
                if let child @ Who::Child(_) = harm(hundredths)? {
                    return Ok(child);
                }
            }
            harmed = at * 100 / cells;
            if at == cells / 2 {
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            }
            let here = ndarray::Dimension::slice(&index);
            let index: Vec<_> = starts.iter().zip(here).map(|(start, at)| start + at).collect();
            *cell = value(here, &index, *cell);
        }
        for hundredths in harmed..101 {
            if let child @ Who::Child(_) = harm(hundredths)? {
                return Ok(child);
            }
        }
        Ok(Who::Parent)
    }

    /// What is to happen on this slice.
    fn harms(&self) -> impl Iterator<Item = (usize, &Fault)> {
        let faults = self.plan.faults.iter().enumerate();
        let is_here = |fault: &Fault| fault.slice() == Some(self.region.index());
        faults
            .filter(move |(number, fault)| self.in_danger && is_here(fault) && self.plan.step_of(*number) == self.step)
    }

    /// Lets happen what is planned for this place in the slice.
    fn harm(&self, here: usize, stale: &[u32], stray: impl Fn()) -> Result<Who, String> {
        for (fault, Fault { deed, place }) in self.harms() {
            let Place::Slice { hundredths, times, .. } = *place else { continue };
            if hundredths != here || self.words.reach(fault) >= times {
                continue;
            }
            befall(self.words, fault, Some(self.rank));
            match *deed {
                Deed::Stray => stray(),
                Deed::Scribble(scribble) => {
                    scribble.write(stale, self.plan.salt);
                    match scribble.after {
                        After::GoesOn => Ok(()),
                        After::Killed => Deed::Kill.happen(),
                        After::Aborts => Deed::Abort.happen(),
                        After::Exits => Deed::ExitWith0.happen(),
                        After::Panics => Deed::Panic.happen(),
                        After::WritesOn => {
                            scribble.write_on(stale.to_vec(), self.plan.salt);
                            Ok(())
                        }
                    }?;
                }
                Deed::Fork(child) => {
                    if let child @ Who::Child(_) = child.fork() {
                        return Ok(child);
                    }
                }
                Deed::Leave(daemon) => daemon.start(self.words),
                Deed::Nest(job) => job.run()?,
                deed => deed.happen()?,
            }
        }
        Ok(Who::Parent)
    }

    /// Writes to a cell of the output that is not in the slice whose first cell is at `first`: half the array further, or before.
    fn stray<T: Cell>(&self, first: *mut T, shape: &[usize]) {
        let Self { plan, region, .. } = self;
        let strides =
            plan.shape.iter().rev().scan(1, |stride, &length| Some(std::mem::replace(stride, *stride * length)));
        let strides: Vec<_> = strides.collect();
        let start = |axis: usize| region.range(axis).map_or(0, |range| range.start);
        let own: usize = (0..shape.len()).map(|axis| start(axis) * strides[shape.len() - 1 - axis]).sum();
        let all: usize = plan.shape.iter().product();
        let there = (own + all / 2) % all;
        let index: Vec<_> =
            (0..shape.len()).map(|axis| there / strides[shape.len() - 1 - axis] % plan.shape[axis]).collect();
        let inside = index.iter().enumerate().all(|(axis, &at)| (start(axis)..start(axis) + shape[axis]).contains(&at));
        if !inside {
            let cell = first.wrapping_offset(there as isize - own as isize);
            // SAFETY: none: the cell is another's, and the guard must keep it as it is.
            unsafe { cell.write_volatile(T::of(99)) };
        }
    }

    /// How long a slice takes: between nothing and twice the mean.
    fn busy(&self) -> Duration {
        let mean = self.plan.busy.as_nanos() as u64 / self.plan.grid().slices() as u64;
        Duration::from_nanos(mix(self.plan.salt ^ !(self.region.index() as u64)) % (2 * mean + 1))
    }
}

impl ChildEnd {
    /// A child's way back from a body, or from a program's slice.
    ///
    /// # Errors
    /// If that is its way.
    pub(crate) fn come_back(self) -> Result<(), String> {
        match self {
            Self::Fails => Err(REASON.to_owned()),
            Self::Panics => panic!("{WORDS}"),
            _ => Ok(()),
        }
    }
}
