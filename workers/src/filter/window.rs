//! Neighbourhood filters go down a strip of the picture with a window of the rows around the current one.
//!
//! A row is prepared once, when it enters at the bottom, and used by the 2*halo+1 outputs it is a neighbour of.
//! Strips are as wide as the second-level cache allows; where they end does not matter to any sample.

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use std::{marker::PhantomData, ops::Range};

/// The largest halo: a row sum of 2*16383+1 samples of 16 bits still fits `i32`, and the window 32 MiB.
pub(super) const MAX_RADIUS: usize = 16_383;

/// Cells of a window, so that it takes 256 KiB in `f32`: half of the second-level cache of most machines.
const CELLS: usize = 1 << 16;

/// Rows start at these, because a vector that straddles two of them takes two loads.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct CacheLine([u8; 64]);

/// The last 2*halo+1 rows that entered.
pub(super) struct Window<T> {
    lines: Vec<CacheLine>,
    /// Cells of a row.
    width: usize,
    /// Where each row starts in the cells, from top to bottom.
    starts: Vec<usize>,
    cells: PhantomData<T>,
}

impl<T: Pod> Window<T> {
    pub(super) fn new(height: usize, width: usize) -> Self {
        let apart = (width * size_of::<T>()).next_multiple_of(size_of::<CacheLine>());
        Window {
            lines: vec![CacheLine::zeroed(); height * apart / size_of::<CacheLine>()],
            width,
            starts: (0..height).map(|n| n * apart / size_of::<T>()).collect(),
            cells: PhantomData,
        }
    }

    /// The top row makes way for a new one at the bottom.
    pub(super) fn advance(&mut self) -> &mut [T] {
        self.starts.rotate_left(1);
        let bottom = self.starts[self.starts.len() - 1];
        &mut cast_slice_mut(&mut self.lines)[bottom..][..self.width]
    }

    /// All rows in one slice, for kernels that index by [`starts`](Self::starts).
    pub(super) fn cells(&self) -> &[T] {
        cast_slice(&self.lines)
    }

    /// Where each row starts in the cells, from top to bottom.
    pub(super) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Row `n` from the top.
    pub(super) fn row(&self, n: usize) -> &[T] {
        &self.cells()[self.starts[n]..][..self.width]
    }
}

/// For each of `rows`, calls `emit` with the window of the rows at most `halo` away, each `width` cells long and
/// filled by `enter`, which is called once for each row from `rows.start - halo` to `rows.end + halo`.
pub(super) fn slide<T: Pod>(
    rows: Range<usize>,
    halo: usize,
    width: usize,
    mut enter: impl FnMut(isize, &mut [T]),
    mut emit: impl FnMut(usize, &Window<T>),
) {
    let mut window = Window::new(2 * halo + 1, width);
    let reach = halo as isize;
    for y in rows.start as isize - reach..rows.end as isize + reach {
        enter(y, window.advance());
        if let Ok(middle) = usize::try_from(y - reach)
            && middle >= rows.start
        {
            emit(middle, &window);
        }
    }
}

/// Cuts `cols` into strips for a window of this halo over pixels of so many cells.
pub(super) fn strips(cols: Range<usize>, halo: usize, channels: usize) -> impl Iterator<Item = Range<usize>> {
    let width = (CELLS / (2 * halo + 1)).clamp(256, 8192) / channels;
    cols.clone().step_by(width).map(move |start| start..cols.end.min(start + width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_holds_the_rows_around() {
        let mut seen = Vec::new();
        let enter = |y: isize, row: &mut [i32]| row.fill(y as i32);
        slide(3..6, 2, 4, enter, |y, window| seen.push((y, (0..5).map(|n| window.row(n)[3]).collect::<Vec<_>>())));
        assert_eq!(seen, [(3, vec![1, 2, 3, 4, 5]), (4, vec![2, 3, 4, 5, 6]), (5, vec![3, 4, 5, 6, 7])]);
    }

    #[test]
    fn strips_cover_in_order() {
        for (cols, halo, channels) in [(0..1, 0, 1), (5..20_000, 1, 3), (3..3000, 300, 4), (7..7, 1, 1)] {
            let mut next = cols.start;
            for strip in strips(cols.clone(), halo, channels) {
                assert!(strip.start == next && !strip.is_empty());
                next = strip.end;
            }
            assert_eq!(next, cols.end);
        }
    }
}
