//! Programs in a sandbox, which open files and start others.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Error;
use std::process::Command;

use nix::unistd::geteuid;
use parfork::Sandbox;

use crate::support;

/// The part of a process that becomes a shell in a sandbox.
pub(super) fn become_a_program() {
    use std::os::unix::process::CommandExt;
    let there = |path: &&str| std::path::Path::new(path).exists();
    let system: Vec<_> = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/proc/self"]
        .iter()
        .filter(|path| there(path))
        .map(Into::into)
        .collect();
    let script = std::env::var("SCRIPT").unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script]);
    Sandbox::new().strict(true).confine_program(&system).unwrap();
    panic!("{}", shell.exec());
}

pub(super) fn a_program_is_confined_to_what_it_may_read() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "told").unwrap();
    let parent = std::process::id();
    for (script, works) in [
        ("cat /usr/bin/env > /dev/null && echo fine".to_owned(), true),
        (format!("cat {}", secret.display()), false),
        (format!("echo more >> {}", secret.display()), false),
        (format!("echo new > {}/new", folder.path().display()), false),
        (format!("rm {}", secret.display()), false),
        ("ls /proc/1".to_owned(), false),
        (format!("kill -0 {parent} && cat /proc/{parent}/environ"), false),
    ] {
        let output = support::play("programs::become_a_program").env("SCRIPT", &script).output().unwrap();
        assert_eq!(output.status.success(), works, "{script}: {output:?}");
    }
    assert_eq!(std::fs::read(&secret).unwrap(), b"told");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Confines this process as one that becomes a program.
fn confine() {
    let system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/proc/self"].map(std::path::PathBuf::from);
    let there: Vec<_> = system.into_iter().filter(|path| path.exists()).collect();
    Sandbox::new().strict(true).confine_program(&there).unwrap();
}

/// What a call ends with: 0 or the number of its error.
fn outcome(number: libc::c_long, arguments: [i64; 6]) -> i32 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: numbers, and addresses of what is live in the caller; none of them reaches anything but what this test has made.
    match unsafe { libc::syscall(number, a, b, c, d, e, f) } {
        -1 => Error::last_os_error().raw_os_error().unwrap(),
        _ => 0,
    }
}

/// The part of a process that is confined and tries what reaches others: the process `VICTIM`, the file `FILE`, the machine.
pub(super) fn attack_as_a_program() {
    let victim: i64 = std::env::var("VICTIM").unwrap().parse().unwrap();
    let file = std::env::var("FILE").unwrap();
    let path = CString::new(file.clone()).unwrap();
    let (name, limits, mask, times) = (c"parfork-attack".as_ptr() as i64, [1_u64, 1], [1_u64; 16], [0_i64; 4]);
    let (limits, mask, times, null) = (limits.as_ptr() as i64, mask.as_ptr() as i64, times.as_ptr() as i64, 0);
    let at = path.as_ptr() as i64;
    let (read, own, shared) = ([0_u64; 8].as_mut_ptr() as i64, i64::from(std::process::id()), 0x21);
    confine();
    let refused: &[(&str, libc::c_long, [i64; 6])] = &[
        ("kill", libc::SYS_kill, [victim, 0, 0, 0, 0, 0]),
        ("tgkill", libc::SYS_tgkill, [victim, victim, 0, 0, 0, 0]),
        ("tkill", libc::SYS_tkill, [victim, 0, 0, 0, 0, 0]),
        ("sigqueue", libc::SYS_rt_sigqueueinfo, [victim, 0, read, 0, 0, 0]),
        ("pidfd_open", libc::SYS_pidfd_open, [victim, 0, 0, 0, 0, 0]),
        ("owner of a descriptor", libc::SYS_fcntl, [1, libc::F_SETOWN.into(), victim, 0, 0, 0]),
        ("prlimit to read", libc::SYS_prlimit64, [victim, libc::RLIMIT_CPU.into(), null, read, 0, 0]),
        ("prlimit to set", libc::SYS_prlimit64, [victim, libc::RLIMIT_CPU.into(), limits, null, 0, 0]),
        ("sched_setaffinity", libc::SYS_sched_setaffinity, [victim, 128, mask, 0, 0, 0]),
        ("sched_setscheduler", libc::SYS_sched_setscheduler, [victim, libc::SCHED_BATCH.into(), times, 0, 0, 0]),
        ("sched_setparam", libc::SYS_sched_setparam, [victim, times, 0, 0, 0, 0]),
        ("sched_setattr", libc::SYS_sched_setattr, [victim, times, 0, 0, 0, 0]),
        ("setpriority", libc::SYS_setpriority, [0, victim, 19, 0, 0, 0]),
        ("setpriority of the user", libc::SYS_setpriority, [2, 0, 19, 0, 0, 0]),
        ("setpriority of the group", libc::SYS_setpriority, [1, 0, 19, 0, 0, 0]),
        ("ioprio_set", libc::SYS_ioprio_set, [1, victim, 3 << 13, 0, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [libc::PTRACE_ATTACH.into(), victim, 0, 0, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [victim, 0, 0, 0, 0, 0]),
        ("kcmp", libc::SYS_kcmp, [victim, own, 0, 0, 0, 0]),
        ("migrate_pages", libc::SYS_migrate_pages, [victim, 0, 0, 0, 0, 0]),
        ("socket", libc::SYS_socket, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0, 0, 0, 0]),
        ("socketpair", libc::SYS_socketpair, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0, read, 0, 0]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [4, 0, 0, 0, 0, 0]),
        ("unshare", libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0, 0]),
        ("clone", libc::SYS_clone, [i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD), 0, 0, 0, 0, 0]),
        ("clone", libc::SYS_clone, [i64::from(libc::CLONE_NEWNET | libc::SIGCHLD), 0, 0, 0, 0, 0]),
        ("shmget", libc::SYS_shmget, [0x706b, 4096, 0o1600, 0, 0, 0]),
        ("semget", libc::SYS_semget, [0x706b, 1, 0o1600, 0, 0, 0]),
        ("msgget", libc::SYS_msgget, [0x706b, 0o1600, 0, 0, 0, 0]),
        ("mq_open", libc::SYS_mq_open, [name, 0o102, 0o600, 0, 0, 0]),
        ("add_key", libc::SYS_add_key, [c"user".as_ptr() as i64, name, name, 1, -3, 0]),
        ("request_key", libc::SYS_request_key, [c"user".as_ptr() as i64, name, 0, -3, 0, 0]),
        ("keyctl", libc::SYS_keyctl, [0, -3, 0, 0, 0, 0]),
        ("memfd_create", libc::SYS_memfd_create, [name, 0, 0, 0, 0, 0]),
        ("mmap", libc::SYS_mmap, [0, 4096, 3, shared, -1, 0]),
        ("mmap", libc::SYS_mmap, [0, 4096, 3, 0x122, -1, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [0; 6]),
        ("bpf", libc::SYS_bpf, [0; 6]),
        ("perf_event_open", libc::SYS_perf_event_open, [read, 0, -1, -1, 0, 0]),
        ("fsopen", libc::SYS_fsopen, [c"tmpfs".as_ptr() as i64, 0, 0, 0, 0, 0]),
        ("mount", libc::SYS_mount, [0; 6]),
        ("open_tree", libc::SYS_open_tree, [-100, at, 0, 0, 0, 0]),
        ("name_to_handle_at", libc::SYS_name_to_handle_at, [-100, at, read, read, 0, 0]),
        ("init_module", libc::SYS_init_module, [0; 6]),
        ("kexec_load", libc::SYS_kexec_load, [0, 0, 0, -1, 0, 0]),
        ("reboot", libc::SYS_reboot, [0; 6]),
        ("swapoff", libc::SYS_swapoff, [at, 0, 0, 0, 0, 0]),
        ("acct", libc::SYS_acct, [at, 0, 0, 0, 0, 0]),
        ("quotactl", libc::SYS_quotactl, [0; 6]),
        ("settimeofday", libc::SYS_settimeofday, [0; 6]),
        ("sethostname", libc::SYS_sethostname, [name, 0, 0, 0, 0, 0]),
        ("syslog", libc::SYS_syslog, [10, 0, 0, 0, 0, 0]),
        ("fchmodat", libc::SYS_fchmodat, [-100, at, 0o777, 0, 0, 0]),
        ("fchmodat2", 452, [-100, at, 0o777, 0, 0, 0]),
        ("fchownat", libc::SYS_fchownat, [-100, at, 1, 1, 0, 0]),
        ("utimensat", libc::SYS_utimensat, [-100, at, times, 0, 0, 0]),
        ("setxattr", libc::SYS_setxattr, [at, c"user.x".as_ptr() as i64, name, 1, 0, 0]),
        ("truncate", libc::SYS_truncate, [at, 0, 0, 0, 0, 0]),
        ("typing into a terminal", libc::SYS_ioctl, [0, libc::TIOCSTI as i64, name, 0, 0, 0]),
    ];
    let through: Vec<_> = refused
        .iter()
        .map(|&(name, number, arguments)| (name, outcome(number, arguments)))
        .filter(|(_, error)| *error != libc::EPERM)
        .collect();
    assert!(through.is_empty(), "not refused: {through:?}");
    // Those of no name, of another ABI (x32), and `clone3`, whose flags no filter can see, are not there.
    for number in [libc::SYS_clone3, 470, 1000, 0x4000_0000 | libc::SYS_getpid] {
        assert_eq!(outcome(number, [0; 6]), libc::ENOSYS, "{number}");
    }
    for file in [file, format!("/proc/{victim}/environ"), "/etc/passwd".to_owned(), "/dev/tty".to_owned()] {
        assert!(File::open(&file).is_err(), "{file} was read");
        assert!(File::options().append(true).open(&file).is_err(), "{file} was opened to be written");
    }
}

pub(super) fn a_program_gets_at_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("victims");
    fs::write(&file, "untouched").unwrap();
    let before = fs::metadata(&file).unwrap();
    let mut victim = Command::new("sleep").arg("1000").spawn().unwrap();
    let nice = |pid: u32| {
        let fields = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        fields.rsplit(')').next().unwrap().split(' ').nth(17).unwrap().to_owned()
    };
    let nice_before = nice(victim.id());
    let mut attack = support::play("programs::attack_as_a_program");
    let output = attack.env("VICTIM", victim.id().to_string()).env("FILE", &file).output().unwrap();
    assert!(victim.try_wait().unwrap().is_none(), "the victim is dead");
    let nice_after = nice(victim.id());
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(nice_before, nice_after);
    let after = fs::metadata(&file).unwrap();
    assert_eq!((before.permissions(), before.modified().unwrap()), (after.permissions(), after.modified().unwrap()));
    assert_eq!(fs::read(&file).unwrap(), b"untouched");
}

/// Also if it, or what it starts, is another program by then.
pub(super) fn a_program_that_is_roots_has_no_capabilities() {
    let script = "while read -r line; do case $line in Cap*) echo \"$line\";; esac; done < /proc/self/status; exec grep ^Cap /proc/self/status";
    let output = support::play("programs::become_a_program").env("SCRIPT", script).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // Without privileges the bounding set stays, of which nothing can be had.
    let is_none =
        |line: &&str| line.ends_with(" 0000000000000000") || (line.starts_with("CapBnd") && !geteuid().is_root());
    let lines: Vec<_> = text.lines().map(|line| line.replace('\t', " ")).collect();
    assert!(lines.len() == 10 && lines.iter().all(|line| is_none(&line.as_str())), "{output:?}");
}

/// The part of a process that is confined and does what programs do with themselves and those that they start.
pub(super) fn compute_as_a_program() {
    confine();
    let own = i64::from(std::process::id());
    let (mut limits, mask) = ([0_u64; 2], [u64::MAX; 16]);
    let allowed: &[(&str, libc::c_long, [i64; 6])] = &[
        ("kill", libc::SYS_kill, [own, 0, 0, 0, 0, 0]),
        ("prlimit", libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE.into(), 0, limits.as_mut_ptr() as i64, 0, 0]),
        ("sched_setaffinity", libc::SYS_sched_setaffinity, [0, 128, mask.as_ptr() as i64, 0, 0, 0]),
        ("setpriority", libc::SYS_setpriority, [0, 0, 19, 0, 0, 0]),
        ("mmap", libc::SYS_mmap, [0, 4096, 3, 0x22, -1, 0]),
    ];
    for &(name, number, arguments) in allowed {
        assert_eq!(outcome(number, arguments), 0, "{name}");
    }
    assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(Command::new("sh").args(["-c", "true | cat"]).status().unwrap().success());
    fs::write("/dev/null", "x").unwrap();
}

pub(super) fn a_program_does_as_before_what_is_its_own() {
    let output = support::play("programs::compute_as_a_program").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
