//! The one door of inputs: opened once, the length known; every failure in words.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Address;
use crate::error::{Error, Result, limit};
#[cfg(feature = "named")]
use crate::shared::named::Opened;
use crate::sys::file::open_to_read;
use crate::sys::limits::{self, Room};
use crate::sys::pipe::{PATIENCE, Unread, read_to_end};

/// An input to read, and its length: what readers of a format begin with. It is a regular file, or can be read as one: what comes
/// through a pipe was read to its end, into memory.
///
/// ```
/// use parfork::formats::InputFile;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("four.bin");
/// std::fs::write(&path, [1, 2, 3, 4]).unwrap();
/// let mut input = InputFile::open(&path)?; // a folder, a device and an empty file are refused with words
/// let mut rest = vec![0; input.len() as usize];
/// input.fill(&mut rest)?;
/// assert_eq!(rest, [1, 2, 3, 4]);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct InputFile {
    path: PathBuf,
    /// Which array of an archive is meant.
    member: Option<OsString>,
    file: File,
    len: u64,
    /// How much memory there was when it was opened: who reads it may not be able to ask.
    room: Option<Room>,
    /// The segment, where `file` is one's.
    #[cfg(feature = "named")]
    segment: Option<Opened>,
}

impl InputFile {
    /// Opens an input that has something in it, by its [`Address`]: a file, a pipe, standard input (`-`) or a named segment
    /// (`shm:NAME`).
    ///
    /// Reads a pipe to its end, which a signal that asks this process to end stops; one that nobody opens to write within some
    /// seconds is refused.
    ///
    /// # Errors
    /// [`Error::File`] if there is none, it may not be read, or it is empty, a device or a folder; [`Error::Memory`] if more comes
    /// through a pipe than there is memory for; of a segment as `named::Named::open`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match Address::of(path) {
            Address::Standard => Self::of_standard_input(path),
            #[cfg(feature = "named")]
            Address::Segment(name) => {
                let segment = Opened::find(&name.to_string_lossy())?;
                let file = segment.file().try_clone().map_err(|error| unreadable(path, &error))?;
                Ok(Self { segment: Some(segment), ..Self::of(path, file)? })
            }
            #[cfg(not(feature = "named"))]
            Address::Segment(_) => Err(wrong(
                path,
                "it means a named segment, of which this program knows nothing",
                "build it with parfork's feature `named`, or write ./ before a file's name",
            )),
            Address::File(path) => {
                let (path, member) = Address::member(path);
                let file = open_to_read(path).map_err(|error| unreadable(path, &error))?;
                match file.metadata().is_ok_and(|found| found.file_type().is_fifo()) {
                    true => Self::of(path, through(path, file, PATIENCE)?),
                    false => Ok(Self { member: member.map(OsStr::to_owned), ..Self::of(path, file)? }),
                }
            }
        }
    }

    fn of_standard_input(path: &Path) -> Result<Self> {
        let input = io::stdin();
        if input.is_terminal() {
            let what = "standard input is a terminal";
            return Err(wrong(path, what, "pipe something into it (cat FILE | parfork ...), or name a file"));
        }
        let failed = |error: io::Error| unreadable(path, &error);
        let mut file = File::from(input.as_fd().try_clone_to_owned().map_err(failed)?);
        // Of a file that somebody has read a part of, the rest is meant.
        let is_whole = file.metadata().map_err(failed)?.is_file() && file.stream_position().map_err(failed)? == 0;
        if is_whole { Self::of(path, file) } else { Self::of(path, through(path, file, Duration::ZERO)?) }
    }

    /// A regular file that is open already, which is called by this path in errors.
    ///
    /// # Errors
    /// [`Error::File`] if it is empty or not a regular file.
    pub fn of(path: impl AsRef<Path>, file: File) -> Result<Self> {
        let path = path.as_ref();
        let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
        if metadata.is_dir() {
            return Err(wrong(path, "it is a folder", "name a file in it"));
        }
        if !metadata.is_file() {
            let what = "it is a device, a pipe or a socket, whose length nobody knows beforehand";
            return Err(wrong(path, what, "save its data to a file and name that"));
        }
        if metadata.len() == 0 {
            return Err(wrong(path, "the file is empty (0 bytes)", "write it again; whatever made it did not finish"));
        }
        let (path, len, room) = (path.to_owned(), metadata.len(), limits::memory_room());
        Ok(Self {
            path,
            member: None,
            file,
            len,
            room,
            #[cfg(feature = "named")]
            segment: None,
        })
    }

    /// Whether it is a named segment.
    pub fn is_segment(&self) -> bool {
        #[cfg(feature = "named")]
        return self.segment.is_some();
        #[cfg(not(feature = "named"))]
        false
    }

    /// Whether it holds an array, and not a picture: a named segment, or a file that begins as .npy or .npz files do. What is read
    /// next is the first byte.
    ///
    /// # Errors
    /// If it cannot be read.
    #[cfg(feature = "npy")]
    pub fn is_array(&self) -> Result<bool> {
        let head = self.head(6)?;
        Ok(self.is_segment() || head == super::npy::MAGIC || head.starts_with(super::npy::ARCHIVE_MAGIC))
    }

    /// Which array of an archive is meant, if that was said.
    #[cfg(feature = "npy")]
    pub(super) fn member(&self) -> Option<&OsStr> {
        self.member.as_deref()
    }

    /// What is read next is the byte at this place.
    #[cfg(feature = "npy")]
    pub(super) fn go_to(&self, at: u64) -> Result<()> {
        (&self.file).seek(SeekFrom::Start(at)).map(drop).map_err(|error| self.failed(&error))
    }

    #[cfg(feature = "named")]
    pub(super) fn segment(&self) -> Option<&Opened> {
        self.segment.as_ref()
    }

    /// Fills `bytes` with the elements of a segment, taken while nobody writes it, or from where a file is being read.
    #[cfg(feature = "npy")]
    pub(super) fn payload(mut self, bytes: &mut [u8]) -> Result<()> {
        #[cfg(feature = "named")]
        if let Some(segment) = self.segment.take() {
            return segment.copy_to(bytes);
        }
        self.fill(bytes)
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its length in bytes when it was opened; never 0.
    #[allow(clippy::len_without_is_empty, reason = "an empty file is not opened")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Makes sure that there was memory for `need` bytes when the file was opened, which holds in a worker that can no longer
    /// ask the system too.
    ///
    /// # Errors
    /// [`Error::Memory`] with both numbers, for `what`, if there was less.
    pub fn needs_memory(&self, need: u64, what: &str) -> Result<()> {
        match &self.room {
            Some(room) if room.bytes < need => {
                let (room, by) = (room.bytes, room.by);
                Err(Error::Memory { what: what.to_owned(), need, room, by, fits: None })
            }
            _ => Ok(()),
        }
    }

    /// Fills `bytes` from where the file is being read.
    ///
    /// # Errors
    /// As [`failed`](Self::failed) has them: if the file is shorter, or cannot be read.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact(bytes).map_err(|error| self.failed(&error))
    }

    /// Up to `most` of the first bytes; what is read next is the first byte again.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn head(&self, most: u64) -> Result<Vec<u8>> {
        let mut head = Vec::with_capacity(usize::try_from(most.min(self.len)).unwrap_or(0));
        (&self.file).take(most).read_to_end(&mut head).map_err(|error| self.failed(&error))?;
        self.rewind()?;
        Ok(head)
    }

    /// What is read next is the first byte.
    ///
    /// # Errors
    /// If the file cannot be asked.
    pub fn rewind(&self) -> Result<()> {
        (&self.file).rewind().map_err(|error| self.failed(&error))
    }

    /// The same file, read in large pieces from where it is being read.
    pub fn buffered(&self) -> BufReader<&File> {
        BufReader::with_capacity(1 << 18, &self.file)
    }

    /// The error when reading fails.
    pub fn failed(&self, error: &io::Error) -> Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            let what = format!("the file ends before its contents do, after {} bytes", self.len);
            return self.wrong(what, "fetch or write it again");
        }
        unreadable(&self.path, error)
    }

    /// The error when the file is not what it should be.
    pub fn wrong(&self, what: impl Into<String>, remedy: impl Into<String>) -> Error {
        wrong(&self.path, what, remedy)
    }
}

/// All that comes through a pipe.
fn through(path: &Path, file: File, patience: Duration) -> Result<File> {
    read_to_end(file, patience).map_err(|unread| match unread {
        Unread::Failed(error) => unreadable(path, &error),
        Unread::NoWriter => {
            let what = format!("it is a pipe that nobody has opened to write within {patience:?}");
            wrong(path, what, "start what writes to it first")
        }
        Unread::NoRoom(need, Room { bytes: room, by }) => {
            let what = format!("what comes through {}", path.display());
            Error::Memory { what, need, room, by, fits: None }
        }
        Unread::Stopped(signal) => Error::Stopped { signal: Some(signal), done: 0, slices: 0, steps: 0 },
    })
}

/// [`Error::File`] in one line.
pub(super) fn wrong(path: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), what: what.into(), remedy: remedy.into() }
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => wrong(path, "there is no such file", "check the name and the folder"),
        _ if error.raw_os_error() == Some(libc::ELOOP) => {
            wrong(path, "it leads through symbolic links that never end", "name the file itself")
        }
        _ if error.raw_os_error() == Some(libc::ENXIO) => {
            wrong(path, "it is a socket, or a device that is not there", "save its data to a file and name that")
        }
        io::ErrorKind::PermissionDenied => {
            wrong(path, "this user may not read it", "have its owner allow it (chmod a+r), or copy it")
        }
        _ => {
            let remedy = limit(error).unwrap_or_else(|| "check the name and the disk".to_owned());
            wrong(path, format!("it cannot be read ({error})"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        InputFile::open(path).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_a_file_is_refused_with_words() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(folder.path()).contains("it is a folder"));
        assert!(refusal(&folder.path().join("none")).contains("no such file"));
        let empty = folder.path().join("empty");
        std::fs::write(&empty, b"").unwrap();
        assert!(refusal(&empty).contains("0 bytes"));
        assert!(refusal(&empty.join("below")).contains("cannot be read"));
        assert!(refusal(Path::new("/dev/null")).contains("device"));
    }

    #[test]
    fn a_pipe_without_a_writer_is_refused_and_what_comes_through_one_is_read_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let text = through(&path, open_to_read(&path).unwrap(), Duration::ZERO).unwrap_err().to_string();
        assert!(text.contains("nobody has opened to write"), "{text}");
        let late = path.clone();
        let writing = std::thread::spawn(move || std::fs::write(late, b"late").unwrap());
        let input = InputFile::open(&path).unwrap();
        writing.join().unwrap();
        assert_eq!((input.len(), input.head(9).unwrap().as_slice()), (4, &b"late"[..]));
        assert!(input.file().set_len(5).is_err(), "nobody can change it");
    }
}
