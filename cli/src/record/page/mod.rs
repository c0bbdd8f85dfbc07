//! Records as one HTML file: no network, no scripts needed but for zoom and hover, light and dark, for phones too.
//!
//! All text from outside (names, paths, messages of panics) goes through [`Text`], which escapes it.

mod array;
mod tables;
mod timeline;

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::units::{count, duration, percent};
use super::{Part, Record};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// How many colours there are for workers. They are told apart by people with any colour vision (Okabe and Ito 2008), and
/// numbers stand beside them.
const COLOURS: usize = 7;

/// A page about one or more jobs that followed each other.
///
/// It is one file, which opens from disk in any browser: arrays with their slices in the colours of the workers, a timeline,
/// where the time went, memory, addresses, deaths, settings.
#[derive(Clone, Debug)]
#[must_use]
pub struct Page<'r> {
    title: String,
    facts: Vec<(String, String)>,
    jobs: Vec<Job<'r>>,
}

#[derive(Clone, Debug)]
struct Job<'r> {
    name: String,
    record: Record<'r>,
    picture: Option<Vec<u8>>,
}

impl<'r> Page<'r> {
    /// A page without jobs.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), facts: Vec::new(), jobs: Vec::new() }
    }

    /// With a line of what it is about: a name and a value.
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push((name.into(), value.into()));
        self
    }

    /// With one more job.
    pub fn job(mut self, name: impl Into<String>, record: Record<'r>) -> Self {
        self.jobs.push(Job { name: name.into(), record, picture: None });
        self
    }

    /// With a picture of the last job's result, a PNG file's bytes. Keep it small: it goes into the page.
    pub fn picture(mut self, png: Vec<u8>) -> Self {
        if let Some(job) = self.jobs.last_mut() {
            job.picture = Some(png);
        }
        self
    }

    /// The page, as the text of an HTML file.
    pub fn html(&self) -> String {
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>{title}</title>\n\
             <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#jobs\">Skip to the jobs</a>\n<header>\n<h1>{title}</h1>\n",
            title = Text(&self.title),
        );
        if !self.facts.is_empty() {
            html.push_str("<dl>\n");
            for (name, value) in &self.facts {
                let _ = writeln!(html, "<dt>{}</dt><dd>{}</dd>", Text(name), Text(value));
            }
            html.push_str("</dl>\n");
        }
        if self.jobs.len() > 1 {
            html.push_str("<nav aria-label=\"Jobs\"><ul>\n");
            for (number, job) in self.jobs.iter().enumerate() {
                let (name, wall) = (Text(&job.name), duration(job.record.report.wall));
                let _ = writeln!(html, "<li><a href=\"#job{number}\">{name}</a> {wall}</li>");
            }
            html.push_str("</ul></nav>\n");
        }
        html.push_str("</header>\n<main id=\"jobs\">\n");
        for (number, job) in self.jobs.iter().enumerate() {
            job.html(number, &mut html);
        }
        let _ = write!(
            html,
            "</main>\n<footer>Made by parfork {} from the record of the run alone.</footer>\n<script>\n{SCRIPT}</script>\n\
             </body>\n</html>\n",
            env!("CARGO_PKG_VERSION")
        );
        html
    }
}

impl Job<'_> {
    fn html(&self, number: usize, html: &mut String) {
        let record = self.record;
        let _ = writeln!(html, "<section id=\"job{number}\">\n<h2>{}</h2>", Text(&self.name));
        if let Some(failure) = &record.report.failure {
            let _ = writeln!(html, "<p class=\"failure\"><strong>This job failed:</strong> {}</p>", Text(failure));
        }
        self.tiles(html);
        if record.lost_marks > 0 {
            let _ = writeln!(
                html,
                "<p><strong>{} had no room on the tapes of this job</strong>: what they would tell is missing below, and \
                 its time is in <em>unexplained</em>.</p>",
                count(record.lost_marks as usize, "mark")
            );
        }
        self.division(html);
        timeline::write(&record, html);
        tables::waterfall(&record, html);
        tables::workers(&record, html);
        tables::addresses(&record, html);
        tables::deaths(&record, html);
        tables::slices(&record, html);
        tables::settings(&record, html);
        html.push_str("</section>\n");
    }

    /// The numbers that matter first.
    fn tiles(&self, html: &mut String) {
        let record = self.record;
        let waterfall = record.waterfall();
        let busy = waterfall.share(Part::Computing);
        let workers = record.workers.len();
        let lost = waterfall.parts().filter(|(part, _)| *part != Part::Computing).max_by_key(|(_, time)| *time);
        let (part, _) = lost.unwrap_or((Part::Unexplained, Default::default()));
        let retried = record.attempts.iter().filter(|attempt| attempt.number > 1).count();
        let deaths = match record.deaths.len() {
            0 => "no worker died".to_owned(),
            _ => format!("{} tried again", count(retried, "slice")),
        };
        let tiles = [
            (duration(record.report.wall), "from the first fork to the last worker's end".to_owned()),
            (
                format!("{:.2} of {workers}", busy * workers as f64),
                format!("workers computing on average ({})", percent(busy)),
            ),
            (
                record.report.grid.slices().to_string(),
                format!(
                    "slices, cut by {}, dealt {}",
                    record.report.spec.split.unwrap_or_default(),
                    record.report.spec.schedule.unwrap_or_default()
                ),
            ),
            (percent(waterfall.share(part)), format!("{part}, the largest loss")),
            (count(record.deaths.len(), "death"), deaths),
        ];
        html.push_str("<ul class=\"tiles\">\n");
        for (number, what) in tiles {
            let _ = writeln!(html, "<li><b>{}</b><span>{}</span></li>", Text(&number), Text(&what));
        }
        html.push_str("</ul>\n");
    }

    /// The array as it was divided, and the result.
    fn division(&self, html: &mut String) {
        html.push_str("<h3>How the array was divided</h3>\n<div class=\"pair\">\n");
        array::write(&self.record, html);
        if let Some(picture) = &self.picture {
            let _ = writeln!(
                html,
                "<figure><img alt=\"The result\" src=\"data:image/png;base64,{}\"><figcaption>The result.</figcaption></figure>",
                STANDARD.encode(picture)
            );
        }
        html.push_str("</div>\n");
        tables::legend(&self.record, html);
    }
}

/// A worker's number in its colour.
fn chip(rank: usize) -> String {
    let (colour, dark) = (rank % COLOURS, if rank % COLOURS == 5 { " dark" } else { "" });
    format!("<span class=\"chip{dark}\" style=\"--c:var(--w{colour})\">{rank}</span>")
}

/// The class of a part's colour, and the name of the variable that holds it.
fn colour(part: Part) -> &'static str {
    match part {
        Part::Computing => "computing",
        Part::PageFaults => "fault",
        Part::OffCpu => "off",
        Part::Meetings => "meeting",
        Part::StartUp => "start",
        Part::Serial => "serial",
        Part::Imbalance => "wait",
        Part::Barrier => "barrier",
        Part::End => "end",
        Part::ThrownAway => "dead",
        Part::Measuring => "measure",
        Part::Unexplained => "unknown",
    }
}

/// Text as HTML shows it, in elements and in attributes.
struct Text<'t>(&'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;"),
                '<' => f.write_str("&lt;"),
                '>' => f.write_str("&gt;"),
                '"' => f.write_str("&quot;"),
                '\'' => f.write_str("&#39;"),
                // Of what HTML has no place for.
                '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}' => f.write_str("\u{fffd}"),
                letter => f.write_char(letter),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{record, trace_of, with_death};
    use super::*;

    #[test]
    fn text_from_outside_is_escaped() {
        let (one, other) = (record(), with_death());
        let html = Page::new("<script>alert(1)</script>")
            .fact("a \"b\"", "</dl>'x'\u{1}")
            .job("one", one.record().unwrap())
            .job("<b>", other.record().unwrap())
            .picture(vec![1, 2, 3])
            .html();
        assert!(!html.contains("<script>alert") && !html.contains("<b>\"") && !html.contains("</dl>'x'"), "{html}");
        assert!(
            html.contains("&lt;script&gt;alert(1)") && html.contains("panicked at a&lt;b.rs: &quot;no &amp; no&quot;")
        );
        assert!(html.contains("data:image/png;base64,AQID") && html.contains("href=\"#job1\""));
        assert!(!html.contains("http://") && !html.contains("https://"), "the page names a network");
    }

    #[test]
    fn elements_are_closed() {
        let report = with_death();
        let html = Page::new("a job").job("with a death", report.record().unwrap()).html();
        for element in
            ["section", "div", "figure", "svg", "table", "tr", "td", "dl", "ul", "details", "p", "h3", "rect", "title"]
        {
            let (open, closed) = (format!("<{element}"), format!("</{element}>"));
            let is_one = |at: &usize| !html[at + open.len()..].starts_with(|next: char| next.is_ascii_alphanumeric());
            let opened = html.match_indices(&open).filter(|(at, _)| is_one(at)).count();
            assert_eq!(opened, html.matches(&closed).count(), "{element}");
        }
    }

    #[test]
    fn failures_and_what_is_missing_are_said() {
        let mut report = with_death();
        report.failure = Some("worker 1 died".to_owned());
        let trace = trace_of(&mut report);
        trace.attempts.retain(|attempt| attempt.slice != 1 || !attempt.done);
        trace.lost_marks = 9;
        let html = Page::new("failed").job("job", report.record().unwrap()).html();
        assert!(html.contains("This job failed:") && html.contains("nobody did it after that"), "{html}");
        assert!(html.contains("had no room"), "{html}");
    }

    /// Thousands of slices: what is narrower than a point of the screen is drawn together.
    #[test]
    fn many_slices_and_workers_stay_small() {
        let mut many = record();
        let (slices, workers) = (100_000, 200);
        many.grid = parfork::slices::Grid::new(parfork::Split::rows().of(1), &[slices, 8]).unwrap();
        many.workers = vec![many.workers[0].clone(); workers];
        let each = (many.wall - many.wall / 5) / (slices / workers) as u32;
        let (wall, trace) = (many.wall, trace_of(&mut many));
        trace.workers = vec![trace.workers[0].clone(); workers];
        trace.attempts = (0..slices)
            .map(|slice| {
                let begin = wall / 10 + each * (slice / workers) as u32;
                let attempt = trace.attempts[0].clone();
                super::super::Attempt { slice, worker: slice % workers, begin, end: begin + each, ..attempt }
            })
            .collect();
        let html = Page::new("many").job("many", many.record().unwrap()).html();
        assert!(html.len() < 3 << 20, "{} bytes", html.len());
        assert!(html.contains("136 more"), "workers that have no lane are counted");
    }
}
