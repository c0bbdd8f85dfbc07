//! Slices being dealt under each schedule, as they would be over time: a strip of all slices with the letter of who has each,
//! and a line of time for each worker. The same scale of time for all, so that who is done first is seen.

use std::time::{Duration, Instant};

use super::compare::{Comparison, Trial, times};
use crate::drawing::Drawing;
use crate::failure::Failure;
use crate::output;
use crate::screen::{self, Colour, Key, Line, Screen, Style};

/// How long all of it takes on a terminal.
const SPAN: Duration = Duration::from_secs(8);

/// How often a frame is drawn.
const FRAME: Duration = Duration::from_millis(40);

/// Part of the whole that an arrow key goes.
const STEP: f64 = 1.0 / 50.0;

/// Plays it on a terminal until somebody has seen enough; leaves the last frame, which is all that there is elsewhere.
pub fn show(comparison: &Comparison) -> Result<(), Failure> {
    if screen::is_there() {
        play(comparison)?;
    }
    const COLUMNS: usize = 80;
    /// Lines of workers that are still taken in at a glance.
    const MOST: usize = 16;
    let last = frame(comparison, 1.0, COLUMNS, MOST, false);
    let text: String = last.iter().map(|line| format!("{}\n", line.to_string().trim_end())).collect();
    output::print(&text)
}

fn play(comparison: &Comparison) -> Result<(), Failure> {
    let mut screen = Screen::open()?;
    let colours = screen::has_colours();
    let (mut at, mut runs, mut last) = (0.0_f64, true, Instant::now());
    loop {
        screen.draw(|columns, height| {
            let rows = (height.saturating_sub(2) / comparison.trials.len()).saturating_sub(2);
            let mut lines = frame(comparison, at, columns, rows, colours);
            lines.truncate(height.saturating_sub(1));
            lines.resize(height.saturating_sub(1), Line::default());
            let state = if runs && at < 1.0 { "pause" } else { "go on" };
            lines.push(Line::from(format!("q quit  space {state}  \u{2190} \u{2192} step  r again")));
            lines
        })?;
        for key in screen.keys(FRAME)? {
            match key {
                Key::Letter('q') | Key::Escape | Key::Enter => return Ok(()),
                Key::Letter(' ') => runs = !runs,
                Key::Letter('r') => (at, runs) = (0.0, true),
                Key::Left => (at, runs) = ((at - STEP).max(0.0), false),
                Key::Right => (at, runs) = ((at + STEP).min(1.0), false),
                _ => {}
            }
        }
        let passed = last.elapsed();
        last += passed;
        if runs {
            at = (at + passed.as_secs_f64() / SPAN.as_secs_f64()).min(1.0);
        }
    }
}

/// All of it at one moment, of which 1 is the end: what is dealt, then for each schedule its name, the strip of slices, and at
/// most so many lines for its workers.
pub fn frame(comparison: &Comparison, at: f64, columns: usize, rows: usize, colours: bool) -> Vec<Line> {
    let now = comparison.end() * at;
    let mut lines = vec![Line::from(comparison.what.clone())];
    for trial in &comparison.trials {
        lines.push(title(comparison, trial, now));
        lines.push(strip(trial, now, columns, colours));
        lines.extend(times_of_workers(comparison, trial, now, columns, rows, colours));
    }
    lines
}

/// Columns at the left for whose line it is.
const LABEL: usize = 8;

fn title(comparison: &Comparison, trial: &Trial, now: f64) -> Line {
    let balance = &trial.balance;
    let name = format!("{:<12}", trial.schedule.to_string());
    let told = if now >= balance.makespan {
        format!("all done at {} x ideal, efficiency {:.0} %", times(balance), 100.0 * balance.efficiency)
    } else {
        let done = trial.planned.iter().filter(|one| one.end <= now).count();
        let busy = trial.planned.iter().filter(|one| one.start <= now && now < one.end).count();
        format!("{done} of {} slices done, {busy} of {} workers busy", trial.planned.len(), comparison.workers)
    };
    Line::new(name, Style::BOLD).and(told, Style::PLAIN)
}

/// All slices from the first to the last: who has each, or `.` if nobody has yet.
fn strip(trial: &Trial, now: f64, columns: usize, colours: bool) -> Line {
    let width = columns.saturating_sub(LABEL).max(1);
    // When each run is dealt: all of its slices at once.
    let mut dealt = vec![f64::INFINITY; trial.balance.runs];
    trial.planned.iter().for_each(|one| dealt[one.run] = dealt[one.run].min(one.start));
    let cell = |column: usize| {
        let one = trial.planned.get((2 * column + 1) * trial.planned.len() / (2 * width))?;
        (dealt[one.run] <= now).then_some((one.rank, one.end <= now))
    };
    let mut line = Line::from(format!("{:<LABEL$}", "slices"));
    let cells: Vec<_> = (0..width).map(cell).collect();
    for run in cells.chunk_by(|one, next| one == next) {
        line = match run[0] {
            None => line.and(".".repeat(run.len()), Style::PLAIN),
            Some((rank, done)) => {
                let letters = Drawing::letter(rank).to_string().repeat(run.len());
                let style = colour_of(rank, colours);
                line.and(letters, if done { style.bold() } else { style })
            }
        };
    }
    line
}

/// A line for each worker, or for each few of them if there are more than `rows`: how many of them work at each time.
fn times_of_workers(
    comparison: &Comparison,
    trial: &Trial,
    now: f64,
    columns: usize,
    rows: usize,
    colours: bool,
) -> Vec<Line> {
    if rows == 0 {
        return Vec::new();
    }
    let width = columns.saturating_sub(LABEL).max(1);
    let each = comparison.workers.div_ceil(rows).max(1);
    // For each line and column how much of the time its workers work.
    let mut work = vec![vec![0.0_f64; width]; comparison.workers.div_ceil(each)];
    let column = comparison.end() / width as f64;
    for one in trial.planned.iter().filter(|one| one.start < now && column > 0.0) {
        let (start, end) = (one.start / column, one.end.min(now) / column);
        let line = &mut work[one.rank / each];
        for (at, cell) in line.iter_mut().enumerate().take(end.ceil() as usize).skip(start as usize) {
            *cell += end.min(at as f64 + 1.0) - start.max(at as f64);
        }
    }
    let middle = |at: usize| (at as f64 + 0.5) * column;
    let line = |(at, work): (usize, Vec<f64>)| {
        let first = at * each;
        let last = (first + each).min(comparison.workers) - 1;
        let label =
            if first == last { format!("{} {first}", Drawing::letter(first)) } else { format!("{first}-{last}") };
        let cell = |(at, work): (usize, &f64)| match work / (last - first + 1) as f64 {
            share if share > 0.875 => '\u{2588}',
            share if share > 0.625 => '\u{2593}',
            share if share > 0.375 => '\u{2592}',
            share if share > 0.05 => '\u{2591}',
            // Idle while others work.
            _ if middle(at) < trial.balance.makespan && middle(at) < now => '.',
            _ => ' ',
        };
        let bar: String = work.iter().enumerate().map(cell).collect();
        let style = if first == last { colour_of(first, colours) } else { Style::PLAIN };
        Line::from(format!("{label:<LABEL$}")).and(bar, style)
    };
    work.into_iter().enumerate().map(line).collect()
}

/// A worker's colour: those of the drawing, for people with any colour vision, as far as terminals have them. Its letter says the
/// same.
fn colour_of(rank: usize, colours: bool) -> Style {
    const COLOURS: [Colour; 6] =
        [Colour::Cyan, Colour::Yellow, Colour::Green, Colour::Magenta, Colour::Blue, Colour::Red];
    if colours { Style::PLAIN.in_colour(COLOURS[rank % COLOURS.len()]) } else { Style::PLAIN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parfork::Schedule;

    fn text(costs: &[f64], workers: usize, at: f64, columns: usize, rows: usize) -> Vec<String> {
        let comparison = Comparison::of("work".into(), "cells", costs.to_vec(), workers, Schedule::Guided);
        frame(&comparison, at, columns, rows, false).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_end_shows_who_was_late() {
        let lines = text(&[1.0, 1.0, 1.0, 5.0], 2, 1.0, 28, 4);
        assert_eq!(
            lines[..3],
            ["work", "static      all done at 1.20 x ideal, efficiency 67 %", "slices  00000000001111111111"]
        );
        // A column is 0.3 of time: worker 0 is done after 2, worker 1 after 6.
        assert_eq!(lines[3], format!("0 0     {}\u{2593}{}", "\u{2588}".repeat(6), ".".repeat(13)));
        assert_eq!(lines[4], format!("1 1     {}", "\u{2588}".repeat(20)));
        assert_eq!(lines.len(), 1 + 4 * 4);
    }

    #[test]
    fn at_first_only_the_first_runs_are_dealt() {
        let lines = text(&[1.0; 20], 2, 0.0, 28, 4);
        assert_eq!(lines[2], "slices  00000000001111111111");
        assert_eq!(lines[6], "slices  01..................");
        assert!(
            lines[5].starts_with("dynamic ") && lines[5].ends_with("0 of 20 slices done, 2 of 2 workers busy"),
            "{}",
            lines[5]
        );
    }

    #[test]
    fn any_number_of_workers_fits_any_terminal() {
        for (workers, columns, rows) in [(1, 40, 1), (1000, 80, 3), (17, 9, 0), (3, 1, 2), (60, 200, 60)] {
            for at in [0.0, 0.3, 1.0] {
                for costs in [vec![], vec![0.0; 3], (0..997).map(f64::from).collect()] {
                    let lines = text(&costs, workers, at, columns, rows);
                    assert!(lines.len() <= 1 + 4 * (2 + rows));
                    assert!(
                        lines.iter().filter(|line| line.starts_with("slices")).all(|line| line.len() <= columns.max(9))
                    );
                }
            }
        }
    }
}
