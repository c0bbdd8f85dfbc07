//! A record for programs. docs/json.md says what each field means; what is changed there so that readers break changes the
//! schema's number.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{Attempt, DeathRecord, Life, Machine, Memory, Options, Part, Record, Span, Stretch, Usage, Waterfall};

impl Record {
    /// As JSON, times in seconds: the object `record` of the schema `parfork/1`, which docs/json.md describes.
    pub fn json(&self) -> Value {
        let shares = self.shares();
        let since_1970 = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let workers: Vec<Value> = shares.iter().enumerate().map(|(rank, share)| self.worker(rank, share)).collect();
        json!({
            "options": options(&self.options),
            "machine": machine(&self.machine),
            "started_unix_seconds": seconds(since_1970),
            "wall_seconds": seconds(self.wall),
            "preparing_seconds": seconds(self.preparing),
            "gathering_seconds": seconds(self.gathering),
            "arrays": self.arrays.iter().map(|array| json!({
                "output": array.output,
                "dtype": array.dtype,
                "shape": array.shape,
                "bytes": array.bytes,
                "segment_inode": array.segment,
                "address_in_coordinator": address(array.coordinator),
                "address_in_workers": array.workers.iter().map(|&at| address(at)).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "attempts": self.attempts.iter().map(|attempt| self.attempt(attempt)).collect::<Vec<_>>(),
            "workers": workers,
            "coordinator": {
                "pid": self.coordinator_pid,
                "memory": memory(self.coordinator_memory),
                "stretches": self.coordinator.iter().map(stretch).collect::<Vec<_>>(),
            },
            "deaths": self.deaths.iter().map(death).collect::<Vec<_>>(),
            "waterfall": waterfall(&self.waterfall()),
            "fault_cost_seconds": seconds(self.fault_cost),
            "lost_marks": self.lost_marks,
        })
    }

    fn worker(&self, rank: usize, share: &Waterfall) -> Value {
        let worker = &self.workers[rank];
        json!({
            "rank": rank,
            "lives": worker.lives.iter().map(life).collect::<Vec<_>>(),
            "memory": memory(worker.memory),
            "waterfall": waterfall(share),
        })
    }

    fn attempt(&self, attempt: &Attempt) -> Value {
        let region: Vec<Value> = self
            .grid
            .region(attempt.slice)
            .ranges()
            .map(|(axis, range)| json!({ "axis": axis, "start": range.start, "end": range.end }))
            .collect();
        json!({
            "slice": attempt.slice,
            "region": region,
            "worker": attempt.worker,
            "attempt": attempt.number,
            "begin_seconds": seconds(attempt.begin),
            "end_seconds": seconds(attempt.end),
            "done": attempt.done,
            "minor_faults": attempt.faults,
            "meetings": attempt.meetings.iter().map(span).collect::<Vec<_>>(),
        })
    }
}

fn options(options: &Options) -> Value {
    json!({
        "engine": options.engine.to_string(),
        "crew": options.crew,
        "workers": options.workers,
        "split": options.split.to_string(),
        "schedule": options.schedule.to_string(),
        "retries": options.retries,
        "guard": options.guard,
        "pin": options.pin,
        "threads_per_worker": options.threads_per_worker,
        "deadline_seconds": options.deadline.map(seconds),
        "slice_deadline_seconds": options.slice_deadline.map(seconds),
        "memory_limit_bytes": options.memory_limit,
        "only_slice": options.only_slice,
    })
}

fn machine(machine: &Machine) -> Value {
    json!({
        "cpu": machine.cpu,
        "cpus": machine.cpus,
        "memory_bytes": machine.memory,
        "page_bytes": machine.page,
        "kernel": machine.kernel,
    })
}

fn life(life: &Life) -> Value {
    json!({
        "pid": life.pid,
        "born_seconds": seconds(life.born),
        "began_seconds": life.began.map(seconds),
        "left_seconds": life.left.map(seconds),
        "measured": life.measured.as_ref().map(span),
        "died_seconds": life.died.map(seconds),
        "usage": life.usage.map(usage),
    })
}

fn usage(usage: Usage) -> Value {
    json!({
        "user_seconds": seconds(usage.user),
        "system_seconds": seconds(usage.system),
        "minor_faults": usage.minor_faults,
        "major_faults": usage.major_faults,
        "voluntary_switches": usage.voluntary_switches,
        "involuntary_switches": usage.involuntary_switches,
        "peak_resident_bytes": usage.peak_resident,
    })
}

fn memory(memory: Option<Memory>) -> Value {
    memory.map_or(Value::Null, |memory| {
        json!({
            "private_bytes": memory.private,
            "shared_bytes": memory.shared,
            "proportional_bytes": memory.proportional,
        })
    })
}

fn span(span: &Span) -> Value {
    json!({ "begin_seconds": seconds(span.begin), "end_seconds": seconds(span.end) })
}

fn stretch(stretch: &Stretch) -> Value {
    json!({ "what": stretch.what.words(), "begin_seconds": seconds(stretch.begin), "end_seconds": seconds(stretch.end) })
}

fn death(death: &DeathRecord) -> Value {
    json!({
        "at_seconds": seconds(death.at),
        "worker": death.worker,
        "pid": death.pid,
        "slice": death.slice,
        "cause": death.cause,
    })
}

fn waterfall(waterfall: &Waterfall) -> Value {
    let parts = waterfall.parts().map(|(part, time)| (key(part), seconds(time)));
    let mut object: Map<String, Value> = parts.collect();
    object.insert("total_seconds".into(), seconds(waterfall.total));
    Value::Object(object)
}

/// A part's name as a key: `page_faults_seconds`.
fn key(part: Part) -> String {
    format!("{}_seconds", part.to_string().replace([' ', '-'], "_").to_lowercase())
}

fn seconds(time: Duration) -> Value {
    json!(time.as_secs_f64())
}

/// As text: numbers that large are not exact in every reader. Null for none.
fn address(address: usize) -> Value {
    if address == 0 { Value::Null } else { json!(format!("{address:#x}")) }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::with_death;
    use super::*;

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

    #[test]
    fn every_field_is_documented() {
        let document = include_str!("../../docs/json.md");
        let mut found = std::collections::BTreeSet::new();
        keys(&with_death().json(), &mut found);
        let missing: Vec<_> = found.iter().filter(|key| !document.contains(&format!("`{key}`"))).collect();
        assert!(missing.is_empty(), "docs/json.md does not tell of {missing:?}");
    }

    #[test]
    fn numbers_are_those_of_the_record() {
        let json = with_death().json();
        assert_eq!(json["attempts"][1]["done"], false);
        assert_eq!(json["attempts"][3]["region"][0]["start"], 2);
        assert_eq!(json["deaths"][0]["cause"], "panicked at a<b.rs: \"no & no\"");
        assert_eq!(json["arrays"][0]["address_in_workers"][1], "0x9000");
        assert_eq!(json["waterfall"]["total_seconds"], 0.2);
    }
}
