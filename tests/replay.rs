//! One slice of a job alone: to look again at what failed.

mod support;

use std::process::ExitCode;

use parfork::{Cause, Engine, Error, Job, Schedule, Shared, Split};
use support::{cases, nothing_left};

fn main() -> ExitCode {
    support::run(
        cases![
            one_slice_is_run_and_no_other_cell_changes,
            a_slice_that_does_not_exist_is_refused,
            an_error_says_how_to_replay_it,
            a_slice_alone_meets_itself,
            a_slice_alone_is_tried_again,
        ],
        cases![],
    )
}

fn one_slice_is_run_and_no_other_cell_changes() {
    // 7 x 9 in tiles of 3 x 4: three to a row; the sixth is rows 3 to 5, column 8 alone.
    let (split, slice) = (Split::tiles(3, 4), 5);
    for engine in Engine::ALL {
        for (workers, schedule) in [(1, Schedule::Static), (4, Schedule::DYNAMIC), (4, Schedule::Guided)] {
            let mut array = Shared::from_array(&ndarray::Array2::from_elem((7, 9), 7_u64)).unwrap();
            let answers = nothing_left(|| {
                let job = Job::new(&mut array).workers(workers).split(split).schedule(schedule).runner(engine);
                job.only_slice(slice).run(|w, mut cells| {
                    cells.fill(1);
                    w.region().index() as u64
                })
            });
            let answers = answers.unwrap();
            assert_eq!(*answers, [5]);
            let report = answers.report();
            assert_eq!((report.workers.len(), &report.workers[0].slices[..]), (1, &[5][..]));
            for ((row, column), &cell) in array.view().indexed_iter() {
                let inside = (3..6).contains(&row) && column == 8;
                assert_eq!(cell, if inside { 1 } else { 7 }, "[{row}, {column}] on {engine}");
            }
        }
    }
}

fn a_slice_that_does_not_exist_is_refused() {
    for (length, slice) in [(24, 24), (24, usize::MAX), (0, 0)] {
        let mut array = Shared::<u8, _>::zeros(length).unwrap();
        let error = nothing_left(|| Job::new(&mut array).only_slice(slice).run(|_, _| ()).unwrap_err());
        assert!(matches!(error, Error::NoSuchSlice { slice: s, slices } if (s, slices) == (slice, length)));
        let text =
            format!("slice {slice} does not exist: the job has {length}, numbered from 0. Give a smaller number.");
        assert_eq!(error.to_string(), text);
    }
}

fn an_error_says_how_to_replay_it() {
    for only in [None, Some(5)] {
        for engine in Engine::ALL {
            let mut array = Shared::<u8, _>::zeros(24).unwrap();
            let mut job = Job::new(&mut array).workers(2).runner(engine);
            if let Some(slice) = only {
                job = job.only_slice(slice);
            }
            let error = job.run(|w, _| assert!(w.region().index() != 5, "the sixth")).unwrap_err();
            let text = error.to_string();
            assert!(text.ends_with(" `Job::only_slice(5)` runs that slice alone."), "{text}");
            let Error::WorkerDied(death) = error else { panic!("{text}") };
            assert!(matches!(&death.cause, Cause::Panicked { message, .. } if message == "the sixth"));
            assert!(format!("{death:#}").ends_with("Mend the body, which panics on this slice."), "{death:#}");
            assert!(only.is_none() || death.done == 0);
        }
    }
}

fn a_slice_alone_meets_itself() {
    let mut array = Shared::<u8, _>::zeros(8).unwrap();
    let job = Job::new(&mut array).workers(8).schedule(Schedule::Static).only_slice(3);
    let run = job.run(|w, mut slice| -> parfork::Result<()> {
        for _ in 0..10 {
            w.barrier()?;
        }
        slice[0] = w.workers() as u8;
        Ok(())
    });
    run.unwrap();
    assert_eq!(array.as_slice(), [0, 0, 0, 1, 0, 0, 0, 0]);
}

fn a_slice_alone_is_tried_again() {
    let tries = support::Page::new();
    let mut array = Shared::<u8, _>::zeros(24).unwrap();
    let mut try_it = |needed| {
        tries[0].store(0, std::sync::atomic::Ordering::Relaxed);
        let job = Job::new(&mut array).workers(2).retries(2).body_overwrites().only_slice(7);
        job.run(|_, mut slice| {
            let tried = tries[0].fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            slice[0] = tried as u8;
            assert!(tried >= needed, "not yet");
        })
        .map(drop)
    };
    try_it(3).unwrap();
    let error = try_it(4).unwrap_err();
    assert!(matches!(&error, Error::WorkerDied(death) if death.tries == 3), "{error}");
    assert_eq!((array.as_slice()[7], array.as_slice()[6]), (3, 0));
}
