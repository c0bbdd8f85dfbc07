//! What ended a worker, from what the system says of its end, what it noted itself, and where it had which array.
//!
//! Everything that comes from the control page is a number that anything could have written: it is compared and never trusted.

use std::sync::atomic::Ordering;

use super::job_context::JobContext;
use crate::error::{ArrayName, Cause, CellOwner, Fault, FaultLocation};
use crate::lend::Loan;
use crate::slices::Extent;
use crate::sync::SliceState;
use crate::sys::fault_handler::FaultReading;
use crate::sys::fork_exclusions;
use crate::sys::memory::Access;
use crate::sys::oom::{self, Shortage};

/// Addresses up to here are a null pointer and an offset: no system maps them.
const NULL: u64 = 64 << 10;

/// How far beyond an array's ends a fault is told as one past the end, if it is in nothing else.
const NEAR: u64 = 2 << 20;

/// How far beyond an array's end nothing else can be: a worker has a page there that is nobody's.
const GUARD: u64 = 4096;

impl JobContext<'_> {
    /// Says more of what ended worker `rank` than the system does, where more is known.
    pub(super) fn explain(&self, rank: usize, exit: Cause) -> Cause {
        let Cause::Signalled { signal } = exit else { return exit };
        if signal == libc::SIGKILL {
            return oom::killed().map_or(exit, |Shortage { limit }| Cause::OutOfMemory { limit });
        }
        if signal == libc::SIGSYS && self.is_confined() {
            return Cause::Forbidden { call: None };
        }
        if let (libc::SIGABRT, Some(limit)) = (signal, self.spec.memory_limit) {
            return Cause::AbortedWithin { limit };
        }
        match self.page.slots()[rank].fault.of(signal) {
            Some(seen) => Cause::Faulted(Box::new(self.fault(rank, seen))),
            None => exit,
        }
    }

    fn fault(&self, rank: usize, seen: FaultReading) -> Fault {
        let is_memory = matches!(seen.signal, libc::SIGSEGV | libc::SIGBUS);
        let place = match seen.address {
            _ if !is_memory => FaultLocation::Elsewhere,
            Some(address) => self.place(rank, address, &seen),
            None => FaultLocation::Impossible,
        };
        Fault { signal: seen.signal, touch: seen.touch, address: seen.address, place, instruction: seen.instruction }
    }

    fn place(&self, rank: usize, address: u64, seen: &FaultReading) -> FaultLocation {
        let loans = self.loans;
        let names = names(loans);
        let attached = self.page.addresses(rank).iter().map(|word| word.load(Ordering::Relaxed));
        let attached: Vec<_> = loans.iter().zip(names.iter().copied()).zip(attached).collect();
        for &((loan, array), base) in &attached {
            if let Some(index) = index(loan, base, address) {
                let owner = (loan.access == Access::Write).then(|| self.owner(&index)).flatten();
                return FaultLocation::Cell { array, index, owner };
            }
        }
        // The kernel has found memory there, but no way to give its bytes: that is no array of anybody's.
        if seen.signal == libc::SIGBUS {
            return FaultLocation::Elsewhere;
        }
        if address < NULL {
            return FaultLocation::Null;
        }
        let beyond = attached.into_iter().filter_map(|((loan, array), base)| beyond(loan, array, base, address));
        let near = beyond.min_by_key(|(distance, _)| *distance);
        if let Some((..GUARD, place @ FaultLocation::Past { .. })) = near {
            return place;
        }
        let own = loans.iter().position(|loan| index(loan, loan.address() as u64, address).is_some());
        if own.is_some() || fork_exclusions::holds(address as usize) {
            return FaultLocation::Coordinators { array: own.map(|loan| names[loan]) };
        }
        if seen.at_stack {
            return FaultLocation::Stack;
        }
        near.map_or(FaultLocation::Elsewhere, |(_, place)| place)
    }

    /// Whose a cell of an output is, by the slice table.
    fn owner(&self, cell: &[usize]) -> Option<CellOwner> {
        let slice = self.grid.slice_of(cell)?;
        let (worker, done) = match self.page.claimed(slice) {
            SliceState::Free
            | SliceState::Restore
            | SliceState::Aside
            | SliceState::GivenBack { .. }
            | SliceState::Damaged => (None, false),
            SliceState::Taken { rank } | SliceState::Saved { rank } => (Some(rank), false),
            SliceState::Done { rank } => (Some(rank), true),
        };
        Some(CellOwner { slice, worker, done })
    }
}

/// What errors call each loan.
fn names(loans: &[Loan<'_>]) -> Vec<ArrayName> {
    let kind = |loan: &Loan<'_>| loan.access == Access::Write;
    let of = |output| loans.iter().filter(|loan| kind(loan) == output).count();
    let mut next = [0; 2];
    let mut name = |loan: &Loan<'_>| {
        let (output, next) = (kind(loan), &mut next[usize::from(kind(loan))]);
        *next += 1;
        ArrayName { output, number: *next - 1, of: of(output) }
    };
    loans.iter().map(&mut name).collect()
}

/// Bytes of an array, from which no number overflows: `Shared` has seen to that.
fn bytes(loan: &Loan<'_>) -> u64 {
    loan.extent.bytes() as u64
}

/// The index of the element at an address, in an array that lies at `base` (0 if nowhere). A cell of a margin is told as the nearest one
/// of the array.
fn index(loan: &Loan<'_>, base: u64, address: u64) -> Option<Vec<usize>> {
    let first = base.checked_add(loan.extent.at as u64)?;
    let offset = address.checked_sub(first).filter(|&offset| base != 0 && offset < bytes(loan))?;
    let index = unravel((offset / loan.extent.element as u64) as usize, loan.extent);
    let Some(margins) = &loan.margins else { return Some(index) };
    let shape = margins.shape(loan.extent.shape);
    let inside =
        |(axis, at): (usize, usize)| at.saturating_sub(margins.padding(axis)).min(shape[axis].saturating_sub(1));
    Some(index.into_iter().enumerate().map(inside).collect())
}

/// The index of the `number`th element in memory of an array that has as many.
fn unravel(mut number: usize, extent: Extent<'_>) -> Vec<usize> {
    let shape = extent.shape;
    let mut index = vec![0; shape.len()];
    let mut place = |axis: usize| {
        index[axis] = number % shape[axis];
        number /= shape[axis];
    };
    match extent.first_is_fastest {
        false => (0..shape.len()).rev().for_each(&mut place),
        true => (0..shape.len()).for_each(&mut place),
    }
    index
}

/// How far an address is beyond the nearer end of an array that lies at `base`, if that is near.
fn beyond(loan: &Loan<'_>, array: ArrayName, base: u64, address: u64) -> Option<(u64, FaultLocation)> {
    let first = base.checked_add(loan.extent.at as u64).filter(|_| base != 0)?;
    let end = first.checked_add(bytes(loan))?;
    let (distance, place) = match address.checked_sub(end) {
        Some(bytes) => (bytes, FaultLocation::Past { array, bytes, last: last(loan) }),
        None => {
            let bytes = first.checked_sub(address)?;
            (bytes, FaultLocation::Before { array, bytes })
        }
    };
    (distance <= NEAR).then_some((distance, place))
}

/// What stands last in memory.
fn last(loan: &Loan<'_>) -> String {
    let Extent { shape, first_is_fastest, .. } = loan.extent;
    let number = |axis: usize| shape[axis].saturating_sub(1);
    match (shape, first_is_fastest) {
        _ if bytes(loan) == 0 => String::new(),
        ([], _) => "its only element".to_owned(),
        ([_], _) => format!("element {}", number(0)),
        (_, false) => format!("row {}", number(0)),
        ([_, _], true) => format!("column {}", number(1)),
        (shape, true) => format!("index {} of axis {}", number(shape.len() - 1), shape.len() - 1),
    }
}
