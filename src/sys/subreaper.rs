//! Finding and ending the processes that programs leave behind when they are killed.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::prctl::{get_child_subreaper, set_child_subreaper};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpgid, getpgrp};

use super::pidfd::{ENDING, LEAVING, Obstacle, Pidfd, Remaining};
use super::proc;

/// While it lives, processes whose parents end become children of this one, instead of init's: programs whose workers have died, and
/// what they have started. Dropping it ends them.
pub(crate) struct Subreaper {
    mark: String,
    /// Children that were there before.
    others: Vec<u32>,
    /// Whether they came here before, too.
    before: bool,
}

impl Subreaper {
    /// No tree of processes is so deep that more rounds are needed.
    const ROUNDS: usize = 100;

    /// The mark is a variable in their environment, whose value is this process's number.
    pub(crate) fn adopt(variable: &str) -> io::Result<Self> {
        let before = get_child_subreaper()?;
        set_child_subreaper(true)?;
        let own = std::process::id();
        Ok(Self { mark: format!("{variable}={own}"), others: proc::children(own), before })
    }

    /// Ends and reaps those that are here; those that cannot be ended. Not for while there are workers that have to do with
    /// programs: it knows none of those that still have a parent.
    pub(crate) fn end(&self) -> Vec<Remaining> {
        self.end_those(b"parfork-w")
    }

    /// Ends and reaps those that are here, among them processes of this one's own group whose name begins so.
    fn end_those(&self, unborn: &[u8]) -> Vec<Remaining> {
        let until = Instant::now() + ENDING;
        let mut remaining: Vec<Remaining> = Vec::new();
        // The children of those that were ended come next.
        for _ in 0..Self::ROUNDS {
            let news = |pid: &u32| !self.others.contains(pid) && remaining.iter().all(|it| it.pid != *pid);
            // Of children of this process the number is their own until they are reaped.
            let here: Vec<u32> = proc::children(std::process::id())
                .into_iter()
                .filter(news)
                .filter(|&pid| self.is_orphan(pid, unborn))
                .collect();
            if here.is_empty() {
                break;
            }
            // Those that tidy up do so when all others are gone.
            let (tidying, others): (Vec<u32>, Vec<u32>) = here.into_iter().partition(|&pid| tidies_up(pid));
            remaining.extend(others.into_iter().filter_map(|pid| end(pid, until)));
            if tidying.iter().all(|&pid| has_left(pid)) {
                continue;
            }
            remaining.extend(tidying.into_iter().filter_map(|pid| end(pid, until)));
        }
        remaining
    }

    /// Whether a child of this process is what a program has left. Workers and the fork server are in this process's own group, where
    /// no program ever is; but for one that has just been forked, and that was orphaned before it had a group, a mark and a name
    /// of its own: it has its worker's, or a worker the fork server's. The workers themselves were reaped. Where there are other threads, those may have started
    /// processes that are none of ours: what has the mark is, which a program can take out of the environment of what it starts.
    fn is_orphan(&self, pid: u32, unborn: &[u8]) -> bool {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let is_apart = || getpgid(Some(Pid::from_raw(pid as i32))).is_ok_and(|group| group != getpgrp());
        let is_unborn = || read("comm").starts_with(unborn);
        read("environ").split(|&byte| byte == 0).any(|variable| variable == self.mark.as_bytes())
            || proc::threads().is_ok_and(|threads| threads == 1) && (is_apart() || is_unborn())
    }
}

/// How long one that tidies up is given for it.
pub(super) const TIDYING: Duration = Duration::from_secs(2);

/// Whether a process is one of Python's that remove shared memory when those are gone who have made it (multiprocessing).
pub(super) fn tidies_up(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.windows(16).any(|part| part == b"resource_tracker")
}

/// Waits for a child that leaves by itself, and reaps it; whether it has left.
fn has_left(pid: u32) -> bool {
    let Ok(pidfd) = Pidfd::open(pid) else { return false };
    let left = pidfd.ends_by(Instant::now() + TIDYING);
    left && waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG).is_ok()
}

/// Ends and reaps a child; what is still there then.
fn end(pid: u32, until: Instant) -> Option<Remaining> {
    let pidfd = Pidfd::open(pid).ok()?;
    let refused = pidfd.signal(libc::SIGKILL).is_err();
    let until = if refused { until.min(Instant::now() + LEAVING) } else { until };
    if !pidfd.ends_by(until) {
        return Some(Remaining { pid, obstacle: if refused { Obstacle::NotPermitted } else { Obstacle::Slow } });
    }
    // One that somebody traces is left to be reaped by whoever comes after this process.
    let _ = waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
    None
}

impl Drop for Subreaper {
    fn drop(&mut self) {
        // The fork server is gone by now: what has its name was forked by it when it was killed.
        self.end_those(b"parfork-").iter().for_each(|remaining| eprintln!("parfork: {remaining}"));
        let _ = set_child_subreaper(self.before);
    }
}
