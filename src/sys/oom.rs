//! Whether the kernel killed somebody for want of memory: its count of such kills, before and after.
//!
//! The count of this process's memory cgroup, which its workers share; where there is none, that of the whole machine.

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::limits::{self, MemoryGroup};

/// What was counted, and when. Kills that have been told of are in it.
static COUNTED: Mutex<Option<(u64, Instant)>> = Mutex::new(None);

/// How old a count may be when a job begins: reading it takes as long as half a fork, so a series of short jobs shares one.
const FRESH: Duration = Duration::from_secs(1);

/// A kill for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// What the memory cgroup may use, if it is that which was short.
    pub(crate) limit: Option<u64>,
}

/// Counts, for [`killed`] to compare with; `now` is about now.
pub(crate) fn count(now: Instant) {
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    if counted.is_none_or(|(_, at)| now.saturating_duration_since(at) > FRESH) {
        *counted = kills().map(|kills| (kills, now));
    }
}

/// Whether there was such a kill since, that nobody has been told of yet. To be asked for each SIGKILL of a worker.
pub(crate) fn killed() -> Option<Shortage> {
    let mut counted = COUNTED.lock().unwrap_or_else(PoisonError::into_inner);
    let (before, at) = (*counted)?;
    (kills()? > before).then(|| {
        *counted = Some((before + 1, at));
        Shortage { limit: limits::cgroup_limit() }
    })
}

fn kills() -> Option<u64> {
    let in_group =
        |group: &MemoryGroup| limits::counter(&group.file("memory.events", "memory.oom_control")?, "oom_kill");
    let own = MemoryGroup::of_this_process().iter().find_map(in_group);
    own.or_else(|| limits::counter(&fs::read_to_string("/proc/vmstat").ok()?, "oom_kill"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_counts() {
        assert!(kills().is_some());
    }
}
