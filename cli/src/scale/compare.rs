//! `--compare OLD.json`: how times compare with those of before.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::scaling::{Measured, Rng};
use serde_json::Value;

use super::files::SCHEMA;
use super::plan::{Plan, Setup};
use super::study::Study;
use super::table::time;
use crate::failure::Failure;

/// An older scaling.json.
pub struct EarlierScaling {
    name: String,
    machine: Value,
    points: Vec<(Setup, Measured)>,
}

impl EarlierScaling {
    /// Reads it, and makes sure that it is of the same job.
    pub fn read(path: &Path, plan: &Plan) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::input(format!("{name} cannot be read ({error}). Give the scaling.json of an older run."))
        })?;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        let points = Self::points(&json).filter(|_| json["schema"].as_u64() == Some(SCHEMA)).ok_or_else(|| {
            Failure::input(format!(
                "{name} is not a scaling.json of schema {SCHEMA}. Give one that `parfork scale` wrote."
            ))
        })?;
        let of = &json["runs_of"];
        // Which files lie under the names of inputs may have changed: they are given anew.
        let job = |identity: &Value| {
            let mut job = identity["job"].clone();
            job["files"] = Value::Null;
            (job, identity["scaling"].clone())
        };
        if job(of) != job(&plan.identity) {
            return Err(Failure::input(format!(
                "{name} is of another job, and their times do not compare: there {} ({}), here {} ({}).",
                of["job"], of["scaling"], plan.identity["job"], plan.identity["scaling"]
            )));
        }
        Ok(Self { name, machine: of["machine"].clone(), points })
    }

    fn points(json: &Value) -> Option<Vec<(Setup, Measured)>> {
        let mut points = Vec::new();
        for series in json["series"].as_array()? {
            for point in series["points"].as_array()? {
                let mut setup = series.clone();
                setup["workers"] = point["workers"].clone();
                let setup = Setup::of_json(&setup)?;
                let seconds = point["run_seconds"].as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
                let measured = Measured::new(setup.workers, seconds);
                points.push((setup, measured.is_sound().then_some(measured)?));
            }
        }
        Some(points)
    }

    /// The table of ratios.
    pub fn compared(&self, study: &Study) -> String {
        let mut text = format!("\ncompared with {}: new / old\n", self.name);
        let here = &study.identity["machine"];
        if self.machine != *here {
            let _ = writeln!(text, "! another machine: there {}, here {here}", self.machine);
        }
        let width = study.series.iter().map(|series| series.name.len()).max().unwrap_or(0).max(6);
        let _ = writeln!(text, "{:width$}  workers       old       new  ratio (95 %)", "series");
        let mut rng = Rng::seeded(study.seed);
        let mut rows = 0;
        for (series, point) in
            study.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)))
        {
            let setup = Setup { workers: point.workers, ..series.setup.clone() };
            let Some((_, old)) = self.points.iter().find(|(older, _)| *older == setup) else { continue };
            let ratio = point.measured.ratio(old, &mut rng, 2000);
            let verdict = match ratio {
                ratio if ratio.low > 1.0 => "slower",
                ratio if ratio.high < 1.0 => "faster",
                _ => "no difference that these runs can tell",
            };
            let _ = writeln!(
                text,
                "{:width$}  {:>7}  {:>8}  {:>8}  {:.3} ({:.3} to {:.3}) {verdict}",
                series.name,
                point.workers,
                time(old.median()),
                time(point.seconds.value),
                ratio.value,
                ratio.low,
                ratio.high
            );
            rows += 1;
        }
        if rows == 0 {
            text.push_str("nothing in common: no engine, size, schedule and number of workers is in both\n");
        }
        text
    }
}
