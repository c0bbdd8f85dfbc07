//! What the live view shows, and what keys do to it. It knows no terminal and looks at no job itself.

use std::cmp::Reverse;

use parfork::Memory;
use parfork::watch::{Look, Watched, WatchedWorker};
use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::table;
use crate::output;
use crate::screen::Key;

/// The view.
#[derive(Default)]
pub struct View {
    look: Look,
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
    pub fn see(&mut self, look: Look) {
        self.look = look;
        self.job = self.selected().or(self.look.jobs.first()).map(|job| job.pid);
        let workers = self.selected().map_or(&[][..], |job| &job.workers);
        self.memory = workers.iter().map(WatchedWorker::memory).collect();
        self.worker = self.worker.min(self.memory.len().saturating_sub(1));
    }

    /// The job of this coordinator.
    pub fn job(&self, pid: u32) -> Option<&Watched> {
        self.look.jobs.iter().find(|job| job.pid == pid)
    }

    /// Says something until the next key.
    pub fn say(&mut self, message: String) {
        self.message = Some(message);
    }

    fn selected(&self) -> Option<&Watched> {
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
        let jobs = &self.look.jobs;
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

    /// Draws all of it.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let lines = self.lines(usize::from(area.width), usize::from(area.height));
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn lines(&self, width: usize, height: usize) -> Vec<Line<'static>> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let (jobs, workers) = (&self.look.jobs, self.workers());
        let total = jobs.iter().map(|job| job.workers.len()).sum::<usize>();
        let count = match jobs.len() {
            0 => "no jobs".to_owned(),
            many => format!("{}, {}", output::count(many, "job"), output::count(total, "worker")),
        };
        let mut lines = vec![Line::styled(table::cut(&format!("parfork top: {count}"), width), bold)];
        // What is left of the height after titles and the last line; jobs get a third at most.
        let room = height.saturating_sub(6);
        let for_jobs = jobs.len().min((room / 3).max(1));
        if let Some(job) = self.selected() {
            let at = jobs.iter().position(|each| each.pid == job.pid);
            lines.extend(self.rows(table::jobs(jobs, width.saturating_sub(2)), at, for_jobs));
            lines.push(Line::default());
            let about = format!("{}: {}", job.name, table::summary(job));
            lines.push(Line::styled(table::cut(&about, width), bold));
            let at = workers.iter().position(|(worker, _)| worker.rank == self.worker);
            let table = table::workers(job, &workers, width.saturating_sub(2));
            lines.extend(self.rows(table, at, room - for_jobs.min(room)));
        } else {
            lines.push(Line::default());
            lines.push(Line::from(table::cut("no jobs of this user run on this machine", width)));
            lines.push(Line::from(table::cut("(start one in another terminal; it appears here)", width)));
        }
        for (pid, reason) in &self.look.unreadable {
            lines.push(Line::from(table::cut(&format!("the board of {pid} cannot be read: {reason}"), width)));
        }
        lines.truncate(height.saturating_sub(1));
        lines.resize(height.saturating_sub(1), Line::default());
        lines.push(self.last_line(width));
        lines
    }

    /// The lines of a table, of whose rows there is room for `room`: those around the one that is selected.
    fn rows(&self, table: Vec<String>, selected: Option<usize>, room: usize) -> Vec<Line<'static>> {
        let at = selected.unwrap_or(0);
        let many = table.len().saturating_sub(1);
        let first = (at + 1).saturating_sub(room).min(many.saturating_sub(room));
        let mut lines = table.into_iter();
        let titles = lines
            .next()
            .map(|titles| Line::styled(format!("  {titles}"), Style::new().add_modifier(Modifier::UNDERLINED)));
        let rows = lines.enumerate().skip(first).take(room).map(|(row, text)| match Some(row) == selected {
            true => Line::styled(format!("> {text}"), self.highlight()),
            false => Line::from(format!("  {text}")),
        });
        titles.into_iter().chain(rows).collect()
    }

    fn highlight(&self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.colours { style.fg(Color::Cyan) } else { style }
    }

    /// A question, a message, or the keys.
    fn last_line(&self, width: usize) -> Line<'static> {
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
        let style = if self.doomed.is_some() { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        Line::styled(table::cut(&text, width), style)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parfork::watch::State;
    use parfork::{Engine, Schedule};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::Duration;

    fn job(pid: u32, name: &str, workers: usize) -> Watched {
        let worker = |rank: usize| WatchedWorker {
            rank,
            // No such processes: what they have for memory is not known.
            pid: Some(u32::MAX - 10 * pid - rank as u32),
            state: if rank == 1 { State::Stopped } else { State::Working },
            slice: Some(600 + rank),
            since: Duration::from_millis(1234),
            done: 100 * (rank + 1),
            busy: Duration::from_secs(9),
        };
        Watched {
            pid,
            name: name.to_owned(),
            engine: Engine::Processes,
            schedule: Schedule::Guided,
            running: true,
            jobs: 1,
            slices: 1000,
            done: 600,
            taken: workers,
            aside: 1,
            elapsed: Duration::from_secs(60),
            shared: 11 << 20,
            workers: (0..workers).map(worker).collect(),
            board: u64::from(pid),
        }
    }

    fn view(jobs: Vec<Watched>) -> View {
        let mut view = View::default();
        view.see(Look { jobs, unreadable: Vec::new() });
        view
    }

    fn drawn(view: &View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |row: u16| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
        (0..height).map(|row| line(row).trim_end().to_owned()).collect()
    }

    #[test]
    fn jobs_and_workers_on_a_usual_terminal() {
        let lines = drawn(&view(vec![job(4711, "mandelbrot", 3), job(4800, "gaussian:3", 2)]), 80, 24);
        assert_eq!(lines[0], "parfork top: 2 jobs, 5 workers");
        assert!(["PID  JOB", "PROGRESS", "LEFT"].iter().all(|title| lines[1].contains(title)), "{lines:?}");
        assert!(lines[2].starts_with("> 4711  mandelbrot") && lines[2].contains("60%") && lines[2].contains("0:39"));
        assert!(lines[3].starts_with("  4800  gaussian:3"));
        assert_eq!(lines[5], "mandelbrot: 600 of 1000 slices done, 3 taken, 399 left, 1 set aside");
        assert!(lines[7].starts_with(">    0") && lines[7].contains("working") && lines[7].contains("1.23 s"));
        assert!(lines[8].starts_with("     1") && lines[8].contains("stopped"));
        assert_eq!(lines[23], "q quit  up/down worker  left/right job  s sort (rank)  k kill");
    }

    #[test]
    fn a_narrow_terminal_has_what_matters() {
        for (width, height) in [(40, 24), (40, 8), (20, 5), (1, 1), (300, 2)] {
            let view = view(vec![job(4711, "a name that is rather long for it", 40), job(4800, "b", 2)]);
            let lines = drawn(&view, width, height);
            assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)));
            if (width, height) == (40, 24) {
                assert!(
                    lines[2].starts_with("> 4711  a name that is rath~") && lines[2].ends_with("60%  0:39"),
                    "{}",
                    lines[2]
                );
                assert_eq!(lines[23], "q quit  arrows  s sort (rank)  k kill");
            }
        }
    }

    #[test]
    fn the_selected_worker_is_always_in_sight() {
        let mut view = view(vec![job(4711, "many", 40)]);
        for _ in 0..60 {
            assert_eq!(view.press(Key::Down), Act::Nothing);
            let lines = drawn(&view, 80, 24);
            assert_eq!(lines.iter().filter(|line| line.starts_with('>')).count(), 2);
        }
        assert!(drawn(&view, 80, 24).iter().any(|line| line.starts_with(">   39")));
        view.press(Key::Up);
        assert!(drawn(&view, 80, 24).iter().any(|line| line.starts_with(">   38")));
    }

    #[test]
    fn sorting_keeps_the_selection() {
        let mut view = view(vec![job(4711, "sorted", 3)]);
        view.press(Key::Down);
        view.press(Key::Letter('s'));
        let lines = drawn(&view, 80, 24);
        assert!(
            lines[6].starts_with("     2") && lines[7].starts_with(">    1") && lines[8].starts_with("     0"),
            "{lines:?}"
        );
        assert!(lines[23].contains("s sort (done)"));
    }

    #[test]
    fn killing_asks_first() {
        let mut view = view(vec![job(4711, "one", 2), job(4800, "two", 2)]);
        view.press(Key::Tab);
        view.press(Key::Down);
        view.press(Key::Letter('k'));
        let pid = u32::MAX - 48_000 - 1;
        assert_eq!(drawn(&view, 80, 24)[23], format!("kill worker 1 (pid {pid})? y: yes, any other key: no"));
        assert_eq!(view.press(Key::Letter('q')), Act::Nothing);
        assert_eq!(drawn(&view, 80, 24)[23], "nothing was killed");
        view.press(Key::Letter('k'));
        assert_eq!(view.press(Key::Letter('y')), Act::Kill { job: 4800, rank: 1, pid });
        assert_eq!(view.press(Key::Letter('q')), Act::Leave);
    }

    #[test]
    fn jobs_that_end_are_gone_and_nobody_is_left_to_kill() {
        let mut view = view(vec![job(4711, "one", 2)]);
        view.see(Look { jobs: vec![job(4800, "two", 1)], unreadable: vec![(7, "it is old".to_owned())] });
        let lines = drawn(&view, 80, 24);
        assert!(
            lines[2].starts_with("> 4800") && lines.contains(&"the board of 7 cannot be read: it is old".to_owned())
        );
        view.see(Look::default());
        let lines = drawn(&view, 80, 24);
        assert!(lines[0] == "parfork top: no jobs" && lines[2] == "no jobs of this user run on this machine");
        view.press(Key::Letter('k'));
        assert_eq!(drawn(&view, 80, 24)[23], "there is nobody to kill");
        for key in [Key::Up, Key::Down, Key::Left, Key::Right, Key::Enter] {
            assert_eq!(view.press(key), Act::Nothing);
        }
    }

    #[test]
    fn threads_cannot_be_killed() {
        let mut threads = job(4711, "threads", 1);
        threads.workers[0].pid = None;
        let mut view = view(vec![threads]);
        view.press(Key::Letter('k'));
        assert_eq!(drawn(&view, 80, 24)[23], "worker 0 is no process that could be killed alone");
    }
}
