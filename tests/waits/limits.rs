//! Limits of the system, each told as what it is.

use std::io::Write;
use std::sync::atomic::Ordering;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parfork::formats::AtomicFile;
use parfork::{Crew, Error, Job, Shared};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use crate::support::{Page, no_children, play};

/// Everything that makes segments, descriptors and processes. What fails says what of.
fn all_of_it(told: impl Fn(&Error) -> bool) -> usize {
    let mut failed = 0;
    let mut note = |what: &str, done: Result<(), Error>| {
        if let Err(error) = done {
            assert!(told(&error), "{what}: {error}");
            failed += 1;
        }
    };
    let array = Shared::<u8, _>::zeros(50_000);
    let job = |array: &mut Shared<u8, _>| parfork::fork(2, array, |_, mut slice| slice.fill(1)).map(drop);
    let tried = |array: &mut Shared<u8, _>| {
        let job = Job::new(array).workers(2).retries(1).restore_outputs();
        job.run(|_, mut slice| slice.fill(1)).map(drop)
    };
    match array {
        Ok(mut array) => {
            note("fork", job(&mut array));
            note("fork with retries", tried(&mut array));
            let crew = Crew::start(2).and_then(|mut crew| {
                crew.run(&mut array, (), |_, (), mut slice| slice.fill(1))?;
                crew.run(&mut array, (), |w, (), _| w.region().index() as u64).map(drop)
            });
            note("a crew", crew);
        }
        Err(error) => note("an array", Err(error)),
    }
    let path = std::env::temp_dir().join("output");
    let output = AtomicFile::at(&path).and_then(|mut output| {
        let wrote = output.write_all(&[1; 300_000]).and_then(|()| output.flush());
        match wrote {
            Ok(()) => output.commit(),
            Err(error) => Err(output.failed(&error)),
        }
    });
    note("an output", output);
    let _ = std::fs::remove_file(path);
    no_children();
    failed
}

pub(crate) fn a_limit_of_file_sizes_is_an_error_and_no_signal() {
    let (before, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    let mut failed = Vec::new();
    for most in [0, 1, 4096, 49_999, 50_000, 299_999, 300_000, 1 << 20, 100 << 20] {
        setrlimit(Resource::RLIMIT_FSIZE, most, hard).unwrap();
        let told = |error: &Error| error.to_string().contains("ulimit -f");
        failed.push(all_of_it(told));
    }
    setrlimit(Resource::RLIMIT_FSIZE, before, hard).unwrap();
    assert!(failed[0] > 0 && failed.last() == Some(&0), "{failed:?}");
}

pub(crate) fn a_limit_of_descriptors_is_told_as_that() {
    let (before, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
    let mut failed = Vec::new();
    for more in 0..16 {
        setrlimit(Resource::RLIMIT_NOFILE, open + more, hard).unwrap();
        let told = |error: &Error| {
            let text = error.to_string();
            text.contains("ulimit -n") || text.contains("Too many open files")
        };
        failed.push(all_of_it(told));
    }
    setrlimit(Resource::RLIMIT_NOFILE, before, hard).unwrap();
    assert!(failed[0] > 0 && failed.last() == Some(&0), "{failed:?}");
}

/// As containers do whose list of calls is older than they are.
pub(crate) fn forbidden_calls_are_told_as_that() {
    for (call, must_fail) in [
        (libc::SYS_futex_waitv, false),
        (libc::SYS_pidfd_send_signal, false),
        (libc::SYS_pidfd_open, true),
        (libc::SYS_memfd_create, true),
    ] {
        let rules = [(call, Vec::new())].into_iter().collect();
        let refuse = SeccompAction::Errno(libc::EPERM as u32);
        let here = std::env::consts::ARCH.try_into().unwrap();
        let filter: BpfProgram =
            SeccompFilter::new(rules, SeccompAction::Allow, refuse, here).unwrap().try_into().unwrap();
        apply_filter(&filter).unwrap();
        let failed = all_of_it(|error| error.to_string().contains("seccomp"));
        assert_eq!(failed > 0, must_fail, "call {call}");
    }
}

/// A part, which is not root's.
pub(crate) fn be_undumpable() {
    nix::sys::prctl::set_dumpable(false).unwrap();
    let mut cells = Shared::<u8, _>::zeros(4).unwrap();
    parfork::fork(2, &mut cells, |_, mut slice| slice.fill(1)).unwrap();
    let job = Job::new(&mut cells).workers(2).retries(1).body_overwrites();
    let died = job.run(|w, _| {
        if w.region().index() == 1 {
            std::process::abort()
        }
    });
    assert!(matches!(died, Err(Error::WorkerDied(_))));
    let crew = Crew::start(2);
    let refused = crew.map(drop).unwrap_err().to_string();
    assert!(refused.contains("PR_SET_DUMPABLE") && refused.contains("without a crew"), "{refused}");
    // What happens to a crew whose coordinator becomes so later.
    nix::sys::prctl::set_dumpable(true).unwrap();
    let mut crew = Crew::start(2).unwrap();
    nix::sys::prctl::set_dumpable(false).unwrap();
    let refused = crew.run(&mut cells, (), |_, (), mut slice| slice.fill(2)).map(drop).unwrap_err().to_string();
    assert!(refused.contains("PR_SET_DUMPABLE"), "{refused}");
    drop(crew);
    no_children();
}

pub(crate) fn a_coordinator_that_is_not_dumpable_is_told_why_it_has_no_crew() {
    use std::os::unix::process::CommandExt;
    let mut part = play("limits::be_undumpable");
    if nix::unistd::Uid::effective().is_root() {
        part.uid(65534).gid(65534);
    }
    match part.status() {
        Ok(status) => assert!(status.success(), "{status}"),
        Err(error) => println!("skipped: another user cannot run this program ({error})"),
    }
}

/// How many mappings of segments there are, and how many of these are in a core file, by the kernel's own word ("dd").
fn dumped() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut ours, mut all, mut dumped) = (false, 0, 0);
    for line in text.lines() {
        if line.split(' ').next().is_some_and(|range| range.contains('-')) {
            ours = line.contains("memfd:parfork");
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| ours) {
            all += 1;
            dumped += u64::from(!flags.split_whitespace().any(|flag| flag == "dd"));
        }
    }
    (all, dumped)
}

pub(crate) fn arrays_are_not_in_core_files() {
    let (input, mut cells) = (Shared::<u8, _>::zeros(5 << 20).unwrap(), Shared::<u8, _>::zeros(4).unwrap());
    let page = Page::new();
    parfork::fork(2, (&input, &mut cells), |w, _| {
        let (all, dumped) = dumped();
        page[2 * w.rank()].store(all, Ordering::Relaxed);
        page[2 * w.rank() + 1].store(dumped, Ordering::Relaxed);
    })
    .unwrap();
    let at = |index: usize| page[index].load(Ordering::Relaxed);
    assert!(at(0).max(at(2)) >= 3, "two arrays and the control page");
    assert_eq!((at(1), at(3)), (0, 0));
    let (all, dumped) = dumped();
    assert!(all >= 2 && dumped == 0, "{dumped} of {all}");
}
