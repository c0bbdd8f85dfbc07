//! The same times in the forms of other programs: hyperfine's JSON, Extra-P's JSON lines, Bencher's metrics.

use serde_json::{Map, Value, json};

use super::study::{Point, Series, Study};

/// A file's name, and what is in it.
pub type Export = (&'static str, String);

/// All of them.
pub fn all(study: &Study) -> [Export; 3] {
    [
        ("hyperfine.json", format!("{:#}\n", hyperfine(study))),
        ("extra-p.jsonl", extra_p(study)),
        ("bencher.json", format!("{:#}\n", bencher(study))),
    ]
}

fn points(study: &Study) -> impl Iterator<Item = (&Series, &Point)> {
    study.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)))
}

/// What is measured by a point, in one line.
fn name(study: &Study, series: &Series, point: &Point) -> String {
    format!("{}, {}, {}", study.title, series.name, crate::output::count(point.workers, "worker"))
}

/// What `hyperfine --export-json` writes, for its scripts and what reads it. Without `user` and `system`, which are not told apart here.
fn hyperfine(study: &Study) -> Value {
    let results = points(study).map(|(series, point)| {
        let times = &point.measured.seconds;
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let squares = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
        let deviation = (times.len() > 1).then(|| (squares / (times.len() - 1) as f64).sqrt());
        let mut parameters = json!({ "workers": point.workers.to_string(), "engine": series.setup.engine_name() });
        if let Some(size) = &point.size {
            parameters["size"] = json!(size);
        }
        json!({
            "command": name(study, series, point),
            "mean": mean,
            "stddev": deviation,
            "median": point.measured.median(),
            "min": times.iter().copied().fold(f64::INFINITY, f64::min),
            "max": times.iter().copied().fold(0.0, f64::max),
            "times": times,
            "exit_codes": vec![0; times.len()],
            "parameters": parameters,
        })
    });
    json!({ "results": results.collect::<Vec<_>>() })
}

/// One line for each run, as Extra-P reads them; a series is a call path, for its parameters must be numbers.
fn extra_p(study: &Study) -> String {
    let mut text = String::new();
    for (series, point) in points(study) {
        for seconds in &point.measured.seconds {
            let line = json!({ "params": { "workers": point.workers }, "callpath": series.name, "metric": "time", "value": seconds });
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

/// Bencher's metric format: latency in nanoseconds with its interval, and the largest process's memory in bytes.
fn bencher(study: &Study) -> Value {
    let metrics = points(study).map(|(series, point)| {
        let nanoseconds = |seconds: f64| seconds * 1e9;
        let metric = json!({
            "latency": {
                "value": nanoseconds(point.seconds.value),
                "lower_value": nanoseconds(point.seconds.low),
                "upper_value": nanoseconds(point.seconds.high),
            },
            "peak-memory": { "value": point.peak_memory },
        });
        (name(study, series, point), metric)
    });
    Value::Object(metrics.collect::<Map<_, _>>())
}
