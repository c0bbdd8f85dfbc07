//! What do prefix sums cost over copying? 2^27 `f64` (1 GiB) to as many, by a crew of 2: `scan`, and a copy with the same slices; then
//! one thread's copy of all, and the naive loop of one thread; interleaved, medians.
//!
//! `cargo bench -p parfork-workers --bench scan`; findings in benches/README.md.

use std::time::Instant;

use ndarray::ArrayView1;
use parfork::{Crew, Job, Shared, Split};
use parfork_workers::scan;

/// Times that each takes its turn.
const ROUNDS: usize = 7;

fn main() -> parfork::Result<()> {
    let length = std::env::var("ELEMENTS").map_or(1 << 27, |text| text.parse().expect("a number"));
    let mut numbers = Shared::<f64, _>::zeros(length)?;
    numbers.as_mut_slice().iter_mut().enumerate().for_each(|(at, cell)| *cell = (at % 1009) as f64);
    let mut sums = Shared::<f64, _>::zeros(length)?;
    let mut crew = Crew::start(2)?;
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(time(|| scan::run::<f64>(Job::default().crew(&mut crew), &numbers, &mut sums).map(drop))?);
        assert!(sums.view()[length - 1] > 0.0);
        times[1].push(time(|| {
            let job = Job::new((&numbers, &mut sums)).crew(&mut crew).split(Split::rows().of(scan::BLOCK));
            let copy = job.run_with((), |w, (), (numbers, mut to)| {
                let from: ArrayView1<f64> = w.slice_of(numbers);
                to.as_slice_mut().expect("whole").copy_from_slice(from.to_slice().expect("whole"));
            });
            copy.map(drop)
        })?);
        times[2].push(time(|| {
            sums.as_mut_slice().copy_from_slice(numbers.as_slice());
            Ok(())
        })?);
        times[3].push(time(|| {
            let mut sum = 0.0;
            sums.as_mut_slice().iter_mut().zip(numbers.as_slice()).for_each(|(to, x)| {
                sum += x;
                *to = sum;
            });
            Ok(())
        })?);
    }
    println!("{length} f64, {} CPUs; ms, median (least) of {ROUNDS} interleaved turns\n", parfork::cpus());
    println!(
        "| scan, 2 workers | copy, 2 workers | copy, one thread | naive loop, one thread |\n|---:|---:|---:|---:|"
    );
    let cells = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        format!("{:.0} ({:.0})", times[ROUNDS / 2], times[0])
    });
    println!("| {} |", cells.join(" | "));
    Ok(())
}

/// Milliseconds.
fn time(run: impl FnOnce() -> parfork::Result<()>) -> parfork::Result<f64> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
