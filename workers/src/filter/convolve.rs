//! Gaussian blur: a separable convolution, first along the rows, then down the columns.
//!
//! Neighbours at the same distance have the same weight, so each pass adds them in pairs and multiplies once:
//! `w0*c + w1*(l1+r1) + w2*(l2+r2) + …`, from the middle outwards, for every sample alike. 16-bit pictures are
//! summed in `f32`. 8-bit pictures take the weights that OpenCV takes for them, in 1/256, and whole numbers: `fixed.rs`.
//! Rounding the true weights differently puts samples up to two levels from OpenCV's.

use super::Sample;
use super::fixed;
use super::picture::{Region, Source};
use super::vectors::vectorised;
use super::window::{MAX_RADIUS, slide, strips};

/// The largest sigma, whose weights reach [`MAX_RADIUS`] pixels to each side.
pub(super) const MAX_SIGMA: f32 = (MAX_RADIUS / 3) as f32;

/// Samples computed together: in `f32` four registers of AVX-512, eight of AVX, sixteen of NEON.
const LANES: usize = 64;

/// Pixels to each side that the blur looks at.
pub(super) fn radius(sigma: f32) -> usize {
    (3.0 * f64::from(sigma)).ceil() as usize
}

/// Weights by distance from the middle; the whole kernel, both sides, adds up to 1.
fn weights(sigma: f32) -> Vec<f64> {
    let bell = |distance: usize| (-0.5 * (distance as f64 / f64::from(sigma)).powi(2)).exp();
    let half: Vec<f64> = (0..=radius(sigma)).map(bell).collect();
    let total = half[0] + 2.0 * half[1..].iter().sum::<f64>();
    half.iter().map(|weight| weight / total).collect()
}

/// The weights in 1/256, as OpenCV rounds them (`getGaussianKernelFixedPoint_ED`): from the outermost inwards, what
/// rounding one leaves over is added to the next, and the middle gets what is missing to 256.
fn in_256ths(weights: &[f64]) -> Vec<u16> {
    let mut fixed = vec![0; weights.len()];
    let (mut left_over, mut sides) = (0.0, 0);
    for distance in (1..weights.len()).rev() {
        let wanted = weights[distance] * 256.0 + left_over;
        let weight = wanted.round_ties_even();
        left_over = wanted - weight;
        fixed[distance] = weight as u16;
        sides += 2 * fixed[distance];
    }
    fixed[0] = 256_u16.saturating_sub(sides);
    fixed
}

pub(super) fn blur<S: Sample>(sigma: f32, source: &Source<'_, S>, region: Region<'_, S>) {
    let weights = weights(sigma);
    if size_of::<S>() == 1 {
        fixed::blur(&in_256ths(&weights), source, region);
    } else {
        let weights: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        convolve(&weights, source, region);
    }
}

/// Convolves with these weights along the rows, and then down the columns.
fn convolve<S: Sample>(weights: &[f32], source: &Source<'_, S>, mut region: Region<'_, S>) {
    let halo = weights.len() - 1;
    let channels = source.channels();
    for strip in strips(region.cols.clone(), halo, channels) {
        // Rows are rounded up to whole chunks; what the surplus computes is never written.
        let width = (strip.len() * channels).next_multiple_of(LANES);
        let mut padded = vec![S::MAX; (strip.len() + 2 * halo) * channels];
        let mut line = vec![0.0; width + 2 * halo * channels];
        let arrive = |y, sums: &mut [f32]| {
            source.padded(y, strip.start as isize - halo as isize, &mut padded);
            vectorised(
                #[inline(always)]
                || {
                    line.iter_mut().zip(&padded).for_each(|(cell, sample)| *cell = sample.to_f32());
                    across(weights, channels, &line, sums);
                },
            );
        };
        slide(region.rows.clone(), halo, width, arrive, |y, window| {
            region.line(y, strip.clone(), |out| {
                vectorised(
                    #[inline(always)]
                    || down(weights, window.starts(), window.cells(), out),
                );
                source.keep_alpha(y, strip.start, out);
            });
        });
    }
}

/// The pass along a row: neighbours are `channels` samples apart.
#[inline(always)]
fn across(weights: &[f32], channels: usize, line: &[f32], sums: &mut [f32]) {
    let halo = weights.len() - 1;
    for (n, sums) in sums.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let first = n * LANES;
        *sums = weigh(weights, line, |distance| {
            (first + (halo - distance) * channels, first + (halo + distance) * channels)
        });
    }
}

/// The pass down the columns: neighbours are in other rows of the window.
#[inline(always)]
fn down<S: Sample>(weights: &[f32], starts: &[usize], cells: &[f32], out: &mut [S]) {
    let halo = weights.len() - 1;
    for (n, out) in out.chunks_mut(LANES).enumerate() {
        let first = n * LANES;
        let sums = weigh(weights, cells, |distance| (first + starts[halo - distance], first + starts[halo + distance]));
        match out.as_chunks_mut::<LANES>() {
            ([whole], _) => (0..LANES).for_each(|i| whole[i] = S::from_f32(sums[i])),
            (_, part) => part.iter_mut().zip(sums).for_each(|(out, sum)| *out = S::from_f32(sum)),
        }
    }
}

/// The weighted sums of [`LANES`] samples and their pairs of neighbours; `pair` says where in `cells` the
/// neighbours of the first at a distance stand.
#[inline(always)]
fn weigh(weights: &[f32], cells: &[f32], pair: impl Fn(usize) -> (usize, usize)) -> [f32; LANES] {
    let lanes = |start: usize| cells[start..].first_chunk::<LANES>().expect("rows are padded to whole chunks");
    let mut sums = *lanes(pair(0).0);
    sums.iter_mut().for_each(|sum| *sum *= weights[0]);
    for (distance, &weight) in weights.iter().enumerate().skip(1) {
        let (one, other) = pair(distance);
        let (one, other) = (lanes(one), lanes(other));
        for i in 0..LANES {
            sums[i] += weight * (one[i] + other[i]);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::{in_256ths, weights};

    /// `a = np.zeros((1, 19), np.uint8); a[0, 9] = 255; cv2.GaussianBlur(a, (19, 1), 3)` with OpenCV 5.0 and
    /// BORDER_CONSTANT gives `0 1 3 4 9 14 20 28 32 34 32 28 20 …`: so small, 255/256 of a weight rounds to it.
    #[test]
    fn weights_in_256ths_are_opencvs() {
        let fixed = in_256ths(&weights(3.0));
        assert_eq!(fixed, [34, 32, 28, 20, 14, 9, 4, 3, 1, 0]);
        assert_eq!(fixed[0] + 2 * fixed[1..].iter().sum::<u16>(), 256);
    }

    #[test]
    fn a_bell_far_wider_than_256_pixels_still_adds_up() {
        for sigma in [0.01, 0.2, 77.7, 300.0, 5461.0] {
            let fixed = in_256ths(&weights(sigma));
            let total = u32::from(fixed[0]) + 2 * fixed[1..].iter().map(|&w| u32::from(w)).sum::<u32>();
            assert!((256..=257).contains(&total), "sigma {sigma}: {total}");
        }
    }
}
