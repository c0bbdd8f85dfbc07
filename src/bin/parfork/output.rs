//! What goes to stdout and stderr: JSON, tables, and on a terminal a line that says how far a job is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use parfork::Progress;
use serde_json::Value;

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

/// A count and its noun: `1 slice`, `2 slices`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = match noun {
        _ if number == 1 => "",
        noun if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {noun}{plural}")
}

/// A time in a unit that suits it, with three digits.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let decimals = (2 - value.max(1.0).log10().floor() as i32).max(0) as usize;
    format!("{value:.decimals$} {unit}")
}

/// A number of bytes in a binary unit that suits it.
pub fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (bytes.max(1).ilog2() / 10).min(4);
    let value = bytes as f64 / f64::from(power * 10).exp2();
    if power == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[power as usize]) }
}

/// Ascending numbers as runs: `0-3,7`.
pub fn runs(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let text: Vec<String> = runs
        .map(|run| if let [one] = run { one.to_string() } else { format!("{}-{}", run[0], run[run.len() - 1]) })
        .collect();
    text.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            (count(1, "process"), count(2, "process"), count(0, "slice")),
            ("1 process".into(), "2 processes".into(), "0 slices".into())
        );
        assert_eq!(runs(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(runs(&[]), "");
        assert_eq!(duration(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(duration(Duration::from_secs(123)), "123 s");
        assert_eq!(duration(Duration::from_nanos(1500)), "1.50 us");
        assert_eq!((bytes(512).as_str(), bytes(1536).as_str()), ("512 B", "1.5 KiB"));
    }
}
