//! What goes to stdout and stderr: JSON, tables, and on a terminal a line that says how far a job is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use parfork::Progress;
use serde_json::Value;

pub use parfork::record::units::{bytes, count, duration, runs};

use crate::failure::Failure;

/// Prints a report for programs, on one line.
pub fn print_json(report: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{report}")?)
}

/// Prints a text.
pub fn print(text: &str) -> Result<(), Failure> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// A bar on stderr, if that is a terminal; it comes up when a job takes noticeable time, and leaves no trace.
pub fn progress_bar(what: &str, quiet: bool) -> Option<Progress<'static>> {
    /// Shorter jobs are done before anybody could read it.
    const NOTICEABLE: Duration = Duration::from_millis(300);

    if quiet || !std::io::stderr().is_terminal() {
        return None;
    }
    let mut bar = Bar { what: what.to_owned(), shown: false };
    let began = Instant::now();
    Some(Box::new(move |done, all| {
        if done < all && began.elapsed() > NOTICEABLE {
            bar.show(done, all);
        }
    }))
}

/// A bar on stderr, taken away when it is dropped, however the job ends.
struct Bar {
    what: String,
    shown: bool,
}

impl Bar {
    const WIDTH: usize = 30;

    fn show(&mut self, done: usize, all: usize) {
        let (what, filled) = (&self.what, "#".repeat(Self::WIDTH * done / all));
        let _ = write!(std::io::stderr(), "\r{what} [{filled:<0$}] {done} of {all} slices\x1b[K", Self::WIDTH);
        self.shown = true;
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
