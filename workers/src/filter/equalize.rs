//! Levels spread evenly: each channel by what it has of each level in the whole picture (`cv2.equalizeHist`). In jobs one counts, bands
//! of rows each, and the next changes every sample by a table of their sums, which are whole numbers: the same however it is cut.

use std::ops::Range;

use super::picture::{Region, Source};
use super::point::change_bytes;
use super::{Border, Sample};
use crate::kernel::{Step, Steps};
use ndarray::{ArrayView1, ArrayView3, Axis, Ix2, Ix3};
use parfork::{Answers, Error, Job, Report, Shared, Slice, Split};

/// Bands that are counted apart.
const BANDS: usize = 8;

/// Equal bytes side by side would wait for each other: so many are counted apart.
const APART: usize = 4;

/// What each level becomes in each channel of colour.
struct Tables<S> {
    values: Vec<S>,
}

fn levels<S: Sample>() -> usize {
    S::MAX.to_u32() as usize + 1
}

fn colours(channels: usize) -> usize {
    channels - usize::from(channels.is_multiple_of(2))
}

/// Adds to `counts`, for each colour one of each level, what rows of a picture have.
fn count<S: Sample>(pixels: ArrayView3<'_, S>, rows: Range<usize>, counts: &mut [u32]) {
    let (levels, channels) = (levels::<S>(), pixels.dim().2);
    let apart = if size_of::<S>() == 1 { APART } else { 1 };
    let mut parts = vec![0; counts.len() * apart];
    for row in pixels.slice_axis(Axis(0), rows.into()).axis_iter(Axis(0)) {
        let row = row.as_standard_layout();
        let row = row.as_slice().unwrap_or_default();
        with_channels!(channels, C => {
            for (number, pixel) in row.as_chunks::<C>().0.iter().enumerate() {
                let part = &mut parts[number % apart * counts.len()..][..counts.len()];
                for c in 0..colours(C) {
                    part[c * levels + pixel[c].to_u32() as usize] += 1;
                }
            }
        });
    }
    for part in parts.chunks_exact(counts.len()) {
        counts.iter_mut().zip(part).for_each(|(sum, count)| *sum += count);
    }
}

impl<S: Sample> Tables<S> {
    /// Of how often each level is there: the least that is becomes 0, and each other what share of the rest is no greater.
    fn of(counts: &[u32]) -> Self {
        let mut values = vec![S::from_u32(0); counts.len()];
        for (values, counts) in values.chunks_mut(levels::<S>()).zip(counts.chunks(levels::<S>())) {
            let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
            let rest: u64 = counts[first + 1..].iter().map(|&count| u64::from(count)).sum();
            if rest == 0 {
                values[first] = S::from_u32(first as u32);
                continue;
            }
            let scale = S::MAX_F32 / rest as f32;
            let mut sum = 0_u64;
            for (value, count) in values[first + 1..].iter_mut().zip(&counts[first + 1..]) {
                sum += u64::from(*count);
                *value = S::from_f32(sum as f32 * scale);
            }
        }
        Self { values }
    }

    /// Of a whole picture.
    fn of_picture(pixels: ArrayView3<'_, S>) -> Self {
        let (height, _, channels) = pixels.dim();
        let mut counts = vec![0; colours(channels) * levels::<S>()];
        count(pixels, 0..height, &mut counts);
        Self::of(&counts)
    }
}

fn change<S: Sample>(tables: &[S], source: &Source<'_, S>, mut region: Region<'_, S>) {
    let (levels, channels) = (levels::<S>(), source.channels());
    let cols = region.cols.clone();
    for y in region.rows.clone() {
        let line = source.line(y, cols.clone());
        region.line(y, cols.clone(), |out| {
            if size_of::<S>() == 1 && channels == 1 {
                return change_bytes(tables, &line, out);
            }
            with_channels!(channels, C => {
                for (out, pixel) in out.as_chunks_mut::<C>().0.iter_mut().zip(line.as_chunks::<C>().0) {
                    for c in 0..colours(C) {
                        out[c] = tables[c * levels + pixel[c].to_u32() as usize];
                    }
                }
            });
            source.keep_alpha(y, cols.start, out);
        });
    }
}

/// The rectangle of a picture that is counted whole for it.
pub(super) fn equalize<S: Sample>(source: &Source<'_, S>, region: Region<'_, S>) {
    change(&Tables::of_picture(source.pixels()).values, source, region);
}

/// Two jobs: one counts, one changes so many rows at a time.
pub(super) fn run<S: Sample>(
    jobs: &mut Steps<'_>,
    step: Step<'_>,
    rows: usize,
    picture: &Shared<S, Ix3>,
    result: &mut Shared<S, Ix3>,
) -> Result<Vec<Report>, Error> {
    let channels = picture.view().dim().2;
    let mut counts = Shared::<u32, Ix2>::zeros((BANDS, colours(channels) * levels::<S>()))?;
    let mut job = jobs(Step { name: "equalize: counting", last: false, begun: step.begun });
    // How the picture is cut is not for the counts.
    job.spec_mut().split = Some(Split::rows().of(1));
    let counted =
        job.body_overwrites().lend((picture, &mut counts)).run(|_, (picture, slice): (ArrayView3<S>, _)| {
            let (height, bands) = (picture.dim().0, Slice::rows(&slice));
            for (band, mut counts) in bands.zip(slice.into_view().rows_mut()) {
                counts.fill(0);
                let rows = height * band / BANDS..height * (band + 1) / BANDS;
                count(picture, rows, counts.as_slice_mut().unwrap_or_default());
            }
        })?;
    let sums = counts.view().sum_axis(Axis(0));
    let tables = Tables::of(sums.as_slice().unwrap_or_default());
    Ok(vec![counted.report().clone(), by_tables(jobs(step), &tables, rows, picture, result)?.report().clone()])
}

/// One job, of a picture that is counted here.
pub(super) fn run_alone<S: Sample>(
    job: Job<'_>,
    rows: usize,
    picture: &Shared<S, Ix3>,
    result: &mut Shared<S, Ix3>,
) -> Result<Answers<()>, Error> {
    by_tables(job, &Tables::of_picture(picture.view()), rows, picture, result)
}

fn by_tables<S: Sample>(
    job: Job<'_>,
    tables: &Tables<S>,
    rows: usize,
    picture: &Shared<S, Ix3>,
    result: &mut Shared<S, Ix3>,
) -> Result<Answers<()>, Error> {
    let values = Shared::from_array(&ArrayView1::from(&tables.values))?;
    let job = job.default_split(Split::rows().of(rows)).body_overwrites();
    job.lend((picture, &values, result)).run(|_, (picture, values, slice): (ArrayView3<S>, ArrayView1<S>, _)| {
        let (rows, cols) = (Slice::rows(&slice), Slice::cols(&slice));
        let source = Source::new(picture, Border::default());
        change(values.as_slice().unwrap_or_default(), &source, Region::new(rows, cols, slice.into_view()));
    })
}
