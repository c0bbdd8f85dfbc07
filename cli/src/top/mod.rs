//! `parfork top`: the jobs that run on this machine, and who works on what.

mod json;
mod live;
mod table;
#[cfg(test)]
mod tests;
mod view;

use parfork::watch;

use crate::args::Top;
use crate::failure::Failure;
use crate::{output, screen};

/// Shows what runs: once, or until somebody has seen enough.
pub fn run(args: Top) -> Result<(), Failure> {
    if !args.once {
        if !screen::is_there() {
            let what = "there is no terminal that jobs can be shown on. Print what runs now with --once, for programs with --once --json.";
            return Err(Failure::usage(what));
        }
        return live::run();
    }
    let list = watch::list()?;
    match args.json {
        true => output::print_json(&json::of(&list)),
        false => output::print(&table::all(&list)),
    }
}
