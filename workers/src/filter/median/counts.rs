//! Bytes: how often each level is there is kept for each column, and for the square by adding a column and taking one away, so that the
//! radius does not matter (Perreault and Hébert, 2007). There are counts of 16 groups of 16 levels, and of the levels of each; those
//! of that group alone are brought up to date that the median is in. Each is a count of all up to there, so that
//! where the median is needs one comparison of a vector.

use crate::filter::Sample;
use crate::filter::picture::{Region, Source};
use crate::filter::vectors::vectorised;

/// Levels of a group, and groups.
const GROUP: usize = 16;

/// Samples of the columns that are counted at a time: so many counts stay in the second-level cache.
const STRIP: usize = 1024;

type Levels = [u16; GROUP];

/// Of a column, how many samples are in each group or those before: 255 at most; and of each group, how many have each level or less.
struct Columns {
    levels: Vec<[[u8; GROUP]; GROUP]>,
    groups: Vec<[u8; GROUP]>,
}

pub(super) fn median<S: Sample, const C: usize>(radius: usize, source: &Source<'_, S>, mut region: Region<'_, S>) {
    let colours = C - usize::from(C.is_multiple_of(2));
    let reach = radius as isize;
    for start in region.cols.clone().step_by(STRIP / C) {
        let cols = start..region.cols.end.min(start + STRIP / C);
        let width = cols.len() + 2 * radius;
        let from = cols.start as isize - reach;
        let columns = || Columns { levels: vec![[[0; GROUP]; GROUP]; width], groups: vec![[0; GROUP]; width] };
        let mut all: Vec<Columns> = (0..colours).map(|_| columns()).collect();
        let (mut aside, mut above) = (vec![S::MAX; width * C], vec![S::MAX; width * C]);
        let first = region.rows.start as isize;
        for y in first - reach..first + reach {
            let line = source.stretch(y, from, &mut aside);
            all.iter_mut().enumerate().for_each(|(c, columns)| columns.enter::<S, C>(line, c));
        }
        for y in region.rows.clone() {
            let at = y as isize;
            let line = source.stretch(at + reach, from, &mut aside);
            let gone = (at > first).then(|| source.stretch(at - reach - 1, from, &mut above));
            for (c, columns) in all.iter_mut().enumerate() {
                gone.iter().for_each(|gone| columns.leave::<S, C>(gone, c));
                columns.enter::<S, C>(line, c);
            }
            region.line(y, cols.clone(), |out| {
                for (c, columns) in all.iter().enumerate() {
                    let out = out.as_chunks_mut::<C>().0.iter_mut().map(|pixel| &mut pixel[c]);
                    vectorised(
                        #[inline(always)]
                        || columns.medians(radius, out),
                    );
                }
                source.keep_alpha(y, cols.start, out);
            });
        }
    }
}

/// One for each level, or group, from this one on.
const FROM: [[u8; GROUP]; GROUP] = {
    let mut from = [[0; GROUP]; GROUP];
    let mut at = 0;
    while at < GROUP * GROUP {
        from[at / GROUP][at % GROUP] = (at % GROUP >= at / GROUP) as u8;
        at += 1;
    }
    from
};

impl Columns {
    fn enter<S: Sample, const C: usize>(&mut self, line: &[S], channel: usize) {
        self.change::<S, C>(line, channel, u8::wrapping_add);
    }

    fn leave<S: Sample, const C: usize>(&mut self, line: &[S], channel: usize) {
        self.change::<S, C>(line, channel, u8::wrapping_sub);
    }

    #[inline(always)]
    fn change<S: Sample, const C: usize>(&mut self, line: &[S], channel: usize, change: impl Fn(u8, u8) -> u8) {
        let columns = self.levels.iter_mut().zip(&mut self.groups);
        for ((levels, groups), pixel) in columns.zip(line.as_chunks::<C>().0) {
            let level = pixel[channel].to_u32() as usize % (GROUP * GROUP);
            let (group, level) = (level / GROUP, level % GROUP);
            for (counts, from) in [(&mut levels[group], &FROM[level]), (groups, &FROM[group])] {
                counts.iter_mut().zip(from).for_each(|(count, &one)| *count = change(*count, one));
            }
        }
    }

    /// The medians of a row of squares.
    #[inline(always)]
    fn medians<'o, S: Sample>(&self, radius: usize, out: impl Iterator<Item = &'o mut S>) {
        let side = 2 * radius + 1;
        let half = (side * side / 2) as u16;
        let mut groups = [0; GROUP];
        self.groups[..side - 1].iter().for_each(|column| add(&mut groups, column));
        // Of each group the counts of its levels, and for the square of which column they are.
        let mut levels = [[0; GROUP]; GROUP];
        let mut of = [usize::MAX; GROUP];
        for (x, out) in out.enumerate() {
            add(&mut groups, &self.groups[x + side - 1]);
            let (group, before) = place(&groups, half);
            let (counts, of) = (&mut levels[group], &mut of[group]);
            let columns = |range: std::ops::Range<usize>| self.levels[range].iter().map(move |column| &column[group]);
            match x.checked_sub(*of) {
                Some(steps) if 2 * steps < side => {
                    let (gone, come) = (columns(*of..x), columns(*of + side..x + side));
                    gone.zip(come).for_each(|(gone, come)| {
                        add(counts, come);
                        subtract(counts, gone);
                    });
                }
                _ => {
                    *counts = [0; GROUP];
                    columns(x..x + side).for_each(|column| add(counts, column));
                }
            }
            *of = x;
            let (level, _) = place(counts, half - before);
            *out = S::from_u32((GROUP * group + level) as u32);
            subtract(&mut groups, &self.groups[x]);
        }
    }
}

#[inline(always)]
fn add(counts: &mut Levels, column: &[u8; GROUP]) {
    counts.iter_mut().zip(column).for_each(|(count, &more)| *count = count.wrapping_add(more.into()));
}

#[inline(always)]
fn subtract(counts: &mut Levels, column: &[u8; GROUP]) {
    counts.iter_mut().zip(column).for_each(|(count, &less)| *count = count.wrapping_sub(less.into()));
}

/// Where the sample is that so many come before, and how many come before that place.
#[inline(always)]
fn place(counts: &Levels, half: u16) -> (usize, u16) {
    let place = counts.iter().map(|&count| u16::from(count <= half)).sum::<u16>() as usize % GROUP;
    (place, if place == 0 { 0 } else { counts[place - 1] })
}
