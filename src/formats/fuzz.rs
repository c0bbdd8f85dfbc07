//! Files of all formats, for `src/fuzzing.rs`: from bytes in memory instead of from a disk.

use std::fs::File;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use image::{ExtendedColorType, ImageEncoder, ImageFormat};

use super::npy;
use super::picture;
use super::source::Source;
use crate::error::Result;
use crate::sys::memory;

/// A file that is in memory alone.
fn file(bytes: &[u8]) -> Source {
    let made = memory::memfd(c"parfork-fuzz", bytes.len());
    let mut file = File::from(made.unwrap_or_else(|error| panic!("{error}")));
    file.write_all(bytes).unwrap_or_else(|error| panic!("{error}"));
    let source = Source { path: PathBuf::from("any"), file, len: bytes.len() as u64, room: None };
    source.rewind().unwrap_or_else(|error| panic!("{error}"));
    source
}

/// The header of a `.npy` file.
pub(crate) fn npy(bytes: &[u8]) {
    // What is empty is not opened.
    if bytes.is_empty() {
        return;
    }
    if let Ok(header) = npy::Header::of(&mut file(bytes)) {
        // What it promises is there.
        assert!(header.byte_len() <= bytes.len() && header.len() * header.item_size() == header.byte_len());
    }
}

pub(crate) fn npy_seeds() -> Vec<Vec<u8>> {
    let header = |text: &str| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend([7; 96]);
        bytes
    };
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }\n",
        "{'descr': '>i2', 'fortran_order': True, 'shape': (48L,), }\n",
        "{'descr': [('x', '<f4'), ('y', '|u1', (2, 3))], 'fortran_order': False, 'shape': (), }",
    ]
    .map(header)
    .to_vec()
}

/// What is not larger is decoded as well.
const MOST: usize = 1 << 20;

/// Room for a picture that is not too large for a trial.
struct Small(Vec<u64>);

impl picture::Target for Small {
    fn room(&mut self, header: picture::PictureHeader) -> Result<Option<&mut [u8]>> {
        let bytes = header.bytes();
        if bytes > MOST {
            return Ok(None);
        }
        // Aligned for any sample.
        self.0.resize(bytes.div_ceil(8), 0);
        Ok(Some(&mut bytemuck::cast_slice_mut(&mut self.0)[..bytes]))
    }
}

/// A picture of any format.
pub(crate) fn picture(bytes: &[u8]) {
    for bytes in [bytes, &with_sums(bytes)].into_iter().filter(|bytes| !bytes.is_empty()) {
        let _ = picture::decode(&file(bytes), &mut Small(Vec::new()));
    }
}

/// A PNG whose chunks have the sums that they should have: else hardly a change would get beyond the first of them. Nothing of
/// what is none.
fn with_sums(bytes: &[u8]) -> Vec<u8> {
    let mut mended = bytes.to_vec();
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Vec::new();
    }
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
        let Some(sum) = bytes.get(at + 4..at + 8 + length).map(crc32fast::hash) else { break };
        at += 8 + length;
        mended.iter_mut().skip(at).zip(sum.to_be_bytes()).take(4).for_each(|(byte, right)| *byte = right);
        at += 4;
    }
    mended
}

pub(crate) fn picture_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::Pnm] {
        for colors in [image::ColorType::L8, image::ColorType::Rgb8] {
            let samples: Vec<u8> = (0..9 * 7 * u32::from(colors.channel_count())).map(|at| (at * 37) as u8).collect();
            let mut file = Cursor::new(Vec::new());
            if image::write_buffer_with_format(&mut file, &samples, 9, 7, colors, format).is_ok() {
                seeds.push(file.into_inner());
            }
        }
    }
    seeds
}

/// A PNG as our own reader has it.
pub(crate) fn png(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for bytes in [bytes, &with_sums(bytes)] {
        picture::read_plain(bytes, MOST);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

pub(crate) fn png_seeds() -> Vec<Vec<u8>> {
    let colors = [ExtendedColorType::L8, ExtendedColorType::La8, ExtendedColorType::Rgb8, ExtendedColorType::Rgba8];
    let seed = |(colors, channels): (ExtendedColorType, u32)| {
        let samples: Vec<u8> = (0..13 * 9 * channels).map(|at| (at * at / 7) as u8).collect();
        let mut file = Vec::new();
        let encoder = image::codecs::png::PngEncoder::new(&mut file);
        encoder.write_image(&samples, 13, 9, colors).unwrap_or_else(|error| panic!("{error}"));
        file
    };
    colors.into_iter().zip(1..).map(seed).collect()
}
