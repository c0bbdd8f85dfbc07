//! What a run leaves besides its result: a page for people, a trace for Perfetto, some lines on a terminal.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use parfork::Report;
use parfork::formats::Landing;
use parfork::formats::picture::{self, Picture};
use parfork::record::{Page, Record, trace};

use crate::args::Common;
use crate::failure::Failure;
use crate::replay;

/// The files that were asked for, opened before the work so that a folder that is missing is found then.
pub struct Views {
    report: Option<Landing>,
    trace: Option<Landing>,
    /// The result, small.
    picture: Option<Vec<u8>>,
}

/// Pixels a side of the result on a page: some 50 kB.
const PICTURE: usize = 480;

impl Common {
    /// Whether anybody will look at what is recorded.
    pub fn is_recorded(&self) -> bool {
        self.report.is_some() || self.trace.is_some() || self.json || self.tells_more()
    }

    /// Whether what is told goes to somebody who sits there.
    fn tells_more(&self) -> bool {
        !self.quiet && !self.json && std::io::stderr().is_terminal()
    }

    /// Opens the files.
    pub fn views(&self) -> Result<Views, Failure> {
        let open = |path: &Option<PathBuf>| path.as_ref().map(Landing::at).transpose().map_err(Failure::job);
        Ok(Views { report: open(&self.report)?, trace: open(&self.trace)?, picture: None })
    }
}

impl Views {
    /// Keeps a small copy of the result, if there is a page to show it.
    pub fn keep_picture(&mut self, result: &Picture) {
        self.picture = self.report.is_some().then(|| picture::thumbnail(result, PICTURE)).filter(|png| !png.is_empty());
    }

    /// Writes the files: of what was run, of the jobs by their names, and of the one that coded the output.
    pub fn write(
        self,
        command: &str,
        line: &str,
        jobs: &[(String, &Report)],
        filing: Option<&Report>,
    ) -> Result<(), Failure> {
        let mut records: Vec<(String, &Record)> =
            jobs.iter().filter_map(|(name, report)| Some((name.clone(), report.record()?))).collect();
        let results = records.len();
        records.extend(filing.and_then(Report::record).map(|record| ("writing the file".to_owned(), record)));
        if let Some(landing) = self.report {
            let typed: Vec<String> = std::env::args_os().map(|word| replay::quote(&word.to_string_lossy())).collect();
            let mut page = Page::new(format!("parfork {command}")).fact("What", line).fact("Command", typed.join(" "));
            for (number, (name, record)) in records.iter().enumerate() {
                page = page.job(name, record);
                if let Some(picture) = self.picture.clone().filter(|_| number + 1 == results) {
                    page = page.picture(picture);
                }
            }
            write(landing, &page.html())?;
        }
        if let Some(landing) = self.trace {
            write(landing, &trace(records.iter().map(|(name, record)| (name.as_str(), *record))))?;
        }
        Ok(())
    }
}

fn write(mut landing: Landing, text: &str) -> Result<(), Failure> {
    landing.write_all(text.as_bytes()).map_err(|error| Failure::job(landing.failed(&error)))?;
    landing.land().map_err(Failure::job)
}

/// Shows on a terminal what each worker did.
pub fn show(common: &Common, reports: &[Report]) {
    if common.tells_more() {
        let columns = terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        for record in reports.iter().filter_map(Report::record) {
            eprint!("{}", record.summary(columns));
        }
    }
}
