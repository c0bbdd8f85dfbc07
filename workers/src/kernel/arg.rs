//! What a kernel is given, described as plain data, and as it came.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use parfork::formats::Address;

/// Says what is wrong with a text.
pub type Check = fn(&str) -> Result<(), String>;

/// Something that a kernel is given.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name: that of a flag, unless it is an input.
    pub name: &'static str,
    /// The letter of the flag.
    pub short: Option<char>,
    /// What stands for its value in help.
    pub value: &'static str,
    /// What it is, in a line.
    pub help: &'static str,
    /// What may be given.
    pub kind: Kind,
    /// What is taken if nothing is given.
    pub default: Option<&'static str>,
    /// Whether there may be nothing, if there is no default.
    pub is_optional: bool,
    /// Whether it is the same where inputs are made up.
    pub in_scale: InScale,
    /// Whether several may be given, each for a task of its own.
    pub many: bool,
}

/// What may be given for an [`Arg`].
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A .npy file or a named segment to read.
    InputArray,
    /// A picture to read.
    InputPicture,
    /// A .npy file to write.
    OutputArray,
    /// A picture to write, in the format of its ending.
    OutputPicture,
    /// A picture if the name ends as that of one does, else a .npy file.
    OutputEither,
    /// A text.
    Text(Check),
    /// A text that may begin with a minus.
    Signed(Check),
    /// Texts with commas between them, to be gone through in order; there may be none.
    Chain(Check),
    /// One of these.
    Choice(&'static [&'static str]),
}

/// Whether an argument is there where a kernel is measured. Outputs are not, and inputs need not be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InScale {
    /// As it is elsewhere.
    Same,
    /// With another default.
    Default(&'static str),
    /// It is not: a size says as much.
    Never,
    /// There alone: it says what is made up.
    Only,
}

impl Arg {
    const fn new(name: &'static str, value: &'static str, help: &'static str, kind: Kind) -> Self {
        let (default, is_optional, in_scale, many) = (None, false, InScale::Same, false);
        Self { name, short: None, value, help, kind, default, is_optional, in_scale, many }
    }

    /// An array to read.
    pub const fn input_array(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self::new(name, value, help, Kind::InputArray)
    }

    /// A picture to read.
    pub const fn input_picture(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self::new(name, value, help, Kind::InputPicture)
    }

    /// Where the array goes that is the result: `--output`.
    pub const fn output_array(help: &'static str) -> Self {
        Self::new("output", "FILE", help, Kind::OutputArray).short('o').in_scale(InScale::Never)
    }

    /// Where the picture goes that is the result: `--output`.
    pub const fn output_picture(help: &'static str) -> Self {
        Self::new("output", "FILE", help, Kind::OutputPicture).short('o').in_scale(InScale::Never)
    }

    /// Where the result goes, an array or a picture: `--output`.
    pub const fn output_either(help: &'static str) -> Self {
        Self::new("output", "FILE", help, Kind::OutputEither).short('o').in_scale(InScale::Never)
    }

    /// A parameter.
    pub const fn text(name: &'static str, value: &'static str, help: &'static str, check: Check) -> Self {
        Self::new(name, value, help, Kind::Text(check))
    }

    /// A parameter that may begin with a minus.
    pub const fn signed(name: &'static str, value: &'static str, help: &'static str, check: Check) -> Self {
        Self::new(name, value, help, Kind::Signed(check))
    }

    /// What is to be done, one after the other.
    pub const fn chain(name: &'static str, value: &'static str, help: &'static str, check: Check) -> Self {
        Self::new(name, value, help, Kind::Chain(check))
    }

    /// One of several words.
    pub const fn choice(
        name: &'static str,
        value: &'static str,
        help: &'static str,
        words: &'static [&'static str],
    ) -> Self {
        Self::new(name, value, help, Kind::Choice(words))
    }

    /// With a letter.
    pub const fn short(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    /// With a default.
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// Which need not be given.
    pub const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// One or more, each for a task of its own.
    pub const fn many(self) -> Self {
        Self { many: true, ..self }
    }

    /// Not the same everywhere.
    pub const fn in_scale(self, in_scale: InScale) -> Self {
        Self { in_scale, ..self }
    }

    /// Whether it is a file to read.
    pub fn is_input(&self) -> bool {
        matches!(self.kind, Kind::InputArray | Kind::InputPicture)
    }

    /// Whether it is a file to write.
    pub fn is_output(&self) -> bool {
        matches!(self.kind, Kind::OutputArray | Kind::OutputPicture | Kind::OutputEither)
    }

    /// Whether it is the name of a file, which need not be UTF-8.
    pub fn is_file(&self) -> bool {
        self.is_input() || self.is_output()
    }

    /// Whether an output of this name is a picture, where it may be an array as well.
    pub fn is_picture(path: &Path) -> bool {
        let is_file = matches!(Address::of(path), Address::File(_));
        is_file && path.extension().is_some_and(|ending| !ending.eq_ignore_ascii_case("npy"))
    }

    /// Looks at one value of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::InputArray | Kind::InputPicture | Kind::OutputArray | Kind::OutputPicture | Kind::OutputEither => {
                Ok(())
            }
            Kind::Text(check) | Kind::Signed(check) | Kind::Chain(check) => check(value),
            Kind::Choice(words) if words.contains(&value) => Ok(()),
            Kind::Choice(words) => Err(format!("it is none of {}", words.join(", "))),
        }
    }
}

/// Whether a text is what such values are read from: a [`Check`].
///
/// # Errors
/// What is wrong with it.
pub fn parses<T: FromStr<Err: Display>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|error| error.to_string())
}

/// Whether a text is a whole number that `T` can hold.
///
/// # Errors
/// That it is none.
pub fn whole<T: FromStr>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|_| format!("`{text}` is no whole number that can stand here"))
}

/// Whether a text is a number.
///
/// # Errors
/// That it is none.
pub fn real(text: &str) -> Result<(), String> {
    text.parse::<f64>().map(drop).map_err(|_| format!("`{text}` is no number"))
}

/// What a kernel was given, by the names of its [`Arg`]s, each checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgValues(BTreeMap<&'static str, Vec<OsString>>);

impl ArgValues {
    /// Enters what was given for an argument; nothing if there is none.
    pub fn enter(&mut self, name: &'static str, values: Vec<OsString>) {
        if !values.is_empty() {
            self.0.insert(name, values);
        }
    }

    /// What was given for an argument.
    pub fn all(&self, name: &str) -> &[OsString] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// A file.
    ///
    /// # Panics
    /// If none was given.
    pub fn path(&self, name: &str) -> &Path {
        Path::new(self.all(name).first().unwrap_or_else(|| panic!("--{name} is not given and has no default")))
    }

    /// The value of a parameter.
    ///
    /// # Panics
    /// If it was not checked, or there is none and no default.
    pub fn read<T: FromStr>(&self, name: &str) -> T {
        self.list(name).pop().unwrap_or_else(|| panic!("--{name} is not given and has no default"))
    }

    /// The values of a parameter that may have several.
    ///
    /// # Panics
    /// If they were not checked.
    pub fn list<T: FromStr>(&self, name: &str) -> Vec<T> {
        let read = |value: &OsString| value.to_str().and_then(|text| text.parse().ok()).expect("it was checked");
        self.all(name).iter().map(read).collect()
    }
}
