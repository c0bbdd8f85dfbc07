//! PNGs of every kind, made here by the standard alone (ISO/IEC 15948): colours and depths, interlaced and not, all filters,
//! palettes, transparency; and what is read of them.

use std::fs;

use parfork_workers::picture::{self, Picture};

/// Colour types: samples of a pixel, and bits that a sample may have.
const COLORS: [(u8, usize, &[u32]); 5] =
    [(0, 1, &[1, 2, 4, 8, 16]), (2, 3, &[8, 16]), (3, 1, &[1, 2, 4, 8]), (4, 2, &[8, 16]), (6, 4, &[8, 16])];
const PALETTE: u8 = 3;

/// Of each pass of an interlaced picture: first column and row, and steps to the next.
const PASSES: [[usize; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

#[derive(Clone, Copy, Debug)]
struct Kind {
    color: u8,
    channels: usize,
    depth: u32,
    interlaced: bool,
    /// One colour is, or some of the palette's are.
    transparent: bool,
}

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (color, channels, depths) in COLORS {
        for &depth in depths {
            for (interlaced, transparent) in [(false, false), (true, false), (false, true), (true, true)] {
                // Pixels with alpha need nothing else.
                if !transparent || color < 4 {
                    kinds.push(Kind { color, channels, depth, interlaced, transparent });
                }
            }
        }
    }
    kinds
}

/// A colour of the palette, and how opaque it is: the last of them wholly, which the file does not say.
fn entry(index: u32, transparent: bool) -> [u16; 4] {
    let index = index as u16;
    let alpha = if transparent && index < 200 { index * 91 % 256 } else { 255 };
    [index * 37 % 256, index * 101 % 256, 255 - index, alpha]
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [&name[..], data].concat();
    let crc = !named.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    });
    [&(data.len() as u32).to_be_bytes()[..], &named, &crc.to_be_bytes()].concat()
}

/// zlib's format, with nothing compressed.
fn stored(data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    let (one, two) = data.iter().fold((1, 0), |(one, two), &byte| {
        let one = (one + u32::from(byte)) % 65_521;
        (one, (two + one) % 65_521)
    });
    let sum = two << 16 | one;
    [&[0x78, 1, 1][..], &len.to_le_bytes(), &(!len).to_le_bytes(), data, &sum.to_be_bytes()].concat()
}

fn filtered(filter: usize, row: &[u8], above: &[u8], pixel: usize) -> Vec<u8> {
    let left = |row: &[u8], at: usize| if at < pixel { 0 } else { i32::from(row[at - pixel]) };
    let byte = |at: usize| {
        let (a, b, c) = (left(row, at), i32::from(above[at]), left(above, at));
        let near = |x: i32| (a + b - c - x).abs();
        let guess = match filter {
            0 => 0,
            1 => a,
            2 => b,
            3 => (a + b) / 2,
            _ if near(a) <= near(b) && near(a) <= near(c) => a,
            _ if near(b) <= near(c) => b,
            _ => c,
        };
        row[at].wrapping_sub(guess as u8)
    };
    std::iter::once(filter as u8).chain((0..row.len()).map(byte)).collect()
}

impl Kind {
    fn png(self, width: usize, height: usize, pixel: impl Fn(usize, usize) -> Vec<u16>) -> Vec<u8> {
        let passes: &[_] = if self.interlaced { &PASSES } else { &[[0, 0, 1, 1]] };
        let mut data = Vec::new();
        for &[left, top, right, down] in passes.iter().filter(|pass| pass[0] < width && pass[1] < height) {
            let mut above: Option<Vec<u8>> = None;
            for (number, y) in (top..height).step_by(down).enumerate() {
                let samples: Vec<u16> = (left..width).step_by(right).flat_map(|x| pixel(y, x)).collect();
                let row = self.packed(&samples);
                let zeros = vec![0; row.len()];
                let bytes = (self.channels * self.depth as usize).div_ceil(8);
                // All five for first rows too, and each after each.
                let filter = (number + number / 5 + width) % 5;
                data.extend(filtered(filter, &row, above.as_ref().unwrap_or(&zeros), bytes));
                above = Some(row);
            }
        }
        let mut head = [(width as u32).to_be_bytes(), (height as u32).to_be_bytes()].concat();
        head.extend([self.depth as u8, self.color, 0, 0, self.interlaced.into()]);
        let mut file = [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &head)].concat();
        let entries = (0..1 << self.depth.min(8)).map(|index| entry(index, self.transparent));
        if self.color == PALETTE {
            let colors: Vec<u8> =
                entries.clone().flat_map(|entry| [entry[0] as u8, entry[1] as u8, entry[2] as u8]).collect();
            file.extend(chunk(b"PLTE", &colors));
        }
        if self.transparent {
            let alphas: Vec<u8> = entries.take(200).map(|entry| entry[3] as u8).collect();
            let color: Vec<u8> = pixel(0, 0).iter().flat_map(|sample| sample.to_be_bytes()).collect();
            file.extend(chunk(b"tRNS", &if self.color == PALETTE { alphas } else { color }));
        }
        let data = stored(&data);
        // In two chunks, which divide it anywhere.
        let (one, other) = data.split_at(data.len() / 3);
        file.extend([chunk(b"IDAT", one), chunk(b"IDAT", other), chunk(b"IEND", &[])].concat());
        file
    }

    /// A row's samples, the first of a byte in its highest bits.
    fn packed(self, samples: &[u16]) -> Vec<u8> {
        match self.depth {
            16 => samples.iter().flat_map(|sample| sample.to_be_bytes()).collect(),
            depth => {
                let byte = |some: &[u16]| {
                    (0..8 / depth as usize).fold(0, |byte, n| byte << depth | some.get(n).unwrap_or(&0)) as u8
                };
                samples.chunks(8 / depth as usize).map(byte).collect()
            }
        }
    }

    /// What is read of a pixel.
    fn meant(self, pixel: &[u16], first: &[u16]) -> Vec<u16> {
        let most = if self.depth == 16 { u16::MAX } else { 255 };
        if self.color == PALETTE {
            return entry(pixel[0].into(), self.transparent)[..if self.transparent { 4 } else { 3 }].to_vec();
        }
        let scale = if self.depth < 8 { 255 / ((1 << self.depth) - 1) } else { 1 };
        let mut meant: Vec<u16> = pixel.iter().map(|sample| sample * scale).collect();
        if self.transparent {
            meant.push(if pixel == first { 0 } else { most });
        }
        meant
    }
}

#[test]
fn every_kind_of_png_is_read_as_the_standard_means_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let kinds = kinds();
    assert_eq!(kinds.len(), 52);
    for kind in kinds {
        for (width, height) in [(1, 1), (2, 5), (3, 3), (5, 2), (9, 13), (33, 27)] {
            let pixel = |y: usize, x: usize| {
                let sample =
                    |c| ((y * 7919 + x * 104_729 + c * 1_299_709) * (y + x + 1)) >> 3 & ((1_usize << kind.depth) - 1);
                (0..kind.channels).map(|c| sample(c) as u16).collect::<Vec<u16>>()
            };
            fs::write(&path, kind.png(width, height, pixel)).unwrap();
            let (shape, samples) = match picture::read(&path).unwrap_or_else(|error| panic!("{kind:?}: {error}")) {
                Picture::U8(read) if kind.depth <= 8 => {
                    (read.shape().to_vec(), read.as_slice().iter().map(|&sample| sample.into()).collect())
                }
                Picture::U16(read) if kind.depth == 16 => (read.shape().to_vec(), read.as_slice().to_vec()),
                other => panic!("{kind:?} became {} bits", other.bits()),
            };
            let first = pixel(0, 0);
            let at = |at| kind.meant(&pixel(at / width, at % width), &first);
            let meant: Vec<u16> = (0..width * height).flat_map(at).collect();
            assert_eq!(shape, [height, width, meant.len() / width / height], "{kind:?}");
            assert_eq!(samples, meant, "{kind:?}, {width} x {height}");
        }
    }
}
