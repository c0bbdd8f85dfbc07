//! Sharpening: five times the pixel less its four neighbours, in integers.

use super::Sample;
use super::picture::{Region, Source};
use super::vectors::vectorised;

pub(super) fn sharpen<S: Sample>(source: &Source<'_, S>, mut region: Region<'_, S>) {
    let channels = source.channels();
    // Away from the edges the rows are read where they are.
    let inner = 1.clamp(region.cols.start, region.cols.end);
    let outer = (source.width() - 1).clamp(inner, region.cols.end);
    let parts = [region.cols.start..inner, inner..outer, outer..region.cols.end];
    let mut aside = [(); 3].map(|()| vec![S::MAX; (region.cols.len() + 2) * channels]);
    for y in region.rows.clone() {
        for cols in &parts {
            region.line(y, cols.clone(), |out| {
                let (len, from) = ((cols.len() + 2) * channels, cols.start as isize - 1);
                let [above, here, below] = &mut aside;
                let rows = [
                    source.stretch(y as isize - 1, from, &mut above[..len]),
                    source.stretch(y as isize, from, &mut here[..len]),
                    source.stretch(y as isize + 1, from, &mut below[..len]),
                ];
                vectorised(
                    #[inline(always)]
                    || cross(channels, rows, out),
                );
                source.keep_alpha(y, cols.start, out);
            });
        }
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
