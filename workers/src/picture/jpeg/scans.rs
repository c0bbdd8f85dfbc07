//! JPEG whose components come one after the other, each in a scan of its own: such a scan is coded as a gray picture is, and so
//! each is read as one. The decoder beneath takes the rows of such scans for others where colours have fewer of them.

use std::io::Cursor;

use image::codecs::jpeg::JpegDecoder;
use image::{ImageDecoder, ImageResult};

use super::segments::{Colours, Component, Frame, HUFFMAN, QUANTIZATION, RESTART_INTERVAL, SCAN, Segments};
use crate::picture::ycbcr;

/// A component as a picture: fewer rows and columns than the whole has, by a factor each.
struct Plane {
    samples: Vec<u8>,
    size: [usize; 2],
    factors: [usize; 2],
}

/// Decodes all three components and puts them together.
pub(super) fn decode(segments: &Segments<'_>, frame: &Frame, to: &mut [u8]) -> ImageResult<()> {
    let planes = frame.components.iter().map(|component| plane(segments, frame, component));
    let planes = planes.collect::<ImageResult<Vec<_>>>()?;
    let rgb = segments.colours(frame) == Colours::Rgb;
    let mut rows = vec![Vec::new(); planes.len()];
    for (row, to) in to.chunks_exact_mut(3 * frame.width).enumerate() {
        for (into, plane) in rows.iter_mut().zip(&planes) {
            plane.row(row, frame.width, into);
        }
        for (column, to) in to.chunks_exact_mut(3).enumerate() {
            let [first, second, third] = [0, 1, 2].map(|plane: usize| rows[plane][column]);
            to.copy_from_slice(&if rgb { [first, second, third] } else { ycbcr::to_rgb(first, second, third) });
        }
    }
    Ok(())
}

/// Decodes one component: the gray picture that has its scan, and the tables as they are there.
fn plane(segments: &Segments<'_>, frame: &Frame, component: &Component) -> ImageResult<Plane> {
    let [across, down] = frame.factors();
    let size = [(frame.height * component.down).div_ceil(down), (frame.width * component.across).div_ceil(across)];
    let mut gray = vec![0xFF, 0xD8];
    let mut push = |marker: u8, body: &[u8]| {
        gray.extend([0xFF, marker]);
        gray.extend((body.len() as u16 + 2).to_be_bytes());
        gray.extend(body);
    };
    let mut data: &[u8] = &[];
    let mut scans = segments.scans();
    if let Some((at, parts)) = scans.find(|(_, parts)| parts.iter().any(|(id, _)| *id == component.id)) {
        for segment in &segments.all[..at] {
            if matches!(segment.marker, RESTART_INTERVAL | HUFFMAN | QUANTIZATION) {
                push(segment.marker, segment.body);
            }
        }
        let [height, width] = size.map(|length| (length as u16).to_be_bytes());
        push(frame.marker, &[8, height[0], height[1], width[0], width[1], 1, component.id, 0x11, component.table]);
        push(SCAN, &[1, component.id, parts[0].1, 0, 63, 0]);
        data = segments.all[at].data;
    }
    gray.extend(data);
    gray.extend([0xFF, 0xD9]);
    let mut samples = vec![0; size[0] * size[1]];
    JpegDecoder::new(Cursor::new(gray))?.read_image(&mut samples)?;
    Ok(Plane { samples, size, factors: [down / component.down, across / component.across] })
}

impl Plane {
    /// A row of the whole picture. Where there are half as many samples, each pixel is three quarters of the nearest and one of the
    /// next (as libjpeg has it); where there are fewer, the nearest.
    fn row(&self, row: usize, width: usize, into: &mut Vec<u8>) {
        let at = |row: usize, column: usize| {
            let [rows, columns] = self.size;
            u32::from(self.samples[row.min(rows - 1) * columns + column.min(columns - 1)])
        };
        let both = |place: usize, factor: usize| match factor {
            2 => (place / 2, if place.is_multiple_of(2) { (place / 2).saturating_sub(1) } else { place / 2 + 1 }),
            factor => (place / factor, place / factor),
        };
        let (near, far) = both(row, self.factors[0]);
        into.clear();
        into.extend((0..width).map(|column| {
            let (here, beside) = both(column, self.factors[1]);
            let down = |column| 3 * at(near, column) + at(far, column);
            ((3 * down(here) + down(beside) + 8) / 16) as u8
        }));
    }
}
