//! Which CPUs there are, how they share caches and memory, and being bound to one.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::num::NonZero;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::futex;

/// How many CPUs this process may use, by affinity and cgroup, and by what Slurm gave it where it binds nobody: for each task, or else on
/// this machine.
pub(crate) fn count() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| {
        let granted = ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"].into_iter().find_map(granted);
        let here = std::thread::available_parallelism().map_or(1, NonZero::get);
        granted.map_or(here, |granted| granted.get().min(here))
    })
}

/// A number of CPUs in the environment, if there is one and it is one.
fn granted(name: &str) -> Option<NonZero<usize>> {
    env::var(name).ok()?.trim().parse().ok()
}

/// Binds the calling thread, and those that it starts from now on, to one CPU.
pub(crate) fn pin(cpu: usize) -> io::Result<()> {
    let mut one = CpuSet::new();
    one.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}

/// The CPU that the calling thread is on.
pub(crate) fn current() -> io::Result<usize> {
    Ok(nix::sched::sched_getcpu()?)
}

/// Moves the calling thread to a CPU that it may use and that is none of those `taken`, if there is one. It may be moved on from
/// there as from anywhere.
pub(crate) fn move_from(taken: &[usize]) -> io::Result<()> {
    let mine = sched_getaffinity(Pid::from_raw(0))?;
    let free = (0..CpuSet::count()).find(|&cpu| mine.is_set(cpu).unwrap_or(false) && !taken.contains(&cpu));
    if let Some(free) = free {
        pin(free)?;
        sched_setaffinity(Pid::from_raw(0), &mine)?;
    }
    Ok(())
}

/// What others may take of a CPU that is given to them for a moment, before it is known that they want it for long: less than a
/// time slice.
const MOMENT: Duration = Duration::from_micros(500);

/// What each of many who share a CPU may take longer: several times what it takes to look at a word and to give way again.
const TURN: Duration = Duration::from_micros(20);

/// How much longer than it took nothing is given away again, so that it costs a twentieth of the time at most.
const ABSTINENCE: u32 = 20;

/// The longest time for which nothing is given away: who wanted the CPU may have ended.
const LONGEST_ABSTINENCE: Duration = Duration::from_millis(100);

/// Lets others use the CPU for a moment (`sched_yield`), `sharers` of whom do no more with it than this. False if somebody wants it
/// for longer than that, which is found out by trying: it then had better be given up until there is something to do, for who
/// wakes up is served before those who go on computing, and who gives way after them.
pub(crate) fn give_way(sharers: u32) -> bool {
    /// Until when nothing is given away, in nanoseconds of the clock. No lock is behind it: a process may have been forked while another
    /// thread was in here.
    static UNTIL: AtomicU64 = AtomicU64::new(0);
    let before = futex::monotonic();
    if nanoseconds(before) < UNTIL.load(Ordering::Relaxed) {
        return false;
    }
    std::thread::yield_now();
    let after = futex::monotonic();
    let lost = after.saturating_sub(before);
    let long = lost > MOMENT + sharers * TURN;
    if long {
        UNTIL.store(nanoseconds(after + (lost * ABSTINENCE).min(LONGEST_ABSTINENCE)), Ordering::Relaxed);
    }
    !long
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}

/// The CPUs that this process may use, in the order in which workers are to have them: neighbours in rank are as far from each
/// other as the machine allows, so that few workers have as much cache and memory bandwidth as there is.
pub(crate) fn spread() -> io::Result<Vec<usize>> {
    let mine = sched_getaffinity(Pid::from_raw(0))?;
    let cpus = (0..CpuSet::count()).filter(|&cpu| mine.is_set(cpu).unwrap_or(false));
    Ok(in_order(cpus.map(CpuLocation::of).collect()))
}

/// Where a CPU is. What the system does not say is the same for all.
#[derive(Clone, Debug)]
struct CpuLocation {
    cpu: usize,
    /// Its memory.
    node: usize,
    /// The CPUs that it shares its last cache with.
    cache: String,
    /// Its core among those of its package.
    core: (usize, usize),
}

impl CpuLocation {
    fn of(cpu: usize) -> Self {
        let folder = format!("/sys/devices/system/cpu/cpu{cpu}");
        let text = |name: &str| fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default().trim().to_owned();
        let number = |name: &str| text(name).parse().ok();
        let names = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let node = names.filter_map(|name| name.to_str()?.strip_prefix("node")?.parse().ok()).next();
        Self {
            cpu,
            node: node.unwrap_or(0),
            cache: text("cache/index3/shared_cpu_list"),
            core: (number("topology/physical_package_id").unwrap_or(0), number("topology/core_id").unwrap_or(cpu)),
        }
    }
}

/// All first threads of cores before all second ones; of those a CPU of each node in turn, and in a node one of each cache.
fn in_order(cpus: Vec<CpuLocation>) -> Vec<usize> {
    let mut on_core = BTreeMap::new();
    let mut levels: Vec<BTreeMap<usize, BTreeMap<String, Vec<usize>>>> = Vec::new();
    for CpuLocation { cpu, node, cache, core } in cpus {
        let thread = on_core.entry((node, core)).or_insert(0);
        if *thread == levels.len() {
            levels.push(BTreeMap::new());
        }
        levels[*thread].entry(node).or_default().entry(cache).or_default().push(cpu);
        *thread += 1;
    }
    let of_node = |caches: BTreeMap<String, Vec<usize>>| in_turns(caches.into_values().collect());
    levels.into_iter().flat_map(|nodes| in_turns(nodes.into_values().map(of_node).collect())).collect()
}

/// The first of each list, then the second of each, and so on.
fn in_turns(lists: Vec<Vec<usize>>) -> Vec<usize> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at).copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_may_use_some() {
        let cpus = spread().unwrap();
        assert!(!cpus.is_empty());
        std::thread::spawn(move || {
            for cpu in cpus {
                pin(cpu).unwrap();
                assert_eq!(spread().unwrap(), [cpu]);
            }
        })
        .join()
        .unwrap();
    }

    #[test]
    fn who_moves_away_may_be_moved_on() {
        let cpus = spread().unwrap();
        std::thread::spawn(move || {
            move_from(&cpus).unwrap();
            for cpu in &cpus {
                move_from(&[*cpu]).unwrap();
                assert_eq!(spread().unwrap(), cpus);
            }
        })
        .join()
        .unwrap();
    }

    /// Two nodes of two caches of two cores of two threads, numbered as Linux does: first threads of all cores first.
    #[test]
    fn neighbours_in_rank_are_far_apart() {
        let location = |cpu: usize| {
            let core = cpu % 8;
            CpuLocation { cpu, node: core / 4, cache: format!("{}", core / 2), core: (core / 4, core) }
        };
        let order = in_order((0..16).map(location).collect());
        assert_eq!(order, [0, 4, 2, 6, 1, 5, 3, 7, 8, 12, 10, 14, 9, 13, 11, 15]);
    }

    #[test]
    fn nodes_of_unequal_size_run_out_one_by_one() {
        let location = |(cpu, node)| CpuLocation { cpu, node, cache: String::new(), core: (node, cpu) };
        assert_eq!(in_order([(0, 0), (1, 0), (2, 0), (3, 1)].map(location).to_vec()), [0, 3, 1, 2]);
    }
}
