//! Which system calls a confined worker may make, and what the others are called.

use seccompiler::{SeccompCmpOp, SeccompRule};

use super::filter::{Call, Rules, all, always, is_null};

macro_rules! calls {
    ($($(#[$where:meta])? $name:ident)+) => { &[$($(#[$where])? (libc::$name, stringify!($name))),+] };
}
pub(super) use calls;

/// What computing takes: memory, threads of the process's own, time, signals of its own, reading and writing what is open.
pub(super) const COMPUTING: &[Call] = calls! {
    SYS_brk SYS_munmap SYS_mprotect SYS_mremap SYS_madvise SYS_msync SYS_mincore SYS_membarrier
    SYS_futex SYS_futex_waitv SYS_set_robust_list SYS_set_tid_address SYS_rseq SYS_sched_yield SYS_sched_getaffinity
    SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday SYS_times
    SYS_getpid SYS_gettid SYS_getppid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getrusage SYS_getcpu
    SYS_uname SYS_sysinfo SYS_getrandom
    SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigpending SYS_sigaltstack SYS_restart_syscall
    SYS_read SYS_readv SYS_pread64 SYS_write SYS_writev SYS_pwrite64 SYS_lseek SYS_fstat SYS_close SYS_ppoll
    SYS_exit SYS_exit_group
    #[cfg(target_arch = "x86_64")] SYS_poll
    #[cfg(target_arch = "x86_64")] SYS_time
};

/// What libraries try and can do without: they are told that the kernel does not have it.
pub(super) const ANSWERED: &[Call] = calls! {
    SYS_clone3 SYS_statx SYS_newfstatat SYS_faccessat SYS_faccessat2 SYS_readlinkat SYS_getcwd SYS_statfs SYS_fstatfs
    SYS_ioctl SYS_dup SYS_sched_setaffinity SYS_set_mempolicy SYS_get_mempolicy SYS_mbind
    #[cfg(target_arch = "x86_64")] SYS_stat
    #[cfg(target_arch = "x86_64")] SYS_lstat
    #[cfg(target_arch = "x86_64")] SYS_access
    #[cfg(target_arch = "x86_64")] SYS_readlink
    #[cfg(target_arch = "x86_64")] SYS_arch_prctl
};

/// What opens a file.
pub(super) const OPENING: &[Call] = calls! {
    SYS_openat SYS_openat2
    #[cfg(target_arch = "x86_64")] SYS_open
    #[cfg(target_arch = "x86_64")] SYS_creat
};

/// Others that a worker may try, for their names.
const FORBIDDEN: &[Call] = calls! {
    SYS_socket SYS_socketpair SYS_connect SYS_bind SYS_listen SYS_accept SYS_accept4 SYS_sendto SYS_recvfrom SYS_sendmsg
    SYS_recvmsg SYS_execve SYS_execveat SYS_clone SYS_unshare SYS_setns SYS_ptrace SYS_process_vm_readv
    SYS_process_vm_writev SYS_kill SYS_tkill SYS_tgkill SYS_rt_sigqueueinfo SYS_pidfd_open SYS_pidfd_getfd
    SYS_pidfd_send_signal SYS_unlinkat SYS_mkdirat SYS_renameat SYS_renameat2 SYS_linkat SYS_symlinkat SYS_mknodat
    SYS_fchmodat SYS_fchownat SYS_truncate SYS_ftruncate SYS_fallocate SYS_chdir SYS_chroot SYS_mount SYS_umount2
    SYS_getdents64 SYS_memfd_create SYS_pipe2 SYS_eventfd2 SYS_epoll_create1 SYS_io_uring_setup SYS_bpf SYS_keyctl
    SYS_perf_event_open SYS_userfaultfd SYS_prctl SYS_prlimit64 SYS_fcntl SYS_dup3 SYS_wait4 SYS_waitid SYS_setuid
    SYS_setgid SYS_setpgid SYS_setsid SYS_seccomp SYS_sendfile SYS_splice SYS_inotify_init1 SYS_shmget SYS_mlock SYS_mmap SYS_rt_sigaction
    #[cfg(target_arch = "x86_64")] SYS_fork
    #[cfg(target_arch = "x86_64")] SYS_vfork
    #[cfg(target_arch = "x86_64")] SYS_unlink
    #[cfg(target_arch = "x86_64")] SYS_mkdir
    #[cfg(target_arch = "x86_64")] SYS_rename
    #[cfg(target_arch = "x86_64")] SYS_rmdir
    #[cfg(target_arch = "x86_64")] SYS_link
    #[cfg(target_arch = "x86_64")] SYS_symlink
    #[cfg(target_arch = "x86_64")] SYS_chmod
    #[cfg(target_arch = "x86_64")] SYS_chown
    #[cfg(target_arch = "x86_64")] SYS_pipe
    #[cfg(target_arch = "x86_64")] SYS_dup2
};

/// What a call is called; its number where that is not known.
pub(crate) fn name(number: u32) -> String {
    let all = [OPENING, FORBIDDEN, COMPUTING, ANSWERED].into_iter().flatten();
    let known = all.into_iter().find(|&&(call, _)| call == i64::from(number));
    known.map_or_else(|| format!("number {number}"), |(_, name)| name.trim_start_matches("SYS_").to_owned())
}

/// What is let through, in the process of this number. By arguments: signals to itself, threads of its own, its own limits and names
/// as they are, a look at a descriptor, memory that counts, handlers of all signals but the one that tells of calls.
pub(super) fn let_through(pid: u32) -> Rules {
    /// `PR_SET_VMA` (linux/prctl.h), by which allocators name their memory.
    const SET_VMA: u64 = 0x5356_4d41;
    let thread = libc::CLONE_THREAD as u64;
    let is = |argument, value| all([(argument, SeccompCmpOp::Eq, value)]);
    let own = vec![is(0, u64::from(pid))];
    let table = [
        (libc::SYS_kill, own.clone()),
        (libc::SYS_tgkill, own),
        (libc::SYS_clone, vec![all([(0, SeccompCmpOp::MaskedEq(thread), thread)])]),
        // A null pointer in place of new limits.
        (libc::SYS_prlimit64, vec![is_null(2)]),
        (libc::SYS_fcntl, [libc::F_GETFD, libc::F_GETFL].map(|command| is(1, command as u64)).to_vec()),
        (libc::SYS_prctl, [libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64, SET_VMA].map(|it| is(0, it)).to_vec()),
        (libc::SYS_rt_sigaction, vec![all([(0, SeccompCmpOp::Ne, libc::SIGSYS as u64)])]),
        (libc::SYS_mmap, [0, ANONYMOUS, SHARED].map(|kind| mapping(UNCOUNTED, kind)).to_vec()),
    ];
    let mut rules = always([COMPUTING, ANSWERED, OPENING].into_iter().flatten());
    rules.extend(table.into_iter().map(|(call, any)| (call, any.into_iter().flatten().collect())));
    rules
}

/// In the flags of `mmap`: MAP_SHARED (which MAP_SHARED_VALIDATE has too), MAP_ANONYMOUS, MAP_GROWSDOWN, and all of them.
const SHARED: u64 = 0x01;
const ANONYMOUS: u64 = 0x20;
const GROWSDOWN: u64 = 0x100;
const UNCOUNTED: u64 = SHARED | ANONYMOUS | GROWSDOWN;

/// New memory that RLIMIT_DATA does not count: shared, or as a stack.
pub(super) fn uncounted_memory() -> [Option<SeccompRule>; 2] {
    [SHARED | ANONYMOUS, GROWSDOWN].map(|kind| mapping(kind, kind))
}

/// That of these flags of `mmap` those are set.
fn mapping(of: u64, set: u64) -> Option<SeccompRule> {
    all([(3, SeccompCmpOp::MaskedEq(of), set)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_is_let_through_on_conditions_has_some() {
        // Without any it would be let through always.
        let rules = let_through(7);
        for call in [libc::SYS_kill, libc::SYS_clone, libc::SYS_prlimit64, libc::SYS_rt_sigaction, libc::SYS_mmap] {
            assert!(!rules[&call].is_empty(), "{call}");
        }
    }

    #[test]
    fn a_call_has_one_list() {
        let mut all: Vec<_> = [COMPUTING, ANSWERED, OPENING, FORBIDDEN].into_iter().flatten().collect();
        let len = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), len);
        let rules = let_through(7);
        let unconditional = |call: &i64| [COMPUTING, ANSWERED, OPENING].into_iter().flatten().any(|(it, _)| it == call);
        assert!(rules.iter().all(|(call, rules)| rules.is_empty() == unconditional(call)));
    }

    #[test]
    fn calls_have_names() {
        assert_eq!(name(libc::SYS_openat as u32), "openat");
        assert_eq!(name(99_999), "number 99999");
    }
}
