//! Where the time of a run goes that is no work.

use parfork::Report;
use serde_json::{Map, Value, json};

/// Seconds of a run's wall time that were lost, by cause. What is 0 was not lost, or cannot be told and is in `rest`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lost {
    /// From the beginning until the workers work: births, mappings.
    pub start_up: f64,
    /// Waiting for pages to be made or mapped.
    pub page_faults: f64,
    /// Workers that are done wait for the one that is not: the longest time in bodies less the mean.
    pub imbalance: f64,
    /// Waiting at meetings within the job.
    pub barrier: f64,
    /// The coordinator at work alone.
    pub serial: f64,
    /// Bodies took longer, taken together, than those of the run that speed-up is over: for want of memory bandwidth, cache or
    /// CPUs. Known only when runs are compared.
    pub slower: f64,
    /// All else.
    pub rest: f64,
}

impl Lost {
    /// The causes, with their names in files and for people.
    pub const CAUSES: [(&'static str, &'static str); 7] = [
        ("start_up", "start-up"),
        ("page_faults", "page faults"),
        ("imbalance", "imbalance"),
        ("barrier", "barrier"),
        ("serial", "serial parts"),
        ("slower", "slower work"),
        ("rest", "the rest"),
    ];

    /// What the reports of a run's jobs tell: imbalance, and that the rest was outside of bodies.
    pub fn of(reports: &[Report]) -> Self {
        let of_job = |report: &Report| {
            let busy = report.workers.iter().map(|worker| worker.busy.as_secs_f64());
            let (longest, sum) = busy.fold((0.0_f64, 0.0), |(longest, sum), busy| (longest.max(busy), sum + busy));
            let imbalance = longest - sum / report.workers.len().max(1) as f64;
            (imbalance, (report.wall.as_secs_f64() - longest).max(0.0))
        };
        let (imbalance, rest) = reports.iter().map(of_job).fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Self { imbalance, rest, ..Self::default() }
    }

    /// In the order of [`CAUSES`](Self::CAUSES).
    pub fn seconds(&self) -> [f64; 7] {
        [self.start_up, self.page_faults, self.imbalance, self.barrier, self.serial, self.slower, self.rest]
    }

    /// By cause.
    pub fn to_json(self) -> Value {
        let pairs =
            Self::CAUSES.iter().zip(self.seconds()).map(|((key, _), seconds)| ((*key).to_owned(), json!(seconds)));
        Value::Object(pairs.collect::<Map<_, _>>())
    }

    /// By cause; what is missing is 0.
    pub fn of_json(json: &Value) -> Self {
        let [start_up, page_faults, imbalance, barrier, serial, slower, rest] =
            Self::CAUSES.map(|(key, _)| json[key].as_f64().unwrap_or(0.0));
        Self { start_up, page_faults, imbalance, barrier, serial, slower, rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_go_to_files_and_back() {
        let lost = Lost { start_up: 1.0, imbalance: 0.25, rest: 3.5, ..Lost::default() };
        assert_eq!(Lost::of_json(&lost.to_json()), lost);
        assert_eq!(lost.seconds().iter().sum::<f64>(), 4.75);
        assert_eq!(Lost::of_json(&json!({ "rest": 2.0, "unheard_of": 1.0 })), Lost { rest: 2.0, ..Lost::default() });
    }
}
