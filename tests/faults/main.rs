//! Jobs in which a worker, or the coordinator, comes to harm: an error that says who, where, why and what to do, in bounded
//! time, nothing left behind, and a process in which the next job works.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
mod support;

use std::ffi::c_int;
use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parfork::{Cause, Death, Engine, Error, Job, Schedule, Shared, Slice, Split, Worker};
use support::{Page, Watched, cases, no_children, nothing_left, play};

fn main() -> ExitCode {
    support::run(
        cases![
            a_killed_worker_is_named,
            a_worker_that_ends_itself_is_named,
            a_real_time_signal_is_named,
            a_write_to_an_input_ends_the_worker_alone,
            a_use_of_an_array_that_was_not_lent_ends_the_worker,
            a_use_of_the_coordinators_address_ends_the_worker,
            an_exit_is_not_taken_for_success,
            a_panic_is_told_with_message_and_place,
            a_panic_without_text_is_told,
            a_panic_whose_message_panics_stays_in_the_worker,
            an_error_of_a_body_is_told,
            an_error_that_panics_while_it_is_told_is_a_panic,
            a_stack_overflow_is_named,
            a_stopped_worker_ends_at_the_deadline,
            the_death_of_several_at_once_is_one_error,
            a_death_at_birth_is_noticed,
            a_death_between_lock_and_mark_is_noticed,
            a_death_after_which_nothing_is_missing_is_no_error,
            a_panic_in_a_bodys_own_thread_is_the_bodys_affair,
            a_body_may_close_all_descriptors,
            a_grandchild_that_outlives_its_worker_is_not_waited_for,
            a_dead_worker_with_a_living_grandchild_is_noticed,
            a_coordinator_that_ignores_its_childrens_ends_gets_results,
            a_panic_of_progress_ends_the_workers,
            a_panic_of_the_coordinator_lets_destructors_run_jobs,
            a_worker_that_cannot_attach_says_why,
            a_killed_coordinator_takes_its_workers_along,
            a_board_of_lies_ends_the_job,
            a_lie_in_an_obituary_hides_no_death,
            on_threads_and_serially_a_panic_is_an_error_too,
        ],
        cases![coordinate_for_ever],
    )
}

const WORKERS: [usize; 3] = [1, 2, 8];

/// Slices of the jobs here: rows of two cells.
const SLICES: usize = 24;

/// The slice at which things go wrong.
const BAD: usize = 5;

/// Runs a body that ends its worker in slice [`BAD`]; checks what the error says of where, and that all is well after.
/// Gives the death and the error's text to `check`.
fn death(body: impl Fn() + Sync, check: impl Fn(&Death, &str)) {
    death_in(|_, _| body(), check);
}

fn death_in(body: impl Fn(&Worker<'_>, Slice<'_, u64, ndarray::Ix2>) + Sync, check: impl Fn(&Death, &str)) {
    for workers in WORKERS {
        let mut array = Shared::<u64, _>::zeros((SLICES, 2)).unwrap();
        let error = nothing_left(|| {
            let run = Job::new(&mut array).workers(workers).run(|w, mut slice| {
                slice.fill(1);
                if w.region().index() == BAD {
                    body(w, slice);
                }
            });
            run.unwrap_err()
        });
        let text = error.to_string();
        let Error::WorkerDied(death) = error else { panic!("{error:?}") };
        assert!(death.rank < workers && death.slices == SLICES && death.done < SLICES, "{death:?}");
        assert_eq!(death.slice.expect("the slice it died on").0.index(), BAD);
        gone(death.pid);
        assert!(text.starts_with(&format!("worker {} (pid {}) ", death.rank, death.pid)), "{text}");
        assert!(text.contains(" while it worked on slice 5 [5..6, ..]; "), "{text}");
        assert!(text.contains(&format!("{} of 24 slices were done", death.done)), "{text}");
        check(&death, &text);
        all_is_well();
    }
}

fn signalled(signal: c_int, words: &str) -> impl Fn(&Death, &str) {
    move |death, text| {
        assert_eq!(death.cause, Cause::Signalled { signal }, "{text}");
        assert!(text.contains(words), "{text}");
    }
}

/// `tests/fault_handler/` looks at what is said of faults; here it is that the end is what it is.
fn faulted(signal: c_int, words: &str) -> impl Fn(&Death, &str) {
    move |death, text| {
        assert!(matches!(&death.cause, Cause::Faulted(fault) if fault.signal == signal), "{text}");
        assert!(text.contains(words), "{text}");
    }
}

/// The process is not there any more; a pid is not given again so soon.
fn gone(pid: u32) {
    // SAFETY: no signal is sent.
    assert_eq!(unsafe { libc::kill(pid as i32, 0) }, -1, "worker {pid} is still there");
}

/// A job works in this process.
fn all_is_well() {
    let mut array = Shared::<usize, _>::zeros(100).unwrap();
    nothing_left(|| {
        parfork::fork(3, &mut array, |w, mut slice| slice.fill(w.region().index())).unwrap();
    });
    assert!(array.as_slice().iter().copied().eq(0..100));
}

fn raise(signal: c_int) {
    // SAFETY: sends this process a signal.
    unsafe { libc::raise(signal) };
}

fn a_killed_worker_is_named() {
    death(
        || raise(libc::SIGKILL),
        |death, text| {
            signalled(libc::SIGKILL, "was ended by signal 9 (SIGKILL: killed)")(death, text);
            assert!(text.contains("Find out who sent SIGKILL"), "{text}");
        },
    );
    death(|| raise(libc::SIGTERM), signalled(libc::SIGTERM, "Somebody asked it to end"));
}

fn a_worker_that_ends_itself_is_named() {
    death(|| std::process::abort(), signalled(libc::SIGABRT, "(SIGABRT: it aborted itself)"));
    death(touch_a_file_that_is_too_short, faulted(libc::SIGBUS, "mapped memory behind which there is nothing; in "));
    death(|| raise(libc::SIGILL), signalled(libc::SIGILL, "(SIGILL: it met an instruction that this CPU lacks)"));
    death(|| raise(libc::SIGFPE), signalled(libc::SIGFPE, "(SIGFPE: integer division by zero or overflow)"));
    death(|| raise(libc::SIGSYS), signalled(libc::SIGSYS, "(SIGSYS)"));
}

fn touch_a_file_that_is_too_short() {
    use std::os::fd::AsRawFd;
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    let kind = libc::MAP_SHARED;
    // SAFETY: new memory at an address of the kernel's choice.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, kind, file.as_raw_fd(), 0) };
    // SAFETY: none: the file is empty, and this is what must end the worker.
    std::hint::black_box(unsafe { page.cast::<u8>().read_volatile() });
}

fn a_real_time_signal_is_named() {
    let signal = libc::SIGRTMIN() + 3;
    death(|| raise(signal), signalled(signal, &format!("signal {signal} (a real-time signal)")));
}

const SEGV: &str = "was ended by signal 11 (SIGSEGV: it ";

fn a_write_to_an_input_ends_the_worker_alone() {
    for workers in WORKERS {
        let input = Shared::<u64, _>::zeros((SLICES, 2)).unwrap();
        let mut output = Shared::<u64, _>::zeros((SLICES, 2)).unwrap();
        let error = nothing_left(|| {
            let run = parfork::fork(workers, (&input, &mut output), |w, (input, _)| {
                if w.region().index() == BAD {
                    // SAFETY: none: this is what must end the worker, by a page that is read-only.
                    unsafe { input.as_ptr().cast_mut().write_volatile(1) };
                }
            });
            run.unwrap_err()
        });
        assert!(error.to_string().contains(SEGV), "{error}");
        assert!(error.to_string().contains("Lend the array with &mut"), "{error}");
        assert!(input.as_slice().iter().all(|&cell| cell == 0));
        all_is_well();
    }
}

fn a_use_of_an_array_that_was_not_lent_ends_the_worker() {
    for length in [10, 3 << 20] {
        let other = Shared::<u8, _>::zeros(length).unwrap();
        let view = other.view();
        death(|| assert_eq!(std::hint::black_box(view[0]), 0), faulted(libc::SIGSEGV, SEGV));
        let slice = other.as_slice();
        death(|| drop(std::hint::black_box(slice.to_vec())), faulted(libc::SIGSEGV, SEGV));
        let mut third = Shared::<u8, _>::zeros(length).unwrap();
        let address = third.as_mut_slice().as_mut_ptr().expose_provenance();
        let write = || {
            let last = std::ptr::with_exposed_provenance_mut::<u8>(address + length - 1);
            // SAFETY: none: this is what must end the worker, by a page that is not there.
            unsafe { last.write_volatile(1) };
        };
        death(write, faulted(libc::SIGSEGV, SEGV));
        assert_eq!(third.as_slice()[length - 1], 0);
    }
}

fn a_use_of_the_coordinators_address_ends_the_worker() {
    for workers in WORKERS {
        let input = Shared::<u64, _>::zeros((SLICES, 2)).unwrap();
        let mut output = Shared::<u64, _>::zeros((SLICES, 2)).unwrap();
        let (smuggled, written) = (input.view(), output.as_mut_slice().as_mut_ptr().expose_provenance());
        for write in [false, true] {
            let error = nothing_left(|| {
                let run = parfork::fork(workers, (&input, &mut output), |w, (lent, _)| {
                    if w.region().index() == BAD && write {
                        let address = std::ptr::with_exposed_provenance_mut::<u64>(written);
                        // SAFETY: none: this is what must end the worker, by a page that is not there.
                        unsafe { address.write_volatile(1) };
                    } else if w.region().index() == BAD {
                        return lent[[0, 0]] + std::hint::black_box(smuggled[[0, 0]]);
                    }
                    0
                });
                run.unwrap_err()
            });
            assert!(error.to_string().contains(SEGV), "{error}");
            assert_eq!(output.as_slice()[0], 0);
        }
    }
}

fn an_exit_is_not_taken_for_success() {
    for status in [0, 3] {
        death(
            || std::process::exit(status),
            |death, text| {
                assert_eq!(death.cause, Cause::Exited { status });
                assert!(text.contains(&format!(") exited with status {status} while")), "{text}");
                assert!(
                    text.contains(". Let the body return instead of ending the process. `Job::only_slice(5)`"),
                    "{text}"
                );
            },
        );
    }
    // In a body's last slice, when nothing else is left to do.
    let mut one = Shared::<u8, _>::zeros(1).unwrap();
    let leave = |_: &Worker<'_>, _: Slice<'_, u8, ndarray::Ix1>| -> () { std::process::exit(0) };
    let error = nothing_left(|| parfork::fork(1, &mut one, leave).unwrap_err());
    assert!(error.to_string().contains("exited with status 0"), "{error}");
}

fn a_panic_is_told_with_message_and_place() {
    let line = line!() + 2;
    death(
        || panic!("row {} is out of range", 5),
        |death, text| {
            let Cause::Panicked { message, location } = &death.cause else { panic!("{death:?}") };
            assert_eq!(message, "row 5 is out of range");
            assert_eq!(*location, format!("tests/faults/main.rs:{line}:12"));
            assert!(text.contains(&format!("panicked at {location}: {message} while")), "{text}");
            assert!(text.contains(". Mend the body, which panics on this slice. `Job::only_slice(5)`"), "{text}");
        },
    );
    let long = "ü".repeat(100_000);
    death(
        || panic!("{long}"),
        |death, _| assert!(matches!(&death.cause, Cause::Panicked { message, .. } if message.len() < 3000)),
    );
}

fn a_panic_without_text_is_told() {
    death(
        || std::panic::panic_any(42_u64),
        |_, text| assert!(text.contains(": a panic without a message while"), "{text}"),
    );
    // Without the hook: nobody notes a place.
    death(
        || std::panic::resume_unwind(Box::new("resumed")),
        |death, _| assert_eq!(death.cause, Cause::Panicked { message: "resumed".into(), location: String::new() }),
    );
}

/// What unwinds out of a worker's life would be the coordinator's code, run a second time.
fn a_panic_whose_message_panics_stays_in_the_worker() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the payload's destructor");
        }
    }
    death(
        || std::panic::panic_any(Bomb),
        |death, text| assert!(matches!(death.cause, Cause::Panicked { .. }), "{text}"),
    );
}

fn an_error_of_a_body_is_told() {
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| WORKERS.map(|n| (engine, n))) {
        let mut array = Shared::<u64, _>::zeros((SLICES, 2)).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).split(Split::tiles(4, 1)).engine(engine);
            job.run(|w, _| if w.region().index() == BAD { Err("no light in here") } else { Ok(()) }).unwrap_err()
        });
        let Error::BodyFailed(refusal) = &error else { panic!("{error:?}") };
        let parfork::BodyFailure { rank, slice, reason } = &**refusal;
        assert_eq!((*rank < workers, slice.unwrap().0.index(), reason.as_str()), (true, BAD, "no light in here"));
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("worker {rank} gave up on slice 5 [8..12, 1..2, ..]: no light in here")),
            "{text}"
        );
    }
    all_is_well();
}

fn an_error_that_panics_while_it_is_told_is_a_panic() {
    struct Shy;
    impl std::fmt::Display for Shy {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("not to be shown")
        }
    }
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| parfork::fork(workers, &mut array, |_, _| Err::<(), _>(Shy)).unwrap_err());
        assert!(error.to_string().contains("not to be shown"), "{error}");
    }
}

fn a_stack_overflow_is_named() {
    #[expect(unconditional_recursion, reason = "this is how a stack overflows")]
    fn deeper(depth: u64) -> u64 {
        let room = std::hint::black_box([depth; 100]);
        deeper(depth + 1) + room[99]
    }
    death(|| assert_ne!(deeper(0), 0), faulted(libc::SIGSEGV, "its stack overflowed"));
}

fn a_stopped_worker_ends_at_the_deadline() {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).deadline(Duration::from_millis(50));
            job.run(|w, _| {
                if w.region().index() == BAD {
                    raise(libc::SIGSTOP)
                }
            })
            .unwrap_err()
        });
        assert!(matches!(error, Error::Deadline { slices: SLICES, .. }), "{error}");
        all_is_well();
    }
}

fn the_death_of_several_at_once_is_one_error() {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(workers).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).schedule(Schedule::Static);
            job.run(|w, _| -> parfork::Result<()> {
                w.barrier()?;
                raise([libc::SIGKILL, libc::SIGSEGV][w.rank() % 2]);
                Ok(())
            })
            .unwrap_err()
        });
        let Error::WorkerDied(death) = &error else { panic!("{error:?}") };
        // Whoever is named has its own end told, unless the coordinator's SIGKILL came first.
        let own = [libc::SIGKILL, libc::SIGSEGV][death.rank % 2];
        assert_eq!(death.cause, Cause::Signalled { signal: own }, "{error}");
        all_is_well();
    }
}

/// Which fork from now on is to end at once, before any code of this crate runs in it; 0 for none.
static STILLBORN: AtomicU64 = AtomicU64::new(0);

fn a_death_at_birth_is_noticed() {
    extern "C" fn count_down() {
        STILLBORN.fetch_sub(u64::from(STILLBORN.load(Ordering::Relaxed) > 0), Ordering::Relaxed);
    }
    extern "C" fn be_born() {
        if STILLBORN.load(Ordering::Relaxed) == 1 {
            raise(libc::SIGKILL);
        }
    }
    // SAFETY: both handlers only use an atomic and a system call.
    assert_eq!(unsafe { libc::pthread_atfork(None, Some(count_down), Some(be_born)) }, 0);
    for (workers, nth) in [(1, 1), (2, 1), (2, 2), (8, 1), (8, 5), (8, 8), (200, 150)] {
        let mut array = Shared::<u8, _>::zeros(workers * 2).unwrap();
        STILLBORN.store(nth, Ordering::Relaxed);
        // Static, or the others would do its share, and nothing would be missing.
        let error = nothing_left(|| {
            Job::new(&mut array).workers(workers).schedule(Schedule::Static).run(|_, _| ()).unwrap_err()
        });
        let Error::WorkerDied(death) = &error else { panic!("{error:?}") };
        assert_eq!((death.rank as u64, death.slice), (nth - 1, None), "{error}");
        assert_eq!(death.cause, Cause::Signalled { signal: libc::SIGKILL });
        assert!(error.to_string().contains("while it worked on no slice"), "{error}");
        STILLBORN.store(0, Ordering::Relaxed);
        all_is_well();
    }
}

/// Whether the next robust lock taken in this process is its last deed.
static LAST_DEED: AtomicU64 = AtomicU64::new(0);

/// Stands before the C library's, for [`a_death_between_lock_and_mark_is_noticed`].
///
/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_mutex_trylock(mutex: *mut libc::pthread_mutex_t) -> c_int {
    type Lock = unsafe extern "C" fn(*mut libc::pthread_mutex_t) -> c_int;
    static REAL: AtomicU64 = AtomicU64::new(0);
    if REAL.load(Ordering::Relaxed) == 0 {
        // SAFETY: a name that ends in 0; the next library that has it is the C library.
        let real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"pthread_mutex_trylock".as_ptr()) };
        REAL.store(real.addr() as u64, Ordering::Relaxed);
    }
    let real = std::ptr::with_exposed_provenance::<()>(REAL.load(Ordering::Relaxed) as usize);
    // SAFETY: the C library's function of this name has this type.
    let real: Lock = unsafe { std::mem::transmute(real) };
    // SAFETY: passed on to the caller.
    let taken = unsafe { real(mutex) };
    let coordinator = LAST_DEED.load(Ordering::Relaxed);
    if coordinator != 0 && coordinator != u64::from(std::process::id()) {
        wait_until_asleep(coordinator);
        raise(libc::SIGKILL);
    }
    taken
}

/// Until that process has seen the lock taken: it sleeps without a limit, or has slept some rounds more.
fn wait_until_asleep(pid: u64) {
    let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let sleeps = || {
        let status = read("status");
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let first = sleeps();
    loop {
        // Number, words, how many, flags, limit: a wait for futexes with no limit lasts until somebody wakes it.
        let call = read("syscall");
        let call: Vec<_> = call.split_whitespace().collect();
        if sleeps() > first + 5 || (call.first() == Some(&"449") && call.get(4) == Some(&"0x0")) {
            return;
        }
        std::thread::yield_now();
    }
}

/// One worker is killed when its slices are done, and the last slice becomes done between the coordinator's notice of that
/// and the end of the others.
fn a_death_after_which_nothing_is_missing_is_no_error() {
    let page = Page::new();
    let (pids, go) = (&page[..2], &page[2]);
    let mut array = Shared::<u64, _>::zeros(2).unwrap();
    let mut killed = false;
    let progress = |done, _| {
        let first = pids[1].load(Ordering::Acquire) as u32;
        if !killed && done == 1 && first > 0 {
            let watched = Watched::new(first).unwrap();
            // SAFETY: a signal to a child that has not been reaped.
            unsafe { libc::kill(first as i32, libc::SIGKILL) };
            assert!(watched.ends_within(Duration::from_secs(60)));
            killed = true;
        } else if killed && go.load(Ordering::Relaxed) == 0 {
            go.store(1, Ordering::Release);
        }
    };
    nothing_left(|| {
        let job = Job::new(&mut array).workers(2).schedule(Schedule::Static).progress(progress);
        job.run(|w, mut slice| {
            pids[w.rank()].store(u64::from(std::process::id()), Ordering::Release);
            while w.rank() == 0 && go.load(Ordering::Acquire) == 0 {
                std::thread::yield_now();
            }
            slice.fill(7);
        })
        .unwrap();
    });
    assert!(killed);
    assert_eq!(array.as_slice(), [7, 7]);
}

/// A worker signs its robust lock in two steps: it takes the lock, then marks it so that the kernel wakes the coordinator.
fn a_death_between_lock_and_mark_is_noticed() {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        LAST_DEED.store(u64::from(std::process::id()), Ordering::Relaxed);
        let error = nothing_left(|| parfork::fork(workers, &mut array, |_, _| ()).unwrap_err());
        LAST_DEED.store(0, Ordering::Relaxed);
        assert!(error.to_string().contains("SIGKILL") && error.to_string().contains("on no slice"), "{error}");
        all_is_well();
    }
}

fn a_panic_in_a_bodys_own_thread_is_the_bodys_affair() {
    for workers in WORKERS {
        let mut array = Shared::<usize, _>::zeros(SLICES).unwrap();
        nothing_left(|| {
            let run = parfork::fork(workers, &mut array, |_, mut slice| {
                let panicked = std::thread::spawn(|| panic!("expected, in a thread of a worker")).join();
                slice[0] = usize::from(panicked.is_err());
            });
            run.unwrap();
        });
        assert_eq!(array.as_slice(), [1; SLICES]);
    }
    death(|| drop(std::thread::spawn(|| raise(libc::SIGKILL)).join()), signalled(libc::SIGKILL, "(SIGKILL: killed)"));
    death(
        || std::thread::scope(|threads| drop(threads.spawn(|| panic!("in a scope")))),
        |_, text| assert!(text.contains("a scoped thread panicked"), "{text}"),
    );
}

fn a_body_may_close_all_descriptors() {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).measure_memory(true);
            job.run(|_, mut slice| {
                // SAFETY: this process's own, and it uses none of them any more.
                unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
                slice[0] = 1;
            })
            .unwrap();
        });
        assert_eq!(array.as_slice(), [1; SLICES]);
    }
    death(
        || {
            // SAFETY: as above.
            unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
            panic!("in silence");
        },
        |_, text| assert!(text.contains("in silence"), "{text}"),
    );
}

/// Forks a grandchild that lives until the other end of `hold` is closed. Its pid.
fn beget(hold: &std::io::PipeReader) -> u64 {
    use std::os::fd::AsRawFd;
    // SAFETY: the child calls nothing but read and _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let mut byte = 0_u8;
        // SAFETY: one live byte.
        unsafe { libc::read(hold.as_raw_fd(), std::ptr::from_mut(&mut byte).cast(), 1) };
        // SAFETY: ends the process without touching its memory.
        unsafe { libc::_exit(0) };
    }
    pid as u64
}

fn a_grandchild_that_outlives_its_worker_is_not_waited_for() {
    grandchild(|| {}, |run| drop(run.unwrap()));
}

fn a_dead_worker_with_a_living_grandchild_is_noticed() {
    grandchild(
        || raise(libc::SIGKILL),
        |run| assert!(run.as_ref().is_err_and(|error| error.to_string().contains("SIGKILL")), "{run:?}"),
    );
}

fn grandchild(end: impl Fn(), check: impl Fn(parfork::Result<parfork::Answers<()>>)) {
    for workers in WORKERS {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let pid = Page::new();
        nothing_left(|| {
            let (held, hold) = std::io::pipe().unwrap();
            let run = parfork::fork(workers, &mut array, |w, _| {
                // SAFETY: the worker's own copy, or the grandchild would hold itself.
                unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&hold)) };
                if w.region().index() == BAD {
                    pid[0].store(beget(&held), Ordering::Release);
                    end();
                }
            });
            check(run);
            let alive = Watched::new(pid[0].load(Ordering::Acquire) as u32).expect("the grandchild lives on");
            drop(hold);
            assert!(alive.ends_within(Duration::from_secs(60)));
        });
        all_is_well();
    }
}

fn a_coordinator_that_ignores_its_childrens_ends_gets_results() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    for workers in WORKERS {
        all_is_well();
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| {
            let run = parfork::fork(workers, &mut array, |w, _| {
                if w.region().index() == BAD {
                    raise(libc::SIGKILL)
                }
            });
            run.unwrap_err()
        });
        let text = error.to_string();
        let Error::WorkerDied(death) = error else { panic!("{text}") };
        // The cause can be read as long as the kernel is not done with the dead.
        let seen = death.cause == Cause::Signalled { signal: libc::SIGKILL };
        assert!(seen || death.cause == Cause::Unknown, "{text}");
        assert!(seen || text.contains("Let this program's SIGCHLD handler leave parfork's children alone"), "{text}");
    }
}

fn a_panic_of_progress_ends_the_workers() {
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| WORKERS.map(|n| (engine, n))) {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        nothing_left(|| {
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let job = Job::new(&mut array).workers(workers).engine(engine);
                job.progress(|_, _| panic!("expected, of progress")).run(|_, _| ()).map(drop)
            }));
            assert!(panicked.is_err());
        });
        all_is_well();
    }
    // Workers in the middle of their slices go as well.
    let mut array = Shared::<u8, _>::zeros(8).unwrap();
    nothing_left(|| {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let job = Job::new(&mut array).workers(8).progress(|_, _| panic!("expected, of progress"));
            job.run(|_, _| pause_for_ever()).map(drop)
        }));
        assert!(panicked.is_err());
    });
}

fn pause_for_ever() {
    loop {
        // SAFETY: waits for a signal, touches nothing.
        unsafe { libc::pause() };
    }
}

fn a_panic_of_the_coordinator_lets_destructors_run_jobs() {
    struct Last<'a>(&'a AtomicU64);
    impl Drop for Last<'_> {
        fn drop(&mut self) {
            let mut array = Shared::<u64, _>::zeros(10).unwrap();
            let run = parfork::fork(2, &mut array, |w, mut slice| slice[0] = w.region().index() as u64);
            let right = run.is_ok() && array.as_slice().iter().copied().eq(0..10);
            self.0.store(1 + u64::from(right), Ordering::Relaxed);
        }
    }
    let done = AtomicU64::new(0);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _last = Last(&done);
        panic!("expected, of the coordinator");
    }));
    assert!(panicked.is_err());
    assert_eq!(done.into_inner(), 2, "the job in the destructor");
    no_children();
}

fn a_worker_that_cannot_attach_says_why() {
    use nix::sys::resource::{Resource, setrlimit};
    let mut array = Shared::<u8, _>::zeros(64 << 20).unwrap();
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let now = pages.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 4096;
    // Room for what there is and the control page, but not for the array a second time.
    setrlimit(Resource::RLIMIT_AS, now + (16 << 20), now + (16 << 20)).unwrap();
    let error = nothing_left(|| parfork::fork(2, &mut array, |_, _| ()).unwrap_err());
    assert!(error.to_string().contains("map a lent array"), "{error}");
    assert!(error.to_string().contains("Cannot allocate memory") || error.to_string().contains("ENOMEM"), "{error}");
}

fn a_killed_coordinator_takes_its_workers_along() {
    for _ in 0..5 {
        let mut coordinator = play("coordinate_for_ever").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(coordinator.stdout.take().unwrap()).lines();
        let workers: Vec<_> = (0..8).map(|_| lines.next().unwrap().unwrap().parse().unwrap()).collect();
        let workers: Vec<_> = workers.into_iter().map(|pid| Watched::new(pid).expect("a worker lives")).collect();
        coordinator.kill().unwrap();
        coordinator.wait().unwrap();
        assert!(workers.iter().all(|worker| worker.ends_within(Duration::from_secs(60))));
        // Nobody else has the pipe, so that it ends.
        assert!(lines.next().is_none());
    }
}

fn coordinate_for_ever() {
    let mut array = Shared::<u8, _>::zeros(8).unwrap();
    let job = Job::new(&mut array).workers(8).schedule(Schedule::Static);
    job.run(|w, _| {
        let line = format!("{}\n", std::process::id());
        // SAFETY: live bytes and their number.
        unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
        // Some asleep, some busy, some at a meeting.
        match w.rank() % 3 {
            0 => pause_for_ever(),
            1 => drop(w.barrier()),
            _ => loop {
                std::hint::spin_loop();
            },
        }
    })
    .unwrap();
}

/// Where the control page is: the only segment that a worker has at the coordinator's address, readable and writable.
fn board() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().rev().find(|line| line.contains("rw-s") && line.contains("memfd:parfork"));
    let (start, end) = line.unwrap().split_whitespace().next().unwrap().split_once('-').unwrap();
    let number = |text| usize::from_str_radix(text, 16).unwrap();
    (number(start), number(end))
}

/// The control page's words, to lie in.
fn board_words() -> &'static [std::sync::atomic::AtomicU32] {
    let (start, end) = board();
    let words = std::ptr::with_exposed_provenance(start);
    // SAFETY: mapped as long as this worker lives; all use of these words is atomic.
    unsafe { std::slice::from_raw_parts(words, (end - start) / 4) }
}

/// A worker gone mad can spoil results, and can keep the others from meeting until the deadline. It cannot crash the
/// coordinator, nor hide a death from it. The loan is for reading, so that the control page is all that is shared and writable.
fn a_board_of_lies_ends_the_job() {
    let array = Shared::<u8, _>::zeros(SLICES).unwrap();
    let words = [0, 1, 2, 3, 5, 0xff, 0x7fff_ffff, 0x8000_0001, 0x4000_0000, u32::MAX];
    for (lie, workers) in words.iter().flat_map(|&lie| [1, 2, 8].map(|workers| (lie, workers))) {
        for (step, dies) in [(1, false), (1, true), (3, false), (7, true)] {
            nothing_left(|| {
                let patience = if dies { Duration::from_secs(20) } else { Duration::from_millis(50) };
                let job = Job::new(&array).workers(workers).deadline(patience);
                let run = job.run(|w, _| {
                    if w.region().index() == BAD {
                        board_words().iter().step_by(step).for_each(|word| word.store(lie, Ordering::Relaxed));
                        if dies {
                            raise(libc::SIGKILL);
                        }
                    }
                });
                let late = dies && matches!(run, Err(Error::Deadline { .. }));
                assert!(!late, "{workers} workers, every {step}th word {lie:#x}: nobody noticed the death");
            });
        }
    }
    all_is_well();
}

fn a_lie_in_an_obituary_hides_no_death() {
    for (workers, mark) in WORKERS.into_iter().flat_map(|workers| [0, 0x8000_0000].map(|mark| (workers, mark))) {
        let array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&array).workers(workers).deadline(Duration::from_secs(10));
            let run = job.run(|w, _| {
                if w.region().index() == BAD {
                    // Its own word holds its own number; another's there, and the kernel leaves the word alone.
                    let own = std::process::id() | 0x8000_0000;
                    for word in board_words().iter().filter(|word| word.load(Ordering::Relaxed) == own) {
                        word.store(0x1234 | mark, Ordering::Relaxed);
                    }
                    raise(libc::SIGKILL);
                }
            });
            run.unwrap_err()
        });
        assert!(error.to_string().contains("SIGKILL"), "{error}");
    }
}

fn on_threads_and_serially_a_panic_is_an_error_too() {
    for (engine, workers) in
        [Engine::Serial, Engine::Threads].into_iter().flat_map(|engine| WORKERS.map(|n| (engine, n)))
    {
        let mut array = Shared::<u8, _>::zeros(SLICES).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut array).workers(workers).engine(engine);
            job.run(|w, _| assert!(w.region().index() != BAD, "expected, on {engine}")).unwrap_err()
        });
        let text = error.to_string();
        assert!(text.contains(&format!("expected, on {engine} while it worked on slice 5 [5..6, ..]")), "{text}");
        Job::new(&mut array).workers(workers).engine(engine).run(|_, _| ()).unwrap();
    }
    all_is_well();
}
