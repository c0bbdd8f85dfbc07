//! Where a fault was: in an array and at which cell, beside one, in the coordinator's own view, at null, nowhere.

use std::sync::atomic::Ordering;

use ndarray::ArrayView2;
use parfork::{AccessKind, ArrayName, CellOwner, FaultLocation, Job, Shared, Split, Worker};

use crate::support::{Page, nothing_left};
use crate::{BAD, INPUT, OUTPUT, fault, read_from, with_both, write_to};

pub(crate) fn a_write_to_an_input_names_the_cell() {
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

pub(crate) fn arrays_of_a_kind_are_numbered() {
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

pub(crate) fn a_write_past_the_end_is_counted_in_bytes() {
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

pub(crate) fn a_write_before_the_start_is_counted_in_bytes() {
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

pub(crate) fn a_cell_of_an_output_names_its_slice_and_who_holds_it() {
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

pub(crate) fn the_coordinators_own_views_are_told_from_others() {
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

pub(crate) fn a_null_pointer_and_nowhere_are_told() {
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
pub(crate) fn an_address_that_cannot_be_is_told() {
    #[cfg(target_arch = "x86_64")]
    with_both(
        |_, _| assert_eq!(read_from(0x8123_4567_89ab_cdef), 0),
        |fault, text| {
            assert_eq!((&fault.place, fault.address), (&FaultLocation::Impossible, None));
            assert!(text.contains(" at an address that cannot exist; in "), "{text}");
        },
    );
}
