//! A range is cut as an array of its length would be.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use parfork::{Crew, Engine, Error, Job, ShapeError, Shared, Split};

use crate::kill_me;
use crate::support::{Page, nothing_left};

const RANGES: [Range<usize>; 6] = [0..0, 0..1, 5..5, 7..100, 0..5000, usize::MAX - 9..usize::MAX];

pub(crate) fn each_number_is_in_one_part() {
    for (engine, workers) in Engine::ALL.into_iter().flat_map(|engine| [1, 2, 5].map(|workers| (engine, workers))) {
        for (range, split) in RANGES.iter().flat_map(|range| ["rows", "rows=7", "rows/3"].map(|split| (range, split))) {
            let job = Job::new(range.clone()).workers(workers).split(split.parse().unwrap()).runner(engine);
            let parts = nothing_left(|| job.run(|_, mine| [mine.start, mine.end]).unwrap());
            let numbers = parts.iter().flat_map(|&[start, end]| start..end);
            assert!(numbers.eq(range.clone()), "{engine} {workers} {range:?} {split}: {:?}", parts.into_vec());
        }
    }
    #[allow(clippy::reversed_empty_ranges, reason = "it may come to that where ends are computed")]
    let backwards = Job::new(9..3).run(|_, _| ()).unwrap();
    assert!(backwards.is_empty());
}

pub(crate) fn a_range_goes_with_arrays_that_are_as_long() {
    let weights = Shared::from_array(&ndarray::Array1::from_iter(0..3_u64)).unwrap();
    let mut cells = Shared::<u64, _>::zeros((40, 3)).unwrap();
    for engine in Engine::ALL {
        cells.view_mut().fill(0);
        let job = Job::new((1000..1040, &weights, (&mut cells, 0..40))).workers(3).runner(engine);
        job.run(|w, (years, weights, (mut slice, rows))| {
            assert_eq!((rows, years.start), (slice.rows(), 1000 + slice.rows().start));
            assert_eq!(w.region().range(0), Some(slice.rows()));
            for (mut row, year) in slice.rows_mut().into_iter().zip(years) {
                row.zip_mut_with(&weights, |cell, weight| *cell += year as u64 * weight);
            }
        })
        .unwrap();
        let right = ndarray::Array2::from_shape_fn((40, 3), |(row, column)| (1000 + row as u64) * column as u64);
        assert_eq!(cells.view(), right, "{engine}");
    }
}

pub(crate) fn what_does_not_fit_is_refused() {
    let mut cells = Shared::<u8, _>::zeros((40, 3)).unwrap();
    let refused = nothing_left(|| Job::new((0..39, &mut cells)).run(|_, _| ()).unwrap_err());
    assert!(refused.to_string().contains("[40, 3] and [39] differ on axis 0"), "{refused}");
    assert!(matches!(refused, Error::Shape(ShapeError::Outputs { axis: 0, .. })));
    let refused = Job::new((0..40, &mut cells)).split(Split::cols()).run(|_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("differ on axis 1"), "{refused}");
    for split in [Split::cols(), Split::tiles(2, 2)] {
        let refused = Job::new(0..40).split(split).run(|_, _| ()).unwrap_err();
        assert!(refused.to_string().contains("cuts axis 1, but the array has 1"), "{refused}");
    }
    let refused = Job::new(0..usize::MAX).split(Split::rows().of(1)).run(|_, _| ()).unwrap_err();
    assert!(refused.to_string().contains("more than 268435456 slices"), "{refused}");
    let refused = parfork::fork(2, 0..9, |_, mine| if mine.contains(&4) { Err("four") } else { Ok(()) }).unwrap_err();
    assert!(refused.to_string().contains("four") && refused.to_string().contains("[4..5, ..]"), "{refused}");
}

pub(crate) fn a_dead_workers_part_is_done_by_others() {
    for workers in [1, 2, 5] {
        let begun = Page::new();
        // Nothing is lent that a dead worker could have half written, so that nobody has to say why that does not matter.
        let job = Job::new(100..140).workers(workers).retries(2);
        let done = nothing_left(|| {
            job.run(|_, mine| {
                if mine.start % 10 == 3 && begun[mine.start].fetch_add(1, Ordering::Relaxed) < 2 {
                    kill_me();
                }
                mine.sum::<usize>()
            })
        });
        let done = done.unwrap();
        assert!(done.iter().copied().eq(100..140));
        assert_eq!(done.report().deaths.len(), 8);
    }
}

pub(crate) fn a_crew_is_told_of_them() {
    let words = Page::new();
    let mut crew = Crew::start(2).unwrap();
    let begun = Shared::from_array(&ndarray::Array1::from_iter(0..50_u32)).unwrap();
    for turn in 0..3 {
        for range in RANGES {
            let sum = crew.run(range.clone(), turn, |_, turn, mine| mine.len() * (turn + 1)).unwrap().sum();
            assert_eq!(sum, range.len() * (turn + 1));
        }
        let both = crew.run((10..20, &begun), (), |_, (), (mine, all)| mine.map(|at| all[at]).sum::<u32>());
        assert_eq!(both.unwrap().sum(), (10..20).sum());
        // The workers were forked when these words were there.
        words[turn].store(0, Ordering::Relaxed);
        let job = Job::new(0..9).crew(&mut crew).retries(1);
        let done = job.run_with(words[turn].as_ptr() as usize, |_, word, mine| {
            // SAFETY: the word is never unmapped.
            let begun = unsafe { AtomicU64::from_ptr(std::ptr::with_exposed_provenance_mut(word)) };
            if mine.start == 4 && begun.fetch_add(1, Ordering::Relaxed) == 0 {
                kill_me();
            }
            mine.start
        });
        let done = done.unwrap();
        assert!(done.iter().copied().eq(0..9));
        assert_eq!(done.report().deaths.len(), 1);
    }
}
