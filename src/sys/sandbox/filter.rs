//! Filters of system calls: compiled, and put in force for this process and all that it starts.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{c_long, c_ulong};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// A call's number and name.
pub(super) type Call = (i64, &'static str);

/// Calls by number, each with the rules of which one must hold; without any it counts always.
pub(super) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Stands for [`libc::SECCOMP_RET_USER_NOTIF`], for which the compiler has no word, until it has compiled.
pub(super) const REPORT: SeccompAction = SeccompAction::Trace(0x7066);

/// A condition on an argument of a call: its number, how it compares, with what. The kernel looks at the lower 32 bits of the numbers that
/// calls are told apart by, and so does this.
pub(super) type Test = (u8, SeccompCmpOp, u64);

/// These calls, whatever their arguments.
pub(super) fn always<'c>(calls: impl IntoIterator<Item = &'c Call>) -> Rules {
    calls.into_iter().map(|&(call, _)| (call, Vec::new())).collect()
}

/// That all of these hold. `None` if one is of an argument that no call has.
pub(super) fn all<const N: usize>(tests: [Test; N]) -> Option<SeccompRule> {
    rule(tests, SeccompCmpArgLen::Dword)
}

/// That an argument is a null pointer.
pub(super) fn is_null(argument: u8) -> Option<SeccompRule> {
    rule([(argument, SeccompCmpOp::Eq, 0)], SeccompCmpArgLen::Qword)
}

fn rule<const N: usize>(tests: [Test; N], length: SeccompCmpArgLen) -> Option<SeccompRule> {
    let condition = |(argument, operator, value)| SeccompCondition::new(argument, length.clone(), operator, value).ok();
    SeccompRule::new(tests.into_iter().map(condition).collect::<Option<_>>()?).ok()
}

/// A filter by which `calls` get `these`, and all others `others`. Processes of another architecture are killed.
pub(super) fn compile(calls: Rules, these: SeccompAction, others: SeccompAction) -> io::Result<BpfProgram> {
    let target = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(calls, others, these, target).map_err(io::Error::other)?;
    let mut program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    let report = u32::from(REPORT);
    for instruction in &mut program {
        if instruction.code == (libc::BPF_RET | libc::BPF_K) as u16 && instruction.k == report {
            instruction.k = libc::SECCOMP_RET_USER_NOTIF;
        }
    }
    Ok(program)
}

/// Lets calls with larger numbers than `last` get the answer `errno`, before the filter looks at them.
pub(super) fn refuse_above(program: &mut BpfProgram, last: u32, errno: i32) {
    let instruction = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let first = [
        // The number is the first word of what a filter is given.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 0, 1, last),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
    ];
    program.splice(0..0, first);
}

/// Puts a filter in force, for ever. This process can gain no privileges any more.
pub(super) fn install(program: &BpfProgram) -> io::Result<()> {
    seccomp(program, 0).map(drop)
}

/// As [`install`]; what arrives at this descriptor are the calls that are to be [reported](REPORT).
pub(super) fn install_with_listener(program: &BpfProgram) -> io::Result<OwnedFd> {
    let fd = seccomp(program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn seccomp(program: &BpfProgram, flags: c_ulong) -> io::Result<c_long> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: two integers and the address of a record that is live, as are the instructions that it names; the kernel reads both.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter) };
    Ok(Errno::result(done)?)
}
