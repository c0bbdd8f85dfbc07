//! Cases in processes of their own, with a watchdog, and the search for what a job left behind.
//!
//! libtest runs tests on threads, and a safe fork needs a process with one. So each case is this program once more, told
//! by an environment variable to run that case on its main thread. The first process only waits: for the end of the
//! case's output, which comes when the case and all that it started are gone, or for the watchdog.
#![allow(dead_code, reason = "each test program uses its part of this")]
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

/// Names the case that a process is to run.
const CASE: &str = "PARFORK_CASE";

/// How long a case may take. Ten times what the slowest needs on a busy machine, so that only a hang meets it.
const WATCHDOG: Duration = Duration::from_secs(180);

/// The status of a worker that came back to the code of the coordinator instead of leaving.
const ESCAPED: i32 = 77;

/// A name and what to do.
pub(crate) type Case = (&'static str, fn());

/// Cases named after their functions.
macro_rules! cases {
    ($($case:path),* $(,)?) => { &[$((stringify!($case), $case as fn())),*] };
}
pub(crate) use cases;

/// Runs this test program: one trial for each of `cases`; `parts` are played only when a case asks for [`play`].
pub(crate) fn run(cases: &'static [Case], parts: &'static [Case]) -> ExitCode {
    if let Ok(name) = std::env::var(CASE) {
        let known = cases.iter().chain(parts).find(|(known, _)| *known == name);
        return run_here(known.unwrap_or_else(|| panic!("no case {name}")).1);
    }
    let trials = cases.iter().map(|&(name, _)| Trial::test(name, move || watch(name))).collect();
    let mut arguments = Arguments::from_args();
    // Many cases wait most of the time: for a deadline, an end, another process.
    arguments.test_threads.get_or_insert(2 * std::thread::available_parallelism().map_or(1, usize::from));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs a case in this process, and makes sure that none of its workers comes back here.
fn run_here(case: fn()) -> ExitCode {
    heed_signals();
    // Workers that end by SIGSEGV are expected; their core files are not.
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0).unwrap();
    let coordinator = std::process::id();
    let ran = catch_unwind(AssertUnwindSafe(case));
    if std::process::id() != coordinator {
        eprintln!("a worker came back to the coordinator's code instead of leaving");
        // SAFETY: ends the process without touching its memory.
        unsafe { libc::_exit(ESCAPED) };
    }
    if ran.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Heeds what a shell's `&` and `nohup` let a program ignore: whoever runs the tests in the background runs all of them.
fn heed_signals() {
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGTERM] {
        // SAFETY: the default, set before this process has other threads.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// This program once more, to run `case`.
pub(crate) fn play(case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CASE, case).env("RUST_BACKTRACE", "0").stdin(std::process::Stdio::null());
    // The watchdog ends a case; what the case has started ends with it.
    let end_with_parent = || Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?);
    // SAFETY: it makes a system call and nothing else.
    unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, end_with_parent) };
    command
}

/// Runs a case in a process of its own, until its end or the watchdog's.
fn watch(name: &str) -> Result<(), Failed> {
    let temporary = tempfile::tempdir()?;
    let (mut output, end) = io::pipe()?;
    let mut command = play(name);
    command.env("TMPDIR", temporary.path()).stdout(end.try_clone()?).stderr(end);
    let mut child = command.spawn()?;
    drop(command); // and with it our ends of the pipe
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = output.read(&mut bytes) {
            let _ = tell.send(bytes[..length].to_vec());
        }
    });
    let (text, ended) = collect(&told, WATCHDOG);
    if !ended {
        let place = whereabouts(&child);
        child.kill()?;
        child.wait()?;
        let (more, _) = collect(&told, Duration::from_secs(5));
        return Err(format!("hung for {WATCHDOG:?}\n{place}\n{text}{more}").into());
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("{status}\n{text}").into()) }
}

/// What comes until the end, and whether that came within `patience`.
fn collect(told: &mpsc::Receiver<Vec<u8>>, patience: Duration) -> (String, bool) {
    let until = std::time::Instant::now() + patience;
    let mut bytes = Vec::new();
    let ended = loop {
        match told.recv_timeout(until.saturating_duration_since(std::time::Instant::now())) {
            Ok(more) => bytes.extend(more),
            Err(mpsc::RecvTimeoutError::Disconnected) => break true,
            Err(mpsc::RecvTimeoutError::Timeout) => break false,
        }
    };
    (String::from_utf8_lossy(&bytes).into_owned(), ended)
}

/// Where a process and its children hang, for the report.
fn whereabouts(child: &Child) -> String {
    let pid = child.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = std::iter::once(pid.to_string()).chain(children.split_whitespace().map(str::to_owned));
    let place = |pid: String| {
        let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let state = read("status").lines().find(|line| line.starts_with("State")).unwrap_or_default().to_owned();
        format!("  {pid} {state} in {} {}", read("wchan"), read("syscall").trim())
    };
    pids.map(place).collect::<Vec<_>>().join("\n")
}

/// What a process has that a job could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    /// Where each descriptor leads.
    descriptors: Vec<(u32, String)>,
    /// Lines of /proc/self/maps that are of our segments.
    segments: usize,
    files: BTreeSet<String>,
}

impl Traces {
    fn of_this_process() -> Self {
        let lead = |entry: fs::DirEntry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
        };
        let mut descriptors: Vec<_> =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| lead(entry.unwrap())).collect();
        // The one that this very look needs is `/proc/PID/fd`.
        descriptors.retain(|(_, target)| !target.ends_with("/fd"));
        descriptors.sort();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let segments = maps.lines().filter(|line| line.contains("memfd:parfork")).count();
        Self { descriptors, segments, files: files() }
    }
}

/// All in this case's own temporary folder, and files in /dev/shm that bear our name and this process's number.
fn files() -> BTreeSet<String> {
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect::<Vec<_>>()
    };
    let pid = std::process::id().to_string();
    let ours = |name: &String| name.contains("parfork") && name.contains(&pid);
    names(&std::env::temp_dir()).into_iter().chain(names(Path::new("/dev/shm")).into_iter().filter(ours)).collect()
}

/// Does it, and makes sure that afterwards this process has no children and neither more nor fewer descriptors, segments
/// and files than before.
pub(crate) fn nothing_left<T>(job: impl FnOnce() -> T) -> T {
    no_children();
    let before = Traces::of_this_process();
    let done = job();
    no_children();
    assert_eq!(Traces::of_this_process(), before, "a job leaves no traces");
    done
}

/// Makes sure that this process has no child, neither alive nor unreaped.
pub(crate) fn no_children() {
    let mut status = 0;
    // SAFETY: the call writes one int.
    let child = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    assert_eq!((child, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::ECHILD)), "a child is left");
}

/// Words that this process and all that it forks share, for cases to learn what happens in workers.
pub(crate) struct Page(&'static [AtomicU64]);

impl Page {
    const BYTES: usize = 1024 * size_of::<AtomicU64>();

    /// 1024 zeros.
    pub(crate) fn new() -> Self {
        Self::map(libc::MAP_ANONYMOUS, -1)
    }

    /// Those in a file, for programs that are no forks of this one as well.
    pub(crate) fn of_file(path: &Path) -> Self {
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        file.set_len(Self::BYTES as u64).unwrap();
        Self::map(0, std::os::fd::AsRawFd::as_raw_fd(&file))
    }

    fn map(kind: i32, file: i32) -> Self {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | kind);
        // SAFETY: new memory, or of an open file, at an address of the kernel's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), Self::BYTES, access, kind, file, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        // SAFETY: mapped just now, never unmapped, and used as nothing but these words.
        Self(unsafe { std::slice::from_raw_parts(base.cast(), 1024) })
    }
}

impl std::ops::Deref for Page {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        self.0
    }
}

/// The words of the control page: the only segment that a worker has inherited, readable and writable.
pub(crate) fn control_page() -> &'static [std::sync::atomic::AtomicU32] {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().rev().find(|line| line.contains("rw-s") && line.contains("memfd:parfork-board"));
    let (start, end) = line.unwrap().split_whitespace().next().unwrap().split_once('-').unwrap();
    let number = |text| usize::from_str_radix(text, 16).unwrap();
    let (start, end) = (number(start), number(end));
    let words = std::ptr::with_exposed_provenance(start);
    // SAFETY: mapped as long as this worker lives; all use of these words is atomic.
    unsafe { std::slice::from_raw_parts(words, (end - start) / 4) }
}

/// A process that can be waited for, whoever's child it is.
pub(crate) struct Watched(std::os::fd::OwnedFd);

impl Watched {
    /// Of a process that is there now.
    pub(crate) fn new(pid: u32) -> io::Result<Self> {
        use std::os::fd::FromRawFd;
        // SAFETY: the call takes two integers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel made it just now for us alone.
        Ok(Self(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Waits for its end, which comes within `patience` or never.
    pub(crate) fn ends_within(&self, patience: Duration) -> bool {
        use std::os::fd::AsRawFd;
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live record, and its number.
        unsafe { libc::poll(&mut poll, 1, patience.as_millis() as i32) == 1 }
    }
}

/// Plays a part again and again, and kills it at its first, second, ... system call, on the way in and on the way out, until it comes to
/// its end; `check` looks at what is left each time. The calls are counted from [`steps_begin`] on. Returns how often it was killed.
pub(crate) fn killed_at_each_step(part: impl Fn() -> Command, mut check: impl FnMut(usize)) -> usize {
    let wait = |pid| {
        let mut status = 0;
        // SAFETY: the call writes one int.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        status
    };
    let go_on = |request: libc::c_uint, pid: i32| {
        // SAFETY: a child of ours that has stopped; the call touches no memory of this process.
        assert_eq!(unsafe { libc::ptrace(request, pid, 0, 0) }, 0, "{}", io::Error::last_os_error());
    };
    for steps in 0.. {
        let mut command = part();
        // SAFETY: the call takes no memory of this process.
        let be_traced = || match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        };
        // SAFETY: it makes a system call and nothing else.
        unsafe { std::os::unix::process::CommandExt::pre_exec(&mut command, be_traced) };
        #[allow(clippy::zombie_processes, reason = "it is waited for by its number, as tracing needs")]
        let mut child = command.spawn().unwrap();
        let pid = child.id() as i32;
        // It stops when its program has begun, and by itself where the steps begin.
        assert!(libc::WIFSTOPPED(wait(pid)));
        loop {
            go_on(libc::PTRACE_CONT, pid);
            let status = wait(pid);
            assert!(libc::WIFSTOPPED(status), "a part ended before its steps began");
            if libc::WSTOPSIG(status) == libc::SIGSTOP {
                break;
            }
        }
        for _ in 0..steps {
            go_on(libc::PTRACE_SYSCALL, pid);
            let status = wait(pid);
            if libc::WIFEXITED(status) {
                assert_eq!(libc::WEXITSTATUS(status), 0);
                check(steps);
                return steps;
            }
            assert!(libc::WIFSTOPPED(status), "{status:x}");
        }
        child.kill().unwrap();
        assert!(libc::WIFSIGNALED(wait(pid)));
        check(steps);
    }
    unreachable!("a part has an end")
}

/// In a part: from here on its system calls are counted.
pub(crate) fn steps_begin() {
    // SAFETY: a signal to this process itself.
    unsafe { libc::raise(libc::SIGSTOP) };
}
