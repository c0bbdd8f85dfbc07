//! PNG, written by workers, each of which filters and deflates bands of rows; `image` reads it.
//!
//! Rows of a band need nothing but the rows above them, which are in the picture; its deflated bytes need nothing of the
//! others' and end at a byte. So bands in their order are one stream, a chunk of the file each.

mod deflate;
mod exif;
mod filter;
mod huffman;

use std::io::{self, Write};
use std::ops::Range;

use bytemuck::{Pod, cast_slice};
use ndarray::Ix3;
use simd_adler32::Adler32;

use super::bands::Bands;
use super::metadata::Metadata;
pub(super) use exif::late_exif;
use parfork::{Job, Report, Result, Shared};

/// The most bytes of a chunk, well below what the format allows.
const CHUNK: usize = 1 << 30;

/// Filters and deflates a picture, whose samples are in C order. The bands' numbers are their Adler-32.
pub(super) fn code<S: Pod + Send + Sync>(job: Job<'_>, picture: &Shared<S, Ix3>) -> Result<(Bands, Report)> {
    let (_, width, channels) = picture.view().dim();
    let pixel = channels * size_of::<S>();
    let row = width * pixel;
    Bands::of(
        job,
        picture,
        1,
        |rows| deflate::most(rows * (row + 1)),
        |samples, band, out| {
            let filtered = filtered(samples, band, row, pixel);
            let mut sum = Adler32::new();
            sum.write(&filtered);
            Ok([deflate::piece(&filtered, out) as u64, sum.finish().into()])
        },
    )
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
    bands: &Bands,
    [height, width, channels]: [usize; 3],
    bits: u32,
    metadata: &Metadata,
) -> io::Result<()> {
    out.write_all(b"\x89PNG\r\n\x1a\n")?;
    let color = [0, 4, 2, 6][channels - 1];
    let mut head = Vec::with_capacity(13);
    head.extend((width as u32).to_be_bytes());
    head.extend((height as u32).to_be_bytes());
    head.extend([bits as u8, color, 0, 0, 0]);
    chunk(out, *b"IHDR", &head)?;
    if let Some(icc) = &metadata.icc {
        let mut piece = vec![0; deflate::most(icc.len())];
        let length = deflate::piece(icc, &mut piece);
        let sum = simd_adler32::adler32(&icc.as_slice()).to_be_bytes();
        // A name, its end, and that it is deflated.
        let parts = [b"ICC profile\0\0", &deflate::BEGIN[..], &piece[..length], &deflate::END, &sum];
        chunk(out, *b"iCCP", &parts.concat())?;
    }
    if let Some(exif) = &metadata.exif {
        chunk(out, *b"eXIf", exif)?;
    }
    if let Some(xmp) = &metadata.xmp {
        // A keyword, its end, that it is not deflated, and of no language.
        chunk(out, *b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", &xmp[..]].concat())?;
    }
    chunk(out, *b"IDAT", &deflate::BEGIN)?;
    let mut sum = 1;
    for (rows, bytes, next) in bands.iter() {
        for some in bytes.ok_or(io::ErrorKind::InvalidData)?.chunks(CHUNK) {
            chunk(out, *b"IDAT", some)?;
        }
        sum = join(sum, next as u32, rows.len() * (width * channels * bits as usize / 8 + 1));
    }
    chunk(out, *b"IDAT", &[&deflate::END[..], &sum.to_be_bytes()].concat())?;
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
