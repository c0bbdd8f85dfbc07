//! What is left in the folder.

use std::io::Write;
use std::path::Path;

use crate::scaling::{Basis, Estimate, Fit};
use parfork::formats::AtomicFile;
use serde_json::{Value, json};

use super::study::{Point, Series, Study};
use super::{exports, page, plots, table};
use crate::failure::Failure;

/// The version of the form of scaling.json.
pub const SCHEMA: u64 = 1;

/// Writes it all.
pub fn write(study: &Study, folder: &Path) -> Result<(), Failure> {
    let plots = plots::all(study);
    for plot in &plots {
        save(folder, &format!("{}.svg", plot.name), plot.canvas.svg_file().as_bytes())?;
    }
    save(folder, "table.txt", table::text(study).as_bytes())?;
    save(folder, "scaling.csv", table::csv(study).as_bytes())?;
    save(folder, "scaling.json", format!("{:#}\n", to_json(study)).as_bytes())?;
    for (name, text) in exports::all(study) {
        save(folder, name, text.as_bytes())?;
    }
    save(folder, "index.html", page::html(study, &plots).as_bytes())
}

fn save(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Failure> {
    let mut target_file = AtomicFile::at(folder.join(name)).map_err(Failure::job)?;
    target_file.write_all(bytes).map_err(|error| Failure::job(target_file.failed(&error)))?;
    target_file.commit().map_err(Failure::job)
}

/// As docs/scaling.md tells.
fn to_json(study: &Study) -> Value {
    json!({
        "schema": SCHEMA,
        "command": "scale",
        "runs_of": study.identity,
        "title": study.title,
        "scaling": if study.weak { "weak" } else { "strong" },
        "cpus": study.cpus,
        "repeat": study.repeat,
        "others_cpus": study.others_cpus,
        "seed": study.seed,
        "warnings": study.warnings,
        "series": study.series.iter().map(series).collect::<Vec<_>>(),
    })
}

fn series(series: &Series) -> Value {
    let fits = series.fits.iter().map(|(law, fit)| match fit {
        Ok(fit) => fitted(fit),
        Err(error) => json!({ "law": law.to_string(), "error": error.to_string() }),
    });
    let weights = series.choice.weights.iter().map(|(law, weight)| json!({ "law": law.to_string(), "weight": weight }));
    let mut json = series.setup.to_json();
    json["workers"] = Value::Null;
    json["name"] = json!(series.name);
    json["speedup_over"] = json!({ "who": series.reference.1, "median_seconds": series.reference.0.median() });
    json["points"] = series.points.iter().map(point).collect();
    json["fitted_workers"] = json!(series.fitted);
    json["fits"] = fits.collect();
    json["weights"] = weights.collect();
    json["clear"] = json!(series.choice.clear().map(|law| law.to_string()));
    json["verdict"] = json!(series.choice.to_string());
    json
}

fn point(point: &Point) -> Value {
    json!({
        "workers": point.workers,
        "oversubscribed": point.oversubscribed,
        "size": point.size,
        "work": point.measured.work,
        "run_seconds": point.measured.seconds,
        "outliers": point.measured.outliers(),
        "mad_seconds": point.measured.mad(),
        "noise": point.measured.noise(),
        "seconds": estimate(point.seconds),
        "speedup": estimate(point.speedup),
        "efficiency": estimate(point.efficiency),
        "serial_fraction": point.serial_fraction.map(estimate),
        "peak_memory_bytes": point.peak_memory,
        "middle_run": { "seconds": point.middle.0, "lost_seconds": point.middle.1.to_json() },
    })
}

fn fitted(fit: &Fit) -> Value {
    let (basis, widening) = match fit.basis {
        Basis::Repetitions { widening } => ("repetitions", Some(widening)),
        Basis::Residuals => ("residuals", None),
        Basis::Nothing => ("nothing", None),
    };
    json!({
        "law": fit.curve.law.to_string(),
        "lambda": estimate(fit.lambda),
        "sigma": estimate(fit.sigma),
        "kappa": estimate(fit.kappa),
        "peak_workers": estimate(fit.peak),
        "intervals_from": basis,
        "widening": widening,
        "degrees_of_freedom": fit.free,
        "residual_error": fit.residual.map(|(error, _)| error),
    })
}

/// JSON has no infinity: it is null.
fn estimate(Estimate { value, low, high }: Estimate) -> Value {
    json!({ "value": value, "low": low, "high": high })
}
