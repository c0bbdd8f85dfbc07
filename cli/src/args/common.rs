//! What several subcommands are told: the flags of every job, numbers of workers, shapes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use parfork::{Dtype, Engine, JobSpec, MOST_WORKERS, Sandbox, Schedule, Split, cpus};

use crate::output::count;
use crate::quantity;

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

/// Flags that every job takes: those of a setting of the library's [`JobSpec`], each under the setting's name, and others.
macro_rules! common_flags {
    (
        settings { $($(#[$meta:meta])* $setting:ident: $type:ty,)* }
        others { $($(#[$other_meta:meta])* $other:ident: $other_type:ty,)* }
    ) => {
        /// Flags that every job takes.
        #[derive(Debug, Clone, Args)]
        #[command(next_help_heading = "Job")]
        pub struct Common {
            $($(#[$meta])* pub $setting: $type,)*
            $($(#[$other_meta])* pub $other: $other_type,)*
        }

        impl Common {
            /// What is set by flags.
            pub fn spec(&self) -> JobSpec {
                JobSpec { $($setting: self.$setting.into(),)* ..JobSpec::default() }
            }
        }
    };
}

common_flags! {
    settings {
        /// How many workers: a number, all, or a share of the CPUs as in 50% [default: CPUs available to this process]
        #[arg(short = 'n', long, value_name = "N", value_parser = number_of_workers, allow_negative_numbers = true)]
        workers: Option<usize>,
        /// How the output is cut: rows, rows=64, cols, cols=64, tiles=HxW [default: what suits the job]
        #[arg(long, value_name = "SPLIT")]
        split: Option<Split>,
        /// How slices are given out: static, dynamic, dynamic=CHUNK, guided [default: dynamic; of steps static]
        #[arg(long, value_name = "SCHEDULE")]
        schedule: Option<Schedule>,
        /// How often a slice is tried again after a worker process died on it
        #[arg(long, value_name = "N", default_value_t = 2)]
        retries: u32,
        /// Time for the whole job, as in 90s or 1h30m; for a chain of filters, for each pass over the picture
        #[arg(long, value_name = "TIME", value_parser = quantity::time)]
        deadline: Option<Duration>,
        /// Time for one slice; a worker that takes longer is killed and counts as dead
        #[arg(long, value_name = "TIME", value_parser = quantity::time)]
        slice_deadline: Option<Duration>,
        /// Memory of its own that a worker may use beyond what it starts with, as in 512M
        #[arg(long = "mem-limit", value_name = "BYTES", value_parser = quantity::bytes)]
        memory_limit: Option<u64>,
        /// Let workers write to nothing but the slice they work on
        #[arg(long)]
        guard: bool,
        /// Run this slice alone and write no result: to look again at one on which a job failed. Of several filters it is the
        /// last one's, after all of those before
        #[arg(long, value_name = "K", overrides_with = "only_slice")]
        only_slice: Option<usize>,
        /// To how many threads BLAS, OpenMP and rayon are held in each worker process; 0 leaves them alone
        #[arg(long, value_name = "N", default_value_t = 1)]
        threads_per_worker: usize,
        /// Bind each worker process to a CPU, neighbours far from each other
        #[arg(long)]
        pin: bool,
    }
    others {
        /// Who works: processes, threads or serial
        #[arg(long, value_name = "ENGINE", default_value_t)]
        engine: Engine,
        /// Keep workers from files, sockets, programs and other processes; strict: or refuse to run where the kernel cannot
        #[arg(long, value_name = "strict", num_args = 0..=1, require_equals = true, default_missing_value = "available")]
        sandbox: Option<Confinement>,
        /// Also run serially and compare every bit, and where there is a naive program for it with what that computes; exit 1 on a
        /// difference
        #[arg(long)]
        verify: bool,
        /// Write a page on the run to this HTML file: who did what when, and where the time went
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        report: Option<PathBuf>,
        /// Write a trace of the run to this JSON file, for ui.perfetto.dev or chrome://tracing
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        trace: Option<PathBuf>,
        /// Print one machine-readable report on stdout
        #[arg(long)]
        json: bool,
        /// Print nothing but results and errors
        #[arg(short, long)]
        quiet: bool,
    }
}

/// What `-n` says: a number; `all`, or -1 as joblib counts, -2 for all but one; a share of the CPUs in percent.
pub fn number_of_workers(text: &str) -> Result<usize, String> {
    let number = workers_of(text, cpus()).filter(|number| (1..=MOST_WORKERS).contains(number));
    number.ok_or_else(|| {
        format!(
            "a job takes 1 to {MOST_WORKERS} workers. Give a number in between, all, a share of the {} as in 50%, or -2 for all CPUs but one.",
            count(cpus(), "CPU")
        )
    })
}

/// Of shares the nearest number, but 1 at least: who has few CPUs wants to work as well.
fn workers_of(text: &str, cpus: usize) -> Option<usize> {
    let text = text.trim();
    if text == "all" {
        return Some(cpus);
    }
    if let Some(share) = text.strip_suffix('%') {
        let share: f64 = share.trim_end().parse().ok().filter(|share| *share > 0.0)?;
        return Some(((cpus as f64 * share / 100.0).round() as usize).max(1));
    }
    match text.parse::<i64>().ok()? {
        0 => None,
        less if less < 0 => Some((cpus as i64 + 1 + less).max(1) as usize),
        number => usize::try_from(number).ok(),
    }
}

/// A type of elements: Rust's name, which counts bits, NumPy's that does, or one with a byte order. Not `f8`, which would be 8 bits to
/// one and 8 bytes to others.
pub fn dtype(text: &str) -> Result<Dtype, String> {
    let found = Dtype::from_name(text).or_else(|_| text.parse::<Dtype>()).ok();
    let found = found.filter(|dtype| [dtype.name(), dtype.numpy_name(), &dtype.to_string()].contains(&text));
    found.ok_or_else(|| {
        format!("`{text}` is not a type of elements. Write bool, u8 to u64, i8 to i64, f16 to f64, c64 or c128.")
    })
}

/// A shape as one argument.
#[derive(Debug, Clone)]
pub struct Shape(pub Vec<usize>);

pub fn shape(text: &str) -> Result<Shape, String> {
    let lengths: Result<Vec<usize>, _> = text.split(['x', ',']).map(|part| part.trim().parse()).collect();
    lengths.map(Shape).map_err(|_| "a shape is lengths with x between them. Write it as in 1080x1920.".to_owned())
}

/// How many cells on each side of an axis: one number for all of them, or one for each.
#[derive(Debug, Clone)]
pub struct PerAxis(Vec<usize>);

pub fn per_axis(text: &str) -> Result<PerAxis, String> {
    let Shape(cells) = shape(text)
        .map_err(|_| "this is a number of cells, or one for each axis. Write it as in 2, or 2x0.".to_owned())?;
    Ok(PerAxis(cells))
}

impl PerAxis {
    /// One for each of so many axes.
    ///
    /// # Errors
    /// If there are more or fewer.
    pub fn of(&self, axes: usize) -> Result<Vec<usize>, String> {
        match self.0[..] {
            [same] => Ok(vec![same; axes]),
            _ if self.0.len() == axes => Ok(self.0.clone()),
            _ => Err(format!(
                "{self} is for {} axes, and the array has {axes}. Give a number for each axis, or one for all.",
                self.0.len()
            )),
        }
    }

    /// As a report has it.
    pub fn to_json(&self) -> serde_json::Value {
        if let [same] = self.0[..] { same.into() } else { self.0.clone().into() }
    }
}

impl std::fmt::Display for PerAxis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.iter().map(usize::to_string).collect::<Vec<_>>().join("x"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_counted_as_people_do() {
        let of = |text| workers_of(text, 8);
        assert_eq!((of("3"), of("all"), of("-1"), of("-2"), of("-100")), (Some(3), Some(8), Some(8), Some(7), Some(1)));
        assert_eq!(
            (of("50%"), of("100%"), of("150 %"), of("1%"), of("31.25%")),
            (Some(4), Some(8), Some(12), Some(1), Some(3))
        );
        for wrong in ["0", "", "half", "0%", "-5%", "nan%", "inf", "--1", "1.5", "99999999999999999999"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert!(number_of_workers("1e9%").unwrap_err().contains("1 to 1024"));
        assert!(number_of_workers("inf%").is_err());
    }
}
