//! `parfork shm` as typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

use super::dtype::element;
use crate::args::common::{Shape, shape};
use crate::quantity;
use parfork::Dtype;

#[derive(Debug, Args)]
#[command(
    after_help = "Segments are in this user's folder of /dev/shm (or of $PARFORK_SHM), for this user alone unless shared with a \
group. NAME is one's own; GROUP/NAME one that is shared; USER:GROUP/NAME another user's."
)]
pub struct Shm {
    #[command(subcommand)]
    pub command: ShmCommand,
}

#[derive(Debug, Subcommand)]
pub enum ShmCommand {
    /// Make a segment: zeros, or the contents of a file
    Create(Create),
    /// List this user's segments
    Ls(Ls),
    /// All that is known of a segment, and who has it
    Info(Info),
    /// Replace the elements of a segment by those of a file
    Put(Put),
    /// Write the elements of a segment to a file
    Get(Get),
    /// Copy a segment to a new one, which is kept
    Cp(Cp),
    /// Remove segments; who has one attached keeps it until it lets go
    Rm(Rm),
    /// Remove the segments of creators that are provably dead, unless they were to be kept
    Gc(Gc),
    /// Print a line whenever a segment has been written
    Watch(Watch),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  parfork shm create plate --shape 1000x1000 --dtype f32 --keep
  parfork shm create photo --from photo.png --keep
  parfork shm create scratch --shape 4096 --dtype u8 -- python3 fill.py

A segment goes with its creator unless it is kept, so it is either kept or there for a program, which finds the path of its file
in PARFORK_SEGMENT. The command ends with the program, and with its status.")]
pub struct Create {
    /// What to call it
    pub name: String,
    /// Lengths of its axes with x between them
    #[arg(long, value_name = "SHAPE", value_parser = shape, required_unless_present = "from", conflicts_with = "from")]
    pub shape: Option<Shape>,
    /// Type of its elements: u8 to u64, i8 to i64, f32, f64
    #[arg(long, value_name = "DTYPE", default_value = "f64", conflicts_with = "from", value_parser = element)]
    pub dtype: Dtype,
    /// Make it of this file, .npy or a picture
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub from: Option<PathBuf>,
    /// Leave it there until it is removed
    #[arg(long)]
    pub keep: bool,
    /// Let the members of this group read it
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Let them write to it too
    #[arg(long, requires = "group")]
    pub group_writes: bool,
    /// Program to run while it is there
    #[arg(last = true, value_name = "PROGRAM", value_hint = ValueHint::CommandWithArguments)]
    pub program: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Ls {
    /// Print one machine-readable report on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Info {
    /// Which one
    pub name: String,
    /// Print one machine-readable report on stdout
    #[arg(long)]
    pub json: bool,
}

/// How to wait for others.
#[derive(Debug, Clone, Args)]
pub struct Turn {
    /// Wait for others who have it for so long at most, as in 5s
    #[arg(long, value_name = "TIME", value_parser = quantity::time)]
    pub deadline: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  parfork shm put plate new.npy --deadline 5s\n
Shape and type have to be those of the segment. All of it is written, so it does not matter if its last writer did not finish.")]
pub struct Put {
    /// Which one
    pub name: String,
    /// What goes there, .npy or a picture
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    #[command(flatten)]
    pub turn: Turn,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  parfork shm get plate -o plate.npy")]
pub struct Get {
    /// Which one
    pub name: String,
    /// Where it goes: .npy, or a picture if it is rows, columns and channels of 8 or 16 bits
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Take it also if its last writer did not finish
    #[arg(long)]
    pub unfinished: bool,
    #[command(flatten)]
    pub turn: Turn,
}

#[derive(Debug, Args)]
pub struct Cp {
    /// Which one
    pub from: String,
    /// What to call the copy
    pub to: String,
    /// Take it also if its last writer did not finish
    #[arg(long)]
    pub unfinished: bool,
    #[command(flatten)]
    pub turn: Turn,
}

#[derive(Debug, Args)]
pub struct Rm {
    /// Which ones
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A creator is dead if the machine was started anew since, or if, in this pid namespace, no process has its \
number or one has that was started at another time. Whatever cannot be known is kept."
)]
pub struct Gc {
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Print one machine-readable report on stdout
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  parfork shm watch plate --count 1 --deadline 10s && parfork shm get plate -o plate.npy\n
It ends when the segment is removed, after --count lines, or with exit code 1 when the time is up."
)]
pub struct Watch {
    /// Which one
    pub name: String,
    /// Print the generations after this one [default: the one that it has now]
    #[arg(long, value_name = "GENERATION")]
    pub past: Option<u64>,
    /// End after so many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after so long
    #[arg(long, value_name = "TIME", value_parser = quantity::time)]
    pub deadline: Option<Duration>,
}
