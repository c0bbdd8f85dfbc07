//! `parfork explain`: one tiny job, and how its processes share memory, step by step; or a job of steps, and who waits for whom.
//!
//! The job is run first, the first one watched; then it is told. Its numbers are those of the run.

mod act;
mod steps;
mod story;
mod words;

use std::io::{self, IsTerminal, Write};

use crate::calls::{self, Event};
use parfork::Error;

use crate::args::{Explain, Explained};
use crate::failure::Failure;
use crate::output;

/// Runs the job and tells what happened.
pub fn run(args: Explain) -> Result<(), Failure> {
    let waits = args.step && io::stdin().is_terminal() && io::stdout().is_terminal();
    let steps = match args.what {
        Explained::Job => {
            let (facts, events, unwatched) = perform()?;
            story::tell(&facts, &events, unwatched.as_deref())
        }
        Explained::Steps => steps::tell()?,
    };
    let last = steps.len().saturating_sub(1);
    for (at, step) in steps.iter().enumerate() {
        output::print(step)?;
        if waits && at < last {
            output::print("[Enter: go on]")?;
            io::stdout().flush()?;
            if io::stdin().read_line(&mut String::new())? == 0 {
                return output::print("\n");
            }
        }
    }
    Ok(())
}

/// Runs the job where it is watched, or else here; what it says of itself, what was seen of it, and why nothing was.
fn perform() -> Result<(act::Facts, Vec<Event>, Option<String>), Failure> {
    let watched = calls::record(|| {
        let told = match act::play(&calls::mark) {
            Ok(facts) => facts.to_text(),
            Err(error) => format!("{}{error}", act::FAILED),
        };
        calls::mark(&told);
    });
    let events = match watched {
        Ok(events) => events,
        // Not allowed, or already watched by somebody else.
        Err(error) => {
            let reason = match error {
                Error::System { doing, source } => format!("the system refused to {doing}: {source}."),
                other => other.to_string(),
            };
            return Ok((act::play(&|_| ())?, Vec::new(), Some(reason)));
        }
    };
    let last =
        events.iter().rev().find_map(|event| if let Event::Mark { text, .. } = event { Some(text) } else { None });
    match last.map(|text| act::Facts::of_text(text)) {
        Some(Ok(facts)) => Ok((facts, events, None)),
        Some(Err(failed)) => Err(Failure::job(failed)),
        None => Err(Failure::job("the job that was to be explained ended before it began. Run it again.")),
    }
}
