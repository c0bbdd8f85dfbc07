//! What goes to stdout and stderr: JSON, tables, and on a terminal a line that says how far a job is.

use std::io::Write;
use std::time::{Duration, Instant};

use parfork::Progress;
use serde_json::Value;

pub use parfork::record::units::{bytes, count, duration, runs};

use crate::failure::Failure;
use crate::screen;

/// Prints a report for programs, on one line.
pub fn print_json(report: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    Ok(writeln!(out, "{report}")?)
}

/// Prints a text.
pub fn print(text: &str) -> Result<(), Failure> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// A bar on stderr, if that is a terminal where it can be taken away; it comes up when a job takes noticeable time, and leaves no trace.
pub fn progress_bar(what: &str, quiet: bool) -> Option<Progress<'static>> {
    /// Shorter jobs are done before anybody could read it.
    const NOTICEABLE: Duration = Duration::from_millis(300);

    if quiet || !screen::can_erase() {
        return None;
    }
    let mut bar = Bar::new(what);
    let began = Instant::now();
    Some(Box::new(move |done, all| {
        if done < all && began.elapsed() > NOTICEABLE {
            bar.show(done, all, "slices");
        }
    }))
}

/// A bar on stderr, taken away when it is dropped, however the job ends.
pub struct Bar {
    what: String,
    shown: bool,
}

impl Bar {
    const WIDTH: usize = 30;

    /// One that is not there yet.
    pub fn new(what: &str) -> Self {
        Self { what: what.to_owned(), shown: false }
    }

    /// Shows how many are done, and of what.
    pub fn show(&mut self, done: usize, all: usize, of: &str) {
        let (what, filled) = (&self.what, "#".repeat(Self::WIDTH * done / all.max(1)));
        let _ = write!(std::io::stderr(), "\r{what} [{filled:<0$}] {done} of {all} {of}\x1b[K", Self::WIDTH);
        self.shown = true;
    }

    /// Takes it away, for a line to stand there.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}
