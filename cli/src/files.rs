//! The files that a command reads and writes: which of them are one, how outputs are opened, what names are in JSON.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use parfork::formats::{Address, Location, OutputFile};
use parfork_workers::picture::DecodeWarning;
use serde_json::{Value, json};

use crate::failure::Failure;

/// What a command reads and writes.
#[derive(Debug, Default)]
pub struct FileUses<'p> {
    /// What it reads.
    pub inputs: Vec<&'p Path>,
    /// Where its results go. One may take the place of an input, which was read by then.
    pub results: Vec<&'p Path>,
    /// What else it writes.
    pub others: Vec<&'p Path>,
    /// What it prints on standard output, if something.
    pub prints: Option<&'static str>,
}

impl FileUses<'_> {
    /// Refuses outputs that would hit each other or an input, and inputs that can be read but once and are named twice.
    pub fn keep_apart(&self) -> Result<(), Failure> {
        let outputs: Vec<(&Path, Option<Location>)> =
            self.results.iter().chain(&self.others).map(|path| (*path, Location::of_output(path))).collect();
        let inputs: Vec<(&Path, Option<Location>)> =
            self.inputs.iter().map(|path| (*path, Location::of_input(path))).collect();
        for (number, output) in outputs.iter().enumerate() {
            if let Some(other) = outputs[..number].iter().find(|other| is_same(other, output)) {
                return Err(hit(output.0, &format!("the output {}", other.0.display())));
            }
            if number >= self.results.len()
                && let Some(input) = inputs.iter().find(|input| is_same(input, output))
            {
                return Err(hit(output.0, &format!("the input {}", input.0.display())));
            }
            if let Some(what) = self.prints
                && output.1.is_some()
                && output.1 == Location::of_output("-")
            {
                return Err(hit(output.0, what));
            }
        }
        let twice = |(number, input): (usize, &(&Path, _))| {
            Address::of(input.0).is_stream() && inputs[..number].iter().any(|other| is_same(other, input))
        };
        match inputs.iter().enumerate().find(|input| twice(*input)) {
            Some((_, (path, _))) => Err(Failure::usage(format!(
                "{} can be read but once, and is named twice. Save what comes through it to a file, and name that.",
                path.display()
            ))),
            None => Ok(()),
        }
    }
}

fn is_same((_, one): &(&Path, Option<Location>), (_, other): &(&Path, Option<Location>)) -> bool {
    one.is_some() && one == other
}

fn hit(output: &Path, other: &str) -> Failure {
    let output = output.display();
    Failure::usage(format!("the output {output} would go where {other} is. Name another for one of them."))
}

/// Whether what goes to an output of this name is an array, and not a picture: .npy files, segments, standard output, pipes without
/// an ending.
pub fn is_array(path: &Path) -> bool {
    match Address::of(path) {
        Address::Standard | Address::Segment(_) => true,
        Address::File(path) => is_npy(path) || path.extension().is_none() && Address::File(path).is_stream(),
    }
}

/// Whether a name ends as those of .npy files do.
pub fn is_npy(path: &Path) -> bool {
    matches!(Address::of(path), Address::File(path) if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy")))
}

/// Opens an output; says if it cannot be replaced in one step.
pub fn open(path: &Path, quiet: bool) -> Result<OutputFile, Failure> {
    let out = OutputFile::open(path).map_err(Failure::filing)?;
    if out.is_in_place() && !quiet {
        let _ = writeln!(std::io::stderr(), "parfork: {} {IN_PLACE}", path.display());
    }
    Ok(out)
}

/// What is said of such an output.
pub const IN_PLACE: &str = "is mounted and cannot be replaced: it is written in place, which is not atomic";

/// Says what there is to say of a picture that was read.
pub fn warning(path: &Path, warning: DecodeWarning, quiet: bool) {
    if !quiet {
        let _ = writeln!(std::io::stderr(), "parfork: {}: {warning}", path.display());
    }
}

/// Writes a text, all of the output.
pub fn write(mut out: OutputFile, text: &str) -> Result<(), Failure> {
    out.write_all(text.as_bytes()).map_err(|error| Failure::filing(out.failed(&error)))?;
    out.commit().map_err(Failure::filing)
}

/// A name in JSON, which has texts alone: U+FFFD stands for bytes that are no UTF-8, and `lossy` says so.
pub fn name(path: impl AsRef<OsStr>) -> Value {
    json!(path.as_ref().to_string_lossy())
}

/// Whether one of these names is not in JSON as it is.
pub fn lossy(names: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Value {
    json!(names.into_iter().any(|name| name.as_ref().to_str().is_none()))
}
