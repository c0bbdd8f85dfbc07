//! System calls that a container's profile, a limit or an older kernel refuses: whatever is refused, a command ends, with its result or
//! with an error that is no panic.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::fixture::{Fixture, watched};
use crate::sampled::Sampler;

/// Calls, and how they are refused by a kernel or a profile that knows them; see [`errnos`].
const CALLS: [(&str, libc::c_long, i32); 32] = [
    ("close_range", libc::SYS_close_range, libc::ENOSYS),
    ("pidfd_open", libc::SYS_pidfd_open, libc::ENOSYS),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal, libc::ENOSYS),
    ("memfd_create", libc::SYS_memfd_create, libc::ENOSYS),
    ("fallocate", libc::SYS_fallocate, libc::EOPNOTSUPP),
    ("futex_waitv", libc::SYS_futex_waitv, libc::ENOSYS),
    ("statx", libc::SYS_statx, libc::ENOSYS),
    ("clone3", libc::SYS_clone3, libc::ENOSYS),
    ("getrandom", libc::SYS_getrandom, libc::ENOSYS),
    ("membarrier", libc::SYS_membarrier, libc::ENOSYS),
    ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset, libc::ENOSYS),
    ("seccomp", libc::SYS_seccomp, libc::ENOSYS),
    ("sched_setaffinity", libc::SYS_sched_setaffinity, libc::EPERM),
    ("sched_getaffinity", libc::SYS_sched_getaffinity, libc::EPERM),
    ("prlimit64", libc::SYS_prlimit64, libc::EPERM),
    ("prctl", libc::SYS_prctl, libc::EPERM),
    ("ftruncate", libc::SYS_ftruncate, libc::EPERM),
    ("fchmod", libc::SYS_fchmod, libc::EPERM),
    ("fchown", libc::SYS_fchown, libc::EPERM),
    ("linkat", libc::SYS_linkat, libc::EPERM),
    ("fsync", libc::SYS_fsync, libc::EINVAL),
    ("madvise", libc::SYS_madvise, libc::EINVAL),
    ("kill", libc::SYS_kill, libc::EPERM),
    ("waitid", libc::SYS_waitid, libc::ENOSYS),
    ("pipe2", libc::SYS_pipe2, libc::EMFILE),
    ("eventfd2", libc::SYS_eventfd2, libc::EMFILE),
    ("set_robust_list", libc::SYS_set_robust_list, libc::ENOSYS),
    ("sigaltstack", libc::SYS_sigaltstack, libc::EPERM),
    ("fcntl", libc::SYS_fcntl, libc::EPERM),
    ("copy_file_range", libc::SYS_copy_file_range, libc::ENOSYS),
    ("setsid", libc::SYS_setsid, libc::EPERM),
    ("fadvise64", libc::SYS_fadvise64, libc::EINVAL),
];

const COMMANDS: [&str; 12] = [
    "sum a.npy -q",
    "matmul a.npy b.npy -o c.npy -n 2 -q",
    "matmul a.npy b.npy -o c.npy -n 2 --retries 2 --split rows=5 -q",
    "matmul a.npy b.npy -o c.npy -n 2 --guard -q",
    "matmul a.npy b.npy -o c.npy -n 2 --sandbox -q",
    "matmul a.npy b.npy -o c.npy -n 2 --report r.json -q",
    "transpose a.npy -o t.npy -n 2 -q",
    "image photo.png -o o.png --filter invert -n 2 -q",
    "mandelbrot -o m.png --size 40x30 -n 2 -q",
    "exec --in a.npy --out o.npy -n 2 -q -- cat /dev/null",
    "exec --in a.npy --out o.npy -n 2 -q --each -- true",
    "plan 100x100 --split rows=10",
];

/// How a call is refused: in its own way, by profiles of containers, and for want of something.
fn errnos(name: &str, own: i32) -> Vec<i32> {
    let mut errnos = match name {
        // Rust's standard library goes on without it for these two reasons alone, and there are no others.
        "getrandom" => vec![libc::EPERM],
        _ => vec![libc::EPERM, libc::ENOSYS, libc::EACCES, libc::EMFILE, libc::ENOMEM, libc::EAGAIN],
    };
    errnos.retain(|errno| *errno != own);
    errnos.push(own);
    errnos
}

/// Refuses one call in this process and all that it becomes and starts.
fn deny(call: libc::c_long, errno: i32) -> std::io::Result<()> {
    let statement = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let (load, equal, answer) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let mut program = [
        statement(load, 0, 0, 0),
        statement(equal, call as u32, 0, 1),
        statement(answer, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0),
        statement(answer, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: a program that lives through the call, which copies it.
    let refused = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    if refused == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn whatever_is_refused_a_command_ends_and_says_why() {
    let fixture = Fixture::with_inputs();
    let ways =
        CALLS.into_iter().flat_map(|(name, call, own)| errnos(name, own).into_iter().map(move |it| (name, call, it)));
    for (name, call, errno) in Sampler::new().some(ways, 8) {
        let reason = std::io::Error::from_raw_os_error(errno).to_string();
        let name = format!("{name} ({reason})");
        for line in COMMANDS {
            let mut command = fixture.command(line);
            // SAFETY: it makes system calls only.
            unsafe { command.pre_exec(move || deny(call, errno)) };
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let output = watched(&format!("{line} without {name}"), child);
            let text = String::from_utf8_lossy(&output.stderr);
            let code = output.status.code().unwrap_or_else(|| panic!("{line} without {name}: {}", output.status));
            assert!((0..=3).contains(&code) && !text.contains("panicked"), "{line} without {name}: {code} {text}");
            assert!(!text.contains("chmod"), "{line} without {name}: {text}");
            assert!(code == 0 || text.contains("parfork: "), "{line} without {name}: {code} {text}");
            // What there is another way for.
            let has_another_way =
                ["close_range", "pidfd_open", "pidfd_send_signal", "futex_waitv", "clone3", "statx", "copy_file_range"];
            let ends_early = line.contains("cat /dev/null");
            let is_served = !ends_early && !line.contains("--sandbox");
            let has_another_way = has_another_way.iter().any(|call| name.starts_with(call));
            assert!(code == 0 || !is_served || !has_another_way, "{line} without {name}: {text}");
            let is_told = text.contains(&reason) || text.contains("this user may not write in the folder");
            assert!(code == 0 || ends_early || is_told, "{line} without {name}: {text}");
        }
    }
}

/// The first child of such a process ends all others with it.
#[test]
fn children_in_another_namespace_are_refused() {
    let fixture = Fixture::with_inputs();
    let mut command = fixture.command("matmul a.npy b.npy -o c.npy -n 2 -q");
    let enter = || {
        // SAFETY: flags.
        match unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWPID) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: it makes a system call only.
    let Ok(child) = unsafe { command.pre_exec(enter) }.stderr(Stdio::piped()).spawn() else {
        eprintln!("not tested: this system makes no namespaces");
        return;
    };
    let output = watched("in another namespace", child);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("unshare --pid --fork"), "{text}");
}

#[test]
fn too_few_descriptors_are_told_as_that() {
    let fixture = Fixture::with_inputs();
    for most in [7, 8, 9, 10, 12, 16] {
        for line in COMMANDS {
            let mut command = fixture.command(line);
            let limit = move || {
                let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
                // SAFETY: a live record.
                match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            };
            // SAFETY: it makes a system call only.
            unsafe { command.pre_exec(limit) };
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let output = watched(&format!("{line} with {most} descriptors"), child);
            let text = String::from_utf8_lossy(&output.stderr);
            let failed = matches!(output.status.code(), Some(1 | 3));
            let is_told = failed && text.contains("(ulimit -n)") && !text.contains("raise the limit..");
            // One that is started has the same limit, and words of its own for it.
            let by_a_program = failed && line.contains("exec") && text.contains("lost its program");
            assert!(output.status.success() || is_told || by_a_program, "{line} with {most}: {} {text}", output.status);
            assert!(!text.contains("panicked"), "{line} with {most}: {text}");
        }
    }
}

/// A shell's `ulimit -v`, from what is too little to start to what is enough, and `ulimit -f` in steps of a file's length.
#[test]
fn limits_of_memory_and_of_files_are_told_as_those() {
    let fixture = Fixture::with_inputs();
    let memory = (4..13).map(|power| (libc::RLIMIT_AS, (1 << 20) << power, ["(ulimit -v)", "memory"]));
    let files = [0, 100, 600, 1 << 16].into_iter().map(|most| (libc::RLIMIT_FSIZE, most, ["(ulimit -f)", "ulimit -f"]));
    for (resource, most, words) in memory.chain(files) {
        for line in COMMANDS {
            let mut command = fixture.command(line);
            let limit = move || {
                let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
                // SAFETY: a live record.
                match unsafe { libc::setrlimit(resource, &raw const limit) } {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            };
            // SAFETY: it makes system calls only.
            unsafe { command.pre_exec(limit) };
            let Ok(child) = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else { continue };
            let output = watched(&format!("{line} with {resource} of {most}"), child);
            let text = String::from_utf8_lossy(&output.stderr);
            let failed = matches!(output.status.code(), Some(1 | 3));
            let is_told = failed && words.iter().any(|word| text.contains(word));
            // The system's loader, or a program that is started, has words of its own.
            let by_others = text.contains("error while loading shared libraries")
                || output.status.code().is_none() && text.is_empty()
                || failed && line.contains("exec") && text.contains("lost its program");
            assert!(
                output.status.success() || is_told || by_others,
                "{line} with {resource} of {most}: {} {text}",
                output.status
            );
            assert!(!text.contains("panicked"), "{line} with {resource} of {most}: {text}");
        }
    }
}

#[test]
fn without_proc_the_reason_is_told() {
    let fixture = Fixture::with_inputs();
    for line in COMMANDS {
        let mut command = fixture.command(line);
        let hide = || {
            let (none, tmpfs) = (std::ptr::null(), c"tmpfs".as_ptr());
            let flags = libc::MS_REC | libc::MS_PRIVATE;
            // SAFETY: a flag.
            let apart = || unsafe { libc::unshare(libc::CLONE_NEWNS) };
            // SAFETY: names that live for ever, and nothing else to read.
            let private = || unsafe { libc::mount(none, c"/".as_ptr(), none, flags, none.cast()) };
            // SAFETY: as above.
            let hidden = || unsafe { libc::mount(tmpfs, c"/proc".as_ptr(), tmpfs, 0, none.cast()) };
            match apart() == 0 && private() == 0 && hidden() == 0 {
                true => Ok(()),
                false => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: it makes system calls only.
        unsafe { command.pre_exec(hide) };
        let Ok(child) = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
            eprintln!("not tested: only root can hide /proc");
            return;
        };
        let output = watched(&format!("{line} without /proc"), child);
        let text = String::from_utf8_lossy(&output.stderr);
        let told = output.status.code() == Some(1) && text.contains("Mount it (mount -t proc proc /proc)");
        assert!(output.status.success() || told, "{line}: {} {text}", output.status);
    }
}
