//! What is put into the arguments and the environment of a program that is started for one slice.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use super::manifest::variable;
use crate::error::advice;
use crate::worker::Worker;

/// The words that are replaced in arguments, and set in the environment of a program that is started for one slice, or for one `step` of it.
pub(super) fn words(worker: &Worker<'_>, cells: &[Range<usize>], step: Option<u32>) -> Vec<(&'static str, String)> {
    /// Of each axis that is cut.
    const ENDS: [(&str, &str); 4] = [("start", "end"), ("start1", "end1"), ("start2", "end2"), ("start3", "end3")];
    let mut words = vec![
        ("rank", worker.rank().to_string()),
        ("size", worker.workers().to_string()),
        ("slice", worker.region().index().to_string()),
    ];
    for (range, (start, end)) in cells.iter().zip(ENDS) {
        words.extend([(start, range.start.to_string()), (end, range.end.to_string())]);
    }
    words.extend(step.map(|step| ("step", step.to_string())));
    words
}

/// The variables that say which plane of this name a step reads, and which it writes.
pub(super) fn in_turn(name: &str, fds: &[OwnedFd; 2], step: u32) -> [(OsString, OsString); 2] {
    let [even, odd] = fds.each_ref().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let [old, new] = if step.is_multiple_of(2) { [even, odd] } else { [odd, even] };
    [("OLD", old), ("NEW", new)].map(|(role, path)| (format!("PARFORK_{role}_{}", variable(name)).into(), path.into()))
}

/// An argument with such words replaced.
pub(super) fn replaced(argument: &OsStr, words: &[(&str, String)]) -> OsString {
    // What is not text has no such words in it.
    let Some(text) = argument.to_str() else { return argument.to_owned() };
    words.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value)).into()
}

/// Why a program cannot be started, and what to do.
pub(super) fn cannot_start(program: &OsStr, error: &std::io::Error) -> String {
    let why = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such program, or not the interpreter that its first line names".to_owned()
        }
        _ if error.raw_os_error() == Some(libc::EACCES) && lacks_permission(program) => {
            "it may not be executed; chmod +x allows it".to_owned()
        }
        _ => format!("{error}. {}", advice(error)),
    };
    format!("the program `{}` cannot be started: {why}", program.display())
}

/// Whether that is a file which nobody may execute, where programs are looked for.
fn lacks_permission(program: &OsStr) -> bool {
    let is_path = program.as_bytes().contains(&b'/');
    let folders = std::env::var_os("PATH").filter(|_| !is_path).unwrap_or_default();
    let places = std::env::split_paths(&folders).map(|folder| folder.join(program));
    let mut places = places.chain(is_path.then(|| program.into()));
    places.any(|place| place.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 == 0))
}
