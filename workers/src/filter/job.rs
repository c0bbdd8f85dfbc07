//! A filter as a job: each worker computes bands, or tiles, of the filtered picture from the whole one.

use ndarray::{ArrayView3, Ix3};

use super::{Border, Filter, FilterError, Run, Sample, equalize};
use crate::kernel::{Step, Steps};
use crate::text_arg::TextArg;
use parfork::{Answers, Error, Job, Report, Shared, Split};

/// Rows of a band unless the job says otherwise: with the neighbours it reads it stays in a core's own cache.
const BAND: usize = 64;

/// The least for filters that look further: what neighbouring bands both read is then a small part.
const HIGH_BAND: usize = 128;

/// Bands that a picture is cut into at least, unless they would be lower than that, so that there are some to share out.
const FEWEST: usize = 4;

/// Rows of a band of a picture for a filter that looks so far.
fn band(halo: usize, height: usize) -> usize {
    if halo <= 1 { BAND } else { halo.min(height.div_ceil(FEWEST)).max(HIGH_BAND) }
}

/// Filters `picture` into `result`, whose shape is what [`Filter::output_shape`] says.
///
/// # Errors
/// If the result has another shape, and as [`Job::run`].
pub fn run<S: Sample>(
    job: Job<'_>,
    filter: Filter,
    border: Border,
    picture: &Shared<S, Ix3>,
    result: &mut Shared<S, Ix3>,
) -> Result<Answers<()>, Error> {
    let [together] = &Run::split(&[filter])[..] else { unreachable!("one filter is one run") };
    run_together(job, together, border, picture, result)
}

/// Filters `picture` into `result`, whose shape is what [`Run::output_shape`] says, by several filters in one pass.
///
/// # Errors
/// If the result has another shape, and as [`Job::run`].
pub fn run_together<S: Sample>(
    job: Job<'_>,
    together: &Run,
    border: Border,
    picture: &Shared<S, Ix3>,
    result: &mut Shared<S, Ix3>,
) -> Result<Answers<()>, Error> {
    let (height, width, channels) = picture.view().dim();
    let needed = together.output_shape([height, width, channels]).map_err(Error::kernel)?;
    if result.shape() != needed {
        let (filters, shape) = (together.to_string(), result.shape().to_vec());
        return Err(Error::kernel(FilterError::Result { filters, needed, shape }));
    }
    if together.is_equalize() {
        return equalize::run_alone(job, BAND, picture, result);
    }
    let band = band(together.halo(), needed[0]);
    let told = [TextArg::of(together), TextArg::of(&border)];
    job.default_split(Split::rows().of(band)).body_overwrites().lend((picture, result)).run_with(
        told,
        |_, [together, border], (picture, slice): (ArrayView3<S>, _)| {
            let (together, border): (Run, Border) = (together.read(), border.read());
            together.apply(picture, border, slice.rows(), slice.cols(), slice.into_view());
        },
    )
}

/// Filters `picture` into `result` by one job for each run of filters, on the result of the one before, each as
/// `jobs` has it; their reports. Without runs it is a copy.
///
/// # Errors
/// As [`run_together`].
///
/// # Panics
/// If there are no runs, and the result has another shape.
pub fn chain<S: Sample>(
    jobs: &mut Steps<'_>,
    runs: &[Run],
    border: Border,
    picture: &Shared<S, Ix3>,
    result: &mut Shared<S, Ix3>,
) -> Result<Vec<Report>, Error> {
    if runs.is_empty() {
        result.view_mut().assign(&picture.view());
    }
    let mut between: Option<Shared<S, Ix3>> = None;
    let mut reports = Vec::new();
    let mut begun = 0;
    for (at, together) in runs.iter().enumerate() {
        begun += together.filters().len();
        let last = at + 1 == runs.len();
        let source = between.as_ref().unwrap_or(picture);
        let name = together.to_string();
        let step = Step { name: &name, last, begun };
        let mut next = None;
        let target = match last {
            true => &mut *result,
            false => {
                let shape = together.output_shape(source.view().dim().into());
                next.insert(Shared::zeros(shape.map_err(Error::kernel)?)?)
            }
        };
        if together.is_equalize() {
            reports.extend(equalize::run(jobs, step, BAND, source, target)?);
        } else {
            reports.push(run_together(jobs(step), together, border, source, target)?.report().clone());
        }
        between = next;
    }
    Ok(reports)
}

#[cfg(test)]
mod tests {
    use super::{BAND, HIGH_BAND, band};

    #[test]
    fn bands_grow_with_what_is_seen_and_leave_some_to_share_out() {
        assert_eq!([0, 1].map(|halo| band(halo, 4000)), [BAND; 2]);
        assert_eq!([2, 128].map(|halo| band(halo, 4000)), [HIGH_BAND; 2]);
        assert_eq!([500, 1400, 16_383].map(|halo| band(halo, 4000)), [500, 1000, 1000]);
        assert_eq!(band(500, 100), HIGH_BAND);
    }
}
