//! What does a process cost over a thread? The same kernels on all three engines and by a crew, interleaved in one run; medians.
//!
//! `cargo bench --bench engines`; method and findings in benches/README.md.

use std::time::{Duration, Instant};

use ndarray::{Array1, Array2, Array3};
use parfork::{Crew, Engine, Job, Shared, Split};
use parfork_workers::filter::{self, Border};
use parfork_workers::mandelbrot::{self, View};
use parfork_workers::{matmul, reduce};

/// Runs of each engine. They take turns, so that a noisy moment hits all alike.
const ROUNDS: usize = 15;

/// Workers of the threads and processes engines.
const WORKERS: usize = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{WORKERS} workers, {} CPUs; median of {ROUNDS} interleaved runs, ms\n", parfork::cpus());
    println!(
        "{:<38} {:>9} {:>9} {:>9} {:>9}  processes/threads  crew/threads",
        "job", "serial", "threads", "processes", "crew"
    );
    let crew = &mut Crew::start(WORKERS)?;

    let mut small = Shared::<u8, _>::zeros(WORKERS)?;
    compare(crew, "empty job, 1 slice a worker", |job| {
        job.lend(&mut small).split(Split::rows()).run_with((), |_, (), _| ()).map(drop)
    })?;
    let large = Shared::<u8, _>::zeros(1 << 30)?;
    compare(crew, "empty job on 1 GiB lent to read", |job| {
        job.lend(&large).split(Split::rows().into_pieces(WORKERS)).run_with((), |_, (), _| ()).map(drop)
    })?;
    drop(large);

    let view = View::new((-0.5, 0.0), 1.0, (2048, 2048), 256)?;
    let mut picture = Shared::zeros((2048, 2048, 3))?;
    compare(crew, "mandelbrot 2048x2048, 256 iterations", |job| mandelbrot::run(job, &view, &mut picture).map(drop))?;

    let photo = Shared::from_array(&Array3::from_shape_fn((4096, 4096, 3), |(y, x, c)| (y * x / 64 + c * 31) as u8))?;
    let mut result = Shared::zeros_like(&photo)?;
    for name in ["gaussian:3", "sharpen", "invert"] {
        let filter = name.parse()?;
        compare(crew, &format!("{name}, 4096x4096 RGB 8-bit"), |job| {
            filter::run(job, filter, Border::default(), &photo, &mut result).map(drop)
        })?;
    }
    drop((photo, result));

    let matrix = |seed: usize| {
        Shared::from_array(&Array2::from_shape_fn((2048, 2048), |(i, j)| ((i * 7 + j * seed) % 100) as f32))
    };
    let (a, b, mut c) = (matrix(3)?, matrix(5)?, Shared::zeros((2048, 2048))?);
    compare(crew, "product 2048 f32", |job| matmul::run(job, &a, &b, &mut c).map(drop))?;

    let numbers = Shared::from_array(&Array1::from_shape_fn(1 << 25, |i| (i % 1000) as f64))?;
    let bytes = Shared::<u8, _>::from_array(&Array1::from(bytemuck::cast_slice(numbers.as_slice()).to_vec()))?;
    drop(numbers);
    let dtype = "=f8".parse()?;
    compare(crew, "sum of 256 MiB f64", |job| reduce::run(job, reduce::Op::Sum, dtype, &bytes).map(drop))?;
    Ok(())
}

/// Times a job on each engine, in turns.
fn compare(crew: &mut Crew, name: &str, mut run: impl FnMut(Job<'_>) -> parfork::Result<()>) -> parfork::Result<()> {
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        for (engine, times) in Engine::ALL.into_iter().zip(&mut times) {
            let began = Instant::now();
            run(Job::default().workers(WORKERS).runner(engine))?;
            times.push(began.elapsed());
        }
        let began = Instant::now();
        run(Job::default().workers(WORKERS).crew(crew))?;
        times[3].push(began.elapsed());
    }
    let [serial, threads, processes, stay] = times.map(median);
    let (ratio, crew) = (processes / threads, stay / threads);
    println!("{name:<38} {serial:>9.3} {threads:>9.3} {processes:>9.3} {stay:>9.3}  {ratio:>17.2}  {crew:>12.2}");
    Ok(())
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}
