//! JPEG, read: by `image`, but for what that reads wrongly or does not notice.

use std::io::{self, Cursor};

use image::codecs::jpeg::JpegDecoder;
use image::{ColorType, ImageDecoder, ImageError, ImageResult, Limits};

use super::segments::{Component, Frame, Segments};
use super::{canonical, damaged, scans, unsupported};
use crate::picture::metadata::Metadata;

/// What a file without its last marker is read as if it ended with.
const END: [u8; 2] = [0xFF, 0xD9];

/// A decoder of JPEG files.
pub(in crate::picture) struct Jpeg {
    /// The file with its end, where `decoder` is not all that reads it.
    whole: Vec<u8>,
    decoder: JpegDecoder<Cursor<Vec<u8>>>,
    /// The frame of a picture whose components come in scans of their own.
    apart: Option<Frame>,
    metadata: Metadata,
    /// Bytes that are there of the picture, if the marker that ends it is not among them.
    unended: Option<usize>,
}

impl Jpeg {
    /// Reads the headers.
    ///
    /// # Errors
    /// If it is damaged, ends early, or is of a kind that is not read here.
    pub(in crate::picture) fn new(whole: Vec<u8>) -> ImageResult<Self> {
        let segments = Segments::of(&whole);
        if let Some(what) = segments.foreign() {
            return Err(unsupported(what));
        }
        let frame = segments.frame();
        let metadata = segments.metadata();
        let count = segments.scans().count();
        let ended = segments.ended;
        let is_whole = count > 0 && frame.as_ref().is_some_and(|frame| segments.is_complete(frame));
        if !ended && !is_whole {
            return Err(ImageError::IoError(io::ErrorKind::UnexpectedEof.into()));
        }
        let Some(frame) = frame else { return Err(damaged("no head that says how large it is")) };
        let mut canonical = canonical::written(&segments, &frame)?;
        let apart = if frame.is_progressive() || parts_of_first(&segments) == frame.components.len() {
            if !is_usual(&frame) {
                return Err(unsupported(sampling(&frame)));
            }
            None
        } else {
            Some(one_by_one(&segments, frame)?)
        };
        // As its components are numbered there.
        let apart = apart.and_then(|_| Segments::of(&canonical).frame());
        drop(whole);
        if !ended {
            // Half of a marker, or of a byte that looks like one: what stands behind it would be taken for its other half.
            let length = canonical.iter().rposition(|&byte| byte != 0xFF).map_or(0, |last| last + 1);
            canonical.truncate(length);
        }
        let unended = (!ended).then_some(canonical.len());
        if !ended {
            canonical.extend(END);
        }
        let again = if apart.is_some() || !ended { canonical.clone() } else { Vec::new() };
        Ok(Self { whole: again, decoder: JpegDecoder::new(Cursor::new(canonical))?, apart, metadata, unended })
    }

    /// Whether the marker that ends it is missing.
    pub(in crate::picture) fn is_unended(&self) -> bool {
        self.unended.is_some()
    }

    fn decode(whole: &[u8], apart: Option<&Frame>, to: &mut [u8]) -> ImageResult<()> {
        match apart {
            Some(frame) => scans::decode(&Segments::of(whole), frame, to),
            None => JpegDecoder::new(Cursor::new(whole))?.read_image(to),
        }
    }
}

/// The marker of the restart that comes next in the last scan.
fn next_restart(jpeg: &[u8]) -> u8 {
    let segments = Segments::of(jpeg);
    let data = segments.all.last().map_or(&[][..], |segment| segment.data);
    let restarts = data.windows(2).filter(|pair| matches!(pair, [0xFF, 0xD0..=0xD7])).count();
    0xD0 + (restarts % 8) as u8
}

fn parts_of_first(segments: &Segments<'_>) -> usize {
    segments.scans().next().map_or(0, |(_, parts)| parts.len())
}

/// Whether no component has more samples than the first, and all others as many. What is otherwise the decoder beneath refuses or takes
/// for something else.
fn is_usual(frame: &Frame) -> bool {
    let size = |component: &Component| (component.across, component.down);
    let [first, others @ ..] = &frame.components[..] else { return false };
    if others.is_empty() {
        return true;
    }
    // The fourth of inks is as the first.
    let colours = &others[..others.len().min(2)];
    let alike = colours.windows(2).all(|two| size(&two[0]) == size(&two[1]));
    // Where a unit has blocks beyond the picture, colours would be spread from those.
    let is_spread_well = |own: usize, first: usize| own == 1 || own == first;
    frame.components.iter().all(is_power)
        && alike
        && colours.iter().all(|it| is_spread_well(it.across, first.across) && is_spread_well(it.down, first.down))
        && others.iter().all(|other| other.across <= first.across && other.down <= first.down)
        && (first.down <= 2 || others.iter().all(|other| other.down == 1))
}

fn is_power(component: &Component) -> bool {
    component.across.is_power_of_two() && component.down.is_power_of_two()
}

/// The samples that components have, in words.
fn sampling(frame: &Frame) -> String {
    let sizes: Vec<_> = frame.components.iter().map(|it| format!("{}x{}", it.across, it.down)).collect();
    format!("components of {} samples", sizes.join(", "))
}

/// The frame, if each of three components has a scan of its own, and as many samples or a whole fraction of them.
fn one_by_one(segments: &Segments<'_>, frame: Frame) -> ImageResult<Frame> {
    let refused = |what: String| Err(unsupported(what));
    let count = frame.components.len();
    let ids = segments.scans().map(|(_, parts)| if let [(id, _)] = parts[..] { Some(id) } else { None });
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    let mut all: Vec<_> = frame.components.iter().map(|component| Some(component.id)).collect();
    all.sort_unstable();
    if ids != all || count != 3 {
        return refused(format!("{count} components in {} scans", ids.len()));
    }
    // The decoder beneath looks at the head of the whole picture, too.
    if !frame.components.iter().all(is_power) {
        return Err(unsupported(sampling(&frame)));
    }
    let divides = |of: fn(&Component) -> usize| {
        let most = frame.components.iter().map(of).max().unwrap_or(1);
        frame.components.iter().all(|component| most.is_multiple_of(of(component)))
    };
    if !divides(|component| component.across) || !divides(|component| component.down) {
        return refused("components whose sizes do not divide each other".to_owned());
    }
    Ok(frame)
}

impl ImageDecoder for Jpeg {
    fn dimensions(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    fn color_type(&self) -> ColorType {
        self.decoder.color_type()
    }

    fn exif_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.metadata.exif.clone())
    }

    fn icc_profile(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.metadata.icc.take())
    }

    fn xmp_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.metadata.xmp.take())
    }

    fn set_limits(&mut self, limits: Limits) -> ImageResult<()> {
        self.decoder.set_limits(limits)
    }

    /// Of a file that does not end, nobody says where its coded data are cut off: if anything else behind them makes another
    /// picture, they are not all there.
    fn read_image(self, samples: &mut [u8]) -> ImageResult<()> {
        let Some(length) = self.unended else {
            return match &self.apart {
                Some(frame) => Self::decode(&self.whole, Some(frame), samples),
                None => self.decoder.read_image(samples),
            };
        };
        let apart = self.apart.as_ref();
        Self::decode(&self.whole, apart, samples)?;
        let seen = crc32fast::hash(samples);
        let restart = [0xFF, next_restart(&self.whole[..length])];
        // Where restarts are marked, also behind the next mark. Many patterns, for a few may all begin with what is no code where the
        // file ends, and change nothing then.
        let patterns = [0x00, 0x55, 0x33, 0xAA, 0x6D, 0x1B, 0x92, 0xC5];
        for (mark, byte) in [&[][..], &restart].into_iter().flat_map(|mark| patterns.map(|byte| (mark, byte))) {
            let other = [&self.whole[..length], mark, &[byte; 64], &END].concat();
            if Self::decode(&other, apart, samples).is_err() || crc32fast::hash(samples) != seen {
                return Err(ImageError::IoError(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Self::decode(&self.whole, apart, samples)
    }

    fn read_image_boxed(self: Box<Self>, samples: &mut [u8]) -> ImageResult<()> {
        self.read_image(samples)
    }
}
