//! What has no length beforehand: pipes, sockets, standard input.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::file::{Bounded, takes_all, user};
use super::limits::{Room, memory_room};
use super::memory::{finish, growing, reopen};
use super::signals;

/// How long to wait for the other end of a pipe.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How often to look whether this process was asked to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// Bytes after which to look again how much memory there is.
const STRETCH: u64 = 1 << 24;

/// Why a pipe was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The system says so.
    Failed(io::Error),
    /// There would be no memory for more than so many bytes.
    NoRoom(u64, Room),
    /// Nobody has opened it to write.
    NoWriter,
    /// This process was asked to stop, by this signal.
    Stopped(i32),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads a pipe to its end, into an anonymous file that nobody can change any more. Waits for `patience` until somebody has
/// opened it to write, and from then on for all that comes.
pub(crate) fn read_to_end(mut pipe: File, patience: Duration) -> Result<File, Unread> {
    let until = Instant::now() + patience;
    let blocks = fcntl(&pipe, FcntlArg::F_GETFL).map_err(io::Error::from)? & libc::O_NONBLOCK == 0;
    let mut file = Bounded(growing(c"parfork-pipe")?);
    let mut piece = vec![0; PIECE];
    let (mut read, mut checked) = (0, 0);
    loop {
        if let Some(signal) = signals::noted() {
            return Err(Unread::Stopped(signal));
        }
        let news = has_news(&pipe, LOOK)?;
        if blocks && !news {
            continue;
        }
        match pipe.read(&mut piece) {
            // The end of what somebody wrote is news; of a pipe that nobody has opened to write there is none.
            Ok(0) if news => break,
            Ok(0) if Instant::now() >= until => return Err(Unread::NoWriter),
            Ok(0) => {}
            Ok(count) => {
                read += count as u64;
                if read > checked {
                    if let Some(room) = memory_room().filter(|room| room.bytes < 2 * STRETCH) {
                        return Err(Unread::NoRoom(read, room));
                    }
                    checked = read + STRETCH;
                }
                file.write_all(&piece[..count])?;
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
    }
    finish(&file)?;
    // To be read alone: whoever has a file open to write gets no lease of it.
    Ok(reopen(std::process::id(), file.as_raw_fd() as u64, false)?.into())
}

/// Opens a pipe to write, or a device that takes all; waits for a moment until somebody has opened a pipe to read.
///
/// # Errors
/// ENXIO if nobody has; EPERM if it is another user's, who may have put it there for this one to fall for it.
pub(crate) fn open_to_write(path: &Path) -> io::Result<File> {
    let until = Instant::now() + PATIENCE;
    loop {
        match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
            Ok(file) => {
                let found = file.metadata()?;
                let is_own_pipe = found.file_type().is_fifo() && found.uid() == user();
                if !is_own_pipe && !takes_all(&found) {
                    return Err(Errno::EPERM.into());
                }
                fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
                return Ok(file);
            }
        }
    }
}

/// Whether there is something to read, or the end of it, before so long.
fn has_news(pipe: &File, patience: Duration) -> io::Result<bool> {
    let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    match poll(&mut watched, PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX)) {
        Ok(count) => Ok(count > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_read_to_its_end_and_cannot_be_changed_then() {
        let (pipe, mut writer) = io::pipe().unwrap();
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|at| (at % 251) as u8).collect();
        let expected = bytes.clone();
        let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        let mut file = read_to_end(File::from(std::os::fd::OwnedFd::from(pipe)), Duration::ZERO).unwrap();
        writing.join().unwrap();
        let mut found = Vec::new();
        file.read_to_end(&mut found).unwrap();
        assert!(found == expected && file.write_all(b"more").is_err());
    }

    #[test]
    fn a_pipe_that_nobody_writes_keeps_nobody_waiting_and_a_late_writer_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let open = || super::super::file::open_to_read(&path).unwrap();
        assert!(matches!(read_to_end(open(), Duration::from_millis(1)), Err(Unread::NoWriter)));
        let pipe = open();
        let late = path.clone();
        let writing = std::thread::spawn(move || std::fs::write(late, b"late").unwrap());
        let mut text = String::new();
        read_to_end(pipe, Duration::from_secs(100)).unwrap().read_to_string(&mut text).unwrap();
        writing.join().unwrap();
        assert_eq!(text, "late");
    }
}
