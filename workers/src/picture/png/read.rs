//! PNG, read, where it is plain: 8 bits a sample, not interlaced, no transparent colour, nothing that turns it. `image` reads
//! everything else, and what is found wrong here, to say what.
//!
//! A picture is inflated into a buffer that stays in the cache, and from there, four rows at a time, into place.

use std::io::BufRead;

use fdeflate::Decompressor;

use super::unfilter::{ROWS, SLACK, Unfilter};

/// How far back deflate repeats.
const WINDOW: usize = 32_768;

/// Bytes that are inflated before rows are undone, at least.
const BATCH: usize = 1 << 17;

/// The longest row that buffers are made for.
const LONGEST: usize = 1 << 20;

/// A reader of plain pictures.
pub(crate) struct Plain<R> {
    file: R,
    shape: [usize; 3],
    unfilter: Unfilter,
}

impl<R: BufRead> Plain<R> {
    /// Looks at the file's beginning. `None` if it is no plain picture, as far as can be seen there.
    pub(crate) fn of(mut file: R) -> Option<Self> {
        let unfilter = Unfilter::new()?;
        let mut head = [0; 33];
        file.read_exact(&mut head).ok()?;
        let (begin, rest) = head.split_at(16);
        if begin != b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" || crc32fast::hash(&head[12..29]).to_be_bytes() != head[29..] {
            return None;
        }
        let side = |at: usize| rest[at..at + 4].iter().fold(0, |side, &byte| side << 8 | usize::from(byte));
        let channels = match rest[8..13] {
            [8, 0, 0, 0, 0] => 1,
            [8, 4, 0, 0, 0] => 2,
            [8, 2, 0, 0, 0] => 3,
            [8, 6, 0, 0, 0] => 4,
            _ => return None,
        };
        let shape = [side(4), side(0), channels];
        let sane =
            shape[..2].iter().all(|side| (1..=i32::MAX as usize).contains(side)) && shape[1] * channels <= LONGEST;
        sane.then_some(Self { file, shape, unfilter })
    }

    /// Height, width and channels.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Reads the picture into `to`, which is as long as the shape says. `None` if there is anything that is not plain.
    pub(crate) fn read(self, to: &mut [u8]) -> Option<()> {
        match self.shape[2] {
            1 => self.pixels::<1>(to),
            2 => self.pixels::<2>(to),
            3 => self.pixels::<3>(to),
            _ => self.pixels::<4>(to),
        }
    }

    fn pixels<const PIXEL: usize>(self, to: &mut [u8]) -> Option<()> {
        let row = self.shape[1] * PIXEL;
        let group = ROWS * (row + 1);
        let mut raw = vec![0; WINDOW + BATCH + 2 * group + SLACK];
        // Room for a whole group from wherever rows end.
        let full = raw.len() - group - SLACK;
        let mut plain = std::array::from_fn(|_| vec![0; row + SLACK]);
        let mut data = Data::of(self.file)?;
        // Of the buffer, so many bytes are inflated, and so many are undone.
        let (mut filled, mut undone) = (0, 0);
        let mut lines = to.chunks_exact_mut(row);
        while lines.len() > 0 {
            let before = filled;
            filled = data.inflate(&mut raw[..full], filled)?;
            if filled == before {
                return None;
            }
            loop {
                let rows = lines.len().min(ROWS);
                if rows == 0 || filled - undone < rows * (row + 1) {
                    break;
                }
                for missing in rows..ROWS {
                    raw[undone + missing * (row + 1)] = 0;
                }
                if !self.unfilter.rows::<PIXEL>(&raw[undone..], &mut plain, self.shape[1]) {
                    return None;
                }
                for (line, plain) in lines.by_ref().take(rows).zip(&plain[1..]) {
                    line.copy_from_slice(&plain[..row]);
                }
                plain.swap(0, ROWS);
                undone += rows * (row + 1);
            }
            let gone = undone.min(filled.saturating_sub(WINDOW));
            raw.copy_within(gone..filled, 0);
            (filled, undone) = (filled - gone, undone - gone);
        }
        (undone == filled && data.ends(&mut raw[..full], filled)?).then_some(())
    }
}

/// The coded data of a file: what its chunks IDAT hold.
struct Data<R> {
    inflate: Decompressor,
    chunk: Chunk<R>,
}

impl<R: BufRead> Data<R> {
    /// Goes to the first of the data. `None` if something comes before that changes what a picture means, or cannot be told.
    fn of(file: R) -> Option<Self> {
        let mut chunk = Chunk { file, left: 0, sum: crc32fast::Hasher::new() };
        if !chunk.go_to(b"IDAT")? {
            return None;
        }
        let mut inflate = Decompressor::new();
        // The chunks have sums of their own.
        inflate.ignore_adler32();
        Some(Self { inflate, chunk })
    }

    /// Inflates from `filled` on until `to` is full or everything is inflated; how far it is filled. What is before `filled`
    /// has to be what was inflated last.
    fn inflate(&mut self, to: &mut [u8], mut filled: usize) -> Option<usize> {
        let Self { inflate, chunk } = self;
        while filled < to.len() && !inflate.is_done() {
            if chunk.left == 0 {
                chunk.end()?;
                if chunk.begin()? != *b"IDAT" {
                    return None;
                }
                continue;
            }
            let before = (filled, chunk.left);
            chunk.take(|some| {
                let (taken, made) = inflate.read(some, to, filled, false).ok()?;
                filled += made;
                Some(taken)
            })?;
            if before == (filled, chunk.left) {
                break;
            }
        }
        Some(filled)
    }

    /// Whether there is nothing more to inflate, and the file is whole.
    fn ends(&mut self, to: &mut [u8], filled: usize) -> Option<bool> {
        let more = self.inflate(to, filled)? > filled;
        self.chunk.skip()?;
        self.chunk.end()?;
        Some(self.inflate.is_done() && !more && self.chunk.go_to(b"IEND")? && self.chunk.end().is_some())
    }
}

/// A chunk of a file, as far as it is read.
struct Chunk<R> {
    file: R,
    /// Bytes of its data that are not read.
    left: usize,
    sum: crc32fast::Hasher,
}

impl<R: BufRead> Chunk<R> {
    /// Goes to the next one's data; its name.
    fn begin(&mut self) -> Option<[u8; 4]> {
        let (mut len, mut name) = ([0; 4], [0; 4]);
        self.file.read_exact(&mut len).ok()?;
        self.file.read_exact(&mut name).ok()?;
        self.left = u32::from_be_bytes(len) as usize;
        self.sum = crc32fast::Hasher::new();
        self.sum.update(&name);
        Some(name)
    }

    /// Goes to the next one of this name, over others that change nothing of what a picture means. False if there is another
    /// before.
    fn go_to(&mut self, name: &[u8; 4]) -> Option<bool> {
        let mean_nothing =
            [b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs", b"tIME", b"tEXt", b"zTXt", b"iTXt"];
        loop {
            let next = self.begin()?;
            if next == *name || !mean_nothing.contains(&&next) {
                return Some(next == *name);
            }
            self.skip()?;
            self.end()?;
        }
    }

    /// Lets `user` have some of the data, and goes on by as many bytes as it says that it took.
    fn take(&mut self, user: impl FnOnce(&[u8]) -> Option<usize>) -> Option<()> {
        let some = self.file.fill_buf().ok()?;
        let some = &some[..some.len().min(self.left)];
        if some.is_empty() {
            return None;
        }
        let taken = user(some)?;
        self.sum.update(&some[..taken]);
        self.file.consume(taken);
        self.left -= taken;
        Some(())
    }

    fn skip(&mut self) -> Option<()> {
        while self.left > 0 {
            self.take(|some| Some(some.len()))?;
        }
        Some(())
    }

    /// Goes beyond its data. `None` if they are not what they were.
    fn end(&mut self) -> Option<()> {
        let mut sum = [0; 4];
        self.file.read_exact(&mut sum).ok()?;
        (u32::from_be_bytes(sum) == self.sum.clone().finalize()).then_some(())
    }
}

/// Reads a file that may be anything, if its picture has no more than `most` bytes.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_plain(file: &[u8], most: usize) {
    if let Some(plain) = Plain::of(file) {
        let bytes = plain.shape().iter().try_fold(1_usize, |bytes, &side| bytes.checked_mul(side));
        if let Some(bytes) = bytes.filter(|&bytes| bytes <= most) {
            let _ = plain.read(&mut vec![0; bytes]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    use image::{ExtendedColorType, ImageDecoder, ImageEncoder, ImageResult};

    fn ours(file: &[u8]) -> Option<Vec<u8>> {
        let plain = Plain::of(file)?;
        let mut bytes = vec![0xAA; plain.shape().iter().product()];
        plain.read(&mut bytes)?;
        Some(bytes)
    }

    fn theirs(file: &[u8]) -> ImageResult<Vec<u8>> {
        let decoder = image::codecs::png::PngDecoder::new(io::Cursor::new(file))?;
        let mut bytes = vec![0; decoder.total_bytes() as usize];
        decoder.read_image(&mut bytes)?;
        Ok(bytes)
    }

    fn written(samples: &[u8], width: u32, color: ExtendedColorType, filter: FilterType) -> Vec<u8> {
        let mut file = Vec::new();
        let height = samples.len() as u32 * 8 / width / u32::from(color.bits_per_pixel());
        let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Fast, filter);
        encoder.write_image(samples, width, height, color).unwrap();
        file
    }

    const COLORS: [ExtendedColorType; 4] =
        [ExtendedColorType::L8, ExtendedColorType::La8, ExtendedColorType::Rgb8, ExtendedColorType::Rgba8];
    const FILTERS: [FilterType; 6] = [
        FilterType::NoFilter,
        FilterType::Sub,
        FilterType::Up,
        FilterType::Avg,
        FilterType::Paeth,
        FilterType::Adaptive,
    ];

    /// Samples without a pattern, but with smooth places.
    fn samples(count: usize) -> Vec<u8> {
        let sample = |at: usize| {
            ((at * 7) as u8) ^ ((at.wrapping_mul(0x9E37_79B9) >> 11) as u8 & if at % 64 < 40 { 0x83 } else { 0 })
        };
        (0..count).map(sample).collect()
    }

    #[test]
    fn every_filter_at_every_small_size() {
        if Unfilter::new().is_none() {
            return;
        }
        for (color, channels) in COLORS.into_iter().zip(1..) {
            for filter in FILTERS {
                for (width, height) in (1..8).flat_map(|width| (1..10).map(move |height| (width, height))) {
                    let samples = samples(width * height * channels);
                    let file = written(&samples, width as u32, color, filter);
                    assert_eq!(ours(&file), Some(samples), "{width} x {height} {color:?} {filter:?}");
                }
                let samples = samples(613 * 201 * channels);
                assert!(ours(&written(&samples, 613, color, filter)) == Some(samples), "{color:?} {filter:?}");
            }
        }
    }

    #[test]
    fn a_file_that_is_changed_anywhere_is_read_alike_or_left_to_others() {
        let samples = samples(23 * 19 * 3);
        let file = written(&samples, 23, ExtendedColorType::Rgb8, FilterType::Adaptive);
        for at in 0..file.len() {
            for change in [1, 4, 0x80, 0xFF] {
                let mut changed = file.clone();
                changed[at] ^= change;
                if let Some(read) = ours(&changed) {
                    assert_eq!(theirs(&changed).ok(), Some(read), "byte {at} ^ {change}");
                }
            }
            assert_eq!(ours(&file[..at]).filter(|_| theirs(&file[..at]).is_err()), None, "the first {at} bytes");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_others() {
        let deep = written(&samples(80), 5, ExtendedColorType::L16, FilterType::Sub);
        assert!(ours(&deep).is_none());
        let file = written(&samples(50), 5, ExtendedColorType::L8, FilterType::Sub);
        let with = |name: &[u8; 4]| {
            let mut sum = crc32fast::Hasher::new();
            sum.update(name);
            sum.update(&[0, 7]);
            let chunk = [&[0, 0, 0, 2], &name[..], &[0, 7], &sum.finalize().to_be_bytes()].concat();
            [&file[..33], &chunk, &file[33..]].concat()
        };
        assert!(ours(&with(b"tEXt")).is_some());
        for name in [b"tRNS", b"eXIf", b"acTL", b"ABCD"] {
            assert!(ours(&with(name)).is_none());
        }
    }
}
