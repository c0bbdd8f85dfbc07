//! What is measured, as data: the job, its sizes, and how it grows.

use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use parfork_workers::filter::{Border, Filter};
use parfork_workers::reduce::Op;
use serde_json::{Value, json};

use super::args::{self, Array, Size};
use crate::failure::Failure;

/// A job without its size.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// A product of given matrices, or of noise in single or double precision.
    Matmul { inputs: Option<[PathBuf; 2]>, single: bool },
    /// A chain of filters on a given picture, or a made-up one.
    Image { input: Option<PathBuf>, filters: Vec<Filter>, border: Border },
    /// A view, whose size is the job's.
    Mandelbrot { center: (f64, f64), zoom: f64, iterations: u32 },
    /// A reduction of a given array, or of noise in double precision.
    Reduce { op: Op, input: Option<PathBuf> },
    /// A command and its arguments.
    Exec { command: Vec<String> },
}

impl From<args::Job> for Job {
    fn from(typed: args::Job) -> Self {
        let reduce = |op, Array { input }| Self::Reduce { op, input };
        match typed {
            args::Job::Matmul { a, b, dtype } => {
                Self::Matmul { inputs: a.zip(b).map(|(a, b)| [a, b]), single: dtype == "f32" }
            }
            args::Job::Image { input, filters, border } => Self::Image { input, filters, border },
            args::Job::Mandelbrot { center, zoom, iterations } => Self::Mandelbrot { center, zoom, iterations },
            args::Job::Sum(array) => reduce(Op::Sum, array),
            args::Job::Mean(array) => reduce(Op::Mean, array),
            args::Job::Min(array) => reduce(Op::Min, array),
            args::Job::Max(array) => reduce(Op::Max, array),
            args::Job::Norm(array) => reduce(Op::Norm, array),
            args::Job::Exec { command } => Self::Exec { command },
        }
    }
}

impl Job {
    /// Its name in the command.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Matmul { .. } => "matmul",
            Self::Image { .. } => "image",
            Self::Mandelbrot { .. } => "mandelbrot",
            Self::Reduce { op, .. } => op.name(),
            Self::Exec { .. } => "exec",
        }
    }

    /// For people, without its size.
    pub fn title(&self) -> String {
        let of =
            |input: &Option<PathBuf>| input.as_ref().map_or(String::new(), |path| format!(" of {}", path.display()));
        match self {
            Self::Matmul { inputs: Some([a, b]), .. } => format!("matmul of {} and {}", a.display(), b.display()),
            Self::Matmul { single, .. } => format!("matmul, {}", if *single { "f32" } else { "f64" }),
            Self::Image { input, filters, .. } => {
                let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
                format!("image{}, {}", of(input), filters.join(", "))
            }
            Self::Mandelbrot { center, zoom, iterations } => {
                format!("mandelbrot at {},{}, zoom {zoom}, {iterations} iterations", center.0, center.1)
            }
            Self::Reduce { op, input } => format!("{op}{}", of(input)),
            Self::Exec { command } => command.join(" "),
        }
    }

    /// The files it reads.
    fn inputs(&self) -> Vec<&PathBuf> {
        match self {
            Self::Matmul { inputs, .. } => inputs.iter().flatten().collect(),
            Self::Image { input, .. } | Self::Reduce { input, .. } => input.iter().collect(),
            Self::Mandelbrot { .. } | Self::Exec { .. } => Vec::new(),
        }
    }

    /// The sizes to run: those asked for, or what is usual for the job; none for an input that is given.
    pub fn sizes(&self, asked: &[Size], weak: bool) -> Result<Vec<Option<Size>>, Failure> {
        let (usual, lengths) = match self {
            Self::Matmul { .. } => (vec![1536], &[1, 3][..]),
            Self::Image { .. } => (vec![3000, 2000], &[2][..]),
            Self::Mandelbrot { .. } => (vec![2400, 1600], &[2][..]),
            Self::Reduce { .. } => (vec![1 << 25], &[1][..]),
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
        if let Some(wrong) = asked.iter().find(|size| !lengths.contains(&size.0.len())) {
            let form = match lengths {
                [1, 3] => "N or MxKxN, as in 1024 or 4096x512x4096",
                [2] => "WxH, as in 1920x1080",
                _ => "a number of elements, as in 20000000",
            };
            return Err(Failure::usage(format!("{wrong} is not a size of {}. Write {form}.", self.name())));
        }
        let asked: Vec<Option<Size>> = asked.iter().cloned().map(Some).collect();
        Ok(if asked.is_empty() { vec![Some(Size(usual))] } else { asked })
    }

    /// A job for so many workers: its size, and how many times the work of one it is.
    pub fn grown(&self, size: &Size, workers: usize) -> Result<(Size, f64), Failure> {
        let times = |length: usize| {
            length
                .checked_mul(workers)
                .ok_or_else(|| Failure::usage(format!("{size} times {workers} is too large a size.")))
        };
        Ok(match (self, &size.0[..]) {
            // The same view, sampled more finely: so all parts of it keep their share of the work.
            (Self::Mandelbrot { .. }, &[width, height]) => {
                let fine = |length: usize| (length as f64 * (workers as f64).sqrt()).round() as usize;
                let (wide, high) = (fine(width), fine(height));
                (Size(vec![wide, high]), (wide * high) as f64 / (width * height) as f64)
            }
            (Self::Image { .. }, &[width, height]) => (Size(vec![width, times(height)?]), workers as f64),
            (Self::Matmul { .. }, &[n]) => (Size(vec![times(n)?, n, n]), workers as f64),
            (_, lengths) => {
                let mut lengths = lengths.to_vec();
                lengths[0] = times(lengths[0])?;
                (Size(lengths), workers as f64)
            }
        })
    }

    /// For another process of this program.
    pub fn to_json(&self) -> Value {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        match self {
            Self::Matmul { inputs, single } => {
                let inputs = inputs.as_ref().map(|inputs| inputs.each_ref().map(text));
                json!({ "name": self.name(), "inputs": inputs, "single": single })
            }
            Self::Image { input, filters, border } => {
                let filters: Vec<String> = filters.iter().map(ToString::to_string).collect();
                json!({ "name": self.name(), "input": input.as_ref().map(text), "filters": filters, "border": border.to_string() })
            }
            Self::Mandelbrot { center, zoom, iterations } => {
                json!({ "name": self.name(), "center": [center.0, center.1], "zoom": zoom, "iterations": iterations })
            }
            Self::Reduce { input, .. } => json!({ "name": self.name(), "input": input.as_ref().map(text) }),
            Self::Exec { command } => json!({ "name": self.name(), "command": command }),
        }
    }

    /// What another process of this program wrote.
    pub fn of_json(json: &Value) -> Option<Self> {
        let path = |value: &Value| value.as_str().map(PathBuf::from);
        let texts = |key: &str| json[key].as_array()?.iter().map(|text| text.as_str()).collect::<Option<Vec<_>>>();
        Some(match json["name"].as_str()? {
            "matmul" => {
                let inputs = path(&json["inputs"][0]).zip(path(&json["inputs"][1]));
                Self::Matmul { inputs: inputs.map(|(a, b)| [a, b]), single: json["single"].as_bool()? }
            }
            "image" => Self::Image {
                input: path(&json["input"]),
                filters: texts("filters")?.into_iter().map(|text| text.parse().ok()).collect::<Option<_>>()?,
                border: json["border"].as_str()?.parse().ok()?,
            },
            "mandelbrot" => Self::Mandelbrot {
                center: (json["center"][0].as_f64()?, json["center"][1].as_f64()?),
                zoom: json["zoom"].as_f64()?,
                iterations: json["iterations"].as_u64()?.try_into().ok()?,
            },
            "exec" => Self::Exec { command: texts("command")?.into_iter().map(str::to_owned).collect() },
            name => Self::Reduce { op: name.parse().ok()?, input: path(&json["input"]) },
        })
    }

    /// What tells it from others whose times must not be mixed with its own: also which files lie under the names of its inputs.
    pub fn identity(&self) -> Result<Value, Failure> {
        let stamp = |path: &&PathBuf| {
            let found = fs::metadata(path).map_err(|error| {
                Failure::input(format!("{} cannot be read ({error}). Look at its name.", path.display()))
            })?;
            let changed = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            Ok(json!([found.len(), changed.map(|time| time.as_secs_f64())]))
        };
        let mut identity = self.to_json();
        identity["files"] = self.inputs().iter().map(stamp).collect::<Result<Vec<_>, Failure>>()?.into();
        Ok(identity)
    }
}

fn exec_sizes(command: &[String], asked: &[Size], weak: bool) -> Result<Vec<Option<Size>>, Failure> {
    let takes = |what: &str| command.iter().any(|word| word.contains(what));
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

    fn size(text: &str) -> Size {
        text.parse().unwrap()
    }

    #[test]
    fn jobs_go_to_another_process_and_back() {
        let exec = ["./prog", "--threads", "{workers}"].map(String::from).to_vec();
        for job in [
            Job::Matmul { inputs: None, single: true },
            Job::Matmul { inputs: Some(["a b.npy".into(), "c.npy".into()]), single: false },
            Job::Image {
                input: Some("p.png".into()),
                filters: vec!["gaussian:1.5".parse().unwrap(), "resize:3x4".parse().unwrap()],
                border: "constant:7".parse().unwrap(),
            },
            Job::Mandelbrot { center: (-0.1, 1e-9), zoom: 0.3, iterations: 77 },
            Job::Reduce { op: Op::Norm, input: None },
            Job::Exec { command: exec },
        ] {
            let text = job.to_json().to_string();
            assert_eq!(Job::of_json(&serde_json::from_str(&text).unwrap()), Some(job));
        }
        assert_eq!(Job::of_json(&json!({ "name": "frobnicate" })), None);
    }

    #[test]
    fn jobs_grow_with_their_workers() {
        let grown = |job: &Job, text: &str, workers| job.grown(&size(text), workers).unwrap();
        let matmul = Job::Matmul { inputs: None, single: false };
        assert_eq!(grown(&matmul, "100", 3), (size("300x100x100"), 3.0));
        assert_eq!(grown(&matmul, "10x20x30", 2), (size("20x20x30"), 2.0));
        let view = Job::Mandelbrot { center: (0.0, 0.0), zoom: 1.0, iterations: 10 };
        assert_eq!(grown(&view, "300x200", 4), (size("600x400"), 4.0));
        let (fine, work) = grown(&view, "300x200", 2);
        assert_eq!((fine, (work - 2.0).abs() < 0.01), (size("424x283"), true));
        assert_eq!(grown(&Job::Reduce { op: Op::Sum, input: None }, "7", 5), (size("35"), 5.0));
        assert!(matmul.grown(&Size(vec![usize::MAX]), 2).is_err());
    }

    #[test]
    fn sizes_suit_the_job() {
        let image = Job::Image { input: None, filters: Vec::new(), border: Border::default() };
        assert_eq!(image.sizes(&[], false).unwrap(), [Some(size("3000x2000"))]);
        assert!(image.sizes(&[size("5")], false).is_err());
        let given = Job::Reduce { op: Op::Sum, input: Some("a.npy".into()) };
        assert_eq!(given.sizes(&[], false).unwrap(), [None]);
        assert!(given.sizes(&[size("5")], false).is_err() && given.sizes(&[], true).is_err());
        let exec = |word: &str| Job::Exec { command: vec!["p".into(), word.into()] };
        assert_eq!(exec("{workers}").sizes(&[], false).unwrap(), [None]);
        assert!(exec("{workers}").sizes(&[], true).is_err() && exec("{workers}").sizes(&[size("5")], false).is_err());
        assert!(exec("{size}").sizes(&[], false).is_err() && exec("n={size}").sizes(&[size("5")], true).is_ok());
    }
}
