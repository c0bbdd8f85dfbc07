//! What kernels and codecs are given from outside, one function each, for fuzzers: see `parfork.rs` beside this.

use std::fs::File;
use std::io::Cursor;

use image::{ExtendedColorType, ImageEncoder, ImageFormat};
use parfork::Result;
use parfork::formats::InputFile;

use crate::filter::{Border, Filter};
use crate::picture;

#[path = "rng.rs"]
mod rng;

pub use rng::{Rng, Seeds, Target};

/// Every target: its name, what it does with bytes, and what to begin with.
pub const TARGETS: &[(&str, Target, Seeds)] = &[("picture", picture, picture_seeds), ("kernels", words, words_seeds)];

/// The target of a name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> Target {
    TARGETS.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| panic!("no target {name}")).1
}

/// The bytes as a file.
fn file(bytes: &[u8]) -> InputFile {
    thread_local! {
        /// One for all, without a name.
        static FILE: File = rng::nameless().unwrap_or_else(|error| panic!("{error}"));
    }
    let held = FILE.with(|file| rng::hold(file, bytes).and_then(|()| file.try_clone()));
    let held = held.unwrap_or_else(|error| panic!("{error}"));
    InputFile::of("any", held).unwrap_or_else(|error| panic!("{error}"))
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
fn picture(bytes: &[u8]) {
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

fn picture_seeds() -> Vec<Vec<u8>> {
    let mut seeds = png_seeds();
    for format in [ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::Pnm] {
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

/// A PNG of each kind of colours.
fn png_seeds() -> Vec<Vec<u8>> {
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

/// What filters and borders are told as.
fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = text.parse::<Border>();
    if let Ok(filter) = text.parse::<Filter>() {
        assert!(filter.to_string().parse::<Filter>().is_ok(), "{filter}");
    }
}

fn words_seeds() -> Vec<Vec<u8>> {
    let words = ["gaussian:1.5", "resize:3x4,lanczos", "resize:12.5%", "crop:3x4+1+2", "constant:7"];
    words.into_iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[cfg(test)]
#[test]
fn seeds_and_what_chance_makes_of_them_are_harmless() {
    rng::all_are_harmless(TARGETS);
}
