//! The one door of outputs: opened before the work, so that what is in the way is found then.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::input::wrong;
use super::{Address, AtomicFile};
use crate::error::{Error, Result, limit};
#[cfg(feature = "named")]
use crate::shared::named::{Destination, Elements};
use crate::sys::pipe::open_to_write;

/// An output by its [`Address`]: a file that appears when it is [whole](AtomicFile); a [stream](Address::is_stream), which is written as
/// it comes; or a named segment, which is made or filled.
///
/// ```
/// use parfork::{Element, Order, formats::{OutputFile, npy}};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("two.npy");
/// let mut out = OutputFile::open(&path)?; // a missing folder is found here
/// npy::prepare(&mut out, u8::DTYPE, &[2])?; // and here that there is no room for the array
/// npy::write_bytes(&mut out, u8::DTYPE, &[2], Order::C, &[7, 8])?; // hours later
/// out.commit()?;
/// assert_eq!(npy::read::<u8>(&path)?.as_slice(), [7, 8]);
/// # Ok::<(), parfork::Error>(())
/// ```
#[derive(Debug)]
pub struct OutputFile {
    /// As it was named.
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File(Box<AtomicFile>),
    /// Standard output, a pipe, or a device that takes all. Empty when it is dropped.
    Stream(Option<BufWriter<File>>),
    /// `None` when it is filled.
    #[cfg(feature = "named")]
    Segment(Option<Box<Destination>>),
}

impl OutputFile {
    /// Opens an output.
    ///
    /// # Errors
    /// As [`AtomicFile::at`] for files; if standard output is a terminal; if nobody reads a pipe; if a segment cannot be made or
    /// filled.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let stream = |file| Kind::Stream(Some(BufWriter::with_capacity(1 << 18, file)));
        let kind = match Address::of(path) {
            Address::Standard => {
                let output = io::stdout();
                if output.is_terminal() {
                    let what = "standard output is a terminal, which bytes are not for";
                    return Err(wrong(path, what, "send it somewhere (> FILE, or | PROGRAM), or name a file"));
                }
                let copy = output.as_fd().try_clone_to_owned();
                stream(File::from(copy.map_err(|error| unwritable(path, &error))?))
            }
            #[cfg(feature = "named")]
            Address::Segment(name) => Kind::Segment(Some(Box::new(Destination::find(&name.to_string_lossy())?))),
            #[cfg(not(feature = "named"))]
            Address::Segment(_) => {
                return Err(wrong(
                    path,
                    "it means a named segment, of which this program knows nothing",
                    "build it with parfork's feature `named`, or write ./ before a file's name",
                ));
            }
            Address::File(path) if Address::File(path).is_stream() => {
                stream(open_to_write(path).map_err(|error| unwritable(path, &error))?)
            }
            Address::File(path) => Kind::File(Box::new(AtomicFile::at(path)?)),
        };
        Ok(Self { path: path.to_owned(), kind })
    }

    /// The output, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a named segment.
    pub fn is_segment(&self) -> bool {
        !matches!(self.kind, Kind::File(_) | Kind::Stream(_))
    }

    /// Whether it is a file that cannot be replaced in one step, for it is mounted: readers can see a part of it, and what was there
    /// is lost if this process is killed while it writes.
    pub fn is_in_place(&self) -> bool {
        matches!(&self.kind, Kind::File(file) if file.is_in_place())
    }

    /// As [`AtomicFile::reserve`]; for other outputs there is nothing to set aside.
    ///
    /// # Errors
    /// As [`AtomicFile::reserve`].
    pub fn reserve(&mut self, bytes: u64) -> Result<()> {
        match &mut self.kind {
            Kind::File(file) => file.reserve(bytes),
            _ => Ok(()),
        }
    }

    /// The file that it is until it is put in its place, for those who write parts of it by themselves.
    pub(crate) fn file(&self) -> Option<&File> {
        match &self.kind {
            Kind::File(file) => Some(file.file.get_ref()),
            _ => None,
        }
    }

    /// The segment, if it is one that has not been filled.
    #[cfg(feature = "named")]
    pub(super) fn segment(&self) -> Option<&Destination> {
        match &self.kind {
            Kind::Segment(segment) => segment.as_deref(),
            _ => None,
        }
    }

    /// Fills the segment that it is.
    #[cfg(feature = "named")]
    pub(super) fn fill(&mut self, elements: Elements<'_>, bytes: &[u8]) -> Result<()> {
        match &mut self.kind {
            Kind::Segment(segment) => segment.take().map_or(Ok(()), |segment| segment.fill(elements, bytes)),
            _ => unreachable!("it is a segment"),
        }
    }

    /// Puts the file in its place, or sends off what is left.
    ///
    /// # Errors
    /// As [`AtomicFile::commit`], or if nobody takes it.
    pub fn commit(mut self) -> Result<()> {
        if let Kind::Stream(Some(stream)) = &mut self.kind {
            return stream.flush().map_err(|error| self.failed(&error));
        }
        match std::mem::replace(&mut self.kind, Kind::Stream(None)) {
            Kind::File(file) => file.commit(),
            _ => Ok(()),
        }
    }

    /// The error of this crate for an error in writing to it. That nobody reads a pipe any more is [`Error::System`], with
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
    pub fn failed(&self, error: &io::Error) -> Error {
        match &self.kind {
            Kind::File(file) => file.failed(error),
            _ if error.kind() == io::ErrorKind::BrokenPipe => {
                Error::System { doing: "write to a pipe that nobody reads any more", source: error.kind().into() }
            }
            _ => unwritable(&self.path, error),
        }
    }

    fn writer(&mut self) -> io::Result<&mut dyn Write> {
        match &mut self.kind {
            Kind::File(file) => Ok(file),
            Kind::Stream(Some(stream)) => Ok(stream),
            // A segment takes arrays, not bytes.
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::EPERM) => {
            wrong(path, "it is a pipe of another user", "name one of your own, or - for standard output")
        }
        Some(libc::ENXIO) => wrong(path, "it is a pipe that nobody reads", "start what reads it first"),
        Some(libc::ENOSPC) => wrong(path, "there is no room for all of it", "name another output"),
        _ => {
            let remedy = limit(error).unwrap_or_else(|| "look at where it goes".to_owned());
            wrong(path, format!("it cannot be written ({error})"), remedy)
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer()?.flush()
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.kind {
            Kind::File(file) => file.seek(to),
            _ => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        // What was not committed is not sent.
        if let Kind::Stream(stream) = &mut self.kind {
            drop(stream.take().map(BufWriter::into_parts));
        }
    }
}
