//! What does it cost to have an empty job done by workers that are there? A crew beside rayon's broadcast, and beside workers
//! forked for each job; interleaved, medians over single jobs.
//!
//! `cargo bench --bench dispatch`; method and findings in benches/README.md.

use std::thread::sleep;
use std::time::{Duration, Instant};

use parfork::{Crew, Job, Schedule, Shared, Split, Worker};

/// Times that each takes its turn.
const ROUNDS: usize = 7;

fn main() -> parfork::Result<()> {
    println!(
        "{} CPUs; us a job, median (least) of {ROUNDS} interleaved turns; each worker has a slice and says so",
        parfork::cpus()
    );
    println!("\n| job | workers | back to back | after 5 ms of idleness |");
    println!("|---|---:|---:|---:|");
    for workers in [2, 8, 32, 128, 256] {
        let line = &Shared::<u8, _>::zeros(workers)?;
        let mut times: Vec<f64> =
            (0..ROUNDS).map(|_| median(None, 1000 / workers, || said(line, workers, each_one(workers)))).collect();
        println!("| workers forked for each job | {workers} | {} | |", cell(&mut times));
    }
    // Forked before there are threads.
    let mut crews = Vec::new();
    for workers in [1, 2, 8, 32, 128, 256] {
        crews.push(Crew::start(workers)?);
    }
    let dealt = deal_many(&mut crews[1]);
    for (crew, workers) in crews.iter_mut().zip([2, 2, 8, 32, 128, 256]) {
        let coordinator_works = crew.workers() < workers;
        crew.coordinator_works(coordinator_works);
        let line = &Shared::<u8, _>::zeros(workers)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("threads");
        let (mut ours, mut rayons) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for _ in 0..ROUNDS {
            for (idle, times) in [None, Some(Duration::from_millis(5))].into_iter().zip(&mut ours) {
                times.push(median(idle, jobs(idle), || said(line, workers, each_one(workers).crew(&mut *crew))));
            }
            for (idle, times) in [None, Some(Duration::from_millis(5))].into_iter().zip(&mut rayons) {
                times.push(median(idle, jobs(idle), || {
                    assert!(pool.broadcast(|it| it.index()).into_iter().eq(0..workers))
                }));
            }
        }
        let name = if coordinator_works { "crew, the coordinator works too" } else { "crew, the coordinator waits" };
        println!("| {name} | {workers} | {} | {} |", cell(&mut ours[0]), cell(&mut ours[1]));
        println!("| rayon::broadcast | {workers} | {} | {} |", cell(&mut rayons[0]), cell(&mut rayons[1]));
    }
    println!("\n| slices, dealt one by one to a crew of 2 | us a job | ns a slice |\n|---:|---:|---:|");
    for (slices, mut times) in dealt {
        let job = cell(&mut times);
        println!("| {slices} | {job} | {:.0} |", times[ROUNDS / 2] * 1e3 / slices as f64);
    }
    Ok(())
}

/// Microseconds of jobs whose slices are empty, by how many those are.
fn deal_many(crew: &mut Crew) -> Vec<(usize, Vec<f64>)> {
    let line = &Shared::<u8, _>::zeros(1_000_000).expect("a megabyte");
    let mut deal = |slices: usize| {
        let job = each_one(2).split(Split::rows().into_pieces(slices)).schedule(Schedule::DYNAMIC).crew(&mut *crew);
        job.lend(line).run_with((), |_, (), _| ()).expect("all live");
    };
    let count = |slices: usize| (100_000 / slices).clamp(5, 2000);
    let mut times = |slices| (0..ROUNDS).map(|_| median(None, count(slices), || deal(slices))).collect();
    [2, 100, 10_000, 1_000_000].into_iter().map(|slices| (slices, times(slices))).collect()
}

/// How many jobs a median is of.
fn jobs(idle: Option<Duration>) -> usize {
    if idle.is_some() { 40 } else { 2000 }
}

/// One slice for each worker.
fn each_one(workers: usize) -> Job<'static> {
    Job::default().workers(workers).split(Split::rows().into_pieces(workers)).schedule(Schedule::Static)
}

/// A job whose slices answer which of so many workers worked on them.
fn said(line: &Shared<u8, ndarray::Ix1>, workers: usize, job: Job<'_>) {
    let said = job.lend(line).run_with((), |w: &Worker<'_>, (), _| w.rank()).expect("all live");
    assert!(said.iter().copied().eq(0..workers));
}

/// Microseconds of a job, after so much idleness: the median of so many.
fn median(idle: Option<Duration>, count: usize, mut job: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            idle.into_iter().for_each(sleep);
            let began = Instant::now();
            job();
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[count / 2]
}

fn cell(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    format!("{:.2} ({:.2})", times[times.len() / 2], times[0])
}
