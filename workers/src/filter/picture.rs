//! The two ends of a filter: the whole picture it reads, and the rectangle it writes.

use super::vectors::vectorised;
use super::{Border, Sample};
use ndarray::{ArrayView3, ArrayViewMut1, ArrayViewMut3, s};
use std::{borrow::Cow, ops::Range};

/// Bytes that are copied by one call. From here to some 8 kB the C library's `rep movsb` is slow to start.
const CALL: usize = 2048;

/// Copies a part of a row.
pub(super) fn copy<S: Copy>(from: &[S], to: &mut [S]) {
    assert_eq!(from.len(), to.len());
    let call = CALL / size_of::<S>();
    from.chunks(call).zip(to.chunks_mut(call)).for_each(|(from, to)| to.copy_from_slice(from));
}

/// The whole input, with what lies beyond its edges; or as much of it as is read.
pub struct Source<'a, S> {
    pixels: ArrayView3<'a, S>,
    /// Where in the picture the first of the pixels stands: row and column.
    first: [usize; 2],
    /// Height and width of the picture.
    size: [usize; 2],
    border: Border,
    constant: S,
}

impl<'a, S: Sample> Source<'a, S> {
    pub(super) fn new(pixels: ArrayView3<'a, S>, border: Border) -> Self {
        let (height, width, _) = pixels.dim();
        Source::part(pixels, [0, 0], [height, width], border)
    }

    /// For a picture of which there is but a part; no other pixels must be asked for.
    pub(super) fn part(pixels: ArrayView3<'a, S>, first: [usize; 2], size: [usize; 2], border: Border) -> Self {
        let constant = if let Border::Constant(level) = border { S::from_level(level) } else { S::MAX };
        Source { pixels, first, size, border, constant }
    }

    /// The pixels that there are.
    pub(super) fn pixels(&self) -> ArrayView3<'a, S> {
        self.pixels
    }

    pub(super) fn height(&self) -> usize {
        self.size[0]
    }

    pub(super) fn width(&self) -> usize {
        self.size[1]
    }

    pub(super) fn channels(&self) -> usize {
        self.pixels.dim().2
    }

    pub(super) fn border(&self) -> Border {
        self.border
    }

    /// What each sample beyond a constant border is.
    pub(super) fn constant(&self) -> S {
        self.constant
    }

    /// The samples of a stretch of row `y`; copied only where they do not lie side by side.
    pub(super) fn line(&self, y: usize, cols: Range<usize>) -> Cow<'a, [S]> {
        let [y, left] = [y - self.first[0], self.first[1]];
        let cols = cols.start - left..cols.end - left;
        if let Some(samples) = self.pixels.to_slice() {
            let (_, width, channels) = self.pixels.dim();
            let row = &samples[y * width * channels..];
            return Cow::Borrowed(&row[cols.start * channels..cols.end * channels]);
        }
        let stretch = self.pixels.slice_move(s![y, cols, ..]);
        match stretch.to_slice() {
            Some(line) => Cow::Borrowed(line),
            None => Cow::Owned(stretch.iter().copied().collect()),
        }
    }

    /// Fills `line` with row `y` from column `from` on; both may lie beyond the edge.
    pub(super) fn padded(&self, y: isize, from: isize, line: &mut [S]) {
        let Some(y) = self.border.locate(y, self.height()) else {
            return line.fill(self.constant);
        };
        let (channels, width) = (self.channels(), self.width());
        let pixels = line.len() / channels;
        let [_, Range { start: left, end: right }, _] = self.pieces(from, pixels);
        if left < right {
            let start = (from + left as isize) as usize;
            let inside = self.line(y, start..start + (right - left));
            copy(&inside, &mut line[left * channels..right * channels]);
        }
        for n in (0..left).chain(right..pixels) {
            let pixel = &mut line[n * channels..][..channels];
            match self.border.locate(from + n as isize, width) {
                Some(x) => self
                    .pixels
                    .slice(s![y - self.first[0], x - self.first[1], ..])
                    .assign_to(ArrayViewMut1::from(pixel)),
                None => pixel.fill(self.constant),
            }
        }
    }

    /// As [`padded`](Self::padded), but `line` is filled only where the samples do not lie side by side in the picture.
    pub(super) fn stretch<'l>(&'l self, y: isize, from: isize, line: &'l mut [S]) -> &'l [S] {
        let pixels = (line.len() / self.channels()) as isize;
        let inside = from >= 0 && from + pixels <= self.width() as isize;
        if inside
            && let Some(y) = self.border.locate(y, self.height())
            && let Cow::Borrowed(line) = self.line(y, from as usize..(from + pixels) as usize)
        {
            return line;
        }
        self.padded(y, from, line);
        line
    }

    /// Cuts so many columns from `from` on, which may lie beyond the edges, at the edges; counted from `from`.
    pub(super) fn pieces(&self, from: isize, len: usize) -> [Range<usize>; 3] {
        let left = usize::try_from(-from).unwrap_or(0).min(len);
        let right = usize::try_from(self.width() as isize - from).unwrap_or(0).clamp(left, len);
        [0..left, left..right, right..len]
    }

    /// Puts the picture's own alpha into a filtered line of row `y` from column `from` on, if it has any.
    pub(super) fn keep_alpha(&self, y: usize, from: usize, line: &mut [S]) {
        let channels = self.channels();
        if channels.is_multiple_of(2) {
            let original = self.line(y, from..from + line.len() / channels);
            let pixel = channels * size_of::<S>();
            put_last(pixel, size_of::<S>(), bytemuck::cast_slice(&original), bytemuck::cast_slice_mut(line));
        }
    }
}

/// Copies the last `few` bytes of every `each`, which is a power of two: bytes under a mask, for vectors have no use for every fourth.
fn put_last(each: usize, few: usize, from: &[u8], to: &mut [u8]) {
    const BYTES: usize = 64;
    let mask: [u8; BYTES] = std::array::from_fn(|n| if n % each >= each - few { 0xff } else { 0 });
    vectorised(
        #[inline(always)]
        || {
            let (whole, rest) = to.as_chunks_mut::<BYTES>();
            let (from, last) = from.as_chunks::<BYTES>();
            whole.iter_mut().zip(from).for_each(|(to, from)| put_under(&mask, from, to));
            put_under(&mask, last, rest);
        },
    );
}

#[inline(always)]
fn put_under(mask: &[u8], from: &[u8], to: &mut [u8]) {
    for ((to, &from), &mask) in to.iter_mut().zip(from).zip(mask) {
        *to = *to & !mask | from & mask;
    }
}

/// The rectangle to compute, in the result's coordinates.
pub struct Region<'a, S> {
    pub(super) rows: Range<usize>,
    pub(super) cols: Range<usize>,
    out: ArrayViewMut3<'a, S>,
    /// Where a line is written first if its samples do not lie side by side in `out`.
    aside: Vec<S>,
}

impl<'a, S: Sample> Region<'a, S> {
    pub(super) fn new(rows: Range<usize>, cols: Range<usize>, out: ArrayViewMut3<'a, S>) -> Self {
        Region { rows, cols, out, aside: Vec::new() }
    }

    /// How many samples the rectangle has.
    pub(super) fn samples(&self) -> usize {
        self.out.len()
    }

    /// Has `write` fill columns `cols` of row `y`, both in the result's coordinates.
    pub(super) fn line(&mut self, y: usize, cols: Range<usize>, write: impl FnOnce(&mut [S])) {
        let first = self.cols.start;
        let channels = self.out.dim().2;
        if let Some(samples) = self.out.as_slice_mut() {
            let row = &mut samples[(y - self.rows.start) * self.cols.len() * channels..];
            return write(&mut row[(cols.start - first) * channels..(cols.end - first) * channels]);
        }
        let mut stretch = self.out.slice_mut(s![y - self.rows.start, cols.start - first..cols.end - first, ..]);
        if let Some(line) = stretch.as_slice_mut() {
            return write(line);
        }
        self.aside.resize(stretch.len(), S::MAX);
        write(&mut self.aside);
        stretch.iter_mut().zip(&self.aside).for_each(|(sample, value)| *sample = *value);
    }

    /// As [`line`](Self::line) for rows `y` and the one below it, which is written to `below` if the region ends.
    pub(super) fn two_lines(
        &mut self,
        y: usize,
        cols: Range<usize>,
        below: &mut [S],
        write: impl FnOnce([&mut [S]; 2]),
    ) {
        let (first, channels, apart) = (self.cols.start, self.out.dim().2, self.cols.len() * self.out.dim().2);
        let part = (cols.start - first) * channels..(cols.end - first) * channels;
        let last = y + 1 == self.rows.end;
        if let Some(samples) = self.out.as_slice_mut() {
            let (upper, lower) = samples[(y - self.rows.start) * apart..].split_at_mut(apart);
            let below = if last { below } else { &mut lower[part.clone()] };
            return write([&mut upper[part], below]);
        }
        self.line(y, cols.clone(), |line| write([line, below]));
        if !last {
            self.line(y + 1, cols, |line| line.copy_from_slice(below));
        }
    }
}
