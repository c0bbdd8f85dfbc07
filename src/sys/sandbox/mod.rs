//! Taking away from this process what a worker has no use for: files, sockets, programs, other processes.
//!
//! 1. Landlock forbids all of the file system, TCP, and signals to processes outside (as far as the kernel knows these).
//! 2. Every descriptor but stdout, stderr and those named is closed, and no new one can be had (RLIMIT_NOFILE).
//! 3. seccomp lets through the system calls that computing takes, and traps all others (`calls.rs` has the lists).
//!
//! Each alone would keep files closed; together they do where one is missing or wrong. Nothing of it can be taken back. The
//! filters are made in the worker, for they hold its number: `kill` and `tgkill` may reach nobody else.
#![allow(unsafe_code)]

mod calls;
mod trap;

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope,
};
use nix::errno::Errno;
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, apply_filter};

pub(crate) use calls::name as call_name;

/// What this kernel can enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Support {
    /// Whether it has Landlock, of whatever version, and lets this process use it.
    pub(crate) landlock: bool,
    /// Whether it filters system calls, and can say which one was refused.
    pub(crate) seccomp: bool,
}

impl Support {
    /// Asks the kernel.
    pub(crate) fn of_this_kernel() -> Self {
        Self { landlock: ruleset(CompatLevel::HardRequirement, ABI::V1).is_ok(), seccomp: has_seccomp() }
    }
}

fn has_seccomp() -> bool {
    let action: u32 = libc::SECCOMP_RET_TRAP;
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
pub(crate) struct Cell {
    rules: Option<RulesetCreated>,
    seccomp: bool,
}

impl Cell {
    /// As strong as the kernel can make it.
    ///
    /// # Errors
    /// If it refuses a set of rules though it knows Landlock.
    pub(crate) fn new(support: Support) -> io::Result<Self> {
        let rules = support.landlock.then(|| ruleset(CompatLevel::BestEffort, NEWEST)).transpose()?;
        Ok(Self { rules, seccomp: support.seccomp })
    }

    /// Confines this process for ever. Of its descriptors it keeps stdout, stderr and these.
    ///
    /// # Errors
    /// If the kernel refuses; the process may be confined in part then.
    pub(crate) fn enter(&self, keep: &[RawFd]) -> io::Result<()> {
        if let Some(rules) = &self.rules {
            rules.try_clone()?.restrict_self().map_err(io::Error::other)?;
        }
        close_all_but(keep)?;
        // A core dump would be a file, with all that was lent in it.
        for limit in [Resource::RLIMIT_CORE, Resource::RLIMIT_NOFILE] {
            setrlimit(limit, 0, 0)?;
        }
        if self.seccomp {
            let [first, last] = [answered(), allowed(std::process::id())].map(compiled);
            trap::set()?;
            apply_filter(&first?).map_err(io::Error::other)?;
            apply_filter(&last?).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

/// Confines this process, and the program that it is about to become: it can read and run what is beneath these paths, write what
/// is open already and to `/dev/null`, and make no sockets; it cannot look into other processes or signal them.
///
/// # Errors
/// If one of the paths is not there, or the kernel refuses.
pub(crate) fn enter_as_program(support: Support, readable: &[PathBuf]) -> io::Result<()> {
    if support.landlock {
        let (read, write) = (AccessFs::from_read(NEWEST), AccessFs::WriteFile | AccessFs::ReadFile);
        let null = (PathBuf::from("/dev/null"), write);
        let mut rules = ruleset(CompatLevel::BestEffort, NEWEST)?;
        for (path, access) in readable.iter().cloned().map(|path| (path, read)).chain([null]) {
            // What can be done to a folder only is left out for a file.
            let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
            let beneath = PathBeneath::new(PathFd::new(path).map_err(io::Error::other)?, access);
            rules = rules.add_rule(beneath).map_err(io::Error::other)?;
        }
        rules.restrict_self().map_err(io::Error::other)?;
    }
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if support.seccomp {
        let rules = calls::FOR_NO_PROGRAM.iter().map(|&(call, _)| (call, Vec::new())).collect();
        let refused = SeccompAction::Errno(libc::EPERM as u32);
        apply_filter(&compiled((rules, SeccompAction::Allow, refused))?).map_err(io::Error::other)?;
    }
    Ok(())
}

/// Closes every descriptor but 1, 2 and these. Values that own one of them are not to be used any more.
fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep.iter().chain(&[1, 2]).filter_map(|&fd| u32::try_from(fd).ok()).collect();
    kept.sort_unstable();
    let mut next = 0;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if fd > next {
            let last = if fd == u32::MAX { fd } else { fd - 1 };
            // SAFETY: three integers; no memory is touched.
            Errno::result(unsafe { libc::syscall(libc::SYS_close_range, next, last, 0) })?;
        }
        next = fd.saturating_add(1);
    }
    Ok(())
}

type Rules = (BTreeMap<i64, Vec<SeccompRule>>, SeccompAction, SeccompAction);

fn compiled((rules, others, these): Rules) -> io::Result<BpfProgram> {
    let target = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, others, these, target).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

/// What is let through, for the process of this number.
fn allowed(pid: u32) -> Rules {
    let always = calls::COMPUTING.iter().chain(calls::ANSWERED).map(|&(call, _)| (call, Vec::new()));
    (always.chain(calls::with_conditions(pid)).collect(), SeccompAction::Trap, SeccompAction::Allow)
}

/// What gets the answer that there is no such call. The stricter of two filters counts, so this is one of its own.
fn answered() -> Rules {
    let rules = calls::ANSWERED.iter().map(|&(call, _)| (call, Vec::new()));
    (rules.collect(), SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))
}

/// Whether a call is one that gets the answer `EACCES`, and is noted, instead of ending the process: libraries open files that
/// they can do without.
fn is_open(call: c_int) -> bool {
    calls::OPENING.iter().any(|&(opening, _)| opening == i64::from(call))
}
