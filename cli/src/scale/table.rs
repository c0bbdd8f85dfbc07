//! The table for people, and the one for spreadsheets.

use std::fmt::Write as _;
use std::time::Duration;

use crate::scaling::{Basis, Estimate, Fit};

use super::study::{Point, Series, Study};
use crate::output;

/// A time as people read it.
pub fn time(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or("-".to_owned(), output::duration)
}

/// The interval of an estimate, with as many digits as it takes to see it.
pub fn range(estimate: Estimate) -> String {
    format!("{} to {}", digits(estimate.low), digits(estimate.high))
}

/// Three digits, or what is needed of a small number.
pub fn digits(number: f64) -> String {
    match number.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => "unbounded".to_owned(),
        size if size < 1e-3 => format!("{number:.1e}"),
        size if size < 1.0 => format!("{number:.3}"),
        size if size < 100.0 => format!("{number:.2}"),
        _ => format!("{number:.0}"),
    }
}

/// What was measured in words: strong or weak, how often, on what.
pub fn subtitle(study: &Study) -> String {
    let scaling =
        if study.weak { "weak scaling (the job grows with the workers)" } else { "strong scaling (the same job)" };
    format!("{scaling}, {} of each, {}", output::count(study.repeat as usize, "run"), output::count(study.cpus, "CPU"))
}

/// All for people.
pub fn text(study: &Study) -> String {
    let mut text = format!("{}\n{}\n", study.title, subtitle(study));
    for warning in &study.warnings {
        let _ = writeln!(text, "! {warning}");
    }
    let width = study.series.iter().map(|series| series.name.len()).max().unwrap_or(0).max(6);
    let _ = writeln!(
        text,
        "\n{:width$}  workers    median  95 % of the median     noise  outliers  speed-up (95 %)      efficiency  serial part     memory",
        "series"
    );
    for (series, point) in study.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)))
    {
        let star = if point.oversubscribed { "*" } else { " " };
        let _ = writeln!(
            text,
            "{:width$}  {:>6}{star}  {:>8}  {:<20}  {:>6.1} %  {:>8}  {:<19}  {:>8.1} %  {:>11}  {:>9}",
            series.name,
            point.workers,
            time(point.seconds.value),
            format!("{} .. {}", time(point.seconds.low), time(point.seconds.high)),
            100.0 * point.measured.noise(),
            point.measured.outliers().len(),
            format!("{:.2} ({:.2}..{:.2})", point.speedup.value, point.speedup.low, point.speedup.high),
            100.0 * point.efficiency.value,
            serial_part(point),
            output::bytes(point.peak_memory),
        );
    }
    let _ = writeln!(
        text,
        "memory: what the largest process of a run had resident, shared memory that it touched included"
    );
    if study.series.iter().flat_map(|series| &series.points).any(|point| point.serial_fraction.is_some()) {
        let _ =
            writeln!(text, "serial part: by Karp and Flatt, as if nothing else kept workers from their full speed-up");
    }
    if study.oversubscribed() {
        let _ = writeln!(text, "* more workers than the {}", output::count(study.cpus, "CPU"));
    }
    for series in study.series.iter().filter(|series| !series.fits.is_empty()) {
        let _ = writeln!(text, "\n{} (speed-up over {}):", series.name, series.reference.1);
        for sentence in sentences(series) {
            let _ = writeln!(text, "  {sentence}");
        }
    }
    text
}

/// The serial part of the job, in percent.
pub fn serial_part(point: &Point) -> String {
    point.serial_fraction.map_or("-".to_owned(), |fraction| format!("{:.1} %", 100.0 * fraction.value))
}

/// What the fits of a series say, each in a sentence or two.
pub fn sentences(series: &Series) -> Vec<String> {
    let fits = series.fits.iter().map(|(law, fit)| match fit {
        Ok(fit) => told(fit),
        Err(error) => format!("{law}: not fitted. {error}"),
    });
    let numbers: Vec<String> = series.fitted.iter().map(ToString::to_string).collect();
    let mut what = format!("Fitted to {} workers", numbers.join(", "));
    what.push_str(if series.fitted.len() < series.points.len() { ", which have a CPU each." } else { "." });
    fits.chain([series.choice.to_string(), what]).collect()
}

fn told(fit: &Fit) -> String {
    let mut text = format!("{}: ", fit.curve.law);
    let part = match fit.curve.law {
        crate::scaling::Law::Usl => "contention sigma",
        _ => "serial fraction",
    };
    let _ = write!(text, "{part} {} ({})", digits(fit.sigma.value), range(fit.sigma));
    if fit.curve.law == crate::scaling::Law::Usl {
        let _ = write!(text, ", coherency kappa {} ({})", digits(fit.kappa.value), range(fit.kappa));
        match fit.curve.peak() {
            Some(peak) => {
                let _ = write!(
                    text,
                    ", peak {:.2} times one at {} workers ({})",
                    fit.curve.speedup(peak),
                    digits(peak),
                    range(fit.peak)
                );
            }
            None => text.push_str(", no peak"),
        }
    } else if let Some(limit) = fit.curve.limit() {
        let limits = Estimate { value: limit, low: 1.0 / fit.sigma.high, high: 1.0 / fit.sigma.low };
        let _ = write!(text, ", never more than {} times one ({})", digits(limit), range(limits));
    }
    text.push_str(match fit.basis {
        Basis::Repetitions { .. } if describes(fit) => ".",
        Basis::Repetitions { .. } => ". It does not describe these times: they lie further from it than they scatter.",
        Basis::Residuals => " (intervals from deviations from the curve).",
        Basis::Nothing => " (too few runs for intervals).",
    });
    text
}

/// Whether times lie about as far from the curve as they scatter, as far as can be told.
pub fn describes(fit: &Fit) -> bool {
    !matches!(fit.basis, Basis::Repetitions { widening } if widening > 3.0)
}

/// One line for each number of workers of each series.
pub fn csv(study: &Study) -> String {
    let mut text = String::from(
        "engine,size,schedule,workers,oversubscribed,work,runs,outliers,median_seconds,median_low,median_high,mad_seconds,\
         speedup,speedup_low,speedup_high,efficiency,efficiency_low,efficiency_high,serial_fraction,peak_memory_bytes\n",
    );
    for (series, point) in study.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)))
    {
        let Point { workers, measured, seconds, speedup, efficiency, oversubscribed, size, .. } = point;
        let words = [series.setup.engine_name(), size.clone().unwrap_or_default(), series.setup.schedule.to_string()];
        let counts = [measured.seconds.len(), measured.outliers().len()].map(|count| count.to_string());
        let numbers = [seconds.value, seconds.low, seconds.high, measured.mad()]
            .into_iter()
            .chain([speedup, efficiency].into_iter().flat_map(|one| [one.value, one.low, one.high]))
            .map(|number| format!("{number:.9}"));
        let cells: Vec<String> = words
            .into_iter()
            .chain([workers.to_string(), oversubscribed.to_string(), measured.work.to_string()])
            .chain(counts)
            .chain(numbers)
            .chain([point.serial_fraction.map_or(String::new(), |fraction| format!("{:.9}", fraction.value))])
            .chain([point.peak_memory.to_string()])
            .collect();
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_digits_enough() {
        let all = [0.0, 0.000_012_3, 0.012_34, 1.234_5, 96.52, 1234.5, f64::INFINITY].map(digits);
        assert_eq!(all, ["0", "1.2e-5", "0.012", "1.23", "96.52", "1234", "unbounded"]);
    }
}
