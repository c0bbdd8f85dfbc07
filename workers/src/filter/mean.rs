//! Box blur: running sums in exact integers along the row and down the columns, so that the cost does not depend
//! on the radius and the sums not on where they started.

use super::Sample;
use super::picture::{Region, Source};
use super::vectors::vectorised;
use super::window::{slide, strips};

pub(super) fn mean<S: Sample>(radius: usize, source: &Source<'_, S>, mut region: Region<'_, S>) {
    let channels = source.channels();
    let side = (2 * radius + 1) as f64;
    let share = 1.0 / (side * side);
    for strip in strips(region.cols.clone(), radius, channels) {
        let width = strip.len() * channels;
        let mut padded = vec![S::MAX; (strip.len() + 2 * radius) * channels];
        // Up to (2*16383+1)^2 * 65535 < 2^53: exact in f64, whose vectors every CPU converts from i32.
        let mut totals = vec![0.0_f64; width];
        let enter = |y, sums: &mut [i32]| {
            source.padded(y, strip.start as isize - radius as isize, &mut padded);
            with_channels!(channels, C => running::<S, C>(radius, &padded, sums));
        };
        let first = region.rows.start;
        slide(region.rows.clone(), radius, width, enter, |y, window| {
            let entered = if y == first { 0..2 * radius + 1 } else { 2 * radius..2 * radius + 1 };
            region.line(y, strip.clone(), |out| {
                vectorised(
                    #[inline(always)]
                    || {
                        for n in entered {
                            totals.iter_mut().zip(window.row(n)).for_each(|(total, &sum)| *total += f64::from(sum));
                        }
                        let leaving = window.row(0);
                        for ((out, total), &sum) in out.iter_mut().zip(&mut totals).zip(leaving) {
                            *out = S::from_f32((*total * share) as f32);
                            *total -= f64::from(sum);
                        }
                    },
                );
                source.keep_alpha(y, strip.start, out);
            });
        });
    }
}

/// Sums of 2*radius+1 pixels, each from the one before it.
fn running<S: Sample, const C: usize>(radius: usize, padded: &[S], sums: &mut [i32]) {
    let pixels = padded.as_chunks::<C>().0;
    let sums = sums.as_chunks_mut::<C>().0;
    let value = |sample: S| sample.to_u32() as i32;
    let mut sum = [0; C];
    for pixel in &pixels[..2 * radius] {
        (0..C).for_each(|c| sum[c] += value(pixel[c]));
    }
    let (leaving, entering) = (&pixels[..sums.len()], &pixels[2 * radius..][..sums.len()]);
    for i in 0..sums.len() {
        (0..C).for_each(|c| sum[c] += value(entering[i][c]));
        sums[i] = sum;
        (0..C).for_each(|c| sum[c] -= value(leaving[i][c]));
    }
}
