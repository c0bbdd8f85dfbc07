//! BT.601 luma, rounded to a sample: OpenCV's 15-bit fixed point, so that gray and the edges made from it agree
//! with `cv2.cvtColor` to the bit.

use super::Sample;
use super::picture::{Region, Source};
use super::vectors::vectorised;

/// 0.299, 0.587 and 0.114 times 2^15; they add up to 2^15, so that gray stays the same gray.
const WEIGHTS: [u32; 3] = [9798, 19235, 3735];

pub(super) fn gray<S: Sample>(source: &Source<'_, S>, mut region: Region<'_, S>) {
    let cols = region.cols.clone();
    for y in region.rows.clone() {
        let line = source.line(y, cols.clone());
        region.line(y, cols.clone(), |out| match source.channels() {
            4 => vectorised(
                #[inline(always)]
                || {
                    for (out, pixel) in out.as_chunks_mut::<2>().0.iter_mut().zip(line.as_chunks::<4>().0) {
                        *out = [weigh(pixel), pixel[3]];
                    }
                },
            ),
            3 => luma(3, &line, out),
            _ => out.copy_from_slice(&line),
        });
    }
}

/// The luma alone of a line of pixels of so many channels.
pub(super) fn luma<S: Sample>(channels: usize, line: &[S], out: &mut [S]) {
    vectorised(
        #[inline(always)]
        || {
            with_channels!(channels, C => {
                for (out, pixel) in out.iter_mut().zip(line.as_chunks::<C>().0) {
                    *out = if C < 3 { pixel[0] } else { weigh(pixel) };
                }
            });
        },
    );
}

#[inline(always)]
fn weigh<S: Sample>(pixel: &[S]) -> S {
    let sum: u32 = (0..3).map(|c| WEIGHTS[c] * pixel[c].to_u32()).sum();
    S::from_u32((sum + (1 << 14)) >> 15)
}
