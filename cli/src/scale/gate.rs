//! `--fail-if`: a bound that a scaling has to keep, for CI.

use std::fmt;
use std::str::FromStr;

use crate::scaling::Estimate;
use parfork::Engine;

use super::study::{Point, Series, Study};
use crate::failure::Failure;

/// When to fail: `METRIC@WORKERS[/ENGINE] OP NUMBER`, as in `efficiency@2<0.9`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    metric: Metric,
    workers: usize,
    engine: Option<Engine>,
    less: bool,
    or_equal: bool,
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Efficiency,
    Speedup,
    Seconds,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::Efficiency => "efficiency",
            Self::Speedup => "speedup",
            Self::Seconds => "seconds",
        }
    }

    fn of(self, point: &Point) -> Estimate {
        match self {
            Self::Efficiency => point.efficiency,
            Self::Speedup => point.speedup,
            Self::Seconds => point.seconds,
        }
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a rule. Write efficiency, speedup or seconds, @ and a number of workers, perhaps / and an engine, \
                 then <, <=, > or >= and a number, as in efficiency@2<0.9 or seconds@4/threads>1.5."
            )
        };
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (left, right) = text.split_at(at);
        let (less, right) = (right.starts_with('<'), &right[1..]);
        let (or_equal, right) = right.strip_prefix('=').map_or((false, right), |right| (true, right));
        let (metric, place) = left.split_once('@').ok_or_else(wrong)?;
        let (workers, engine) =
            place.split_once('/').map_or((place, None), |(workers, engine)| (workers, Some(engine)));
        let metrics = [Metric::Efficiency, Metric::Speedup, Metric::Seconds];
        Ok(Self {
            metric: metrics.into_iter().find(|one| one.name() == metric.trim()).ok_or_else(wrong)?,
            workers: workers.trim().parse().ok().filter(|&workers| workers > 0).ok_or_else(wrong)?,
            engine: engine.map(|engine| engine.trim().parse()).transpose().map_err(|_| wrong())?,
            less,
            or_equal,
            bound: right.trim().parse().ok().filter(|bound: &f64| bound.is_finite()).ok_or_else(wrong)?,
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.metric.name(), self.workers)?;
        if let Some(engine) = self.engine {
            write!(f, "/{engine}")?;
        }
        write!(f, "{}{}{}", if self.less { '<' } else { '>' }, if self.or_equal { "=" } else { "" }, self.bound)
    }
}

impl Rule {
    /// Whether it is about runs like these.
    pub fn concerns(&self, engine: Option<Engine>, workers: usize) -> bool {
        self.workers == workers && (self.engine.is_none() || self.engine == engine)
    }

    fn holds(&self, value: f64) -> bool {
        match (self.less, value == self.bound) {
            (_, true) => self.or_equal,
            (true, _) => value < self.bound,
            (false, _) => value > self.bound,
        }
    }

    /// What is so that should not be.
    fn broken<'a>(&'a self, study: &'a Study) -> impl Iterator<Item = String> + 'a {
        let points = study.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)));
        points.filter(|(series, point)| self.concerns(series.engine, point.workers)).filter_map(|(series, point)| {
            let estimate = self.metric.of(point);
            self.holds(estimate.value).then(|| self.tell(series, estimate))
        })
    }

    fn tell(&self, series: &Series, Estimate { value, low, high }: Estimate) -> String {
        format!(
            "{} with {} is {value:.4} (95 %: {low:.4} to {high:.4}) for {}, and --fail-if has {self}.",
            self.metric.name(),
            crate::output::count(self.workers, "worker"),
            series.name,
        )
    }
}

/// Fails if one of the rules says so.
pub fn judge(rules: &[Rule], study: &Study) -> Result<(), Failure> {
    let broken: Vec<String> = rules.iter().flat_map(|rule| rule.broken(study)).collect();
    if broken.is_empty() { Ok(()) } else { Err(Failure::job(broken.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_shown() {
        for text in ["efficiency@2<0.9", "speedup@8/threads>=3.5", "seconds@1/serial>0.25"] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        assert_eq!(" efficiency @ 2 <= .9".parse::<Rule>().unwrap().to_string(), "efficiency@2<=0.9");
        for text in [
            "",
            "efficiency",
            "efficiency@2",
            "efficiency<0.9",
            "speed@2<1",
            "speedup@0<1",
            "speedup@2<",
            "speedup@2<nan",
            "speedup@2/gpu<1",
            "speedup@2=1",
        ] {
            assert!(text.parse::<Rule>().unwrap_err().contains("as in efficiency@2<0.9"), "{text}");
        }
    }

    #[test]
    fn bounds_are_kept_to_the_letter() {
        let holds = |rule: &str, value: f64| rule.parse::<Rule>().unwrap().holds(value);
        assert!(holds("speedup@2<1.5", 1.4) && !holds("speedup@2<1.5", 1.5) && holds("speedup@2<=1.5", 1.5));
        assert!(holds("speedup@2>1.5", 1.6) && !holds("speedup@2>1.5", 1.5) && !holds("speedup@2>=1.5", 1.4));
    }
}
