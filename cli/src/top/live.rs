//! The live view on a terminal: looks, draws, heeds keys.

use std::time::{Duration, Instant};

use parfork::watch::{self, WatchedJob};

use super::view::{Act, View};
use crate::failure::Failure;
use crate::screen::{self, Screen};

/// How often to look.
const ROUND: Duration = Duration::from_millis(500);

/// Until somebody has seen enough.
pub fn run() -> Result<(), Failure> {
    let mut view = View::new(screen::has_colours());
    view.see(watch::list()?);
    let mut screen = Screen::open()?;
    let mut seen = Instant::now();
    loop {
        screen.draw(|width, height| view.lines(width, height))?;
        let mut look_again = false;
        for key in screen.keys(ROUND.saturating_sub(seen.elapsed()))? {
            match view.press(key) {
                Act::Nothing => {}
                Act::Leave => return Ok(()),
                Act::Kill { job, rank, pid } => {
                    let is_same =
                        |job: &&WatchedJob| job.workers.get(rank).is_some_and(|worker| worker.pid == Some(pid));
                    let told = match view.job(job).filter(is_same).map(|job| job.kill(rank)) {
                        Some(Ok(())) => format!("worker {rank} (pid {pid}) was killed"),
                        Some(Err(error)) => error.to_string(),
                        None => format!("worker {rank} (pid {pid}) was gone already"),
                    };
                    view.say(told);
                }
            }
            look_again = true;
        }
        if look_again || seen.elapsed() >= ROUND {
            view.see(watch::list()?);
            seen = Instant::now();
        }
    }
}
