//! JPEG, written by workers: each codes bands of rows as a picture of its own, with the same tables, of which the coded data
//! are one restart interval of the whole (ITU-T T.81, E.1.4).
//!
//! A restart interval knows nothing of those before it and ends at a byte; so does a picture.

use std::io::{self, Write};
use std::ops::Range;

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use ndarray::Ix3;

use super::segments::{EXIF, ICC, JFIF};
use super::settings::{JpegSettings, Sampling};
use crate::picture::bands::Bands;
use crate::picture::metadata::{EXIF_NAME, ICC_NAME, ICC_PART, Metadata, XMP_NAME};
use parfork::Job;
use parfork::Report;
use parfork::Result;
use parfork::Shared;

/// Rows and columns of a block.
const BLOCK: usize = 8;

/// Markers, each after a byte 0xFF.
const FRAME: u8 = 0xC0;
const RESTART: u8 = 0xD0;
const END: [u8; 2] = [0xFF, 0xD9];
const SCAN: u8 = 0xDA;
const INTERVAL: u8 = 0xDD;

/// Columns and rows of what is coded together: a block of each colour that is sampled down, and all that it stands for.
fn unit(settings: JpegSettings, channels: usize) -> [usize; 2] {
    if channels == 1 { [BLOCK; 2] } else { settings.sampling.factors().map(|factor| factor * BLOCK) }
}

/// Room for a band, which a picture of noise needs. The format could take seven bytes a sample, which is no reason to set memory
/// aside for it.
fn room(rows: usize, width: usize, channels: usize, settings: JpegSettings) -> usize {
    let [across, down] = unit(settings, channels);
    let pixels = rows.next_multiple_of(down) * width.next_multiple_of(across);
    let colours = (channels - 1) * pixels * BLOCK * BLOCK / (across * down);
    let samples = pixels + colours;
    let head = 1 << 10;
    head + if settings.quality > 95 { 2 * samples } else { samples }
}

/// Codes a picture, gray or RGB.
pub(in crate::picture) fn code(
    job: Job<'_>,
    picture: &Shared<u8, Ix3>,
    settings: JpegSettings,
) -> Result<(Bands, Report)> {
    let row = row(picture);
    let (_, width, channels) = picture.view().dim();
    let most = |rows| room(rows, width, channels, settings);
    Bands::of(job, picture, unit(settings, channels)[1], most, |samples, band, out| {
        let coded = band_alone(samples, row, channels, band, settings).map_err(|_| "a band cannot be coded")?;
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
fn band_alone(
    samples: &[u8],
    row: usize,
    channels: usize,
    band: Range<usize>,
    settings: JpegSettings,
) -> io::Result<Vec<u8>> {
    let (color, width) = (if channels == 1 { ColorType::Luma } else { ColorType::Rgb }, row / channels);
    let mut coded = Vec::new();
    let mut encoder = Encoder::new(&mut coded, settings.quality);
    encoder.set_sampling_factor(match settings.sampling {
        Sampling::Full => SamplingFactor::F_1_1,
        Sampling::Half => SamplingFactor::F_2_1,
        Sampling::Quarter => SamplingFactor::F_2_2,
    });
    // As everybody does, and decoders expect: one pixel's colour for several would be off by half a pixel, and wrong at edges.
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    // The format ends at 65535 pixels a side, which has been looked at.
    let (width, height) = (width as u16, band.len() as u16);
    encoder.encode(&samples[band.start * row..band.end * row], width, height, color).map_err(io::Error::other)?;
    Ok(coded)
}

/// Writes the file: the head of the first band, with the height of the whole and the length of intervals, and what is coded
/// of all of them. A band that had no room is coded again here.
pub(in crate::picture) fn encode(
    out: &mut impl Write,
    bands: &Bands,
    picture: &Shared<u8, Ix3>,
    settings: JpegSettings,
    metadata: &Metadata,
) -> io::Result<()> {
    let &[height, width, channels] = picture.shape() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let [across, down] = unit(settings, channels);
    let units = bands.rows().div_ceil(down) * width.div_ceil(across);
    for (at, (rows, bytes, _)) in bands.iter().enumerate() {
        let again = match bytes {
            Some(_) => Vec::new(),
            None => band_alone(picture.as_slice(), row(picture), channels, rows, settings)?,
        };
        let (head, coded) = apart(bytes.unwrap_or(&again))?;
        if at == 0 {
            write_head(out, head, height as u16, (bands.iter().len() > 1).then_some(units as u16), metadata)?;
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

fn write_head(
    out: &mut impl Write,
    head: &[u8],
    height: u16,
    interval: Option<u16>,
    metadata: &Metadata,
) -> io::Result<()> {
    out.write_all(&head[..2])?;
    let mut told = false;
    for (marker, range) in segments(head) {
        let mut segment = head.get(range).ok_or(io::ErrorKind::InvalidData)?.to_vec();
        if marker == FRAME {
            // After marker, length and depth.
            segment[5..7].copy_from_slice(&height.to_be_bytes());
        }
        if marker != JFIF && !std::mem::replace(&mut told, true) {
            write_metadata(out, metadata)?;
        }
        if let Some(interval) = interval.filter(|_| marker == SCAN) {
            let [high, low] = interval.to_be_bytes();
            out.write_all(&[0xFF, INTERVAL, 0, 4, high, low])?;
        }
        out.write_all(&segment)?;
    }
    Ok(())
}

/// What a file has beside its picture, in segments of which each is no longer than its length can say.
fn write_metadata(out: &mut impl Write, metadata: &Metadata) -> io::Result<()> {
    let mut segment = |marker, parts: &[&[u8]]| {
        let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
        let length = u16::try_from(length).map_err(io::Error::other)?.to_be_bytes();
        out.write_all(&[&[0xFF, marker], &length[..], &parts.concat()].concat())
    };
    for (name, bytes) in [(EXIF_NAME, &metadata.exif), (XMP_NAME, &metadata.xmp)] {
        bytes.iter().try_for_each(|bytes| segment(EXIF, &[name, bytes]))?;
    }
    let icc = metadata.icc.as_deref().unwrap_or_default();
    let count = icc.len().div_ceil(ICC_PART) as u8;
    icc.chunks(ICC_PART)
        .zip(1..=u8::MAX)
        .try_for_each(|(part, number)| segment(ICC, &[ICC_NAME, &[number, count], part]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampled::Sampler;
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
        let shapes = [(1, 1, 1), (8, 8, 3), (9, 300, 3), (700, 801, 1), (1000, 517, 3), (1001, 900, 3)];
        let samplings = [Sampling::Full, Sampling::Half, Sampling::Quarter];
        let cases = shapes.into_iter().flat_map(|shape| samplings.map(|sampling| (shape, sampling)));
        for (shape, sampling) in Sampler::new().some(cases, 6) {
            let settings = JpegSettings { sampling, ..JpegSettings::DEFAULT };
            let wave = |(y, x, c): (usize, usize, usize)| {
                (128.0 + 50.0 * (y as f32 / 9.0).sin() + 50.0 * (x as f32 / (11 + c) as f32).sin()) as u8
            };
            let picture = Shared::from_array(&Array3::from_shape_fn(shape, wave)).unwrap();
            let (bands, _) = code(serially(), &picture, settings).unwrap();
            let mut jpeg = Vec::new();
            encode(&mut jpeg, &bands, &picture, settings, &Metadata::default()).unwrap();
            let got = decoded(&jpeg, shape);
            assert!(nearly(got.view(), picture.view()), "{shape:?} {sampling}");

            let no_room =
                Bands::of(serially(), &picture, unit(settings, shape.2)[1], |_| 1, |_: &[u8], _, _| Ok([1 << 40, 0]));
            let no_room = no_room.unwrap().0;
            let mut again = Vec::new();
            encode(&mut again, &no_room, &picture, settings, &Metadata::default()).unwrap();
            assert!(again == jpeg, "{shape:?}");
        }
    }

    #[test]
    fn noise_has_room() {
        let mut random = fastrand::Rng::with_seed(1);
        let noise = Array3::from_shape_simple_fn((512, 512, 3), || random.u8(..));
        let picture = Shared::from_array(&noise).unwrap();
        for (quality, sampling) in [(95, Sampling::Full), (95, Sampling::Quarter), (100, Sampling::Half)] {
            let (bands, _) = code(serially(), &picture, JpegSettings { quality, sampling }).unwrap();
            assert!(bands.iter().all(|(_, bytes, _)| bytes.is_some()), "{quality} {sampling}");
        }
    }

    #[test]
    fn a_band_says_the_same_wherever_it_stands() {
        let noise = Array3::from_shape_fn((2000, 1001, 1), |(y, x, _)| (y * 31 + x * 17 + (x * y) % 37) as u8);
        let picture = Shared::from_array(&noise).unwrap();
        let settings = JpegSettings::DEFAULT;
        let (bands, _) = code(serially(), &picture, settings).unwrap();
        assert!(bands.iter().len() > 4);
        let mut jpeg = Vec::new();
        encode(&mut jpeg, &bands, &picture, settings, &Metadata::default()).unwrap();
        let whole = decoded(&jpeg, noise.dim());
        for (rows, bytes, _) in bands.iter() {
            let alone = decoded(bytes.unwrap(), (rows.len(), 1001, 1));
            assert_eq!(alone, whole.slice(s![rows, .., ..]));
        }
    }
}
