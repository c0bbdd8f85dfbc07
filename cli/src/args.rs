//! The command line as typed. What it means is worked out in `job.rs` and in each subcommand's file.

pub mod common;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use common::number_of_workers;

use crate::exec::args::Exec;
use crate::kernel::args::Typed;
use crate::plan::args::Plan;
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
    color = crate::screen::help_colours(),
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 the job failed, 2 wrong usage, 3 bad input, 4 too few runs to tell (scale \
                  --fail-if), 5 some of many pictures were set aside, 129 to 143 stopped by a signal (130: Ctrl-C)."
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
    /// Run one tiny job and show step by step how its processes share memory, or who waits for whom in a job of steps
    Explain(Explain),
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  parfork completions bash > ~/.local/share/bash-completion/completions/parfork")]
    Completions { shell: Shell },
    /// Print the manual page
    #[command(after_help = "Example:\n  parfork man > ~/.local/share/man/man1/parfork.1")]
    Man,
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
    /// How many workers: a number, all, or a share of the CPUs as in 50% [default: CPUs available to this process, at least 2]
    #[arg(short = 'n', long, value_name = "N", value_parser = number_of_workers, allow_negative_numbers = true)]
    pub workers: Option<usize>,
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
  parfork explain steps

The job is a real one: addresses, process numbers and system calls are those of the run, which is watched with ptrace. steps is a job of \
     steps on a rod of 8 cells: who waits for whom, and what would come out if nobody did.")]
pub struct Explain {
    /// What is explained
    #[arg(value_enum, default_value_t)]
    pub what: Explained,
    /// Wait for Enter between the steps
    #[arg(long)]
    pub step: bool,
}

/// What is explained.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum Explained {
    /// A job: how processes share memory
    #[default]
    Job,
    /// Steps: who waits for whom
    Steps,
}
