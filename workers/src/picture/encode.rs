//! From a picture to a file, in the format that was chosen before the work.

use std::io::{self, Write};
use std::path::Path;

use bytemuck::{Pod, cast_slice};
use image::codecs::bmp::BmpEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError};
use ndarray::Ix3;

use super::{Format, Metadata, Picture, jpeg, png, pnm, tiff};
use parfork::Engine;
use parfork::Job;
use parfork::Report;
use parfork::Result;
use parfork::formats::{OutputFile, npy};
use parfork::{Dtype, Element, Order, Shared};

/// Writes a picture to an [`OutputFile`] that the caller then [`commit`](OutputFile::commit)s, by this process alone. A segment gets the
/// samples, whatever the format.
///
/// PNG is compressed for speed: photographs come out within a few percent of zlib's default level in a tenth of its time or
/// less, larger by a quarter where a picture is very smooth; of a flat one 1 byte stands for 1000. JPEG is
/// written as its [`JpegSettings`](super::JpegSettings) say, TIFF is not compressed.
///
/// # Errors
/// As [`Format::holds`]; [`Error::File`](parfork::Error::File) if the disk is full or fails.
pub fn write(out: &mut OutputFile, picture: &Picture, format: Format) -> Result<()> {
    write_with(Job::default().runner(Engine::Serial), out, picture, format, &Metadata::default()).map(drop)
}

/// As [`write()`], by workers where the format is coded, and can be in pieces: PNG and JPEG, whose bytes are the same for any
/// number of them.
/// What the file is to have beside its picture goes with it, but for [what is left behind](Metadata::left_behind).
/// The report is that of their job, if there was one. The job's split and slice have no say.
///
/// # Errors
/// As [`write()`] and [`Job::run`](parfork::Job::run), and if there is too little memory for what the workers write: as much as
/// the picture has, for JPEG of a quality above 95 up to twice as much.
pub fn write_with(
    job: Job<'_>,
    out: &mut OutputFile,
    picture: &Picture,
    format: Format,
    metadata: &Metadata,
) -> Result<Option<Report>> {
    format.holds(picture.shape(), picture.bits())?;
    let copy = match picture {
        Picture::U8(samples) => in_c_order(samples)?.map(Picture::U8),
        Picture::U16(samples) => in_c_order(samples)?.map(Picture::U16),
    };
    let picture = copy.as_ref().unwrap_or(picture);
    if out.is_segment() {
        return npy::write_bytes(out, samples(picture.bits()), &picture.shape(), Order::C, bytes(picture))
            .map(|()| None);
    }
    let (metadata, _) = metadata.fitted(format, picture.shape());
    let coded = match (format, picture) {
        (Format::Png, Picture::U8(samples)) => Some(png::code(job, samples)?),
        (Format::Png, Picture::U16(samples)) => Some(png::code(job, samples)?),
        (Format::Jpeg(settings), Picture::U8(samples)) => Some(jpeg::code(job, samples, settings)?),
        _ => None,
    };
    let written = match (&coded, format, picture) {
        (Some((bands, _)), Format::Jpeg(settings), Picture::U8(samples)) => {
            jpeg::encode(out, bands, samples, settings, &metadata)
        }
        (Some((bands, _)), ..) => png::encode(out, bands, picture.shape(), picture.bits(), &metadata),
        (None, ..) => encode(out, picture, format, &metadata),
    };
    written.map(|()| coded.map(|(_, report)| report)).map_err(|error| out.failed(&error))
}

/// Writes a picture to a file that appears when it is whole, in the format of its extension.
///
/// # Errors
/// As [`Format::for_target`], [`OutputFile::open`] and [`write()`]; nothing is written then.
pub fn save(path: impl AsRef<Path>, picture: &Picture) -> Result<()> {
    let format = Format::for_target(&path)?;
    // Before an older file is looked at.
    format.holds(picture.shape(), picture.bits())?;
    let mut out = OutputFile::open(path)?;
    prepare(&mut out, format, picture.shape(), picture.bits())?;
    write(&mut out, picture, format)?;
    out.commit()
}

/// Makes sure that an output can hold a picture of this height, width and channels, and of so many bits a sample: as
/// [`Format::holds`], and for a segment that it can hold such an array.
///
/// # Errors
/// If not.
pub fn prepare(out: &mut OutputFile, format: Format, shape: [usize; 3], bits: u32) -> Result<()> {
    format.holds(shape, bits)?;
    if out.is_segment() { npy::prepare(out, samples(bits), &shape) } else { Ok(()) }
}

/// The type of samples.
fn samples(bits: u32) -> Dtype {
    if bits == 8 { u8::DTYPE } else { u16::DTYPE }
}

/// The bytes of all samples.
fn bytes(picture: &Picture) -> &[u8] {
    match picture {
        Picture::U8(samples) => samples.as_slice(),
        Picture::U16(samples) => cast_slice(samples.as_slice()),
    }
}

/// A copy row by row of samples that are in memory column by column.
fn in_c_order<S: Pod>(samples: &Shared<S, Ix3>) -> Result<Option<Shared<S, Ix3>>> {
    match samples.order() {
        Order::C => Ok(None),
        Order::F => Shared::from_array(&samples.view()).map(Some),
    }
}

fn encode(out: &mut impl Write, picture: &Picture, format: Format, metadata: &Metadata) -> io::Result<()> {
    let [height, width, channels] = picture.shape();
    // `holds` saw to it that the axes are below 2^31.
    let (high, wide) = (height as u32, width as u32);
    let bytes = bytes(picture);
    let color = color(channels, picture.bits());
    match format {
        // Those are written in bands, and JPEG has no 16 bits.
        Format::Png | Format::Jpeg(_) => Err(io::ErrorKind::Unsupported.into()),
        Format::Bmp => BmpEncoder::new(out).write_image(bytes, wide, high, color).map_err(as_io),
        Format::Tiff => tiff::encode(out, picture, bytes, metadata),
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
