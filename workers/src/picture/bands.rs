//! Pictures written in pieces: each worker codes bands of rows, each to a place of its own, and the coordinator strings
//! them together. Where they are cut, the picture's shape alone decides: the same bytes for any number of workers and any
//! schedule.

use std::ops::Range;

use bytemuck::Pod;
use ndarray::{ArrayView3, Ix2, Ix3};

use parfork::Job;
use parfork::Report;
use parfork::Result;
use parfork::Shared;
use parfork::Split;

/// Bytes of a band, about: so many that what each costs by itself is a thousandth of it, so few that it stays in a core's
/// own cache from its rows to its bits.
const BAND: usize = 1 << 18;

/// The least page of all machines: bands are written to pages of their own.
const PAGE: usize = 4096;

/// A picture's bands, coded.
pub(super) struct Bands {
    cells: Shared<u8, Ix2>,
    /// What the coder said of each: how many bytes it has, and something else.
    answers: Vec<[u64; 2]>,
    height: usize,
    rows: usize,
}

impl Bands {
    /// Lets workers code the bands of a picture, whose samples are in C order. A band has a multiple of `step` rows, but for
    /// the last, and room for as many bytes as `most` says of so many rows. `coder` is given all samples, the rows to code
    /// and where to; it answers how many bytes it wrote, and a number of its own.
    pub(super) fn of<S: Pod + Send + Sync>(
        mut job: Job<'_>,
        picture: &Shared<S, Ix3>,
        step: usize,
        most: impl FnOnce(usize) -> usize,
        coder: impl Fn(&[S], Range<usize>, &mut [u8]) -> Result<[u64; 2], &'static str> + Sync,
    ) -> Result<(Self, Report)> {
        let (height, width, channels) = picture.view().dim();
        let fit = BAND / (width * channels * size_of::<S>()).max(1);
        let rows = (fit / step).clamp(1, height.div_ceil(step).max(1)) * step;
        let mut cells = Shared::<u8, _>::zeros((height.div_ceil(rows), most(rows).next_multiple_of(PAGE)))?;
        job.spec_mut().only_slice = None;
        let job = job.split(Split::rows().of(1)).body_overwrites();
        let done = job.lend((picture, &mut cells)).run(|_, (picture, mut slice): (ArrayView3<S>, _)| {
            let samples = picture.as_slice().ok_or("the samples are not in C order")?;
            let band = range(slice.rows().start, rows, height);
            coder(samples, band, slice.as_slice_mut().ok_or("a band is not one run of bytes")?)
        })?;
        let report = done.report().clone();
        Ok((Self { cells, answers: done.into_vec(), height, rows }, report))
    }

    /// Of each band its rows, its bytes, and the coder's number. `None` for bytes if more were answered than there is room for.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (Range<usize>, Option<&[u8]>, u64)> {
        let room = self.cells.shape()[1];
        self.answers.iter().enumerate().map(move |(at, &[len, number])| {
            let bytes = usize::try_from(len).ok().and_then(|len| self.cells.as_slice()[at * room..][..room].get(..len));
            (range(at, self.rows, self.height), bytes, number)
        })
    }

    /// Rows of each band but the last.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }
}

fn range(band: usize, rows: usize, height: usize) -> Range<usize> {
    band * rows..((band + 1) * rows).min(height)
}
