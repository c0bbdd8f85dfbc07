//! What does it cost to record a job? The same job with and without, interleaved; medians.
//!
//! `cargo bench --bench record`; method and findings in benches/README.md.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ndarray::{Array3, Ix1};
use parfork::{Crew, Engine, Job, Shared, Split};
use parfork_workers::filter::{self, Border};
use parfork_workers::mandelbrot::{self, View};

/// Runs of each. They take turns, so that a noisy moment hits both alike.
const ROUNDS: usize = 101;

const WORKERS: usize = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "{WORKERS} workers, {} CPUs; medians of {ROUNDS} interleaved pairs; the ratio is the median of the pairs' own\n",
        parfork::cpus()
    );
    println!("| job | engine | slices | ms | recorded ms | wall, ratio | call, ratio | added to a slice, ns |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for (micros, slices) in [(1, 20_000), (10, 4000), (100, 400), (1000, 40)] {
        let mut cells = Shared::<u64, Ix1>::zeros(slices)?;
        let turns = turns_of(Duration::from_micros(micros));
        for engine in [Engine::Threads, Engine::Processes] {
            compare(&format!("slices of {micros} us"), engine, slices, |job| {
                let job = job.lend(&mut cells).split(Split::rows().of(1));
                Ok(job.run(|_, mut slice| slice.fill(spin(turns)))?.report().wall)
            })?;
        }
    }
    let view = View::new((-0.5, 0.0), 1.0, (2048, 2048), 256)?;
    let mut picture = Shared::zeros((2048, 2048, 3))?;
    compare("Mandelbrot set 2048x2048", Engine::Processes, 32, |job| {
        Ok(mandelbrot::run(job, &view, &mut picture)?.report().wall)
    })?;
    let photo = Shared::from_array(&Array3::from_shape_fn((4096, 4096, 3), |(y, x, c)| (y * x / 64 + c * 31) as u8))?;
    let mut result = Shared::zeros_like(&photo)?;
    compare("gaussian:3, 4096x4096 RGB", Engine::Processes, 32, |job| {
        Ok(filter::run(job, "gaussian:3".parse()?, Border::default(), &photo, &mut result)?.report().wall)
    })?;
    let mut crew = Crew::start(WORKERS)?;
    let mut cells = Shared::<u64, Ix1>::zeros(WORKERS)?;
    compare("empty, by a crew", Engine::Processes, WORKERS, |job| {
        let job = job.lend(&mut cells).crew(&mut crew);
        Ok(job.run_with((), |_, (), _| ())?.report().wall)
    })?;
    Ok(())
}

/// Times a job with and without its record, in turns.
fn compare(
    name: &str,
    engine: Engine,
    slices: usize,
    mut run: impl FnMut(Job<'static>) -> Result<Duration, Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut walls = [const { Vec::new() }; 2];
    let mut calls = [const { Vec::new() }; 2];
    for round in 0..ROUNDS + 2 {
        // Each goes first as often as the other.
        for record in [round % 2 == 0, round % 2 != 0] {
            let job = Job::default().workers(WORKERS).record(record).body_overwrites().runner(engine);
            let began = Instant::now();
            let wall = run(job)?;
            // The first pairs make what is made once.
            if round >= 2 {
                walls[usize::from(record)].push(wall.as_secs_f64());
                calls[usize::from(record)].push(began.elapsed().as_secs_f64());
            }
        }
    }
    let pairs = |times: &[Vec<f64>; 2]| median(times[1].iter().zip(&times[0]).map(|(with, without)| with / without));
    let (without, with) = (median(walls[0].iter().copied()), median(walls[1].iter().copied()));
    let added = (with - without) * WORKERS.min(parfork::cpus()) as f64 / slices as f64 * 1e9;
    let (wall, call) = (pairs(&walls), pairs(&calls));
    println!(
        "| {name} | {engine} | {slices} | {:.3} | {:.3} | {wall:.3} | {call:.3} | {added:.0} |",
        without * 1e3,
        with * 1e3
    );
    Ok(())
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Work that takes some time for each turn and touches no memory.
fn spin(turns: u64) -> u64 {
    (0..turns).fold(1, |sum: u64, turn| black_box(sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(turn)))
}

/// How many turns take so long.
fn turns_of(time: Duration) -> u64 {
    const TRIAL: u64 = 10_000_000;
    let fastest = (0..5).map(|_| {
        let began = Instant::now();
        black_box(spin(TRIAL));
        began.elapsed()
    });
    let fastest = fastest.min().unwrap_or_default();
    (TRIAL as f64 * time.as_secs_f64() / fastest.as_secs_f64()) as u64
}
