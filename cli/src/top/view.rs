//! What the live view shows, and what keys do to it. It knows no terminal and looks at no job itself.

use std::cmp::Reverse;

use parfork::Memory;
use parfork::watch::{JobList, WatchedJob, WatchedWorker};

use super::table;
use crate::output;
use crate::screen::{Colour, Key, Line, Style};

/// The view.
#[derive(Default)]
pub struct View {
    list: JobList,
    /// The memory of the workers of the selected job, in order of rank.
    memory: Vec<Option<Memory>>,
    /// The selected job, by its coordinator.
    job: Option<u32>,
    /// The selected worker, by its rank.
    worker: usize,
    sort: Sort,
    /// The worker that somebody may want to kill, as it was when asked.
    doomed: Option<(u32, usize, u32)>,
    /// What is to be said until the next key.
    message: Option<String>,
    colours: bool,
}

/// By what workers are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Rank,
    Done,
    Busy,
    Memory,
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    Nothing,
    Leave,
    /// Kill the worker of this rank of this coordinator, if it is still this process.
    Kill {
        job: u32,
        rank: usize,
        pid: u32,
    },
}

impl View {
    /// A view of nothing yet.
    pub fn new(colours: bool) -> Self {
        Self { colours, ..Self::default() }
    }

    /// Shows another look from now on, with the memory of the workers of the selected job.
    pub fn see(&mut self, list: JobList) {
        self.list = list;
        self.job = self.selected().or(self.list.jobs.first()).map(|job| job.pid);
        let workers = self.selected().map_or(&[][..], |job| &job.workers);
        self.memory = workers.iter().map(WatchedWorker::memory).collect();
        self.worker = self.worker.min(self.memory.len().saturating_sub(1));
    }

    /// The job of this coordinator.
    pub fn job(&self, pid: u32) -> Option<&WatchedJob> {
        self.list.jobs.iter().find(|job| job.pid == pid)
    }

    /// Says something until the next key.
    pub fn say(&mut self, message: String) {
        self.message = Some(message);
    }

    fn selected(&self) -> Option<&WatchedJob> {
        self.job(self.job?)
    }

    /// The workers of the selected job as they are sorted.
    fn workers(&self) -> Vec<(&WatchedWorker, Option<Memory>)> {
        let Some(job) = self.selected() else { return Vec::new() };
        let memory = |rank: usize| self.memory.get(rank).copied().flatten();
        let mut workers: Vec<_> = job.workers.iter().map(|worker| (worker, memory(worker.rank))).collect();
        match self.sort {
            Sort::Rank => {}
            Sort::Done => workers.sort_by_key(|(worker, _)| Reverse(worker.done)),
            Sort::Busy => workers.sort_by_key(|(worker, _)| Reverse(worker.busy)),
            Sort::Memory => workers.sort_by_key(|(_, memory)| Reverse(memory.map_or(0, |memory| memory.private))),
        }
        workers
    }

    /// Does what a key is for.
    pub fn press(&mut self, key: Key) -> Act {
        self.message = None;
        if let Some((job, rank, pid)) = self.doomed.take() {
            return match key {
                Key::Letter('y' | 'Y') => Act::Kill { job, rank, pid },
                _ => {
                    self.say("nothing was killed".to_owned());
                    Act::Nothing
                }
            };
        }
        match key {
            Key::Letter('q') | Key::Escape => return Act::Leave,
            Key::Letter('s') => {
                self.sort = match self.sort {
                    Sort::Rank => Sort::Done,
                    Sort::Done => Sort::Busy,
                    Sort::Busy => Sort::Memory,
                    Sort::Memory => Sort::Rank,
                };
            }
            Key::Up => self.step_worker(-1),
            Key::Down => self.step_worker(1),
            Key::Left => self.step_job(-1),
            Key::Right | Key::Tab => self.step_job(1),
            Key::Letter('k') => self.ask(),
            _ => {}
        }
        Act::Nothing
    }

    fn step_worker(&mut self, by: isize) {
        let order: Vec<usize> = self.workers().iter().map(|(worker, _)| worker.rank).collect();
        let at = order.iter().position(|&rank| rank == self.worker).unwrap_or(0);
        let next = at.saturating_add_signed(by).min(order.len().saturating_sub(1));
        self.worker = order.get(next).copied().unwrap_or(0);
    }

    fn step_job(&mut self, by: isize) {
        let jobs = &self.list.jobs;
        let at = jobs.iter().position(|job| Some(job.pid) == self.job).unwrap_or(0);
        let next = (at as isize + by).rem_euclid(jobs.len().max(1) as isize) as usize;
        self.job = jobs.get(next).map(|job| job.pid);
        self.worker = 0;
        // Seen at the next look.
        self.memory.clear();
    }

    /// Asks whether the selected worker is to be killed.
    fn ask(&mut self) {
        let worker = self.selected().and_then(|job| Some((job.pid, job.workers.get(self.worker)?)));
        match worker {
            None => self.say("there is nobody to kill".to_owned()),
            Some((job, WatchedWorker { rank, pid: Some(pid), .. })) => self.doomed = Some((job, *rank, *pid)),
            Some((_, WatchedWorker { rank, .. })) => {
                self.message = Some(format!("worker {rank} is no process that could be killed alone"));
            }
        }
    }

    /// All of it, on so many columns and rows.
    pub fn lines(&self, width: usize, height: usize) -> Vec<Line> {
        let (jobs, workers) = (&self.list.jobs, self.workers());
        let total = jobs.iter().map(|job| job.workers.len()).sum::<usize>();
        let count = match jobs.len() {
            0 => "no jobs".to_owned(),
            many => format!("{}, {}", output::count(many, "job"), output::count(total, "worker")),
        };
        let mut lines = vec![Line::new(table::cut(&format!("parfork top: {count}"), width), Style::BOLD)];
        // What is left of the height after titles and the last line; jobs get a third at most.
        let room = height.saturating_sub(6);
        let for_jobs = jobs.len().min((room / 3).max(1));
        if let Some(job) = self.selected() {
            let at = jobs.iter().position(|each| each.pid == job.pid);
            lines.extend(self.rows(table::jobs(jobs, width.saturating_sub(2)), at, for_jobs));
            lines.push(Line::default());
            let about = format!("{}: {}", job.name, table::summary(job));
            lines.push(Line::new(table::cut(&about, width), Style::BOLD));
            let at = workers.iter().position(|(worker, _)| worker.rank == self.worker);
            let table = table::workers(job, &workers, width.saturating_sub(2));
            lines.extend(self.rows(table, at, room - for_jobs.min(room)));
        } else {
            lines.push(Line::default());
            lines.push(Line::from(table::cut("no jobs of this user run on this machine", width)));
            lines.push(Line::from(table::cut("(start one in another terminal; it appears here)", width)));
        }
        for (pid, reason) in &self.list.unreadable {
            lines.push(Line::from(table::cut(&format!("the control page of {pid} cannot be read: {reason}"), width)));
        }
        lines.truncate(height.saturating_sub(1));
        lines.resize(height.saturating_sub(1), Line::default());
        lines.push(self.last_line(width));
        lines
    }

    /// The lines of a table, of whose rows there is room for `room`: those around the one that is selected.
    fn rows(&self, table: Vec<String>, selected: Option<usize>, room: usize) -> Vec<Line> {
        let at = selected.unwrap_or(0);
        let many = table.len().saturating_sub(1);
        let first = (at + 1).saturating_sub(room).min(many.saturating_sub(room));
        let mut lines = table.into_iter();
        let titles = lines.next().map(|titles| Line::new(format!("  {titles}"), Style::UNDERLINED));
        let rows = lines.enumerate().skip(first).take(room).map(|(row, text)| match Some(row) == selected {
            true => Line::new(format!("> {text}"), self.highlight()),
            false => Line::from(format!("  {text}")),
        });
        titles.into_iter().chain(rows).collect()
    }

    fn highlight(&self) -> Style {
        if self.colours { Style::BOLD.in_colour(Colour::Cyan) } else { Style::BOLD }
    }

    /// A question, a message, or the keys.
    fn last_line(&self, width: usize) -> Line {
        let by = match self.sort {
            Sort::Rank => "rank",
            Sort::Done => "done",
            Sort::Busy => "busy",
            Sort::Memory => "private memory",
        };
        let text = match (self.doomed, &self.message) {
            (Some((_, rank, pid)), _) => format!("kill worker {rank} (pid {pid})? y: yes, any other key: no"),
            (None, Some(message)) => message.clone(),
            (None, None) => {
                let keys = [
                    format!("q quit  up/down worker  left/right job  s sort ({by})  k kill"),
                    format!("q quit  arrows  s sort ({by})  k kill"),
                    "q quit  arrows  s sort  k kill".to_owned(),
                ];
                keys.into_iter().find(|keys| keys.len() <= width).unwrap_or_else(|| "q quit".to_owned())
            }
        };
        let style = if self.doomed.is_some() { Style::REVERSED } else { Style::PLAIN };
        Line::new(table::cut(&text, width), style)
    }
}
