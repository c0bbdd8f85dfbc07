//! Workers in a sandbox: what computing takes goes on as ever, everything else is refused, and the error names it.
#![allow(unsafe_code)]

mod attacks;
mod programs;
mod streams;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::FileExt;
use std::process::{Command, ExitCode};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parfork::{Cause, Crew, Engine, Error, FaultLocation, Job, Sandbox, Schedule, Shared, Split};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use support::{Page, cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            a_file_cannot_be_opened_and_the_error_says_so,
            what_is_not_computing_ends_the_worker_and_is_named,
            a_program_cannot_be_started,
            a_forbidden_call_in_a_thread_of_the_body_is_named_too,
            computing_goes_on_as_ever,
            a_panic_is_told_even_with_backtraces,
            a_fault_and_an_abort_are_still_told_as_such,
            only_what_is_kept_stays_open,
            it_goes_with_retries,
            it_goes_with_answers_of_any_length,
            it_goes_with_a_guard_of_either_kind,
            it_goes_with_limits_deadlines_and_records,
            other_engines_and_crews_refuse_it,
            strict_refuses_where_the_kernel_lacks_landlock,
            strict_refuses_where_the_kernel_lacks_seccomp,
            the_coordinator_stays_free,
            attacks::an_input_cannot_be_made_writable,
            attacks::who_has_been_refused_gets_no_second_try,
            attacks::a_handler_for_refused_calls_cannot_be_set,
            attacks::memory_that_no_limit_counts_cannot_be_had,
            attacks::memory_cannot_be_parked_beyond_the_limit,
            attacks::capabilities_are_gone_also_from_root,
            streams::a_terminal_is_neither_read_nor_typed_into,
            streams::a_log_is_added_to_and_never_rewritten,
            streams::all_that_is_printed_arrives_in_order,
            streams::descriptors_that_are_on_their_way_are_no_obstacle,
            streams::a_reader_that_takes_nothing_keeps_nobody_for_ever,
            streams::a_reader_that_takes_nothing_moves_no_deadline,
            programs::a_program_is_confined_to_what_it_may_read,
            programs::a_program_gets_at_nobody_else,
            programs::a_program_that_is_roots_has_no_capabilities,
            programs::a_program_does_as_before_what_is_its_own,
        ],
        cases![
            programs::become_a_program,
            programs::attack_as_a_program,
            programs::compute_as_a_program,
            streams::attack_a_terminal,
            streams::attack_a_log,
            streams::print_much,
            streams::print_little,
            streams::print_in_time,
        ],
    )
}

/// What a job in a sandbox ends with, whose workers do that on each slice.
fn error(body: impl Fn() -> Result<(), String> + Sync) -> Error {
    let mut cells = Shared::<u8, _>::zeros((4, 8)).unwrap();
    let job = Job::new(&mut cells).workers(2).sandbox(Sandbox::new().strict(true));
    nothing_left(|| job.run(|_, _| body()).map(drop)).expect_err("the job ends with an error")
}

/// What ended a worker that did that.
fn cause(body: impl Fn() + Sync) -> Cause {
    let error = error(|| {
        body();
        Ok(())
    });
    let Error::WorkerDied(death) = error else { panic!("{error}") };
    death.cause
}

fn a_file_cannot_be_opened_and_the_error_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    let text = error(|| File::create(&path).map(drop).map_err(|error| error.to_string())).to_string();
    assert!(text.contains("Permission denied"), "{text}");
    assert!(text.contains("its sandbox had refused it the system call openat"), "{text}");
    let text = error(|| std::fs::read("/etc/passwd").map(drop).map_err(|error| error.to_string())).to_string();
    assert!(text.contains("openat"), "{text}");
    let text = error(|| panic!("{}", File::open("/proc/self/maps").unwrap_err())).to_string();
    assert!(text.contains("panicked") && text.contains("openat"), "{text}");
    assert!(!path.exists());
}

fn what_is_not_computing_ends_the_worker_and_is_named() {
    let coordinator = std::process::id() as libc::c_long;
    let zero: libc::c_long = 0;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stays");
    std::fs::write(&file, "here").unwrap();
    let name = std::ffi::CString::new(file.to_str().unwrap()).unwrap();
    let path = name.as_ptr() as libc::c_long;
    let calls: [(&str, libc::c_long, [libc::c_long; 4]); 14] = [
        ("socket", libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0, 0]),
        ("socket", libc::SYS_socket, [libc::AF_UNIX.into(), libc::SOCK_STREAM.into(), 0, 0]),
        ("kill", libc::SYS_kill, [coordinator, libc::SIGKILL.into(), 0, 0]),
        ("kill", libc::SYS_kill, [-1, libc::SIGKILL.into(), 0, 0]),
        ("tgkill", libc::SYS_tgkill, [coordinator, coordinator, libc::SIGKILL.into(), 0]),
        ("pidfd_open", libc::SYS_pidfd_open, [coordinator, 0, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [libc::PTRACE_ATTACH.into(), coordinator, 0, 0]),
        ("process_vm_writev", libc::SYS_process_vm_writev, [coordinator, 0, 0, 0]),
        ("unlinkat", libc::SYS_unlinkat, [libc::AT_FDCWD.into(), path, 0, 0]),
        ("memfd_create", libc::SYS_memfd_create, [path, 0, 0, 0]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [4, 0, 0, 0]),
        ("clone", libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0]),
        ("prlimit64", libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE.into(), (&raw const zero) as libc::c_long, 0]),
        ("execve", libc::SYS_execve, [path, 0, 0, 0]),
    ];
    for (name, number, arguments) in calls {
        let [a, b, c, d] = arguments;
        // SAFETY: either numbers, or addresses of what is live here; none is ever carried out.
        let call = || unsafe { libc::syscall(number, a, b, c, d) };
        let cause = cause(|| assert_eq!(call(), 0));
        assert_eq!(cause, Cause::Forbidden { call: Some(name.to_owned()) });
        assert!(cause.to_string().contains(&format!("the system call {name}, which its sandbox forbids")), "{cause}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"here");
}

fn a_program_cannot_be_started() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let cause = cause(|| drop(Command::new("/usr/bin/touch").arg(&trace).status()));
    assert!(matches!(cause, Cause::Forbidden { .. }), "{cause}");
    assert!(!trace.exists());
}

fn a_forbidden_call_in_a_thread_of_the_body_is_named_too() {
    // SAFETY: three integers.
    let call = || unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0) };
    let cause = cause(|| drop(std::thread::spawn(call).join()));
    assert_eq!(cause, Cause::Forbidden { call: Some("socket".to_owned()) });
}

/// Threads, much memory, time, randomness, printing, signals to itself, meetings.
fn computing_goes_on_as_ever() {
    let mut cells = Shared::<u64, _>::zeros((4, 1000)).unwrap();
    let split = Split::default().into_pieces(4);
    let job =
        Job::new(&mut cells).workers(4).split(split).schedule(Schedule::Static).sandbox(Sandbox::new().strict(true));
    nothing_left(|| {
        job.threads_per_worker(0).run(|w, mut slice| {
            println!("from worker {}", w.rank());
            let (began, table) = (Instant::now(), BTreeMap::from([(w.rank(), 7)]));
            let hashed = std::collections::HashMap::from([(w.rank(), 7)]);
            assert_eq!(table[&w.rank()], hashed[&w.rank()]);
            let large = vec![1_u8; 64 << 20];
            std::thread::sleep(Duration::from_millis(1));
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().map_err(|error| error.to_string())?;
            let ones: usize = pool.install(|| large.iter().map(|&one| usize::from(one)).sum());
            let named = std::thread::Builder::new().name("own".to_owned());
            let own = named.spawn(move || drop(large)).map_err(|error| error.to_string())?;
            own.join().map_err(|_| "it panicked".to_owned())?;
            w.barrier().map_err(|error| error.to_string())?;
            assert!(began.elapsed() >= Duration::from_millis(1));
            slice.fill(ones as u64);
            Ok::<(), String>(())
        })
    })
    .unwrap();
    assert!(cells.view().iter().all(|&cell| cell == 64 << 20));
}

fn a_panic_is_told_even_with_backtraces() {
    // SAFETY: this process has one thread.
    unsafe { std::env::set_var("RUST_BACKTRACE", "1") };
    let cause = cause(|| panic!("on purpose"));
    assert!(matches!(&cause, Cause::Panicked { message, .. } if message == "on purpose"), "{cause}");
}

fn a_fault_and_an_abort_are_still_told_as_such() {
    // SAFETY: not sound, on purpose: it ends the worker.
    let fault = cause(|| unsafe { std::ptr::null_mut::<u8>().wrapping_add(8).write_volatile(1) });
    assert!(matches!(&fault, Cause::Faulted(fault) if fault.place == FaultLocation::Null), "{fault}");
    assert_eq!(cause(|| std::process::abort()), Cause::Signalled { signal: libc::SIGABRT });
    assert_eq!(cause(|| std::process::exit(3)), Cause::Exited { status: 3 });
}

fn only_what_is_kept_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["kept", "other"].map(|name| {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        File::options().read(true).write(true).open(path).unwrap()
    });
    let [mut kept, other] = files;
    let (kept_too, mut cells) = (kept.try_clone().unwrap(), Shared::<u8, _>::zeros(4).unwrap());
    let job = Job::new(&mut cells).workers(1).sandbox(Sandbox::new().strict(true).keep(&kept_too));
    let answers = job.run(|_, _| {
        let mut bytes = [0; 4];
        let read = kept_too.read_exact_at(&mut bytes, 0).is_ok() && &bytes == b"kept";
        let closed = |fd| File::read_at(fd, &mut [0], 0).is_err_and(|error| error.raw_os_error() == Some(libc::EBADF));
        let at_its_end = std::io::stdin().read(&mut bytes).is_ok_and(|count| count == 0);
        u64::from(read && closed(&other) && at_its_end)
    });
    assert!(answers.unwrap().iter().all(|&fine| fine == 1));
    let mut text = String::new();
    kept.rewind().unwrap();
    kept.read_to_string(&mut text).unwrap();
    assert_eq!(text, "kept");
}

/// Of workers that the coordinator forked, and of those that replace them.
fn it_goes_with_answers_of_any_length() {
    let job = Job::new(0..20).workers(2).retries(1).sandbox(Sandbox::new().strict(true));
    let done =
        nothing_left(|| job.run(|_, mine| vec![u8::from(File::open("/etc/passwd").is_err()); 10_000 * mine.start]));
    assert!(done.unwrap().iter().enumerate().all(|(slice, answer)| *answer == vec![1; 10_000 * slice]));
}

fn it_goes_with_retries() {
    let page = Page::new();
    let mut cells = Shared::<u8, _>::zeros((12, 8)).unwrap();
    let job = Job::new(&mut cells).workers(2).retries(2).body_overwrites().sandbox(Sandbox::new().strict(true));
    let report = nothing_left(|| {
        job.run(|w, mut slice| {
            let (refused, tries) = (File::open("/etc/passwd").is_err(), &page[w.region().index()]);
            match tries.fetch_add(1, Ordering::Relaxed) {
                0 if w.region().index() == 3 => {
                    // SAFETY: takes nothing and ends the worker.
                    unsafe { libc::syscall(libc::SYS_fork) };
                }
                0 | 1 if w.region().index() == 7 => std::process::abort(),
                _ => slice.fill(u8::from(refused) + 1),
            }
        })
    });
    let report = report.unwrap();
    let causes: Vec<_> = report.report().deaths.iter().map(|death| death.cause.clone()).collect();
    assert!(causes.contains(&Cause::Forbidden { call: Some("fork".to_owned()) }), "{causes:?}");
    assert_eq!(causes.len(), 3);
    assert!(cells.view().iter().all(|&cell| cell == 2));
}

fn it_goes_with_a_guard_of_either_kind() {
    for shape in [(8, 4096), (8, 10)] {
        let mut cells = Shared::<u8, _>::zeros(shape).unwrap();
        let job = Job::new(&mut cells).workers(2).guard(true).sandbox(Sandbox::new().strict(true));
        nothing_left(|| job.retries(1).restore_outputs().run(|_, mut slice| *slice += 3)).unwrap();
        assert!(cells.view().iter().all(|&cell| cell == 3), "{shape:?}");
    }
}

fn it_goes_with_limits_deadlines_and_records() {
    let mut cells = Shared::<u8, _>::zeros((8, 4096)).unwrap();
    let sandbox = || Sandbox::new().strict(true);
    let job = Job::new(&mut cells).workers(2).sandbox(sandbox()).measure_memory(true).record(true);
    let done = nothing_left(|| job.memory_limit(64 << 20).run(|_, mut slice| slice.fill(1))).unwrap();
    assert!(done.report().record().is_some());
    for worker in &done.report().workers {
        assert!(worker.memory.is_some_and(|memory| memory.private > 0), "{worker:?}");
    }
    let job = Job::new(&mut cells).workers(2).sandbox(sandbox()).memory_limit(16 << 20);
    let error = job.run(|_, _| vec![1_u8; 128 << 20].iter().map(|&one| u64::from(one)).sum::<u64>()).unwrap_err();
    assert!(matches!(&error, Error::WorkerDied(death) if death.cause == Cause::AbortedWithin { limit: 16 << 20 }));
    let job = Job::new(&mut cells).workers(2).sandbox(sandbox()).deadline(Duration::from_millis(50));
    let for_ever = || {
        while std::hint::black_box(true) {
            std::thread::park();
        }
    };
    assert!(matches!(nothing_left(|| job.run(|_, _| for_ever())), Err(Error::Deadline { .. })));
}

fn other_engines_and_crews_refuse_it() {
    let mut cells = Shared::<u8, _>::zeros((8, 8)).unwrap();
    for engine in [Engine::Serial, Engine::Threads] {
        let job = Job::new(&mut cells).runner(engine).sandbox(Sandbox::new());
        let error = job.run(|_, _| ()).unwrap_err();
        assert!(matches!(error, Error::Engine { what: "a sandbox", .. }), "{error}");
    }
    let mut crew = Crew::start(2).unwrap();
    let job = Job::new(&mut cells).crew(&mut crew).sandbox(Sandbox::new());
    let error = job.run_with((), |_, (), _| ()).unwrap_err().to_string();
    assert!(error.contains("a crew's workers open the arrays"), "{error}");
}

/// Lets the kernel say to this process from now on that it does not have this call.
fn take_away(call: libc::c_long) {
    let rules = [(call, Vec::new())].into_iter().collect();
    let target = std::env::consts::ARCH.try_into().unwrap();
    let action = SeccompAction::Errno(libc::ENOSYS as u32);
    let program: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, action, target).unwrap().try_into().unwrap();
    apply_filter(&program).unwrap();
}

/// `strict` refuses, the default goes on and does what can be done.
fn without(call: libc::c_long, missing: &str) {
    take_away(call);
    let mut cells = Shared::<u8, _>::zeros((8, 8)).unwrap();
    let job = Job::new(&mut cells).sandbox(Sandbox::new().strict(true));
    let error = nothing_left(|| job.run(|_, _| ())).unwrap_err();
    assert!(matches!(error, Error::Sandbox { .. }) && error.to_string().contains(missing), "{error}");
    let job = Job::new(&mut cells).workers(2).sandbox(Sandbox::new());
    let refused = job.run(|_, mut slice| {
        slice.fill(1);
        u64::from(File::open("/etc/passwd").is_err())
    });
    assert!(refused.unwrap().iter().all(|&refused| refused == 1), "one wall is enough to keep files closed");
    assert!(cells.view().iter().all(|&cell| cell == 1));
}

fn strict_refuses_where_the_kernel_lacks_landlock() {
    without(libc::SYS_landlock_create_ruleset, "Landlock (ABI 1");
}

fn strict_refuses_where_the_kernel_lacks_seccomp() {
    without(libc::SYS_seccomp, "seccomp filters");
}

fn the_coordinator_stays_free() {
    let mut cells = Shared::<u8, _>::zeros((8, 8)).unwrap();
    Job::new(&mut cells).workers(2).sandbox(Sandbox::new()).run(|_, mut slice| slice.fill(1)).unwrap();
    assert!(File::open("/etc/passwd").is_ok());
    assert!(Command::new("/bin/true").status().unwrap().success());
    Job::new(&mut cells).workers(2).run(|_, _| drop(File::open("/etc/passwd").unwrap())).unwrap();
}
