//! An input file: opened, known to be a regular one, its length known; every failure in words.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::sys::file::open_to_read;
use crate::sys::limits::{self, Room};

/// A regular file to read, and its length when it was opened: what readers of a format begin with.
///
/// ```
/// use parfork::formats::InputFile;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("four.bin");
/// std::fs::write(&path, [1, 2, 3, 4]).unwrap();
/// let mut input = InputFile::open(&path)?; // a folder, a pipe and an empty file are refused with words
/// let mut rest = vec![0; input.len() as usize];
/// input.fill(&mut rest)?;
/// assert_eq!(rest, [1, 2, 3, 4]);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct InputFile {
    path: PathBuf,
    file: File,
    len: u64,
    /// How much memory there was when it was opened: who reads it may not be able to ask.
    room: Option<Room>,
}

impl InputFile {
    /// Opens a file that has something in it.
    ///
    /// # Errors
    /// [`Error::File`] if there is none, it may not be read, or it is empty or not a regular file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if segment(path).is_some() {
            let what = "it means a named segment, and a file is wanted here";
            return Err(wrong(
                path,
                what,
                "build the program with parfork's feature `named`, or write ./ before a file's name",
            ));
        }
        Self::of(path, open_to_read(path).map_err(|error| unreadable(path, &error))?)
    }

    /// A file that is open already, which is called by this path in errors.
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
        Ok(Self { path: path.to_owned(), file, len: metadata.len(), room: limits::memory_room() })
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

    /// How many bytes come before what is read next.
    ///
    /// # Errors
    /// If the file cannot be asked.
    pub fn position(&mut self) -> Result<usize> {
        let position = self.file.stream_position().map_err(|error| self.failed(&error))?;
        usize::try_from(position)
            .map_err(|_| self.wrong(format!("it is {} bytes long", self.len), "use a 64-bit system"))
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

/// The name of the named segment that a path means: `shm:NAME`, where a file is meant by `./shm:NAME`.
pub fn segment(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("shm:")
}

/// [`Error::File`] in one line.
pub(super) fn wrong(path: &Path, what: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), what: what.into(), remedy: remedy.into() }
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => wrong(path, "there is no such file", "check the name and the folder"),
        io::ErrorKind::PermissionDenied => {
            wrong(path, "this user may not read it", "have its owner allow it (chmod a+r), or copy it")
        }
        _ => wrong(path, format!("it cannot be read ({error})"), "check the name and the disk"),
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
    fn a_pipe_without_a_writer_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(refusal(&pipe).contains("pipe"));
    }
}
