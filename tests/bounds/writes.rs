//! What workers write: put back when they die in the middle of it, and kept to their slice by a guard.

use std::sync::atomic::Ordering;

use ndarray::{Array2, Ix2};
use parfork::{Engine, Job, Order, Shared, Split};

use crate::signal_me;
use crate::support::{Page, nothing_left};

/// Runs a job in place, `cell = 2 * cell + 1`, in which every slice kills its first worker half way.
fn doubled(mut cells: Shared<u32, Ix2>, split: Split, guard: bool) -> Shared<u32, Ix2> {
    let begun = Page::new();
    let job = Job::new(&mut cells).workers(3).split(split).retries(1).restore_outputs().guard(guard);
    let done = nothing_left(|| {
        job.run(|w, mut slice| {
            let half = slice.len() / 2;
            for (number, cell) in slice.iter_mut().enumerate() {
                if number == half && begun[w.region().index()].fetch_add(1, Ordering::Relaxed) == 0 {
                    signal_me(libc::SIGKILL);
                }
                *cell = *cell * 2 + 1;
            }
        })
    })
    .unwrap();
    assert!(!done.report().deaths.is_empty());
    cells
}

fn numbers(shape: (usize, usize), order: Order) -> Shared<u32, Ix2> {
    let mut cells = Shared::zeros_in(shape, order).unwrap();
    for (number, cell) in (0..).zip(cells.as_mut_slice()) {
        *cell = number;
    }
    cells
}

/// Splits of a 40 x 1024 array of 4-byte cells: some whose slices fill their pages, some not.
fn splits() -> [Split; 4] {
    [Split::rows().of(4), Split::rows().of(7), Split::cols().of(100), Split::tiles(13, 500)]
}

pub(crate) fn restored_outputs_put_back_what_a_dead_worker_changed() {
    for (split, order) in splits().into_iter().flat_map(|split| [Order::C, Order::F].map(|order| (split, order))) {
        let cells = doubled(numbers((40, 1024), order), split, false);
        assert!((0..).zip(cells.as_slice()).all(|(number, &cell)| cell == number * 2 + 1), "{split} {order:?}");
    }
}

pub(crate) fn retries_of_what_may_be_read_are_refused() {
    let mut cells = Shared::<u64, _>::zeros(8).unwrap();
    let error = Job::new(&mut cells).workers(2).retries(2).run(|_, _| ()).unwrap_err().to_string();
    assert!(error.contains("body_overwrites()") && error.contains("restore_outputs()"), "{error}");
    // Nothing is written, or there is no other process to die.
    Job::new(&cells).workers(2).retries(2).run(|_, _| ()).unwrap();
    Job::new(&mut cells).workers(2).retries(2).runner(Engine::Threads).run(|_, _| ()).unwrap();
}

pub(crate) fn a_guarded_worker_writes_its_slice_only() {
    // A page for each row; and rows that share pages. The third cell is in another page in either case.
    for (width, stray) in [(1024_usize, 1024_usize), (1000, 3000)] {
        let begun = Page::new();
        let mut cells = Shared::<u32, _>::zeros((16, width)).unwrap();
        let job = Job::new(&mut cells).workers(2).split(Split::rows().of(1)).retries(1).body_overwrites().guard(true);
        let done = nothing_left(|| {
            job.run(|w, mut slice| {
                slice.fill(w.region().index() as u32);
                if w.region().index() == 4 && begun[0].fetch_add(1, Ordering::Relaxed) == 0 {
                    // SAFETY: none: a stray write into the array, but into a slice that is another's.
                    unsafe { slice.as_mut_ptr().wrapping_add(stray).write_volatile(u32::MAX) };
                }
            })
        })
        .unwrap();
        let [death] = &done.report().deaths[..] else { panic!("{:?}", done.report().deaths) };
        assert!(death.to_string().contains("SIGSEGV"), "{death}");
        let expected = Array2::from_shape_fn((16, width), |(row, _)| row as u32);
        assert_eq!(cells.view(), expected);
    }
}

pub(crate) fn a_guard_changes_no_result() {
    for (split, order) in splits().into_iter().flat_map(|split| [Order::C, Order::F].map(|order| (split, order))) {
        let mut cells = numbers((40, 1024), order);
        let before = numbers((3, 5), Order::C);
        Job::new((&mut cells, &before))
            .workers(3)
            .split(split)
            .guard(true)
            .run(|_, (mut slice, _)| slice.mapv_inplace(|cell| cell + 7))
            .unwrap();
        assert!((0..).zip(cells.as_slice()).all(|(number, &cell)| cell == number + 7), "{split} {order:?}");
    }
}

pub(crate) fn a_guard_and_restored_outputs_together() {
    for split in splits() {
        let cells = doubled(numbers((40, 1024), Order::C), split, true);
        assert!((0..).zip(cells.as_slice()).all(|(number, &cell)| cell == number * 2 + 1), "{split}");
    }
}
