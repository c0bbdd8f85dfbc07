//! Edges: the length of the Sobel gradient of the rounded luma, in exact integers up to the squares; with 8 bits, up to
//! the roots.

use super::luma::luma;
use super::picture::{Region, Source};
use super::vectors::{SUMS, Vectors, Work, fill, vectors};
use super::window::{slide, strips};
use super::{Sample, Wide};

/// Pixels computed together.
const LANES: usize = 2 * SUMS;

pub(super) fn edges<S: Sample>(source: &Source<'_, S>, mut region: Region<'_, S>) {
    let channels = source.channels();
    for strip in strips(region.cols.clone(), 1, channels) {
        let from = strip.start as isize - 1;
        let mut aside = vec![S::MAX; (strip.len() + 2) * channels];
        let mut lengths = vec![S::MAX; strip.len()];
        // Away from the edges the luma is made from the rows where they are.
        let pieces = source.pieces(from, strip.len() + 2);
        let enter = |y, row: &mut [S]| {
            for piece in &pieces {
                let aside = &mut aside[..piece.len() * channels];
                let pixels = source.stretch(y, from + piece.start as isize, aside);
                luma(channels, pixels, &mut row[piece.clone()]);
            }
        };
        let width = strip.len().next_multiple_of(LANES) + 2;
        slide(region.rows.clone(), 1, width, enter, |y, window| {
            let rows = [0, 1, 2].map(|n| window.row(n));
            region.line(y, strip.clone(), |out| {
                if channels.is_multiple_of(2) {
                    vectors(Gradient { rows, out: &mut lengths });
                    let original = source.line(y, strip.clone());
                    let pixels = original.chunks_exact(channels).zip(&lengths);
                    for (out, (original, &length)) in out.as_chunks_mut::<2>().0.iter_mut().zip(pixels) {
                        *out = [length, original[channels - 1]];
                    }
                } else {
                    vectors(Gradient { rows, out });
                }
            });
        });
    }
}

/// `rows` are the lumas above, at and below, with a pixel more at each end, and room for whole [`LANES`].
struct Gradient<'a, S> {
    rows: [&'a [S]; 3],
    out: &'a mut [S],
}

impl<S: Sample> Work for Gradient<'_, S> {
    type Output = ();

    #[inline(always)]
    fn with<V: Vectors>(self, vectors: V) {
        let [above, here, below] = self.rows;
        fill(
            [self.out],
            #[inline(always)]
            |n| {
                let rows = [chunk(above, n), chunk(here, n), chunk(below, n)];
                let mut lengths = [S::MAX; LANES];
                if size_of::<S>() == 1 {
                    let mut squares = [0_u16; LANES];
                    for (i, square) in squares.iter_mut().enumerate() {
                        let [x, y] = derivatives(rows, i);
                        // From 255 on a derivative alone makes white.
                        let (x, y) = (x.to_i16().unsigned_abs().min(255), y.to_i16().unsigned_abs().min(255));
                        *square = (x * x).saturating_add(y * y);
                    }
                    let roots = vectors.roots(&squares);
                    for i in 0..LANES {
                        lengths[i] = S::from_u32(roots[i].into());
                    }
                } else {
                    for (i, length) in lengths.iter_mut().enumerate() {
                        let [x, y] = derivatives(rows, i);
                        let (x, y) = (x.to_f32(), y.to_f32());
                        *length = S::from_f32((x * x + y * y).sqrt());
                    }
                }
                [lengths]
            },
        );
    }
}

#[inline(always)]
fn chunk<S>(row: &[S], n: usize) -> &[S; LANES + 2] {
    row[n * LANES..].first_chunk().expect("rows have room for whole chunks")
}

/// Along the row and down the column, at the pixel after `i`.
#[inline(always)]
fn derivatives<S: Sample>([above, here, below]: [&[S; LANES + 2]; 3], i: usize) -> [S::Wide; 2] {
    let (nw, n, ne) = (above[i].widen(), above[i + 1].widen(), above[i + 2].widen());
    let (w, e) = (here[i].widen(), here[i + 2].widen());
    let (sw, s, se) = (below[i].widen(), below[i + 1].widen(), below[i + 2].widen());
    let (east, south) = (e - w, s - n);
    [(ne - nw) + (se - sw) + (east + east), (sw - nw) + (se - ne) + (south + south)]
}
