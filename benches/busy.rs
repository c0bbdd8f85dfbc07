//! What does an empty job cost while other programs want the CPUs? A crew beside rayon's broadcast and, if PYTHON names an interpreter,
//! beside multiprocessing's Pool; interleaved turns.
//!
//! `cargo bench --bench busy`, `benches/peers/run busy`; method and findings in benches/README.md.

use std::process::{Child, Command};
use std::time::Instant;

use parfork::{Crew, Job, Schedule, Shared, Split, Worker};

/// Times that each takes its turn.
const ROUNDS: usize = 7;

/// Jobs of a turn.
const JOBS: usize = 200;

fn main() -> parfork::Result<()> {
    println!(
        "{} CPUs; us an empty job, median (least) of {ROUNDS} interleaved turns of {JOBS} jobs\n",
        parfork::cpus()
    );
    println!("| busy loops beside | workers | crew | rayon::broadcast | Pool.map | crew/rayon | crew/Pool |");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    // Forked before there are threads.
    let crews = [2, 8, 32].map(|workers| (workers, Crew::start(workers)));
    for (workers, crew) in crews {
        let mut crew = crew?;
        let line = &Shared::<u8, _>::zeros(workers)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("threads");
        for beside in [0, 2, 4] {
            let _loops: Vec<Busy> = (0..beside).map(|_| Busy::start()).collect();
            let mut times = [const { Vec::new() }; 3];
            for _ in 0..ROUNDS {
                let [ours, rayons, pools] = &mut times;
                ours.push(mean(|| {
                    let job = Job::default().workers(workers).split(Split::rows().into_pieces(workers));
                    let job = job.schedule(Schedule::Static).crew(&mut crew);
                    let said = job.lend(line).run_with((), |w: &Worker<'_>, (), _| w.rank()).expect("all live");
                    assert!(said.iter().copied().eq(0..workers));
                }));
                rayons.push(mean(|| assert!(pool.broadcast(|it| it.index()).into_iter().eq(0..workers))));
                pools.extend(pool_of_python(workers));
            }
            let cells = times.each_mut().map(|times| cell(times));
            let [ours, rayons, pools] = times.map(|times| times.get(times.len() / 2).copied());
            let ratio = |other: Option<f64>| ours.zip(other).map_or(String::new(), |(a, b)| format!("{:.2}", a / b));
            let [crew, rayon, pool] = cells;
            println!("| {beside} | {workers} | {crew} | {rayon} | {pool} | {} | {} |", ratio(rayons), ratio(pools));
        }
    }
    Ok(())
}

/// A program that computes until it is dropped.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        Self(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell"))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Microseconds of an empty `Pool.map` over as many items as workers, if there is a Python.
fn pool_of_python(workers: usize) -> Option<f64> {
    let python = std::env::var_os("PYTHON")?;
    let args = ["benches/peers/busy.py".to_owned(), workers.to_string(), JOBS.to_string()];
    let output = Command::new(python).args(args).output().expect("Python starts");
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// Microseconds of a job: the mean of a turn's, which one that lost a time slice moves as it should.
fn mean(mut job: impl FnMut()) -> f64 {
    let began = Instant::now();
    (0..JOBS).for_each(|_| job());
    began.elapsed().as_secs_f64() * 1e6 / JOBS as f64
}

fn cell(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).map_or(String::new(), |median| format!("{median:.1} ({:.1})", times[0]))
}
