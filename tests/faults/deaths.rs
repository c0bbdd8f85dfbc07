//! Workers that end in the middle of a slice: by a signal, by a use of memory that is not theirs, by leaving.

use std::os::fd::AsRawFd;

use parfork::{Cause, Shared, Slice, Worker};

use crate::support::nothing_left;
use crate::{BAD, SLICES, WORKERS, all_is_well, death, faulted, raise, signalled};

pub(crate) fn a_killed_worker_is_named() {
    death(
        || raise(libc::SIGKILL),
        |death, text| {
            signalled(libc::SIGKILL, "was ended by signal 9 (SIGKILL: killed)")(death, text);
            assert!(text.contains("Find out who sent SIGKILL"), "{text}");
        },
    );
    death(|| raise(libc::SIGTERM), signalled(libc::SIGTERM, "Somebody asked it to end"));
}

pub(crate) fn a_worker_that_ends_itself_is_named() {
    death(|| std::process::abort(), signalled(libc::SIGABRT, "(SIGABRT: it aborted itself)"));
    let place = if cfg!(feature = "symbols") { "; in " } else { "" };
    let words = format!("mapped memory behind which there is nothing{place}");
    death(touch_a_file_that_is_too_short, faulted(libc::SIGBUS, &words));
    death(|| raise(libc::SIGILL), signalled(libc::SIGILL, "(SIGILL: it met an instruction that this CPU lacks)"));
    death(|| raise(libc::SIGFPE), signalled(libc::SIGFPE, "(SIGFPE: integer division by zero or overflow)"));
    death(|| raise(libc::SIGSYS), signalled(libc::SIGSYS, "(SIGSYS)"));
}

fn touch_a_file_that_is_too_short() {
    let file = tempfile::tempfile_in("/dev/shm").unwrap();
    let kind = libc::MAP_SHARED;
    // SAFETY: new memory at an address of the kernel's choice.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, kind, file.as_raw_fd(), 0) };
    // SAFETY: none: the file is empty, and this is what must end the worker.
    std::hint::black_box(unsafe { page.cast::<u8>().read_volatile() });
}

pub(crate) fn a_real_time_signal_is_named() {
    let signal = libc::SIGRTMIN() + 3;
    death(|| raise(signal), signalled(signal, &format!("signal {signal} (a real-time signal)")));
}

const SEGV: &str = "was ended by signal 11 (SIGSEGV: it ";

pub(crate) fn a_write_to_an_input_ends_the_worker_alone() {
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

pub(crate) fn a_use_of_an_array_that_was_not_lent_ends_the_worker() {
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

pub(crate) fn a_use_of_the_coordinators_address_ends_the_worker() {
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

pub(crate) fn an_exit_is_not_taken_for_success() {
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

pub(crate) fn a_stack_overflow_is_named() {
    #[expect(unconditional_recursion, reason = "this is how a stack overflows")]
    fn deeper(depth: u64) -> u64 {
        let room = std::hint::black_box([depth; 100]);
        deeper(depth + 1) + room[99]
    }
    death(|| assert_ne!(deeper(0), 0), faulted(libc::SIGSEGV, "its stack overflowed"));
}
