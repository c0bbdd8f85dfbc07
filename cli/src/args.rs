//! The command line as typed. What it means is worked out in `job.rs` and in each subcommand's file.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use parfork::{Engine, MOST_WORKERS, Sandbox, Schedule, Split};

use crate::exec::args::Exec;
use crate::kernel::args::Typed;
use crate::plan::{self, Cost};
use crate::quantity;
use crate::scale::args::Scale;
use crate::shm::args::Shm;

/// Split work on arrays across processes that share memory.
///
/// A coordinator maps inputs and outputs into shared memory, forks workers that each work on slices, waits at a barrier,
/// and finds the results in place.
#[derive(Debug, Parser)]
#[command(
    name = "parfork",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 the job failed, 2 wrong usage, 3 bad input, 129 to 143 stopped by a signal (130: Ctrl-C)."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show it all: a rendering, a filter chain and a matrix product, three ways
    Demo(Demo),
    #[command(flatten)]
    Kernel(Typed),
    /// Let copies of any program work on slices of arrays
    Exec(Box<Exec>),
    /// Show who would get which slice, and how long it would take, without running anything
    Plan(Plan),
    /// Measure how a job scales with the number of workers, and fit the laws of scaling
    Scale(Box<Scale>),
    /// One run of `scale`, which tells by `order` what to run: not for users, nor in help, completions and manual
    #[command(skip)]
    Measure { order: String },
    /// Watch the jobs that run on this machine
    Top(Top),
    /// Make, list, read, write and remove named segments: arrays in shared memory that stay until they are removed
    Shm(Shm),
    /// Run one tiny job and show step by step how its processes share memory
    Explain(Explain),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  parfork completions bash > ~/.local/share/bash-completion/completions/parfork")]
    Completions { shell: Shell },
    /// Print the manual page
    #[command(after_help = "Example:\n  parfork man > ~/.local/share/man/man1/parfork.1")]
    Man,
}

/// How much of a sandbox it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Confinement {
    /// What the kernel has of it
    #[value(hide = true)]
    Available,
    /// All of it, or none of the job
    Strict,
}

impl Confinement {
    /// As the library has it.
    pub fn sandbox<'k>(self) -> Sandbox<'k> {
        Sandbox::new().strict(self == Self::Strict)
    }
}

/// Flags that every job takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Job")]
pub struct Common {
    /// How many workers [default: CPUs available to this process]
    #[arg(short = 'n', long, value_name = "N", value_parser = number_of_workers)]
    pub workers: Option<usize>,
    /// Who works: processes, threads or serial
    #[arg(long, value_name = "ENGINE", default_value_t)]
    pub engine: Engine,
    /// How the output is cut: rows, rows=64, cols, cols=64, tiles=HxW [default: what suits the job]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<Split>,
    /// How slices are given out: static, dynamic, dynamic=CHUNK, guided
    #[arg(long, value_name = "SCHEDULE", default_value_t)]
    pub schedule: Schedule,
    /// How often a slice is tried again after a worker process died on it
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub retries: u32,
    /// Time for the whole job, as in 90s or 1.5h; for a chain of filters, for each pass over the picture
    #[arg(long, value_name = "TIME", value_parser = quantity::time)]
    pub deadline: Option<Duration>,
    /// Time for one slice; a worker that takes longer is killed and counts as dead
    #[arg(long, value_name = "TIME", value_parser = quantity::time)]
    pub slice_deadline: Option<Duration>,
    /// Memory of its own that a worker may use beyond what it starts with, as in 512M
    #[arg(long, value_name = "BYTES", value_parser = quantity::bytes)]
    pub mem_limit: Option<u64>,
    /// Let workers write to nothing but the slice they work on
    #[arg(long)]
    pub guard: bool,
    /// Keep workers from files, sockets, programs and other processes; strict: or refuse to run where the kernel cannot
    #[arg(long, value_name = "strict", num_args = 0..=1, require_equals = true, default_missing_value = "available")]
    pub sandbox: Option<Confinement>,
    /// Run this slice alone and write no result: to look again at one on which a job failed. Of several filters it is the
    /// last one's, after all of those before
    #[arg(long, value_name = "K", overrides_with = "only_slice")]
    pub only_slice: Option<usize>,
    /// To how many threads BLAS, OpenMP and rayon are held in each worker process; 0 leaves them alone
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads_per_worker: usize,
    /// Bind each worker process to a CPU, neighbours far from each other
    #[arg(long)]
    pub pin: bool,
    /// Also run serially and compare every bit, and where there is a naive program for it with what that computes; exit 1 on a
    /// difference
    #[arg(long)]
    pub verify: bool,
    /// Write a page on the run to this HTML file: who did what when, and where the time went
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Write a trace of the run to this JSON file, for ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub trace: Option<PathBuf>,
    /// Print one machine-readable report on stdout
    #[arg(long)]
    pub json: bool,
    /// Print nothing but results and errors
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  parfork demo\n  parfork demo photo.jpg -o results -n 4")]
pub struct Demo {
    /// Picture to filter [default: the rendering]
    #[arg(value_hint = ValueHint::FilePath)]
    pub picture: Option<PathBuf>,
    /// Folder for the pictures; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = "parfork-demo", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// How many workers [default: CPUs available to this process, at least 2]
    #[arg(short = 'n', long, value_name = "N", value_parser = number_of_workers)]
    pub workers: Option<usize>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  parfork plan 1080x1920 -n 4 --split tiles=256x256
  parfork plan 64x64 -n 3 --split rows=8 --schedule guided --halo 2 -o plan.svg
  parfork plan 1080x1920 -n 64 --cost mandelbrot
  parfork plan 1080x1920 -n 6 --split rows=20 --cost linear --animate

--cost and --animate simulate: every virtual worker is equally fast, and asking for slices takes no time. What is dealt to
whom is worked out by the code that deals in real jobs.")]
pub struct Plan {
    /// Shape of the array: lengths with x between them
    #[arg(value_name = "SHAPE", value_parser = shape)]
    pub shape: Shape,
    /// How many workers; for a plan any number will do [default: CPUs available to this process]
    #[arg(short = 'n', long, value_name = "N", value_parser = virtual_workers)]
    pub workers: Option<u32>,
    /// How the array is cut: rows, rows=64, cols, cols=64, tiles=HxW
    #[arg(long, value_name = "SPLIT", default_value_t)]
    pub split: Split,
    /// How slices are given out: static, dynamic, dynamic=CHUNK, guided
    #[arg(long, value_name = "SCHEDULE", default_value_t)]
    pub schedule: Schedule,
    /// Cells that a slice reads beyond its own
    #[arg(long, value_name = "H", default_value_t = 0)]
    pub halo: usize,
    #[arg(long, value_name = "COST", help = plan::cost_help(),
        value_parser = OsStringValueParser::new().try_map(|text| Cost::parse(&text)))]
    pub cost: Option<Cost>,
    /// Show slices being dealt under each schedule, on a terminal as they would be over time
    #[arg(long)]
    pub animate: bool,
    /// Draw it in colour to this SVG file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Print one machine-readable report on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Keys: arrows select a worker (up, down) and a job (left, right), s sorts the workers, k kills one, q quits.

Examples:
  parfork top
  parfork top --once --json

Only looks: the jobs do not notice. To kill a worker asks first; a job with --retries goes on without it."
)]
pub struct Top {
    /// Print what runs now, and end
    #[arg(long)]
    pub once: bool,
    /// With --once: print one machine-readable report on stdout
    #[arg(long, requires = "once")]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  parfork explain
  parfork explain --step

The job is a real one: addresses, process numbers and system calls are those of the run, which is watched with ptrace.")]
pub struct Explain {
    /// Wait for Enter between the steps
    #[arg(long)]
    pub step: bool,
}

fn virtual_workers(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| format!("a plan takes 1 to {} workers. Give a number in between.", u32::MAX))
}

pub fn number_of_workers(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=MOST_WORKERS).contains(number));
    number.ok_or_else(|| format!("a job takes 1 to {MOST_WORKERS} workers. Give a number in between."))
}

/// A shape as one argument.
#[derive(Debug, Clone)]
pub struct Shape(pub Vec<usize>);

pub fn shape(text: &str) -> Result<Shape, String> {
    let lengths: Result<Vec<usize>, _> = text.split(['x', ',']).map(|part| part.trim().parse()).collect();
    lengths.map(Shape).map_err(|_| "a shape is lengths with x between them. Write it as in 1080x1920.".to_owned())
}
