//! What is to be run.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A program with its arguments, and how its copies are started.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) name: OsString,
    pub(super) arguments: Vec<OsString>,
    pub(super) each: bool,
    pub(super) clear: bool,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) readable: Vec<PathBuf>,
}

impl Program {
    /// A program, found as a shell finds it.
    pub fn new(name: impl Into<OsString>) -> Self {
        Self {
            name: name.into(),
            arguments: Vec::new(),
            each: false,
            clear: false,
            environment: Vec::new(),
            readable: Vec::new(),
        }
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Whether it is started anew for each slice, and for each step of it if there are steps, for programs that know nothing of the protocol.
    /// `{start}`, `{end}`, `{start1}`, `{end1}` (of the second axis that is cut, and so on), `{step}`, `{slice}`, `{rank}` and `{size}` in its
    /// arguments are replaced; it leaves with status 0 when the slice is done.
    pub fn each(mut self, each: bool) -> Self {
        self.each = each;
        self
    }

    /// Whether it inherits no variable of this process's environment.
    pub fn clear_environment(mut self, clear: bool) -> Self {
        self.clear = clear;
        self
    }

    /// Sets a variable in its environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds a file or folder that it may read, and run, in a [sandbox](crate::Sandbox). Others are: the system's programs and libraries, its
    /// own file (of the interpreter of a Python environment, all of that), and the files that its arguments name.
    pub fn allow_read(mut self, path: impl Into<PathBuf>) -> Self {
        self.readable.push(path.into());
        self
    }

    /// What people call it: the last part of its path.
    pub(super) fn title(&self) -> String {
        std::path::Path::new(&self.name).file_name().unwrap_or(OsStr::new("?")).to_string_lossy().into_owned()
    }
}
