//! A worker that watches over a program: starts it, tells it slices, takes its answers, ends as it ends.

use std::ffi::OsString;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::array_list::{ArrayList, SliceBytes, access, cut};
use super::line::{self, Cells};
use super::manifest::{Entry, Manifest, variable};
use super::planes_told::PlanesTold;
use super::program::Program;
use super::words::{cannot_start, in_turn, replaced, words};
use crate::engines::Programs;
use crate::error::{Error, Remaining, shown};
use crate::process::cause_of;
use crate::report::Memory;
use crate::shared::scratch;
use crate::spec::JobSpec;
use crate::sync::ExitMessage;
use crate::sys::exit;
use crate::sys::exit::Exit;
use crate::sys::memory::{Access, document, get, punch};
use crate::sys::pools::VARIABLES;
use crate::sys::program::{self, ReadOutcome, Start};
use crate::sys::sandbox::Support;
use crate::sys::subreaper::Subreaper;
use crate::worker::Worker;

/// What all workers of a job have in mind; each that is forked makes its own of it.
pub(super) struct Supervisor<'s> {
    program: &'s Program,
    array_list: &'s ArrayList,
    spec: &'s JobSpec,
    /// What a program may read in a sandbox, if it is to be in one, and what of a sandbox there can be.
    confine: Option<(Support, Vec<PathBuf>)>,
    coordinator: u32,
    orphans: &'s Subreaper,
    /// What this worker has started, once it has. One thread ever looks at it.
    programs: Mutex<Option<ProgramState>>,
}

/// What a worker has at hand for its program.
struct ProgramState {
    /// A descriptor of each array, in order, as the program may have it; and two of each of the planes.
    arrays: Vec<OwnedFd>,
    planes: Vec<[OwnedFd; 2]>,
    manifest: OwnedFd,
    environment: Vec<(OsString, OsString)>,
    running: Option<Running>,
}

/// A program that stays.
struct Running {
    program: program::Program,
    /// What it wrote and nobody has read.
    unread: Vec<u8>,
    /// Whether the last order went into its pipe, and whether it has answered one.
    told: bool,
    has_answered: bool,
    /// Whether the user was told that it was stopped.
    stopped: bool,
}

/// The variable that says which process's job a program, and all that it starts, belongs to.
pub(super) const MARK: &str = "PARFORK_COORDINATOR";

/// Milliseconds that a program has to leave when there is nothing more to do.
const LEAVING: u16 = 5000;

/// Manifests up to here are in the environment too; longer strings are refused by the kernel, with all others counted.
const IN_ENVIRONMENT: usize = 32 << 10;

impl<'s> Supervisor<'s> {
    pub(super) fn new(
        program: &'s Program,
        array_list: &'s ArrayList,
        spec: &'s JobSpec,
        confine: Option<(Support, Vec<PathBuf>)>,
        orphans: &'s Subreaper,
    ) -> Self {
        let (coordinator, programs) = (std::process::id(), Mutex::new(None));
        Self { program, array_list, spec, confine, coordinator, orphans, programs }
    }

    /// Lets the program do one slice.
    ///
    /// # Errors
    /// If it cannot be started, says that it failed, or breaks the protocol.
    pub(super) fn work(&self, worker: &Worker<'_>, share: &mut SliceBytes<'_>) -> Result<(), String> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let programs = match &mut *programs {
            Some(programs) => programs,
            none => none.insert(self.prepare(worker)?),
        };
        let cells = line::cells(worker.region());
        match self.program.each {
            true => self.run_once(worker, programs, &cells)?,
            false => self.ask(worker, programs, &cells)?,
        }
        if self.spec.guard {
            self.publish(programs, share)?;
        }
        share.file(self.array_list)
    }

    fn prepare(&self, worker: &Worker<'_>) -> Result<ProgramState, String> {
        let refused = |error| Error::system("open the arrays for the program")(error).to_string();
        let open = |array: &super::array::Array| match self.spec.guard && array.is_output() {
            true => scratch(array.backing()),
            false => array.backing().reopened(access(array)),
        };
        let arrays: Vec<OwnedFd> =
            self.array_list.arrays().iter().map(open).collect::<Result<_, _>>().map_err(refused)?;
        let planes = self.array_list.planes().iter().map(|planes| {
            let [first, second] = planes.backings().map(|backing| backing.reopened(Access::Write));
            Ok([first?, second?])
        });
        let planes: Vec<[OwnedFd; 2]> = planes.collect::<Result<_, _>>().map_err(refused)?;
        let entry = |(array, fd): (&super::array::Array, &OwnedFd)| Entry {
            name: array.name().to_owned(),
            fd: fd.as_raw_fd() as u32,
            offset: array.backing().begins_at(),
            output: array.is_output(),
            dtype: array.dtype(),
            shape: array.shape().to_vec(),
            first_is_fastest: array.extent().first_is_fastest,
        };
        let (size, slices) = (worker.workers(), worker.page.layout().slices);
        let all = self.array_list.planes().iter().zip(&planes);
        let told = all.map(|(planes, fds)| planes.entry(fds.each_ref().map(|fd| fd.as_raw_fd() as u32)));
        let told = (!planes.is_empty()).then(|| PlanesTold {
            axes: worker.region().ranges().map(|(axis, _)| axis).collect(),
            count: slices,
            steps: worker.page.layout().steps,
            arrays: told.collect(),
        });
        let shape = match self.array_list.planes().first() {
            Some(planes) => planes.shape(),
            None => cut(self.array_list.arrays()).shape().to_vec(),
        };
        let manifest = Manifest {
            rank: worker.rank(),
            size,
            coordinator: self.coordinator,
            each: self.program.each,
            split: self.spec.split.unwrap_or_default(),
            bounds: self.spec.bounds.clone(),
            shape,
            mine: self.spec.schedule.unwrap_or_default().fixed(slices, size, worker.rank()),
            arrays: self.array_list.arrays().iter().zip(&arrays).map(entry).collect(),
            planes: told,
        };
        let text = manifest.to_json();
        let document = document(c"parfork-manifest", text.as_bytes()).map_err(refused)?;
        let environment = self.environment(&manifest, text, &document);
        Ok(ProgramState { arrays, planes, manifest: document, environment, running: None })
    }

    /// What a program finds in its environment for all of its life; the user's own variables first, so that ours stay ours.
    fn environment(&self, manifest: &Manifest, text: String, document: &OwnedFd) -> Vec<(OsString, OsString)> {
        // What a worker inherits says so already, and is left out with all else.
        let threads = self.spec.threads_per_worker.unwrap_or(1);
        let pools = VARIABLES.iter().filter(|_| self.program.clear && threads > 0);
        let mut all: Vec<_> = pools.map(|name| (name.into(), threads.to_string().into())).collect();
        all.extend(self.program.environment.iter().cloned());
        let mut set = |name: String, value: String| all.push((name.into(), value.into()));
        set("PARFORK_RANK".into(), manifest.rank.to_string());
        set("PARFORK_SIZE".into(), manifest.size.to_string());
        set(MARK.into(), manifest.coordinator.to_string());
        set("PARFORK_MANIFEST_FD".into(), document.as_raw_fd().to_string());
        if text.len() <= IN_ENVIRONMENT {
            set("PARFORK_MANIFEST".into(), text);
        }
        for array in &manifest.arrays {
            let way = if array.output { "OUT" } else { "IN" };
            set(format!("PARFORK_{way}_{}", variable(&array.name)), format!("/proc/self/fd/{}", array.fd));
            set(format!("PARFORK_OFFSET_{}", variable(&array.name)), array.offset.to_string());
        }
        for planes in manifest.planes.iter().flat_map(|told| &told.arrays) {
            for (number, fd) in planes.fds.into_iter().enumerate() {
                set(format!("PARFORK_PLANE{number}_{}", variable(&planes.name)), format!("/proc/self/fd/{fd}"));
            }
        }
        all
    }

    fn start(
        &self,
        programs: &ProgramState,
        arguments: &[OsString],
        more: &[(OsString, OsString)],
    ) -> Result<program::Program, String> {
        let all = programs.arrays.iter().chain(programs.planes.iter().flatten()).chain([&programs.manifest]);
        let keep: Vec<_> = all.map(AsFd::as_fd).collect();
        let environment: Vec<_> = programs.environment.iter().chain(more).cloned().collect();
        let reach = |readable: &[PathBuf]| [readable, &self.array_list.paths_of_files(&programs.arrays)].concat();
        let confine = self.confine.as_ref().map(|(support, readable)| (*support, reach(readable)));
        let start = Start {
            program: &self.program.name,
            arguments,
            environment: &environment,
            clear: self.program.clear,
            keep: &keep,
            memory: self.spec.memory_limit,
            confine: confine.as_ref().map(|(support, readable)| (*support, &readable[..])),
            pipes: !self.program.each,
            subreaper: self.coordinator,
        };
        program::Program::start(&start).map_err(|error| cannot_start(&self.program.name, &error))
    }

    /// One slice by a program that is started for it.
    fn run_once(&self, worker: &Worker<'_>, programs: &ProgramState, cells: &[Range<usize>]) -> Result<(), String> {
        let words = words(worker, cells, (!programs.planes.is_empty()).then(|| worker.step()));
        let arguments: Vec<OsString> =
            self.program.arguments.iter().map(|argument| replaced(argument, &words)).collect();
        let set = |(name, value): &(&str, String)| (format!("PARFORK_{}", name.to_uppercase()).into(), value.into());
        let mut more: Vec<_> = words.iter().filter(|(name, _)| !["rank", "size"].contains(name)).map(set).collect();
        for (planes, fds) in self.array_list.planes().iter().zip(&programs.planes) {
            more.extend(in_turn(planes.name(), fds, worker.step()));
        }
        let mut program = self.start(programs, &arguments, &more)?;
        let lost = |error| format!("the end of the program cannot be waited for ({error})");
        let mut stopped = false;
        while !program.has_ended_within(program::Program::LOOK).map_err(lost)? {
            if program::is_stopped(program.pid()) {
                self.tell_of_stop(worker, program.pid(), &mut stopped);
            }
        }
        match program.wait().map_err(lost)? {
            Exit::Status(0) => Ok(()),
            exit => self.end_as(worker, program.pid(), exit, true),
        }
    }

    /// One slice by the program that stays.
    fn ask(&self, worker: &Worker<'_>, programs: &mut ProgramState, cells: &Cells) -> Result<(), String> {
        let new = programs.running.is_none();
        if new {
            let program = self.start(programs, &self.program.arguments, &[])?;
            programs.running =
                Some(Running { program, unread: Vec::new(), told: false, has_answered: false, stopped: false });
        }
        let Some(running) = &mut programs.running else { unreachable!("started just now") };
        let order = match programs.planes.is_empty() {
            true => line::order(cells),
            false => line::step_order(worker.step(), cells),
        };
        let title = self.program.title();
        let broken = |error| format!("the pipe to the program cannot be used ({error})");
        let spoken = || format!("the program `{title}` wrote");
        if !new && running.unread.is_empty() && running.program.has_spoken().map_err(broken)? {
            let mut room = [0; line::LONGEST];
            if let ReadOutcome::Bytes(count) = running.program.listen(&mut room).map_err(broken)? {
                running.unread.extend(&room[..count]);
            }
        }
        if !running.unread.is_empty() {
            let line = running.unread.split(|&byte| byte == b'\n').next().unwrap_or_default();
            return Err(format!("{} \"{}\" before it was given a slice", spoken(), shown(line)));
        }
        // One that is dead has left no answer either, and that is how it is told.
        running.told = running.program.tell(order.as_bytes()).is_ok();
        if !running.told && !running.program.is_ending().map_err(broken)? {
            return Err(format!(
                "the program `{title}` has closed its standard input and goes on, so that it cannot be given `{}`",
                order.trim_end()
            ));
        }
        let answer = match self.next_line(worker, running)? {
            Some(answer) => answer,
            None => {
                return Err(format!(
                    "the program `{title}` has closed its standard output and goes on, where it should have answered `{}`",
                    order.trim_end()
                ));
            }
        };
        match line::parse_answer_to(&answer, cells) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) if why.is_empty() => Err(format!("the program `{title}` failed and did not say why")),
            Ok(Err(why)) => Err(why),
            Err(nonsense) => Err(format!("{} {nonsense}, in answer to `{}`", spoken(), order.trim_end())),
        }
    }

    /// The next line that the program writes, without its newline; `None` if it has closed its end of the pipe. This process ends
    /// here if the program does.
    fn next_line(&self, worker: &Worker<'_>, running: &mut Running) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(end) = running.unread.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = running.unread.drain(..=end).collect();
                line.pop();
                running.has_answered = true;
                return Ok(Some(line));
            }
            let title = self.program.title();
            let begun = shown(&running.unread);
            if running.unread.len() >= line::LONGEST {
                let most = line::LONGEST;
                return Err(format!(
                    "the program `{title}` wrote a line of more than {most} bytes, which begins with \"{begun}\""
                ));
            }
            let mut room = [0; line::LONGEST];
            let room = &mut room[..line::LONGEST - running.unread.len()];
            match running
                .program
                .listen(room)
                .map_err(|error| format!("the program cannot be listened to ({error})"))?
            {
                ReadOutcome::Stopped => self.tell_of_stop(worker, running.program.pid(), &mut running.stopped),
                ReadOutcome::Bytes(count) => running.unread.extend(&room[..count]),
                ReadOutcome::Closed if running.unread.is_empty() => return Ok(None),
                ReadOutcome::Closed => {
                    return Err(format!(
                        "the program `{title}` wrote \"{begun}\" and closed its standard output before the line's end"
                    ));
                }
                ReadOutcome::Ended => {
                    let exit = running.program.wait().unwrap_or(Exit::Unknown);
                    if !running.unread.is_empty() && matches!(exit, Exit::Status(_)) {
                        return Err(format!("the program `{title}` wrote \"{begun}\" and ended before the line's end"));
                    }
                    let began = running.has_answered || running.told && running.program.has_read();
                    self.end_as(worker, running.program.pid(), exit, began);
                }
            }
        }
    }

    /// Tells the user of a program that somebody has stopped, once: the job waits for it, and does not know for how long.
    fn tell_of_stop(&self, worker: &Worker<'_>, pid: u32, told: &mut bool) {
        if !std::mem::replace(told, true) {
            let (rank, title) = (worker.rank(), self.program.title());
            eprintln!(
                "parfork: the program `{title}` (pid {pid}) of worker {rank} is stopped, and the job waits for it. To let it go on: kill -CONT {pid}"
            );
        }
    }

    /// Ends this worker because its program has ended: with last words that say how.
    fn end_as(&self, worker: &Worker<'_>, pid: u32, exit: Exit, began: bool) -> ! {
        worker.page.slots()[worker.rank].send_exit_message(&ExitMessage::ProgramExited {
            exit,
            pid,
            program: self.program.title(),
            began,
        });
        exit::leave(1)
    }

    /// Copies the slice out of what the program could write to, and forgets the rest of that.
    fn publish(&self, programs: &ProgramState, share: &mut SliceBytes<'_>) -> Result<(), String> {
        let refused = |error: std::io::Error| format!("the slice cannot be copied to the output ({error})");
        share.fill(self.array_list, |array, at, bytes| get(&programs.arrays[array], at, bytes)).map_err(refused)?;
        let outputs = self.array_list.arrays().iter().zip(&programs.arrays).filter(|(array, _)| array.is_output());
        for (array, fd) in outputs {
            punch(fd, 0..array.backing().len()).map_err(refused)?;
        }
        Ok(())
    }
}

impl Programs for Supervisor<'_> {
    /// Tells the program, if it stays, that there is nothing more to do, and waits for its end. How much memory it had, if that is
    /// to be measured.
    fn dismiss(&self) -> Result<Memory, String> {
        let mut memory = Memory::default();
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut running) = programs.as_mut().and_then(|programs| programs.running.take()) {
            if self.spec.measure_memory {
                memory = Memory::of(running.program.pid()).unwrap_or_default();
            }
            // What it does after its last answer may be a part of what it was to do; but not for ever.
            let left = running.program.dismiss(LEAVING).ok().flatten();
            let (title, pid) = (self.program.title(), running.program.pid());
            match left {
                Some(exit @ (Exit::Status(1..) | Exit::Signal(_))) => {
                    return Err(format!(
                        "the program `{title}` (pid {pid}) {} after it had said that all of its slices were done",
                        cause_of(exit)
                    ));
                }
                Some(_) => {}
                None => eprintln!(
                    "parfork: the program `{title}` (pid {pid}) stayed for more than {} s after its last slice, and is ended. A program leaves when its standard input ends.",
                    LEAVING / 1000
                ),
            }
        }
        Ok(memory)
    }

    fn end_left(&self) -> Vec<Remaining> {
        self.orphans.end()
    }
}
