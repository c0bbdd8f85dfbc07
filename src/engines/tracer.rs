//! What a worker writes to its event log between slices, if its job is recorded.

use std::time::{Duration, Instant};

use crate::sync::{ControlPage, Event, EventLog};
use crate::sys::usage::{Usage, UsageOf};

/// What writes a worker's events. Every method is one branch if the job is not recorded.
pub(super) struct Tracer<'b>(Option<WorkerTracer<'b>>);

struct WorkerTracer<'b> {
    page: &'b ControlPage,
    log: EventLog<'b>,
    whose: UsageOf,
    /// What it had cost when it began: a thread, or a worker who stays, has done other things before.
    before: Usage,
    /// What programs that it started, and waited for, had cost by then.
    programs: Usage,
    /// When faults were last counted, and how many there were.
    counted: Instant,
    faults: u64,
}

/// How often to ask for faults at most: that takes 0.3 us, so that a hundredth of the time goes into it with slices of 30 us, and
/// no more with shorter ones.
const COUNT: Duration = Duration::from_micros(30);

impl<'b> Tracer<'b> {
    /// Notes that a worker begins to work, and what it has cost until then.
    pub(super) fn begin(page: &'b ControlPage, rank: usize, whose: UsageOf, now: Instant) -> Self {
        Self(page.log(rank).map(|log| {
            log.note(page.clock_at(now), Event::Begins);
            let before = Usage::now(whose);
            WorkerTracer {
                page,
                log,
                whose,
                before,
                programs: Usage::of_programs(whose),
                counted: now,
                faults: before.minor_faults,
            }
        }))
    }

    /// It begins with a slice.
    pub(super) fn takes(&self, slice: usize, now: Instant) {
        if let Some(at) = &self.0 {
            at.log.note(at.page.clock_at(now), Event::Takes { slice });
        }
    }

    /// It has finished a slice.
    pub(super) fn finishes(&mut self, slice: usize, now: Instant) {
        if let Some(at) = &mut self.0 {
            at.log.note(at.page.clock_at(now), Event::Finishes { slice });
            if now - at.counted > COUNT {
                at.count(now);
            }
        }
    }

    /// It takes no more slices, and has had none since then.
    pub(super) fn leaves(&self, since: Instant) {
        if let Some(at) = &self.0 {
            at.log.note(at.page.clock_at(since), Event::Leaves);
        }
    }

    /// It measures what it is to measure: what it has cost, and maybe more.
    pub(super) fn measures(&self) {
        if let Some(at) = &self.0 {
            let now = at.page.clock();
            at.log.note(now, Event::Measures);
            let programs = Usage::of_programs(at.whose).since(&at.programs);
            at.log.note_cost(now, &Usage::now(at.whose).since(&at.before).and(&programs));
        }
    }

    /// It has measured that, and does nothing more.
    pub(super) fn measured(&self) {
        if let Some(at) = &self.0 {
            at.log.note(at.page.clock(), Event::Measured);
        }
    }
}

impl WorkerTracer<'_> {
    /// Counts faults, and notes them if there are new ones.
    fn count(&mut self, now: Instant) {
        let faults = Usage::now(self.whose).minor_faults;
        self.counted = now;
        if faults != self.faults {
            self.faults = faults;
            let minor = faults.saturating_sub(self.before.minor_faults);
            self.log.note(self.page.clock_at(now), Event::Faults { minor });
        }
    }
}
