//! Samples of 16 bits: how often each level is in the square is kept while it moves along a row, with the sums of 16 and more levels at
//! a time to find the median by (Huang, 1979). Each step takes a column away and adds one, so that time grows with the radius.

use crate::filter::Sample;
use crate::filter::picture::{Region, Source};
use crate::filter::window::{Window, slide, strips};

/// Counts of levels, and of each 16, 256 and 4096 of them: the coarsest first.
struct Counts([Vec<u16>; 4]);

/// Bits of a level that each of them does not look at.
const SHIFTS: [usize; 4] = [12, 8, 4, 0];

pub(super) fn median<S: Sample, const C: usize>(radius: usize, source: &Source<'_, S>, mut region: Region<'_, S>) {
    let colours = C - usize::from(C.is_multiple_of(2));
    let side = 2 * radius + 1;
    let mut counts = Counts(SHIFTS.map(|shift| vec![0; 1 << (16 - shift)]));
    for strip in strips(region.cols.clone(), radius, C) {
        let from = strip.start as isize - radius as isize;
        let width = (strip.len() + 2 * radius) * C;
        slide(
            region.rows.clone(),
            radius,
            width,
            |y, row| source.padded(y, from, row),
            |y, window| {
                region.line(y, strip.clone(), |out| {
                    for c in 0..colours {
                        counts.clear();
                        (0..side - 1).for_each(|x| counts.column(window, x * C + c, u16::wrapping_add));
                        for x in 0..strip.len() {
                            counts.column(window, (x + side - 1) * C + c, u16::wrapping_add);
                            out[x * C + c] = S::from_u32(counts.median((side * side / 2) as u16));
                            counts.column(window, x * C + c, u16::wrapping_sub);
                        }
                    }
                    source.keep_alpha(y, strip.start, out);
                });
            },
        );
    }
}

impl Counts {
    fn clear(&mut self) {
        self.0.iter_mut().for_each(|counts| counts.fill(0));
    }

    /// One more, or one less, of each sample of a column.
    #[inline(always)]
    fn column<S: Sample>(&mut self, window: &Window<S>, at: usize, change: impl Fn(u16, u16) -> u16) {
        let cells = window.cells();
        for start in window.starts() {
            let level = cells[start + at].to_u32() as usize & 0xFFFF;
            for (counts, shift) in self.0.iter_mut().zip(SHIFTS) {
                let count = &mut counts[level >> shift];
                *count = change(*count, 1);
            }
        }
    }

    /// The level of the sample that so many come before.
    fn median(&self, mut before: u16) -> u32 {
        let mut place = 0;
        for counts in &self.0 {
            place <<= 4;
            while counts[place] <= before {
                before -= counts[place];
                place += 1;
            }
        }
        place as u32
    }
}
