//! The flags of many inputs.

use clap::{Args, ValueEnum};

/// What is to become of many inputs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Many pictures")]
pub struct Many {
    /// Take the pictures in folders that are named, and in those below, which an output FOLDER/ then has too
    #[arg(short, long)]
    pub recursive: bool,
    /// Whether to go on with the others when a picture cannot be done
    #[arg(long, value_name = "yes|no", hide_possible_values = true, default_value = "yes")]
    pub keep_going: Answer,
    /// Leave out pictures whose output is there
    #[arg(long, conflicts_with = "newer")]
    pub skip_existing: bool,
    /// Leave out pictures that are not newer than their output, as make does
    #[arg(long)]
    pub newer: bool,
}

/// An answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Answer {
    Yes,
    No,
}
