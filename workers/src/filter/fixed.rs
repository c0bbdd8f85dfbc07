//! Gaussian blur of 8-bit pictures, in integers: weights in 1/256 along the rows, so that sums fit `u16`, then the
//! same down the columns, so that sums fit `u32`. Nothing is rounded but the result, as in OpenCV.
//!
//! Vector units multiply and add in pairs of neighbours. So along the rows each pixel stands beside the next one, and
//! down the columns each row beside the next one; there, two rows of the result are made from each load of such pairs.

use super::Sample;
use super::picture::{Region, Source};
use super::vectors::{SUMS, Vectors, Work, fill, vectors};
use super::window::{Window, strips};

/// Samples of the result computed together.
const LANES: usize = 4 * SUMS;

/// Blurs with these weights, in 1/256, by distance from the middle.
pub(super) fn blur<S: Sample>(weights: &[u16], source: &Source<'_, S>, mut region: Region<'_, S>) {
    let halo = weights.iter().rposition(|&weight| weight > 0).unwrap_or(0);
    let weights = &weights[..=halo];
    let channels = source.channels();
    let taps = taps(weights, channels);
    let region_end = region.rows.end;
    for strip in strips(region.cols.clone(), halo, channels) {
        let width = strip.len() * channels;
        let padded = width.next_multiple_of(LANES);
        let mut line = vec![S::MAX; (strip.len() + 2 * halo) * channels];
        let mut pairs = [(); 2].map(|()| vec![0; padded + 2 * halo * channels]);
        let mut below = vec![S::MAX; width];
        let mut window = Window::new(halo + 1, 2 * padded);
        let mut enter = |y: usize, rows: &mut [i16]| {
            for (n, pairs) in pairs.iter_mut().enumerate() {
                let y = (y + n) as isize - halo as isize;
                let pixels = source.stretch(y, strip.start as isize - halo as isize, &mut line);
                vectors(Pairing { bytes: bytemuck::cast_slice(pixels), channels, pairs });
            }
            vectors(Across { taps: &taps, pairs: &pairs, rows });
        };
        for n in 0..halo {
            enter(region.rows.start + 2 * n, window.advance());
        }
        for first in region.rows.clone().step_by(2) {
            enter(first + 2 * halo, window.advance());
            region.two_lines(first, strip.clone(), &mut below, |rows| {
                let [upper, lower] = rows;
                vectors(Down { weights, window: &window, rows: [&mut *upper, &mut *lower] });
                source.keep_alpha(first, strip.start, upper);
                if first + 1 < region_end {
                    source.keep_alpha(first + 1, strip.start, lower);
                }
            });
        }
    }
}

/// What a pair of neighbours counts: how many bytes after the outermost pair it stands, and the weights.
type Tap = (usize, [i8; 2]);

/// The weights in pairs, for a whole line of neighbours. Pairs too heavy for [`Vectors::add_byte_pairs`] count several times.
fn taps(weights: &[u16], channels: usize) -> Vec<Tap> {
    let halo = weights.len() - 1;
    let mut taps = Vec::new();
    for at in (0..=2 * halo).step_by(2) {
        let mut left = [at, at + 1].map(|at| weights.get(at.abs_diff(halo)).map_or(0, |&weight| weight));
        while left != [0; 2] {
            let part = if left[0] + left[1] <= 127 { left } else { left.map(|weight| weight.min(63)) };
            taps.push((2 * at * channels, part.map(|weight| weight as i8)));
            left = [left[0] - part[0], left[1] - part[1]];
        }
    }
    taps
}

/// Stands each byte in a pair with the one `channels` after it: as the lower and the upper half of a number.
struct Pairing<'a> {
    bytes: &'a [u8],
    channels: usize,
    pairs: &'a mut [u16],
}

impl Work for Pairing<'_> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, _: V) {
        let (lower, upper) = (self.bytes, &self.bytes[self.channels..]);
        for (pair, (&lower, &upper)) in self.pairs.iter_mut().zip(lower.iter().zip(upper)) {
            *pair = (u16::from(lower) | u16::from(upper) << 8).to_le();
        }
        // The last pixels have no neighbour, and none counts for them.
        let alone = upper.len();
        for (pair, &lower) in self.pairs[alone..].iter_mut().zip(&lower[alone..]) {
            *pair = u16::from(lower).to_le();
        }
    }
}

/// The pass along two rows, whose sums it leaves side by side.
struct Across<'a> {
    taps: &'a [Tap],
    pairs: &'a [Vec<u16>; 2],
    rows: &'a mut [i16],
}

impl Work for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, vectors: V) {
        let Across { taps, pairs, rows } = self;
        let [upper, lower] = [&pairs[0], &pairs[1]].map(|pairs| bytemuck::cast_slice::<u16, u8>(pairs));
        for (n, rows) in rows.as_chunks_mut::<{ 2 * LANES }>().0.iter_mut().enumerate() {
            let mut words = [[vectors.words_of(0); 2]; 2];
            for &(at, weights) in taps {
                for (words, bytes) in words.iter_mut().zip([upper, lower]) {
                    let bytes = bytes[2 * n * LANES + at..].first_chunk::<{ 2 * LANES }>();
                    let bytes = bytes.expect("rows are padded to whole chunks");
                    for (words, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
                        *words = vectors.add_byte_pairs(*words, bytes, weights);
                    }
                }
            }
            let [upper, lower] = words;
            for ((rows, upper), lower) in rows.as_chunks_mut().0.iter_mut().zip(upper).zip(lower) {
                *rows = vectors.pair_up(upper, lower);
            }
        }
    }
}

/// The pass down the columns, for two rows.
struct Down<'a, S> {
    weights: &'a [u16],
    window: &'a Window<i16>,
    rows: [&'a mut [S]; 2],
}

impl<S: Sample> Work for Down<'_, S> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, vectors: V) {
        let halo = self.weights.len() as isize - 1;
        // What pairs lack, and a half to round by.
        let total: i32 = (-halo..=halo).map(|at| i32::from(self.weights[at.unsigned_abs()])).sum();
        let begin = vectors.sums_of((total << 15) + (1 << 15));
        let weight = |at: isize| self.weights.get(at.unsigned_abs()).map_or(0, |&weight| weight as i16);
        let pairs: Vec<_> = (0..=halo)
            .map(|n| 2 * n - halo)
            .zip(self.window.starts())
            .map(|(at, &start)| ([weight(at), weight(at + 1)], [weight(at - 1), weight(at)], start))
            .collect();
        let [upper, lower] = self.rows;
        fill(
            [bytemuck::cast_slice_mut(upper), bytemuck::cast_slice_mut(lower)],
            #[inline(always)]
            |n| {
                let mut sums = [[begin; LANES / SUMS]; 2];
                for &(above, below, start) in &pairs {
                    let cells = &self.window.cells()[start + 2 * LANES * n..];
                    let cells = cells.first_chunk::<{ 2 * LANES }>().expect("rows are padded to whole chunks");
                    for (i, pairs) in cells.as_chunks::<{ 2 * SUMS }>().0.iter().enumerate() {
                        sums[0][i] = vectors.add_pairs(sums[0][i], pairs, above);
                        sums[1][i] = vectors.add_pairs(sums[1][i], pairs, below);
                    }
                }
                let [above, below] = sums;
                [vectors.narrow(above), vectors.narrow(below)]
            },
        );
    }
}
