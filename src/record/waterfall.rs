//! Where the time of all workers went.
//!
//! The total is workers times wall time. Every nanosecond of it is in one part, because each worker's lane has no gaps
//! (`timeline.rs`); time in bodies is then shared out by what the kernel has counted for the whole lane. What no mark tells of
//! is a part of its own, and shown.

use std::time::Duration;

use super::timeline::{Interval, Part, timelines};
use super::{Record, Usage};

/// The parts of a total.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waterfall {
    /// All of it: for a job, workers times wall time.
    pub total: Duration,
    parts: [Duration; Part::ALL.len()],
}

/// What the kernel's count of time in it may be short of or beyond, where it samples: two ticks of 10 ms.
const DOUBT: Duration = Duration::from_millis(20);

impl Record<'_> {
    /// Where the time of all workers went.
    pub fn waterfall(&self) -> Waterfall {
        self.shares().into_iter().fold(Waterfall::default(), |sum, share| sum.and(&share))
    }

    /// Where the time of each worker went, by rank. The total of each is the wall time.
    pub fn shares(&self) -> Vec<Waterfall> {
        let timelines = timelines(self);
        timelines.iter().enumerate().map(|(rank, timeline)| self.share(rank, timeline)).collect()
    }

    fn share(&self, rank: usize, timeline: &[Interval]) -> Waterfall {
        let mut share = Waterfall { total: self.report.wall, ..Waterfall::default() };
        for piece in timeline {
            *share.part(piece.part) += piece.end - piece.begin;
        }
        let lives = &self.workers[rank].lives;
        let usage = self.usage(rank).unwrap_or_default();
        let bodies = share.of(Part::Computing);
        // Of the dead the kernel counts CPU time in steps that are too long to tell what is missing in it.
        let known = lives.iter().all(|life| life.left.is_some() && life.usage.is_some()) && !lives.is_empty();
        let off = if known { bodies.saturating_sub(usage.user + usage.system) } else { Duration::ZERO };
        let faults = self.fault_time(&usage).min(bodies - off);
        *share.part(Part::OffCpu) = off;
        *share.part(Part::PageFaults) = faults;
        *share.part(Part::Computing) = bodies - off - faults;
        share
    }

    /// What faults took: how many there were times what one takes, but not more than the kernel has counted in all.
    fn fault_time(&self, usage: &Usage) -> Duration {
        let each = self.fault_cost.as_nanos() as u64;
        Duration::from_nanos(usage.minor_faults.saturating_mul(each)).min(usage.system + DOUBT)
    }
}

impl Waterfall {
    /// How much went into a part.
    pub fn of(&self, part: Part) -> Duration {
        self.parts[part as usize]
    }

    /// How much of all went into a part, 0 to 1; 0 of nothing.
    pub fn share(&self, part: Part) -> f64 {
        if self.total.is_zero() { 0.0 } else { self.of(part).as_secs_f64() / self.total.as_secs_f64() }
    }

    /// All parts, in order; they add up to the total.
    pub fn parts(&self) -> impl Iterator<Item = (Part, Duration)> {
        Part::ALL.into_iter().map(|part| (part, self.of(part)))
    }

    fn part(&mut self, part: Part) -> &mut Duration {
        &mut self.parts[part as usize]
    }

    fn and(&self, other: &Self) -> Self {
        let mut parts = self.parts;
        parts.iter_mut().zip(other.parts).for_each(|(part, more)| *part += more);
        Self { total: self.total + other.total, parts }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{ms, record, trace_of};
    use super::*;

    /// Two workers, 100 ms: one starts late, one ends early, one waits in its body.
    #[test]
    fn what_was_planted_is_found() {
        let report = record();
        let record = report.record().unwrap();
        let shares = record.shares();
        assert_eq!(shares[0].of(Part::StartUp), ms(6));
        assert_eq!(shares[0].of(Part::Serial), ms(2));
        assert_eq!((shares[0].of(Part::Computing), shares[0].of(Part::PageFaults)), (ms(67), ms(3)));
        assert_eq!((shares[0].of(Part::OffCpu), shares[0].of(Part::Imbalance)), (ms(2), ms(9)));
        assert_eq!((shares[1].of(Part::Meetings), shares[1].of(Part::OffCpu)), (ms(5), ms(0)));
        assert_eq!((shares[1].of(Part::Unexplained), shares[1].of(Part::Barrier)), (ms(1), ms(2)));
        let waterfall = record.waterfall();
        assert_eq!((waterfall.total, waterfall.of(Part::End), waterfall.of(Part::Measuring)), (ms(200), ms(14), ms(2)));
        for share in shares.iter().chain([&waterfall]) {
            assert_eq!(share.parts().map(|(_, time)| time).sum::<Duration>(), share.total, "{share:?}");
        }
        assert!((waterfall.share(Part::End) - 0.07).abs() < 1e-9);
    }

    #[test]
    fn a_job_without_marks_is_unexplained_and_adds_up() {
        let mut empty = record();
        let trace = trace_of(&mut empty);
        trace.workers.iter_mut().for_each(|worker| worker.lives.clear());
        trace.attempts.clear();
        let waterfall = empty.record().unwrap().waterfall();
        assert_eq!(waterfall.parts().map(|(_, time)| time).sum::<Duration>(), waterfall.total);
        assert_eq!(Waterfall::default().share(Part::Computing), 0.0);
    }

    #[test]
    fn parts_are_in_their_order() {
        assert!(Part::ALL.iter().enumerate().all(|(at, &part)| part as usize == at));
    }
}
