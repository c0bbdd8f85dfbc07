//! TIFF, read: the crate `tiff` unpacks strips and tiles; what their samples mean, and where they go, is decided here.
//!
//! It knows some kinds of colours and refuses or misreads the others. So it is shown every picture as gray, by a directory in
//! which the tag for that is replaced: then it hands out all samples as they are stored. And it loses its place in tiles packed by
//! LZW that reach over the picture's edges, whose rows it reads in part: of these it is shown a picture that ends with its tiles.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::os::unix::fs::FileExt;

use bytemuck::{cast_slice_mut, pod_read_unaligned};
use image::error::{DecodingError, LimitError, LimitErrorKind, UnsupportedError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use parfork::formats::InputFile;
use tiff::decoder::{ChunkType, Decoder, Limits};
use tiff::tags::{ByteOrder, Tag};
use tiff::{TiffError, TiffResult};

use super::colours::{Colours, Sample, Stored};
use super::rewritten::Rewritten;
use super::{ICC, XMP};
use crate::picture::metadata::{Entry, MOST, bounded, first, of_tiff, read};

const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const JPEG: u16 = 7;
const LZW: u16 = 5;

/// The longest side of tiles that are read whole where they reach over the edge; a file could say that they are endless.
const LARGE_TILE: u32 = 4096;

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
    file: &'f File,
    /// Of the file.
    length: u64,
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
        let dimensions = seen.dimensions().map_err(failed)?;
        const BLACK_IS_ZERO: u32 = 1;
        let mut replaced = vec![(PHOTOMETRIC, BLACK_IS_ZERO)];
        let tile = seen.chunk_dimensions();
        if compression == LZW && seen.get_chunk_type() == ChunkType::Tile && tile.0.max(tile.1) <= LARGE_TILE {
            let whole = |side: u32, tile: u32| side.checked_next_multiple_of(tile).unwrap_or(side);
            replaced.extend([(WIDTH, whole(dimensions.0, tile.0)), (HEIGHT, whole(dimensions.1, tile.1))]);
        }
        let entries = entries(&mut seen, big, &replaced).map_err(failed)?;
        source.rewind().map_err(|error| ImageError::IoError(std::io::Error::other(error)))?;
        let mut limits = Limits::default();
        // No strip is longer than the file, whatever it says.
        limits.intermediate_buffer_size = usize::try_from(source.len()).unwrap_or(usize::MAX);
        let tiff = Decoder::new(Rewritten::new(source.buffered(), entries)?).map_err(failed)?;
        let mut tiff = tiff.with_limits(limits);
        // All that is read from here on are strips and tiles. A JPEG stream has its bits in one order.
        tiff.inner().reverse_bits(reversed && compression != JPEG);
        let orientation = u8::try_from(orientation).ok().and_then(Orientation::from_exif);
        Ok(Self {
            dimensions,
            tiff,
            colours,
            samples: usize::from(samples),
            bits,
            planar,
            file: source.file(),
            length: source.len(),
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

impl TiffDecoder<'_> {
    fn read_at(&self) -> impl Fn(u64, usize) -> Option<Vec<u8>> {
        |at, length| {
            // No longer than the file, whatever it says.
            let end = at.checked_add(length as u64)?;
            (end <= self.length).then_some(())?;
            let mut bytes = vec![0; length];
            self.file.read_exact_at(&mut bytes, at).ok()?;
            Some(bytes)
        }
    }

    /// The bytes of a tag, if they are there; not of a file with offsets of 64 bits.
    fn bytes_of(&self, wanted: u16) -> Option<Vec<u8>> {
        let file = self.read_at();
        let file = bounded(4 * MOST, &file);
        let (order, at) = first(&file)?;
        read(&file, [order; 2], at, &|tag| tag == wanted).into_iter().next().map(Entry::into_bytes)
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

    fn exif_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(of_tiff(&self.read_at()))
    }

    fn icc_profile(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.bytes_of(ICC))
    }

    fn xmp_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.bytes_of(XMP))
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

/// Where the entries of these tags go on behind their numbers, and what stands there if each has this number.
fn entries<R: Read + Seek>(
    tiff: &mut Decoder<R>,
    big: bool,
    replaced: &[(u16, u32)],
) -> TiffResult<Vec<(u64, Vec<u8>)>> {
    let directory = tiff.ifd_pointer().map_or(0, |at| at.0);
    tiff.goto_offset_u64(directory)?;
    let (count, head, length) = if big { (tiff.read_long8()?, 8, 20) } else { (u64::from(tiff.read_short()?), 2, 12) };
    let little = matches!(tiff.byte_order(), ByteOrder::LittleEndian);
    let (mut at, mut entries) = (directory.saturating_add(head), Vec::new());
    for _ in 0..count {
        tiff.goto_offset_u64(at)?;
        let tag = tiff.read_short()?;
        if let Some((_, number)) = replaced.iter().find(|(of, _)| *of == tag) {
            entries.push((at.saturating_add(2), entry(*number, big, little)));
        }
        if entries.len() == replaced.len() {
            break;
        }
        at = at.saturating_add(length);
    }
    Ok(entries)
}

/// An entry of one number, behind its tag.
fn entry(number: u32, big: bool, little: bool) -> Vec<u8> {
    const LONG: u16 = 4;
    let (short, long) =
        if little { (LONG.to_le_bytes(), number.to_le_bytes()) } else { (LONG.to_be_bytes(), number.to_be_bytes()) };
    let mut bytes = short.to_vec();
    // How many there are: 4 or 8 bytes; the number itself stands at the left end of as many.
    let width = if big { 8 } else { 4 };
    bytes.resize(2 + width, 0);
    bytes[if little { 2 } else { 1 + width }] = 1;
    bytes.extend(long);
    bytes.resize(2 + 2 * width, 0);
    bytes
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
