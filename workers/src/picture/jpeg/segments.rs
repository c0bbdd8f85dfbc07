//! What a JPEG consists of, as its markers say it.

use crate::picture::metadata::{EXIF_NAME, ICC_NAME, Metadata, XMP_NAME};

const END: u8 = 0xD9;
/// Which says how many lines there are, behind the first scan.
const LINES: u8 = 0xDC;
pub(super) const HUFFMAN: u8 = 0xC4;
pub(super) const QUANTIZATION: u8 = 0xDB;
/// The first segment of coded data.
pub(super) const SCAN: u8 = 0xDA;
pub(super) const RESTART_INTERVAL: u8 = 0xDD;
/// Of Adobe's: which colours.
pub(super) const ADOBE: u8 = 0xEE;
pub(super) const JFIF: u8 = 0xE0;
/// EXIF, and XMP.
pub(super) const EXIF: u8 = 0xE1;
pub(super) const ICC: u8 = 0xE2;

/// A marker with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'j> {
    /// The byte behind 0xFF.
    pub(super) marker: u8,
    /// What follows the length.
    pub(super) body: &'j [u8],
    /// Of a scan, the coded data behind it.
    pub(super) data: &'j [u8],
    /// How many marks of restarts are among them.
    pub(super) restarts: usize,
}

/// A JPEG in pieces.
pub(super) struct Segments<'j> {
    pub(super) all: Vec<Segment<'j>>,
    /// Whether it goes on to the marker that ends it. Bytes behind that do not matter.
    pub(super) ended: bool,
}

/// A component of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Columns and rows of blocks for each unit of the picture.
    pub(super) across: usize,
    pub(super) down: usize,
    pub(super) table: u8,
}

/// What the frame header says.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Baseline, progressive, ...
    pub(super) marker: u8,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) components: Vec<Component>,
}

impl<'j> Segments<'j> {
    /// Takes it to pieces, as far as it goes. A thumbnail within a segment is a part of that.
    pub(super) fn of(jpeg: &'j [u8]) -> Self {
        let mut all: Vec<Segment<'_>> = Vec::new();
        let (mut at, mut behind) = (2, 2);
        let mut ended = false;
        while let Some(skip) = jpeg.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) {
            at += skip + 1;
            let marker = match jpeg.get(at) {
                // A byte 255 of coded data, a restart, filling: go on with what follows.
                Some(marker @ (0x00 | 0x01 | 0xD0..=0xD8)) => {
                    if let (0xD0..=0xD7, Some(last)) = (marker, all.last_mut()) {
                        last.restarts += 1;
                    }
                    at += 1;
                    continue;
                }
                Some(0xFF) => continue,
                Some(&marker) => marker,
                None => break,
            };
            if let Some(last) = all.last_mut().filter(|last| last.marker == SCAN) {
                last.data = &jpeg[behind..at - 1];
            }
            behind = jpeg.len();
            ended = marker == END;
            let Some(&[high, low]) = jpeg.get(at + 1..at + 3).filter(|_| !ended) else { break };
            // A length that does not count itself is none.
            let end = at + 1 + usize::from(u16::from_be_bytes([high, low])).max(2);
            let Some(body) = jpeg.get(at + 3..end) else { break };
            all.push(Segment { marker, body, data: &[], restarts: 0 });
            (at, behind) = (end, end);
        }
        if let Some(last) = all.last_mut().filter(|last| last.marker == SCAN && !ended) {
            last.data = &jpeg[behind..];
        }
        Self { all, ended }
    }

    fn frame_header(&self) -> Option<&Segment<'j>> {
        // All of this row are frames but those for tables (C4, CC) and an extension (C8).
        let is_frame = |marker| matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
        self.all.iter().find(|segment| is_frame(segment.marker))
    }

    /// What of the standard nobody here reads, if the frame header says that it is of that.
    pub(super) fn foreign(&self) -> Option<String> {
        let Segment { marker, body, .. } = *self.frame_header()?;
        match (marker, body.first()) {
            (0xC9..=0xCF, _) => Some("arithmetic coding".to_owned()),
            (0xC3, _) => Some("lossless coding".to_owned()),
            (0xC5..=0xC7, _) => Some("hierarchical coding".to_owned()),
            (_, Some(&bits)) if bits != 8 => Some(format!("{bits} bits a sample")),
            _ => None,
        }
    }

    pub(super) fn frame(&self) -> Option<Frame> {
        let Segment { marker, body, .. } = *self.frame_header()?;
        let &[8, high, low, wide, narrow, count, ref rest @ ..] = body else { return None };
        let component = |bytes: &[u8]| Component {
            id: bytes[0],
            across: usize::from(bytes[1] >> 4),
            down: usize::from(bytes[1] & 15),
            table: bytes[2],
        };
        let components: Vec<_> = rest.chunks_exact(3).map(component).collect();
        let sound = components.len() == usize::from(count) && components.iter().all(|c| c.across * c.down > 0);
        let number = |high, low| usize::from(u16::from_be_bytes([high, low]));
        let lines = self.all.iter().find(|segment| segment.marker == LINES).map(|segment| segment.body);
        let height = if let Some(&[high, low]) = lines { number(high, low) } else { number(high, low) };
        let width = number(wide, narrow);
        sound.then_some(Frame { marker, height, width, components })
    }

    /// Of each scan, where it stands and the components it has: their numbers, and which tables.
    pub(super) fn scans(&self) -> impl Iterator<Item = (usize, Vec<(u8, u8)>)> {
        self.all.iter().enumerate().filter(|(_, segment)| segment.marker == SCAN).map(|(at, segment)| {
            let count = usize::from(segment.body.first().copied().unwrap_or(0));
            let pairs = segment.body.get(1..).unwrap_or_default().chunks_exact(2).take(count);
            (at, pairs.map(|pair| (pair[0], pair[1])).collect())
        })
    }

    /// Whether scans have given every bit of all coefficients of all components: of a progressive picture, to the last refinement.
    pub(super) fn is_complete(&self, frame: &Frame) -> bool {
        frame.components.iter().all(|component| {
            let mut given = 0_u64;
            for (at, _) in self.scans().filter(|(_, parts)| parts.iter().any(|(id, _)| *id == component.id)) {
                if let [.., first, last, bits] = *self.all[at].body
                    && bits & 15 == 0
                {
                    given |= (first..=last.min(63)).fold(0, |given, number| given | 1 << number);
                }
            }
            given == u64::MAX
        })
    }

    /// The segments of a marker that have this name, behind it.
    fn named(&self, marker: u8, name: &[u8]) -> impl Iterator<Item = &'j [u8]> {
        self.all
            .iter()
            .filter(move |segment| segment.marker == marker)
            .filter_map(move |segment| segment.body.strip_prefix(name))
    }

    /// What it has beside its picture.
    pub(super) fn metadata(&self) -> Metadata {
        let first = |name| self.named(EXIF, name).next().map(<[u8]>::to_vec);
        // Each part has its number, from 1, and how many there are.
        let mut parts: Vec<_> = self.named(ICC, ICC_NAME).filter_map(|part| part.split_at_checked(2)).collect();
        parts.sort_by_key(|(number, _)| number[0]);
        let all = parts
            .iter()
            .enumerate()
            .all(|(at, (number, _))| number.iter().map(|&n| usize::from(n)).eq([at + 1, parts.len()]));
        let icc = (all && !parts.is_empty()).then(|| parts.iter().flat_map(|(_, part)| *part).copied().collect());
        Metadata { exif: first(EXIF_NAME), icc, xmp: first(XMP_NAME) }
    }

    /// What the components are. Where two markers contradict each other it is as libjpeg has it.
    pub(super) fn colours(&self, frame: &Frame) -> Colours {
        let has = |marker, name: &[u8]| self.all.iter().find(|s| s.marker == marker && s.body.starts_with(name));
        let adobe = has(ADOBE, b"Adobe").and_then(|adobe| adobe.body.get(11).copied());
        let is_jfif = has(JFIF, b"JFIF\0").is_some();
        match (frame.components.len(), adobe) {
            (3, Some(0)) if !is_jfif => Colours::Rgb,
            (3, None) if !is_jfif && frame.components.iter().map(|component| component.id).eq(*b"RGB") => Colours::Rgb,
            (3, _) => Colours::Luma,
            (4, Some(0)) => Colours::Inks,
            (4, Some(_)) => Colours::LumaAndBlack,
            _ => Colours::Plain,
        }
    }
}

/// What the components of a picture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// As their number has it: gray, and four inks.
    Plain,
    /// Red, green and blue.
    Rgb,
    /// Brightness and differences of colours.
    Luma,
    /// Four inks as Adobe writes them.
    Inks,
    /// Three inks as brightness and differences, and black.
    LumaAndBlack,
}

impl Frame {
    pub(super) fn is_progressive(&self) -> bool {
        self.marker == 0xC2
    }

    fn most(&self, of: fn(&Component) -> usize) -> usize {
        self.components.iter().map(of).max().unwrap_or(1)
    }

    /// Columns and rows of blocks that the component with the most has for each unit.
    pub(super) fn factors(&self) -> [usize; 2] {
        [self.most(|component| component.across), self.most(|component| component.down)]
    }

    /// What its segment has, its components numbered from 1. A gray picture has its blocks one after the other, whatever it says.
    pub(super) fn header(&self) -> Vec<u8> {
        let [height, width] = [self.height, self.width].map(|length| (length as u16).to_be_bytes());
        let mut header = vec![8, height[0], height[1], width[0], width[1], self.components.len() as u8];
        for (number, component) in (1..).zip(&self.components) {
            let factors = if self.components.len() == 1 { 0x11 } else { component.across << 4 | component.down };
            header.extend([number, factors as u8, component.table]);
        }
        header
    }

    /// Units of a scan with this head, each of which is decoded as a whole.
    pub(super) fn units(&self, scan: &[u8]) -> usize {
        let [across, down] = self.factors();
        match *scan {
            [1, id, ..] => self.components.iter().find(|component| component.id == id).map_or(0, |component| {
                let columns = (self.width * component.across).div_ceil(across);
                let rows = (self.height * component.down).div_ceil(down);
                columns.div_ceil(8) * rows.div_ceil(8)
            }),
            _ => self.width.div_ceil(8 * across) * self.height.div_ceil(8 * down),
        }
    }
}
