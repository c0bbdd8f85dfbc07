//! What workers say of each input they have done, to their coordinator while it waits for them: lines in a file in memory.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::Value;

/// Where they say it. Each line is written by one call, behind all that are there.
pub struct Log(File);

impl Log {
    pub fn new() -> io::Result<Self> {
        let file = memfd_create(c"parfork-log", MFdFlags::MFD_CLOEXEC)?;
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        Ok(Self(file.into()))
    }

    /// Says something.
    pub fn say(&self, what: &Value) -> io::Result<()> {
        // What a worker left that was killed in the middle of a line ends there.
        (&self.0).write_all(format!("\n{what}\n").as_bytes())
    }

    /// What was said since it was `read` so far.
    pub fn hear(&self, read: &mut u64) -> Vec<Value> {
        let len = self.0.metadata().map_or(0, |metadata| metadata.len());
        let mut text = vec![0; len.saturating_sub(*read) as usize];
        if text.is_empty() || self.0.read_exact_at(&mut text, *read).is_err() {
            return Vec::new();
        }
        // What is not whole yet comes the next time.
        text.truncate(text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1));
        *read += text.len() as u64;
        text.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}
