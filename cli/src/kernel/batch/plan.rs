//! What is to be done to each of many inputs, decided before anything is: where its result goes, whether it is left out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use parfork::formats::{Address, Location};
use parfork_workers::kernel::{Arg, ArgValues};
use parfork_workers::picture::Format;

use super::args::Many;
use super::found::{self, Found};
use super::output_names::OutputNames;
use crate::args::common::Common;
use crate::failure::Failure;
use crate::kernel::args::{Jpeg, Typed};

/// What is to be done.
pub struct Plan {
    pub inputs: Vec<Input>,
    /// What was typed, with one of the inputs alone.
    given: ArgValues,
    /// The name of the argument that has them, and of that which says where results go.
    arguments: [&'static str; 2],
}

/// An input, and what becomes of it.
pub struct Input {
    pub path: PathBuf,
    pub output: PathBuf,
    /// Of its file.
    pub bytes: u64,
    pub course: Course,
}

/// What becomes of an input.
pub enum Course {
    /// It is worked on.
    Work,
    /// Its output is there.
    Skip,
    /// It cannot be worked on: an exit code, and why.
    SetAside(u8, String),
}

impl Plan {
    /// What is to be done, if what was typed is more than one input and one output.
    pub fn of(typed: &Typed) -> Result<Option<Self>, Failure> {
        let Some(many) = &typed.many else { return Ok(None) };
        let argument = |is: fn(&Arg) -> bool| typed.kernel.args().iter().find(|arg| is(arg)).map_or("", |arg| arg.name);
        let arguments = [argument(|arg| arg.many), argument(Arg::is_output)];
        let (names, output) = (typed.given.all(arguments[0]), typed.given.path(arguments[1]));
        let names_of_outputs = OutputNames::of(output)?;
        if let ([_], OutputNames::File) = (names, &names_of_outputs)
            && !(many.recursive || many.skip_existing || many.newer)
        {
            return Ok(None);
        }
        let of_many = |text: String| Err(Failure::usage(text));
        if let Some(name) = names.iter().find(|name| !matches!(Address::of(Path::new(name)), Address::File(_))) {
            let name = Path::new(name).display();
            return of_many(format!("{name} has no name to make that of its output from. Give it alone, and a file."));
        }
        if names_of_outputs == OutputNames::File {
            let several = format!("the results of several pictures cannot all be {}", output.display());
            return of_many(match output.as_os_str().as_bytes().contains(&b'{') {
                true => format!(
                    "{several}, in which no word is of a pattern. The words are {{stem}}, {{name}}, {{ext}} and {{parent}}."
                ),
                false => format!("{several}. Name a folder, {}/, or a pattern with {{stem}} in it.", output.display()),
            });
        }
        if typed.common.only_slice.is_some() {
            return of_many("--only-slice is of one picture. Name the one, and a file for its result.".to_owned());
        }
        let folder = if let OutputNames::Folder(folder) = &names_of_outputs { Some(folder.as_path()) } else { None };
        let found = found::find(names, many.recursive, folder);
        if found.is_empty() {
            let names = names.iter().map(|name| Path::new(name).display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(Failure::input(format!("no file in {names} is called as a picture. Look at the folder.")));
        }
        let inputs = found.into_iter().map(|found| input(found, &names_of_outputs, typed.format, many)).collect();
        let mut given = typed.given.clone();
        given.enter(arguments[0], names[..1].to_vec());
        let plan = Self { inputs, given, arguments };
        plan.refuse_formats()?;
        plan.keep_apart(&typed.common)?;
        Ok(Some(plan))
    }

    /// The numbers of those that are worked on.
    pub fn work(&self) -> Vec<usize> {
        (0..self.inputs.len()).filter(|&at| matches!(self.inputs[at].course, Course::Work)).collect()
    }

    /// What would be typed for one of them alone.
    pub fn alone(&self, at: usize, typed: &Typed, common: Common) -> Typed {
        let mut given = self.given.clone();
        given.enter(self.arguments[0], vec![self.inputs[at].path.clone().into()]);
        given.enter(self.arguments[1], vec![self.inputs[at].output.clone().into()]);
        // Those of a mixed folder that are not JPEG have no settings of JPEG.
        let format = typed.format.map_or_else(|| Format::for_target(&self.inputs[at].output), Ok);
        let jpeg = if matches!(format, Ok(Format::Jpeg(_))) { typed.jpeg } else { Jpeg::default() };
        Typed {
            kernel: typed.kernel,
            given,
            format: typed.format,
            jpeg,
            strip: typed.strip,
            is_named: false,
            many: None,
            common,
        }
    }

    /// Makes the folders that results go to.
    pub fn make_folders(&self) -> Result<(), Failure> {
        let mut last = None;
        for input in self.work().into_iter().map(|at| &self.inputs[at]) {
            let folder = input.output.parent().filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|folder| last != Some(*folder)) {
                fs::create_dir_all(folder).map_err(|error| {
                    let folder = folder.display();
                    let why = match error.kind() {
                        ErrorKind::AlreadyExists => ", for a file is called so".to_owned(),
                        ErrorKind::NotADirectory => ", for a file is called as a folder above it".to_owned(),
                        _ => format!(" ({error})"),
                    };
                    Failure::job(format!("the folder {folder} cannot be made{why}. Name another one with -o."))
                })?;
            }
            last = folder;
        }
        Ok(())
    }

    /// Refuses outputs of which none can be written, by the first.
    fn refuse_formats(&self) -> Result<(), Failure> {
        let is_usage = |input: &Input| matches!(input.course, Course::SetAside(2, _));
        match &self.inputs[0].course {
            Course::SetAside(2, text) if self.inputs.iter().all(is_usage) => Err(Failure::usage(text)),
            _ => Ok(()),
        }
    }

    /// Refuses outputs that would hit each other, an input, or what else the command writes.
    fn keep_apart(&self, common: &Common) -> Result<(), Failure> {
        let hit = |output: &Path, other: &str| {
            let output = output.display();
            Err(Failure::usage(format!(
                "the output {output} would go where {other} is. Name another folder, or a pattern that tells them apart."
            )))
        };
        let mut inputs = HashMap::new();
        for input in &self.inputs {
            inputs.extend(Location::of_input(&input.path).map(|location| (location, &input.path)));
        }
        let mut taken: HashMap<Place, String> = HashMap::new();
        for other in common.uses().others {
            if let Some(input) = Location::of_output(other).and_then(|location| inputs.get(&location).copied()) {
                return hit(other, &format!("the input {}", input.display()));
            }
            taken.insert(Place::of(other), format!("the output {}", other.display()));
        }
        for input in self.inputs.iter().filter(|input| !matches!(input.course, Course::SetAside(..))) {
            let place = Place::of(&input.output);
            if let Place::There(location) = &place
                && let Some(other) = inputs.get(location)
            {
                return hit(&input.output, &format!("the input {}", other.display()));
            }
            match taken.entry(place) {
                Entry::Occupied(other) => {
                    return hit(&input.output, &format!("{}, of {},", other.get(), input.path.display()));
                }
                Entry::Vacant(free) => drop(free.insert(format!("that of {}", input.path.display()))),
            }
        }
        Ok(())
    }
}

/// Where an output goes, whatever it is called.
#[derive(PartialEq, Eq, Hash)]
enum Place {
    There(Location),
    /// In a folder that is still to be made.
    New(PathBuf),
}

impl Place {
    fn of(output: &Path) -> Self {
        Location::of_output(output).map_or_else(|| Self::New(output.components().collect()), Self::There)
    }
}

/// What becomes of an input.
fn input(
    Found { path, below, wrong }: Found,
    names_of_outputs: &OutputNames,
    format: Option<Format>,
    many: &Many,
) -> Input {
    let output = names_of_outputs.output(&path, &below, format);
    let there = fs::metadata(&path).ok();
    let bytes = there.as_ref().map_or(0, |there| there.len());
    let changed = there.and_then(|there| there.modified().ok());
    let made = fs::metadata(&output).ok();
    let is_newer = || changed > made.as_ref().and_then(|made| made.modified().ok());
    let course = match (wrong, format.map_or_else(|| Format::for_target(&output), Ok)) {
        (Some(wrong), _) => Course::SetAside(3, wrong),
        (None, Err(error)) => Course::SetAside(2, error.to_string()),
        _ if made.is_some() && (many.skip_existing || many.newer && !is_newer()) => Course::Skip,
        _ => Course::Work,
    };
    Input { path, output, bytes, course }
}
