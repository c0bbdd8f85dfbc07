//! System calls in words: those that jobs make, with their arguments' names.

use std::fmt::Write as _;

use libc::{c_int, c_long};
use nix::errno::Errno;

use super::MARK;
use super::ptrace::Call;

/// What an argument is.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    Address,
    /// Bytes, in the address before them.
    Text,
    /// One of some names.
    One(Names),
    /// Some of them, or the last alone for 0.
    Set(Names),
}

type Names = &'static [(c_int, &'static str)];

use Kind::{Address, Number, One, Set, Text};

macro_rules! names {
    ($($name:ident)+) => { &[$((libc::$name as c_int, stringify!($name))),+] };
}

const PROTECTION: Names = names![PROT_READ PROT_WRITE PROT_EXEC PROT_NONE];
const MAP: Names =
    names![MAP_SHARED MAP_PRIVATE MAP_FIXED MAP_ANONYMOUS MAP_NORESERVE MAP_FIXED_NOREPLACE MAP_STACK MAP_POPULATE];
const MEMFD: Names = names![MFD_CLOEXEC MFD_ALLOW_SEALING];
const FCNTL: Names = names![F_ADD_SEALS F_GET_SEALS F_GETFD F_SETFD F_GETFL F_SETFL F_DUPFD_CLOEXEC];
const SEALS: Names = names![F_SEAL_SEAL F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE F_SEAL_FUTURE_WRITE];
const ADVICE: Names = names![MADV_DONTFORK MADV_COLLAPSE MADV_HUGEPAGE MADV_DONTNEED MADV_DONTDUMP];
const CLONE: Names = names![CLONE_VM CLONE_CHILD_SETTID CLONE_CHILD_CLEARTID SIGCHLD];
const FUTEX: Names = names![FUTEX_WAIT FUTEX_WAKE FUTEX_WAIT_BITSET FUTEX_WAKE_BITSET];
const PRCTL: Names = names![PR_SET_PDEATHSIG PR_SET_NAME PR_SET_VMA];
const SIGNALS: Names =
    names![SIGHUP SIGINT SIGBUS SIGFPE SIGILL SIGSEGV SIGTRAP SIGSYS SIGTERM SIGKILL SIGCONT SIGCHLD SIGABRT SIGPIPE];
const MASK: Names = names![SIG_BLOCK SIG_UNBLOCK SIG_SETMASK];
const WHOSE: Names = names![P_ALL P_PID P_PIDFD];
const HOW: Names = names![WEXITED WNOHANG];
const PUNCH: Names = names![FALLOC_FL_KEEP_SIZE FALLOC_FL_PUNCH_HOLE];

/// What jobs ask of the system. Arguments that say nothing to people are left out at the end.
const KNOWN: &[(c_long, &str, &[Kind])] = &[
    (libc::SYS_memfd_create, "memfd_create", &[Text, Set(MEMFD)]),
    (libc::SYS_ftruncate, "ftruncate", &[Number, Number]),
    (libc::SYS_fallocate, "fallocate", &[Number, Set(PUNCH), Number, Number]),
    (libc::SYS_fcntl, "fcntl", &[Number, One(FCNTL), Set(SEALS)]),
    (libc::SYS_fstat, "fstat", &[Number]),
    (libc::SYS_mmap, "mmap", &[Address, Number, Set(PROTECTION), Set(MAP), Number, Number]),
    (libc::SYS_mprotect, "mprotect", &[Address, Number, Set(PROTECTION)]),
    (libc::SYS_madvise, "madvise", &[Address, Number, One(ADVICE)]),
    (libc::SYS_munmap, "munmap", &[Address, Number]),
    (libc::SYS_brk, "brk", &[Address]),
    (libc::SYS_clone, "clone", &[Set(CLONE)]),
    (libc::SYS_futex, "futex", &[Address, One(FUTEX), Number]),
    (libc::SYS_futex_waitv, "futex_waitv", &[Address, Number]),
    (libc::SYS_set_robust_list, "set_robust_list", &[Address, Number]),
    (libc::SYS_set_tid_address, "set_tid_address", &[Address]),
    (libc::SYS_prctl, "prctl", &[One(PRCTL), Number]),
    (libc::SYS_prlimit64, "prlimit64", &[Number, Number]),
    (libc::SYS_sigaltstack, "sigaltstack", &[Address]),
    (libc::SYS_rt_sigaction, "rt_sigaction", &[One(SIGNALS)]),
    (libc::SYS_rt_sigprocmask, "rt_sigprocmask", &[One(MASK)]),
    (libc::SYS_getpid, "getpid", &[]),
    (libc::SYS_getppid, "getppid", &[]),
    (libc::SYS_gettid, "gettid", &[]),
    (libc::SYS_kill, "kill", &[Number, One(SIGNALS)]),
    (libc::SYS_pidfd_open, "pidfd_open", &[Number, Number]),
    (libc::SYS_pidfd_send_signal, "pidfd_send_signal", &[Number, One(SIGNALS)]),
    (libc::SYS_waitid, "waitid", &[One(WHOSE), Number, Address, Set(HOW)]),
    (libc::SYS_wait4, "wait4", &[Number]),
    (libc::SYS_sched_yield, "sched_yield", &[]),
    (libc::SYS_sched_getaffinity, "sched_getaffinity", &[Number]),
    (libc::SYS_getrandom, "getrandom", &[Address, Number]),
    (libc::SYS_openat, "openat", &[Number, Text]),
    (libc::SYS_statx, "statx", &[Number, Text]),
    (libc::SYS_newfstatat, "newfstatat", &[Number, Text]),
    (libc::SYS_readlinkat, "readlinkat", &[Number, Text]),
    (libc::SYS_getdents64, "getdents64", &[Number]),
    (libc::SYS_lseek, "lseek", &[Number, Number]),
    (libc::SYS_read, "read", &[Number, Address, Number]),
    (libc::SYS_write, "write", &[Number, Address, Number]),
    (libc::SYS_pread64, "pread64", &[Number, Address, Number, Number]),
    (libc::SYS_pwrite64, "pwrite64", &[Number, Address, Number, Number]),
    (libc::SYS_pipe2, "pipe2", &[Address]),
    (libc::SYS_close, "close", &[Number]),
    (libc::SYS_rseq, "rseq", &[Address]),
    (libc::SYS_exit, "exit", &[Number]),
    (libc::SYS_exit_group, "exit_group", &[Number]),
];

fn known(number: i64) -> Option<&'static (c_long, &'static str, &'static [Kind])> {
    KNOWN.iter().find(|(known, ..)| *known == number)
}

/// What bytes are wanted of a call: a name, or what is written to nowhere.
pub(super) fn wanted(number: i64, arguments: &[u64; 6]) -> Option<(usize, usize)> {
    const LONGEST_NAME: usize = 256;
    const LONGEST_MARK: usize = 1 << 16;
    if is_mark_of(number, arguments) {
        return Some((1, (arguments[2] as usize).min(LONGEST_MARK)));
    }
    let (_, _, kinds) = known(number)?;
    kinds.iter().position(|kind| matches!(kind, Text)).map(|at| (at, LONGEST_NAME))
}

/// Whether it is a call to [`mark`](super::mark).
pub(super) fn is_mark(call: &Call) -> bool {
    is_mark_of(call.number, &call.arguments)
}

fn is_mark_of(number: i64, arguments: &[u64; 6]) -> bool {
    number == libc::SYS_write && arguments[0] as i32 == MARK
}

/// The name of a call.
pub(super) fn name(number: i64) -> String {
    known(number).map_or_else(|| format!("call {number}"), |(_, name, _)| (*name).to_owned())
}

/// A call as strace shows it, or nearly so.
pub(super) fn text(call: &Call) -> String {
    let mut text = format!("{}(", name(call.number));
    let kinds = known(call.number).map_or(&[][..], |(_, _, kinds)| kinds);
    for (at, (kind, value)) in kinds.iter().zip(call.arguments).enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(&argument(*kind, value, &call.bytes));
    }
    text.push(')');
    match call.result {
        None => {}
        Some(error @ -4095..0) => {
            let _ = write!(text, " = -1 {:?}", Errno::from_raw(-error as i32));
        }
        Some(address) if [libc::SYS_mmap, libc::SYS_brk].contains(&call.number) => {
            let _ = write!(text, " = {address:#x}");
        }
        Some(result) => {
            let _ = write!(text, " = {result}");
        }
    }
    text
}

fn argument(kind: Kind, value: u64, bytes: &[u8]) -> String {
    // Most are ints, of which the upper half of the register says nothing.
    let int = value as i32;
    match kind {
        Number if i64::from(int) == value as i64 || value >> 32 == 0 => int.to_string(),
        Number => (value as i64).to_string(),
        Address if value == 0 => "NULL".to_owned(),
        Address => format!("{value:#x}"),
        Text => {
            let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
            format!("\"{}\"", String::from_utf8_lossy(&bytes[..end]).escape_debug())
        }
        One(names) => {
            let found = names.iter().find(|(number, _)| *number == int);
            found.map_or_else(|| int.to_string(), |(_, name)| (*name).to_owned())
        }
        Set(names) => set(names, int),
    }
}

/// The names of the bits of a number.
fn set(names: Names, mut value: c_int) -> String {
    if let Some((_, name)) = names.iter().find(|(number, _)| *number == value) {
        return (*name).to_owned();
    }
    let mut found = Vec::new();
    for (bits, name) in names.iter().filter(|(bits, _)| *bits != 0) {
        if value & bits == *bits {
            found.push((*name).to_owned());
            value &= !bits;
        }
    }
    if value != 0 || found.is_empty() {
        found.push(if value == 0 { "0".to_owned() } else { format!("{value:#x}") });
    }
    found.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: c_long, arguments: [u64; 6], bytes: &[u8], result: Option<i64>) -> String {
        text(&Call { pid: 1, number, arguments, bytes: bytes.to_vec(), result })
    }

    #[test]
    fn calls_read_as_strace_shows_them() {
        let shared = (libc::MAP_SHARED | libc::MAP_FIXED) as u64;
        let mapped = call(libc::SYS_mmap, [0, 4096, 3, shared, 3, 0], b"", Some(0x7f00_0000_1000));
        assert_eq!(mapped, "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_FIXED, 3, 0) = 0x7f0000001000");
        let none = call(libc::SYS_mmap, [0x1000, 4096, 0, 0x22, u64::MAX, 0], b"", Some(-12));
        assert_eq!(none, "mmap(0x1000, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = -1 ENOMEM");
        let made = call(libc::SYS_memfd_create, [1, 3, 0, 0, 0, 0], b"parfork\0rubbish", Some(5));
        assert_eq!(made, "memfd_create(\"parfork\", MFD_CLOEXEC|MFD_ALLOW_SEALING) = 5");
        let sealed = call(libc::SYS_fcntl, [5, libc::F_ADD_SEALS as u64, 6, 0, 0, 0], b"", Some(0));
        assert_eq!(sealed, "fcntl(5, F_ADD_SEALS, F_SEAL_SHRINK|F_SEAL_GROW) = 0");
        assert_eq!(call(libc::SYS_exit_group, [0; 6], b"", None), "exit_group(0)");
        assert_eq!(call(9999, [7; 6], b"", Some(0)), "call 9999() = 0");
        assert_eq!(call(libc::SYS_fallocate, [3, 0, 0, 128, 0, 0], b"", Some(0)), "fallocate(3, 0, 0, 128) = 0");
    }

    #[test]
    fn only_marks_are_marks() {
        let write = libc::SYS_write;
        assert!(is_mark_of(write, &[u64::MAX, 0, 0, 0, 0, 0]) && is_mark_of(write, &[0xffff_ffff, 0, 0, 0, 0, 0]));
        assert!(!is_mark_of(write, &[1, 0, 0, 0, 0, 0]));
        assert_eq!(wanted(write, &[u64::MAX, 0, 99, 0, 0, 0]), Some((1, 99)));
        assert_eq!(wanted(write, &[1, 0, 99, 0, 0, 0]), None);
    }
}
