//! `--fail-if`: whether a study meets the bounds that are to fail, for CI.
//!
//! What decides is the interval and not the median alone: where a bound lies within it, or where there are too few runs for an interval,
//! the runs cannot tell, and that is an end of its own.

use super::rule::{Metric, Rule};
use super::study::{Point, Series, Study};
use crate::failure::Failure;
use crate::scaling::Estimate;

/// Of fewer runs the interval of a median says little.
const ENOUGH: usize = 5;

/// What the runs say of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Kept,
    Broken,
    Unclear,
}

/// Fails if one of the rules says so, or if the runs cannot tell.
pub fn judge(rules: &[Rule], study: &Study) -> Result<(), Failure> {
    let told: Vec<(Verdict, String)> = rules.iter().flat_map(|rule| tell(rule, study)).collect();
    let of = |wanted| told.iter().filter(move |(verdict, _)| *verdict == wanted).map(|(_, text)| text.as_str());
    let (broken, unclear): (Vec<&str>, Vec<&str>) = (of(Verdict::Broken).collect(), of(Verdict::Unclear).collect());
    match (broken.is_empty(), unclear.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => Err(Failure::Unclear(unclear.join("\n"))),
        (false, _) => Err(Failure::job([broken, unclear].concat().join("\n"))),
    }
}

/// Each point that a rule is about, judged.
fn tell<'a>(rule: &'a Rule, study: &'a Study) -> impl Iterator<Item = (Verdict, String)> + 'a {
    let points = study.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)));
    points.filter(|(series, point)| rule.concerns(series.engine, point.workers)).map(|(series, point)| {
        let (estimate, runs) = (estimate(rule.metric, point), point.measured.seconds.len());
        let verdict = verdict(rule, estimate, runs);
        (verdict, words(rule, series, estimate, (verdict, runs)))
    })
}

fn verdict(rule: &Rule, estimate: Estimate, runs: usize) -> Verdict {
    match (rule.holds(estimate.low), rule.holds(estimate.high)) {
        _ if runs < ENOUGH => Verdict::Unclear,
        (true, true) => Verdict::Broken,
        (false, false) => Verdict::Kept,
        _ => Verdict::Unclear,
    }
}

fn estimate(metric: Metric, point: &Point) -> Estimate {
    match metric {
        Metric::Efficiency => point.efficiency,
        Metric::Speedup => point.speedup,
        Metric::Seconds => point.seconds,
    }
}

fn words(rule: &Rule, series: &Series, estimate: Estimate, (verdict, runs): (Verdict, usize)) -> String {
    let Estimate { value, low, high } = estimate;
    let mut text = format!(
        "{} with {} is {value:.4} (95 %: {low:.4} to {high:.4}) for {}, and --fail-if has {rule}.",
        rule.metric.name(),
        crate::output::count(rule.workers, "worker"),
        series.name,
    );
    if verdict == Verdict::Unclear {
        let more = if runs < ENOUGH { ENOUGH } else { 4 * runs };
        text.push_str(&format!(
            " Not enough runs to tell: there are {runs}. Make more (--repeat {more} goes on from these), or give a bound further away."
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_within_the_interval_is_not_told() {
        let rule: Rule = "efficiency@2<0.8".parse().unwrap();
        let verdict = |value, low, high, runs| verdict(&rule, Estimate { value, low, high }, runs);
        assert_eq!(verdict(0.7, 0.65, 0.79, 10), Verdict::Broken);
        assert_eq!(verdict(0.9, 0.85, 0.95, 10), Verdict::Kept);
        assert_eq!((verdict(0.79, 0.7, 0.81, 10), verdict(0.81, 0.7, 0.9, 10)), (Verdict::Unclear, Verdict::Unclear));
        // The bound itself is not less than it is.
        assert_eq!(verdict(0.85, 0.8, 0.9, 5), Verdict::Kept);
        assert_eq!((verdict(0.7, 0.65, 0.79, 4), verdict(0.9, 0.9, 0.9, 1)), (Verdict::Unclear, Verdict::Unclear));
    }
}
