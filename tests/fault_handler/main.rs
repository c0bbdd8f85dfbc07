//! What the error of a dead worker says of the fault: which array, which cell, whose, in which function.
//!
//! Every expected index is worked out here by hand, from the shape and the address that the body touches.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use ndarray::{ArrayView2, Ix2};
use parfork::{
    AccessKind, ArrayName, Cause, CellOwner, Engine, Error, Fault, FaultLocation, Job, Shared, Slice, Split, Worker,
};
use support::{Page, cases, nothing_left, play};

fn main() -> ExitCode {
    support::run(
        cases![
            a_write_to_an_input_names_the_cell,
            arrays_of_a_kind_are_numbered,
            a_write_past_the_end_is_counted_in_bytes,
            a_write_before_the_start_is_counted_in_bytes,
            a_cell_of_an_output_names_its_slice_and_who_holds_it,
            the_coordinators_own_views_are_told_from_others,
            a_null_pointer_and_nowhere_are_told,
            an_address_that_cannot_be_is_told,
            an_overflow_of_the_stack_is_told,
            an_overflow_in_a_thread_of_the_body_is_told,
            instructions_that_cannot_be_are_told,
            the_function_is_named_with_its_line,
            a_signal_that_was_sent_is_no_fault_and_ends_the_worker,
            a_body_may_mend_its_faults_itself,
            a_handler_from_before_the_fork_still_mends_faults,
            a_fault_of_a_bodys_own_child_is_not_its_workers,
            a_board_of_lies_about_faults_is_harmless,
            other_engines_leave_the_handlers_alone,
            an_earlier_fault_is_forgotten_with_its_worker,
            a_worker_of_a_workers_own_job_is_witnessed_too,
            a_backtrace_comes_if_the_user_wants_it,
            a_kill_for_want_of_memory_is_told,
        ],
        cases![panic_in_a_worker],
    )
}

/// Slice at which things go wrong.
const BAD: usize = 5;

/// The fault that the job ended with, and the error's text.
fn fault<T: std::fmt::Debug>(run: parfork::Result<T>) -> (Fault, String) {
    let error = run.unwrap_err();
    let text = error.to_string();
    let Error::WorkerDied(death) = error else { panic!("{text}") };
    assert_eq!(death.slice.expect("the slice it died on").0.index(), BAD, "{text}");
    let Cause::Faulted(fault) = death.cause else { panic!("{text}") };
    (*fault, text)
}

const INPUT: ArrayName = ArrayName { output: false, number: 0, of: 1 };
const OUTPUT: ArrayName = ArrayName { output: true, number: 0, of: 1 };

fn write_to<T>(address: *const T, bytes: isize) {
    let there = address.cast::<u8>().cast_mut().wrapping_offset(bytes);
    // SAFETY: none: this is what must end the worker.
    unsafe { there.write_volatile(1) };
}

fn read_from(address: usize) -> u8 {
    // SAFETY: none: this is what must end the worker.
    unsafe { std::ptr::with_exposed_provenance::<u8>(address).read_volatile() }
}

/// Lends an input of 512 x 16 u64 and an output of 24 x 4 u32 in slices of a row, and does something in the sixth.
fn with_both(deed: impl Fn(ArrayView2<u64>, &mut Slice<u32, Ix2>) + Sync, check: impl Fn(&Fault, &str)) {
    for workers in [1, 3] {
        let input = Shared::<u64, _>::zeros((512, 16)).unwrap();
        let mut output = Shared::<u32, _>::zeros((24, 4)).unwrap();
        let (fault, text) = nothing_left(|| {
            fault(parfork::fork(workers, (&input, &mut output), |w: &Worker<'_>, (input, mut slice)| {
                if w.region().index() == BAD {
                    deed(input, &mut slice);
                }
            }))
        });
        check(&fault, &text);
        assert!(input.as_slice().iter().all(|&cell| cell == 0));
    }
}

fn a_write_to_an_input_names_the_cell() {
    with_both(
        // 3 rows of 16, 7 more: the element; its third byte.
        |input, _| write_to(input.as_ptr(), (3 * 16 + 7) * 8 + 2),
        |fault, text| {
            assert_eq!(fault.place, FaultLocation::Cell { array: INPUT, index: vec![3, 7], owner: None });
            assert_eq!((fault.signal, fault.touch), (libc::SIGSEGV, AccessKind::Write));
            let words =
                "was ended by signal 11 (SIGSEGV: it wrote in the input at [3, 7], which is only to be read; in ";
            assert!(text.contains(words) && text.contains("Lend the array with &mut"), "{text}");
        },
    );
}

fn arrays_of_a_kind_are_numbered() {
    let first = Shared::<u8, _>::zeros(100).unwrap();
    // Fortran order: the first index runs fastest. 5 columns of 70, 9 more.
    let second = Shared::<u16, _>::zeros_in((70, 50), parfork::Order::F).unwrap();
    let mut output = Shared::<u8, _>::zeros(24).unwrap();
    let run = parfork::fork(2, (&first, &mut output, &second), |w: &Worker<'_>, (_, _, second)| {
        if w.region().index() == BAD {
            write_to(second.as_ptr(), (5 * 70 + 9) * 2);
        }
    });
    let (fault, text) = fault(run);
    let array = ArrayName { output: false, number: 1, of: 2 };
    assert_eq!(fault.place, FaultLocation::Cell { array, index: vec![9, 5], owner: None });
    assert!(text.contains("in input 1 at [9, 5], which is only"), "{text}");
}

fn a_write_past_the_end_is_counted_in_bytes() {
    // 512 * 16 * 8 bytes are 16 pages: the next byte is not there.
    with_both(
        |input, _| write_to(input.as_ptr(), 512 * 16 * 8),
        |fault, text| {
            assert_eq!(fault.place, FaultLocation::Past { array: INPUT, bytes: 0, last: "row 511".into() });
            assert!(text.contains("it wrote right past the end of the input, after row 511; in "), "{text}");
            assert!(text.contains("Look for an index or a length that is wrong"), "{text}");
        },
    );
    with_both(
        |input, _| write_to(input.as_ptr(), 512 * 16 * 8 + 8),
        |_, text| assert!(text.contains("it wrote 8 bytes past the end of the input, after row 511"), "{text}"),
    );
    // 24 * 4 * 4 = 384 bytes on a page of 4096.
    with_both(
        |_, slice| write_to(slice.as_ptr(), 4096 - (BAD as isize) * 16),
        |fault, _| {
            assert_eq!(fault.place, FaultLocation::Past { array: OUTPUT, bytes: 4096 - 384, last: "row 23".into() })
        },
    );
}

fn a_write_before_the_start_is_counted_in_bytes() {
    // A large array, so that nothing of the program stands right before it.
    let large = Shared::<u8, _>::zeros((24, 1 << 18)).unwrap();
    let (fault, text) = fault(parfork::fork(2, &large, |w: &Worker<'_>, all: ArrayView2<u8>| {
        if w.region().index() == BAD {
            write_to(all.as_ptr(), -3);
        }
    }));
    assert_eq!(fault.place, FaultLocation::Before { array: INPUT, bytes: 3 }, "{text}");
    assert!(text.contains("it wrote 3 bytes before the start of the input; in "), "{text}");
}

fn a_cell_of_an_output_names_its_slice_and_who_holds_it() {
    // Tiles of 4 x 3 in 24 x 9: 3 to a row. The body takes the write access from all of its output, and writes to [12, 4]:
    // tile 3 down, 1 across, number 10.
    let mut output = Shared::<u8, _>::zeros((24, 9)).unwrap();
    let job = Job::new(&mut output).workers(1).split(Split::tiles(4, 3));
    let run = job.run(|w, slice| {
        // Tile 5 starts in row 4, column 6.
        let first = slice.as_ptr().wrapping_sub(4 * 9 + 6);
        if w.region().index() == BAD {
            // SAFETY: a page of the output, of which this worker has the only view.
            let denied = unsafe { libc::mprotect(first.cast_mut().cast(), 4096, libc::PROT_READ) };
            assert_eq!(denied, 0);
            write_to(first, 12 * 9 + 4);
        }
    });
    let (fault, text) = fault(run);
    let owner = Some(CellOwner { slice: 10, worker: None, done: false });
    assert_eq!(fault.place, FaultLocation::Cell { array: OUTPUT, index: vec![12, 4], owner });
    let words = "it wrote in the output at [12, 4], which belongs to slice 10, not begun yet; in ";
    assert!(text.contains(words) && text.contains("Write to the slice that the body is given"), "{text}");

    // The same cell when another worker holds its slice, and when it has done it.
    for done in [false, true] {
        let mut output = Shared::<u8, _>::zeros((24, 9)).unwrap();
        let taken = Page::new();
        let job = Job::new(&mut output).workers(12).split(Split::tiles(4, 3));
        let run = job.run(|w, slice| match w.region().index() {
            10 => {
                taken[0].store(w.rank() as u64 + 1, Ordering::Release);
                if !done {
                    std::thread::sleep(std::time::Duration::from_secs(100));
                }
            }
            BAD => {
                while taken[0].load(Ordering::Acquire) == 0 {
                    std::thread::yield_now();
                }
                if done {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                }
                let first = slice.as_ptr().wrapping_sub(4 * 9 + 6);
                // SAFETY: as above; the others have mappings of their own.
                unsafe { libc::mprotect(first.cast_mut().cast(), 4096, libc::PROT_READ) };
                write_to(first, 12 * 9 + 4);
            }
            _ => {}
        });
        let (fault, _) = self::fault(run);
        let worker = Some(taken[0].load(Ordering::Acquire) as usize - 1);
        let owner = Some(CellOwner { slice: 10, worker, done });
        assert_eq!(fault.place, FaultLocation::Cell { array: OUTPUT, index: vec![12, 4], owner });
    }
}

fn the_coordinators_own_views_are_told_from_others() {
    let input = Shared::<u64, _>::zeros((512, 16)).unwrap();
    let other = Shared::<u64, _>::zeros((512, 16)).unwrap();
    let mut output = Shared::<u32, _>::zeros((24, 4)).unwrap();
    for (view, words) in [
        (input.view(), "it read in the coordinator's own view of the input, which workers do not have; in "),
        (
            other.view(),
            "it read in the coordinator's own view of an array that was not lent, which workers do not have",
        ),
    ] {
        let (fault, text) =
            nothing_left(|| {
                fault(parfork::fork(2, (&input, &mut output), |w: &Worker<'_>, _| {
                    if w.region().index() == BAD { view[[100, 3]] } else { 0 }
                }))
            });
        assert!(matches!(fault.place, FaultLocation::Coordinators { .. }), "{fault:?}");
        assert!(text.contains(words) && text.contains("se the view that the body is given"), "{text}");
        assert_eq!(fault.touch, AccessKind::Read);
    }
}

fn a_null_pointer_and_nowhere_are_told() {
    with_both(
        |_, _| assert_eq!(read_from(0x10), 0),
        |fault, text| {
            assert_eq!(
                (&fault.place, fault.address, fault.touch),
                (&FaultLocation::Null, Some(0x10), AccessKind::Read)
            );
            assert!(
                text.contains("it read at address 0x10, near null; in ") && text.contains("null pointer"),
                "{text}"
            );
        },
    );
    // Pages that are there for nobody.
    // SAFETY: new addresses of the kernel's choice.
    let nowhere = unsafe {
        libc::mmap(std::ptr::null_mut(), 64 << 20, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    let middle = nowhere.expose_provenance() + (32 << 20);
    with_both(
        |_, _| assert_eq!(read_from(middle), 0),
        |fault, text| {
            assert_eq!((&fault.place, fault.address), (&FaultLocation::Elsewhere, Some(middle as u64)));
            assert!(text.contains(&format!("it read at address {middle:#x}, which is not there")), "{text}");
        },
    );
    with_both(
        |_, _| {
            let nothing = std::ptr::with_exposed_provenance::<()>(0x20);
            // SAFETY: none: this is what must end the worker.
            unsafe { std::mem::transmute::<*const (), extern "C" fn()>(nothing)() };
        },
        |fault, text| {
            assert_eq!(fault.address, Some(0x20));
            assert!(
                text.contains("it jumped at address 0x20, near null") || cfg!(not(target_arch = "x86_64")),
                "{text}"
            );
        },
    );
}

#[cfg_attr(not(target_arch = "x86_64"), allow(unused))]
fn an_address_that_cannot_be_is_told() {
    #[cfg(target_arch = "x86_64")]
    with_both(
        |_, _| assert_eq!(read_from(0x8123_4567_89ab_cdef), 0),
        |fault, text| {
            assert_eq!((&fault.place, fault.address), (&FaultLocation::Impossible, None));
            assert!(text.contains(" at an address that cannot exist; in "), "{text}");
        },
    );
}

#[expect(unconditional_recursion, reason = "this is how a stack overflows")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 100]);
    deeper(depth + 1) + room[99]
}

fn an_overflow_of_the_stack_is_told() {
    with_both(
        |_, _| assert_ne!(deeper(0), 0),
        |fault, text| {
            assert_eq!((fault.signal, &fault.place), (libc::SIGSEGV, &FaultLocation::Stack));
            // Which of the two functions has the last frame that fits is for chance to say.
            let named = ["deeper at ", "black_box at "].iter().any(|name| text.contains(name));
            assert!(text.contains("(SIGSEGV: its stack overflowed; in ") && named, "{text}");
            assert!(text.contains("Recurse less deeply"), "{text}");
        },
    );
}

fn an_overflow_in_a_thread_of_the_body_is_told() {
    with_both(
        |_, _| drop(std::thread::spawn(|| deeper(0)).join()),
        |fault, text| assert_eq!((fault.signal, &fault.place), (libc::SIGSEGV, &FaultLocation::Stack), "{text}"),
    );
}

#[cfg(target_arch = "x86_64")]
fn instructions_that_cannot_be_are_told() {
    with_both(
        // SAFETY: none: this is what must end the worker.
        |_, _| unsafe { std::arch::asm!("ud2") },
        |fault, text| {
            assert_eq!((fault.signal, &fault.place), (libc::SIGILL, &FaultLocation::Elsewhere));
            let words = "was ended by signal 4 (SIGILL: it met an instruction that this CPU lacks; in ";
            assert!(text.contains(words) && text.contains("instructions_that_cannot_be_are_told"), "{text}");
        },
    );
    with_both(
        // SAFETY: none: this is what must end the worker.
        |_, _| unsafe {
            std::arch::asm!("div {zero:e}", zero = in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _);
        },
        |fault, text| {
            assert_eq!(fault.signal, libc::SIGFPE);
            assert!(text.contains("(SIGFPE: integer division by zero or overflow; in "), "{text}");
        },
    );
}

#[cfg(not(target_arch = "x86_64"))]
fn instructions_that_cannot_be_are_told() {}

#[inline(never)]
fn scribble(input: ArrayView2<u64>) {
    // SAFETY: none: this is what must end the worker.
    unsafe { input.as_ptr().cast_mut().write_volatile(1) }; // the line that is named
}

fn the_function_is_named_with_its_line() {
    let line =
        include_str!("main.rs").lines().position(|line| line.ends_with("// the line that is named")).unwrap() + 1;
    with_both(
        |input, _| scribble(input),
        |fault, text| {
            let function = format!("scribble at tests/fault_handler/main.rs:{line}");
            assert_eq!(fault.function().as_deref(), Some(function.as_str()));
            assert!(text.contains(&format!("; in {function}) while it worked on slice 5 ")), "{text}");
        },
    );
}

/// What std's handler would let pass once: a fault comes again, a signal that was sent does not.
fn a_signal_that_was_sent_is_no_fault_and_ends_the_worker() {
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE] {
        let mut array = Shared::<u8, _>::zeros(24).unwrap();
        let error = nothing_left(|| {
            let run = parfork::fork(2, &mut array, |w, _| {
                if w.region().index() == BAD {
                    // SAFETY: a signal to this process.
                    unsafe { libc::raise(signal) };
                }
            });
            run.unwrap_err()
        });
        assert!(matches!(&error, Error::WorkerDied(death) if death.cause == Cause::Signalled { signal }), "{error}");
    }
}

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
fn a_handler_from_before_the_fork_still_mends_faults() {
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
fn a_body_may_mend_its_faults_itself() {
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

fn a_fault_of_a_bodys_own_child_is_not_its_workers() {
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

fn a_board_of_lies_about_faults_is_harmless() {
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

fn other_engines_leave_the_handlers_alone() {
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
        let job = Job::new(&mut output).workers(2).engine(engine);
        job.run(|_, _| seen[0].store(u64::from(handlers() == before) + 1, Ordering::Relaxed)).unwrap();
        assert_eq!(seen[0].load(Ordering::Relaxed), if engine == Engine::Processes { 1 } else { 2 }, "{engine}");
        assert_eq!(handlers(), before, "{engine}");
    }
}

/// With retries a rank is another worker's in the next round, whose end has nothing to do with the fault of the last.
fn an_earlier_fault_is_forgotten_with_its_worker() {
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
fn a_worker_of_a_workers_own_job_is_witnessed_too() {
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

fn panic_in_a_worker() {
    let mut output = Shared::<u64, _>::zeros(24).unwrap();
    let run = parfork::fork(2, &mut output, |w, _| assert!(w.region().index() != BAD, "the sixth"));
    let Err(Error::WorkerDied(death)) = run else { panic!("{run:?}") };
    assert!(matches!(&death.cause, Cause::Panicked { message, .. } if message == "the sixth"));
}

fn a_backtrace_comes_if_the_user_wants_it() {
    let said = |value: &str| {
        let output = play("panic_in_a_worker").env("RUST_BACKTRACE", value).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(said("0"), "");
    let text = said("1");
    assert!(text.starts_with("worker ") && text.contains(" panicked at tests/fault_handler/main.rs:"), "{text}");
    assert!(
        text.contains("the sixth\nstack backtrace:\n") && text.contains("fault_handler::panic_in_a_worker"),
        "{text}"
    );
}

/// A memory cgroup of the test's own, with this process in it.
struct Group {
    folder: std::path::PathBuf,
    before: std::path::PathBuf,
}

impl Group {
    /// Limited to this many bytes; `None` with the reason printed where there are none to be had.
    fn enter(limit: u64) -> Option<Self> {
        let membership = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = |controller: &str| {
            let line = membership.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(controller));
            line.map(|path| path.trim_start_matches('/').to_owned())
        };
        let kinds = [
            ("/sys/fs/cgroup/memory", path("memory:"), "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", path(":"), "memory.max"),
        ];
        let mut reason = "no memory cgroup is mounted".to_owned();
        for (root, path, file) in kinds {
            let Some(before) = path.map(|path| std::path::Path::new(root).join(path)) else { continue };
            let folder = std::path::Path::new(root).join(format!("parfork-test-{}", std::process::id()));
            let made = std::fs::create_dir(&folder)
                .and_then(|()| std::fs::write(folder.join(file), limit.to_string()))
                .and_then(|()| std::fs::write(folder.join("cgroup.procs"), "0"));
            match made {
                Ok(()) => return Some(Self { folder, before }),
                Err(error) => reason = format!("{}: {error}", folder.display()),
            }
            let _ = std::fs::remove_dir(&folder);
        }
        eprintln!("not tested: {reason}");
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        std::fs::write(self.before.join("cgroup.procs"), "0").unwrap();
        std::fs::remove_dir(&self.folder).unwrap();
    }
}

fn a_kill_for_want_of_memory_is_told() {
    const LIMIT: u64 = 96 << 20;
    let Some(group) = Group::enter(LIMIT) else { return };
    let mut output = Shared::<u64, _>::zeros(24).unwrap();
    let mut greedy = |greed: &(dyn Fn() + Sync)| {
        let run = nothing_left(|| {
            parfork::fork(2, &mut output, |w, _| {
                if w.region().index() == BAD {
                    greed();
                }
            })
        });
        let error = run.unwrap_err();
        let text = error.to_string();
        let Error::WorkerDied(death) = error else { panic!("{text}") };
        (death.cause, text)
    };
    let eat = || drop(std::hint::black_box(vec![1_u8; 4 * LIMIT as usize]));
    for _ in 0..2 {
        let (cause, text) = greedy(&eat);
        assert_eq!(cause, Cause::OutOfMemory { limit: Some(LIMIT) }, "{text}");
        let words = "the kernel killed it for want of memory: the memory cgroup is limited to 100663296 bytes)";
        assert!(text.contains(words) && text.contains("Use fewer workers or smaller arrays"), "{text}");
    }
    // A kill that is somebody's own is not taken for the kernel's, though there were some.
    let (cause, text) = greedy(&|| {
        // SAFETY: a signal to this process.
        unsafe { libc::raise(libc::SIGKILL) };
    });
    assert_eq!(cause, Cause::Signalled { signal: libc::SIGKILL }, "{text}");
    drop(group);
}
