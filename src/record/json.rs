//! A record for programs, by serde. docs/json.md says what each field means; what is changed there so that readers break changes the
//! schema's number.

use std::time::{Duration, SystemTime};

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::{
    ArrayRecord, Attempt, CoordinatorInterval, DeathRecord, Machine, Memory, Part, Record, Waterfall, WorkerLifetime,
};
use crate::report::Report;
use crate::slices::Region;
use crate::spec::{Setting, SettingValue};
use crate::trace::seconds;

/// The object `record` of the schema `parfork/1`, which docs/json.md describes; times in seconds.
impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { report, trace } = self;
        let arrays = trace.arrays.iter().enumerate().map(|(number, array)| ArrayFields {
            array,
            address_in_coordinator: address(report.addresses[number]),
            address_in_workers: report.workers.iter().map(|worker| address(worker.addresses[number])).collect(),
        });
        let attempts = trace.attempts.iter();
        let attempts =
            attempts.map(|attempt| AttemptFields { attempt, region: ranges(&report.grid.region(attempt.slice)) });
        let workers = self.shares().into_iter().enumerate().map(|(rank, share)| WorkerFields {
            rank,
            lives: &trace.workers[rank].lives,
            memory: report.workers[rank].memory,
            waterfall: share,
        });
        Fields {
            options: Options(report),
            machine: &trace.machine,
            started_unix_seconds: trace.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            wall_seconds: report.wall,
            preparing_seconds: trace.preparing,
            gathering_seconds: trace.gathering,
            arrays: arrays.collect(),
            attempts: attempts.collect(),
            workers: workers.collect(),
            coordinator: CoordinatorFields {
                pid: trace.coordinator_pid,
                memory: trace.coordinator_memory,
                stretches: &trace.coordinator,
            },
            failure: report.failure.as_deref(),
            deaths: &trace.deaths,
            waterfall: self.waterfall(),
            fault_cost_seconds: trace.fault_cost,
            lost_marks: trace.lost_marks,
        }
        .serialize(to)
    }
}

#[derive(Serialize)]
struct Fields<'r> {
    options: Options<'r>,
    machine: &'r Machine,
    #[serde(serialize_with = "seconds")]
    started_unix_seconds: Duration,
    #[serde(serialize_with = "seconds")]
    wall_seconds: Duration,
    #[serde(serialize_with = "seconds")]
    preparing_seconds: Duration,
    #[serde(serialize_with = "seconds")]
    gathering_seconds: Duration,
    arrays: Vec<ArrayFields<'r>>,
    attempts: Vec<AttemptFields<'r>>,
    workers: Vec<WorkerFields<'r>>,
    coordinator: CoordinatorFields<'r>,
    failure: Option<&'r str>,
    deaths: &'r [DeathRecord],
    waterfall: Waterfall,
    #[serde(serialize_with = "seconds")]
    fault_cost_seconds: Duration,
    lost_marks: u64,
}

#[derive(Serialize)]
struct ArrayFields<'r> {
    #[serde(flatten)]
    array: &'r ArrayRecord,
    address_in_coordinator: Option<String>,
    address_in_workers: Vec<Option<String>>,
}

#[derive(Serialize)]
struct AttemptFields<'r> {
    #[serde(flatten)]
    attempt: &'r Attempt,
    region: Vec<AxisRange>,
}

#[derive(Serialize)]
struct AxisRange {
    axis: usize,
    start: usize,
    end: usize,
}

fn ranges(region: &Region) -> Vec<AxisRange> {
    region.ranges().map(|(axis, range)| AxisRange { axis, start: range.start, end: range.end }).collect()
}

#[derive(Serialize)]
struct WorkerFields<'r> {
    rank: usize,
    lives: &'r [WorkerLifetime],
    memory: Option<Memory>,
    waterfall: Waterfall,
}

#[derive(Serialize)]
struct CoordinatorFields<'r> {
    pid: u32,
    memory: Option<Memory>,
    stretches: &'r [CoordinatorInterval],
}

/// What was asked for: the engine, whether it was a crew's, and each setting, of which the key names the unit.
struct Options<'r>(&'r Report);

impl Serialize for Options<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Report { spec, engine, crew, .. } = self.0;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("engine", &engine.to_string())?;
        map.serialize_entry("crew", crew)?;
        for Setting { name, value, .. } in spec.settings() {
            match value {
                SettingValue::Flag(flag) => map.serialize_entry(name, &flag)?,
                SettingValue::Number(number) => map.serialize_entry(name, &number)?,
                SettingValue::Bytes(bytes) => map.serialize_entry(&format!("{name}_bytes"), &bytes)?,
                SettingValue::Time(time) => {
                    map.serialize_entry(&format!("{name}_seconds"), &time.map(|time| time.as_secs_f64()))?;
                }
                SettingValue::Choice(choice) => map.serialize_entry(name, &choice)?,
            }
        }
        map.end()
    }
}

/// A part's name is a key: `page_faults_seconds`.
impl Serialize for Waterfall {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let key = |part: Part| format!("{}_seconds", part.to_string().replace([' ', '-'], "_").to_lowercase());
        let parts = self.parts().map(|(part, time)| (key(part), time));
        let all = parts.chain([("total_seconds".to_owned(), self.total)]);
        to.collect_map(all.map(|(key, time)| (key, time.as_secs_f64())))
    }
}

/// As text: numbers that large are not exact in every reader. `None` for none.
fn address(address: usize) -> Option<String> {
    (address != 0).then(|| format!("{address:#x}"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::with_death;
    use serde_json::Value;

    /// Every key of a value and of all in it.
    fn keys(value: &Value, found: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    found.insert(key.clone());
                    keys(value, found);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }

    fn parsed() -> Value {
        serde_json::to_value(with_death().record().unwrap()).unwrap()
    }

    #[test]
    fn every_field_is_documented() {
        let document = include_str!("../../docs/json.md");
        let mut found = std::collections::BTreeSet::new();
        keys(&parsed(), &mut found);
        let missing: Vec<_> = found.iter().filter(|key| !document.contains(&format!("`{key}`"))).collect();
        assert!(missing.is_empty(), "docs/json.md does not tell of {missing:?}");
    }

    #[test]
    fn numbers_are_those_of_the_record() {
        let json = parsed();
        assert_eq!(json["attempts"][1]["done"], false);
        assert_eq!(json["attempts"][3]["region"][0]["start"], 2);
        assert_eq!(json["deaths"][0]["cause"], "panicked at a<b.rs: \"no & no\"");
        assert_eq!(json["arrays"][0]["address_in_workers"][1], "0x9000");
        assert_eq!(json["waterfall"]["total_seconds"], 0.2);
    }
}
