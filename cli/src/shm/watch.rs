//! `parfork shm watch`: a line for each generation.

use std::time::Instant;

use ndarray::IxDyn;
use parfork::named::{self, Named, Wait};
use parfork::{Element, Error, SegmentErrorKind};

use super::args::Watch;
use super::dtype::with_dtype;
use crate::failure::Failure;
use crate::output;

/// Until the segment is removed, or all was seen that was asked for.
pub fn run(args: &Watch) -> Result<(), Failure> {
    let info = named::info(&args.name)?;
    with_dtype!(info.dtype, &args.name, T => watch::<T>(args))
}

fn watch<T: Element>(args: &Watch) -> Result<(), Failure> {
    let began = Instant::now();
    let segment = Named::<T, IxDyn>::open(&args.name)?;
    let mut last = args.past.unwrap_or(segment.generation());
    let end = args.count.map_or(u64::MAX, |count| last.saturating_add(count));
    while last < end {
        // Others come and go, and die: what they leave unfinished, somebody may write again.
        let mut wait = Wait::new().wait_for_new_writers().accept_torn();
        if let Some(deadline) = args.deadline {
            wait = wait.deadline(deadline.saturating_sub(began.elapsed()));
        }
        let now = match segment.wait_past(last, wait) {
            Err(Error::Segment { kind: SegmentErrorKind::Removed, .. }) => return output::print("removed\n"),
            Err(Error::Segment { kind: SegmentErrorKind::Deadline(_), name }) => {
                let kind = SegmentErrorKind::Deadline(args.deadline.unwrap_or_default());
                return Err(Error::Segment { name, kind }.into());
            }
            now => now?,
        };
        for generation in last + 1..=now.min(end) {
            output::print(&format!("generation {generation}\n"))?;
        }
        last = now;
    }
    Ok(())
}
