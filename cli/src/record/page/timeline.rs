//! What coordinator and workers did when: a lane for each, on one axis.
//!
//! Each lane is a drawing of its own, stretched to the width there is; names and times are text beside and below, so that they
//! can be read on any screen. What is narrower than a point of a wide screen is drawn together.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::units::{count, duration};
use super::super::{Activity, Attempt, Record};
use super::super::{Interval, Part};
use super::{COLOURS, Text, chip, colour};

/// More workers have no lane.
const MOST_LANES: usize = 64;

/// How many pieces all lanes may have together, and one at least and at most.
const MOST_PIECES: usize = 12_000;
const PIECES: std::ops::RangeInclusive<usize> = 120..=2000;

/// Times below the lanes.
const TICKS: usize = 5;

/// Writes the figure.
pub(super) fn write(record: &Record<'_>, html: &mut String) {
    let lanes = record.timelines();
    let shown = lanes.len().min(MOST_LANES);
    let most = (MOST_PIECES / shown.max(1)).clamp(*PIECES.start(), *PIECES.end());
    let _ = write!(
        html,
        "<h3>What each did when</h3>\n<div class=\"timeline\" data-wall=\"{}\">\n<div class=\"tools\" role=\"group\" \
         aria-label=\"Zoom of the timeline\">\n",
        record.report.wall.as_secs_f64()
    );
    for (act, label) in
        [("in", "Zoom in"), ("out", "Zoom out"), ("left", "Earlier"), ("right", "Later"), ("all", "All")]
    {
        let _ = writeln!(html, "<button type=\"button\" data-act=\"{act}\">{label}</button>");
    }
    html.push_str(
        "<output>Point at a piece, or go through a lane with the arrow keys.</output>\n</div>\n<div class=\"lanes\">\n",
    );
    coordinator(record, html);
    for (rank, lane) in lanes.iter().enumerate().take(MOST_LANES) {
        worker(record, rank, lane, most, html);
    }
    html.push_str("<div class=\"axis\">");
    for tick in 0..TICKS {
        let _ = write!(html, "<span>{}</span>", duration(record.report.wall * tick as u32 / (TICKS as u32 - 1)));
    }
    html.push_str("</div>\n</div>\n");
    if lanes.len() > shown {
        let _ = writeln!(
            html,
            "<p class=\"note\">{} more workers have no lane here; the trace has all.</p>",
            lanes.len() - shown
        );
    }
    html.push_str("<p class=\"note\">Full height: slices, in the worker's colour; orange at the foot of a slice is the share of page faults. Lower: ");
    let parts = [Part::StartUp, Part::Serial, Part::Imbalance, Part::Barrier, Part::End, Part::Measuring];
    let named: Vec<String> = parts.into_iter().map(swatch).collect();
    let _ = writeln!(
        html,
        "{}. Others: {}, {}.</p>\n</div>",
        named.join(", "),
        swatch(Part::ThrownAway),
        swatch(Part::Meetings)
    );
}

fn swatch(part: Part) -> String {
    let (height, colour) = (height_of(part) / 20.0 * 0.9, colour(part));
    format!("<span class=\"swatch\" style=\"height:{height:.2}em;--c:var(--{colour})\"></span>{part}")
}

/// How high what is drawn: also who sees no colours sees who works and who waits.
fn height_of(part: Part) -> f64 {
    match part {
        Part::Computing | Part::PageFaults | Part::OffCpu | Part::ThrownAway => 20.0,
        Part::StartUp => 13.0,
        Part::Serial | Part::Measuring => 10.0,
        Part::End | Part::Meetings => 7.0,
        Part::Imbalance | Part::Barrier => 4.0,
        Part::Unexplained => 2.0,
    }
}

/// A lane's rectangles.
struct Drawing<'h> {
    html: &'h mut String,
    wall: Duration,
}

impl Drawing<'_> {
    fn at(&self, moment: Duration) -> f64 {
        1000.0 * moment.as_secs_f64() / self.wall.as_secs_f64().max(1e-12)
    }

    fn rect(&mut self, class: &str, begin: Duration, end: Duration, height: f64, title: &str) {
        let (x, width, y) = (self.at(begin), self.at(end) - self.at(begin), 20.0 - height);
        let _ = write!(
            self.html,
            "<rect class=\"{class}\" x=\"{x:.2}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{height:.1}\">"
        );
        let _ = writeln!(
            self.html,
            "<title>{}: {} at {}</title></rect>",
            Text(title),
            duration(end - begin),
            duration(begin)
        );
    }
}

fn open_lane<'h>(record: &Record<'_>, name: &str, label: &str, html: &'h mut String) -> Drawing<'h> {
    let _ = writeln!(
        html,
        "<div class=\"name\">{name}</div><svg viewBox=\"0 0 1000 20\" preserveAspectRatio=\"none\" role=\"img\" tabindex=\"0\" \
         aria-label=\"{}\">",
        Text(label)
    );
    Drawing { html, wall: record.report.wall }
}

fn coordinator(record: &Record<'_>, html: &mut String) {
    let label = format!("The coordinator: {}", count(record.coordinator.len(), "stretch"));
    let mut drawing = open_lane(record, "coordinator", &label, html);
    for stretch in &record.coordinator {
        let part = match stretch.what {
            Activity::Preparing => Part::Serial,
            Activity::Forking { .. } | Activity::OpeningForkServer | Activity::Calling => Part::StartUp,
            Activity::Working => Part::Computing,
            Activity::Attending => Part::Barrier,
            Activity::Ending => Part::End,
        };
        let class = format!("p-{}", colour(part));
        drawing.rect(&class, stretch.begin, stretch.end, height_of(part), &stretch.what.words());
    }
    for death in &record.deaths {
        let tick = record.report.wall / 400;
        let end = (death.at + tick).min(record.report.wall);
        let title = format!("hears of the death of worker {}", death.worker);
        drawing.rect("p-dead", death.at, end, 20.0, &title);
    }
    html.push_str("</svg>\n");
}

/// A worker's lane, with at most about `most` pieces.
fn worker(record: &Record<'_>, rank: usize, lane: &[Interval], most: usize, html: &mut String) {
    let slices = lane.iter().filter(|piece| piece.part == Part::Computing).count();
    let label = format!("Worker {rank}: {} of slices", count(slices, "piece"));
    let mut drawing = open_lane(record, &format!("worker {}", chip(rank)), &label, html);
    let least = record.report.wall / most as u32;
    let mut rest = lane;
    while let [first, ..] = rest {
        // As many as are short, and until they are long enough together to be seen.
        let wide = |piece: &Interval| piece.end - piece.begin >= least;
        let mut together = rest.iter().take_while(|piece| !wide(piece) && piece.begin - first.begin < least).count();
        together = together.max(1);
        match together {
            1 => one(record, rank, first, &mut drawing),
            _ => merged(rank, &rest[..together], &mut drawing),
        }
        rest = &rest[together..];
    }
    html.push_str("</svg>\n");
}

fn one(record: &Record<'_>, rank: usize, piece: &Interval, drawing: &mut Drawing<'_>) {
    let attempt = piece.attempt.map(|at| &record.attempts[at]);
    match (piece.part, attempt) {
        (Part::Computing, Some(attempt)) => {
            drawing.rect(&format!("slice w{}", rank % COLOURS), piece.begin, piece.end, 20.0, &named(record, attempt));
            let share = fault_share(record, attempt);
            if share > 0.02 && attempt.meetings.is_empty() {
                let title = format!("{} on slice {}", count(attempt.faults as usize, "page fault"), attempt.slice);
                drawing.rect("p-fault", piece.begin, piece.end, 20.0 * share, &title);
            }
        }
        (part, attempt) => {
            let on = attempt.map_or(String::new(), |attempt| format!(" on slice {}", attempt.slice));
            let class = format!("p-{}", colour(part));
            drawing.rect(&class, piece.begin, piece.end, height_of(part), &format!("{part}{on}"));
        }
    }
}

/// Pieces that are too narrow to be drawn alone, as what most of their time is.
fn merged(rank: usize, pieces: &[Interval], drawing: &mut Drawing<'_>) {
    let (begin, end) = (pieces[0].begin, pieces[pieces.len() - 1].end);
    let in_bodies: Duration =
        pieces.iter().filter(|piece| piece.part == Part::Computing).map(|piece| piece.end - piece.begin).sum();
    if in_bodies * 2 >= end - begin {
        let slices = pieces.iter().filter(|piece| piece.attempt.is_some()).count();
        drawing.rect(&format!("w{}", rank % COLOURS), begin, end, 20.0, &count(slices, "short slice"));
    } else {
        let longest = pieces.iter().filter(|it| it.part != Part::Computing).max_by_key(|it| it.end - it.begin);
        let part = longest.map_or(Part::Unexplained, |piece| piece.part);
        drawing.rect(&format!("p-{}", colour(part)), begin, end, height_of(part), &format!("mostly {part}"));
    }
}

fn named(record: &Record<'_>, attempt: &Attempt) -> String {
    let Attempt { slice, step, number, .. } = attempt;
    let step = record.report.spec.steps.map(|_| format!("step {step} of ")).unwrap_or_default();
    let again = if *number > 1 { format!(", attempt {number}") } else { String::new() };
    format!("{step}slice {slice} {}{again}", record.report.grid.region(*slice))
}

/// Which part of a slice's time its faults are thought to be, 0 to 1.
fn fault_share(record: &Record<'_>, attempt: &Attempt) -> f64 {
    let faults = record.fault_cost.as_secs_f64() * attempt.faults as f64;
    (faults / attempt.time().as_secs_f64().max(1e-9)).min(1.0)
}
