//! Edges: the length of the Sobel gradient of the rounded luma, in exact integers up to the squares.

use super::luma::luma;
use super::picture::{Region, Source};
use super::vectors::vectorised;
use super::window::{slide, strips};
use super::{Sample, Wide};

pub(super) fn edges<S: Sample>(source: &Source<'_, S>, mut region: Region<'_, S>) {
    let channels = source.channels();
    for strip in strips(region.cols.clone(), 1, channels) {
        let mut padded = vec![S::MAX; (strip.len() + 2) * channels];
        let mut lengths = vec![S::MAX; strip.len()];
        let enter = |y, row: &mut [S]| {
            source.padded(y, strip.start as isize - 1, &mut padded);
            luma(channels, &padded, row);
        };
        slide(region.rows.clone(), 1, strip.len() + 2, enter, |y, window| {
            let rows = [0, 1, 2].map(|n| window.row(n));
            region.line(y, strip.clone(), |out| {
                if channels.is_multiple_of(2) {
                    vectorised(
                        #[inline(always)]
                        || gradient(rows, &mut lengths),
                    );
                    let original = source.line(y, strip.clone());
                    let pixels = original.chunks_exact(channels).zip(&lengths);
                    for (out, (original, &length)) in out.as_chunks_mut::<2>().0.iter_mut().zip(pixels) {
                        *out = [length, original[channels - 1]];
                    }
                } else {
                    vectorised(
                        #[inline(always)]
                        || gradient(rows, out),
                    );
                }
            });
        });
    }
}

/// `rows` are the lumas above, at and below, with a pixel more at each end.
#[inline(always)]
fn gradient<S: Sample>(rows: [&[S]; 3], out: &mut [S]) {
    let width = out.len();
    let [above, here, below] = rows.map(|row| &row[..width + 2]);
    for i in 0..width {
        let (nw, n, ne) = (above[i].widen(), above[i + 1].widen(), above[i + 2].widen());
        let (w, e) = (here[i].widen(), here[i + 2].widen());
        let (sw, s, se) = (below[i].widen(), below[i + 1].widen(), below[i + 2].widen());
        let (east, south) = (e - w, s - n);
        let gx = ((ne - nw) + (se - sw) + (east + east)).to_f32();
        let gy = ((sw - nw) + (se - ne) + (south + south)).to_f32();
        out[i] = S::from_f32((gx * gx + gy * gy).sqrt());
    }
}
