//! The command line of kernels, made from what they say they are given.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand, ValueHint, value_parser};
use parfork_workers::KERNELS;
use parfork_workers::kernel::{self, Arg, ArgValues, InScale, Kind};
use parfork_workers::picture::{Format, JpegSettings, Sampling};

use super::batch::args::Many;
use crate::args::common::Common;

/// A kernel to run, as typed.
#[derive(Debug)]
pub struct Typed {
    /// Which it is.
    pub kernel: &'static dyn kernel::Kernel,
    /// What it is given; of a chain no more than `--until` allows.
    pub given: ArgValues,
    /// As what a picture is to be written, if not as its name says.
    pub format: Option<Format>,
    /// How a JPEG is to be written, if not as by default.
    pub jpeg: Jpeg,
    /// Whether what a picture's file has beside it is left out.
    pub strip: bool,
    /// Whether a number that comes out is told with its input, being one of several.
    pub is_named: bool,
    /// What is to become of many inputs, where there may be many.
    pub many: Option<Many>,
    /// The flags that every job takes.
    pub common: Common,
}

/// The flag that ends a chain early.
const UNTIL: &str = "until";

/// The flag that says as what a picture is written.
const FORMAT: &str = "format";

/// What of the settings of JPEG is typed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jpeg {
    /// From 1 to 100.
    pub quality: Option<u8>,
    /// Of colours.
    pub sampling: Option<Sampling>,
}

const QUALITY: &str = "quality";

const SAMPLING: &str = "sampling";

/// The flag that leaves out what a picture's file has beside it.
const STRIP: &str = "strip";

impl Subcommand for Typed {
    fn augment_subcommands(command: Command) -> Command {
        command.subcommands(KERNELS.iter().map(|kernel| {
            let command = Command::new(kernel.name());
            let args = kernel.args().iter().filter(|arg| arg.in_scale != InScale::Only);
            let command = args.fold(command, |command, arg| {
                let clap_arg = clap_arg(arg, arg.default).required(arg.default.is_none() && !arg.is_optional);
                let command = command.arg(if arg.many { clap_arg.num_args(1..) } else { clap_arg });
                match arg.kind {
                    Kind::Chain(_) => command.arg(until(arg)),
                    Kind::OutputPicture => command.arg(format()).arg(quality()).arg(sampling()),
                    Kind::InputPicture => command.arg(strip()),
                    _ => command,
                }
            });
            let command = if takes_many(*kernel) { Many::augment_args(command) } else { command };
            Common::augment_args(command).about(kernel.summary()).after_help(kernel.notes())
        }))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        parfork_workers::kernel(name).is_some()
    }
}

impl FromArgMatches for Typed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (kernel, matches) = chosen(matches)?;
        let mut given = given(kernel, matches, |arg| arg.in_scale != InScale::Only);
        if let Some(chain) = kernel.args().iter().find(|arg| matches!(arg.kind, Kind::Chain(_)))
            && let Some(&until) = matches.get_one::<u16>(UNTIL)
        {
            let links = given.all(chain.name);
            given.enter(chain.name, links[..links.len().min(until.into())].to_vec());
        }
        let has_format = kernel.args().iter().any(|arg| matches!(arg.kind, Kind::OutputPicture));
        let (format, jpeg) = match has_format {
            true => (
                matches.get_one(FORMAT).copied(),
                Jpeg { quality: matches.get_one(QUALITY).copied(), sampling: matches.get_one(SAMPLING).copied() },
            ),
            false => (None, Jpeg::default()),
        };
        let many = takes_many(kernel).then(|| Many::from_arg_matches(matches)).transpose()?;
        let reads = kernel.args().iter().any(|arg| matches!(arg.kind, Kind::InputPicture));
        let strip = reads && matches.get_flag(STRIP);
        let is_named = false;
        Ok(Self { kernel, given, format, jpeg, strip, is_named, many, common: Common::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A kernel to measure, as typed.
#[derive(Debug)]
pub struct Measured {
    /// Which it is.
    pub kernel: &'static dyn kernel::Kernel,
    /// What it is given; no inputs if they are to be made up.
    pub given: ArgValues,
}

impl Subcommand for Measured {
    fn augment_subcommands(command: Command) -> Command {
        command.subcommands(KERNELS.iter().map(|kernel| {
            let usual: Vec<String> = kernel.sizes().usual.iter().map(ToString::to_string).collect();
            let usual = usual.join("x");
            let about = match kernel.args().iter().any(Arg::is_input) {
                true => format!("{}, made up [default size: {usual}] or given", kernel.summary()),
                false => format!("{} [default size: {usual}]", kernel.summary()),
            };
            let mut args = kernel.args().iter().filter(|arg| arg.in_scale != InScale::Never).peekable();
            let mut command = Command::new(kernel.name()).about(about);
            while let Some(arg) = args.next() {
                let clap_arg = clap_arg(arg, in_scale(arg));
                // All inputs are given or none.
                command = command.arg(match args.peek() {
                    Some(next) if arg.is_input() && next.is_input() => clap_arg.requires(next.name),
                    _ => clap_arg,
                });
            }
            command
        }))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        parfork_workers::kernel(name).is_some()
    }
}

impl FromArgMatches for Measured {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (kernel, matches) = chosen(matches)?;
        Ok(Self { kernel, given: given(kernel, matches, |arg| arg.in_scale != InScale::Never) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Whether several pictures may be given, each with a result of its own.
fn takes_many(kernel: &dyn kernel::Kernel) -> bool {
    kernel.args().iter().any(|arg| arg.many && matches!(arg.kind, Kind::InputPicture))
}

/// How sizes of made-up inputs are written.
pub fn sizes_help() -> String {
    let mut forms: Vec<(&str, Vec<&str>)> = Vec::new();
    for kernel in KERNELS {
        let form = kernel.sizes().form;
        match forms.iter_mut().find(|(known, _)| *known == form) {
            Some((_, names)) => names.push(kernel.name()),
            None => forms.push((form, vec![kernel.name()])),
        }
    }
    let forms: Vec<String> = forms.iter().map(|(form, names)| format!("{form} for {}", names.join(", "))).collect();
    format!("Sizes of the made-up input: {}; for exec what replaces {{size}}", forms.join("; "))
}

fn chosen(matches: &ArgMatches) -> Result<(&'static dyn kernel::Kernel, &ArgMatches), clap::Error> {
    let chosen = matches.subcommand().and_then(|(name, matches)| Some((parfork_workers::kernel(name)?, matches)));
    chosen.ok_or_else(|| clap::Error::new(clap::error::ErrorKind::InvalidSubcommand))
}

fn in_scale(arg: &Arg) -> Option<&'static str> {
    match arg.in_scale {
        InScale::Default(default) => Some(default),
        _ => arg.default,
    }
}

fn clap_arg(arg: &Arg, default: Option<&'static str>) -> clap::Arg {
    let made = clap::Arg::new(arg.name).value_name(arg.value).help(arg.help);
    let made = if arg.is_input() { made } else { made.long(arg.name) };
    let made = match arg.kind {
        Kind::InputArray | Kind::InputPicture | Kind::OutputArray | Kind::OutputPicture | Kind::OutputEither => {
            made.value_parser(value_parser!(PathBuf)).value_hint(ValueHint::FilePath)
        }
        Kind::Text(check) => made.value_parser(check),
        Kind::Signed(check) => made.value_parser(check).allow_hyphen_values(true),
        Kind::Chain(check) => made.value_parser(check).value_delimiter(',').action(clap::ArgAction::Append),
        Kind::Choice(words) => made.value_parser(PossibleValuesParser::new(words)),
    };
    made.short(arg.short).default_value(default)
}

fn until(chain: &Arg) -> clap::Arg {
    clap::Arg::new(UNTIL)
        .long(UNTIL)
        .value_name("N")
        .help(format!("Stop after the first N {}s", chain.name))
        .overrides_with(UNTIL)
        .value_parser(value_parser!(u16).range(1..))
}

fn format() -> clap::Arg {
    let names = PossibleValuesParser::new(Format::names());
    clap::Arg::new(FORMAT)
        .long(FORMAT)
        .value_name("FORMAT")
        .help("Write this format, whatever the name says [default: that of the ending; PNG for - and pipes]")
        .overrides_with(FORMAT)
        .value_parser(names.try_map(|name| name.parse::<Format>()))
}

fn quality() -> clap::Arg {
    clap::Arg::new(QUALITY)
        .long(QUALITY)
        .value_name("N")
        .help(format!(
            "Of a JPEG: 1, the smallest file, to 100, the best picture [default: {}]",
            JpegSettings::DEFAULT.quality
        ))
        .overrides_with(QUALITY)
        .value_parser(value_parser!(u8).range(1..=100))
}

fn sampling() -> clap::Arg {
    let names = PossibleValuesParser::new(Sampling::NAMES);
    clap::Arg::new(SAMPLING)
        .long(SAMPLING)
        .value_name("SAMPLING")
        .help(format!(
            "Of a JPEG: a sample of colour for each pixel, for 2 or for 4 [default: {}]",
            JpegSettings::DEFAULT.sampling
        ))
        .overrides_with(SAMPLING)
        .value_parser(names.try_map(|name| name.parse::<Sampling>()))
}

fn strip() -> clap::Arg {
    clap::Arg::new(STRIP)
        .long(STRIP)
        .action(clap::ArgAction::SetTrue)
        .help("Leave out EXIF, the profile of colours (ICC) and XMP, which the result has otherwise if its format can")
}

/// What was typed for arguments, or is their default.
fn given(kernel: &dyn kernel::Kernel, matches: &ArgMatches, is_there: impl Fn(&Arg) -> bool) -> ArgValues {
    let mut given = ArgValues::default();
    for arg in kernel.args().iter().filter(|arg| is_there(arg)) {
        let values: Vec<OsString> = matches.get_raw(arg.name).into_iter().flatten().map(Into::into).collect();
        given.enter(arg.name, values);
    }
    given
}
