//! Guards of named segments lent to jobs.

use std::fs::File;

use ndarray::{Array2, Ix2};
use parfork::named::Named;
use parfork::{Cause, Crew, Engine, Error, Job, SegmentErrorKind, Shared, Split};

use crate::support::nothing_left;
use crate::{folder, name};

pub(crate) fn guards_are_lent_like_arrays() {
    let (input, output) = (name("in"), name("out"));
    let table = Array2::from_shape_fn((700, 513), |(i, j)| (i * 513 + j) as f64);
    let mut source = Named::create(&input).copy_of(&Shared::from_array(&table).unwrap()).unwrap();
    let mut target = Named::<f64, _>::create(&output).zeros((700, 513)).unwrap();
    let mut generation = 0;
    for engine in [Engine::Serial, Engine::Threads, Engine::Processes] {
        for split in [Split::rows(), Split::tiles(64, 100)] {
            for guard in [false, true] {
                if guard && engine != Engine::Processes {
                    continue;
                }
                let factor = 1.0 + generation as f64;
                nothing_left(|| {
                    let read = source.read().unwrap();
                    let mut write = target.write().unwrap();
                    let job = Job::new((&read, &mut write)).workers(3).split(split).runner(engine);
                    let job = if guard { job.guard(true).retries(1).restore_outputs() } else { job };
                    job.run(|w, (table, mut slice)| {
                        slice.zip_mut_with(&w.slice_of(table), |out, cell| *out = cell * factor)
                    })
                    .unwrap();
                    generation = write.publish().unwrap();
                });
                let mut seen = Named::<f64, Ix2>::open(&output).unwrap();
                assert_eq!(seen.read().unwrap().view(), &table * factor, "{engine} {split} {guard}");
            }
        }
    }
    // A job that failed leaves the output unfinished, however it is let go.
    let failed = (|| -> parfork::Result<()> {
        let mut write = target.write()?;
        parfork::fork(2, &mut write, |_, _| -> () { panic!("on purpose") })?;
        write.publish()?;
        Ok(())
    })();
    assert!(matches!(failed, Err(Error::WorkerDied(_))));
    assert!(matches!(target.read(), Err(Error::Segment { kind: SegmentErrorKind::Unfinished { .. }, .. })));
}

pub(crate) fn crews_attach_what_was_made_after_them() {
    let name = name("crew");
    let mut crew = Crew::start(2).unwrap();
    // Twice: a name is not a segment.
    for round in 1..=2 {
        let mut cells = Named::<u32, _>::create(&name).zeros((2000, 600)).unwrap();
        let mut held = cells.write().unwrap();
        for _ in 0..3 {
            crew.run(&mut held, round, |_, round, mut slice| slice.mapv_inplace(|cell| cell + round)).unwrap();
        }
        held.publish().unwrap();
        let held = cells.read().unwrap();
        let sum: u64 = crew
            .run(&held, (), |w, (), all| w.slice_of(all).iter().map(|&cell| u64::from(cell)).sum::<u64>())
            .unwrap()
            .sum();
        assert_eq!(sum, 2000 * 600 * 3 * u64::from(round));
        drop(held);
        // What others have attached keeps its bytes when it is let go here.
        let mut other = Named::<u32, Ix2>::open(&name).unwrap();
        drop(cells);
        assert!(other.read().unwrap().view().iter().all(|&cell| cell == 3 * round));
    }
}

pub(crate) fn a_segment_cut_off_under_a_reader_is_an_error() {
    let name = name("cut");
    let mut mine = Named::<u64, _>::create(&name).zeros((1 << 10, 1 << 10)).unwrap();
    let held = mine.read().unwrap();
    let file = File::options().write(true).open(folder().join(&name)).unwrap();
    let whole = file.metadata().unwrap().len();
    // A worker does it, when all have what they were lent, and reads.
    let failed = parfork::fork(1, &held, move |_, all| {
        file.set_len(whole - (4 << 20)).unwrap();
        all.sum()
    });
    let Err(Error::WorkerDied(death)) = failed else { panic!("{failed:?}") };
    assert!(matches!(&death.cause, Cause::Faulted(fault) if fault.signal == libc::SIGBUS), "{death}");
    let cut = |result: parfork::Result<()>| match result {
        Err(Error::Segment { kind: SegmentErrorKind::CutOff { found, expected }, .. }) => {
            assert_eq!((found, expected), (whole - (4 << 20), whole));
        }
        other => panic!("{other:?}"),
    };
    cut(held.copy().map(drop));
    drop(held);
    cut(mine.read().map(drop));
    cut(mine.write().map(drop));
}
