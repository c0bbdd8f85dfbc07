//! Taking away from this process what a worker has no use for: files, sockets, programs, other processes.
//!
//! 1. Landlock forbids all of the file system, TCP, and signals to processes outside (as far as the kernel knows these).
//! 2. Its standard streams are pipes to the coordinator, every other descriptor but those named is closed, and no new one can be had
//!    (RLIMIT_NOFILE).
//! 3. It has no capabilities.
//! 4. seccomp lets through the system calls that computing takes (`calls.rs` has the lists). All others are reported to the coordinator,
//!    which kills the worker (`reports.rs`); where the kernel cannot report, it kills.
//!
//! Each alone would keep files closed; together they do where one is missing or wrong. Nothing of it can be taken back. The
//! filters are made in the worker, for they hold its number: `kill` and `tgkill` may reach nobody else.
#![allow(unsafe_code)]

mod calls;
mod capabilities;
mod filter;
mod outputs;
mod program;
mod reports;
mod trap;

use std::io;
use std::os::fd::RawFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated, Scope,
};
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::SeccompAction;

use super::descriptors;

pub(crate) use calls::name as call_name;
pub(crate) use outputs::Outputs;
pub(crate) use program::enter_as_program;
pub(crate) use reports::{Receiver, Report, Reports};

/// What this kernel can enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Support {
    /// Whether it has Landlock, of whatever version, and lets this process use it.
    pub(crate) landlock: bool,
    /// Whether Landlock keeps signals to the processes that a confined one has started (Linux 6.12).
    pub(crate) scopes: bool,
    /// Whether it filters system calls.
    pub(crate) seccomp: bool,
    /// Whether it can tell another process of a call that a filter does not let through (Linux 5.0).
    pub(crate) reports: bool,
}

impl Support {
    /// Asks the kernel.
    pub(crate) fn of_this_kernel() -> Self {
        let hard = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        Self {
            landlock: ruleset(CompatLevel::HardRequirement, ABI::V1).is_ok(),
            scopes: hard().scope(Scope::from_all(NEWEST)).and_then(Ruleset::create).is_ok(),
            seccomp: has_action(libc::SECCOMP_RET_TRAP) && has_action(libc::SECCOMP_RET_KILL_PROCESS),
            reports: has_action(libc::SECCOMP_RET_USER_NOTIF),
        }
    }
}

fn has_action(action: u32) -> bool {
    // SAFETY: three integers and the address of a live one, which the kernel reads.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// All that Landlock of this version can forbid, as far as the kernel has it if that will do.
fn ruleset(level: CompatLevel, abi: ABI) -> io::Result<RulesetCreated> {
    let handled = Ruleset::default().set_compatibility(level).handle_access(AccessFs::from_all(abi));
    let handled = match level {
        CompatLevel::BestEffort => handled
            .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
            .and_then(|rules| rules.scope(Scope::from_all(abi))),
        _ => handled,
    };
    handled.and_then(Ruleset::create).map_err(io::Error::other)
}

/// The version whose rights are handled where the kernel has them: Linux 6.12.
const NEWEST: ABI = ABI::V6;

/// What a worker is to be confined to, made ready before it is forked.
#[derive(Debug)]
pub(crate) struct PreparedSandbox {
    rules: Option<RulesetCreated>,
    support: Support,
}

impl PreparedSandbox {
    /// As strong as the kernel can make it.
    ///
    /// # Errors
    /// If it refuses a set of rules though it knows Landlock.
    pub(crate) fn new(support: Support) -> io::Result<Self> {
        let rules = support.landlock.then(|| ruleset(CompatLevel::BestEffort, NEWEST)).transpose()?;
        Ok(Self { rules, support })
    }

    /// Confines this process for ever. Of its descriptors it keeps the standard streams and these. Calls that are not let through are
    /// reported as worker `rank`'s, if there is somebody to report to.
    ///
    /// # Errors
    /// If the kernel refuses; the process may be confined in part then.
    pub(crate) fn enter(&self, keep: &[RawFd], reports: Option<(&Reports, usize)>) -> io::Result<()> {
        if let Some(rules) = &self.rules {
            rules.try_clone()?.restrict_self().map_err(io::Error::other)?;
        }
        let reports = reports.filter(|_| self.support.seccomp && self.support.reports);
        let kept: Vec<RawFd> = keep.iter().copied().chain(reports.map(|(reports, _)| reports.descriptor())).collect();
        close_all_but(&kept)?;
        capabilities::drop_all()?;
        // A core dump would be a file, with all that was lent in it.
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
        // A listener takes the lowest number that is free, and stays there: nobody can use it but through calls that are not let through.
        let free = (0..).find(|fd| *fd > 2 && !kept.contains(fd)).unwrap_or(RawFd::MAX);
        let descriptors = if reports.is_some() { free as u64 + 1 } else { 0 };
        setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors)?;
        if self.support.seccomp { filter_calls(reports) } else { Ok(()) }
    }
}

/// Lets through the system calls that computing takes.
fn filter_calls(reports: Option<(&Reports, usize)>) -> io::Result<()> {
    /// What this function itself has yet to do when the first filter is in force.
    const LAST_STEPS: [filter::Call; 2] = [(libc::SYS_seccomp, "SYS_seccomp"), (libc::SYS_sendmsg, "SYS_sendmsg")];
    let opening = filter::compile(filter::always(calls::OPENING), SeccompAction::Trap, SeccompAction::Allow)?;
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    let answered = filter::always(calls::ANSWERED.iter().chain(&LAST_STEPS));
    let answered = filter::compile(answered, missing, SeccompAction::Allow)?;
    let mut rules = calls::let_through(std::process::id());
    rules.extend(filter::always(&LAST_STEPS));
    let killing = || filter::compile(rules.clone(), SeccompAction::Allow, SeccompAction::KillProcess);
    trap::set()?;
    filter::install(&opening)?;
    match reports {
        None => filter::install(&killing()?)?,
        Some((reports, rank)) => {
            match filter::install_with_listener(&filter::compile(rules.clone(), SeccompAction::Allow, filter::REPORT)?)
            {
                Ok(listener) => {
                    reports.send(rank, &listener)?;
                    std::mem::forget(listener);
                }
                // Whoever confines this container is told of calls already, and a process has one listener.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => filter::install(&killing()?)?,
                Err(error) => return Err(error),
            }
        }
    }
    // The stricter of two filters counts.
    filter::install(&answered)
}

/// Closes every descriptor but the standard streams and these. Values that own one of them are not to be used any more.
fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep.iter().chain(&[0, 1, 2]).filter_map(|&fd| u32::try_from(fd).ok()).collect();
    kept.sort_unstable();
    let mut next = 0;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > next {
            let last = if fd == u32::MAX { fd } else { fd - 1 };
            // SAFETY: three integers; no memory is touched.
            if unsafe { libc::syscall(libc::SYS_close_range, next, last, 0) } != 0 {
                // Older kernels and the profiles of some containers do not know the call.
                let within = |fd: &RawFd| u32::try_from(*fd).is_ok_and(|fd| (next..=last).contains(&fd));
                for fd in descriptors::all().into_iter().filter(within) {
                    // SAFETY: an integer; nobody uses what owns the descriptor any more.
                    unsafe { libc::close(fd) };
                }
            }
        }
        next = fd.saturating_add(1);
    }
    Ok(())
}
