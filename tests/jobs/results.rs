//! The right cells and answers, however an array is cut and whoever works.

use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use ndarray::{Array1, Array2, Array4, ArrayView1, ArrayView2, Axis, Ix4, s};
use parfork::{Engine, Job, Order, Shared, Split};

use crate::support::{Page, no_children, nothing_left};
use crate::{input, noise, schedules};

const WORKERS: [usize; 5] = [1, 2, 3, 8, 33];

pub(crate) fn serially_every_cell_is_written_once() {
    every_cell_is_written_once(Engine::Serial, &[1]);
}

pub(crate) fn threads_write_every_cell_once() {
    every_cell_is_written_once(Engine::Threads, &WORKERS);
}

pub(crate) fn processes_write_every_cell_once() {
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
            let answers = job.schedule(schedule).runner(engine).run(|w, (source, mut slice)| {
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

pub(crate) fn every_axis_of_one_and_four_dimensions_can_be_cut() {
    for engine in Engine::ALL {
        for (length, split) in
            [0, 1, 2, 1000, 1025, 4097].into_iter().flat_map(|n| ["rows", "rows=7", "rows/5"].map(|s| (n, s)))
        {
            let mut line = Shared::<usize, _>::zeros(length).unwrap();
            let job = Job::new(&mut line).workers(3).split(split.parse().unwrap()).runner(engine);
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
                job.runner(engine)
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

pub(crate) fn answers_and_sums_have_the_same_bits_whoever_works() {
    let mut noise = noise(3);
    // Of very different sizes, so that the order of additions shows in the last bits.
    let values = Array2::from_shape_fn((517, 23), |_| (noise() as f64 - 1e9) * 10_f64.powi((noise() % 30) as i32 - 15));
    let values = Shared::from_array(&values).unwrap();
    for split in ["rows", "rows/7", "cols=2", "tiles=50x10"] {
        let mut first: Option<(Vec<u64>, u64, u64)> = None;
        for (engine, schedule) in Engine::ALL.into_iter().flat_map(|engine| schedules().map(move |s| (engine, s))) {
            for workers in [1, 2, 3, 8, 40] {
                let job = Job::new(&values).workers(workers).split(split.parse().unwrap()).schedule(schedule);
                let sums = job.runner(engine).run(|w, values| w.slice_of(values).iter().sum::<f64>()).unwrap();
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

pub(crate) fn a_body_borrows_from_its_surroundings_and_its_changes_stay_in_the_worker() {
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

pub(crate) fn a_body_may_return_any_plain_answer() {
    #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    struct Extremes {
        least: f32,
        most: f32,
        count: u64,
    }
    let line = Shared::from_array(&Array1::from_iter((0..50).map(|i| i as f32))).unwrap();
    for engine in Engine::ALL {
        let job = || Job::new(&line).workers(4).split(Split::rows().of(20)).runner(engine);
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

pub(crate) fn several_arrays_are_lent_as_a_tuple() {
    let (a, b) = (input(ndarray::Dim((9, 4)), Order::C), input(ndarray::Dim((9, 4)), Order::F));
    let factors = Shared::from_array(&Array1::from_iter(1..=4_i64)).unwrap();
    for engine in Engine::ALL {
        // Cut into rows, outputs need only be as long as each other along axis 0.
        let mut sums = Shared::<i64, _>::zeros((9, 4)).unwrap();
        let mut totals = Shared::<f64, _>::zeros(9).unwrap();
        let job = Job::new((&a, &mut sums, &b, (&factors, &mut totals))).workers(2).runner(engine);
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

pub(crate) fn a_halo_shows_the_neighbours_cells() {
    let line = input(ndarray::Dim(101), Order::C);
    let plane = input(ndarray::Dim((23, 31)), Order::F);
    for (engine, halo) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 40].map(|halo| (engine, halo))) {
        for each in [1, 7, 200] {
            let mut sums = Shared::<i64, _>::zeros(101).unwrap();
            let job = Job::new((&line, &mut sums)).workers(3).split(Split::rows().of(each).halo(halo)).runner(engine);
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
            let job = Job::new((&plane, &mut sums)).workers(3).split(split.halo(halo)).runner(engine);
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

pub(crate) fn large_arrays_of_any_length_are_whole() {
    for (engine, length) in
        Engine::ALL.into_iter().flat_map(|e| [(2 << 20) - 1, 2 << 20, (2 << 20) + 1, 9_999_991].map(|n| (e, n)))
    {
        let source = Shared::from_array(&Array1::from_elem(length, 3_u8)).unwrap();
        let mut output = Shared::<u8, _>::zeros(length).unwrap();
        let job = Job::new((&source, &mut output)).workers(4).split(Split::rows().into_pieces(13)).runner(engine);
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

pub(crate) fn a_chunk_of_any_size_deals_every_slice_once() {
    for chunk in ["100", "4294967296", "4611686018427387904", "9223372036854775808", "18446744073709551615"] {
        for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 3, 5, 8, 64].map(|n| (engine, n))) {
            let mut line = Shared::<u8, _>::zeros(90).unwrap();
            let times = Page::new();
            let schedule = format!("dynamic={chunk}").parse().unwrap();
            let job = Job::new(&mut line).workers(workers).schedule(schedule).runner(engine);
            job.run(|w, _| times[w.region().index()].fetch_add(1, Ordering::Relaxed)).unwrap();
            let times: Vec<_> = times[..90].iter().map(|count| count.load(Ordering::Relaxed)).collect();
            assert_eq!(times, [1; 90], "{engine} {chunk} {workers}");
        }
    }
}
