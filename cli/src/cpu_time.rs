//! CPU time: this process's, and what others used meanwhile.

use std::fs;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

/// More CPUs used by others, on average, make figures of scaling worth little.
pub const DISTURBED: f64 = 0.15;

/// CPU time so far.
pub fn cpu_seconds(who: UsageWho) -> f64 {
    let seconds = |usage: nix::sys::resource::Usage| {
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
    };
    getrusage(who).map_or(0.0, seconds)
}

/// The time on the clock that all processes share.
pub fn now() -> f64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// CPU time that was used until now, by all and by us, in seconds.
pub struct CpuLoad {
    all: f64,
    ours: f64,
    clock: f64,
}

impl CpuLoad {
    /// Until now.
    pub fn now() -> Self {
        // The first line of proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of seconds.
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields: Vec<f64> =
            stat.lines().next().unwrap_or_default().split(' ').filter_map(|field| field.parse().ok()).collect();
        let busy: f64 = fields
            .iter()
            .enumerate()
            .filter(|(number, _)| ![3, 4].contains(number))
            .take(6)
            .map(|(_, field)| field)
            .sum();
        let ours = cpu_seconds(UsageWho::RUSAGE_SELF) + cpu_seconds(UsageWho::RUSAGE_CHILDREN);
        Self { all: busy / 100.0, ours, clock: now() }
    }

    /// How many CPUs others have used on average.
    pub fn others_since(&self, before: &Self) -> f64 {
        let others = (self.all - before.all) - (self.ours - before.ours);
        others / (self.clock - before.clock).max(0.001)
    }
}
