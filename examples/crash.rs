//! A worker crashes. The job ends with an error that names worker, slice and cause; the program goes on as if nothing had been.
//!
//! `cargo run --release --example crash`

use parfork::{Cause, Error, Shared};

fn main() -> parfork::Result<()> {
    let mut grid = Shared::<u64, _>::zeros((40, 10))?;
    for workers in [1, 2, 6] {
        let crash = parfork::fork(workers, &mut grid, |_, slice| {
            if slice.rows().start == 17 {
                std::process::abort();
            }
        });
        let error = crash.unwrap_err();
        println!("abort: {error}\n");
        let Error::WorkerDied(death) = error else { panic!("another error: {error}") };
        assert_eq!(death.slice.map(|slice| slice.0.index()), Some(17));

        let panic =
            parfork::fork(workers, &mut grid, |_, slice| assert!(slice.rows().start != 23, "row 23 is missing"));
        let error = panic.unwrap_err();
        println!("panic: {error}\n");
        assert!(matches!(error, Error::WorkerDied(death) if matches!(death.cause, Cause::Panicked { .. })));

        // The array is as usable as before, and so is this process.
        parfork::fork(workers, &mut grid, |w, mut slice| slice.fill(w.region().index() as u64))?;
        assert_eq!(grid.view().sum(), (0..40).sum::<u64>() * 10);
    }
    println!("all well in process {}", std::process::id());
    Ok(())
}
