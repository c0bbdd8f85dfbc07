//! Gives out each slice once, by a schedule.

use super::atomic::{AtomicU64, Ordering};
use crate::slices::Schedule;
use std::ops::Range;

/// What is to be given out, and to how many; how far it has got is one counter that all workers share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dealer {
    pub(crate) schedule: Schedule,
    pub(crate) slices: usize,
    pub(crate) workers: usize,
}

impl Dealer {
    /// The next run of slices for worker `rank`, which has been given `runs` so far; `None` when there are no more.
    ///
    /// Relaxed: the counter says who works on what and nothing about memory; what a worker reads was there before the
    /// fork, and what it wrote is published with the slice's state.
    pub(crate) fn deal(&self, counter: &AtomicU64, rank: usize, runs: usize) -> Option<Range<usize>> {
        match self.schedule {
            Schedule::Static if runs == 0 => {
                self.schedule.fixed(self.slices, self.workers, rank).filter(|run| !run.is_empty())
            }
            Schedule::Static => None,
            Schedule::Dynamic { chunk } => {
                // No more than there are, so that the counter cannot wrap and deal a slice twice: it passes the end by one
                // chunk a worker at most, for nobody asks again after None.
                let chunk = chunk.get().min(self.slices);
                self.after(counter.fetch_add(chunk as u64, Ordering::Relaxed))
            }
            Schedule::Guided => {
                let next = |dealt| Some(self.after(dealt)?.end as u64);
                self.after(counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?)
            }
        }
    }

    /// The run that follows so many.
    fn after(&self, dealt: u64) -> Option<Range<usize>> {
        self.schedule.run(usize::try_from(dealt).ok()?, self.slices, self.workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_slice_once(slices in 0..400_usize, workers in 1..9_usize, which in 0..4_usize) {
            let schedule = ["static", "dynamic", "dynamic=1000000000000", "guided"][which].parse().unwrap();
            let dealer = Dealer { schedule, slices, workers };
            let counter = AtomicU64::new(0);
            let mut dealt: Vec<usize> = std::thread::scope(|threads| {
                let (dealer, counter) = (&dealer, &counter);
                let work = |rank| move || (0..).map_while(|runs| dealer.deal(counter, rank, runs)).flatten().collect::<Vec<_>>();
                let hands: Vec<_> = (0..workers).map(|rank| threads.spawn(work(rank))).collect();
                hands.into_iter().flat_map(|hand| hand.join().unwrap()).collect()
            });
            dealt.sort_unstable();
            prop_assert!(dealt.into_iter().eq(0..slices));
        }
    }
}
