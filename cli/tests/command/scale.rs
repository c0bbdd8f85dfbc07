//! `parfork scale` as a user types it: what it runs, keeps, tells and leaves; stopped and gone on with; and what it refuses.

mod folders;
mod measures;
mod refusals;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixture::Fixture;

/// Small enough to be over in a moment.
const SMALL: &str = "scale mandelbrot --sizes 60x40 --iterations 50 --workers 1,2 --repeat 5 -q";

/// A command that notes how it was called; from its third call on it waits until somebody writes to `gate`, or the gate is a plain file.
const NOTE: &str = "echo $$ $1 $PARFORK_WORKERS >> log\n[ $(wc -l < log) -lt 3 ] || exec cat gate\n";
const NOTED: &str = "scale --workers 1,2 --repeat 3 --warm-up 0 -o out exec -- sh note.sh {workers}";

fn json(fixture: &Fixture, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(fixture.path(name)).unwrap()).unwrap()
}

fn lines(fixture: &Fixture, name: &str) -> Vec<String> {
    fs::read_to_string(fixture.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

impl Fixture {
    /// Runs a command that must fail so.
    fn refuses(&self, line: &str, code: i32, words: &str) {
        let output = self.run(line);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "parfork {line}: {text}");
        assert!(text.contains(words) && !text.contains("panicked"), "parfork {line}: {text} lacks {words}");
    }

    /// Runs one that must fail so, and change no runs in a folder.
    fn fails_in_folder(&self, folder: &str, line: &str, code: i32, words: &str) {
        let read = || fs::read_to_string(self.path(folder).join("runs.jsonl")).unwrap_or_default();
        let before = read();
        self.refuses(line, code, words);
        assert_eq!(read(), before, "parfork {line} changed runs");
    }
}
