//! `parfork scale` as typed.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use parfork::{Engine, Schedule, Split};

use super::rule::Rule;
use crate::args::common::number_of_workers;
use crate::kernel::args::{Measured, sizes_help};
use crate::quantity;

#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "JOB",
    subcommand_help_heading = "Jobs",
    after_help = "Examples:
  parfork scale mandelbrot --workers 1,2,4,8 --engines serial,threads,processes
  parfork scale matmul --sizes 512,2048 -o products --fail-if 'efficiency@2<0.8'
  parfork scale sum --weak --sizes 20000000 --workers 1,2
  parfork scale image photo.jpg --filter gaussian:3 --compare before/scaling.json
  parfork scale --workers 1,2,4 exec -- ./prog --threads {workers}

Every run is a process of its own, in an order that is new for each round. Runs are kept in DIR/runs.jsonl as they come: stop it, \
     and the same command goes on from there; with a larger --repeat, or more workers, only what is missing is run. DIR gets \
     table.txt, scaling.csv, scaling.json, hyperfine.json, extra-p.jsonl, bencher.json, the plots as SVG, and index.html."
)]
pub struct Scale {
    #[command(flatten)]
    pub flags: Flags,
    #[command(subcommand)]
    pub job: Job,
}

/// What may stand before the job's name or behind it.
#[derive(Debug, Clone, Args)]
pub struct Flags {
    /// Numbers of workers, as in 1,2,all [default: 1, 2, 4 and so on, up to the number of CPUs]
    #[arg(short = 'n', long, global = true, value_name = "N,...", value_delimiter = ',', value_parser = number_of_workers, allow_negative_numbers = true)]
    pub workers: Vec<usize>,
    /// Who works: serial (the run that speed-up is over), threads, processes [default: serial,processes]
    #[arg(long, global = true, value_name = "E,...", value_delimiter = ',')]
    pub engines: Vec<Engine>,
    /// The same job for every number of workers; this is the default
    #[arg(long, global = true, conflicts_with = "weak")]
    pub strong: bool,
    /// A job that grows with the workers: n times the size for n of them
    #[arg(long, global = true)]
    pub weak: bool,
    #[arg(long, help = sizes_help(), visible_alias = "size", global = true, value_name = "SIZE,...", value_delimiter = ',')]
    pub sizes: Vec<Size>,
    /// How slices are given out: static, dynamic, dynamic=CHUNK, guided [default: dynamic]
    #[arg(long, visible_alias = "schedule", global = true, value_name = "S,...", value_delimiter = ',')]
    pub schedules: Vec<Schedule>,
    /// Runs of each
    #[arg(long, global = true, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repeat: u32,
    /// Runs before that which do not count: in each process, or for exec once each
    #[arg(long, global = true, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=1000))]
    pub warm_up: u32,
    /// Time for one run, as in 90s; with more it is killed, and that is an error
    #[arg(long, global = true, value_name = "TIME", value_parser = quantity::time)]
    pub deadline: Option<Duration>,
    /// Decides on the order of runs and on what intervals draw
    #[arg(long, global = true, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Fit the laws also to runs with more workers than CPUs
    #[arg(long, global = true)]
    pub fit_oversubscribed: bool,
    /// Exit with 1 if this is so, and with 4 if there are too few runs to tell: efficiency, speedup or seconds @ workers, perhaps / engine, then <, <=, > or >= and a number
    #[arg(long, global = true, value_name = "RULE")]
    pub fail_if: Vec<Rule>,
    /// Also print how the times compare with those of an older scaling.json
    #[arg(long, global = true, value_name = "OLD.json", value_hint = ValueHint::FilePath)]
    pub compare: Option<PathBuf>,
    /// Folder for results; made if it is not there
    #[arg(short, long, global = true, value_name = "DIR", default_value = "parfork-scale", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// How the output is cut: rows, rows=64, cols, cols=64, tiles=HxW [default: what suits the job]
    #[arg(long, global = true, value_name = "SPLIT")]
    pub split: Option<Split>,
    /// How often a slice is tried again after a worker process died on it
    #[arg(long, global = true, value_name = "N", default_value_t = 2)]
    pub retries: u32,
    /// Let workers write to nothing but the slice they work on
    #[arg(long, global = true)]
    pub guard: bool,
    /// To how many threads BLAS, OpenMP and rayon are held in each worker process; 0 leaves them alone
    #[arg(long, global = true, value_name = "N", default_value_t = 1)]
    pub threads_per_worker: usize,
    /// Bind each worker process to a CPU, neighbours far from each other
    #[arg(long, global = true)]
    pub pin: bool,
    /// Print nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum Job {
    #[command(flatten)]
    Kernel(Measured),
    /// Any command: {workers} in its arguments, and PARFORK_WORKERS in its environment, say how many; {size} what size. Its whole
    /// time is measured, and what it prints is thrown away
    Exec {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
}

/// One to three lengths with x between them, none of them 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Size(pub Vec<usize>);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lengths: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.pad(&lengths.join("x"))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lengths: Option<Vec<usize>> =
            text.split('x').map(|part| part.parse().ok().filter(|&length| length > 0)).collect();
        lengths.filter(|lengths| lengths.len() <= 3).map(Self).ok_or_else(|| {
            "a size is one to three lengths above 0 with x between them. Write it as in 2048 or 1920x1080.".to_owned()
        })
    }
}
