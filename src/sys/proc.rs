//! What /proc says of a process.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

/// How many threads this process has.
pub(crate) fn threads() -> io::Result<usize> {
    // A folder has a link for itself, for its name, and for each folder in it. 2 us; to read `stat` takes 15.
    let links = fs::metadata("/proc/self/task")?.nlink();
    links.checked_sub(2).map(|threads| threads as usize).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The name of this program.
pub(crate) fn program() -> &'static str {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| {
        let path = std::env::args_os().next().unwrap_or_default();
        std::path::Path::new(&path).file_name().unwrap_or_default().to_string_lossy().into_owned()
    })
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> io::Result<u32> {
    field(&pid.to_string(), 4)?.parse().map_err(io::Error::other)
}

/// What is said of a process that has a CPU, or waits for one.
const RUNNING: &str = "running";

/// What is said of a process that waits for something.
pub(crate) const ASLEEP: &str = "asleep in a system call";

/// What is said of a process that somebody has stopped.
pub(crate) const STOPPED: &str = "stopped";

/// What is said of a process that is about to end, or has ended and was not reaped.
pub(crate) const ENDING: &str = "ending";

/// What a process is doing, in words.
pub(crate) fn state(pid: u32) -> io::Result<&'static str> {
    Ok(match field(&pid.to_string(), 3)?.as_str() {
        "R" => RUNNING,
        "S" => ASLEEP,
        "D" => "in a system call that cannot be interrupted",
        "T" | "t" => STOPPED,
        _ => ENDING,
    })
}

/// As [`state`], for words that a person reads. One that waits for its children wakes now and then to look after them, and is asleep
/// a moment later.
pub(crate) fn settled_state(pid: u32) -> io::Result<&'static str> {
    for _ in 0..5 {
        if state(pid)? != RUNNING || children(pid).is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    state(pid)
}

/// The children of a process, where the kernel lists them.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// The address of the futex that a process's first thread is asleep on, if it is.
pub(crate) fn sleeps_on(pid: u32) -> io::Result<Option<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/syscall"))?;
    let mut words = text.split_whitespace();
    let is_futex = words.next().and_then(|number| number.parse().ok()) == Some(libc::SYS_futex);
    let address = words.next().and_then(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    Ok(address.filter(|_| is_futex))
}

/// The numbers of all processes that there are.
pub(crate) fn all() -> io::Result<impl Iterator<Item = u32>> {
    Ok(fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// Whose process it is: a number of a user.
pub(crate) fn owner(pid: u32) -> io::Result<u32> {
    Ok(fs::metadata(format!("/proc/{pid}"))?.uid())
}

/// When a process was started, in ticks since the machine was: no two processes of a number have the same.
pub(crate) fn started(pid: u32) -> io::Result<u64> {
    field(&pid.to_string(), 22)?.parse().map_err(io::Error::other)
}

/// Whether any process has this number, as far as this one can know.
pub(crate) fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().filter(|&pid| pid > 0).map(nix::unistd::Pid::from_raw);
    pid.is_some_and(|pid| nix::sys::signal::kill(pid, None) != Err(nix::errno::Errno::ESRCH))
}

/// Whether processes that are forked from this one may open what it has open later: not if it is not dumpable, unless they are
/// privileged.
pub(crate) fn is_open_to_forks() -> bool {
    const CAP_SYS_PTRACE: u64 = 1 << 19;
    let privileged = || {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        Some(u64::from_str_radix(line.trim(), 16).ok()? & CAP_SYS_PTRACE != 0)
    };
    nix::sys::prctl::get_dumpable().unwrap_or(true) || privileged() == Some(true)
}

/// What is said of a coordinator that is not dumpable.
pub(crate) const NOT_DUMPABLE: &str = "this process is not dumpable (prctl PR_SET_DUMPABLE, a change of its user, file capabilities), so \
     that workers who stay may not open the arrays that it lends them. Call prctl(PR_SET_DUMPABLE, 1), or run jobs without a crew";

/// Why what another process has open cannot be opened, given the system's word.
pub(crate) fn why_closed(pid: u32, refused: io::Error) -> io::Error {
    // The folder belongs to root if the process is not dumpable, whoever has that.
    let folder = fs::metadata(format!("/proc/{pid}/fd"));
    let closed = refused.kind() == io::ErrorKind::PermissionDenied && folder.is_ok_and(|folder| folder.uid() == 0);
    if closed {
        io::Error::new(refused.kind(), format!("of the coordinator (pid {pid}): {NOT_DUMPABLE}"))
    } else {
        refused
    }
}

/// A number for the time since the machine was started, which no other such time has.
pub(crate) fn boot() -> io::Result<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).map(u128::to_be_bytes).map_err(io::Error::other)
}

/// The namespace of a kind that this process is in; 0 if the kernel has none of that kind.
pub(crate) fn namespace(kind: &str) -> u64 {
    fs::metadata(format!("/proc/self/ns/{kind}")).map_or(0, |namespace| namespace.ino())
}

/// Whether children of this process would be in another PID namespace than it is.
pub(crate) fn children_live_apart() -> bool {
    let namespace = |name| fs::metadata(format!("/proc/self/ns/{name}")).map(|namespace| namespace.ino());
    match (namespace("pid"), namespace("pid_for_children")) {
        (Ok(own), Ok(childrens)) => own != childrens,
        // Theirs has no process yet.
        (Ok(_), Err(error)) => error.kind() == io::ErrorKind::NotFound,
        (Err(_), _) => false,
    }
}

/// A process's own number for itself; another than ours where it lives in a namespace of its own.
pub(crate) fn own_number(pid: u32) -> io::Result<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let number = line.map_or(Some(pid), |line| line.split_whitespace().next_back()?.parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The descriptors of a process that lead to memory of this name: number, and inode.
pub(crate) fn memory_named(pid: u32, name: &str) -> io::Result<Vec<(u64, u64)>> {
    let target = std::path::PathBuf::from(format!("/memfd:{name} (deleted)"));
    let found = |entry: fs::DirEntry| {
        let leads_there = fs::read_link(entry.path()).is_ok_and(|leads| leads == target);
        let number = entry.file_name().to_str()?.parse().ok().filter(|_| leads_there)?;
        Some((number, fs::metadata(entry.path()).ok()?.ino()))
    };
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.flatten().filter_map(found).collect())
}

/// The status of a process as `wait` would give it, if all of its threads are in the kernel for good.
pub(crate) fn code_of_exiting(pid: u32) -> Option<i32> {
    /// PF_EXITING of linux/sched.h, among the flags of a task.
    const EXITING: u32 = 4;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let flags: u32 = field(&format!("{pid}/task/{}", task.ok()?.file_name().to_str()?), 9).ok()?.parse().ok()?;
        if flags & EXITING == 0 {
            return None;
        }
    }
    field(&pid.to_string(), 52).ok()?.parse().ok()
}

/// A field of proc_pid_stat(5), counted from 1. The command's name, field 2, may hold spaces, so count from its closing
/// bracket.
fn field(pid: &str, number: usize) -> io::Result<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().nth(number - 3).map(str::to_owned).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Bytes of addresses that this process has mapped: what RLIMIT_AS limits.
pub(crate) fn address_bytes() -> io::Result<u64> {
    pages(1)
}

/// Bytes of this process's data: what RLIMIT_DATA limits (and its stack, which is little).
pub(crate) fn data_bytes() -> io::Result<u64> {
    pages(6)
}

/// A field of /proc/self/statm, counted from 1, in bytes.
fn pages(number: usize) -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_whitespace().nth(number - 1).and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.ok_or(io::ErrorKind::InvalidData)? * super::page::page_size() as u64)
}

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize))]
pub struct Memory {
    /// Pages that only this process maps.
    #[cfg_attr(feature = "record", serde(rename = "private_bytes"))]
    pub private: u64,
    /// Pages that others map as well.
    #[cfg_attr(feature = "record", serde(rename = "shared_bytes"))]
    pub shared: u64,
    /// Private pages, plus each shared page divided by how many share it. Summed over all processes of a job it is
    /// what the job uses.
    #[cfg_attr(feature = "record", serde(rename = "proportional_bytes"))]
    pub proportional: u64,
}

impl Memory {
    /// Reads `/proc/self/smaps_rollup`; the time it takes grows with the pages mapped.
    ///
    /// # Errors
    /// Where /proc is not mounted, or the kernel is older than 4.14.
    pub fn of_this_process() -> io::Result<Self> {
        Self::of(std::process::id())
    }

    /// As [`of_this_process`](Self::of_this_process), of another one of the same user.
    ///
    /// # Errors
    /// Also if there is no such process, or it is not for this one to look at.
    pub fn of(pid: u32) -> io::Result<Self> {
        Self::read(&fs::File::open(format!("/proc/{pid}/smaps_rollup"))?)
    }

    /// What [`read`](Self::read) reads of this process.
    pub(crate) fn gauge() -> io::Result<fs::File> {
        fs::File::open("/proc/self/smaps_rollup")
    }

    /// As a file of that name tells it, which is read for the first time.
    pub(crate) fn read(rollup: &fs::File) -> io::Result<Self> {
        let mut memory = Self::default();
        for line in BufReader::new(rollup).lines() {
            let line = line?;
            let mut words = line.split_whitespace();
            let (Some(name), Some(Ok(kib))) = (words.next(), words.next().map(str::parse::<u64>)) else { continue };
            match name {
                "Private_Clean:" | "Private_Dirty:" | "Private_Hugetlb:" => memory.private += kib * 1024,
                "Shared_Clean:" | "Shared_Dirty:" | "Shared_Hugetlb:" => memory.shared += kib * 1024,
                "Pss:" => memory.proportional = kib * 1024,
                _ => {}
            }
        }
        Ok(memory)
    }

    /// Together with another's.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            private: self.private + other.private,
            shared: self.shared + other.shared,
            proportional: self.proportional + other.proportional,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_threads() {
        std::thread::scope(|scope| {
            let (hold, held) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || held.recv());
            assert!(threads().unwrap() >= 2);
            drop(hold);
        });
    }

    #[test]
    fn this_process_uses_memory() {
        let memory = Memory::of_this_process().unwrap();
        assert!(memory.private > 0 && memory.proportional >= memory.private);
    }
}
