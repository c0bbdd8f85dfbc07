//! `--fail-if`: whether a study meets the bounds that are to fail, for CI.

use super::rule::{Metric, Rule};
use super::study::{Point, Series, Study};
use crate::failure::Failure;
use crate::scaling::Estimate;

/// Fails if one of the rules says so.
pub fn judge(rules: &[Rule], study: &Study) -> Result<(), Failure> {
    let broken: Vec<String> = rules.iter().flat_map(|rule| broken(rule, study)).collect();
    if broken.is_empty() { Ok(()) } else { Err(Failure::job(broken.join("\n"))) }
}

/// What is so that should not be.
fn broken<'a>(rule: &'a Rule, study: &'a Study) -> impl Iterator<Item = String> + 'a {
    let points = study.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)));
    points.filter(|(series, point)| rule.concerns(series.engine, point.workers)).filter_map(|(series, point)| {
        let estimate = estimate(rule.metric, point);
        rule.holds(estimate.value).then(|| tell(rule, series, estimate))
    })
}

fn estimate(metric: Metric, point: &Point) -> Estimate {
    match metric {
        Metric::Efficiency => point.efficiency,
        Metric::Speedup => point.speedup,
        Metric::Seconds => point.seconds,
    }
}

fn tell(rule: &Rule, series: &Series, Estimate { value, low, high }: Estimate) -> String {
    format!(
        "{} with {} is {value:.4} (95 %: {low:.4} to {high:.4}) for {}, and --fail-if has {rule}.",
        rule.metric.name(),
        crate::output::count(rule.workers, "worker"),
        series.name,
    )
}
