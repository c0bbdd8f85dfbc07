//! Records in the Chrome trace format, which Perfetto (<https://ui.perfetto.dev>) and chrome://tracing open: one track for each
//! worker and one for the coordinator, a slice each time that a worker was at one, and an arrow from where it was dealt
//! to where it was finished.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Activity, Part, Record};

/// Several records of jobs that followed each other, with their names, as one trace: the text of a JSON file.
pub fn trace<'r>(jobs: impl IntoIterator<Item = (&'r str, Record<'r>)>) -> String {
    let jobs: Vec<(&str, Record<'_>)> = jobs.into_iter().collect();
    let first = jobs.iter().map(|(_, record)| record.started).min();
    let mut events = Vec::new();
    for (number, (name, record)) in jobs.iter().enumerate() {
        let after = first.and_then(|first| record.started.duration_since(first).ok()).unwrap_or_default();
        Job { number, record: *record, after, arrows: events.len() }.trace(name, &mut events);
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ms" }).to_string()
}

/// One job of a trace, as the format's "process".
struct Job<'r> {
    number: usize,
    record: Record<'r>,
    /// How long after the first job it began.
    after: Duration,
    /// The first number of its arrows that no other job has.
    arrows: usize,
}

/// The coordinator's track; workers' are their ranks + 1.
const COORDINATOR: usize = 0;

impl Job<'_> {
    fn trace(&self, name: &str, events: &mut Vec<Value>) {
        let record = self.record;
        events.push(self.name("process_name", COORDINATOR, &format!("job {}: {name}", self.number + 1)));
        events.push(self.name("thread_name", COORDINATOR, &format!("coordinator (pid {})", record.coordinator_pid)));
        for stretch in &record.coordinator {
            let what = if stretch.what == Activity::Attending { "attend" } else { "serial" };
            events.push(self.slice(COORDINATOR, &stretch.what.words(), what, stretch.begin, stretch.end, json!({})));
        }
        for (rank, lane) in record.timelines().into_iter().enumerate() {
            let pids: Vec<String> = record.workers[rank].lives.iter().map(|life| life.pid.to_string()).collect();
            events.push(self.name("thread_name", rank + 1, &format!("worker {rank} (pid {})", pids.join(", then "))));
            for piece in lane.iter().filter(|piece| piece.attempt.is_none()) {
                let what = piece.part.to_string();
                let means = json!({ "means": piece.part.meaning() });
                events.push(self.slice(rank + 1, &what, "waiting", piece.begin, piece.end, means));
            }
        }
        for (at, attempt) in record.attempts.iter().enumerate() {
            let track = attempt.worker + 1;
            let name = match (attempt.number, attempt.done) {
                (1, true) => format!("slice {}", attempt.slice),
                (number, true) => format!("slice {}, attempt {number}", attempt.slice),
                (_, false) => format!("slice {}, died on it", attempt.slice),
            };
            let region = record.report.grid.region(attempt.slice).to_string();
            let more = json!({ "region": region, "attempt": attempt.number, "minor_faults": attempt.faults });
            events.push(self.slice(track, &name, "slice", attempt.begin, attempt.end, more));
            for meeting in &attempt.meetings {
                let what = Part::Meetings.to_string();
                events.push(self.slice(track, &what, "waiting", meeting.begin, meeting.end, json!({})));
            }
            let arrow = |phase: &str, track: usize, moment: Duration| {
                json!({
                    "ph": phase, "name": "dealt", "cat": "deal", "id": self.arrows + at, "bp": "e",
                    "pid": self.number + 1, "tid": track, "ts": self.time(moment),
                })
            };
            events.push(arrow("s", COORDINATOR, attempt.begin));
            events.push(arrow("f", track, attempt.end));
        }
        for death in &record.deaths {
            events.push(json!({
                "ph": "i", "s": "t", "name": "death", "cat": "death", "pid": self.number + 1, "tid": death.worker + 1,
                "ts": self.time(death.at), "args": { "cause": death.cause.as_str(), "pid": death.pid, "slice": death.slice },
            }));
        }
    }

    fn name(&self, what: &str, track: usize, name: &str) -> Value {
        json!({ "ph": "M", "name": what, "pid": self.number + 1, "tid": track, "args": { "name": name } })
    }

    fn slice(&self, track: usize, name: &str, kind: &str, begin: Duration, end: Duration, args: Value) -> Value {
        json!({
            "ph": "X", "name": name, "cat": kind, "pid": self.number + 1, "tid": track, "ts": self.time(begin),
            "dur": micros(end - begin), "args": args,
        })
    }

    fn time(&self, moment: Duration) -> Value {
        micros(self.after + moment)
    }
}

fn micros(time: Duration) -> Value {
    Value::from(time.as_nanos() as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{record, with_death};
    use super::*;

    #[test]
    fn slices_nest_and_arrows_have_two_ends() {
        let (one, other) = (record(), with_death());
        let (one, other) = (one.record().unwrap(), other.record().unwrap());
        let text = trace([("a", one), ("b \"quoted\"", other)]);
        let trace: Value = serde_json::from_str(&text).unwrap();
        let events = trace["traceEvents"].as_array().unwrap();
        let of = |phase: &str| events.iter().filter(|event| event["ph"] == phase).collect::<Vec<_>>();
        let attempts = one.attempts.len() + other.attempts.len();
        assert_eq!((of("s").len(), of("f").len(), of("i").len()), (attempts, attempts, 1));
        let mut spans: Vec<(u64, u64, f64, f64)> = of("X")
            .iter()
            .map(|it| {
                let (begin, length) = (it["ts"].as_f64().unwrap(), it["dur"].as_f64().unwrap());
                (it["pid"].as_u64().unwrap(), it["tid"].as_u64().unwrap(), begin, begin + length)
            })
            .collect();
        spans.sort_by(|one, other| {
            (one.0, one.1).cmp(&(other.0, other.1)).then(one.2.total_cmp(&other.2)).then(other.3.total_cmp(&one.3))
        });
        let mut open: Vec<(u64, u64, f64, f64)> = Vec::new();
        for span in spans {
            open.retain(|outer| (outer.0, outer.1) == (span.0, span.1) && outer.3 > span.2 + 1e-6);
            assert!(open.iter().all(|outer| span.3 <= outer.3 + 1e-6), "{span:?} is not inside of {open:?}");
            open.push(span);
        }
    }
}
