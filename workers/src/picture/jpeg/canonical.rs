//! One way of writing a JPEG for the many that are about: what the decoder beneath refuses or takes for something else, as libjpeg reads
//! it. Nothing of the coded data is changed.

use image::ImageResult;

use super::huffman::STANDARD;
use super::segments::{Colours, Frame, HUFFMAN, QUANTIZATION, RESTART_INTERVAL, SCAN, Segment, Segments};
use super::{damaged, unsupported};

/// Writes the segments that matter to the picture: its lines as they were counted in the end, its colours said in one way, components
/// numbered from 1, and standard tables where there are none.
///
/// # Errors
/// If tables are missing, two components have one number, or restarts are not as many as there have to be.
pub(super) fn written(segments: &Segments<'_>, frame: &Frame) -> ImageResult<Vec<u8>> {
    let mut ids: Vec<_> = frame.components.iter().map(|component| component.id).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|two| two[0] == two[1]) {
        return Err(unsupported("two components of one number".to_owned()));
    }
    let length = segments.all.iter().map(|segment| segment.body.len() + segment.data.len() + 4).sum::<usize>();
    let mut jpeg = Vec::with_capacity(length + 1024);
    jpeg.extend([0xFF, 0xD8]);
    let mut push = |marker: u8, body: &[u8], data: &[u8]| {
        jpeg.extend([0xFF, marker]);
        jpeg.extend((body.len() as u16 + 2).to_be_bytes());
        jpeg.extend(body);
        jpeg.extend(data);
    };
    if let Some(transform) = segments.colours(frame).transform() {
        push(super::segments::ADOBE, &[b"Adobe\0\x64\0\0\0\0", &[transform][..]].concat(), &[]);
    }
    let mut tables = Tables::default();
    if !frame.is_progressive() && segments.all.iter().all(|segment| segment.marker != HUFFMAN) {
        for table in STANDARD {
            tables.define(table);
            push(HUFFMAN, table, &[]);
        }
    }
    let mut interval = 0;
    let last = segments.all.len() - 1;
    for (at, segment) in segments.all.iter().enumerate() {
        let Segment { marker, body, .. } = *segment;
        match marker {
            HUFFMAN => tables.define(body),
            RESTART_INTERVAL => {
                let Some(&[high, low]) = body.get(..2) else {
                    return Err(damaged("an interval of restarts that is cut off"));
                };
                interval = usize::from(u16::from_be_bytes([high, low]));
            }
            SCAN => {
                tables.are_there_for(body, frame)?;
                let is_cut = at == last && !segments.ended;
                let data = if is_cut { segment.data } else { restarted(segment, frame, interval)? };
                push(SCAN, &renumbered(body, frame), data);
                continue;
            }
            QUANTIZATION => {}
            _ if marker == frame.marker => {
                push(marker, &frame.header(), &[]);
                continue;
            }
            _ => continue,
        }
        push(marker, body, &[]);
    }
    if segments.ended {
        jpeg.extend([0xFF, 0xD9]);
    }
    Ok(jpeg)
}

/// A scan's head with the numbers that components have here.
fn renumbered(scan: &[u8], frame: &Frame) -> Vec<u8> {
    let mut scan = scan.to_vec();
    if let Some((&mut count, parts)) = scan.split_first_mut() {
        for part in parts.chunks_exact_mut(2).take(count.into()) {
            let place = frame.components.iter().position(|component| component.id == part[0]);
            part[0] = place.map_or(0, |place| place as u8 + 1);
        }
    }
    scan
}

/// The data of a scan, in which there is a restart behind every so many units but the last ones. One more at the end means nothing.
fn restarted<'j>(segment: &Segment<'j>, frame: &Frame, interval: usize) -> ImageResult<&'j [u8]> {
    let units = frame.units(segment.body);
    let restarts = units.saturating_sub(1).checked_div(interval).unwrap_or(0);
    let data = segment.data;
    match segment.restarts.checked_sub(restarts) {
        Some(0) => Ok(data),
        Some(1) if matches!(data, [.., 0xFF, 0xD0..=0xD7]) => Ok(&data[..data.len() - 2]),
        _ => Err(damaged(&format!("{} restarts in a scan that has to have {restarts}", segment.restarts))),
    }
}

/// Which tables of codes there are so far: a bit for each number.
#[derive(Default)]
struct Tables {
    dc: u8,
    ac: u8,
}

impl Tables {
    fn define(&mut self, mut body: &[u8]) {
        while let Some((kind, counts)) = body.split_first().filter(|(_, rest)| rest.len() >= 16) {
            let bit = 1_u8.checked_shl((kind & 15).into()).unwrap_or(0);
            *if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac } |= bit;
            let values: usize = counts[..16].iter().map(|&count| usize::from(count)).sum();
            body = counts.get(16 + values..).unwrap_or_default();
        }
    }

    fn are_there_for(&self, scan: &[u8], frame: &Frame) -> ImageResult<()> {
        let [count, ref parts @ ..] = *scan else { return Ok(()) };
        let (first, last, refines) = match *scan {
            [.., first, last, bits] if frame.is_progressive() => (first, last, bits >> 4 != 0),
            _ => (0, 63, false),
        };
        for pair in parts.chunks_exact(2).take(count.into()) {
            let has = |tables: u8, number: u8| tables.checked_shr(number.into()).is_some_and(|tables| tables & 1 == 1);
            let dc = first > 0 || refines || has(self.dc, pair[1] >> 4);
            let ac = last == 0 || has(self.ac, pair[1] & 15);
            if !dc || !ac {
                return Err(damaged("a scan refers to a table of codes that is not there"));
            }
        }
        Ok(())
    }
}

impl Colours {
    /// What Adobe's marker says of these colours.
    fn transform(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Rgb | Self::Inks => Some(0),
            Self::Luma => Some(1),
            Self::LumaAndBlack => Some(2),
        }
    }
}
