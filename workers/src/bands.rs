//! How an array is cut for steps, and how many of them are done on a part of it while that is in the cache.

use parfork::{Job, Split, cpus};

use crate::film::steps;
use crate::kernel::Arg;

/// How many steps a worker goes on in one place: an argument of kernels that do steps.
pub(crate) const DEPTH: Arg = Arg::text(
    "depth",
    "D",
    "How many steps a worker does on a part of the array while that is in its cache [default: 8 where the array is in none]",
    steps,
)
.optional();

/// A worker's share of an array that is no larger, twice, stays in its cache from step to step.
const CACHED: usize = 1 << 20;

/// The depth for larger ones.
const USUAL: u32 = 8;

/// The bytes of slices that a worker goes to and fro on, in both planes.
const IN_TURN: usize = 1 << 20;

/// Bands of fewer rows are mostly margin.
const LEAST: usize = 4;

/// A job of steps on an array of so many rows of so many bytes, cut into bands unless that has been said.
///
/// One step after the other, slices do not wait for those of the same worker: a large one each has the fewest neighbours. With a depth, as many
/// as that and two more are in turn, and fit the cache together.
pub(crate) fn in_bands(mut job: Job<'_>, rows: usize, row: usize) -> Job<'_> {
    let spec = job.spec_mut();
    let workers = spec.workers.unwrap_or_else(cpus);
    let is_cached = 2 * row.saturating_mul(rows) / workers.max(1) <= CACHED;
    let usual = if spec.split.is_some() || !spec.bounds.is_empty() || is_cached { 1 } else { USUAL };
    let depth = *spec.depth.get_or_insert(usual);
    let split = match depth {
        0 | 1 => Split::rows().into_pieces(workers),
        _ => Split::rows().of((IN_TURN / 2 / row.max(1) / (depth as usize + 2)).max(LEAST)),
    };
    job.default_split(split)
}
