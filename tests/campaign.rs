//! The fault campaign of `examples/campaign/`, in short.
#![allow(unsafe_code)]

#[path = "../examples/campaign/answers.rs"]
mod answers;
#[path = "../examples/campaign/body.rs"]
mod body;
#[path = "../examples/campaign/deed.rs"]
mod deed;
#[path = "../examples/campaign/engine.rs"]
mod engine;
#[path = "../examples/campaign/faults.rs"]
mod faults;
#[path = "../examples/campaign/judge.rs"]
mod judge;
#[path = "../examples/campaign/offspring.rs"]
mod offspring;
#[path = "../examples/campaign/page.rs"]
mod page;
#[path = "../examples/campaign/plan.rs"]
mod plan;
#[path = "../examples/campaign/program.rs"]
mod program;
#[path = "../examples/campaign/rng.rs"]
mod rng;
#[path = "../examples/campaign/run.rs"]
mod run;
#[path = "../examples/campaign/scribble.rs"]
mod scribble;
#[path = "../examples/campaign/steps.rs"]
mod steps;
#[allow(unused_macros, unused_imports, reason = "the cases of other test programs")]
mod support;
#[path = "../examples/campaign/table.rs"]
mod table;
#[path = "../examples/campaign/trial.rs"]
mod trial;
#[path = "../examples/campaign/watch.rs"]
mod watch;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    run::play_if_told().unwrap_or_else(|| {
        let short = Trial::test("a_short_campaign_loses_nothing", || {
            let table = run::Campaign { seed: 1, trials: 0..120, minutes: None, jobs: parfork::cpus() }.run()?;
            println!("{table}");
            if table.lost() == 0 { Ok(()) } else { Err(format!("{} trials are lost", table.lost()).into()) }
        });
        libtest_mimic::run(&Arguments::from_args(), vec![short]).exit_code()
    })
}
