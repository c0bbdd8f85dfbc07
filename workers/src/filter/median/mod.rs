//! The median of a square: of 3 x 3 and 5 x 5 samples by comparing all of a vector's at once, of more by counting.

mod counts;
mod networks;
mod sliding;

use super::Sample;
use super::picture::{Region, Source};

/// The largest radius: as many samples as can be counted in 16 bits.
pub(super) const MAX_RADIUS: usize = 127;

pub(super) fn median<S: Sample>(radius: usize, source: &Source<'_, S>, region: Region<'_, S>) {
    match radius {
        1 => networks::of_9(source, region),
        2 => networks::of_25(source, region),
        _ if size_of::<S>() == 1 => {
            with_channels!(source.channels(), C => counts::median::<S, C>(radius, source, region));
        }
        _ => with_channels!(source.channels(), C => sliding::median::<S, C>(radius, source, region)),
    }
}

#[cfg(test)]
mod tests {
    use crate::filter::{Border, Filter, Sample};
    use crate::sampled::Sampler;
    use ndarray::Array3;

    fn reference<S: Sample>(src: &Array3<S>, border: Border, radius: isize, constant: S) -> Array3<S> {
        let (height, width, channels) = src.dim();
        Array3::from_shape_fn(src.dim(), |(y, x, c)| {
            if c + 1 == channels && channels % 2 == 0 {
                return src[[y, x, c]];
            }
            let found = |middle: usize, len| {
                (middle as isize - radius..=middle as isize + radius).map(move |at| border.locate(at, len))
            };
            let sample = |(y, x): (Option<usize>, Option<usize>)| y.zip(x).map_or(constant, |(y, x)| src[[y, x, c]]);
            let mut all: Vec<S> =
                found(y, height).flat_map(|y| found(x, width).map(move |x| (y, x))).map(sample).collect();
            all.sort_unstable();
            all[all.len() / 2]
        })
    }

    fn compare<S: Sample>(src: &Array3<S>, constant: S, radius: isize) {
        for border in [Border::Reflect101, Border::Replicate, Border::Constant(77.0), Border::Wrap] {
            let mut got = Array3::from_elem(src.dim(), S::MAX);
            let filter = Filter::Median { radius: radius as usize };
            filter.apply(src.view(), border, 0..src.dim().0, 0..src.dim().1, got.view_mut());
            assert_eq!(got, reference(src, border, radius, constant), "{radius}, {border}");
        }
    }

    /// Noise, shades and two levels alone, also far beyond the picture.
    #[test]
    fn it_is_the_middle_one_of_all_that_are_around() {
        let noise = |(y, x, c): (usize, usize, usize)| {
            (((y * 7919 + x * 104_729 + c * 31 + y * x * x) * 2_654_435_761) >> 8) as u16
        };
        let shade = |(y, x, c): (usize, usize, usize)| (y * 260 + x * 131 + c) as u16;
        let two = |(y, x, c): (usize, usize, usize)| if (y * x + c) % 3 == 0 { 0 } else { u16::MAX };
        let mut sampler = Sampler::new();
        for shape in [[7, 90, 3], [3, 12, 1], [9, 1, 4], [5, 40, 2]] {
            for deep in [
                Array3::from_shape_fn(shape, noise),
                Array3::from_shape_fn(shape, shade),
                Array3::from_shape_fn(shape, two),
            ] {
                for radius in sampler.some([1, 2, 3, 6], 2) {
                    compare(&deep, 77 * 257, radius);
                    compare(&deep.mapv(|v| (v >> 8) as u8), 77, radius);
                }
            }
        }
        let small = Array3::from_shape_fn([2, 5, 1], noise);
        compare(&small, 77 * 257, 127);
        compare(&small.mapv(|v| (v >> 8) as u8), 77, 127);
    }
}
