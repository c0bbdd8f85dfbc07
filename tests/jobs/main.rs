//! Jobs that go well, on every engine: the right cells, once each, the same bits whoever works; and jobs that are refused
//! before they begin, with the reason.
#![allow(unsafe_code)]

#[path = "../support/mod.rs"]
mod support;

use std::cell::Cell;
use std::io::Read;
use std::process::{ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ndarray::{Array1, Array2, Array4, ArrayView1, ArrayView2, Axis, Dimension, Ix4, s};
use parfork::{Engine, Error, Job, Memory, Order, Schedule, Shared, Split};
use support::{Page, cases, no_children, nothing_left, play};

fn main() -> ExitCode {
    support::run(
        cases![
            serially_every_cell_is_written_once,
            threads_write_every_cell_once,
            processes_write_every_cell_once,
            every_axis_of_one_and_four_dimensions_can_be_cut,
            answers_and_sums_have_the_same_bits_whoever_works,
            a_body_borrows_from_its_surroundings_and_its_changes_stay_in_the_worker,
            a_body_may_return_any_plain_answer,
            several_arrays_are_lent_as_a_tuple,
            outputs_that_cannot_be_cut_alike_are_refused,
            what_cannot_be_cut_is_refused,
            a_halo_shows_the_neighbours_cells,
            progress_rises_to_all,
            a_deadline_ends_processes_in_the_middle_of_a_slice,
            a_deadline_ends_threads_before_their_next_slice,
            any_deadline_can_be_given,
            a_fork_beside_a_thread_is_refused_and_works_after_it_is_joined,
            processes_work_right_after_threads,
            a_vouched_for_fork_works_beside_a_busy_thread,
            a_vouched_for_fork_works_beside_a_thread_that_makes_arrays,
            jobs_can_run_side_by_side,
            too_few_and_too_many_workers_are_refused,
            a_limit_of_processes_is_an_error_with_numbers,
            a_limit_of_descriptors_is_no_limit_of_workers,
            four_workers_share_the_memory_of_one_input,
            workers_have_arrays_at_other_addresses,
            large_arrays_of_any_length_are_whole,
            hundreds_of_workers_do_tiny_jobs,
            a_chunk_of_any_size_deals_every_slice_once,
            unwritten_output_appears_once,
            a_job_within_a_worker,
            elements_of_any_alignment_are_aligned,
            a_report_says_who_did_what,
        ],
        cases![print_and_fork],
    )
}

const WORKERS: [usize; 5] = [1, 2, 3, 8, 33];

fn schedules() -> impl Iterator<Item = Schedule> {
    ["static", "dynamic", "dynamic=3", "guided"].into_iter().map(|text| text.parse().unwrap())
}

/// Numbers with no pattern, the same each time.
fn noise(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

fn input<D: Dimension>(shape: D, order: Order) -> Shared<i64, D> {
    let mut array = Shared::zeros_in(shape, order).unwrap();
    let mut noise = noise(7);
    array.as_mut_slice().fill_with(|| noise() as i64);
    array
}

fn serially_every_cell_is_written_once() {
    every_cell_is_written_once(Engine::Serial, &[1]);
}

fn threads_write_every_cell_once() {
    every_cell_is_written_once(Engine::Threads, &WORKERS);
}

fn processes_write_every_cell_once() {
    every_cell_is_written_once(Engine::Processes, &WORKERS);
}

fn every_cell_is_written_once(engine: Engine, workers: &[usize]) {
    let shapes = [(0, 0), (0, 5), (5, 0), (1, 1), (1, 7), (7, 1), (13, 17), (40, 9)];
    let splits = ["rows", "rows=4", "rows/3", "cols", "cols=5", "tiles=4x6", "tiles=1x1", "tiles=100x2"];
    let mut turn = 0;
    for (shape, split) in shapes.iter().flat_map(|&shape| splits.map(|split| (shape, split))) {
        for (schedule, &workers) in schedules().flat_map(|schedule| workers.iter().map(move |n| (schedule, n))) {
            // Orders take turns, so that each meets every shape, split, schedule and number somewhere.
            turn += 1;
            let orders = [(Order::C, Order::C), (Order::F, Order::C), (Order::C, Order::F)][turn % 3];
            let what = format!("{engine} {shape:?} {split} {schedule} {workers} {orders:?}");
            let source = input(ndarray::Dim(shape), orders.0);
            let mut output = Shared::<i64, _>::zeros_in(shape, orders.1).unwrap();
            let job = Job::new((&source, &mut output)).workers(workers).split(split.parse().unwrap());
            let answers = job.schedule(schedule).engine(engine).run(|w, (source, mut slice)| {
                let (first, mine) = ((slice.rows().start, slice.cols().start), w.slice_of(source));
                assert_eq!(mine.dim(), slice.dim());
                for ((i, j), cell) in slice.indexed_iter_mut() {
                    *cell += 3 * mine[[i, j]] + ((first.0 + i) * 1000 + first.1 + j) as i64;
                }
                w.region().index()
            });
            let answers = answers.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(answers.iter().copied().eq(0..answers.len()), "{what}: answers in order of slices");
            let source = source.view();
            let expected = Array2::from_shape_fn(shape, |(i, j)| 3 * source[[i, j]] + (i * 1000 + j) as i64);
            assert_eq!(output.view(), expected, "{what}");
        }
    }
    no_children();
}

fn every_axis_of_one_and_four_dimensions_can_be_cut() {
    for engine in Engine::ALL {
        for (length, split) in
            [0, 1, 2, 1000, 1025, 4097].into_iter().flat_map(|n| ["rows", "rows=7", "rows/5"].map(|s| (n, s)))
        {
            let mut line = Shared::<usize, _>::zeros(length).unwrap();
            let job = Job::new(&mut line).workers(3).split(split.parse().unwrap()).engine(engine);
            job.run(|_, mut slice| {
                let start = slice.rows().start;
                slice.indexed_iter_mut().for_each(|(i, cell)| *cell += start + i + 1);
            })
            .unwrap();
            assert_eq!(line.view(), Array1::from_shape_fn(length, |i| i + 1), "{engine} {length} {split}");
        }
        for split in ["axis0", "axis1=2", "axis2", "axis2=3", "axis3/2", "axis3=100", "tiles=2x3"] {
            for (order, schedule) in
                [Order::C, Order::F].into_iter().flat_map(|order| schedules().map(move |s| (order, s)))
            {
                let mut block = Shared::<usize, Ix4>::zeros_in((3, 4, 5, 6), order).unwrap();
                let job = Job::new(&mut block).workers(4).split(split.parse().unwrap()).schedule(schedule);
                job.engine(engine)
                    .run(|_, mut slice| {
                        let at = [0, 1, 2, 3].map(|axis| slice.range(axis).start);
                        for ((i, j, k, l), cell) in slice.indexed_iter_mut() {
                            *cell += ((at[0] + i) * 10 + at[1] + j) * 100 + (at[2] + k) * 10 + at[3] + l + 1;
                        }
                    })
                    .unwrap();
                let expected = Array4::from_shape_fn((3, 4, 5, 6), |(i, j, k, l)| (i * 10 + j) * 100 + k * 10 + l + 1);
                assert_eq!(block.view(), expected, "{engine} {split} {order:?} {schedule}");
            }
        }
    }
}

fn answers_and_sums_have_the_same_bits_whoever_works() {
    let mut noise = noise(3);
    // Of very different sizes, so that the order of additions shows in the last bits.
    let values = Array2::from_shape_fn((517, 23), |_| (noise() as f64 - 1e9) * 10_f64.powi((noise() % 30) as i32 - 15));
    let values = Shared::from_array(&values).unwrap();
    for split in ["rows", "rows/7", "cols=2", "tiles=50x10"] {
        let mut first: Option<(Vec<u64>, u64, u64)> = None;
        for (engine, schedule) in Engine::ALL.into_iter().flat_map(|engine| schedules().map(move |s| (engine, s))) {
            for workers in [1, 2, 3, 8, 40] {
                let job = Job::new(&values).workers(workers).split(split.parse().unwrap()).schedule(schedule);
                let sums = job.engine(engine).run(|w, values| w.slice_of(values).iter().sum::<f64>()).unwrap();
                let bits = (
                    sums.iter().map(|sum| sum.to_bits()).collect(),
                    sums.clone().sum().to_bits(),
                    sums.fold(0.5, |all, sum| all * 0.9 + sum).to_bits(),
                );
                assert_eq!(first.get_or_insert_with(|| bits.clone()), &bits, "{engine} {split} {schedule} {workers}");
            }
        }
    }
}

fn a_body_borrows_from_its_surroundings_and_its_changes_stay_in_the_worker() {
    let mut output = Shared::<usize, _>::zeros(100).unwrap();
    let words: Vec<String> = (0..100).map(|i| "x".repeat(i)).collect();
    let changed = Cell::new(5);
    let heap = Mutex::new(vec![1, 2, 3]);
    nothing_left(|| {
        parfork::fork(3, &mut output, |_, mut slice| {
            changed.set(changed.get() + 1);
            heap.lock().unwrap().push(4);
            assert!(changed.get() > 5);
            let start = slice.rows().start;
            slice.indexed_iter_mut().for_each(|(i, cell)| *cell = words[start + i].len());
        })
        .unwrap();
    });
    assert!(output.as_slice().iter().copied().eq(0..100));
    assert_eq!((changed.get(), heap.into_inner().unwrap()), (5, vec![1, 2, 3]));
}

fn a_body_may_return_any_plain_answer() {
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    struct Extremes {
        least: f32,
        most: f32,
        count: u64,
    }
    let line = Shared::from_array(&Array1::from_iter((0..50).map(|i| i as f32))).unwrap();
    for engine in Engine::ALL {
        let job = || Job::new(&line).workers(4).split(Split::rows().of(20)).engine(engine);
        let extremes = job()
            .run(|w, line| {
                let mine = w.slice_of(line);
                let (least, most) = (mine[0], mine[mine.len() - 1]);
                Ok::<_, String>(Extremes { least, most, count: mine.len() as u64 })
            })
            .unwrap();
        let found: Vec<_> = extremes.iter().map(|part| (part.least, part.most, part.count)).collect();
        assert_eq!(found, [(0.0, 19.0, 20), (20.0, 39.0, 20), (40.0, 49.0, 10)]);
        let large = job().run(|w, _| [w.region().index() as u64; 1024]).unwrap();
        assert!(large.iter().zip(0..).all(|(answer, slice)| *answer == [slice; 1024]));
        assert_eq!(job().run(|_, _| ()).unwrap().into_vec(), [(), (), ()]);
        assert_eq!(job().run(|_, _| -7_i128).unwrap().into_vec(), [-7; 3]);
    }
    let none = Shared::<f32, _>::zeros(0).unwrap();
    assert_eq!(parfork::fork(4, &none, |_, _| 1_u8).unwrap().sum(), 0);
}

fn several_arrays_are_lent_as_a_tuple() {
    let (a, b) = (input(ndarray::Dim((9, 4)), Order::C), input(ndarray::Dim((9, 4)), Order::F));
    let factors = Shared::from_array(&Array1::from_iter(1..=4_i64)).unwrap();
    for engine in Engine::ALL {
        // Cut into rows, outputs need only be as long as each other along axis 0.
        let mut sums = Shared::<i64, _>::zeros((9, 4)).unwrap();
        let mut totals = Shared::<f64, _>::zeros(9).unwrap();
        let job = Job::new((&a, &mut sums, &b, (&factors, &mut totals))).workers(2).engine(engine);
        let run = job.run(|w, (a, mut sums, b, (factors, mut totals))| {
            sums.assign(&(&w.slice_of(a) + &w.slice_of(b) * &factors));
            for (row, total) in sums.axis_iter(Axis(0)).zip(totals.iter_mut()) {
                *total = row.sum() as f64;
            }
        });
        run.unwrap();
        let expected = &a.view() + &b.view() * &factors.view();
        assert_eq!(sums.view(), expected);
        assert_eq!(totals.view(), expected.sum_axis(Axis(1)).mapv(|sum| sum as f64));
    }
}

fn outputs_that_cannot_be_cut_alike_are_refused() {
    let source = Shared::<u8, _>::zeros((3, 99)).unwrap();
    let mut a = Shared::<u8, _>::zeros((9, 4)).unwrap();
    let mut b = Shared::<u8, _>::zeros((8, 4)).unwrap();
    for engine in Engine::ALL {
        let refused = nothing_left(|| Job::new((&source, &mut a, &mut b)).engine(engine).run(|_, _| ()).unwrap_err());
        assert_eq!(
            refused.to_string(),
            "two outputs of shapes [9, 4] and [8, 4] differ on axis 0, which the split `rows` cuts. \
             Make them equally long there, or cut another axis."
        );
        // Along columns they are alike.
        Job::new((&source, &mut a, &mut b)).split(Split::cols()).engine(engine).run(|_, _| ()).unwrap();
    }
    let mut line = Shared::<u8, _>::zeros(9).unwrap();
    let refused = Job::new((&mut a, &mut line)).split(Split::tiles(2, 2)).run(|_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("[9, 4] and [9] differ on axis 1"), "{refused}");
}

fn what_cannot_be_cut_is_refused() {
    let mut line = Shared::<u8, _>::zeros(9).unwrap();
    for (split, text) in [
        (Split::cols(), "cuts axis 1, but the array has 1 (shape [9])"),
        (Split::tiles(3, 3), "cuts axis 1"),
        (Split::rows().of(0), "slices of length 0"),
        (Split::rows().into_pieces(0), "slices of length 0"),
    ] {
        let refused = nothing_left(|| Job::new(&mut line).split(split).run(|_, _| ()).unwrap_err().to_string());
        assert!(refused.contains(text), "{refused}");
    }
    // Elements of no bytes, so that the array has none either.
    let mut wide = Shared::<(), _>::zeros((1 << 15, 1 << 15)).unwrap();
    let refused = Job::new(&mut wide).split(Split::tiles(1, 1)).run(|_, _| ()).unwrap_err().to_string();
    assert!(refused.contains("more than 268435456 slices"), "{refused}");
}

fn a_halo_shows_the_neighbours_cells() {
    let line = input(ndarray::Dim(101), Order::C);
    let plane = input(ndarray::Dim((23, 31)), Order::F);
    for (engine, halo) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 40].map(|halo| (engine, halo))) {
        for each in [1, 7, 200] {
            let mut sums = Shared::<i64, _>::zeros(101).unwrap();
            let job = Job::new((&line, &mut sums)).workers(3).split(Split::rows().of(each).halo(halo)).engine(engine);
            job.run(|w, (line, mut sums)| {
                let (near, start) = (w.slice_with_halo(line), w.region().range_with_halo(0).unwrap().start);
                let first = sums.rows().start - start;
                sums.indexed_iter_mut().for_each(|(i, sum)| *sum = around_1d(near, first + i, halo));
            })
            .unwrap();
            let expected = Array1::from_shape_fn(101, |i| around_1d(line.view(), i, halo));
            assert_eq!(sums.view(), expected, "{engine} {halo} {each}");
        }
        for split in [Split::rows().of(4), Split::cols().of(5), Split::tiles(6, 7), Split::tiles(1, 1)] {
            let mut sums = Shared::<i64, _>::zeros((23, 31)).unwrap();
            let job = Job::new((&plane, &mut sums)).workers(3).split(split.halo(halo)).engine(engine);
            job.run(|w, (plane, mut sums)| {
                let near = w.slice_with_halo(plane);
                let first = [0, 1].map(|axis| {
                    let (region, outer) = (w.region(), w.region().range_with_halo(axis));
                    region.range(axis).map_or(0, |range| range.start - outer.unwrap().start)
                });
                for ((i, j), sum) in sums.indexed_iter_mut() {
                    *sum = around_2d(near, first[0] + i, first[1] + j, halo);
                }
            })
            .unwrap();
            let expected = Array2::from_shape_fn((23, 31), |(i, j)| around_2d(plane.view(), i, j, halo));
            assert_eq!(sums.view(), expected, "{engine} {halo} {split}");
        }
    }
}

fn around_1d(line: ArrayView1<i64>, at: usize, halo: usize) -> i64 {
    line.slice(s![at.saturating_sub(halo)..(at + halo + 1).min(line.len())]).sum()
}

fn around_2d(plane: ArrayView2<i64>, i: usize, j: usize, halo: usize) -> i64 {
    let (height, width) = plane.dim();
    let rows = i.saturating_sub(halo)..(i + halo + 1).min(height);
    plane.slice(s![rows, j.saturating_sub(halo)..(j + halo + 1).min(width)]).sum()
}

fn progress_rises_to_all() {
    for engine in Engine::ALL {
        for slices in [0, 1, 200] {
            let mut line = Shared::<u8, _>::zeros(slices).unwrap();
            let mut told = Vec::new();
            let job = Job::new(&mut line).workers(3).engine(engine).progress(|done, all| told.push((done, all)));
            job.run(|_, mut slice| slice.fill(1)).unwrap();
            assert!(told.iter().all(|&(_, all)| all == slices), "{told:?}");
            assert!(told.is_sorted(), "{told:?}");
            assert_eq!(told.last(), Some(&(slices, slices)), "{engine}");
        }
    }
    // What is told in between comes while the job runs: the body waits for it.
    let mut line = Shared::<u8, _>::zeros(2).unwrap();
    let heard = Page::new();
    let hear = |done, _| heard[0].store(done as u64, Ordering::Release);
    let job = Job::new(&mut line).workers(2).schedule(Schedule::Static).progress(hear);
    job.run(|w, _| {
        while w.rank() == 1 && heard[0].load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
    })
    .unwrap();
}

fn a_deadline_ends_processes_in_the_middle_of_a_slice() {
    for workers in [1, 2, 8] {
        let mut line = Shared::<u8, _>::zeros(20).unwrap();
        let error = nothing_left(|| {
            let job = Job::new(&mut line).workers(workers).deadline(Duration::from_millis(30));
            job.run(|w, mut slice| {
                slice.fill(1);
                while w.region().index() == 3 {
                    std::hint::spin_loop();
                }
            })
            .unwrap_err()
        });
        let Error::Deadline { deadline, done, slices: 20 } = error else { panic!("{error:?}") };
        assert!(deadline == Duration::from_millis(30) && done < 20, "{error}");
        assert!(error.to_string().contains("after its deadline of 30ms with"), "{error}");
        Job::new(&mut line).workers(workers).deadline(Duration::from_secs(3600)).run(|_, _| ()).unwrap();
    }
    // No time at all, and workers asleep at a meeting that the last never comes to.
    let mut line = Shared::<u8, _>::zeros(3).unwrap();
    for deadline in [Duration::ZERO, Duration::from_millis(20)] {
        let job = Job::new(&mut line).workers(3).schedule(Schedule::Static).deadline(deadline);
        let error =
            nothing_left(|| job.run(|w, _| if w.rank() == 2 { wait_for_ever() } else { w.barrier() }).unwrap_err());
        assert!(matches!(error, Error::Deadline { .. }), "{error}");
    }
}

fn wait_for_ever<T>() -> T {
    loop {
        // SAFETY: waits for a signal, touches nothing.
        unsafe { libc::pause() };
    }
}

fn a_deadline_ends_threads_before_their_next_slice() {
    let passed = AtomicBool::new(false);
    let mut line = Shared::<u8, _>::zeros(50).unwrap();
    let started = std::time::Instant::now();
    let error = nothing_left(|| {
        let job = Job::new(&mut line).workers(2).deadline(Duration::from_millis(20)).engine(Engine::Threads);
        job.run(|_, _| {
            // Until well past the deadline, so that the watch has seen it.
            while started.elapsed() < Duration::from_millis(200) {
                std::thread::yield_now();
            }
            passed.store(true, Ordering::Relaxed);
        })
        .unwrap_err()
    });
    assert!(matches!(error, Error::Deadline { done: 0..=2, slices: 50, .. }), "{error}");
    assert!(passed.into_inner(), "a thread ends the slice it has begun");
}

fn any_deadline_can_be_given() {
    for (engine, deadline) in
        Engine::ALL.into_iter().flat_map(|e| [Duration::MAX, Duration::from_secs(1 << 40)].map(|d| (e, d)))
    {
        let mut line = Shared::<u8, _>::zeros(5).unwrap();
        Job::new(&mut line).workers(2).deadline(deadline).engine(engine).run(|_, mut slice| slice.fill(1)).unwrap();
        assert_eq!(line.as_slice(), [1; 5]);
    }
}

fn a_fork_beside_a_thread_is_refused_and_works_after_it_is_joined() {
    let mut line = Shared::<u8, _>::zeros(5).unwrap();
    for _ in 0..5 {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || held.recv());
        let refused = nothing_left(|| parfork::fork(2, &mut line, |_, _| ()).unwrap_err());
        assert!(matches!(refused, Error::ThreadsRunning { threads: 2 }), "{refused:?}");
        assert_eq!(
            refused.to_string(),
            "this process has 2 threads, and a worker forked now could find a lock held for ever by one of them. \
             Fork before starting threads, use Engine::Threads, or read the contract of Job::run_in_threaded_process."
        );
        let refused = Job::new(&mut line).run(|_, _| ()).unwrap_err();
        assert!(matches!(refused, Error::ThreadsRunning { .. }));
        Job::new(&mut line).engine(Engine::Threads).run(|_, _| ()).unwrap();
        drop(hold);
        thread.join().unwrap().unwrap_err();
        parfork::fork(2, &mut line, |_, mut slice| slice[0] += 1).unwrap();
    }
    assert_eq!(line.as_slice(), [5; 5]);
}

fn processes_work_right_after_threads() {
    let mut line = Shared::<u64, _>::zeros(64).unwrap();
    for _ in 0..50 {
        for engine in [Engine::Threads, Engine::Processes] {
            let job = Job::new(&mut line).workers(8).engine(engine);
            job.run(|_, mut slice| slice[0] += 1).unwrap_or_else(|error| panic!("{engine}: {error}"));
        }
    }
    assert_eq!(line.as_slice(), [100; 64]);
    // Hundreds of threads take a while to go.
    let mut line = Shared::<u64, _>::zeros(600).unwrap();
    for engine in [Engine::Threads, Engine::Processes].repeat(2) {
        let job = Job::new(&mut line).workers(if engine == Engine::Threads { 600 } else { 2 }).engine(engine);
        job.run(|_, mut slice| slice[0] += 1).unwrap_or_else(|error| panic!("{engine}: {error}"));
    }
    no_children();
}

/// A thread that does `work` again and again, while `with` runs.
fn beside(work: impl Fn() + Sync, with: impl FnOnce()) {
    let (begun, stop) = (std::sync::Barrier::new(2), AtomicBool::new(false));
    std::thread::scope(|threads| {
        threads.spawn(|| {
            begun.wait();
            while !stop.load(Ordering::Relaxed) {
                work();
            }
        });
        begun.wait();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(with));
        stop.store(true, Ordering::Relaxed);
        done.unwrap();
    });
}

fn a_vouched_for_fork_works_beside_a_busy_thread() {
    let work = || drop(std::hint::black_box((0..500).map(|i| i.to_string()).collect::<Vec<_>>()));
    beside(work, || {
        for _ in 0..50 {
            let mut line = Shared::<usize, _>::zeros(20).unwrap();
            let job = Job::new(&mut line).workers(3);
            // SAFETY: the body uses nothing but the allocator and its slice.
            let run =
                unsafe { job.run_in_threaded_process(|w, mut slice| slice[0] = vec![0; w.region().index()].len()) };
            run.unwrap();
            assert!(line.as_slice().iter().copied().eq(0..20));
        }
    });
    no_children();
}

/// The body uses nothing of the other thread's, so nothing of parfork's own may stand in its way either.
fn a_vouched_for_fork_works_beside_a_thread_that_makes_arrays() {
    let work = || drop(Shared::<u8, _>::zeros(1).unwrap());
    beside(work, || {
        for round in 0..1000 {
            let mut line = Shared::<u8, _>::zeros(2).unwrap();
            // A worker of this job that hangs does so for ever, so the deadline decides nothing but when to say so.
            let job = Job::new(&mut line).workers(2).deadline(Duration::from_secs(20));
            // SAFETY: the body uses nothing but its slice.
            let run = unsafe { job.run_in_threaded_process(|_, mut slice| slice[0] = 1) };
            run.unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    });
}

fn jobs_can_run_side_by_side() {
    std::thread::scope(|threads| {
        for number in 1..=3_u64 {
            threads.spawn(move || {
                for _ in 0..30 {
                    let source = Shared::from_array(&Array1::from_elem(40, number)).unwrap();
                    let mut output = Shared::<u64, _>::zeros(40).unwrap();
                    let job = Job::new((&source, &mut output)).workers(2).deadline(Duration::from_secs(20));
                    // SAFETY: the body uses nothing but its slice.
                    let run =
                        unsafe { job.run_in_threaded_process(|w, (source, mut out)| out.assign(&w.slice_of(source))) };
                    run.unwrap();
                    assert_eq!(output.as_slice(), [number; 40]);
                }
            });
        }
    });
    no_children();
}

fn too_few_and_too_many_workers_are_refused() {
    let mut line = Shared::<u8, _>::zeros(5).unwrap();
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [0, 1025, usize::MAX].map(|n| (engine, n))) {
        let refused = nothing_left(|| Job::new(&mut line).workers(workers).engine(engine).run(|_, _| ()).unwrap_err());
        assert!(matches!(refused, Error::Workers { asked, most: 1024 } if asked == workers), "{refused:?}");
        let text = format!("{workers} workers were asked for, and a job takes 1 to 1024. Ask for a number in between.");
        assert_eq!(refused.to_string(), text);
    }
    parfork::fork(parfork::MOST_WORKERS, &mut line, |_, mut slice| slice.fill(1)).unwrap();
    assert_eq!(line.as_slice(), [1; 5]);
}

fn a_limit_of_processes_is_an_error_with_numbers() {
    use nix::sys::resource::{Resource, setrlimit};
    let mut line = Shared::<u8, _>::zeros(64).unwrap();
    // Root is above this limit. A number of its own, so that nobody else's processes count.
    let nobody = 1_000_000_000 + std::process::id();
    // SAFETY: integers only.
    if unsafe { libc::getuid() } == 0 {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setresuid(nobody, nobody, nobody) }, 0);
    }
    setrlimit(Resource::RLIMIT_NPROC, 20, 20).unwrap();
    let error = nothing_left(|| Job::new(&mut line).workers(64).run(|_, _| ()).unwrap_err());
    let Error::Fork { started, asked: 64, limit: Some(20), ref source } = error else { panic!("{error:?}") };
    assert!(started < 20 && source.raw_os_error() == Some(libc::EAGAIN), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("the system made only {started} of 64 worker processes (")), "{text}");
    assert!(
        text.ends_with("the limit of processes for this user is 20). Ask for fewer workers or raise the limit."),
        "{text}"
    );
    if started > 1 {
        Job::new(&mut line).workers(started).run(|_, mut slice| slice[0] = 1).unwrap();
        assert_eq!(line.as_slice(), [1; 64]);
    }
}

fn a_limit_of_descriptors_is_no_limit_of_workers() {
    use nix::sys::resource::{Resource, setrlimit};
    let mut line = Shared::<u8, _>::zeros(64).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 20, 20).unwrap();
    nothing_left(|| Job::new(&mut line).workers(64).run(|_, mut slice| slice[0] = 1).unwrap());
    assert_eq!(line.as_slice(), [1; 64]);
    let job = Job::new(&mut line).workers(64).schedule(Schedule::Static);
    let error = nothing_left(|| job.run(|w, _| die_at(w.rank() == 63)).unwrap_err());
    assert!(matches!(&error, Error::WorkerDied(death) if death.rank == 63), "{error}");
}

fn die_at(here: bool) {
    if here {
        // SAFETY: ends this process.
        unsafe { libc::abort() }
    }
}

fn four_workers_share_the_memory_of_one_input() {
    const BYTES: usize = 256 << 20;
    let source = Shared::<u8, _>::zeros(BYTES).unwrap();
    let job = Job::new(&source).workers(4).split(Split::rows().into_pieces(4)).schedule(Schedule::Static);
    let answers = job
        .measure_memory(true)
        .run(|w, source| -> parfork::Result<[u64; 2]> {
            // Every worker touches every page.
            let sum: u64 = source.iter().step_by(4096).map(|&byte| u64::from(byte)).sum();
            w.barrier()?;
            let coordinator = if w.rank() == 0 { proportional(nix::unistd::getppid().as_raw()) } else { 0 };
            let mine = Memory::of_this_process().unwrap().proportional;
            w.barrier()?;
            Ok([mine + coordinator, sum])
        })
        .unwrap();
    let all: u64 = answers.iter().map(|[memory, _]| memory).sum();
    let most = (BYTES as u64) * 105 / 100 + (16 << 20);
    assert!((BYTES as u64..most).contains(&all), "{all} bytes for {BYTES}");
    for worker in &answers.report().workers {
        let memory = worker.memory.unwrap();
        assert!(memory.private < 8 << 20, "{memory:?}");
        assert!(memory.shared >= BYTES as u64, "{memory:?}");
    }
}

fn proportional(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

fn workers_have_arrays_at_other_addresses() {
    for length in [100, 3 << 20] {
        let source = Shared::<u8, _>::zeros(length).unwrap();
        let mut output = Shared::<u8, _>::zeros(length).unwrap();
        let own = [source.as_slice().as_ptr().addr(), output.as_slice().as_ptr().addr()];
        let job =
            Job::new((&source, &mut output)).workers(3).split(Split::rows().into_pieces(3)).schedule(Schedule::Static);
        let seen = job.run(|_, (source, slice)| [source.as_ptr().addr(), slice.as_ptr().addr()]).unwrap();
        let report = seen.report();
        assert_eq!(report.addresses, own);
        assert_eq!(report.workers.len(), 3);
        for (rank, (worker, [read, written])) in report.workers.iter().zip(seen.iter()).enumerate() {
            assert!(worker.addresses.iter().all(|address| !own.contains(address)), "worker {rank}");
            assert_eq!(worker.addresses[0], *read);
            assert!((worker.addresses[1]..worker.addresses[1] + length).contains(written));
        }
    }
}

fn large_arrays_of_any_length_are_whole() {
    for (engine, length) in
        Engine::ALL.into_iter().flat_map(|e| [(2 << 20) - 1, 2 << 20, (2 << 20) + 1, 9_999_991].map(|n| (e, n)))
    {
        let source = Shared::from_array(&Array1::from_elem(length, 3_u8)).unwrap();
        let mut output = Shared::<u8, _>::zeros(length).unwrap();
        let job = Job::new((&source, &mut output)).workers(4).split(Split::rows().into_pieces(13)).engine(engine);
        job.run(|w, (source, mut slice)| {
            slice.assign(&w.slice_of(source));
            let last = slice.len() - 1;
            slice[last] += 1;
        })
        .unwrap();
        let bytes = output.as_slice();
        assert_eq!(memchr_count(bytes, 3), length - 13);
        assert_eq!((memchr_count(bytes, 4), bytes[length - 1]), (13, 4), "{engine} {length}");
    }
}

fn memchr_count(bytes: &[u8], byte: u8) -> usize {
    let mut seen = [0; 256];
    bytes.iter().for_each(|&byte| seen[byte as usize] += 1);
    seen[byte as usize]
}

fn hundreds_of_workers_do_tiny_jobs() {
    for workers in [512, 1024] {
        let mut line = Shared::<u8, _>::zeros(workers).unwrap();
        for _ in 0..3 {
            let ranks = nothing_left(|| {
                let job = Job::new(&mut line).workers(workers).schedule(Schedule::Static);
                job.run(|w, mut slice| -> parfork::Result<usize> {
                    slice[0] += 1;
                    w.barrier()?;
                    Ok(w.rank())
                })
                .unwrap()
            });
            assert!(ranks.iter().copied().eq(0..workers));
        }
        assert!(line.as_slice().iter().all(|&count| count == 3));
    }
}

fn a_chunk_of_any_size_deals_every_slice_once() {
    for chunk in ["100", "4294967296", "4611686018427387904", "9223372036854775808", "18446744073709551615"] {
        for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 3, 5, 8, 64].map(|n| (engine, n))) {
            let mut line = Shared::<u8, _>::zeros(90).unwrap();
            let times = Page::new();
            let schedule = format!("dynamic={chunk}").parse().unwrap();
            let job = Job::new(&mut line).workers(workers).schedule(schedule).engine(engine);
            job.run(|w, _| times[w.region().index()].fetch_add(1, Ordering::Relaxed)).unwrap();
            let times: Vec<_> = times[..90].iter().map(|count| count.load(Ordering::Relaxed)).collect();
            assert_eq!(times, [1; 90], "{engine} {chunk} {workers}");
        }
    }
}

fn unwritten_output_appears_once() {
    let mut child = play("print_and_fork").stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(text, "of Rust's, of C's, and after\n");
}

fn print_and_fork() {
    print!("of Rust's, ");
    // SAFETY: a live string that ends in 0; it stays in C's buffer, for stdout is a pipe.
    unsafe { libc::printf(c"of C's, ".as_ptr()) };
    let mut line = Shared::<u8, _>::zeros(8).unwrap();
    parfork::fork(4, &mut line, |_, mut slice| slice[0] = 1).unwrap();
    print!("and after");
    parfork::fork(4, &mut line, |w, _| die_at(w.region().index() == 0)).unwrap_err();
    println!();
    assert_eq!(line.as_slice(), [1; 8]);
}

/// A worker is a process with one thread, so it may fork too. What it was lent is not lent on: only it writes its slice.
fn a_job_within_a_worker() {
    let mut outer = Shared::<u64, _>::zeros(4).unwrap();
    nothing_left(|| {
        let run = parfork::fork(2, &mut outer, |w, mut slice| -> parfork::Result<()> {
            let mut inner = Shared::<u64, _>::zeros(10)?;
            parfork::fork(3, &mut inner, |w, mut slice| slice[0] = w.region().index() as u64)?;
            slice[0] = inner.as_slice().iter().sum::<u64>() + w.region().index() as u64;
            Ok(())
        });
        run.unwrap();
    });
    assert_eq!(outer.as_slice(), [45, 46, 47, 48]);
    let mut outer = Shared::<u64, _>::zeros(1).unwrap();
    let error = nothing_left(|| {
        let run = parfork::fork(1, &mut outer, |_, slice| -> parfork::Result<()> {
            let (slice, inner) = (std::cell::RefCell::new(slice), Shared::<u64, _>::zeros(2)?);
            parfork::fork(2, &inner, |_, _| slice.borrow_mut()[0] += 1)?;
            Ok(())
        });
        run.unwrap_err()
    });
    assert!(error.to_string().contains("SIGSEGV"), "two processes wrote one slice: {error}");
}

fn elements_of_any_alignment_are_aligned() {
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C, align(65536))]
    struct Coarse([[u8; 256]; 256]);
    // An error would do as well: no array, no misaligned element.
    if let Ok(mut coarse) = Shared::<Coarse, _>::zeros(3) {
        assert_eq!(coarse.as_slice().as_ptr().addr() % align_of::<Coarse>(), 0);
        let run = parfork::fork(2, &mut coarse, |_, slice| slice.as_ptr().addr() as u64).unwrap();
        assert!(run.iter().all(|address| address % align_of::<Coarse>() as u64 == 0));
    }
}

fn a_report_says_who_did_what() {
    let source = Shared::<u8, _>::zeros((10, 10)).unwrap();
    for (engine, schedule) in Engine::ALL.into_iter().flat_map(|engine| schedules().map(move |s| (engine, s))) {
        let job = Job::new(&source).workers(3).schedule(schedule).engine(engine).measure_memory(true);
        let ranks = job.run(|w, _| w.rank()).unwrap();
        let report = ranks.report();
        assert_eq!((report.engine, report.schedule, report.grid.slices()), (engine, schedule, 10));
        assert_eq!(report.workers.len(), if engine == Engine::Serial { 1 } else { 3 });
        for (rank, worker) in report.workers.iter().enumerate() {
            assert!(worker.slices.is_sorted());
            assert!(worker.slices.iter().all(|&slice| ranks[slice] == rank), "{engine} {schedule}");
            assert_eq!(worker.addresses.len(), 1);
            assert!(worker.memory.is_some_and(|memory| memory.private > 0));
        }
        assert_eq!(report.workers.iter().map(|worker| worker.slices.len()).sum::<usize>(), 10);
        if schedule == Schedule::Static {
            let first = report.workers[0].slices.len();
            assert_eq!(first, if engine == Engine::Serial { 10 } else { 4 });
        }
    }
}
