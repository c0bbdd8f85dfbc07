//! What a process or a thread has cost so far, as the kernel counts it.

use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

use super::limits::counter;

/// What a worker has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize))]
pub struct Usage {
    /// CPU time outside of the kernel. Together with the kernel's it is exact; how the two share it is, on most kernels,
    /// estimated from samples some milliseconds apart.
    #[cfg_attr(feature = "record", serde(rename = "user_seconds", serialize_with = "seconds"))]
    pub user: Duration,
    /// CPU time in the kernel.
    #[cfg_attr(feature = "record", serde(rename = "system_seconds", serialize_with = "seconds"))]
    pub system: Duration,
    /// Pages that had to be mapped, or copied, before they could be used; nothing was read from a disk for them.
    pub minor_faults: u64,
    /// Pages that had to be read from a disk.
    pub major_faults: u64,
    /// How often it went to sleep.
    pub voluntary_switches: u64,
    /// How often others were given its CPU.
    pub involuntary_switches: u64,
    /// The most memory that it ever had in RAM at once, shared pages included, in bytes; 0 if unknown.
    #[cfg_attr(feature = "record", serde(rename = "peak_resident_bytes"))]
    pub peak_resident: u64,
}

/// How long, if it is known.
#[cfg(feature = "record")]
pub(crate) fn seconds<S: serde::Serializer>(
    time: &(impl Copy + Into<Option<Duration>>),
    to: S,
) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&(*time).into().map(|time| time.as_secs_f64()), to)
}

/// Whose cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsageOf {
    /// All threads of this process.
    Process,
    /// The calling thread alone.
    Thread,
}

impl Usage {
    /// How many numbers it is.
    pub(crate) const WORDS: usize = 7;

    /// What it has cost until now: some 300 ns to ask.
    pub(crate) fn now(whose: UsageOf) -> Self {
        let who = match whose {
            UsageOf::Process => UsageWho::RUSAGE_SELF,
            UsageOf::Thread => UsageWho::RUSAGE_THREAD,
        };
        // It fails only for a `who` that there is not.
        getrusage(who).map_or_else(|_| Self::default(), |usage| Self::of(usage.as_ref()))
    }

    /// What programs that this process started and waited for have cost; nothing for a thread, which has none of its own.
    pub(crate) fn of_programs(whose: UsageOf) -> Self {
        let usage = || getrusage(UsageWho::RUSAGE_CHILDREN).ok();
        let usage = if whose == UsageOf::Process { usage() } else { None };
        usage.map_or_else(Self::default, |usage| Self::of(usage.as_ref()))
    }

    /// As the kernel tells it.
    pub(crate) fn of(usage: &libc::rusage) -> Self {
        let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        Self {
            user: time(usage.ru_utime),
            system: time(usage.ru_stime),
            minor_faults: usage.ru_minflt as u64,
            major_faults: usage.ru_majflt as u64,
            voluntary_switches: usage.ru_nvcsw as u64,
            involuntary_switches: usage.ru_nivcsw as u64,
            peak_resident: usage.ru_maxrss as u64 * 1024,
        }
    }

    /// What a process that is dead, or as good as that, and not reaped yet has cost, as /proc says: times in steps of some
    /// milliseconds. Reaping it would tell more, but not before the memory is torn down, nor of processes that another reaps.
    ///
    /// # Errors
    /// If there is no such process any more.
    pub(crate) fn of_process(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        // Fields are counted from 1, and the third follows the bracket that closes the name.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(100, |ticks| ticks.max(1) as u64);
        let time = |number: usize| Duration::from_nanos(field(number).saturating_mul(1_000_000_000) / ticks);
        let line = |name: &str| counter(&status.replace(":\t", " "), name).unwrap_or(0);
        Ok(Self {
            user: time(14),
            system: time(15),
            minor_faults: field(10),
            major_faults: field(12),
            voluntary_switches: line("voluntary_ctxt_switches"),
            involuntary_switches: line("nonvoluntary_ctxt_switches"),
            peak_resident: 0,
        })
    }

    /// What was added since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            minor_faults: self.minor_faults.saturating_sub(earlier.minor_faults),
            major_faults: self.major_faults.saturating_sub(earlier.major_faults),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(earlier.involuntary_switches),
            peak_resident: self.peak_resident,
        }
    }

    /// Together with that of another worker, or of another of its rank.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
            minor_faults: self.minor_faults.saturating_add(other.minor_faults),
            major_faults: self.major_faults.saturating_add(other.major_faults),
            voluntary_switches: self.voluntary_switches.saturating_add(other.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_add(other.involuntary_switches),
            peak_resident: self.peak_resident.max(other.peak_resident),
        }
    }

    /// As numbers that can be shared.
    pub(crate) fn words(&self) -> [u64; Self::WORDS] {
        [
            self.user.as_nanos() as u64,
            self.system.as_nanos() as u64,
            self.minor_faults,
            self.major_faults,
            self.voluntary_switches,
            self.involuntary_switches,
            self.peak_resident,
        ]
    }

    /// What such numbers stand for, whatever they are.
    pub(crate) fn of_words(words: [u64; Self::WORDS]) -> Self {
        let [user, system, minor_faults, major_faults, voluntary_switches, involuntary_switches, peak_resident] = words;
        let (user, system) = (Duration::from_nanos(user), Duration::from_nanos(system));
        Self { user, system, minor_faults, major_faults, voluntary_switches, involuntary_switches, peak_resident }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_touched_first_is_a_fault() {
        let before = Usage::now(UsageOf::Thread);
        let mut fresh = vec![0_u8; 64 << 20];
        for page in fresh.chunks_mut(4096) {
            page[0] = std::hint::black_box(1);
        }
        let after = Usage::now(UsageOf::Thread);
        assert!(after.since(&before).minor_faults > 0, "{before:?} {after:?}");
        assert!(after.peak_resident >= before.peak_resident && before.peak_resident > 0);
        assert_eq!(Usage::of_words(after.words()), after);
        assert_eq!(before.since(&after).minor_faults, 0);
    }

    #[test]
    fn proc_tells_the_same() {
        let before = Usage::now(UsageOf::Process);
        let told = Usage::of_process(std::process::id()).unwrap();
        assert!(told.minor_faults >= before.minor_faults, "{before:?} {told:?}");
        assert!(told.voluntary_switches > 0 || told.involuntary_switches > 0, "{told:?}");
        assert!(Usage::of_process(u32::MAX - 1).is_err());
    }
}
