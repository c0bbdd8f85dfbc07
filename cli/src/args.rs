//! The command line as typed. What it means is worked out in `job.rs` and in each subcommand's file.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use parfork::{Engine, MOST_WORKERS, Sandbox, Schedule, Split};
use parfork_workers::filter::{Border, Filter};

use crate::exec::args::Exec;
use crate::plan::Cost;
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
    /// Multiply two matrices
    Matmul(Matmul),
    /// Filter a picture
    Image(Image),
    /// Render the Mandelbrot set
    Mandelbrot(Mandelbrot),
    /// Sum of all elements of an array
    Sum(Reduce),
    /// Mean of all elements of an array
    Mean(Reduce),
    /// Least element of an array
    Min(Reduce),
    /// Greatest element of an array
    Max(Reduce),
    /// Euclidean norm of an array: the root of the sum of squares
    Norm(Reduce),
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
    /// Also run serially and compare every bit; exit 1 on a difference
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
  parfork matmul a.npy b.npy -o c.npy
  parfork matmul a.npy b.npy -o c.npy -n 8 --split tiles=512x512 --verify

f32 and f64, C or Fortran order, any sizes. The product is written in C order. shm:NAME is a named segment.")]
pub struct Matmul {
    /// Left matrix, m x k
    #[arg(value_hint = ValueHint::FilePath)]
    pub a: PathBuf,
    /// Right matrix, k x n
    #[arg(value_hint = ValueHint::FilePath)]
    pub b: PathBuf,
    /// Where the product goes, m x n (.npy)
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
#[command(after_help = image_help())]
pub struct Image {
    /// Picture to filter: PNG, JPEG, TIFF, BMP or PNM, 8 or 16 bit
    #[arg(value_hint = ValueHint::FilePath)]
    pub input: PathBuf,
    /// Where the result goes; its ending says in which format
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Filters in the order to apply them, each with its parameter: gaussian:3,sobel
    #[arg(short, long = "filter", value_name = "F[,F...]", required = true, value_delimiter = ',')]
    pub filters: Vec<Filter>,
    /// Stop after the first N filters
    #[arg(long, value_name = "N", overrides_with = "until", value_parser = clap::value_parser!(u16).range(1..))]
    pub until: Option<u16>,
    /// What lies beyond the border: reflect101, replicate, constant:V or wrap
    #[arg(long, value_name = "BORDER", default_value_t)]
    pub border: Border,
    #[command(flatten)]
    pub common: Common,
}

fn image_help() -> String {
    let list: Vec<String> = parfork_workers::filter::FILTERS
        .iter()
        .map(|filter| {
            let usage = match filter.parameter.strip_prefix('[') {
                _ if filter.parameter.is_empty() => filter.name.to_owned(),
                Some(optional) => format!("{}[:{optional}", filter.name),
                None => format!("{}:{}", filter.name, filter.parameter),
            };
            format!("  {usage:<28}{}", filter.summary)
        })
        .collect();
    format!(
        "Filters:\n{}\n\nExamples:\n  parfork image photo.jpg -o soft.png --filter gaussian:3\n  \
         parfork image photo.jpg -o edges.png --filter gaussian:1.5,sobel -n 4 --split tiles=256x256",
        list.join("\n")
    )
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  parfork mandelbrot -o set.png
  parfork mandelbrot -o seahorses.png --size 1920x1080 --center=-0.743643,0.131825 --zoom 800 --iterations 2000")]
pub struct Mandelbrot {
    /// Where the picture goes; its ending says in which format
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Width and height in pixels
    #[arg(long, value_name = "WxH", default_value = "1200x800", value_parser = size)]
    pub size: (usize, usize),
    /// The number in the middle of the picture
    #[arg(long, value_name = "RE,IM", default_value = "-0.75,0", value_parser = complex, allow_hyphen_values = true)]
    pub center: (f64, f64),
    /// How much larger than the whole set
    #[arg(long, value_name = "Z", default_value_t = 1.0)]
    pub zoom: f64,
    /// When to take a point for a member of the set
    #[arg(long, value_name = "K", default_value_t = 1000)]
    pub iterations: u32,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  parfork mean data.npy -n 4

Every integer and float type that .npy has, either byte order. The elements are taken in blocks of 65536 in the order of
memory; --split cuts the table of blocks, 16 to a row, so the answer has the same bits for every split, schedule and -n.")]
pub struct Reduce {
    /// Array (.npy)
    #[arg(value_hint = ValueHint::FilePath)]
    pub input: PathBuf,
    #[command(flatten)]
    pub common: Common,
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
    /// Compare the schedules for uneven work: uniform, linear, mandelbrot, or FILE.npy with a number for each cell or slice
    #[arg(long, value_name = "COST")]
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

fn size(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    parts.ok_or_else(|| "a size is width x height in pixels. Write it as in 1920x1080.".to_owned())
}

pub fn complex(text: &str) -> Result<(f64, f64), String> {
    let parts = text.split_once(',').and_then(|(re, im)| Some((re.trim().parse().ok()?, im.trim().parse().ok()?)));
    parts.ok_or_else(|| {
        "a complex number is two numbers with a comma between them. Write it as in -0.75,0.1.".to_owned()
    })
}
