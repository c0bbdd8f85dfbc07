//! `parfork plan` as typed.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueHint};
use parfork::{Schedule, Split};

use super::cost::{self, Cost};
use crate::args::common::{PerAxis, Shape, per_axis, shape};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  parfork plan 1080x1920 -n 4 --split tiles=256x256
  parfork plan 64x64 -n 3 --split rows=8 --schedule guided --halo 2 -o plan.svg
  parfork plan 100x40 -n 2 --bounds 10,15,100 --halo 3x0
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
    /// Where slices of the axis that is cut end, the last at its own end, as in 10,15,100
    #[arg(long, value_name = "END,...", value_delimiter = ',')]
    pub bounds: Vec<usize>,
    /// Cells that a slice reads beyond its own: of all axes, or as in 2x0 of each
    #[arg(long, value_name = "H", default_value = "0", value_parser = per_axis)]
    pub halo: PerAxis,
    #[arg(long, value_name = "COST", help = cost::help(),
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

fn virtual_workers(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| format!("a plan takes 1 to {} workers. Give a number in between.", u32::MAX))
}
