//! Sorting 100 million `f64` without a pattern, beside rayon.

use std::error::Error;

use parfork::{Engine, Job};
use parfork_workers::kernel::{ArgValues, Kernel};
use parfork_workers::sort::Sort;
use rayon::slice::ParallelSliceMut;

use super::contest::{contest, timed};
use super::{Run, WORKERS};

const ELEMENTS: usize = 100_000_000;

pub fn section(_: &[&str]) -> Result<(), Box<dyn Error>> {
    let outcome = contest("sort", &[], &["processes", "threads", "rayon"], 3)?;
    outcome.print("sort of 100 M f64", "processes", |times| {
        format!("{:>5.1} ns an element", times.least * 1e6 / ELEMENTS as f64)
    });
    outcome.judge(&["processes".to_owned()], |name| !["processes", "threads"].contains(&name), 1.0);
    Ok(())
}

pub fn contestant(who: &str) -> Result<Run, Box<dyn Error>> {
    let mut state = 1_u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) ^ (state >> 40)) as f64 / (1_u64 << 53) as f64
    };
    if let Ok(engine) = who.parse::<Engine>() {
        let task = Sort.made_up(&ArgValues::default(), &[ELEMENTS], &mut noise)?;
        let mut output = task.output()?;
        return Ok(Box::new(move || {
            let (done, time) = timed(|| task.run(&mut |_| Job::default().workers(WORKERS).runner(engine), &mut output));
            done?;
            Ok(time)
        }));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?;
    let numbers: Vec<f64> = (0..ELEMENTS).map(|_| noise()).collect();
    // In place: the copy does not count.
    let mut sorted = numbers.clone();
    Ok(Box::new(move || {
        sorted.copy_from_slice(&numbers);
        Ok(timed(|| pool.install(|| sorted.par_sort_unstable_by(f64::total_cmp))).1)
    }))
}
