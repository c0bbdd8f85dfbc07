//! `parfork exec` as typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::names::{Input, Output, RULE};
use crate::args::common::{Common, PerAxis, per_axis};
use parfork::Border;

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:
  parfork exec --in a.npy --in b.npy --out c.npy -n 4 -- python3 add.py
  parfork exec --in photo.png --out soft.npy:f32:480x640 --split tiles=64x64 -- ./soften
  parfork exec --in a.npy --out b.npy --split rows=100 --each -- sh -c 'tool --rows {{start}}:{{end}} $PARFORK_IN_A $PARFORK_OUT_B'
  parfork exec --planes plate=hot.npy --out plate=after.npy --steps 1000 -n 4 -- python3 heat.py
  parfork exec --client python > parfork.py

N copies of PROGRAM run. Each has descriptors of the arrays, a manifest (PARFORK_MANIFEST), and the paths PARFORK_IN_NAME and \
     PARFORK_OUT_NAME, whose elements begin at the byte PARFORK_OFFSET_NAME. It reads lines `slice START END` and answers `done` or `failed WHY` to each, until its input ends. \
     docs/protocol.md has all of it.

{RULE}"))]
pub struct Exec {
    /// Array to read: .npy, or a picture as rows x columns x channels. Its name is the file's, without the ending
    #[arg(long = "in", value_name = "[NAME=]FILE", value_parser = OsStringValueParser::new().try_map(|text| Input::parse(&text)))]
    pub inputs: Vec<Input>,
    /// Array to write, .npy or picture; the first is cut into slices. Type (u8, i32, f64, ...) and shape are the first input's
    #[arg(long = "out", value_name = "[NAME=]FILE[:TYPE[:SHAPE]]",
        value_parser = OsStringValueParser::new().try_map(|text| Output::parse(&text)))]
    pub outputs: Vec<Output>,
    /// Array to do --steps on: .npy, or a picture. What the last step leaves goes to the --out of the same name
    #[arg(long, value_name = "[NAME=]START", value_parser = OsStringValueParser::new().try_map(|text| Input::parse(&text)), requires = "steps")]
    pub planes: Vec<Input>,
    /// How many steps PROGRAM does on each slice of --planes, each of which reads what the one before has left
    #[arg(long, value_name = "N", requires = "planes")]
    pub steps: Option<u32>,
    /// How many cells a step reads beyond those of its slice, on each side: of all axes, or as in 1x0 of each [default: 1]
    #[arg(long, value_name = "CELLS", requires = "planes", value_parser = per_axis)]
    pub margin: Option<PerAxis>,
    /// What is beyond the edges of --planes: keep, wrap, reflect101, replicate, constant:V [default: keep]
    #[arg(long, value_name = "BORDER", requires = "planes")]
    pub border: Option<Border<f64>>,
    /// How many steps a worker goes on with a part of --planes while that is in its cache
    #[arg(long, value_name = "D", requires = "planes")]
    pub depth: Option<u32>,
    /// Where slices of the axis that is cut end, the last at its own end, as in 10,15,100: for rows of uneven weight
    #[arg(long, value_name = "END,...", value_delimiter = ',')]
    pub bounds: Vec<usize>,
    /// Start PROGRAM once for each slice, and for each of its --steps: with {start}, {end} ({start1}, {end1}, ...), {step}, {slice}, {rank} and
    /// {size} replaced in its arguments. It exits with 0 when the slice is done
    #[arg(long)]
    pub each: bool,
    /// Let PROGRAM inherit no environment
    #[arg(long)]
    pub clear_env: bool,
    /// Set a variable for PROGRAM, or with --clear-env let it inherit one
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub env: Vec<OsString>,
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
