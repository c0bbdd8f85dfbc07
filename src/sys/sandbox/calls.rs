//! Which system calls a confined worker may make, and what the others are called.

use seccompiler::{SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// A call's number and name.
type Call = (i64, &'static str);

macro_rules! calls {
    ($($(#[$where:meta])? $name:ident)+) => { &[$($(#[$where])? (libc::$name, stringify!($name))),+] };
}

/// What computing takes: memory, threads of the process's own, time, signals of its own, reading and writing what is open.
pub(super) const COMPUTING: &[Call] = calls! {
    SYS_brk SYS_mmap SYS_munmap SYS_mprotect SYS_mremap SYS_madvise SYS_msync SYS_mincore SYS_membarrier
    SYS_futex SYS_futex_waitv SYS_set_robust_list SYS_set_tid_address SYS_rseq SYS_sched_yield SYS_sched_getaffinity
    SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_nanosleep SYS_gettimeofday SYS_times
    SYS_getpid SYS_gettid SYS_getppid SYS_getuid SYS_geteuid SYS_getgid SYS_getegid SYS_getrusage SYS_getcpu
    SYS_uname SYS_sysinfo SYS_getrandom
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigpending SYS_sigaltstack SYS_restart_syscall
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
    SYS_setgid SYS_setpgid SYS_setsid SYS_seccomp SYS_sendfile SYS_splice SYS_inotify_init1 SYS_shmget SYS_mlock
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

/// What no program that is confined may call, though it may open files and start others.
pub(super) const FOR_NO_PROGRAM: &[Call] = calls! {
    SYS_socket SYS_socketpair SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_pidfd_open SYS_pidfd_getfd
    SYS_pidfd_send_signal SYS_unshare SYS_setns SYS_chroot SYS_mount SYS_umount2 SYS_io_uring_setup SYS_bpf SYS_keyctl
    SYS_perf_event_open SYS_userfaultfd
};

/// What a call is called; its number where that is not known.
pub(crate) fn name(number: u32) -> String {
    let all = [OPENING, FORBIDDEN, COMPUTING, ANSWERED].into_iter().flatten();
    let known = all.into_iter().find(|&&(call, _)| call == i64::from(number));
    known.map_or_else(|| format!("number {number}"), |(_, name)| name.trim_start_matches("SYS_").to_owned())
}

/// What is let through with some arguments only, in the process of this number: signals to itself, threads of its own, its own
/// limits and names as they are, a look at a descriptor.
pub(super) fn with_conditions(pid: u32) -> impl Iterator<Item = (i64, Vec<SeccompRule>)> {
    /// `PR_SET_VMA` (linux/prctl.h), by which allocators name their memory.
    const SET_VMA: u64 = 0x5356_4d41;
    let thread = libc::CLONE_THREAD as u64;
    let is = |argument, value| (argument, SeccompCmpOp::Eq, value);
    let signals = vec![is(0, u64::from(pid))];
    let commands = [libc::F_GETFD, libc::F_GETFL].map(|command| is(1, command as u64));
    let names = [libc::PR_SET_NAME as u64, libc::PR_GET_NAME as u64, SET_VMA].map(|option| is(0, option));
    let table = [
        (libc::SYS_kill, signals.clone()),
        (libc::SYS_tgkill, signals),
        (libc::SYS_clone, vec![(0, SeccompCmpOp::MaskedEq(thread), thread)]),
        // A null pointer in place of new limits.
        (libc::SYS_prlimit64, vec![is(2, 0)]),
        (libc::SYS_fcntl, commands.to_vec()),
        (libc::SYS_prctl, names.to_vec()),
    ];
    table.into_iter().map(|(call, any)| (call, any.into_iter().filter_map(rule).collect()))
}

/// That one argument compares so with a value. `None` for an argument that no call has.
fn rule((argument, operator, value): (u8, SeccompCmpOp, u64)) -> Option<SeccompRule> {
    // A pointer has 64 bits, the numbers above 32.
    let length = if argument == 2 { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
    let condition = SeccompCondition::new(argument, length, operator, value).ok()?;
    SeccompRule::new(vec![condition]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_that_is_let_through_on_conditions_has_some() {
        // Without any it would be let through always.
        assert!(with_conditions(7).all(|(_, rules)| !rules.is_empty()));
    }

    #[test]
    fn a_call_has_one_list() {
        let mut all: Vec<_> = [COMPUTING, ANSWERED, OPENING, FORBIDDEN].into_iter().flatten().collect();
        let len = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), len);
        let conditional: Vec<_> = with_conditions(7).map(|(call, _)| call).collect();
        assert!([COMPUTING, ANSWERED, OPENING].into_iter().flatten().all(|(call, _)| !conditional.contains(call)));
    }

    #[test]
    fn calls_have_names() {
        assert_eq!(name(libc::SYS_openat as u32), "openat");
        assert_eq!(name(99_999), "number 99999");
    }
}
