//! The isolated process's side: from the start of the program to its answer.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::formats::InputFile;
use crate::sandbox::Sandbox;
use crate::sys::limits;
use crate::sys::memory::{Inheritance, MapMode, Mapping, reopen};

/// The first argument of a program that is started to be isolated; the second is the task's name.
const ISOLATED: &str = "parfork-isolated";

/// The names of tasks that this program does if it is started so.
static SERVED: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// Lets this program do tasks of that name in isolated processes: to be called before anything else in `main`, once for each name. Returns at
/// once, unless this process was started for such a task.
///
/// The body is given the task's numbers, the file, and the bytes of both outputs, none of one that there is not; it runs in a sandbox and can get nothing
/// else. What it answers, and what it writes, is a stranger's word: check it.
pub fn serve(name: &'static str, body: impl FnOnce([u64; 4], &InputFile, [&mut [u8]; 2]) -> Result<[u64; 4]>) {
    SERVED.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ISOLATED) || arguments.next().is_none_or(|second| second != name) {
        return;
    }
    // A panic would tell the user of files of whoever has built this; and what std says of memory that there is not, is said by whoever
    // has started this process, who knows of which file.
    std::panic::set_hook(Box::new(|_| ()));
    if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stderr(nowhere);
    }
    let told = Request::parse(arguments).and_then(|order| order.carry_out(body).map_err(|error| in_words(&error)));
    let (kind, text) = match told {
        Ok(numbers) => ("done", numbers.map(|number| number.to_string()).join(" ")),
        Err(words) => ("wrong", words),
    };
    // Whoever has started this process hears of its end if it cannot be told.
    let _ = io::stdout().write_all(format!("{kind} {text}").as_bytes());
    std::process::exit(0);
}

/// Whether `main` has begun with [`serve()`] for tasks of that name.
pub fn serves(name: &str) -> bool {
    SERVED.lock().unwrap_or_else(PoisonError::into_inner).contains(&name)
}

/// What an isolated process is told to do, by its arguments: all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// For the body.
    pub(super) numbers: [u64; 4],
    /// Bytes of memory that it may take.
    pub(super) memory: Option<u64>,
    /// The file's descriptor.
    pub(super) input: u64,
    /// The outputs' descriptors, and how many bytes they are.
    pub(super) outputs: [Option<(u64, usize)>; 2],
}

impl Request {
    /// The arguments that say so.
    pub(super) fn arguments(&self, name: &str) -> Vec<OsString> {
        let in_numbers = |(fd, bytes): (u64, usize)| [Some(fd), Some(bytes as u64)];
        let outputs = self.outputs.into_iter().flat_map(|output| output.map(in_numbers).unwrap_or_default());
        let numbers = self.numbers.into_iter().map(Some).chain([self.memory, Some(self.input)]).chain(outputs);
        let text = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string().into());
        [ISOLATED.into(), name.into()].into_iter().chain(numbers.map(text)).collect()
    }

    fn parse(arguments: impl Iterator<Item = OsString>) -> std::result::Result<Self, String> {
        let number = |argument: OsString| match argument.to_str()? {
            "-" => Some(None),
            text => text.parse::<u64>().ok().map(Some),
        };
        let numbers = arguments.map(number).collect::<Option<Vec<_>>>();
        match numbers.as_deref() {
            Some(&[Some(a), Some(b), Some(c), Some(d), memory, Some(input), fd, bytes, other_fd, other_bytes])
                if fd.is_some() == bytes.is_some() && other_fd.is_some() == other_bytes.is_some() =>
            {
                let outputs = [fd.zip(bytes), other_fd.zip(other_bytes)];
                let outputs = outputs.map(|output| output.map(|(fd, bytes)| (fd, bytes as usize)));
                Ok(Self { numbers: [a, b, c, d], memory, input, outputs })
            }
            _ => Err("an isolated process is started by parfork and not by hand".to_owned()),
        }
    }

    /// Confines this process, then does it; what it answers.
    fn carry_out(
        self,
        body: impl FnOnce([u64; 4], &InputFile, [&mut [u8]; 2]) -> Result<[u64; 4]>,
    ) -> Result<[u64; 4]> {
        let open = |fd, write| {
            reopen(std::process::id(), fd, write).map_err(Error::system("open what an isolated process works on"))
        };
        // Whoever has started it knows the path.
        let input = InputFile::of(Path::new(""), File::from(open(self.input, false)?))?;
        let map = |output: Option<(u64, usize)>| match output {
            Some((fd, bytes)) => {
                let mapped = Bytes::new(&open(fd, true)?, bytes);
                mapped.map(Some).map_err(Error::system("map the output of an isolated process"))
            }
            None => Ok(None),
        };
        let (mut first, mut second) = (map(self.outputs[0])?, map(self.outputs[1])?);
        if let Some(bytes) = self.memory {
            limits::limit_private_memory(Some(bytes)).map_err(Error::system("limit an isolated process's memory"))?;
            limits::limit_addresses(bytes).map_err(Error::system("limit an isolated process's addresses"))?;
        }
        Sandbox::new().confine_this_process(&[input.file().as_raw_fd()])?;
        let outputs = [&mut first, &mut second];
        body(self.numbers, &input, outputs.map(|output| output.as_mut().map_or(&mut [][..], Bytes::as_mut_slice)))
    }
}

/// The output's bytes: shared memory that this process alone writes for as long as it lives.
struct Bytes(Mapping);

impl Bytes {
    /// The first `len` bytes of a file that the coordinator has made for them, and does not look into until this process has ended.
    fn new(fd: &OwnedFd, len: usize) -> io::Result<Self> {
        Mapping::new(fd, len, MapMode::SharedToWrite, Inheritance::Withheld).map(Self)
    }

    #[allow(unsafe_code)]
    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as many bytes are mapped, for as long as this is borrowed; the coordinator lends them to this process until its end.
        unsafe { std::slice::from_raw_parts_mut(self.0.base().as_ptr(), self.0.len()) }
    }
}

/// An error as it is told: what is wrong and what to do, where it is one of the file.
fn in_words(error: &Error) -> String {
    match error {
        Error::File { what, remedy, .. } => format!("{what}\0{remedy}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_what_its_arguments_say_and_nothing_else_is_one() {
        let outputs = [[None, None], [Some((9, 12)), None], [None, Some((9, 12))], [Some((9, 12)), Some((8, 1))]];
        for (memory, outputs) in
            [None, Some(0), Some(1 << 40)].into_iter().flat_map(|memory| outputs.map(|it| (memory, it)))
        {
            let order = Request { numbers: [3, 4, u64::MAX, 16], memory, input: 7, outputs };
            let arguments = order.arguments("look");
            assert_eq!(arguments[..2], [ISOLATED, "look"]);
            assert_eq!(Request::parse(arguments.into_iter().skip(2)), Ok(order));
        }
        for wrong in [
            &[][..],
            &["7"],
            &["1", "2", "3", "4", "-", "7", "9", "-", "-", "-"],
            &["1", "2", "3", "x", "-", "7", "-", "-", "-", "-"],
            &["1", "2", "3", "4", "-", "7", "-", "-"],
        ] {
            assert!(Request::parse(wrong.iter().map(OsString::from)).is_err(), "{wrong:?}");
        }
    }
}
