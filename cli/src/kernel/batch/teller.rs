//! What is told of many inputs while they are done, and at the end.

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::Instant;

use parfork_workers::simd::Level;
use serde_json::{Map, Value, json};

use super::plan::Plan;
use crate::failure::Failure;
use crate::files;
use crate::job::SCHEMA;
use crate::kernel::args::Typed;
use crate::output::{self, Bar};
use crate::screen;

/// The exit code when some were set aside.
const SOME_SET_ASIDE: u8 = 5;

/// What was told so far.
pub struct Teller<'p> {
    command: &'static str,
    plan: &'p Plan,
    json: bool,
    /// Whether somebody still reads that.
    is_read: bool,
    quiet: bool,
    bar: Option<Bar>,
    began: Instant,
    /// Of each input, whether it was told.
    told: Vec<bool>,
    /// What is said but once.
    said_once: HashSet<String>,
    done: usize,
    /// Bytes of those.
    bytes: u64,
    skipped: usize,
    set_aside: usize,
    /// The exit code of the first that was.
    first: Option<u8>,
}

impl<'p> Teller<'p> {
    pub fn new(typed: &Typed, plan: &'p Plan, began: Instant) -> Self {
        let (command, quiet) = (typed.kernel.name(), typed.common.quiet);
        let bar = (!quiet && screen::can_erase()).then(|| Bar::new(command));
        let told = vec![false; plan.inputs.len()];
        let json = typed.common.json;
        let (done, bytes, skipped, set_aside, first) = (0, 0, 0, 0, None);
        Self {
            command,
            plan,
            json,
            is_read: json,
            quiet,
            bar,
            began,
            told,
            said_once: HashSet::new(),
            done,
            bytes,
            skipped,
            set_aside,
            first,
        }
    }

    /// Tells what was said of an input by whoever did it; once, also if a worker died just when it had said so and another did it again.
    pub fn hear(&mut self, said: &Value) {
        let at = said["at"].as_u64().and_then(|at| usize::try_from(at).ok());
        let Some(at) = at.filter(|&at| self.told.get(at) == Some(&false)) else { return };
        match (said["code"].as_u64(), said["text"].as_str()) {
            (Some(code), Some(text)) => self.set_aside(at, code as u8, text),
            _ => self.done(at, said),
        }
    }

    fn done(&mut self, at: usize, said: &Value) {
        let input = &self.plan.inputs[at];
        self.told[at] = true;
        (self.done, self.bytes) = (self.done + 1, self.bytes + input.bytes);
        if !self.quiet {
            if said["in_place"] == true {
                self.say(&format!("{} {}", input.output.display(), files::IN_PLACE));
            }
            let texts = |of: &str| said[of].as_array().into_iter().flatten().filter_map(Value::as_str);
            for warning in texts("warnings") {
                self.say(&format!("{}: {warning}", input.path.display()));
            }
            for warning in
                texts("warnings_once").filter(|warning| !self.said_once.contains(*warning)).collect::<Vec<_>>()
            {
                self.said_once.insert(warning.to_owned());
                self.say(&format!("{}: {warning}; of others this is not said again", input.path.display()));
            }
        }
        if self.is_read {
            let mut line = self.line(at, "done");
            line.extend(said["facts"].as_object().cloned().unwrap_or_default());
            line.insert("wall_seconds".into(), said["seconds"].clone());
            line.insert("simd".into(), json!(Level::current().ok().map(|level| level.to_string())));
            self.print(line);
        }
    }

    /// An input whose output is there.
    pub fn skip(&mut self, at: usize) {
        self.told[at] = true;
        self.skipped += 1;
        if self.is_read {
            let line = self.line(at, "skipped");
            self.print(line);
        }
    }

    /// An input that cannot be done: an exit code, and why.
    pub fn set_aside(&mut self, at: usize, code: u8, text: &str) {
        let path = self.plan.inputs[at].path.display().to_string();
        self.told[at] = true;
        self.set_aside += 1;
        self.first.get_or_insert(code);
        let text = text.strip_prefix(&format!("{path}: ")).unwrap_or(text);
        self.say(&format!("{path} is set aside: {text}"));
        if self.is_read {
            let mut line = self.line(at, "set aside");
            line.insert("error".into(), json!(text));
            line.insert("code".into(), json!(code));
            self.print(line);
        }
    }

    /// Whether nothing was told of an input so far.
    pub fn is_open(&self, at: usize) -> bool {
        !self.told[at]
    }

    /// How many are done.
    pub fn count(&self) -> usize {
        self.done
    }

    /// The exit code of the first that was set aside.
    pub fn first(&self) -> Option<u8> {
        self.first
    }

    /// Shows on a terminal how far it is.
    pub fn show(&mut self) {
        let (told, all) = (self.told.iter().filter(|told| **told).count(), self.told.len());
        let speed = self.megabytes() / self.began.elapsed().as_secs_f64().max(1e-9);
        if let Some(bar) = self.bar.as_mut().filter(|_| told < all) {
            bar.show(told, all, &format!("files, {speed:.1} MB/s"));
        }
    }

    /// Tells all of it, in a line.
    pub fn end(mut self, who: &str) -> Result<(), Failure> {
        self.bar = None;
        if !self.quiet && !self.json {
            let (all, took) = (output::count(self.told.len(), "picture"), self.began.elapsed());
            let seconds = took.as_secs_f64().max(1e-9);
            let (rate, speed) = (self.done as f64 / seconds, self.megabytes() / seconds);
            let mut line = format!("{} of {all} {who} in {}", self.done, output::duration(took));
            if self.done > 0 {
                line += &format!(", {rate:.1} pictures/s, {speed:.1} MB/s");
            }
            for (number, what) in
                [(self.skipped, "left out, for their outputs are there"), (self.set_aside, "set aside")]
            {
                if number > 0 {
                    line += &format!("; {number} {what}");
                }
            }
            self.say(&line);
        }
        if self.set_aside > 0 { Err(Failure::Left(SOME_SET_ASIDE)) } else { Ok(()) }
    }

    fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6
    }

    /// What programs are told of every input.
    fn line(&self, at: usize, status: &str) -> Map<String, Value> {
        let input = &self.plan.inputs[at];
        let line = json!({
            "schema": SCHEMA,
            "command": self.command,
            "status": status,
            "input": files::name(&input.path),
            "output": files::name(&input.output),
            "lossy": files::lossy([&input.path, &input.output]),
            "input_bytes": input.bytes,
        });
        if let Value::Object(line) = line { line } else { Map::new() }
    }

    /// A line for programs, as long as one listens.
    fn print(&mut self, line: Map<String, Value>) {
        self.is_read = output::print_json(&Value::Object(line)).is_ok();
    }

    /// A line for people.
    fn say(&mut self, text: &str) {
        if let Some(bar) = &mut self.bar {
            bar.clear();
        }
        let _ = writeln!(io::stderr(), "parfork: {text}");
    }
}
