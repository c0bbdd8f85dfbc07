//! What this machine, this container and this process may use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// The one that gives least, of all that limit memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes that can still be had.
    pub(crate) bytes: u64,
    /// Who says so, for people.
    pub(crate) by: &'static str,
}

/// How much memory can still be had without anybody being killed for it; `None` where the kernel does not tell.
pub(crate) fn memory_room() -> Option<Room> {
    let ram = meminfo().map(|bytes| Room { bytes, by: "the memory available on this machine" });
    let group = cgroup_room().map(|bytes| Room { bytes, by: "this process's memory cgroup" });
    ram.into_iter().chain(group).min_by_key(|room| room.bytes)
}

/// How long this process may make a file (RLIMIT_FSIZE), which counts for shared memory too; `None` without a limit.
pub(crate) fn file_room() -> Option<Room> {
    let (soft, _) = getrlimit(Resource::RLIMIT_FSIZE).ok()?;
    (soft != RLIM_INFINITY).then_some(Room { bytes: soft, by: "this process's limit of file sizes (ulimit -f)" })
}

/// Refuses a file that would be longer than this process may make one: the kernel ends it for that, with SIGXFSZ.
pub(crate) fn check_file_length(bytes: u64) -> io::Result<()> {
    match file_room() {
        Some(room) if room.bytes < bytes => Err(io::Error::from_raw_os_error(libc::EFBIG)),
        _ => Ok(()),
    }
}

/// How many mappings a process may have, where the kernel tells.
pub(crate) fn most_mappings() -> Option<u64> {
    number(fs::read_to_string("/proc/sys/vm/max_map_count").ok())
}

/// How many processes this user may have (RLIMIT_NPROC); `None` without a limit.
pub(crate) fn process_limit() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NPROC).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}

/// How many bytes of addresses this process may still map (RLIMIT_AS), less than the 2 MiB that aligning a mapping may take;
/// `None` without a limit.
pub(crate) fn address_room() -> Option<Room> {
    let (soft, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    let used = super::proc::address_bytes().unwrap_or(0);
    let bytes = soft.saturating_sub(used).saturating_sub(2 << 20);
    (soft != RLIM_INFINITY).then_some(Room { bytes, by: "this process's limit of addresses (ulimit -v)" })
}

/// Lets this process have no more than `bytes` of data beyond what it has (RLIMIT_DATA: private memory that can be written,
/// touched or not), or as much as it may at most.
pub(crate) fn limit_private_memory(bytes: Option<u64>) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_DATA)?;
    let most = match bytes {
        Some(bytes) => super::proc::data_bytes()?.saturating_add(bytes).min(hard),
        None => hard,
    };
    Ok(setrlimit(Resource::RLIMIT_DATA, most, hard)?)
}

/// Lets this process have no more than `bytes` of addresses beyond what it has (RLIMIT_AS). RLIMIT_DATA counts what can be written; memory
/// that was written to, and can be read alone since, it does not.
pub(crate) fn limit_addresses(bytes: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_AS)?;
    let most = super::proc::address_bytes()?.saturating_add(bytes).min(hard);
    Ok(setrlimit(Resource::RLIMIT_AS, most, most)?)
}

/// `MemAvailable` and free swap of /proc/meminfo, in bytes: what can be had without pushing anybody out.
fn meminfo() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    Some(kib_field(&text, "MemAvailable:")? + kib_field(&text, "SwapFree:").unwrap_or(0))
}

pub(super) fn kib_field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What the memory cgroup of this process, or the tightest of its parents, leaves. File pages that can be dropped at
/// once count as free, as the kernel counts them.
fn cgroup_room() -> Option<u64> {
    let room = |group: &MemoryGroup| {
        let (limit, usage) = (group.limit()?, number(group.file("memory.current", "memory.usage_in_bytes"))?);
        let stats = fs::read_to_string(group.folder.join("memory.stat")).unwrap_or_default();
        let stat = if group.unified { "inactive_file" } else { "total_inactive_file" };
        Some(limit.saturating_sub(usage.saturating_sub(counter(&stats, stat).unwrap_or(0))))
    };
    MemoryGroup::of_this_process().iter().filter_map(room).min()
}

/// The bytes that the memory cgroup of this process, or the tightest of its parents, may use, if that is less than there is.
pub(crate) fn cgroup_limit() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let total = kib_field(&text, "MemTotal:")? + kib_field(&text, "SwapTotal:").unwrap_or(0);
    MemoryGroup::of_this_process().iter().filter_map(MemoryGroup::limit).min().filter(|&limit| limit < total)
}

/// A memory cgroup, of version 2 (unified) or 1.
pub(crate) struct MemoryGroup {
    folder: PathBuf,
    unified: bool,
}

impl MemoryGroup {
    /// This process's and all above it, from the inside outwards, as far as they can be seen.
    pub(super) fn of_this_process() -> Vec<Self> {
        Self::all(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    fn all(membership: &str) -> Vec<Self> {
        let mut groups = Vec::new();
        for line in membership.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let (root, unified) = match controllers {
                "" => ("/sys/fs/cgroup", true),
                _ if controllers.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", false),
                _ => continue,
            };
            groups.extend(
                Path::new(path).ancestors().map(|group| Self {
                    folder: Path::new(root).join(group.strip_prefix("/").unwrap_or(group)),
                    unified,
                }),
            );
        }
        groups
    }

    /// The text of one of its files, under the name that its version has for it.
    pub(crate) fn file(&self, unified: &str, before: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(if self.unified { unified } else { before })).ok()
    }

    fn limit(&self) -> Option<u64> {
        number(self.file("memory.max", "memory.limit_in_bytes"))
    }
}

fn number(text: Option<String>) -> Option<u64> {
    text?.trim().parse().ok()
}

/// The number after a name and a space, at the start of a line.
pub(crate) fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_meminfo() {
        let text = "MemTotal:  100 kB\nMemAvailable:   17 kB\nSwapFree:  3 kB\n";
        assert_eq!(kib_field(text, "MemAvailable:"), Some(17 * 1024));
        assert_eq!(kib_field(text, "Nonsense:"), None);
    }

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let text = "oom 3\noom_kill 17\noom_group_kill 1\nnonsense\noom_kill_disable x";
        assert_eq!((counter(text, "oom"), counter(text, "oom_kill")), (Some(3), Some(17)));
        assert_eq!((counter(text, "oom_"), counter(text, "oom_kill_disable"), counter("", "oom")), (None, None, None));
    }

    #[test]
    fn memory_groups_go_from_the_inside_outwards() {
        let folders = |text: &str| {
            MemoryGroup::all(text).into_iter().map(|group| group.folder.display().to_string()).collect::<Vec<_>>()
        };
        let both = "5:cpu,memory:/a/b\n1:name=systemd:/x\nnonsense\n0::/c\n";
        let memory = ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory/"];
        assert_eq!(folders(both), [&memory[..], &["/sys/fs/cgroup/c", "/sys/fs/cgroup/"]].concat());
        assert_eq!(folders("").len(), 0);
    }

    #[test]
    fn this_machine_has_some_room() {
        let room = memory_room().expect("/proc/meminfo is readable on Linux");
        assert!(room.bytes > 1 << 20 && room.bytes < 1 << 50, "{room:?}");
    }
}
