//! From a picture to a file, in the format that was chosen before the work.

use std::io::{self, Write};
use std::path::Path;

use bytemuck::cast_slice;
use image::codecs::bmp::BmpEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageError};

use super::super::Landing;
use super::{Format, Picture, pnm, tiff};
use crate::error::Result;

/// Of 100; what is lost is not seen.
const JPEG_QUALITY: u8 = 95;

/// Writes a picture to a landing that the caller then [`land`](Landing::land)s.
///
/// PNG is compressed for speed (photographs come out within a few percent of zlib's default level, in a fraction of its
/// time), JPEG has quality 95, TIFF is not compressed.
///
/// # Errors
/// As [`Format::holds`]; [`Error::File`](crate::Error::File) if the disk is full or fails.
pub fn write(out: &mut Landing, picture: &Picture, format: Format) -> Result<()> {
    format.holds(picture.shape(), picture.bits())?;
    encode(out, picture, format).map_err(|error| out.failed(&error))
}

/// Writes a picture to a file that appears when it is whole, in the format of its extension.
///
/// # Errors
/// As [`Format::for_target`], [`Landing::at`] and [`write()`]; nothing is written then.
pub fn save(path: impl AsRef<Path>, picture: &Picture) -> Result<()> {
    let format = Format::for_target(&path)?;
    format.holds(picture.shape(), picture.bits())?;
    let mut out = Landing::at(path)?;
    write(&mut out, picture, format)?;
    out.land()
}

fn encode(out: &mut impl Write, picture: &Picture, format: Format) -> io::Result<()> {
    let [height, width, channels] = picture.shape();
    // `holds` saw to it that the axes are below 2^31.
    let (high, wide) = (height as u32, width as u32);
    let bytes = match picture {
        Picture::U8(samples) => samples.as_slice(),
        Picture::U16(samples) => cast_slice(samples.as_slice()),
    };
    let color = color(channels, picture.bits());
    match format {
        Format::Png => PngEncoder::new_with_quality(out, CompressionType::Fast, FilterType::Adaptive)
            .write_image(bytes, wide, high, color)
            .map_err(as_io),
        Format::Jpeg => {
            JpegEncoder::new_with_quality(out, JPEG_QUALITY).write_image(bytes, wide, high, color).map_err(as_io)
        }
        Format::Bmp => BmpEncoder::new(out).write_image(bytes, wide, high, color).map_err(as_io),
        Format::Tiff => tiff::encode(out, picture, bytes),
        Format::Pgm | Format::Ppm | Format::Pnm => pnm::encode(out, picture, pnm::Kind::Classic),
        Format::Pam => pnm::encode(out, picture, pnm::Kind::Any),
    }
}

fn color(channels: usize, bits: u32) -> ExtendedColorType {
    use ExtendedColorType::{L8, L16, La8, La16, Rgb8, Rgb16, Rgba8, Rgba16};
    let (narrow, wide) = [(L8, L16), (La8, La16), (Rgb8, Rgb16), (Rgba8, Rgba16)][channels - 1];
    if bits == 8 { narrow } else { wide }
}

fn as_io(error: ImageError) -> io::Error {
    match error {
        ImageError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
