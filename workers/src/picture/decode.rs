//! From a file to a picture: the decoder, what it may do, and where its bytes go.

use std::error::Error as _;
use std::io::{self, Cursor};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bytemuck::{Pod, cast_slice_mut};
use image::codecs::bmp::BmpDecoder;
use image::error::UnsupportedErrorKind;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use ndarray::{ArrayView3, ArrayViewMut3, Axis, ShapeError, s};

use super::Picture;
use super::jpeg::Jpeg;
use super::metadata::{EXIF_NAME, Metadata};
use super::plausible::{ClaimedShape, least_file};
use super::png;
use super::tiff::TiffDecoder;
use super::warning::DecodeWarning;
use parfork::formats::InputFile;
use parfork::formats::npy::ArrayFile;
use parfork::{Element, Error, Result, Shared};

const AGAIN: &str = "fetch or export it again";
const CONVERT: &str = "convert it to PNG with 8 or 16 bits a sample";

/// Reads a picture: PNG, JPEG, TIFF, BMP or PNM by its first bytes, whatever its name says.
///
/// Samples keep their 8 or 16 bits. Fewer bits and palettes are widened to 8; a PNM whose largest value is another than 255
/// or 65535 is scaled to the full range; CMYK becomes RGB. A picture that says which way up it is (EXIF, TIFF orientation)
/// is turned that way, as OpenCV's `imread` does. Of several pages or frames, the first is read.
///
/// Inputs are named as [`InputFile::open`] has it; a segment is rows, columns, channels.
///
/// JPEG has no checksum: damage inside the coded data that leaves its structure whole is not noticed.
///
/// # Errors
/// [`Error::File`] if the file cannot be read, is none of these formats, ends before its picture does, is damaged, is much
/// too short for the size it claims (with both numbers), or has samples of another kind (float, 32 bits);
/// [`Error::Memory`] if there is too little.
pub fn read(path: impl AsRef<Path>) -> Result<Picture> {
    let source = InputFile::open(path)?;
    if source.is_segment() { of_array(ArrayFile::of(source)?) } else { decoded(&source) }
}

/// An array as a picture: rows, columns, channels. Whatever is no picture is told as an array of another type.
pub(super) fn of_array(file: ArrayFile) -> Result<Picture> {
    match file.header().dtype.to_native() {
        u16::DTYPE => file.load().map(Picture::U16),
        _ => file.load().map(Picture::U8),
    }
}

fn decoded(source: &InputFile) -> Result<Picture> {
    let mut made = Made(None);
    decode(source, &mut made)?;
    made.0.ok_or_else(|| unreachable!("room is asked for before anything is decoded"))
}

/// What a file says of its picture, the right way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Height, width and channels.
    pub(crate) shape: [usize; 3],
    pub(crate) bits: u32,
}

impl Header {
    /// Bytes of all samples; of a claim that was found plausible for the length of a file, so that they can be counted.
    pub(crate) fn bytes(self) -> usize {
        self.shape.iter().product::<usize>() * self.bits as usize / 8
    }
}

/// Where a decoder's samples go.
pub(crate) trait Target {
    /// The place for a picture of this kind: bytes in C order, aligned as its samples are. `None` if nobody wants it. May be asked
    /// for again.
    fn room(&mut self, header: Header) -> Result<Option<&mut [u8]>>;

    /// Where what the file has beside its picture goes, if anybody wants it.
    fn metadata(&mut self) -> Option<&mut Metadata> {
        None
    }
}

/// A picture that is made when it is known how large it is.
struct Made(Option<Picture>);

impl Target for Made {
    fn room(&mut self, header: Header) -> Result<Option<&mut [u8]>> {
        if self.0.as_ref().is_none_or(|made| made.shape() != header.shape || made.bits() != header.bits) {
            self.0 = None;
            self.0 = Some(blank(header)?);
        }
        Ok(self.0.as_mut().map(samples_of))
    }
}

/// A picture of that size in shared memory.
pub(super) fn blank(header: Header) -> Result<Picture> {
    Ok(match header.bits {
        8 => Picture::U8(Shared::zeros(header.shape)?),
        _ => Picture::U16(Shared::zeros(header.shape)?),
    })
}

fn samples_of(picture: &mut Picture) -> &mut [u8] {
    match picture {
        Picture::U8(samples) => samples.as_mut_slice(),
        Picture::U16(samples) => cast_slice_mut(samples.as_mut_slice()),
    }
}

/// Decodes a picture to where `target` wants it; what there is to say of the file.
pub(crate) fn decode(source: &InputFile, target: &mut dyn Target) -> Result<Option<DecodeWarning>> {
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_by_format(source, target)));
    decoded.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let why =
            said.map_or(String::new(), |said| format!(" ({})", said.split_whitespace().collect::<Vec<_>>().join(" ")));
        Err(source.wrong(format!("this kind of picture is not read here: its decoder gives up on it{why}"), CONVERT))
    })
}

fn decode_by_format(source: &InputFile, target: &mut dyn Target) -> Result<Option<DecodeWarning>> {
    source.rewind()?;
    let head = source.head(64)?;
    let format = known_format(source, &head)?;
    match format {
        ImageFormat::Jpeg => {
            let decoder = Jpeg::new(whole_file(source)?);
            let warning = decoder.as_ref().is_ok_and(Jpeg::is_unended).then_some(DecodeWarning::Unended);
            decode_by(decoder, source, &head, format, false, target)?;
            return Ok(warning);
        }
        ImageFormat::Bmp => bitmap(source, &head, target)?,
        ImageFormat::Tiff => decode_by(TiffDecoder::new(source, &head), source, &head, format, false, target)?,
        ImageFormat::Pnm if matches!(head.get(1), Some(b'1'..=b'3')) => {
            let text = without_comments(whole_file(source)?);
            let decoder = ImageReader::with_format(Cursor::new(text), format).into_decoder();
            decode_by(decoder, source, &head, format, false, target)?;
        }
        _ => {
            let mut reader = ImageReader::with_format(source.buffered(), format);
            reader.limits(allowance(0));
            decode_by(reader.into_decoder(), source, &head, format, false, target)?;
        }
    }
    Ok(None)
}

/// Text with spaces for comments, which the decoder expects before the samples and not among them.
fn without_comments(mut text: Vec<u8>) -> Vec<u8> {
    let mut within = false;
    for byte in &mut text {
        within = (within || *byte == b'#') && !matches!(*byte, b'\n' | b'\r');
        if within {
            *byte = b' ';
        }
    }
    text
}

fn known_format(source: &InputFile, head: &[u8]) -> Result<ImageFormat> {
    use ImageFormat::{Bmp, Jpeg, Png, Pnm, Tiff};
    const REMEDY: &str = "convert it to PNG, JPEG, TIFF, BMP or PNM";
    // A TIFF with offsets of 64 bits.
    if head.starts_with(b"II+\0") || head.starts_with(b"MM\0+") {
        return Ok(Tiff);
    }
    match image::guess_format(head) {
        Ok(format @ (Bmp | Jpeg | Png | Pnm | Tiff)) => Ok(format),
        Ok(other) => Err(source.wrong(format!("it is a {} picture, which is not read here", name(other)), REMEDY)),
        Err(_) => {
            let begin = head[..head.len().min(12)].escape_ascii();
            Err(source.wrong(format!("it is no picture of a known format; it begins with \"{begin}\""), REMEDY))
        }
    }
}

fn name(format: ImageFormat) -> String {
    format!("{format:?}").to_uppercase()
}

/// BMP has no gray but by a palette of grays: such a picture gets one channel.
fn bitmap(source: &InputFile, head: &[u8], target: &mut dyn Target) -> Result<()> {
    let decoder = BmpDecoder::new(source.buffered());
    let gray_palette = |decoder: &BmpDecoder<_>| {
        let palette = decoder.get_palette();
        palette.is_some_and(|palette| palette.iter().all(|[red, green, blue]| red == green && green == blue))
    };
    let gray = decoder.as_ref().is_ok_and(gray_palette);
    decode_by(decoder, source, head, ImageFormat::Bmp, gray, target)
}

/// Decodes by one of the decoders; of `gray` colours keeps one channel.
fn decode_by(
    decoder: Result<impl ImageDecoder, ImageError>,
    source: &InputFile,
    head: &[u8],
    format: ImageFormat,
    gray: bool,
    target: &mut dyn Target,
) -> Result<()> {
    let failed = |error| failure(source, format, error);
    let mut decoder = decoder.map_err(failed)?;
    let mut exif = decoder.exif_metadata().map_err(failed)?;
    let mut orientation = decoder.orientation().map_err(failed)?;
    if format == ImageFormat::Png && exif.is_none() {
        exif = png::late_exif(source.file());
        orientation = exif.as_deref().and_then(Orientation::from_exif_chunk).unwrap_or(orientation);
    }
    if let Some(metadata) = target.metadata() {
        let exif = exif.map(|exif| exif.strip_prefix(EXIF_NAME).map_or(exif.clone(), <[u8]>::to_vec));
        *metadata = Metadata {
            exif,
            icc: decoder.icc_profile().map_err(failed)?,
            xmp: decoder.xmp_metadata().unwrap_or_default(),
        };
    }
    let color = decoder.color_type();
    let (width, height) = decoder.dimensions();
    let (channels, bits) = match color {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => (color.channel_count(), 8),
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => (color.channel_count(), 16),
        _ => return Err(source.wrong("its samples are floating-point numbers, not 8 or 16 bits", CONVERT)),
    };
    let claim = ClaimedShape { width: width.into(), height: height.into(), channels: channels.into(), bits };
    if claim.width * claim.height == 0 {
        return Err(source.wrong(format!("it claims to be {width} x {height} pixels, which is none"), AGAIN));
    }
    let least = least_file(format, head, decoder.original_color_type(), claim);
    if source.len() < least {
        let (len, format) = (source.len(), name(format));
        let what = format!(
            "it claims to be {width} x {height} pixels, for which a {format} file has {least} bytes at least, not {len}"
        );
        return Err(source.wrong(what, AGAIN));
    }
    decoder.set_limits(allowance(claim.bytes())).map_err(failed)?;
    let stored = [height as usize, width as usize, usize::from(channels)];
    let kept = if gray && channels == 3 && bits == 8 { 1 } else { stored[2] };
    let transposes = turns(orientation).0;
    let shape = if transposes { [stored[1], stored[0], kept] } else { [stored[0], stored[1], kept] };
    let Some(room) = target.room(Header { shape, bits: bits as u32 })? else { return Ok(()) };
    if orientation == Orientation::NoTransforms && kept == stored[2] {
        return decoder.read_image(room).map_err(failed);
    }
    match bits {
        8 => turned_into(source, decoder, stored, orientation, ArrayViewMut3::from_shape(shape, room), failed),
        _ => turned_into::<u16>(
            source,
            decoder,
            stored,
            orientation,
            ArrayViewMut3::from_shape(shape, cast_slice_mut(room)),
            failed,
        ),
    }
}

/// Decodes into memory of its own, and from there to where it goes, the right way up.
fn turned_into<T: Pod>(
    source: &InputFile,
    decoder: impl ImageDecoder,
    stored: [usize; 3],
    orientation: Orientation,
    to: Result<ArrayViewMut3<'_, T>, ShapeError>,
    failed: impl FnOnce(ImageError) -> Error,
) -> Result<()> {
    let mut samples = private::<T>(source, stored.iter().product())?;
    decoder.read_image(cast_slice_mut(&mut samples)).map_err(failed)?;
    let mut to = to.map_err(Error::kernel)?;
    let seen = ArrayView3::from_shape(stored, &samples).map_err(Error::kernel)?;
    let seen = turned(seen, orientation);
    let seen = seen.slice(s![.., .., ..to.dim().2]);
    // In tiles, so that rows that become columns stay in the cache.
    let (rows, columns) = (Axis(0), Axis(1));
    for (mut to, from) in to.axis_chunks_iter_mut(rows, 64).zip(seen.axis_chunks_iter(rows, 64)) {
        for (mut to, from) in to.axis_chunks_iter_mut(columns, 64).zip(from.axis_chunks_iter(columns, 64)) {
            to.assign(&from);
        }
    }
    Ok(())
}

/// So many zeros in this process's own memory.
fn private<T: Pod>(source: &InputFile, count: usize) -> Result<Vec<T>> {
    let need = (count * size_of::<T>()) as u64;
    const WHAT: &str = "turning a picture upright";
    source.needs_memory(need, WHAT)?;
    let mut samples = Vec::new();
    samples.try_reserve_exact(count).map_err(|_| {
        let by = "this process's limit of memory";
        Error::Memory { what: WHAT.to_owned(), need, room: 0, by, fits: None }
    })?;
    samples.resize(count, T::zeroed());
    Ok(samples)
}

/// Whether rows become columns, and then whether the order of rows, and of columns, is turned round.
fn turns(orientation: Orientation) -> (bool, bool, bool) {
    use Orientation::{
        FlipHorizontal, FlipVertical, NoTransforms, Rotate90, Rotate90FlipH, Rotate180, Rotate270, Rotate270FlipH,
    };
    match orientation {
        NoTransforms => (false, false, false),
        FlipHorizontal => (false, false, true),
        FlipVertical => (false, true, false),
        Rotate180 => (false, true, true),
        Rotate90FlipH => (true, false, false),
        Rotate90 => (true, false, true),
        Rotate270 => (true, true, false),
        Rotate270FlipH => (true, true, true),
    }
}

/// The same samples seen the right way up.
fn turned<T>(stored: ArrayView3<'_, T>, orientation: Orientation) -> ArrayView3<'_, T> {
    let (transpose, flip_rows, flip_columns) = turns(orientation);
    let mut seen = if transpose { stored.permuted_axes([1, 0, 2]) } else { stored };
    if flip_rows {
        seen.invert_axis(Axis(0));
    }
    if flip_columns {
        seen.invert_axis(Axis(1));
    }
    seen
}

/// What a decoder may use beside a picture of `bytes`: TIFF is decoded into a buffer of its own.
fn allowance(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes.saturating_mul(2).saturating_add(1 << 28));
    limits
}

fn whole_file(source: &InputFile) -> Result<Vec<u8>> {
    // The decoder copies the file once more.
    source.needs_memory(2 * source.len(), "reading a JPEG file")?;
    source.head(source.len())
}

fn ends_early(source: &InputFile) -> Error {
    source.wrong(format!("the file ends before its picture does, after {} bytes", source.len()), AGAIN)
}

/// A decoder's error as ours.
fn failure(source: &InputFile, format: ImageFormat, error: ImageError) -> Error {
    let format = name(format);
    match error {
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => ends_early(source),
        ImageError::IoError(error) if error.raw_os_error().is_some() => source.failed(&error),
        ImageError::Unsupported(error) => {
            let kind = match error.kind() {
                UnsupportedErrorKind::Color(color) => format!("{} bits a pixel", color.bits_per_pixel()),
                UnsupportedErrorKind::GenericFeature(what) => what,
                _ => plain(&error),
            };
            source.wrong(format!("this kind of {format} picture is not read here ({kind})"), CONVERT)
        }
        ImageError::Limits(_) => {
            source.wrong(format!("decoding this {format} picture takes more memory than its size explains"), AGAIN)
        }
        error => {
            let reason = plain(error.source().unwrap_or(&error));
            source.wrong(format!("it is damaged, or no {format} picture at all ({reason})"), AGAIN)
        }
    }
}

/// An error's text as a part of a sentence.
fn plain(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
}
