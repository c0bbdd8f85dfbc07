//! Sharpening: five times the pixel less its four neighbours, in integers.

use super::Sample;
use super::picture::{Region, Source};
use super::vectors::vectorised;
use super::window::{slide, strips};

pub(super) fn sharpen<S: Sample>(source: &Source<'_, S>, mut region: Region<'_, S>) {
    let channels = source.channels();
    for strip in strips(region.cols.clone(), 1, channels) {
        let enter = |y, row: &mut [S]| source.padded(y, strip.start as isize - 1, row);
        slide(region.rows.clone(), 1, (strip.len() + 2) * channels, enter, |y, window| {
            region.line(y, strip.clone(), |out| {
                vectorised(
                    #[inline(always)]
                    || cross(channels, [0, 1, 2].map(|n| window.row(n)), out),
                );
                source.keep_alpha(y, strip.start, out);
            });
        });
    }
}

/// The kernel on a row: `rows` are those above, at and below it, with a pixel more at each end.
#[inline(always)]
fn cross<S: Sample>(channels: usize, rows: [&[S]; 3], out: &mut [S]) {
    let width = out.len();
    let [above, here, below] = rows;
    let (left, right) = (&here[..width], &here[2 * channels..][..width]);
    let [above, here, below] = [above, here, below].map(|row| &row[channels..][..width]);
    for i in 0..width {
        let middle = here[i].widen();
        let twice = middle + middle;
        let around = (above[i].widen() + below[i].widen()) + (left[i].widen() + right[i].widen());
        out[i] = S::narrow(twice + twice + middle - around);
    }
}
