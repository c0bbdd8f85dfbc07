//! Tables of jobs and of workers.

use std::time::Duration;

use parfork::Memory;
use parfork::watch::{JobList, WatchedJob, WatchedWorker};

use crate::columns::{left, lines, right};
use crate::output;

/// A line for each job.
pub fn jobs(jobs: &[WatchedJob], width: usize) -> Vec<String> {
    let columns = vec![
        right("PID", 0, |job: &WatchedJob| job.pid.to_string()),
        left("JOB", 0, |job: &WatchedJob| cut(&job.name, 20)),
        left("BY", 4, |job: &WatchedJob| by(job)),
        left("PROGRESS", 5, |job: &WatchedJob| bar(job.progress().0 as usize, job.progress().1 as usize, 12)),
        right("DONE", 0, |job: &WatchedJob| percent(job)),
        right("SLICES", 2, |job: &WatchedJob| job.slices.to_string()),
        right("RATE/S", 3, |job: &WatchedJob| rate(job.rate())),
        right("LEFT", 1, |job: &WatchedJob| if job.running { clock(job.time_left()) } else { "idle".to_owned() }),
        right("ELAPSED", 6, |job: &WatchedJob| clock(Some(job.elapsed))),
        right("LENT", 7, |job: &WatchedJob| output::bytes(job.shared)),
    ];
    lines(jobs, columns, width)
}

/// A line for each of some workers of a job, with the memory of each if it is known.
pub fn workers(job: &WatchedJob, workers: &[(&WatchedWorker, Option<Memory>)], width: usize) -> Vec<String> {
    type Row<'r> = (&'r WatchedWorker, Option<Memory>);
    fn of<'c>(cell: impl Fn(&WatchedWorker) -> String + 'c) -> impl Fn(&Row<'_>) -> String + 'c {
        move |(worker, _)| cell(worker)
    }
    fn memory(cell: fn(Memory) -> u64) -> impl Fn(&Row<'_>) -> String {
        move |(_, own)| own.map_or("-".to_owned(), |own| output::bytes(cell(own)))
    }
    let most = job.workers.iter().map(|worker| worker.done).max().unwrap_or(0);
    let or_none = |text: Option<String>| text.unwrap_or("-".to_owned());
    let columns = vec![
        right("RANK", 0, of(|worker| worker.rank.to_string())),
        right("PID", 1, of(|worker| or_none(worker.pid.map(|pid| pid.to_string())))),
        left("STATE", 0, of(|worker| worker.state.to_string())),
        right("SLICE", 0, of(|worker| or_none(worker.slice.map(|slice| slice.to_string())))),
        right("FOR", 4, of(|worker| or_none(worker.slice.map(|_| output::duration(worker.since))))),
        right("DONE", 0, of(|worker| worker.done.to_string())),
        left("SHARE", 6, of(move |worker| bar(worker.done, most, 10))),
        right("BUSY", 3, of(|worker| output::duration(worker.busy))),
        right("PRIVATE", 2, memory(|own| own.private)),
        right("SHARED", 5, memory(|own| own.shared)),
    ];
    lines(workers, columns, width)
}

/// All of it, to be printed once.
pub fn all(list: &JobList) -> String {
    const WIDTH: usize = 120;
    let mut text = String::new();
    if list.jobs.is_empty() {
        text.push_str("no jobs of this user run on this machine\n");
    } else {
        jobs(&list.jobs, WIDTH).iter().for_each(|line| text.extend([line, "\n"]));
    }
    for job in &list.jobs {
        text.push_str(&format!("\nworkers of {} (pid {}), {}:\n", job.name, job.pid, summary(job)));
        let all: Vec<_> = job.workers.iter().map(|worker| (worker, worker.memory())).collect();
        workers(job, &all, WIDTH).iter().for_each(|line| text.extend([line, "\n"]));
    }
    for (pid, reason) in &list.unreadable {
        text.push_str(&format!("the control page of process {pid} cannot be read: {reason}\n"));
    }
    text
}

/// How far a job is, in words.
pub fn summary(job: &WatchedJob) -> String {
    let aside = if job.aside > 0 { format!(", {} set aside", job.aside) } else { String::new() };
    let idle = if job.running { "" } else { "idle; of its last job " };
    let steps = match job.steps {
        0 => String::new(),
        _ => format!(", {} of {} steps of slices", job.progress().0, job.progress().1),
    };
    format!("{idle}{} of {} slices done, {} taken, {} left{aside}{steps}", job.done, job.slices, job.taken, job.left())
}

/// Who works.
fn by(job: &WatchedJob) -> String {
    let kind = match (job.engine, job.jobs) {
        (parfork::Engine::Processes, 2..) => "crew".to_owned(),
        (engine, _) => engine.to_string(),
    };
    match job.workers.len() {
        1 if job.engine == parfork::Engine::Serial => kind,
        workers => format!("{workers} {kind}"),
    }
}

fn percent(job: &WatchedJob) -> String {
    // Not before the last one is done.
    let (done, all) = job.progress();
    format!("{}%", done.saturating_mul(100).checked_div(all).unwrap_or(100))
}

/// Part of a whole, in so many characters.
pub fn bar(part: usize, whole: usize, width: usize) -> String {
    let full = (part.min(whole).saturating_mul(width) + whole / 2).checked_div(whole).unwrap_or(0);
    format!("{}{}", "#".repeat(full), ".".repeat(width - full))
}

fn rate(rate: f64) -> String {
    match rate {
        rate if rate >= 100.0 => format!("{rate:.0}"),
        rate if rate >= 1.0 => format!("{rate:.1}"),
        rate => format!("{rate:.2}"),
    }
}

/// A time as a clock shows it.
fn clock(time: Option<Duration>) -> String {
    let Some(seconds) = time.map(|time| time.as_secs()) else { return "-".to_owned() };
    match seconds {
        ..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        3600..360_000 => format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A text in so many characters at most.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['~']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_go_when_there_is_no_room() {
        let table = |width| {
            let columns = vec![
                left("NAME", 0, |n: &u32| format!("n{n}")),
                right("A", 1, u32::to_string),
                right("LONG", 2, u32::to_string),
            ];
            lines(&[1, 22], columns, width)
        };
        assert_eq!(table(80), ["NAME   A  LONG", "n1     1     1", "n22   22    22"]);
        assert_eq!(table(13), ["NAME   A", "n1     1", "n22   22"]);
        assert_eq!(table(7), ["NAME", "n1", "n22"]);
        assert_eq!(table(0), ["NAME", "n1", "n22"]);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!((bar(0, 4, 4), bar(1, 4, 4), bar(9, 4, 4)), ("....".into(), "#...".into(), "####".into()));
        assert_eq!(bar(0, 0, 3), "...");
        let seconds = |seconds| clock(Some(Duration::from_secs(seconds)));
        assert_eq!((seconds(7), seconds(61), seconds(3661)), ("0:07".into(), "1:01".into(), "1:01:01".into()));
        assert_eq!((cut("mandelbrot", 20), cut("mandelbrot", 5)), ("mandelbrot".into(), "mand~".into()));
        assert_eq!((rate(1234.5), rate(12.34), rate(0.5)), ("1234".into(), "12.3".into(), "0.50".into()));
    }
}
