//! What does memory cost that workers are the first to use, and how much of it do processes share? A fresh array of 1 GiB filled
//! by two workers, in the ways there are, interleaved; an empty job on much memory; the memory of all processes together.
//!
//! `cargo bench --bench memory`; method and findings in benches/README.md.
#![allow(unsafe_code)]

use std::time::Instant;

use ndarray::Ix1;
use parfork::named::Named;
use parfork::{Crew, Job, Schedule, Shared, Split};

const GIB: usize = 1 << 30;

/// Runs of each way.
const ROUNDS: usize = 7;

fn main() -> parfork::Result<()> {
    let mut crew = Crew::start(2)?;
    println!("{} CPUs; median (min..max) of {ROUNDS} interleaved runs\n", parfork::cpus());
    fill_a_fresh_gibibyte(&mut crew)?;
    lend_much()?;
    count_memory()
}

/// Seconds of one run, what comes before and after left out.
type Way<'w> = (&'static str, Box<dyn FnMut() -> parfork::Result<f64> + 'w>);

fn timed(run: impl FnOnce() -> parfork::Result<()>) -> parfork::Result<f64> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed().as_secs_f64())
}

fn fill_a_fresh_gibibyte(crew: &mut Crew) -> parfork::Result<()> {
    let crew = std::cell::RefCell::new(crew);
    let fill = |array: &mut Shared<u8, Ix1>| {
        let job = Job::new(array).split(Split::rows().into_pieces(2)).schedule(Schedule::Static);
        job.crew(&mut crew.borrow_mut()).run_with((), |_, (), mut slice| slice.fill(1)).map(drop)
    };
    // With memory kept from one that was dropped.
    let kept = |make: fn(usize) -> parfork::Result<Shared<u8, Ix1>>| {
        parfork::set_segment_cache(GIB as u64);
        drop(Shared::<u8, _>::zeros(GIB)?);
        let taken = timed(|| fill(&mut make(GIB)?));
        parfork::set_segment_cache(0);
        taken
    };
    let name = format!("bench-{}", std::process::id());
    let named = || {
        let mut segment = Named::<u8, _>::create(&name).zeros(GIB)?;
        let mut held = segment.write()?;
        let job = Job::new(&mut held).split(Split::rows().into_pieces(2)).schedule(Schedule::Static);
        job.crew(&mut crew.borrow_mut()).run_with((), |_, (), mut slice| slice.fill(1))?;
        held.publish().map(drop)
    };
    let mut ways: Vec<Way<'_>> = vec![
        ("a fresh array, a crew fills it", Box::new(|| timed(|| fill(&mut Shared::zeros(GIB)?)))),
        ("memory kept from the last one, cleared first", Box::new(|| kept(Shared::zeros))),
        ("memory kept from the last one, as it is", Box::new(|| kept(Shared::empty))),
        ("a fresh named segment, a crew fills it", Box::new(|| timed(named))),
        ("a plain memfd, two forks fill it", Box::new(|| timed(|| plain(2, libc::MAP_SHARED)))),
        ("a plain memfd, one process fills it", Box::new(|| timed(|| plain(1, libc::MAP_SHARED)))),
        ("private memory, two threads fill it", Box::new(|| timed(two_threads))),
    ];
    let mut times = vec![Vec::new(); ways.len()];
    // Each is first as often as the next: what one leaves of memory is what the next finds.
    for round in 0..ROUNDS {
        for turn in 0..ways.len() {
            let at = (round + turn) % ways.len();
            times[at].push(ways[at].1()? * 1e3);
        }
    }
    println!("| first use of 1 GiB | ms |\n|---|---:|");
    for ((name, _), times) in ways.iter().zip(&mut times) {
        println!("| {name} | {} |", cell(times));
    }
    Ok(())
}

/// Without this crate: a memfd in pages of 4 KiB, filled by forks of this process.
fn plain(processes: usize, sharing: i32) -> parfork::Result<()> {
    // SAFETY: a name, and a descriptor that is closed below.
    let fd = unsafe { libc::memfd_create(c"bench".as_ptr(), libc::MFD_CLOEXEC) };
    // SAFETY: the descriptor made above.
    assert_eq!(unsafe { libc::ftruncate(fd, GIB as i64) }, 0);
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: new memory at an address of the kernel's choice.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), GIB, access, sharing, fd, 0) }.cast::<u8>();
    let part = GIB / processes;
    let children: Vec<_> = (0..processes)
        .map(|rank| {
            // SAFETY: the child writes to its part and leaves.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: mapped above.
                let start = unsafe { base.add(rank * part) };
                // SAFETY: as above.
                unsafe { start.write_bytes(1, part) };
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(0) };
            }
            child
        })
        .collect();
    for child in children {
        // SAFETY: a child of this process.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    }
    // SAFETY: mapped above and not used again.
    unsafe { libc::munmap(base.cast(), GIB) };
    // SAFETY: opened above.
    unsafe { libc::close(fd) };
    Ok(())
}

fn two_threads() -> parfork::Result<()> {
    let mut bytes: Vec<u8> = Vec::with_capacity(GIB);
    let (one, two) = bytes.spare_capacity_mut()[..GIB].split_at_mut(GIB / 2);
    std::thread::scope(|threads| {
        for half in [one, two] {
            threads.spawn(|| {
                half.fill(std::mem::MaybeUninit::new(1));
            });
        }
    });
    std::hint::black_box(&bytes);
    Ok(())
}

fn lend_much() -> parfork::Result<()> {
    println!("\n| empty job of two forked workers | us |\n|---|---:|");
    let arrays = [1, GIB, 8 * GIB].map(Shared::<u8, _>::zeros);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..201 {
        for (array, times) in arrays.iter().zip(&mut times) {
            let Ok(array) = array else { continue };
            let job = Job::new(array).workers(2).split(Split::rows().into_pieces(2)).schedule(Schedule::Static);
            let began = Instant::now();
            job.run(|_, _| ())?;
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    for (name, mut times) in ["one byte lent", "1 GiB lent", "8 GiB lent"].into_iter().zip(times) {
        match times.is_empty() {
            true => println!("| {name} | no memory for it |"),
            false => println!("| {name} | {} |", cell(&mut times)),
        }
    }
    Ok(())
}

/// The proportional memory of workers and coordinator, when all workers have read all of 1 GiB.
fn count_memory() -> parfork::Result<()> {
    println!(
        "\n| workers that each read all of 1 GiB | memory of all processes beyond it, MiB | a worker |\n|---:|---:|---:|"
    );
    let data = Shared::<u8, _>::zeros(GIB)?;
    let pss = || {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1024.0
    };
    for workers in [2, 32] {
        let job = Job::new(&data).workers(workers).split(Split::rows().into_pieces(workers)).schedule(Schedule::Static);
        let said = job.run(|w, data| {
            let sum: u64 = data.iter().step_by(4096).map(|&byte| u64::from(byte)).sum();
            std::hint::black_box(sum);
            // All have read, and all are there.
            w.barrier()?;
            let pss = pss();
            w.barrier()?;
            Ok::<f64, parfork::Error>(pss)
        })?;
        let all = said.iter().sum::<f64>() + (pss() - 1024.0).max(0.0);
        // The coordinator has its share of the data as well: 1 of workers + 1.
        let share = 1024.0 * workers as f64 / (workers + 1) as f64;
        println!("| {workers} | {:.1} | {:.2} |", all - share, (said.iter().sum::<f64>() - share) / workers as f64);
    }
    Ok(())
}

fn cell(times: &mut [f64]) -> String {
    times.sort_by(f64::total_cmp);
    format!("{:.0} ({:.0}..{:.0})", times[times.len() / 2], times[0], times[times.len() - 1])
}
