//! A small copy of a picture, to be shown beside numbers.

use bytemuck::Pod;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use ndarray::{ArrayView3, s};

use super::Picture;

/// A PNG file, in memory, of the picture with 8 bits a sample and at most `most` pixels a side: each is the mean of those
/// that it stands for. A smaller picture keeps its size.
///
/// ```
/// use parfork::Shared;
/// use parfork_workers::picture::{self, Picture};
/// let gray = Shared::from_array(&ndarray::Array3::<u8>::from_elem((300, 400, 1), 77))?;
/// let png = picture::thumbnail(&Picture::U8(gray), 40);
/// assert_eq!(&png[1..4], b"PNG");
/// # Ok::<(), parfork::Error>(())
/// ```
pub fn thumbnail(picture: &Picture, most: usize) -> Vec<u8> {
    let [height, width, channels] = picture.shape();
    let longest = height.max(width).max(1);
    let most = most.clamp(1, longest);
    let small = |length: usize| (length * most / longest).max(1).min(length);
    let (rows, cols) = (small(height), small(width));
    let samples = match picture {
        Picture::U8(samples) => shrink(samples.view(), rows, cols, f64::from),
        Picture::U16(samples) => shrink(samples.view(), rows, cols, |sample: u16| f64::from(sample) / 257.0),
    };
    let colours = match channels {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::Rgba8,
    };
    let mut png = Vec::new();
    match PngEncoder::new(&mut png).write_image(&samples, cols as u32, rows as u32, colours) {
        Ok(()) => png,
        // An empty picture, of which no file can be made.
        Err(_) => Vec::new(),
    }
}

/// The means of rectangles, so many down and across.
fn shrink<S: Pod>(samples: ArrayView3<'_, S>, rows: usize, cols: usize, value: impl Fn(S) -> f64) -> Vec<u8> {
    let (height, width, channels) = samples.dim();
    let mut small = Vec::with_capacity(rows * cols * channels);
    let cell = |at: usize, of: usize, length: usize| at * length / of..(at + 1) * length / of;
    for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
        let (down, across) = (cell(row, rows, height), cell(col, cols, width));
        for channel in 0..channels {
            let part = samples.slice(s![down.clone(), across.clone(), channel]);
            let sum: f64 = part.iter().map(|&sample| value(sample)).sum();
            small.push((sum / part.len().max(1) as f64).round() as u8);
        }
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;
    use parfork::Shared;

    fn decoded(png: &[u8]) -> (u32, u32, Vec<u8>) {
        let image = image::load_from_memory(png).unwrap();
        (image.width(), image.height(), image.into_bytes())
    }

    #[test]
    fn each_pixel_is_the_mean_of_its_rectangle() {
        let chess = Array3::from_shape_fn((4, 6, 1), |(y, x, _)| if (y + x) % 2 == 0 { 0_u8 } else { 200 });
        let small = thumbnail(&Picture::U8(Shared::from_array(&chess).unwrap()), 3);
        assert_eq!(decoded(&small), (3, 2, vec![100; 6]));
        let whole = thumbnail(&Picture::U8(Shared::from_array(&chess).unwrap()), 1000);
        assert_eq!(decoded(&whole), (6, 4, chess.into_raw_vec_and_offset().0));
    }

    #[test]
    fn any_depth_shape_and_number_of_channels() {
        for channels in 1..=4 {
            let white = Array3::from_elem((1000, 1, channels), u16::MAX);
            let small = thumbnail(&Picture::U16(Shared::from_array(&white).unwrap()), 10);
            assert_eq!(decoded(&small), (1, 10, vec![255; 10 * channels]));
        }
        assert!(thumbnail(&Picture::U8(Shared::from_array(&Array3::zeros((0, 5, 3))).unwrap()), 10).is_empty());
    }
}
