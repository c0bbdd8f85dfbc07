//! A record for programs. docs/json.md says what each field means; what is changed there so that readers break changes the
//! schema's number.

use std::time::SystemTime;

use super::{
    Attempt, CoordinatorInterval, DeathRecord, Machine, Memory, Part, Record, Span, Usage, Waterfall, WorkerLifetime,
};
use crate::json::{Json, object};
use crate::report::Report;

impl Record<'_> {
    /// As the text of JSON, times in seconds: the object `record` of the schema `parfork/1`, which docs/json.md describes.
    pub fn json(&self) -> String {
        self.value().to_string()
    }

    fn value(&self) -> Json {
        let shares = self.shares();
        let since_1970 = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let workers: Json = shares.iter().enumerate().map(|(rank, share)| self.worker(rank, share)).collect();
        object! {
            "options": options(self.report),
            "machine": machine(&self.machine),
            "started_unix_seconds": since_1970,
            "wall_seconds": self.report.wall,
            "preparing_seconds": self.preparing,
            "gathering_seconds": self.gathering,
            "arrays": self.arrays.iter().enumerate().map(|(number, array)| object! {
                "output": array.output,
                "dtype": array.dtype,
                "shape": array.shape.iter().copied().collect::<Json>(),
                "bytes": array.bytes,
                "segment_inode": array.segment,
                "address_in_coordinator": address(self.report.addresses[number]),
                "address_in_workers": self.report.workers.iter().map(|worker| address(worker.addresses[number])).collect::<Json>(),
            }).collect::<Json>(),
            "attempts": self.attempts.iter().map(|attempt| self.attempt(attempt)).collect::<Json>(),
            "workers": workers,
            "coordinator": object! {
                "pid": self.coordinator_pid,
                "memory": memory(self.coordinator_memory),
                "stretches": self.coordinator.iter().map(stretch).collect::<Json>(),
            },
            "failure": self.report.failure.as_deref(),
            "deaths": self.deaths.iter().map(death).collect::<Json>(),
            "waterfall": waterfall(&self.waterfall()),
            "fault_cost_seconds": self.fault_cost,
            "lost_marks": self.lost_marks,
        }
    }

    fn worker(&self, rank: usize, share: &Waterfall) -> Json {
        let worker = &self.workers[rank];
        object! {
            "rank": rank,
            "lives": worker.lives.iter().map(life).collect::<Json>(),
            "memory": memory(self.report.workers[rank].memory),
            "waterfall": waterfall(share),
        }
    }

    fn attempt(&self, attempt: &Attempt) -> Json {
        let region: Json = self
            .report
            .grid
            .region(attempt.slice)
            .ranges()
            .map(|(axis, range)| object! { "axis": axis, "start": range.start, "end": range.end })
            .collect();
        object! {
            "slice": attempt.slice,
            "region": region,
            "worker": attempt.worker,
            "attempt": attempt.number,
            "begin_seconds": attempt.begin,
            "end_seconds": attempt.end,
            "done": attempt.done,
            "minor_faults": attempt.faults,
            "meetings": attempt.meetings.iter().map(span).collect::<Json>(),
        }
    }
}

fn options(Report { spec, engine, crew, .. }: &Report) -> Json {
    object! {
        "engine": engine.to_string(),
        "crew": *crew,
        "workers": spec.workers,
        "split": spec.split.unwrap_or_default().to_string(),
        "schedule": spec.schedule.to_string(),
        "retries": spec.retries,
        "guard": spec.guard,
        "pin": spec.pin,
        "threads_per_worker": spec.threads_per_worker.unwrap_or(1),
        "deadline_seconds": spec.deadline,
        "slice_deadline_seconds": spec.slice_deadline,
        "memory_limit_bytes": spec.memory_limit,
        "only_slice": spec.only_slice,
    }
}

fn machine(machine: &Machine) -> Json {
    object! {
        "cpu": machine.cpu.as_str(),
        "cpus": machine.cpus,
        "memory_bytes": machine.memory,
        "page_bytes": machine.page,
        "kernel": machine.kernel.as_str(),
    }
}

fn life(life: &WorkerLifetime) -> Json {
    object! {
        "pid": life.pid,
        "born_seconds": life.born,
        "began_seconds": life.began,
        "left_seconds": life.left,
        "measured": life.measured.as_ref().map(span),
        "died_seconds": life.died,
        "usage": life.usage.map(usage),
    }
}

fn usage(usage: Usage) -> Json {
    object! {
        "user_seconds": usage.user,
        "system_seconds": usage.system,
        "minor_faults": usage.minor_faults,
        "major_faults": usage.major_faults,
        "voluntary_switches": usage.voluntary_switches,
        "involuntary_switches": usage.involuntary_switches,
        "peak_resident_bytes": usage.peak_resident,
    }
}

fn memory(memory: Option<Memory>) -> Json {
    memory.map_or(Json::Null, |memory| {
        object! {
            "private_bytes": memory.private,
            "shared_bytes": memory.shared,
            "proportional_bytes": memory.proportional,
        }
    })
}

fn span(span: &Span) -> Json {
    object! { "begin_seconds": span.begin, "end_seconds": span.end }
}

fn stretch(stretch: &CoordinatorInterval) -> Json {
    object! { "what": stretch.what.words(), "begin_seconds": stretch.begin, "end_seconds": stretch.end }
}

fn death(death: &DeathRecord) -> Json {
    object! {
        "at_seconds": death.at,
        "worker": death.worker,
        "pid": death.pid,
        "slice": death.slice,
        "cause": death.cause.as_str(),
    }
}

fn waterfall(waterfall: &Waterfall) -> Json {
    let parts = waterfall.parts().map(|(part, time)| (key(part), Json::from(time)));
    let mut object: Vec<(String, Json)> = parts.collect();
    object.push(("total_seconds".to_owned(), waterfall.total.into()));
    Json::Object(object)
}

/// A part's name as a key: `page_faults_seconds`.
fn key(part: Part) -> String {
    format!("{}_seconds", part.to_string().replace([' ', '-'], "_").to_lowercase())
}

/// As text: numbers that large are not exact in every reader. Null for none.
fn address(address: usize) -> Json {
    if address == 0 { Json::Null } else { Json::from(format!("{address:#x}")) }
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
        serde_json::from_str(&with_death().record().unwrap().json()).unwrap()
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
