//! `--fail-if` as typed: a bound that a scaling has to keep.

use std::fmt;
use std::str::FromStr;

use parfork::Engine;

/// When to fail: `METRIC@WORKERS[/ENGINE] OP NUMBER`, as in `efficiency@2<0.9`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub metric: Metric,
    pub workers: usize,
    engine: Option<Engine>,
    less: bool,
    or_equal: bool,
    bound: f64,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    Efficiency,
    Speedup,
    Seconds,
}

impl Metric {
    /// What it is called in a rule.
    pub fn name(self) -> &'static str {
        match self {
            Self::Efficiency => "efficiency",
            Self::Speedup => "speedup",
            Self::Seconds => "seconds",
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

    /// Whether the bound is met, which is when to fail.
    pub fn holds(&self, value: f64) -> bool {
        match (self.less, value == self.bound) {
            (_, true) => self.or_equal,
            (true, _) => value < self.bound,
            (false, _) => value > self.bound,
        }
    }
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
