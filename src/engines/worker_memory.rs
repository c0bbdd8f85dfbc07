//! A worker's mappings of the lent arrays, and what is done with a slice's bytes before and after the body has them (undo copies,
//! guard).
//!
//! Undo copy: the slice as it was before the job, kept so that a second try begins where the first did. Guard: no byte of an
//! output can be written but those of the slice, and those only while the body has it. Slices that fill their pages alone
//! are opened by page protection. Others are worked on in private pages (copy on write), of which the slice's bytes are
//! published through the segment's descriptor: in the worker's memory there is nothing that a stray write could reach.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Result;
use crate::lend::{Loan, MappedLoan};
use crate::shared::{Attached, Backing, Segment};
use crate::slices::{Grid, Region};
use crate::sync::Sleep;
use crate::sys::memory::{Access, MapMode};
use crate::sys::page::page_size;
use crate::sys::proc::Memory;
use crate::sys::reserve::Late;
use crate::sys::usage::UsageOf;

/// How outputs are looked after in a job, decided before the fork.
pub(crate) struct OutputProtection {
    /// For each loan for writing, in order.
    outputs: Vec<ProtectionOf>,
}

struct ProtectionOf {
    undo: Option<Arc<Backing>>,
    guard: Option<Guard>,
}

/// How stray writes to an output are kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// Every slice fills its pages alone.
    Pages,
    /// Slices are worked on in private pages and published.
    Copies,
}

impl OutputProtection {
    /// For the outputs among these loans: with an undo copy, with a guard, as asked.
    ///
    /// # Errors
    /// If there is no memory for the undo copies, or it becomes too `late`.
    pub(crate) fn new(loans: &[Loan<'_>], grid: &Grid, undo: bool, guard: bool, late: Late<'_>) -> Result<Self> {
        Self::with(loans, grid, guard, |loan| {
            let what = || format!("the undo copy of an output of {} bytes", loan.backing.len());
            let copy = || Segment::for_copy(loan.backing.len(), what, late).map(Segment::into_backing).map(Arc::new);
            undo.then(copy).transpose()
        })
    }

    /// With undo copies from elsewhere.
    pub(super) fn with(
        loans: &[Loan<'_>],
        grid: &Grid,
        guard: bool,
        mut undo: impl FnMut(&Loan<'_>) -> Result<Option<Arc<Backing>>>,
    ) -> Result<Self> {
        let page = page_size();
        let outputs = loans.iter().filter(|loan| loan.access == Access::Write).map(|loan| {
            let alone = |region: Region| loan.extent.whole_pages(&region, page).is_some();
            let how = || if grid.regions().all(alone) { Guard::Pages } else { Guard::Copies };
            Ok(ProtectionOf { undo: undo(loan)?, guard: guard.then(how) })
        });
        Ok(Self { outputs: outputs.collect::<Result<_>>()? })
    }

    /// Whether any is taken.
    pub(super) fn is_taken(&self) -> bool {
        self.outputs.iter().any(|output| output.undo.is_some() || output.guard.is_some())
    }

    /// Whether there are undo copies.
    pub(super) fn restores(&self) -> bool {
        self.outputs.iter().any(|output| output.undo.is_some())
    }

    /// The undo copies, in order, where outputs have one.
    pub(super) fn restore_outputs(&self) -> impl Iterator<Item = &Backing> {
        self.outputs.iter().filter_map(|output| output.undo.as_deref())
    }

    /// What of the outputs is published through: their descriptors.
    pub(super) fn descriptors(&self, loans: &[Loan<'_>]) -> Vec<RawFd> {
        let outputs = loans.iter().filter(|loan| loan.access == Access::Write).zip(&self.outputs);
        outputs
            .filter(|(_, protection)| protection.guard == Some(Guard::Copies))
            .map(|(loan, _)| loan.backing.descriptor())
            .collect()
    }

    /// How much private memory the guard takes of a worker at most: the outputs that are worked on in private pages.
    pub(crate) fn private_bytes(&self, loans: &[Loan<'_>]) -> usize {
        let outputs = loans.iter().filter(|loan| loan.access == Access::Write).zip(&self.outputs);
        outputs
            .filter(|(_, protection)| protection.guard == Some(Guard::Copies))
            .map(|(loan, _)| loan.backing.len())
            .sum()
    }
}

/// The loans of one worker.
pub(crate) struct WorkerMemory<'w> {
    /// Each loan, in order.
    mapped_loans: Vec<MappedLoan<'w>>,
    outputs: Vec<Output<'w>>,
    /// Mapped for as long as the worker lives.
    _inputs: Vec<Rc<Attached>>,
    sleep: Option<&'w Sleep<'w>>,
    /// What its worker does after each slice of a job that hands on answers, if not as all processes do.
    pub(super) after_slice: Option<&'w dyn Fn()>,
    /// Whether its worker is a process of its own, or a thread of the coordinator's.
    whose: UsageOf,
    /// Where its worker reads how much memory it has, if it cannot open that later.
    gauge: Option<File>,
}

/// An output that needs care.
struct Output<'w> {
    loan: &'w Loan<'w>,
    mapped: Rc<Attached>,
    undo: Option<Attached>,
    guard: Option<Guard>,
}

impl<'w> WorkerMemory<'w> {
    /// For a worker in the coordinator's own process, with no care taken of outputs. If it is a crew's it waits for others by
    /// `sleep`.
    pub(super) fn of_coordinator(loans: &'w [Loan<'w>], sleep: Option<&'w Sleep<'w>>) -> Self {
        let base = |loan: &Loan<'_>| loan.base.expect("jobs with files lent have processes as workers");
        let mapped_loans = loans
            .iter()
            .map(|loan| MappedLoan {
                base: base(loan),
                extent: loan.extent,
                access: loan.access,
                margins: loan.margins.as_ref(),
            })
            .collect();
        Self {
            mapped_loans,
            outputs: Vec::new(),
            _inputs: Vec::new(),
            sleep,
            after_slice: None,
            whose: UsageOf::Thread,
            gauge: None,
        }
    }

    /// In a worker process, with what was lent mapped by `map`: the loan of a number, kept in a way.
    pub(super) fn attach(
        loans: &'w [Loan<'w>],
        protection: &OutputProtection,
        mut map: impl FnMut(usize, MapMode) -> Result<Rc<Attached>>,
    ) -> Result<Self> {
        let mut worker_memory = Self {
            mapped_loans: Vec::new(),
            outputs: Vec::new(),
            _inputs: Vec::new(),
            sleep: None,
            after_slice: None,
            whose: UsageOf::Process,
            gauge: None,
        };
        let mut protection = protection.outputs.iter();
        for (number, loan) in loans.iter().enumerate() {
            let protection = if loan.access == Access::Write { protection.next() } else { None };
            let guard = protection.and_then(|protection| protection.guard);
            let keeping = match (loan.access, guard) {
                (Access::Read, _) | (_, Some(Guard::Pages)) => MapMode::SharedToRead,
                (Access::Write, None) => MapMode::SharedToWrite,
                (Access::Write, Some(Guard::Copies)) => MapMode::PrivateToRead,
            };
            let mapped = map(number, keeping)?;
            worker_memory.mapped_loans.push(MappedLoan {
                base: mapped.base(),
                extent: loan.extent,
                access: loan.access,
                margins: loan.margins.as_ref(),
            });
            let keeping = if guard.is_some() { MapMode::SharedToRead } else { MapMode::SharedToWrite };
            let undo = protection
                .and_then(|protection| protection.undo.as_ref())
                .map(|undo| undo.attach(keeping))
                .transpose()?;
            if undo.is_some() || guard.is_some() {
                worker_memory.outputs.push(Output { loan, mapped, undo, guard });
            } else {
                worker_memory._inputs.push(mapped);
            }
        }
        Ok(worker_memory)
    }

    /// Opens what it takes to read the worker's memory, for when nothing can be opened any more; the descriptor.
    pub(super) fn open_gauge(&mut self) -> io::Result<RawFd> {
        Ok(self.gauge.insert(Memory::gauge()?).as_raw_fd())
    }

    /// The memory of this process, as far as it can be read.
    pub(super) fn memory(&self) -> Memory {
        let read = self.gauge.as_ref().map_or_else(Memory::of_this_process, Memory::read);
        read.unwrap_or_default()
    }

    /// Each loan, in order.
    pub(super) fn mapped_loans(&self) -> &[MappedLoan<'w>] {
        &self.mapped_loans
    }

    /// How its worker waits for others, if not like all.
    pub(super) fn sleep(&self) -> Option<&Sleep<'w>> {
        self.sleep
    }

    /// Whose cost is its worker's.
    pub(super) fn whose(&self) -> UsageOf {
        self.whose
    }

    /// Makes a slice ready for the body: put `back` as it was, if it is to be, else saved if there are undo copies; and writable.
    /// Whether it was saved.
    pub(super) fn open(&self, region: &Region, back: bool) -> io::Result<bool> {
        for output in &self.outputs {
            output.open(region, back)?;
        }
        Ok(!back && self.outputs.iter().any(|output| output.undo.is_some()))
    }

    /// Takes a slice back from the body, whose views of it are gone: publishes it if it was private, and forbids writes.
    pub(super) fn close(&self, region: &Region) -> io::Result<()> {
        self.outputs.iter().try_for_each(|output| output.close(region))
    }
}

impl Output<'_> {
    fn open(&self, region: &Region, back: bool) -> io::Result<()> {
        let Some(span) = self.loan.extent.span(region) else { return Ok(()) };
        if let Some(undo) = self.undo.as_ref().filter(|_| !back) {
            self.save(undo, region, &span)?;
        }
        if self.guard == Some(Guard::Pages) {
            self.mapped.protect(span.clone(), Access::Write)?;
        }
        if let Some(undo) = self.undo.as_ref().filter(|_| back) {
            self.restore(undo, region)?;
        }
        if self.guard == Some(Guard::Copies) {
            self.mapped.protect(span, Access::Write)?;
        }
        Ok(())
    }

    fn save(&self, undo: &Attached, region: &Region, span: &Range<usize>) -> io::Result<()> {
        if self.guard.is_some() {
            undo.protect(span.clone(), Access::Write)?;
        }
        for run in self.loan.extent.runs(region) {
            // SAFETY: the undo copy's bytes of a slice belong to whoever has the slice, as the output's do, and no
            // reference to either exists outside of a body.
            unsafe { self.mapped.copy_to(undo, run) };
        }
        if self.guard.is_some() {
            undo.protect(span.clone(), Access::Read)?;
        }
        Ok(())
    }

    fn restore(&self, undo: &Attached, region: &Region) -> io::Result<()> {
        for run in self.loan.extent.runs(region) {
            match self.guard {
                // SAFETY: the slice's bytes, seen by nobody, are this worker's to write.
                Some(Guard::Copies) => unsafe { self.loan.backing.put(undo, run) }?,
                // SAFETY: as above, and writable: attached so, or opened by the caller.
                _ => unsafe { undo.copy_to(&self.mapped, run) },
            }
        }
        Ok(())
    }

    fn close(&self, region: &Region) -> io::Result<()> {
        let Some(span) = self.loan.extent.span(region) else { return Ok(()) };
        if self.guard == Some(Guard::Copies) {
            for run in self.loan.extent.runs(region) {
                // SAFETY: the slice's bytes are this worker's to write, and the body's views are gone.
                unsafe { self.loan.backing.put(&self.mapped, run) }?;
            }
            // SAFETY: nothing refers to these pages: the body's views are gone.
            unsafe { self.mapped.drop_copies(span.clone()) }?;
        }
        if self.guard.is_some() {
            self.mapped.protect(span, Access::Read)?;
        }
        Ok(())
    }
}
