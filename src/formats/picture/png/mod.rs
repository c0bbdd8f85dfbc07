//! PNG, written by workers: each filters and deflates bands of rows, and the coordinator strings them together.
//!
//! Rows of a band need nothing but the rows above them, which are in the picture; its deflated bytes need nothing of the
//! others' and end at a byte. So bands in their order are one stream, a chunk of the file each. Where they are cut, the
//! picture's shape alone decides: the same bytes for any number of workers and any schedule.

mod deflate;
mod filter;
mod huffman;

use std::io::{self, Write};
use std::ops::Range;

use bytemuck::{Pod, cast_slice};
use ndarray::{ArrayView3, Ix2, Ix3};
use simd_adler32::Adler32;

use crate::error::Result;
use crate::job::Job;
use crate::report::Report;
use crate::settings::{Redo, Settings};
use crate::shared::Shared;
use crate::slices::Split;

/// Bytes of a band, about: so many that the table of its code is a thousandth of it, so few that it stays in a core's own
/// cache from its rows to its bits.
const BAND: usize = 1 << 18;

/// The least page of all machines: bands are written to pages of their own.
const PAGE: usize = 4096;

/// The most bytes of a chunk, well below what the format allows.
const CHUNK: usize = 1 << 30;

/// A picture's bands, deflated.
pub(super) struct Coded {
    bands: Shared<u8, Ix2>,
    /// Of each band.
    lengths: Vec<usize>,
    /// The Adler-32 of all rows, filtered.
    sum: u32,
}

/// Filters and deflates a picture, whose samples are in C order.
pub(super) fn code<S: Pod + Send + Sync>(settings: Settings<'_>, picture: &Shared<S, Ix3>) -> Result<(Coded, Report)> {
    let (height, width, channels) = picture.view().dim();
    let pixel = channels * size_of::<S>();
    let row = width * pixel;
    let rows = (BAND / (row + 1)).clamp(1, height.max(1));
    let most = deflate::most(rows * (row + 1)).next_multiple_of(PAGE);
    let mut bands = Shared::<u8, _>::zeros((height.div_ceil(rows), most))?;
    let settings = Settings { split: Some(Split::rows().of(1)), redo: Redo::Overwrites, only_slice: None, ..settings };
    let done = Job::with((picture, &mut bands), settings).run(|_, (picture, mut slice): (ArrayView3<S>, _)| {
        let samples = picture.as_slice().ok_or("the samples are not in C order")?;
        let band = slice.rows().start * rows..((slice.rows().start + 1) * rows).min(height);
        let filtered = filtered(samples, band, row, pixel);
        let mut sum = Adler32::new();
        sum.write(&filtered);
        let out = slice.as_slice_mut().ok_or("a band is not one run of bytes")?;
        Ok::<_, &str>([deflate::piece(&filtered, out) as u64, sum.finish().into()])
    })?;
    let band_len = |band: usize| ((band + 1) * rows).min(height) * (row + 1) - band * rows * (row + 1);
    let sum = done.iter().enumerate().fold(1, |sum, (band, &[_, next])| join(sum, next as u32, band_len(band)));
    let lengths = done.iter().map(|&[len, _]| len as usize).collect();
    Ok((Coded { bands, lengths, sum }, done.report().clone()))
}

/// The rows `band`, filtered; samples of 16 bits with their bytes in the order of the format.
fn filtered<S: Pod>(samples: &[S], band: Range<usize>, row: usize, pixel: usize) -> Vec<u8> {
    let mut filtered = vec![0; band.len() * (row + 1)];
    let to = filtered.chunks_exact_mut(row + 1).zip(band.clone());
    let bytes: &[u8] = cast_slice(samples);
    let native = |y: usize| &bytes[y * row..][..row];
    if size_of::<S>() == 1 || cfg!(target_endian = "big") {
        let zeros = if band.start == 0 { vec![0; row] } else { Vec::new() };
        for (to, y) in to {
            filter::row(to, native(y), if y == 0 { &zeros } else { native(y - 1) }, pixel);
        }
        return filtered;
    }
    let swap = |to: &mut [u8], from: &[u8]| {
        for (to, from) in to.as_chunks_mut::<2>().0.iter_mut().zip(from.as_chunks::<2>().0) {
            *to = [from[1], from[0]];
        }
    };
    let (mut now, mut above) = (vec![0; row], vec![0; row]);
    if band.start > 0 {
        swap(&mut above, native(band.start - 1));
    }
    for (to, y) in to {
        swap(&mut now, native(y));
        filter::row(to, &now, &above, pixel);
        std::mem::swap(&mut now, &mut above);
    }
    filtered
}

/// The Adler-32 of some bytes and `len` more, of the sums of both (RFC 1950, 9).
fn join(sum: u32, next: u32, len: usize) -> u32 {
    const PRIME: u64 = 65_521;
    let [(one, two), (next_one, next_two)] = [sum, next].map(|sum| (u64::from(sum & 0xFFFF), u64::from(sum >> 16)));
    let before = one + PRIME - 1;
    let two = (two + next_two + before % PRIME * (len as u64 % PRIME)) % PRIME;
    ((two as u32) << 16) | ((before + next_one) % PRIME) as u32
}

/// Writes the file.
pub(super) fn encode(
    out: &mut impl Write,
    coded: &Coded,
    [height, width, channels]: [usize; 3],
    bits: u32,
) -> io::Result<()> {
    out.write_all(b"\x89PNG\r\n\x1a\n")?;
    let color = [0, 4, 2, 6][channels - 1];
    let mut head = Vec::with_capacity(13);
    head.extend((width as u32).to_be_bytes());
    head.extend((height as u32).to_be_bytes());
    head.extend([bits as u8, color, 0, 0, 0]);
    chunk(out, *b"IHDR", &head)?;
    chunk(out, *b"IDAT", &deflate::BEGIN)?;
    for (band, &len) in coded.bands.view().rows().into_iter().zip(&coded.lengths) {
        let band = band.to_slice().unwrap_or_default();
        for some in band.get(..len).ok_or(io::ErrorKind::InvalidData)?.chunks(CHUNK) {
            chunk(out, *b"IDAT", some)?;
        }
    }
    chunk(out, *b"IDAT", &[&deflate::END[..], &coded.sum.to_be_bytes()].concat())?;
    chunk(out, *b"IEND", &[])
}

fn chunk(out: &mut impl Write, name: [u8; 4], data: &[u8]) -> io::Result<()> {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&name);
    sum.update(data);
    out.write_all(&(data.len() as u32).to_be_bytes())?;
    out.write_all(&name)?;
    out.write_all(data)?;
    out.write_all(&sum.finalize().to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_parts_make_the_sum_of_the_whole() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8 | 0x80).collect();
        let sum = |bytes: &[u8]| simd_adler32::adler32(&bytes);
        for cut in [0, 1, 65_520, 65_521, 65_522, 131_042, 199_999, 200_000] {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(join(sum(one), sum(other), other.len()), sum(&bytes), "{cut}");
        }
        assert_eq!(join(1, sum(&bytes), bytes.len()), sum(&bytes));
    }
}
