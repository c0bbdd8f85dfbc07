//! The weights of Lanczos resampling: which pixels of the source make a pixel of the result, and by how much.
//!
//! A pixel of the result lies over `scale` pixels of the source, and is made from those that lie within three times
//! `max(scale, 1)` of its middle, each weighed by `sinc(x) * sinc(x/3)`, where `x` is its distance in such units; what
//! lies beyond the edges counts nothing, and the rest adds up to 1. Pillow computes them thus, in `f64`, and rounds
//! them to 1/2^22 for 8 bits.

use super::sample::{FRACTION, Sample};
use super::vectors::vectorised;
use std::{f64::consts::PI, ops::Range};

/// Lobes of the kernel to each side, in pixels of the coarser of the two pictures.
pub(super) const LOBES: usize = 3;

/// Weights are computed so many at a time, in vectors.
const LANES: usize = 8;

/// The weights of a stretch of the result, along one axis.
pub(super) struct Weights {
    /// The pixels of the source that each pixel of the stretch is made from.
    spans: Vec<Range<usize>>,
    /// Their weights, `apart` for each pixel.
    values: Vec<f32>,
    apart: usize,
}

impl Weights {
    /// For the pixels `stretch` of `to`, made from `from` pixels of samples `S`.
    pub(super) fn new<S: Sample>(stretch: Range<usize>, to: usize, from: usize) -> Self {
        let kernel = Kernel::new(to, from);
        let apart = kernel.taps().next_multiple_of(LANES);
        let mut pixel = Pixel { distances: vec![BEYOND; apart], weights: vec![0.0; apart] };
        let mut values = vec![0.0; stretch.len() * apart];
        let mut spans = Vec::with_capacity(stretch.len());
        vectorised(
            #[inline(always)]
            || {
                for (n, values) in stretch.zip(values.chunks_exact_mut(apart)) {
                    let span = kernel.weigh(n, &mut pixel);
                    let exact = &pixel.weights;
                    let counts = |&weight: &f64| weight.abs() * FRACTION >= 0.5;
                    let skip = exact[..span.len()].iter().position(counts).unwrap_or(0);
                    let end = exact[..span.len()].iter().rposition(counts).map_or(span.len(), |last| last + 1);
                    spans.push(span.start + skip..span.start + end);
                    for (value, &weight) in values.iter_mut().zip(&exact[skip..end]) {
                        *value = S::weight(weight);
                    }
                }
            },
        );
        Weights { spans, values, apart }
    }

    /// Pixel `n` of the stretch: what it is made from, and the weights of that.
    #[inline(always)]
    pub(super) fn of(&self, n: usize) -> (Range<usize>, &[f32]) {
        let span = self.spans[n].clone();
        (span.clone(), &self.values[n * self.apart..][..span.len()])
    }

    /// All that the pixels `part` of the stretch are made from.
    pub(super) fn reach(&self, part: Range<usize>) -> Range<usize> {
        let spans = &self.spans[part];
        let start = spans.iter().map(|span| span.start).min();
        start.unwrap_or(0)..spans.iter().map(|span| span.end).max().unwrap_or(0)
    }

    /// The most pixels of the source that one of the result is made from.
    pub(super) fn taps(&self) -> usize {
        self.apart
    }
}

/// A distance at which nothing counts.
const BEYOND: f64 = 9.0;

/// How far from the middle of a pixel of the result those of the source are, in units of the kernel, and their weights;
/// whole vectors.
struct Pixel {
    distances: Vec<f64>,
    weights: Vec<f64>,
}

/// The kernel for one axis.
struct Kernel {
    from: usize,
    scale: f64,
    /// How far it reaches to each side, in pixels of the source.
    support: f64,
    /// Of pixels of the source to a unit of distance.
    unit: f64,
}

impl Kernel {
    fn new(to: usize, from: usize) -> Self {
        let scale = from as f64 / to as f64;
        let coarser = scale.max(1.0);
        Kernel { from, scale, support: LOBES as f64 * coarser, unit: 1.0 / coarser }
    }

    /// No pixel of the result has more than so many weights.
    fn taps(&self) -> usize {
        (2 * self.support.ceil() as usize + 1).min(self.from)
    }

    /// Computes the weights of pixel `n` of the result, where `pixel` is another one, and returns whose they are. Where a
    /// picture is made smaller by a whole factor, most pixels have the weights of the one before.
    ///
    /// By `sinc(x) * sinc(x/3) = q² (1 - 4/3 z q²)`, where `z = (πx/3)²` and `q = sinc(x/3)` is a short
    /// series in `z`: a few units of 1e-16 from what two sines and a division give, at a tenth of the time. Only where
    /// that might round to another 1/2^22 are they computed as Pillow does.
    #[inline(always)]
    fn weigh(&self, n: usize, pixel: &mut Pixel) -> Range<usize> {
        let center = (n as f64 + 0.5) * self.scale;
        let start = (center - self.support + 0.5).max(0.0) as usize;
        let span = start..((center + self.support + 0.5) as usize).min(self.from);
        let mut moved = false;
        for (tap, distance) in pixel.distances.iter_mut().enumerate() {
            let own = ((tap + start) as f64 - center + 0.5) * self.unit;
            let own = if tap < span.len() { own } else { BEYOND };
            moved |= own != *distance;
            *distance = own;
        }
        if !moved {
            return span;
        }
        let chunks = pixel.weights.as_chunks_mut::<LANES>().0;
        let mut totals = [0.0; LANES];
        for (weights, distances) in chunks.iter_mut().zip(pixel.distances.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                weights[lane] = if distances[lane] < BEYOND { bell(distances[lane]) } else { 0.0 };
                totals[lane] += weights[lane];
            }
        }
        let share = 1.0 / totals.iter().sum::<f64>();
        let mut doubt = [1.0_f64; LANES];
        for weights in chunks {
            for lane in 0..LANES {
                weights[lane] *= share;
                doubt[lane] = doubt[lane].min(((weights[lane] * FRACTION).abs().fract() - 0.5).abs());
            }
        }
        if doubt.iter().any(|&doubt| doubt < 1e-6) {
            let weights = &mut pixel.weights[..span.len()];
            for (weight, &x) in weights.iter_mut().zip(&pixel.distances) {
                *weight = if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 };
            }
            let total: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= total);
        }
        span
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) }
}

/// `sinc(x) * sinc(x/3)` without a sine, for `|x| <= 3`; 0 beyond.
#[inline(always)]
fn bell(x: f64) -> f64 {
    let z = (x * (PI / 3.0)).powi(2).min(PI * PI);
    let q = SERIES.iter().rev().fold(0.0, |sum, coefficient| sum * z + coefficient);
    let qq = q * q;
    qq * (1.0 - 4.0 / 3.0 * z * qq)
}

/// `sin(√z)/√z` as a series in `z`: (-1)^k / (2k+1)!; for z up to π² the next term is below 1e-18.
const SERIES: [f64; 16] = {
    let mut series = [1.0; 16];
    let mut k = 1;
    while k < series.len() {
        series[k] = -series[k - 1] / ((2 * k) * (2 * k + 1)) as f64;
        k += 1;
    }
    series
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_is_the_kernel() {
        for n in -3000..=3000 {
            let x = f64::from(n) / 1000.0;
            let want = sinc(x) * sinc(x / 3.0);
            assert!((bell(x) - want).abs() < 4e-15, "{x}: {} instead of {want}", bell(x));
        }
        assert_eq!(bell(0.0), 1.0);
        assert!(bell(3.4).abs() < 1e-30);
    }

    #[test]
    fn an_axis_that_keeps_its_size_keeps_its_pixels() {
        let weights = Weights::new::<u8>(5..400, 1000, 1000);
        assert!((0..395).all(|n| weights.of(n) == (n + 5..n + 6, &[1.0][..])));
    }

    #[test]
    fn weights_are_the_sines_in_22_bits() {
        for (from, to) in [(1, 1), (1, 9), (7, 3), (640, 427), (427, 640), (4096, 2048), (4096, 333), (1000, 1001)] {
            let weights = Weights::new::<u8>(0..to, to, from);
            let kernel = Kernel::new(to, from);
            for n in 0..to {
                let (span, got) = weights.of(n);
                let center = (n as f64 + 0.5) * kernel.scale;
                let sines = |x: usize| {
                    let x = (x as f64 - center + 0.5) * kernel.unit;
                    if (-3.0..3.0).contains(&x) { sinc(x) * sinc(x / 3.0) } else { 0.0 }
                };
                let total: f64 = (0..from).map(sines).sum();
                for x in 0..from {
                    let got = if span.contains(&x) { got[x - span.start] } else { 0.0 };
                    let want = (sines(x) / total * FRACTION).round();
                    assert_eq!(f64::from(got) * FRACTION, want, "{from} to {to}: {x} in {n}");
                }
                assert!(got.iter().map(|weight| weight.abs()).sum::<f32>() < 2.0, "{from} to {to}: {n}");
            }
        }
    }
}
