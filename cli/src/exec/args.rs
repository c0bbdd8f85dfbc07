//! `parfork exec` as typed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use parfork::exec::Dtype;

use crate::args::Common;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  parfork exec --in a.npy --in b.npy --out c.npy -n 4 -- python3 add.py
  parfork exec --in photo.png --out soft.npy:f32:480x640 --split tiles=64x64 -- ./soften
  parfork exec --in a.npy --out b.npy --split rows=100 --each -- sh -c 'tool --rows {start}:{end} $PARFORK_IN_A $PARFORK_OUT_B'
  parfork exec --client python > parfork.py

N copies of PROGRAM run. Each has descriptors of the arrays, a manifest (PARFORK_MANIFEST), and the paths PARFORK_IN_NAME and \
     PARFORK_OUT_NAME. It reads lines `slice START END` and answers `done` or `failed WHY` to each, until its input ends. \
     docs/protocol.md has all of it.")]
pub struct Exec {
    /// Array to read: .npy, or a picture as rows x columns x channels. Its name is the file's, without the ending
    #[arg(long = "in", value_name = "[NAME=]FILE")]
    pub inputs: Vec<Input>,
    /// Array to write, .npy or picture; the first is cut into slices. Type (u8, i32, f64, ...) and shape are the first input's
    #[arg(long = "out", value_name = "[NAME=]FILE[:TYPE[:SHAPE]]")]
    pub outputs: Vec<Output>,
    /// Start PROGRAM once for each slice: with {start}, {end} ({start1}, {end1}), {slice}, {rank} and {size} replaced in its
    /// arguments. It exits with 0 when the slice is done
    #[arg(long)]
    pub each: bool,
    /// Let PROGRAM inherit no environment
    #[arg(long)]
    pub clear_env: bool,
    /// Set a variable for PROGRAM, or with --clear-env let it inherit one
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// A file or folder that PROGRAM may read with --sandbox, besides programs, libraries and the files that its arguments name
    #[arg(long, value_name = "PATH", requires = "sandbox")]
    pub allow_read: Vec<PathBuf>,
    /// Print the client for a language, a file to put beside the program, and do nothing else
    #[arg(long, value_name = "LANGUAGE", exclusive = true)]
    pub client: Option<Client>,
    #[command(flatten)]
    pub common: Common,
    /// The program and its arguments
    #[arg(last = true, required_unless_present = "client", value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// A language that a client is there for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Client {
    /// parfork.py, which needs NumPy
    Python,
    /// parfork.h, for C99 and C++
    C,
}

/// An input by name.
#[derive(Debug, Clone)]
pub struct Input {
    pub name: String,
    pub path: PathBuf,
}

/// An output by name, as far as it is given.
#[derive(Debug, Clone)]
pub struct Output {
    pub name: String,
    pub path: PathBuf,
    pub dtype: Option<Dtype>,
    pub shape: Option<Vec<usize>>,
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = named(text)?;
        Ok(Self { name, path: path.into() })
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let (name, path) = named(parts.next().unwrap_or_default())?;
        let dtype = parts.next().map(|word| word.parse::<Dtype>().map_err(|error| error.to_string())).transpose()?;
        let length = |length: &str| {
            length.parse().map_err(|_| "a shape is lengths with x between them. Write it as in 1000x1000.".to_owned())
        };
        let shape = parts.next().map(|lengths| lengths.split('x').map(length).collect::<Result<_, _>>()).transpose()?;
        match parts.next() {
            None => Ok(Self { name, path: path.into(), dtype, shape }),
            Some(_) => {
                Err("an output is FILE, FILE:TYPE or FILE:TYPE:SHAPE. Write it as in c.npy:f64:10x20.".to_owned())
            }
        }
    }
}

/// What stands before `=`, or else the file's name without its ending; and the file.
fn named(text: &str) -> Result<(String, &str), String> {
    let (name, path) = match text.split_once('=') {
        Some((name, path)) => (name.to_owned(), path),
        None => (Path::new(text).file_stem().unwrap_or_default().to_string_lossy().into_owned(), text),
    };
    match name.is_empty() || path.is_empty() {
        true => Err("an array is FILE or NAME=FILE. Write it as in a.npy or A=data/a.npy.".to_owned()),
        false => Ok((name, path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_named_typed_and_shaped() {
        let input: Input = "data/a.npy".parse().unwrap();
        assert_eq!((input.name.as_str(), input.path), ("a", PathBuf::from("data/a.npy")));
        let input: Input = "A=data/x=1.npy".parse().unwrap();
        assert_eq!((input.name.as_str(), input.path), ("A", PathBuf::from("data/x=1.npy")));
        let output: Output = "c.npy:f64:10x20".parse().unwrap();
        assert_eq!((output.dtype.unwrap().name(), output.shape), ("f64", Some(vec![10, 20])));
        let output: Output = "c.npy:u8".parse().unwrap();
        assert_eq!((output.dtype.unwrap().name(), output.shape), ("u8", None));
        for wrong in ["", "=a.npy", "A=", "c.npy:f8", "c.npy:f64:", "c.npy:f64:2x", "c.npy:f64:2:3"] {
            assert!(wrong.parse::<Output>().is_err(), "{wrong}");
        }
    }
}
