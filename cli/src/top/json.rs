//! What runs, for programs.

use parfork::Memory;
use parfork::watch::{JobList, WatchedJob, WatchedWorker};
use serde_json::{Value, json};

/// A report. Times are in seconds, memory in bytes; null is what does not exist or cannot be known.
pub fn of(list: &JobList) -> Value {
    let unreadable = list.unreadable.iter().map(|(pid, reason)| json!({ "pid": pid, "reason": reason }));
    json!({
        "schema": 1,
        "command": "top",
        "jobs": list.jobs.iter().map(job).collect::<Vec<_>>(),
        "unreadable": unreadable.collect::<Vec<_>>(),
    })
}

fn job(job: &WatchedJob) -> Value {
    json!({
        "pid": job.pid,
        "name": job.name,
        "engine": job.engine.to_string(),
        "schedule": job.schedule.to_string(),
        "running": job.running,
        "jobs": job.jobs,
        "slices": job.slices,
        "done": job.done,
        "taken": job.taken,
        "aside": job.aside,
        "left": job.left(),
        "steps": job.steps,
        "steps_done": job.steps_done,
        "slices_per_second": job.rate(),
        "seconds_left": job.time_left().map(|time| time.as_secs_f64()),
        "elapsed_seconds": job.elapsed.as_secs_f64(),
        "lent_bytes": job.shared,
        "memory": memory(job.memory()),
        "workers": job.workers.iter().map(worker).collect::<Vec<_>>(),
    })
}

fn worker(worker: &WatchedWorker) -> Value {
    json!({
        "rank": worker.rank,
        "pid": worker.pid,
        "state": worker.state.to_string(),
        "slice": worker.slice,
        "at_it_seconds": worker.slice.map(|_| worker.since.as_secs_f64()),
        "done": worker.done,
        "busy_seconds": worker.busy.as_secs_f64(),
        "memory": memory(worker.memory()),
    })
}

fn memory(memory: Option<Memory>) -> Value {
    memory.map_or(Value::Null, |Memory { private, shared, proportional }| {
        json!({ "private_bytes": private, "shared_bytes": shared, "proportional_bytes": proportional })
    })
}
