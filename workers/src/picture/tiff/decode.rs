//! TIFF, read: the crate `tiff` unpacks strips and tiles; what their samples mean, and where they go, is decided here.
//!
//! It knows some kinds of colours and refuses or misreads the others. So it is shown every picture as gray, by a directory in
//! which the tag for that is replaced: then it hands out all samples as they are stored.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};

use bytemuck::{cast_slice_mut, pod_read_unaligned};
use image::error::{DecodingError, LimitError, LimitErrorKind, UnsupportedError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use parfork::formats::InputFile;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::{ByteOrder, Tag};
use tiff::{TiffError, TiffResult};

use super::colours::{Colours, Sample, Stored};
use super::rewritten::Rewritten;

const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const JPEG: u16 = 7;

/// A decoder of TIFF files of 1, 2, 4, 8 or 16 bits a sample.
pub(in crate::picture) struct TiffDecoder<'f> {
    tiff: Decoder<Rewritten<BufReader<&'f File>>>,
    dimensions: (u32, u32),
    colours: Colours,
    /// Samples of each pixel as it is stored.
    samples: usize,
    /// Of each sample as it is stored.
    bits: u8,
    /// Whether each channel has strips or tiles of its own.
    planar: bool,
    orientation: Orientation,
}

impl<'f> TiffDecoder<'f> {
    /// Reads the directory of the first picture.
    ///
    /// # Errors
    /// If it is damaged; [`ImageError::Unsupported`] with a name for what is not read here.
    pub(in crate::picture) fn new(source: &'f InputFile, head: &[u8]) -> ImageResult<Self> {
        let mut seen = Decoder::new(source.buffered()).map_err(failed)?;
        let mut numbers = |tag| seen.find_tag_unsigned_vec::<u16>(Tag::from_u16_exhaustive(tag)).map_err(failed);
        let mut number =
            |tag, default| Ok::<_, ImageError>(numbers(tag)?.and_then(|all| all.first().copied()).unwrap_or(default));
        let (bits, samples, compression) = (number(258, 1)?, number(277, 1)?, number(259, 1)?);
        let (planar, orientation, reversed) = (number(284, 1)? == 2, number(274, 1)?, number(FILL_ORDER, 1)? == 2);
        let photometric = number(PHOTOMETRIC, 0)?;
        let kinds = numbers(339)?.unwrap_or_default();
        if let Some(kind) = kinds.iter().find(|&&kind| kind != 1) {
            return Err(unsupported(match kind {
                2 => "samples with a sign",
                3 => "floating-point samples",
                _ => "samples of no kind that is known",
            }));
        }
        let bits = match u8::try_from(bits) {
            Ok(bits @ (1 | 2 | 4 | 8 | 16)) => bits,
            _ => return Err(unsupported(format!("{bits} bits a sample"))),
        };
        let (extra, map) = (numbers(338)?, numbers(320)?);
        let stored = Stored { photometric, samples, extra: extra.as_deref(), bits, jpeg: compression == JPEG };
        let colours = Colours::of(&stored, map).map_err(unsupported)?;
        let big = head.get(2..4).is_some_and(|version| version.contains(&43));
        let (at, entry) = gray_entry(&mut seen, big).map_err(failed)?;
        source.rewind().map_err(|error| ImageError::IoError(std::io::Error::other(error)))?;
        let mut limits = Limits::default();
        // No strip is longer than the file, whatever it says.
        limits.intermediate_buffer_size = usize::try_from(source.len()).unwrap_or(usize::MAX);
        let tiff = Decoder::new(Rewritten::new(source.buffered(), at, entry)?).map_err(failed)?;
        let mut tiff = tiff.with_limits(limits);
        // All that is read from here on are strips and tiles. A JPEG stream has its bits in one order.
        tiff.inner().reverse_bits(reversed && compression != JPEG);
        let orientation = u8::try_from(orientation).ok().and_then(Orientation::from_exif);
        Ok(Self {
            dimensions: tiff.dimensions().map_err(failed)?,
            tiff,
            colours,
            samples: usize::from(samples),
            bits,
            planar,
            orientation: orientation.unwrap_or(Orientation::NoTransforms),
        })
    }

    /// Reads strip after strip, or tile after tile: of a planar picture those of all channels at one place.
    fn fill<T: Sample>(&mut self, to: &mut [T]) -> ImageResult<()> {
        let [width, height, channels] =
            [self.dimensions.0 as usize, self.dimensions.1 as usize, self.colours.channels()];
        let (chunk_width, chunk_height) = self.tiff.chunk_dimensions();
        let across = width.div_ceil(chunk_width as usize);
        let places = across * height.div_ceil(chunk_height as usize);
        let mut chunks = vec![Vec::new(); if self.planar { self.samples } else { 1 }];
        let mut pixels = Vec::new();
        for place in 0..places {
            let rows_from = place / across * chunk_height as usize;
            let from = place % across * chunk_width as usize;
            let (columns, rows) = (width.min(from + chunk_width as usize) - from, height - rows_from);
            let mut strides = Vec::with_capacity(chunks.len());
            for (plane, bytes) in chunks.iter_mut().enumerate() {
                strides.push(self.read_chunk(plane * places + place, bytes)?);
            }
            pixels.resize(columns * self.samples, T::zeroed());
            for row in 0..rows.min(chunk_height as usize) {
                for (plane, (bytes, stride)) in chunks.iter().zip(&strides).enumerate() {
                    let bytes = bytes.get(row * stride..).unwrap_or_default();
                    if self.planar {
                        unpack(bytes, self.bits, pixels.iter_mut().skip(plane).step_by(self.samples));
                    } else {
                        unpack(bytes, self.bits, pixels.iter_mut());
                    }
                }
                let to = &mut to[((rows_from + row) * width + from) * channels..][..columns * channels];
                self.colours.convert(&pixels, self.samples, self.bits, to);
            }
        }
        Ok(())
    }

    /// The samples of a strip or tile, as they are stored but for the order of bytes; the bytes of a row.
    fn read_chunk(&mut self, number: usize, bytes: &mut Vec<u8>) -> ImageResult<usize> {
        let number = number as u32;
        let (columns, rows) = self.tiff.chunk_data_dimensions(number);
        let samples = if self.planar { 1 } else { self.samples };
        let stride = (columns as usize * samples * usize::from(self.bits)).div_ceil(8);
        let all = stride * rows as usize;
        bytes.clear();
        let too_large = |_| ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory));
        bytes.try_reserve_exact(all).map_err(too_large)?;
        bytes.resize(all, 0);
        self.tiff.read_chunk_bytes(number, bytes).map_err(|error| match error {
            // It is longer than the file.
            TiffError::LimitsExceeded => ImageError::IoError(ErrorKind::UnexpectedEof.into()),
            error => failed(error),
        })?;
        Ok(stride)
    }
}

impl ImageDecoder for TiffDecoder<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.dimensions
    }

    fn color_type(&self) -> ColorType {
        match (self.colours.channels(), self.bits) {
            (1, 16) => ColorType::L16,
            (2, 16) => ColorType::La16,
            (3, 16) => ColorType::Rgb16,
            (_, 16) => ColorType::Rgba16,
            (1, _) => ColorType::L8,
            (2, _) => ColorType::La8,
            (3, _) => ColorType::Rgb8,
            _ => ColorType::Rgba8,
        }
    }

    fn original_color_type(&self) -> ExtendedColorType {
        match (self.samples, self.bits) {
            (1, 1) => ExtendedColorType::L1,
            (1, 2) => ExtendedColorType::L2,
            (1, 4) => ExtendedColorType::L4,
            (1, 8) => ExtendedColorType::L8,
            _ => self.color_type().into(),
        }
    }

    fn orientation(&mut self) -> ImageResult<Orientation> {
        Ok(self.orientation)
    }

    fn read_image(mut self, samples: &mut [u8]) -> ImageResult<()> {
        match self.bits {
            16 => self.fill::<u16>(cast_slice_mut(samples)),
            _ => self.fill::<u8>(samples),
        }
    }

    fn read_image_boxed(self: Box<Self>, samples: &mut [u8]) -> ImageResult<()> {
        self.read_image(samples)
    }
}

/// Where the entry of the tag for colours goes on behind its number, and what stands there in a gray picture.
fn gray_entry<R: Read + Seek>(tiff: &mut Decoder<R>, big: bool) -> TiffResult<(u64, Vec<u8>)> {
    let directory = tiff.ifd_pointer().map_or(0, |at| at.0);
    tiff.goto_offset_u64(directory)?;
    let (count, head, entry) = if big { (tiff.read_long8()?, 8, 20) } else { (u64::from(tiff.read_short()?), 2, 12) };
    let mut at = directory.saturating_add(head);
    for _ in 0..count {
        tiff.goto_offset_u64(at)?;
        if tiff.read_short()? == PHOTOMETRIC {
            break;
        }
        at = at.saturating_add(entry);
    }
    const SHORT: u16 = 3;
    const BLACK_IS_ZERO: u16 = 1;
    let little = matches!(tiff.byte_order(), ByteOrder::LittleEndian);
    let short = |number: u16| if little { number.to_le_bytes() } else { number.to_be_bytes() };
    let mut bytes = short(SHORT).to_vec();
    // One of them: a number of 4 or 8 bytes; it stands at the left end of as many.
    let one = if big { 8 } else { 4 };
    bytes.resize(2 + one, 0);
    bytes[if little { 2 } else { 1 + one }] = 1;
    bytes.extend(short(BLACK_IS_ZERO));
    bytes.resize(2 + 2 * one, 0);
    Ok((at.saturating_add(2), bytes))
}

/// Samples of so many bits from a row, as many as there is room for.
fn unpack<'t, T: Sample>(row: &[u8], bits: u8, to: impl Iterator<Item = &'t mut T>) {
    match bits {
        16 => to.zip(row.chunks_exact(2)).for_each(|(to, two)| *to = T::of(pod_read_unaligned(two))),
        8 => to.zip(row).for_each(|(to, &byte)| *to = T::of(byte.into())),
        bits => {
            let in_byte = usize::from(8 / bits);
            let sample = |number: usize| {
                let byte = row.get(number / in_byte).copied().unwrap_or(0);
                byte >> (8 - usize::from(bits) * (number % in_byte + 1)) & ((1 << bits) - 1)
            };
            to.enumerate().for_each(|(number, to)| *to = T::of(sample(number).into()));
        }
    }
}

fn unsupported(what: impl Into<String>) -> ImageError {
    let kind = UnsupportedErrorKind::GenericFeature(what.into());
    ImageError::Unsupported(UnsupportedError::from_format_and_kind(ImageFormat::Tiff.into(), kind))
}

fn failed(error: TiffError) -> ImageError {
    match error {
        TiffError::IoError(error) => ImageError::IoError(error),
        TiffError::UnsupportedError(what) => unsupported(what.to_string()),
        TiffError::LimitsExceeded => ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory)),
        other => ImageError::Decoding(DecodingError::new(ImageFormat::Tiff.into(), other)),
    }
}
