//! JPEG, written by workers: each codes bands of rows as a picture of its own, with the same tables, of which the coded data
//! are one restart interval of the whole (ITU-T T.81, E.1.4).
//!
//! A restart interval knows nothing of those before it and ends at a byte; so does a picture.

use std::io::{self, Write};
use std::ops::Range;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use ndarray::Ix3;

use crate::picture::bands::Bands;
use parfork::Job;
use parfork::Report;
use parfork::Result;
use parfork::Shared;

/// Of 100; what is lost is not seen.
const QUALITY: u8 = 95;

/// Rows and columns of a block; colours are not sampled down.
const BLOCK: usize = 8;

/// Markers, each after a byte 0xFF.
const FRAME: u8 = 0xC0;
const RESTART: u8 = 0xD0;
const END: [u8; 2] = [0xFF, 0xD9];
const SCAN: u8 = 0xDA;
const INTERVAL: u8 = 0xDD;

/// Codes a picture, gray or RGB.
pub(in crate::picture) fn code(job: Job<'_>, picture: &Shared<u8, Ix3>) -> Result<(Bands, Report)> {
    let row = row(picture);
    // Noise takes a byte a sample. The format could take seven, which is no reason to set memory aside for it.
    let most = |rows| 2 * rows * row + (1 << 14);
    Bands::of(job, picture, BLOCK, most, |samples, band, out| {
        let coded = band_alone(samples, row, picture.shape()[2], band).map_err(|_| "a band cannot be coded")?;
        if let Some(out) = out.get_mut(..coded.len()) {
            out.copy_from_slice(&coded);
        }
        Ok([coded.len() as u64, 0])
    })
}

fn row(picture: &Shared<u8, Ix3>) -> usize {
    picture.shape()[1] * picture.shape()[2]
}

/// Some rows as a picture.
fn band_alone(samples: &[u8], row: usize, channels: usize, band: Range<usize>) -> io::Result<Vec<u8>> {
    let (color, width) = (if channels == 1 { ColorType::Luma } else { ColorType::Rgb }, row / channels);
    let mut coded = Vec::new();
    let mut encoder = Encoder::new(&mut coded, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    // The format ends at 65535 pixels a side, which has been looked at.
    let (width, height) = (width as u16, band.len() as u16);
    encoder.encode(&samples[band.start * row..band.end * row], width, height, color).map_err(io::Error::other)?;
    Ok(coded)
}

/// Writes the file: the head of the first band, with the height of the whole and the length of intervals, and what is coded
/// of all of them. A band that had no room is coded again here.
pub(in crate::picture) fn encode(out: &mut impl Write, bands: &Bands, picture: &Shared<u8, Ix3>) -> io::Result<()> {
    let &[height, width, channels] = picture.shape() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let blocks = bands.rows().div_ceil(BLOCK) * width.div_ceil(BLOCK);
    for (at, (rows, bytes, _)) in bands.iter().enumerate() {
        let again = match bytes {
            Some(_) => Vec::new(),
            None => band_alone(picture.as_slice(), row(picture), channels, rows)?,
        };
        let (head, coded) = apart(bytes.unwrap_or(&again))?;
        if at == 0 {
            write_head(out, head, height as u16, (bands.iter().len() > 1).then_some(blocks as u16))?;
        } else {
            out.write_all(&[0xFF, RESTART + (at as u8 - 1) % 8])?;
        }
        out.write_all(coded)?;
    }
    out.write_all(&END)
}

/// A picture's head, with the segment that begins its coded data, and these data.
fn apart(jpeg: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let scan = segments(jpeg).find(|(marker, _)| *marker == SCAN).map(|(_, range)| range.end);
    let (head, coded) = scan.and_then(|end| jpeg.split_at_checked(end)).ok_or(io::ErrorKind::InvalidData)?;
    Ok((head, coded.strip_suffix(&END).ok_or(io::ErrorKind::InvalidData)?))
}

/// The marker and the place of each segment of a head.
fn segments(jpeg: &[u8]) -> impl Iterator<Item = (u8, Range<usize>)> {
    let mut at = 2;
    std::iter::from_fn(move || {
        let &[0xFF, marker, high, low, ..] = jpeg.get(at..)? else { return None };
        let begin = at;
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
        Some((marker, begin..at))
    })
}

fn write_head(out: &mut impl Write, head: &[u8], height: u16, interval: Option<u16>) -> io::Result<()> {
    out.write_all(&head[..2])?;
    for (marker, range) in segments(head) {
        let mut segment = head.get(range).ok_or(io::ErrorKind::InvalidData)?.to_vec();
        if marker == FRAME {
            // After marker, length and depth.
            segment[5..7].copy_from_slice(&height.to_be_bytes());
        }
        if let Some(interval) = interval.filter(|_| marker == SCAN) {
            let [high, low] = interval.to_be_bytes();
            out.write_all(&[0xFF, INTERVAL, 0, 4, high, low])?;
        }
        out.write_all(&segment)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, ArrayView3, s};
    use parfork::Engine;

    fn serially() -> Job<'static> {
        Job::default().runner(Engine::Serial)
    }

    fn decoded(jpeg: &[u8], (height, width, channels): (usize, usize, usize)) -> Array3<u8> {
        let decoded = image::load_from_memory(jpeg).unwrap();
        let bytes = if channels == 1 { decoded.into_luma8().into_raw() } else { decoded.into_rgb8().into_raw() };
        Array3::from_shape_vec((height, width, channels), bytes).unwrap()
    }

    fn nearly(one: ArrayView3<u8>, other: ArrayView3<u8>) -> bool {
        ndarray::Zip::from(one).and(other).all(|one, other| one.abs_diff(*other) <= 8)
    }

    #[test]
    fn bands_make_the_picture_also_those_without_room() {
        for shape in [(1, 1, 1), (8, 8, 3), (9, 300, 3), (700, 801, 1), (1000, 517, 3), (1001, 900, 3)] {
            let wave = |(y, x, c): (usize, usize, usize)| {
                (128.0 + 50.0 * (y as f32 / 9.0).sin() + 50.0 * (x as f32 / (11 + c) as f32).sin()) as u8
            };
            let picture = Shared::from_array(&Array3::from_shape_fn(shape, wave)).unwrap();
            let (bands, _) = code(serially(), &picture).unwrap();
            let mut jpeg = Vec::new();
            encode(&mut jpeg, &bands, &picture).unwrap();
            let got = decoded(&jpeg, shape);
            assert!(nearly(got.view(), picture.view()), "{shape:?}");

            let (no_room, _) =
                Bands::of(serially(), &picture, BLOCK, |_| 1, |_: &[u8], _, _| Ok([1 << 40, 0])).unwrap();
            let mut again = Vec::new();
            encode(&mut again, &no_room, &picture).unwrap();
            assert!(again == jpeg, "{shape:?}");
        }
    }

    #[test]
    fn a_band_says_the_same_wherever_it_stands() {
        let noise = Array3::from_shape_fn((2000, 1001, 1), |(y, x, _)| (y * 31 + x * 17 + (x * y) % 37) as u8);
        let picture = Shared::from_array(&noise).unwrap();
        let (bands, _) = code(serially(), &picture).unwrap();
        assert!(bands.iter().len() > 4);
        let mut jpeg = Vec::new();
        encode(&mut jpeg, &bands, &picture).unwrap();
        let whole = decoded(&jpeg, noise.dim());
        for (rows, bytes, _) in bands.iter() {
            let alone = decoded(bytes.unwrap(), (rows.len(), 1001, 1));
            assert_eq!(alone, whole.slice(s![rows, .., ..]));
        }
    }
}
