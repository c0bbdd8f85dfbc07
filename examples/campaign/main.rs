//! The fault campaign: thousands of random jobs, to each of which something happens. Each ends with the right result or the
//! right error, and leaves nothing behind; or its seed is told.
//!
//! `cargo run --release --example campaign -- --runs 10000 [--seed S] [--jobs J]`, `--minutes M` instead of a number, and
//! `--seed S --only N` for one again.
//!
//! | file | |
//! |---|---|
//! | `plan.rs`  | a trial as chance has it: which job, which faults, where and when |
//! | `engine.rs` | who works |
//! | `faults.rs` | what befalls it |
//! | `deed.rs`  | what can befall a process, and how it must be told |
//! | `scribble.rs`, `offspring.rs` | the longer of these: writes over the control page; processes that a body starts |
//! | `answers.rs` | how answers come, and what slices hand on to the next |
//! | `body.rs`, `steps.rs`, `program.rs` | what is done with a slice, once, step by step, or by a program |
//! | `trial.rs` | the coordinator of one trial, a process of its own: runs the job, looks at what it left |
//! | `judge.rs` | whether it ended as it should have |
//! | `page.rs`  | what really happened, in memory that all of them share |
//! | `watch.rs` | the harness's side of a trial: signals from outside, watchdog, who is left |
//! | `run.rs`, `table.rs` | many trials, and their sum |
#![allow(unsafe_code)]

mod answers;
mod body;
mod deed;
mod engine;
mod faults;
mod judge;
mod offspring;
mod page;
mod plan;
mod program;
mod rng;
mod run;
mod scribble;
mod steps;
#[allow(unused_macros, unused_imports, reason = "the cases of other test programs")]
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;
mod trial;
mod watch;

use std::process::ExitCode;

use run::Campaign;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    if let Some(code) = run::play_if_told() {
        return Ok(code);
    }
    let campaign = read(std::env::args().skip(1))?;
    let Campaign { seed, trials, minutes, jobs } = &campaign;
    match minutes {
        Some(minutes) => eprintln!("seed {seed}, {minutes} minutes, {jobs} at a time"),
        None => eprintln!("seed {seed}, trials {trials:?}, {jobs} at a time"),
    }
    let table = campaign.run()?;
    println!("{table}");
    Ok(if table.lost() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The command line.
fn read(mut words: impl Iterator<Item = String>) -> Result<Campaign, Box<dyn std::error::Error>> {
    let mut campaign = Campaign { seed: 1, trials: 0..1000, minutes: None, jobs: parfork::cpus() };
    while let Some(word) = words.next() {
        let number: u64 = words.next().ok_or(format!("{word} needs a number"))?.parse()?;
        match word.as_str() {
            "--runs" => campaign.trials = 0..number,
            "--minutes" => (campaign.trials, campaign.minutes) = (0..u64::MAX, Some(number)),
            "--seed" => campaign.seed = number,
            "--jobs" => campaign.jobs = number as usize,
            "--only" => campaign.trials = number..number + 1,
            _ => return Err(format!("{word}? There are --runs, --minutes, --seed, --jobs and --only.").into()),
        }
    }
    Ok(campaign)
}
