//! A program that runs while a segment is there.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parfork::CancelToken;

use crate::failure::Failure;

/// How often to look whether it has ended, or whether this command is to end.
const LOOK: Duration = Duration::from_millis(10);

/// Runs it to its end, and fails with its status if that is not 0. A signal that asks this command to end is handed on.
pub fn run(program: &[OsString], segment: &Path) -> Result<(), Failure> {
    let stop = CancelToken::at_signals()?;
    // The segment goes before this command does.
    let _hold = CancelToken::hold();
    let (name, arguments) = program.split_first().expect("asked for only if there is one");
    let child = Command::new(name).args(arguments).env("PARFORK_SEGMENT", segment).spawn();
    let mut child = child.map_err(|error| {
        Failure::usage(format!("{} cannot be run ({error}). Name a program that can.", name.to_string_lossy()))
    })?;
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
            return if code == 0 { Ok(()) } else { Err(Failure::Left(code as u8)) };
        }
        if let Some(signal) = stop.signal().filter(|_| !told) {
            told = true;
            // It may be gone: the next look will tell.
            let _ = Signal::try_from(signal).and_then(|signal| kill(Pid::from_raw(child.id() as i32), signal));
        }
        std::thread::sleep(LOOK);
    }
}
