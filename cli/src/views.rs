//! What a run leaves besides its result: a page for people, a trace for Perfetto, some lines on a terminal.

use std::cell::{OnceCell, RefCell};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::rc::Rc;

use parfork::formats::OutputFile;
use parfork::{OnFailure, Report};
use parfork_workers::picture::{self, Picture};

use crate::args::common::Common;
use crate::failure::Failure;
use crate::files::{self, FileUses};
use crate::record::{Page, Record, trace};
use crate::replay;

/// The files that were asked for, opened before the work so that a folder that is missing is found then. A job that fails writes
/// them too.
pub struct Views {
    /// The subcommand.
    command: &'static str,
    files: Rc<RefCell<Files>>,
    /// The result, small.
    picture: OnceCell<Vec<u8>>,
}

/// Empty when they are written.
struct Files {
    report: Option<OutputFile>,
    trace: Option<OutputFile>,
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

    /// The files that it writes besides results, and what it prints.
    pub fn uses(&self) -> FileUses<'_> {
        let others = self.report.iter().chain(&self.trace).map(PathBuf::as_path).collect();
        FileUses { others, prints: self.json.then_some("the report of --json"), ..FileUses::default() }
    }

    /// Opens the files for a subcommand.
    pub fn views(&self, command: &'static str) -> Result<Views, Failure> {
        let open = |path: &Option<PathBuf>| path.as_ref().map(|path| files::open(path, self.quiet)).transpose();
        let files = Files { report: open(&self.report)?, trace: open(&self.trace)? };
        Ok(Views { command, files: Rc::new(RefCell::new(files)), picture: OnceCell::new() })
    }
}

impl Views {
    /// Keeps a small copy of the result, if there is a page to show it.
    pub fn keep_picture(&self, result: &Picture) {
        if self.files.borrow().report.is_some() {
            // There is one result.
            let _ = self.picture.set(picture::thumbnail(result, PICTURE));
        }
    }

    /// Writes the files of a job by its name when it fails, if there are any.
    pub fn of_failure(&self, name: &str) -> Option<OnFailure<'static>> {
        let (command, name, files) = (self.command, name.to_owned(), Rc::clone(&self.files));
        let asked = files.borrow().report.is_some() || files.borrow().trace.is_some();
        let write = move |report: Report| {
            let Some(record) = report.record() else { return };
            let page = page(command, &name).job(&name, record);
            if let Err(failure) = files.borrow_mut().write(&page, &[(name.clone(), record)]) {
                let _ = failure.tell();
            }
        };
        asked.then(|| Box::new(write) as OnFailure<'static>)
    }

    /// Writes the files: of what was run, of the jobs by their names, and of the one that coded the output.
    pub fn write(self, line: &str, jobs: &[(String, &Report)], filing: Option<&Report>) -> Result<(), Failure> {
        let mut records: Vec<(String, Record<'_>)> =
            jobs.iter().filter_map(|(name, report)| Some((name.clone(), report.record()?))).collect();
        let results = records.len();
        records.extend(filing.and_then(Report::record).map(|record| ("writing the file".to_owned(), record)));
        let mut page = page(self.command, line);
        for (number, (name, record)) in records.iter().enumerate() {
            page = page.job(name, *record);
            let picture = self.picture.get().filter(|png| number + 1 == results && !png.is_empty());
            if let Some(picture) = picture {
                page = page.picture(picture.clone());
            }
        }
        self.files.borrow_mut().write(&page, &records)
    }
}

impl Files {
    fn write(&mut self, page: &Page<'_>, records: &[(String, Record<'_>)]) -> Result<(), Failure> {
        if let Some(target_file) = self.report.take() {
            files::write(target_file, &page.html())?;
        }
        if let Some(target_file) = self.trace.take() {
            files::write(target_file, &trace(records.iter().map(|(name, record)| (name.as_str(), *record))))?;
        }
        Ok(())
    }
}

/// A page without jobs: what was typed, and what that was.
fn page<'r>(command: &str, line: &str) -> Page<'r> {
    let typed: Vec<String> = std::env::args_os().map(|word| replay::quote(&word)).collect();
    Page::new(format!("parfork {command}")).fact("What", line).fact("Command", typed.join(" "))
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
