//! A record in some lines of text: a bar for each worker, and what was lost to what.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::time::Duration;

use super::units::{count, percent};
use super::{Part, Record, Waterfall};

/// Beyond this workers are shown in groups.
const MOST_LINES: usize = 16;

impl Record<'_> {
    /// For a terminal of so many columns: a bar of each worker's time (`#` computing, `~` in page faults, `.` waiting), with more
    /// than 16 workers one of each group; and what was lost to what, the most first.
    pub fn summary(&self, columns: usize) -> String {
        let shares = self.shares();
        let mut slices = vec![0; shares.len()];
        self.attempts.iter().filter(|attempt| attempt.done).for_each(|attempt| slices[attempt.worker] += 1);
        let each = shares.len().div_ceil(MOST_LINES).max(1);
        let last = shares.len().saturating_sub(1);
        let name = |from: usize, to: usize| if from == to { format!("{from}") } else { format!("{from}-{to}") };
        let widest = name(last.saturating_sub(each - 1), last).len();
        // ` 12.3 % busy, 12.3 % faulting, 1234 slices`.
        let tail = 44;
        let width = columns.saturating_sub("  worker ".len() + widest + 3 + tail).clamp(10, 50);
        let mut text = String::new();
        for (group, shares) in shares.chunks(each).enumerate() {
            let (from, to) = (group * each, group * each + shares.len() - 1);
            let bar = Bar::of(shares);
            let slices = count(slices[from..=to].iter().sum(), "slice");
            let (name, busy, drawn) = (name(from, to), percent(bar.busy), bar.draw(width));
            let faulting =
                if bar.faulting >= 0.001 { format!(", {} faulting", percent(bar.faulting)) } else { String::new() };
            let _ = writeln!(text, "  worker {name:>widest$} |{drawn}| {busy:>5} busy{faulting}, {slices}");
        }
        let waterfall = self.waterfall();
        let mut lost: Vec<(Part, Duration)> = waterfall.parts().filter(|(part, _)| *part != Part::Computing).collect();
        lost.sort_by_key(|&(_, time)| Reverse(time));
        lost.retain(|&(part, _)| waterfall.share(part) >= 0.001);
        let mut line = format!("  lost {}", percent(1.0 - waterfall.share(Part::Computing)));
        for (number, (part, _)) in lost.into_iter().enumerate() {
            let cause = format!("{} {part} {}", if number == 0 { ":" } else { "," }, percent(waterfall.share(part)));
            if number > 0 && line.len() + cause.len() > columns {
                break;
            }
            line.push_str(&cause);
        }
        text.push_str(&line);
        text.push('\n');
        text
    }
}

/// The shares of a line's workers, 0 to 1.
struct Bar {
    busy: f64,
    faulting: f64,
}

impl Bar {
    fn of(shares: &[Waterfall]) -> Self {
        let mean = |part| shares.iter().map(|share| share.share(part)).sum::<f64>() / shares.len() as f64;
        Self { busy: mean(Part::Computing), faulting: mean(Part::PageFaults) }
    }

    fn draw(&self, width: usize) -> String {
        let columns = |share: f64| (share * width as f64).round() as usize;
        let busy = columns(self.busy).min(width);
        let faulting = columns(self.busy + self.faulting).clamp(busy, width) - busy;
        format!("{}{}{}", "#".repeat(busy), "~".repeat(faulting), ".".repeat(width - busy - faulting))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{record, trace_of, with_death};

    #[test]
    fn a_bar_for_each_worker() {
        let text = record().record().unwrap().summary(80);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[0].starts_with("  worker 0 |####") && lines[0].ends_with("67 % busy, 3.0 % faulting, 1 slice"),
            "{text}"
        );
        assert!(lines[1].ends_with("72 % busy, 2 slices") && !lines[1].contains('~'), "{text}");
        assert!(lines[2].starts_with("  lost 30 %: start-up 8.0 %, end and reaping 7.0 %"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert!(with_death().record().unwrap().summary(0).contains("thrown away"));
    }

    #[test]
    fn many_workers_are_shown_in_groups() {
        let mut many = record();
        let trace = trace_of(&mut many);
        trace.workers = vec![trace.workers[0].clone(); 100];
        let text = many.record().unwrap().summary(60);
        assert_eq!(text.lines().count(), 16, "{text}");
        assert!(text.contains("worker 98-99 |") && text.contains("worker   0-6 |"), "{text}");
    }
}
