//! What is measured, as data: the job, its sizes, and how it grows.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use parfork::formats::Address;
use parfork::named;
use parfork_workers::kernel::{ArgValues, InScale, Kernel};
use serde_json::{Map, Value, json};

use super::args::{self, Size};
use crate::failure::Failure;
use crate::files;
use crate::kernel::args::Measured;
use crate::kernel::inputs;

/// A job without its size.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// A kernel on inputs that are given, or made up.
    Kernel { kernel: &'static dyn Kernel, given: ArgValues },
    /// A command and its arguments.
    Exec { command: Vec<OsString> },
}

impl From<args::Job> for Job {
    fn from(typed: args::Job) -> Self {
        match typed {
            args::Job::Kernel(Measured { kernel, given }) => Self::Kernel { kernel, given },
            args::Job::Exec { command } => Self::Exec { command },
        }
    }
}

impl Job {
    /// Its name in the command.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kernel { kernel, .. } => kernel.name(),
            Self::Exec { .. } => "exec",
        }
    }

    /// For people, without its size.
    pub fn title(&self) -> String {
        let (kernel, given) = match self {
            Self::Kernel { kernel, given } => (kernel, given),
            Self::Exec { command } => {
                return command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
            }
        };
        let files: Vec<String> = self.inputs().iter().map(|path| path.display().to_string()).collect();
        let of = if files.is_empty() { String::new() } else { format!(" of {}", files.join(" and ")) };
        // How inputs are made up is of no matter if they are given.
        let told = |only: InScale| files.is_empty() || only != InScale::Only;
        let parameters = kernel.args().iter().filter(|arg| !arg.is_input() && told(arg.in_scale));
        let parameters = parameters.filter_map(|arg| match given.list::<String>(arg.name) {
            values if values.is_empty() => None,
            values => Some(format!(", {} {}", arg.name, values.join(","))),
        });
        format!("{}{of}{}", kernel.name(), parameters.collect::<String>())
    }

    /// The files it reads.
    fn inputs(&self) -> Vec<&Path> {
        match self {
            Self::Kernel { kernel, given } => inputs(*kernel, given).collect(),
            Self::Exec { .. } => Vec::new(),
        }
    }

    /// The sizes to run: those asked for, or what is usual for the job; none for an input that is given.
    pub fn sizes(&self, asked: &[Size], weak: bool) -> Result<Vec<Option<Size>>, Failure> {
        let sizes = match self {
            Self::Kernel { kernel, .. } => kernel.sizes(),
            Self::Exec { command } => return exec_sizes(command, asked, weak),
        };
        if !self.inputs().is_empty() {
            return match (asked, weak) {
                ([], false) => Ok(vec![None]),
                ([], true) => Err(Failure::usage(
                    "a given input does not grow with the workers. Leave it away, and --weak makes inputs of every size.",
                )),
                _ => Err(Failure::usage("an input has its size. Leave --sizes away, or the input.")),
            };
        }
        if let Some(wrong) = asked.iter().find(|size| !sizes.lengths.contains(&size.0.len())) {
            let (form, example) = (sizes.form, sizes.example);
            return Err(Failure::usage(format!(
                "{wrong} is not a size of {}. Write {form}, as in {example}.",
                self.name()
            )));
        }
        let asked: Vec<Option<Size>> = asked.iter().cloned().map(Some).collect();
        Ok(if asked.is_empty() { vec![Some(Size(sizes.usual.to_vec()))] } else { asked })
    }

    /// A job for so many workers: its size, and how many times the work of one it is.
    pub fn grown(&self, size: &Size, workers: usize) -> Result<(Size, f64), Failure> {
        let grown = match self {
            Self::Kernel { kernel, .. } => kernel.grown(&size.0, workers),
            Self::Exec { .. } => size.0[0].checked_mul(workers).map(|first| {
                let lengths = [&[first], &size.0[1..]].concat();
                (lengths, workers as f64)
            }),
        };
        let (lengths, work) =
            grown.ok_or_else(|| Failure::usage(format!("{size} times {workers} is too large a size.")))?;
        Ok((Size(lengths), work))
    }

    /// For another process of this program.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Kernel { kernel, given } => {
                let given: Map<String, Value> = kernel
                    .args()
                    .iter()
                    .map(|arg| (arg.name.to_owned(), given.all(arg.name).iter().map(whole_name).collect()))
                    .collect();
                json!({ "name": kernel.name(), "given": given })
            }
            Self::Exec { command } => {
                let command: Value = command.iter().map(whole_name).collect();
                json!({ "name": self.name(), "command": command })
            }
        }
    }

    /// What another process of this program wrote.
    pub fn of_json(json: &Value) -> Option<Self> {
        let names = |list: &Value| list.as_array()?.iter().map(of_whole_name).collect::<Option<Vec<OsString>>>();
        let name = json["name"].as_str()?;
        if name == "exec" {
            return Some(Self::Exec { command: names(&json["command"])? });
        }
        let kernel = parfork_workers::kernel(name)?;
        let mut given = ArgValues::default();
        for arg in kernel.args() {
            let values = names(&json["given"][arg.name])?;
            let fits = |value: &OsString| arg.is_file() || value.to_str().is_some_and(|text| arg.check(text).is_ok());
            values.iter().all(fits).then_some(())?;
            given.enter(arg.name, values);
        }
        Some(Self::Kernel { kernel, given })
    }

    /// What tells it from others whose times must not be mixed with its own: also which files lie under the names of its inputs.
    pub fn identity(&self) -> Result<Value, Failure> {
        let stamp = |path: &&Path| {
            if let Address::Segment(name) = Address::of(path) {
                let info = named::info(&name.to_string_lossy())?;
                let made = info.created.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs());
                return Ok(json!([info.bytes, made, info.generation]));
            }
            if Address::of(path).is_stream() {
                return Err(Failure::usage(format!(
                    "{} can be read but once, and every run reads it. Save what comes through it to a file, and name that.",
                    path.display()
                )));
            }
            let found = fs::metadata(path).map_err(|error| {
                Failure::input(format!("{} cannot be read ({error}). Look at its name.", path.display()))
            })?;
            let changed = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            // Whole numbers, which come back from JSON as they went in.
            Ok(json!([found.len(), changed.map(|time| time.as_secs()), changed.map(|time| time.subsec_nanos())]))
        };
        let mut identity = self.to_json();
        identity["files"] = self.inputs().iter().map(stamp).collect::<Result<Vec<_>, Failure>>()?.into();
        Ok(identity)
    }
}

/// A name as it is: a text, or its bytes with the text that they come nearest to.
fn whole_name(name: &OsString) -> Value {
    match name.to_str() {
        Some(text) => json!(text),
        None => json!({ "lossy": files::name(name), "bytes": name.as_bytes() }),
    }
}

fn of_whole_name(json: &Value) -> Option<OsString> {
    if let Some(text) = json.as_str() {
        return Some(text.into());
    }
    let byte = |byte: &Value| byte.as_u64().and_then(|byte| byte.try_into().ok());
    json["bytes"].as_array()?.iter().map(byte).collect::<Option<Vec<u8>>>().map(OsString::from_vec)
}

fn exec_sizes(command: &[OsString], asked: &[Size], weak: bool) -> Result<Vec<Option<Size>>, Failure> {
    let takes = |what: &str| command.iter().any(|word| word.to_string_lossy().contains(what));
    match (asked.is_empty(), takes("{size}")) {
        (true, true) => Err(Failure::usage("the command has a {size}, and no size is given. Add --sizes.")),
        (false, false) => {
            Err(Failure::usage("the command has no {size} that would be replaced. Add one, or leave --sizes away."))
        }
        (true, false) if weak => Err(Failure::usage(
            "nothing in the command grows with the workers. Write {size} where it takes its size, and --sizes with that of one worker.",
        )),
        (true, false) => Ok(vec![None]),
        (false, true) => Ok(asked.iter().cloned().map(Some).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn size(text: &str) -> Size {
        text.parse().unwrap()
    }

    /// A kernel as it is typed.
    fn job(line: &str) -> Job {
        let words = format!("parfork scale {line}");
        let cli = crate::args::Cli::try_parse_from(words.split(' ')).unwrap();
        let crate::args::Command::Scale(scale) = cli.command else { unreachable!("typed so") };
        Job::from(scale.job)
    }

    #[test]
    fn jobs_go_to_another_process_and_back() {
        for line in [
            "matmul --dtype f32",
            "matmul a.npy c.npy",
            "image p.png -f gaussian:1.5,resize:3x4 --border constant:7",
            "mandelbrot --center=-0.1,1e-9 --zoom 0.3 --iterations 77",
            "norm",
            "transpose",
            "exec ./prog --threads {workers}",
        ] {
            let text = job(line).to_json().to_string();
            assert_eq!(Job::of_json(&serde_json::from_str(&text).unwrap()), Some(job(line)));
        }
        assert_eq!(Job::of_json(&json!({ "name": "frobnicate" })), None);
        let wrong = job("mandelbrot").to_json().to_string().replace("2000", "many");
        assert_eq!(Job::of_json(&serde_json::from_str(&wrong).unwrap()), None);
    }

    #[test]
    fn jobs_are_told_in_a_line() {
        let title = |line: &str| job(line).title();
        assert_eq!(title("matmul"), "matmul, dtype f64");
        assert_eq!(title("matmul a.npy b.npy"), "matmul of a.npy and b.npy");
        assert_eq!(title("image p.png -f gray,sobel"), "image of p.png, filter gray,sobel, border reflect101");
        assert_eq!(title("sum"), "sum");
    }

    #[test]
    fn jobs_grow_with_their_workers() {
        let grown = |line: &str, text: &str, workers| job(line).grown(&size(text), workers).unwrap();
        assert_eq!(grown("matmul", "100", 3), (size("300x100x100"), 3.0));
        assert_eq!(grown("mandelbrot", "300x200", 4), (size("600x400"), 4.0));
        assert_eq!(grown("sum", "7", 5), (size("35"), 5.0));
        assert_eq!(grown("exec true {size}", "7x2", 3), (size("21x2"), 3.0));
        assert!(job("matmul").grown(&Size(vec![usize::MAX]), 2).is_err());
    }

    #[test]
    fn sizes_suit_the_job() {
        assert_eq!(job("image").sizes(&[], false).unwrap(), [Some(size("3000x2000"))]);
        assert!(job("image").sizes(&[size("5")], false).is_err());
        let given = job("sum a.npy");
        assert_eq!(given.sizes(&[], false).unwrap(), [None]);
        assert!(given.sizes(&[size("5")], false).is_err() && given.sizes(&[], true).is_err());
        let exec = |word: &str| Job::Exec { command: vec!["p".into(), word.into()] };
        assert_eq!(exec("{workers}").sizes(&[], false).unwrap(), [None]);
        assert!(exec("{workers}").sizes(&[], true).is_err() && exec("{workers}").sizes(&[size("5")], false).is_err());
        assert!(exec("{size}").sizes(&[], false).is_err() && exec("n={size}").sizes(&[size("5")], true).is_ok());
    }
}
