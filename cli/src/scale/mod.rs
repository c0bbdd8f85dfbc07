//! `parfork scale`: how a job's speed changes with the number of workers.
//!
//! A plan of runs, made one after the other in processes of their own and kept as they come; then what they say, as tables,
//! numbers, plots and a page.

pub mod args;
mod compare;
mod draw;
mod exports;
mod files;
mod gate;
mod job;
mod lost;
pub mod measure;
mod open;
mod page;
mod plan;
mod plots;
mod rule;
mod runner;
mod runs;
mod study;
mod table;

use crate::failure::Failure;
use crate::output;

use args::Scale;
use plan::Plan;
use runs::Runs;
use study::Study;

/// Runs what is missing, and tells of all.
pub fn run(args: Scale) -> Result<(), Failure> {
    let plan = Plan::of(args)?;
    let older = plan.flags.compare.as_deref().map(|path| compare::EarlierScaling::read(path, &plan)).transpose()?;
    let most = plan.setups.iter().map(|setup| setup.workers).max().unwrap_or(1);
    if let Some(warning) = study::oversubscription(most, plan.flags.fit_oversubscribed) {
        eprintln!("parfork: warning: {warning}");
    }
    let mut runs = Runs::open(&plan)?;
    runner::run(&plan, &mut runs)?;
    let study = Study::of(&plan, &runs);
    files::write(&study, &plan.flags.output)?;
    if !plan.flags.quiet {
        output::print(&table::text(&study))?;
        eprintln!("written to {}: open index.html there", plan.flags.output.display());
    }
    if let Some(older) = older {
        output::print(&older.compared(&study))?;
    }
    gate::judge(&plan.flags.fail_if, &study)
}
