//! Confining another program, just before this process becomes it.
//!
//! A program opens files and starts others, so what it may call is told by what it may not. Three walls: Landlock has the files, and from
//! Linux 6.12 on signals; no capabilities, so that root is a user like others; a filter refuses with `EPERM` what reaches other processes, the
//! kernel's objects that have no file, and what Landlock does not know of files. Calls that are younger than this list are told
//! not to exist.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use landlock::{AccessFs, CompatLevel, PathBeneath, PathFd, RulesetCreatedAttr};
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{SeccompAction, SeccompCmpOp};

use super::calls::{calls, uncounted_memory};
use super::filter::{self, Call, Rules, Test, all, always};
use super::{NEWEST, Support, capabilities, ruleset};

/// Refused whatever their arguments are.
const REFUSED: &[Call] = calls! {
    // Other processes.
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_process_mrelease SYS_pidfd_open
    SYS_pidfd_getfd SYS_pidfd_send_signal SYS_rt_sigqueueinfo SYS_rt_tgsigqueueinfo SYS_kcmp SYS_get_robust_list
    SYS_migrate_pages SYS_move_pages SYS_perf_event_open SYS_userfaultfd
    // Sockets, and other ways to talk that have no file.
    SYS_socket SYS_socketpair SYS_shmget SYS_shmat SYS_shmctl SYS_shmdt SYS_semget SYS_semop SYS_semtimedop SYS_semctl
    SYS_msgget SYS_msgsnd SYS_msgrcv SYS_msgctl SYS_mq_open SYS_mq_unlink SYS_mq_timedsend SYS_mq_timedreceive
    SYS_mq_notify SYS_mq_getsetattr SYS_add_key SYS_request_key SYS_keyctl SYS_memfd_create SYS_memfd_secret
    SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register SYS_bpf
    // Namespaces, and what is mounted where.
    SYS_unshare SYS_setns SYS_chroot SYS_pivot_root SYS_mount SYS_umount2 SYS_move_mount SYS_open_tree SYS_fsopen
    SYS_fsconfig SYS_fsmount SYS_fspick SYS_mount_setattr SYS_quotactl SYS_quotactl_fd SYS_name_to_handle_at
    SYS_open_by_handle_at
    // What Landlock does not know of files: changing them without opening them, and watching them.
    SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_utimensat SYS_truncate SYS_setxattr SYS_lsetxattr SYS_fsetxattr
    SYS_removexattr SYS_lremovexattr SYS_fremovexattr SYS_inotify_init1 SYS_fanotify_init SYS_fanotify_mark
    // The machine.
    SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load SYS_kexec_file_load SYS_reboot SYS_swapon SYS_swapoff SYS_acct
    SYS_settimeofday SYS_clock_settime SYS_clock_adjtime SYS_adjtimex SYS_sethostname SYS_setdomainname SYS_syslog
    SYS_vhangup SYS_lookup_dcookie SYS_nfsservctl
    #[cfg(target_arch = "x86_64")] SYS_chmod
    #[cfg(target_arch = "x86_64")] SYS_chown
    #[cfg(target_arch = "x86_64")] SYS_lchown
    #[cfg(target_arch = "x86_64")] SYS_utime
    #[cfg(target_arch = "x86_64")] SYS_utimes
    #[cfg(target_arch = "x86_64")] SYS_futimesat
    #[cfg(target_arch = "x86_64")] SYS_inotify_init
    #[cfg(target_arch = "x86_64")] SYS_iopl
    #[cfg(target_arch = "x86_64")] SYS_ioperm
    #[cfg(target_arch = "x86_64")] SYS_modify_ldt
    #[cfg(target_arch = "x86_64")] SYS_uselib
    #[cfg(target_arch = "x86_64")] SYS__sysctl
};

/// `fchmodat2`, which the libc crate does not have for every architecture.
const FCHMODAT2: i64 = 452;

/// The youngest call that was looked at: `mseal`, of Linux 6.10. Those of another ABI (x32) have larger numbers too.
const LAST: u32 = 462;

/// Flags of `clone` that make namespaces.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Commands of `ioctl`: TIOCSTI and TIOCLINUX type into a terminal; FIOSETOWN and SIOCSPGRP say who is signalled; FS_IOC_SETFLAGS and
/// FS_IOC_FSSETXATTR change a file that is open to be read (asm-generic/ioctls.h, asm-generic/sockios.h, linux/fs.h).
const COMMANDS: [u64; 6] = [0x5412, 0x541c, 0x8901, 0x8902, 0x4008_6602, 0x401c_5820];

/// For `fcntl` and `ioprio_set` (asm-generic/fcntl.h, linux/ioprio.h).
const F_SETOWN_EX: u64 = 15;
const IOPRIO_WHO_PROCESS: u64 = 1;

/// Confines this process, and the program that it is about to become: it can read and run what is beneath these paths, write what
/// is open already and to `/dev/null`; it makes no sockets, cannot look into other processes, signal or change them.
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
    capabilities::drop_all()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    if support.seccomp {
        let errno = |errno: i32| SeccompAction::Errno(errno as u32);
        // Whoever is told so makes the same thread or process by `clone`, whose flags can be looked at.
        let missing = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let mut missing = filter::compile(missing, errno(libc::ENOSYS), SeccompAction::Allow)?;
        filter::refuse_above(&mut missing, LAST, libc::ENOSYS);
        let refused =
            filter::compile(refused(std::process::id(), support.scopes), errno(libc::EPERM), SeccompAction::Allow)?;
        filter::install(&missing)?;
        filter::install(&refused)?;
    }
    Ok(())
}

/// What a program is refused, of which this process, of that number, is the first. Where the kernel does not keep signals to processes
/// that the program has started (`scopes`), it can signal itself alone.
fn refused(pid: u32, scopes: bool) -> Rules {
    let is = |argument: u8, value: u64| -> Test { (argument, SeccompCmpOp::Eq, value) };
    let other = |argument: u8, value: u64| -> Test { (argument, SeccompCmpOp::Ne, value) };
    let none_but = |argument: u8, value: u64| vec![all([other(argument, value)])];
    let any_of =
        |argument: u8, values: &[u64]| values.iter().map(|&value| all([is(argument, value)])).collect::<Vec<_>>();
    let makes = |flag: libc::c_int| all([(0, SeccompCmpOp::MaskedEq(flag as u64), flag as u64)]);
    // A process names itself by 0 in these.
    let mut table = vec![
        (libc::SYS_prlimit64, none_but(0, 0)),
        (libc::SYS_sched_setaffinity, none_but(0, 0)),
        (libc::SYS_sched_setscheduler, none_but(0, 0)),
        (libc::SYS_sched_setparam, none_but(0, 0)),
        (libc::SYS_sched_setattr, none_but(0, 0)),
        (libc::SYS_setpriority, [none_but(0, u64::from(libc::PRIO_PROCESS)), none_but(1, 0)].concat()),
        (libc::SYS_ioprio_set, [none_but(0, IOPRIO_WHO_PROCESS), none_but(1, 0)].concat()),
        (libc::SYS_clone, NAMESPACES.map(makes).to_vec()),
        (libc::SYS_fcntl, any_of(1, &[libc::F_SETOWN as u64, F_SETOWN_EX])),
        (libc::SYS_ioctl, any_of(1, &COMMANDS)),
        (libc::SYS_mmap, uncounted_memory().to_vec()),
    ];
    if !scopes {
        let own = u64::from(pid);
        table.extend([(libc::SYS_kill, none_but(0, own)), (libc::SYS_tgkill, none_but(0, own))]);
    }
    let mut rules = always(REFUSED);
    rules.insert(FCHMODAT2, Vec::new());
    if !scopes {
        rules.insert(libc::SYS_tkill, Vec::new());
    }
    rules.extend(table.into_iter().map(|(call, any)| (call, any.into_iter().flatten().collect())));
    rules
}
