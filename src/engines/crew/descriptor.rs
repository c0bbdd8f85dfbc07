//! A crew job's descriptor, encoded as numbers on the control page and decoded by workers.
//!
//! They were forked before the job was known, so that nothing of it is in their memory but the program's code. Everything that
//! they read is copied first and checked, and what it says of memory is asked of the kernel.

use std::collections::BTreeSet;
use std::ops::Range;
use std::ptr::NonNull;

use super::super::job_context::{JobContext, Round};
use crate::error::Result;
use crate::lend::Loan;
use crate::shared::{Backing, SegmentHandle};
use crate::slices::{Extent, Margins};
use crate::spec::JobSpec;
use crate::sync::{self, Layout};
use crate::sys::memory::Access;

/// A job as it is told.
pub(super) struct JobDescriptor {
    /// Where the body is, what makes its state, and the code that hands it its argument.
    pub(super) body_fn: [u64; 3],
    pub(super) argument: Vec<u8>,
    pub(super) layout: Layout,
    /// What is set.
    pub(super) spec: JobSpec,
    /// How many workers are dealt slices, and how many of them are processes of their own.
    pub(super) dealt: usize,
    pub(super) processes: usize,
    /// Which slices, if not all.
    pub(super) slices: Option<Vec<usize>>,
    pub(super) goes_on: bool,
    pub(super) delivers: bool,
    pub(super) loans: Vec<LoanHandle>,
    pub(super) ranges: Vec<Range<usize>>,
    /// Where answers of any length go.
    pub(super) mailbox: Option<SegmentHandle>,
    /// For each output, if there are any.
    pub(super) restore_outputs: Vec<SegmentHandle>,
    /// Of which job the slice table is, if not of each that is called for by this descriptor.
    pub(super) slice_table: Option<sync::JobTag>,
    /// The arrays that may be lent again.
    pub(super) keep: Vec<u64>,
}

/// A loan as it is told.
pub(super) struct LoanHandle {
    pub(super) array: SegmentHandle,
    pub(super) access: Access,
    element: usize,
    first_is_fastest: bool,
    at: usize,
    shape: Vec<usize>,
    margins: Option<Margins>,
}

impl LoanHandle {
    /// The loan of this array, which the coordinator has mapped at `base`.
    pub(super) fn loan<'l>(&'l self, backing: &'l Backing, base: NonNull<u8>) -> Loan<'l> {
        let Self { shape, first_is_fastest, element, at, .. } = self;
        let extent = Extent { shape, first_is_fastest: *first_is_fastest, element: *element, at: *at };
        Loan { backing, base: Some(base), access: self.access, extent, lease: None, dtype: "", margins: self.margins }
    }
}

/// What of a descriptor is not in work and round.
pub(super) struct DescriptorParts<'b> {
    pub(super) body_fn: [u64; 3],
    pub(super) argument: &'b [u8],
    pub(super) keep: &'b BTreeSet<u64>,
    /// Of which job the slice table is, in its later rounds.
    pub(super) slice_table: Option<sync::JobTag>,
}

/// Writes what there is to be told.
///
/// # Errors
/// If the system does not say which files the arrays are.
pub(super) fn write(
    words: &mut Vec<u64>,
    context: &JobContext<'_>,
    round: &Round,
    more: DescriptorParts<'_>,
) -> Result<()> {
    let Layout { workers, slices, loans, answer, log, steps, meets, carries } = context.page.layout();
    words.clear();
    words.extend(more.body_fn);
    words.extend([workers, slices, loans, answer, log].map(|number| number as u64));
    words.extend([u64::from(steps), u64::from(meets), carries as u64]);
    context.spec.write(words);
    words.extend([round.dealer.workers as u64, round.processes as u64, u64::from(round.goes_on)]);
    words.push(u64::from(context.delivers));
    words.push(u64::from(more.slice_table.is_some()));
    words.extend(more.slice_table.map_or([0, 0], |job| [job.call, job.tag]));
    words.push(more.argument.len() as u64);
    words.extend(more.argument.chunks(8).map(|bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    }));
    for loan in context.loans {
        let Extent { shape, first_is_fastest, element, at } = loan.extent;
        words.extend(loan.backing.told()?.words());
        words.extend([u64::from(loan.access == Access::Write), u64::from(first_is_fastest), element as u64, at as u64]);
        words.push(shape.len() as u64);
        words.extend(shape.iter().map(|&length| length as u64));
        words.push(u64::from(loan.margins.is_some()));
        words.extend(loan.margins.iter().flat_map(Margins::words));
    }
    list(words, |words| {
        words.extend(context.ranges.iter().flat_map(|range| [range.start as u64, range.end as u64]));
        Ok(())
    })?;
    list(words, |words| {
        words.extend(
            context
                .mailbox
                .map(|mailbox| mailbox.file().told())
                .transpose()?
                .into_iter()
                .flat_map(SegmentHandle::words),
        );
        Ok(())
    })?;
    list(words, |words| {
        for copy in context.protection.restore_outputs() {
            words.extend(copy.told()?.words());
        }
        Ok(())
    })?;
    words.push(u64::from(round.slices.is_some()));
    list(words, |words| {
        words.extend(round.slices.iter().flatten().map(|&slice| slice as u64));
        Ok(())
    })?;
    list(words, |words| {
        words.extend(more.keep.iter());
        Ok(())
    })
}

/// Writes how many words follow, and those.
fn list(words: &mut Vec<u64>, write: impl FnOnce(&mut Vec<u64>) -> Result<()>) -> Result<()> {
    let at = words.len();
    words.push(0);
    write(words)?;
    words[at] = (words.len() - at - 1) as u64;
    Ok(())
}

impl JobDescriptor {
    /// Reads what [`write()`] wrote; `None` if it is not that.
    pub(super) fn read(words: &[u64]) -> Option<Self> {
        let mut words = Words(words);
        let body_fn = words.several()?;
        let [workers, slices, loans, answer, log] = words.several()?.map(|number| number as usize);
        let steps = u32::try_from(words.next()?).ok()?;
        let meets = words.next()? != 0;
        let carries = words.one()?;
        let layout = Layout { workers, slices, loans, answer, log, steps, meets, carries };
        let spec = JobSpec::read(&mut words)?;
        let (dealt, processes, goes_on) = (words.one()?, words.one()?, words.next()? != 0);
        let delivers = words.next()? != 0;
        let [is_later, call, tag] = words.several()?;
        let slice_table = (is_later != 0).then_some(sync::JobTag { call, tag });
        let bytes = words.one()?;
        let argument = words.some(bytes.div_ceil(8))?.iter().flat_map(|word| word.to_le_bytes()).take(bytes).collect();
        let loans = (0..layout.loans).map(|_| words.loan()).collect::<Option<_>>()?;
        let to_range = |ends: &[u64]| ends[0] as usize..ends[1] as usize;
        let ranges = words.list()?.chunks_exact(2).map(to_range).collect();
        let mailbox = words.list()?;
        let mailbox = if mailbox.is_empty() { None } else { Some(to_handle(mailbox)?) };
        let restore_outputs = words.list()?.chunks_exact(5).map(to_handle).collect::<Option<_>>()?;
        let some = words.next()? != 0;
        let slices: Vec<usize> = words.list()?.iter().map(|&slice| slice as usize).collect();
        let slices = (some && slices.iter().all(|&slice| slice < layout.slices)).then_some(slices);
        Some(Self {
            body_fn,
            argument,
            layout,
            spec,
            dealt,
            processes,
            slices,
            goes_on,
            delivers,
            loans,
            ranges,
            mailbox,
            restore_outputs,
            slice_table,
            keep: words.list()?.to_vec(),
        })
    }
}

fn to_handle(words: &[u64]) -> Option<SegmentHandle> {
    words.try_into().ok().map(SegmentHandle::of_words)
}

/// Words yet to be read.
struct Words<'w>(&'w [u64]);

impl Iterator for Words<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.some(1).map(|word| word[0])
    }
}

impl<'w> Words<'w> {
    fn some(&mut self, count: usize) -> Option<&'w [u64]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn one(&mut self) -> Option<usize> {
        self.next().map(|word| word as usize)
    }

    fn several<const N: usize>(&mut self) -> Option<[u64; N]> {
        self.some(N)?.try_into().ok()
    }

    fn list(&mut self) -> Option<&'w [u64]> {
        let count = self.one()?;
        self.some(count)
    }

    /// A loan whose array fits its bytes.
    fn loan(&mut self) -> Option<LoanHandle> {
        let array = to_handle(self.some(5)?)?;
        let [write, first_is_fastest, element, at] = self.several()?;
        let shape: Vec<usize> = self.list()?.iter().map(|&length| length as usize).collect();
        let bytes = shape.iter().try_fold(element as usize, |bytes, &length| bytes.checked_mul(length))?;
        let access = if write != 0 { Access::Write } else { Access::Read };
        let (element, at, first_is_fastest) = (element as usize, at as usize, first_is_fastest != 0);
        let end = bytes.checked_add(at)?;
        let has_margins = self.next()? != 0;
        let margins = has_margins.then(|| self.several()).map(|words| Margins::of_words(&words?, &shape));
        let margins = if let Some(margins) = margins { Some(margins?) } else { None };
        (end <= array.len).then_some(LoanHandle { array, access, element, first_is_fastest, at, shape, margins })
    }
}
