//! The handlers of signals: those of the program, of a body, of a body's child and of a worker's own job; and what a record of a fault
//! cannot be made to say.

use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::ArrayView2;
use parfork::{Cause, Engine, Error, FaultLocation, Job, Shared, Worker};

use crate::support::{Page, nothing_left};
use crate::{BAD, INPUT, fault, with_both, write_to};

/// How many faults [`mend`] has mended in this process.
static MENDED: AtomicU64 = AtomicU64::new(0);

/// A handler as a JIT has it: makes the page at the fault writable, so that the instruction goes on.
extern "C" fn mend(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel's record.
    let record = unsafe { &*info };
    // SAFETY: of a fault.
    let address = unsafe { record.si_addr() };
    let page = address.map_addr(|address| address & !4095);
    // SAFETY: a page of the test's own, or of the input: then the kernel refuses.
    let done = unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_WRITE) };
    if done == 0 {
        MENDED.fetch_add(1, Ordering::Relaxed);
    } else {
        // SAFETY: gives the signal up.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
    }
}

fn install_mend() {
    // SAFETY: integers, for which all zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = mend as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler is of this kind.
    assert_eq!(unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, std::ptr::null_mut()) }, 0);
}

/// Two faults that are mended, and then one that is not: the one that is told.
pub(crate) fn a_handler_from_before_the_fork_still_mends_faults() {
    install_mend();
    // SAFETY: new addresses of the kernel's choice.
    let pages = unsafe {
        libc::mmap(std::ptr::null_mut(), 8192, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    let pages = pages.expose_provenance();
    with_both(
        |_, slice| {
            for page in [pages, pages + 4096] {
                write_to(std::ptr::with_exposed_provenance::<u8>(page), 8);
            }
            slice.fill(MENDED.load(Ordering::Relaxed) as u32);
            assert_eq!(slice[[0, 0]], 2);
            // No page that could be made writable.
            write_to(std::ptr::null::<u8>(), 0x30);
        },
        |fault, text| assert_eq!((&fault.place, fault.address), (&FaultLocation::Null, Some(0x30)), "{text}"),
    );
}

/// A handler that a body installs stands in the place of ours.
pub(crate) fn a_body_may_mend_its_faults_itself() {
    // SAFETY: new addresses of the kernel's choice.
    let page = unsafe {
        libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    let page = page.expose_provenance();
    let mut output = Shared::<u64, _>::zeros(24).unwrap();
    nothing_left(|| {
        let run = parfork::fork(2, &mut output, |_, mut slice| {
            install_mend();
            write_to(std::ptr::with_exposed_provenance::<u8>(page), 8);
            slice[0] = MENDED.load(Ordering::Relaxed);
        });
        run.unwrap();
    });
    assert_eq!(output.as_slice(), [1; 24]);
}

pub(crate) fn a_fault_of_a_bodys_own_child_is_not_its_workers() {
    with_both(
        |input, _| {
            write_in_a_child(input);
            write_to(input.as_ptr(), 16 * 8);
        },
        |fault, _| assert_eq!(fault.place, FaultLocation::Cell { array: INPUT, index: vec![1, 0], owner: None }),
    );
    // And without one of its own there is nothing to tell.
    let input = Shared::<u64, _>::zeros((512, 16)).unwrap();
    let error = parfork::fork(2, &input, |w: &Worker<'_>, input: ArrayView2<u64>| {
        if w.region().index() == BAD {
            write_in_a_child(input);
            // SAFETY: a signal to this process.
            unsafe { libc::raise(libc::SIGSEGV) };
        }
    });
    let Err(Error::WorkerDied(death)) = error else { panic!("{error:?}") };
    assert_eq!(death.cause, Cause::Signalled { signal: libc::SIGSEGV });
}

/// A child that faults at address 8; waits for its end.
fn write_in_a_child(_: ArrayView2<u64>) {
    // SAFETY: the child faults at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        write_to(std::ptr::null::<u8>(), 8);
    }
    let mut status = 0;
    // SAFETY: one live int.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(libc::WTERMSIG(status), libc::SIGSEGV);
}

/// The words of the only segment that a worker has readable and writable: the control page.
fn board_words() -> &'static [std::sync::atomic::AtomicU32] {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().rev().find(|line| line.contains("rw-s") && line.contains("memfd:parfork"));
    let (start, end) = line.unwrap().split_whitespace().next().unwrap().split_once('-').unwrap();
    let number = |text| usize::from_str_radix(text, 16).unwrap();
    let (start, end) = (number(start), number(end));
    // SAFETY: mapped as long as this worker lives; all use of these words is atomic.
    unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(start), (end - start) / 4) }
}

pub(crate) fn a_board_of_lies_about_faults_is_harmless() {
    let input = Shared::<u64, _>::zeros((512, 16)).unwrap();
    for lie in [0, 1, 2, 11, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        for step in [1, 3] {
            nothing_left(|| {
                let run = Job::new(&input).workers(2).deadline(std::time::Duration::from_secs(20)).run(|w, _| {
                    if w.region().index() == BAD {
                        board_words().iter().step_by(step).for_each(|word| word.store(lie, Ordering::Relaxed));
                        write_to(std::ptr::null::<u8>(), 8);
                    }
                });
                assert!(!matches!(run, Ok(_) | Err(Error::Deadline { .. })), "{run:?}");
            });
        }
    }
}

pub(crate) fn other_engines_leave_the_handlers_alone() {
    let handlers = || {
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE].map(|signal| {
            // SAFETY: integers, for which all zero is a value.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            // SAFETY: `action` is live for the kernel to fill.
            assert_eq!(unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) }, 0);
            (action.sa_sigaction, action.sa_flags)
        })
    };
    let before = handlers();
    for engine in Engine::ALL {
        let mut output = Shared::<u64, _>::zeros(24).unwrap();
        let seen = Page::new();
        let job = Job::new(&mut output).workers(2).runner(engine);
        job.run(|_, _| seen[0].store(u64::from(handlers() == before) + 1, Ordering::Relaxed)).unwrap();
        assert_eq!(seen[0].load(Ordering::Relaxed), if engine == Engine::Processes { 1 } else { 2 }, "{engine}");
        assert_eq!(handlers(), before, "{engine}");
    }
}

/// With retries a rank is another worker's in the next round, whose end has nothing to do with the fault of the last.
pub(crate) fn an_earlier_fault_is_forgotten_with_its_worker() {
    let mut output = Shared::<u64, _>::zeros(24).unwrap();
    let tries = Page::new();
    let error = Job::new(&mut output).workers(1).retries(1).body_overwrites().run(|w, _| {
        if w.region().index() == BAD && tries[0].fetch_add(1, Ordering::Relaxed) == 0 {
            write_to(std::ptr::null::<u8>(), 8);
        } else if w.region().index() == BAD {
            // SAFETY: no signal handler runs for this.
            unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
            // SAFETY: a signal to this process.
            unsafe { libc::raise(libc::SIGSEGV) };
        }
    });
    let Err(Error::WorkerDied(death)) = error else { panic!("{error:?}") };
    assert_eq!((death.tries, &death.cause), (2, &Cause::Signalled { signal: libc::SIGSEGV }));
}

/// A job within a body: its workers are born with the handler of the worker that forks them, and behind it the program's.
pub(crate) fn a_worker_of_a_workers_own_job_is_witnessed_too() {
    install_mend();
    // SAFETY: new addresses of the kernel's choice.
    let page = unsafe {
        libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    let page = page.expose_provenance();
    let mut output = Shared::<u64, _>::zeros(2).unwrap();
    let run = parfork::fork(2, &mut output, |w, _| {
        let inner = Shared::<u64, _>::zeros((512, 16)).unwrap();
        let (fault, _) = fault(parfork::fork(2, &inner, |w: &Worker<'_>, _| {
            if w.region().index() == BAD {
                write_to(std::ptr::with_exposed_provenance::<u8>(page), 8);
                assert_eq!(MENDED.load(Ordering::Relaxed), 1);
                write_to(std::ptr::null::<u8>(), 16);
            }
        }));
        assert_eq!((fault.place, fault.address), (FaultLocation::Null, Some(16)));
        if w.region().index() == 1 {
            write_to(std::ptr::null::<u8>(), 8);
        }
    });
    let Err(Error::WorkerDied(death)) = run else { panic!("{run:?}") };
    assert!(matches!(&death.cause, Cause::Faulted(fault) if fault.place == FaultLocation::Null), "{death}");
}
