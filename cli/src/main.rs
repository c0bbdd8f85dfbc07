//! The command `parfork`: a table of contents.

mod args;
mod calls;
mod columns;
mod cpu_time;
mod demo;
mod drawing;
mod exec;
mod explain;
mod failure;
mod files;
mod job;
mod kernel;
mod output;
mod plan;
mod quantity;
mod record;
mod replay;
#[cfg(test)]
#[path = "../../tests/support/sampled.rs"]
mod sampled;
mod scale;
mod scaling;
mod screen;
mod shell;
mod shm;
mod top;
mod version;
mod views;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser;
use failure::Failure;
use parfork::CancelToken;
use parfork_workers::picture;
use parfork_workers::simd::Level;

fn main() -> ExitCode {
    picture::serve_decoder();
    if let Some(text) = version::verbose(std::env::args_os()) {
        return output::print(&text).map_or_else(Failure::tell, |()| ExitCode::SUCCESS);
    }
    let measure = scale::measure::order(std::env::args_os()).map(|order| Command::Measure { order });
    let command = measure.unwrap_or_else(|| Cli::parse().command);
    // From here on Ctrl-C ends jobs first and then the command.
    let level = Level::current().map_err(|error| Failure::usage(error.to_string()));
    let done = level.and_then(|_| CancelToken::at_signals().map_err(Failure::from)).and_then(|_| run(command));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Kernel(typed) => kernel::run(&typed),
        Command::Exec(args) => exec::run(*args),
        Command::Plan(args) => plan::run(args),
        Command::Scale(args) => scale::run(*args),
        Command::Measure { order } => scale::measure::run(&order),
        Command::Top(args) => top::run(args),
        Command::Shm(args) => shm::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man => shell::man(),
    }
}
