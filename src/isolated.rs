//! Work on files that strangers sent, by a process that has nothing of this one's: this program, executed anew in a [`Sandbox`].
//!
//! A worker is a fork and has all that the coordinator had in its memory and its environment; code that has taken it over can read
//! that. An isolated process begins with no environment, one [`InputFile`], and the output's memory. It confines itself before it looks at
//! the file; whatever the file makes it do ends as an error of the file.
//!
//! `main` begins with [`serve()`], which says what such a process does; a [`Task`] starts one and waits for it.
//!
//! ```no_run
//! use parfork::{Hooks, JobSpec, Shared, formats::InputFile, isolated::{self, Task}};
//!
//! fn main() -> parfork::Result<()> {
//!     isolated::serve("invert", |_, file, [output, _]| {
//!         let bytes = file.head(file.len())?; // parse and decode here: nothing but the output can be reached
//!         output.iter_mut().zip(&bytes).for_each(|(output, byte)| *output = !byte);
//!         Ok([bytes.len() as u64, 0, 0, 0])
//!     });
//!     let file = InputFile::open("sent-by-a-stranger")?;
//!     let mut inverted = Shared::<u8, _>::zeros(file.len() as usize)?;
//!     let [count, ..] = Task::new("invert", &file).run_into(&JobSpec::default(), Hooks::default(), &mut inverted)?;
//!     assert!(count <= file.len()); // what it answers is checked as the file itself would be
//!     Ok(())
//! }
//! ```

mod serve;

use std::ffi::OsString;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use bytemuck::Pod;
use ndarray::Dimension;

pub use serve::{serve, serves};

use crate::error::{Cause, Error, ExecError, Result, advice};
use crate::formats::InputFile;
use crate::hooks::Hooks;
use crate::job::Job;
use crate::process::cause_of;
use crate::shared::Shared;
use crate::slices::Split;
use crate::spec::JobSpec;
use crate::sys::exit::Exit;
use crate::sys::memory::Access;
use crate::sys::program::{Program, ReadOutcome, Start};
use crate::sys::subreaper::Subreaper;
use serve::Request;

#[cfg(doc)]
use crate::sandbox::Sandbox;

/// The variable that says whose process it is: all of its environment.
const MARK: &str = "PARFORK_ISOLATED_FOR";

/// Longer answers are not read to their end.
const LONGEST: usize = 64 << 10;

/// What to do in case of a file that has its process misbehave.
const HARMFUL: &str = "it was made to do harm: fetch or export it again";

/// What an isolated process is to do: the name it is [served](serve()) by, a file to read, and four numbers of any meaning.
#[derive(Clone, Copy, Debug)]
pub struct Task<'f> {
    name: &'static str,
    numbers: [u64; 4],
    input: &'f InputFile,
}

impl<'f> Task<'f> {
    /// One with zeros for numbers.
    pub fn new(name: &'static str, input: &'f InputFile) -> Self {
        Self { name, numbers: [0; 4], input }
    }

    /// With these numbers.
    pub fn numbers(mut self, numbers: [u64; 4]) -> Self {
        self.numbers = numbers;
        self
    }

    /// Has it done, without an output; the numbers that were answered. Takes a few milliseconds, which starting this program takes.
    ///
    /// Of what is set, name, deadline and limit of memory (of the isolated process) count, of the hooks the request to stop and how strict
    /// the sandbox is.
    ///
    /// # Errors
    /// [`Error::File`] if the process finds the file wrong, or ends in any other way than by answering; [`Error::Exec`] if `main` does not
    /// serve the name; as [`Job::run`] if there can be no worker, which starts the process and watches over it.
    pub fn run(&self, spec: &JobSpec, hooks: Hooks<'_>) -> Result<[u64; 4]> {
        self.start(spec, hooks, [None, None])
    }

    /// As [`run`](Self::run), with an output, whose bytes the process writes where they are.
    ///
    /// # Errors
    /// As [`run`](Self::run). Then the output may hold anything.
    pub fn run_into<T: Pod + Send + Sync, D: Dimension>(
        &self,
        spec: &JobSpec,
        hooks: Hooks<'_>,
        output: &mut Shared<T, D>,
    ) -> Result<[u64; 4]> {
        self.start(spec, hooks, [Some(Place::of(output)?), None])
    }

    /// As [`run_into`](Self::run_into), with two outputs: what is known only when the file is looked at, and what there was room for before.
    ///
    /// # Errors
    /// As [`run`](Self::run). Then the outputs may hold anything.
    pub fn run_into_both<T: Pod + Send + Sync, D: Dimension, U: Pod + Send + Sync, E: Dimension>(
        &self,
        spec: &JobSpec,
        hooks: Hooks<'_>,
        first: &mut Shared<T, D>,
        second: &mut Shared<U, E>,
    ) -> Result<[u64; 4]> {
        self.start(spec, hooks, [Some(Place::of(first)?), Some(Place::of(second)?)])
    }

    /// Lets a worker start the process and wait for it. The outputs are the process's meanwhile, and nobody else's.
    fn start(&self, spec: &JobSpec, hooks: Hooks<'_>, outputs: [Option<Place<'_>>; 2]) -> Result<[u64; 4]> {
        if !serves(self.name) {
            let (task, call) = (self.name.to_owned(), format!("isolated::serve(\"{}\", ...)", self.name));
            return Err(ExecError::NotServed { task, call }.into());
        }
        let sandbox = hooks.sandbox.unwrap_or_default();
        // Refused here if it cannot be as strict as it is to be.
        sandbox.support()?;
        let order = Request {
            numbers: self.numbers,
            memory: spec.memory_limit,
            input: self.input.file().as_raw_fd() as u64,
            outputs: outputs
                .each_ref()
                .map(|output| output.as_ref().map(|Place { fd, bytes, .. }| (fd.as_raw_fd() as u64, *bytes))),
        };
        let spec = JobSpec {
            name: spec.name.clone(),
            workers: Some(1),
            split: Some(Split::default().into_pieces(1)),
            deadline: spec.deadline,
            ..JobSpec::default()
        };
        let sandbox = Some(sandbox.around_programs());
        let hooks = Hooks { cancel_token: hooks.cancel_token, sandbox, ..Hooks::default() };
        let arguments = order.arguments(self.name);
        let environment: [(OsString, OsString); 1] = [(MARK.into(), std::process::id().to_string().into())];
        let keep: Vec<_> = [self.input.file().as_fd()]
            .into_iter()
            .chain(outputs.iter().flatten().map(|place| place.fd.as_fd()))
            .collect();
        let start = Start {
            program: "/proc/self/exe".as_ref(),
            arguments: &arguments,
            environment: &environment,
            clear: true,
            keep: &keep,
            memory: None,
            confine: None,
            pipes: true,
            subreaper: std::process::id(),
        };
        // Dropped when the worker is gone, and with it the process.
        let _orphans =
            Subreaper::adopt(MARK).map_err(Error::system("become the parent of processes that are left behind"))?;
        match Job::with(&Shared::<u8, _>::zeros(1)?, spec).hooks(hooks).run(|_, _| answer(&start, order.memory)) {
            Ok(answers) => Ok(answers.first().copied().unwrap_or_default()),
            Err(Error::BodyFailed(refusal)) => Err(match refusal.reason.split_once('\0') {
                Some((what, remedy)) => self.input.wrong(what, remedy),
                // As errors of the system are told, with what to do.
                None => {
                    let reason = refusal.reason.trim_end_matches('.');
                    let (what, remedy) =
                        reason.split_once(". ").unwrap_or((reason, "look at what the machine has left for it"));
                    self.input.wrong(what, remedy)
                }
            }),
            Err(other) => Err(other),
        }
    }
}

/// The memory of an output, which is borrowed.
struct Place<'o> {
    fd: OwnedFd,
    bytes: usize,
    borrowed: PhantomData<&'o mut ()>,
}

impl<'o> Place<'o> {
    fn of<T: Pod + Send + Sync, D: Dimension>(output: &'o mut Shared<T, D>) -> Result<Self> {
        let fd = output.segment().backing().reopened(Access::Write);
        let fd = fd.map_err(Error::system("open the output of an isolated process"))?;
        Ok(Self { fd, bytes: output.len() * size_of::<T>(), borrowed: PhantomData })
    }
}

/// In a worker: starts the process, and waits for its end; the numbers that it answered.
fn answer(start: &Start<'_>, memory: Option<u64>) -> std::result::Result<[u64; 4], String> {
    let lost =
        |error| format!("the process that reads it cannot be started or listened to ({error})\0{}", advice(&error));
    let mut program = Program::start(start).map_err(lost)?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match program.listen(&mut piece).map_err(lost)? {
            ReadOutcome::Bytes(count) => answer.extend(&piece[..count]),
            ReadOutcome::Stopped => {}
            ReadOutcome::Ended | ReadOutcome::Closed => break,
        }
        if answer.len() > LONGEST {
            return Err(format!("the process that reads it does not stop talking\0{HARMFUL}"));
        }
    }
    let cause = match (program.wait().map_err(lost)?, memory) {
        (Exit::Status(0), _) => None,
        // Only what was meant to confine it ends it so, and only its limit of memory lets it give up.
        (Exit::Signal(libc::SIGSYS), _) => Some(Cause::Forbidden { call: None }),
        (Exit::Signal(libc::SIGABRT), Some(limit)) => Some(Cause::AbortedWithin { limit }),
        (exit, _) => Some(cause_of(exit)),
    };
    if let Some(cause) = cause {
        let remedy = match cause {
            Cause::AbortedWithin { .. } => "give it more memory, or, if it is a small file, fetch or export it again",
            _ => "it is damaged, or was made to do harm: fetch or export it again",
        };
        return Err(format!("the process that reads it {cause}\0{remedy}"));
    }
    let answer = String::from_utf8_lossy(&answer);
    let numbers =
        |text: &str| text.split(' ').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>()?.try_into().ok();
    match answer.split_once(' ') {
        Some(("done", text)) if let Some(numbers) = numbers(text) => Ok(numbers),
        Some(("wrong", words)) => Err(words.to_owned()),
        _ => Err(format!("the process that reads it answered nothing that makes sense\0{HARMFUL}")),
    }
}
