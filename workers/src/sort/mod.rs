//! Sorting: an array in ascending order, or each line along its last axis, NaN last, as NumPy does.
//!
//! Elements are sorted as unsigned integers that rise as they do, of which equal ones are the same bits: so there is one result, however
//! the work is shared. A single line is sorted in parts, one for each worker. Then the result is cut into slices, and for each its
//! bounds in all parts are searched: what is between them is the slice, in as many runs as there were parts, which are merged.

mod kernel;
mod key;
#[cfg(test)]
mod tests;

use bytemuck::{Pod, Zeroable};
use ndarray::{ArrayView1, Ix1, Ix2};
use parfork::slices::Grid;
use parfork::{Answers, Error, Input, Job, Report, Result, Shared, Slice, Split, cpus};

use crate::kernel::{Step, Steps};
use key::{Elements, Key};

pub use kernel::{Sort, SortError};

/// Elements of a slice that is merged: few enough to stay in a cache of the second level.
const MERGED: usize = 1 << 15;

/// A part of fewer is not worth a worker.
const LEAST: usize = 1 << 14;

/// What bodies are told.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Told {
    elements: Elements,
    /// Elements of a part, or of a line.
    length: u64,
}

/// Sorts the lines of `sorted`, whose elements `bytes` has.
fn run<K: Key>(
    jobs: &mut Steps<'_>,
    elements: Elements,
    bytes: Input<'_, u8, Ix1>,
    sorted: &mut Shared<K, Ix2>,
) -> Result<Vec<Report>, Error> {
    let &[lines, length] = sorted.shape() else { unreachable!("two axes") };
    let told = |length: usize| Told { elements, length: length as u64 };
    if lines != 1 {
        let mut job = jobs(Step::only("sort"));
        if let Some(split) = job.spec_mut().split
            && Grid::new(split, &[lines, length])?.cut_axes().any(|axis| axis != 0)
        {
            return Err(Error::kernel(SortError::Cut { lines, split }));
        }
        let job = job.body_overwrites().lend((bytes, sorted));
        let done = job.run_with(told(length), |_, told, (bytes, mut mine): (_, Slice<K, Ix2>)| {
            let (from, elements) = (elements_of::<K>(bytes), told.elements);
            for (line, mut to) in mine.rows().zip(mine.outer_iter_mut()) {
                let to = to.as_slice_mut().expect("lines without gaps");
                let start = line * told.length as usize;
                sort(&from[start..start + to.len()], to, elements);
                to.iter_mut().for_each(|key| *key = key.element(elements));
            }
        })?;
        return Ok(vec![done.report().clone()]);
    }
    let mut job = jobs(Step { name: "sort", last: false, begun: 0 });
    let parts = job.spec_mut().workers.unwrap_or_else(cpus).min(length / LEAST).max(1);
    let part = length.div_ceil(parts).max(1);
    let mut keys = Shared::<K, Ix1>::zeros(length)?;
    let sorting = sort_parts(job.split(Split::rows().of(part)), elements, bytes, &mut keys)?;
    let job = jobs(Step { name: "merge", last: true, begun: 0 }).default_split(Split::cols().of(MERGED));
    let job = job.body_overwrites().lend((&keys, sorted));
    let merging = job.run_with(told(part), |_, told, (keys, mut merged): (_, Slice<K, Ix2>)| {
        let keys: ArrayView1<K> = keys;
        let keys = keys.to_slice().expect("a flat array is in one piece");
        let (runs, cols) = (keys.chunks(told.length as usize).collect::<Vec<_>>(), merged.cols());
        let mut merged = merged.row_mut(0);
        let merged = merged.as_slice_mut().expect("a line without gaps");
        let (starts, ends) = (cuts(&runs, cols.start), cuts(&runs, cols.end));
        let mut at = 0;
        for (run, (start, end)) in runs.iter().zip(starts.into_iter().zip(ends)) {
            merged[at..at + end - start].copy_from_slice(&run[start..end]);
            at += end - start;
        }
        // It finds the runs and merges them.
        merged.sort();
        merged.iter_mut().for_each(|key| *key = key.element(told.elements));
    })?;
    Ok(vec![sorting.report().clone(), merging.report().clone()])
}

/// Sorts each slice of `keys` by itself.
fn sort_parts<K: Key>(
    job: Job<'_>,
    elements: Elements,
    bytes: Input<'_, u8, Ix1>,
    keys: &mut Shared<K, Ix1>,
) -> Result<Answers<()>> {
    job.body_overwrites().lend((bytes, keys)).run_with(
        elements,
        |_, elements, (bytes, mut mine): (_, Slice<K, Ix1>)| {
            let range = mine.rows();
            sort(&elements_of::<K>(bytes)[range], mine.as_slice_mut().expect("a part without gaps"), elements);
        },
    )
}

/// The elements that bytes are.
fn elements_of<K: Key>(bytes: ArrayView1<'_, u8>) -> &[K::Bytes] {
    bytemuck::cast_slice(bytes.to_slice().expect("a flat array is in one piece"))
}

/// The keys of some elements, in order.
fn sort<K: Key>(from: &[K::Bytes], to: &mut [K], elements: Elements) {
    to.iter_mut().zip(from).for_each(|(to, &from)| *to = K::of(from, elements));
    to.sort_unstable();
}

/// Where to cut each of some sorted runs so that what is before the cuts are the least `rank` of all: of equal ones those of the first
/// runs.
fn cuts<K: Key>(runs: &[&[K]], rank: usize) -> Vec<usize> {
    // The greatest key that no more than `rank` are less than, bit by bit; where it would have to be in each run lies in between.
    let (mut key, mut low) = (0_u64, vec![0; runs.len()]);
    let mut high: Vec<usize> = runs.iter().map(|run| run.len()).collect();
    for bit in (0..8 * size_of::<K>()).rev() {
        let next = key | 1 << bit;
        let between = runs.iter().zip(low.iter().zip(&high));
        let places = between.map(|(run, (&low, &high))| low + run[low..high].partition_point(|&it| it.into() < next));
        let places: Vec<usize> = places.collect();
        if places.iter().sum::<usize>() <= rank {
            (key, low) = (next, places);
        } else {
            high = places;
        }
    }
    let mut more = rank - low.iter().sum::<usize>();
    for (run, low) in runs.iter().zip(&mut low) {
        let equal = run[*low..].partition_point(|&it| it.into() <= key).min(more);
        (*low, more) = (*low + equal, more - equal);
    }
    low
}
