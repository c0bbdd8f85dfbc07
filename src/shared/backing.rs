//! The bytes of a segment: a file, or a part of one, that this process has made or opened, and that can be mapped.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::attached::Attached;
use crate::error::{Error, Result};
use crate::sys::fork_stamp::{self, Stamp};
use crate::sys::memory::{
    Access, HUGE, MapMode, Mapping, for_reading, get, inode_of, is_sealed, memfd, punch, put, reopen, seal,
};
use crate::sys::page::page_size;
use crate::sys::proc::why_closed;

/// The bytes of a segment, for whoever wants to map them.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(super) fd: OwnedFd,
    /// Where in the file they begin.
    at: usize,
    len: usize,
    /// Whether this is how the process that made it has it, and where it stands among all that were made.
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    by: Stamp,
    number: u64,
    inode: OnceLock<u64>,
    /// Whether the bytes are of no use when this is dropped; those of a named segment are others' too.
    anonymous: bool,
}

/// What a process needs to know of a segment that was made after it was forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHandle {
    /// No two segments of a program have the same.
    pub(crate) number: u64,
    /// In the process that made it.
    pub(crate) fd: u64,
    pub(crate) at: usize,
    pub(crate) len: usize,
    pub(crate) inode: u64,
}

impl SegmentHandle {
    /// How many words it is.
    pub(crate) const WORDS: usize = 5;

    pub(crate) fn words(self) -> [u64; Self::WORDS] {
        [self.number, self.fd, self.at as u64, self.len as u64, self.inode]
    }

    pub(crate) fn of_words([number, fd, at, len, inode]: [u64; Self::WORDS]) -> Self {
        Self { number, fd, at: at as usize, len: len as usize, inode }
    }
}

/// The numbers of all segments that this process has made and not dropped.
static LIVE: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Which of these segments this process has not dropped.
pub(crate) fn retain_live(numbers: &mut BTreeSet<u64>) {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    numbers.retain(|number| live.contains(number));
}

/// Whether other processes may have segments open, or mapped, that this one drops.
static KEPT_ELSEWHERE: AtomicBool = AtomicBool::new(false);

/// From now on the memory of a segment is given back when it is dropped here, whoever else has it.
pub(crate) fn give_back_at_once() {
    KEPT_ELSEWHERE.store(true, Ordering::Relaxed);
}

impl Backing {
    pub(super) fn made(fd: OwnedFd, len: usize) -> Self {
        Self::numbered(fd, 0, len, true)
    }

    /// `len` zero bytes that are not mapped here, and for which there is no memory yet.
    pub(crate) fn sparse(len: usize) -> io::Result<Self> {
        Ok(Self::made(memfd(c"parfork", len)?, len))
    }

    /// `len` bytes from `at` on of a file that has a name, and that others may use when this is dropped.
    pub(crate) fn named(fd: OwnedFd, at: usize, len: usize) -> Self {
        Self::numbered(fd, at, len, false)
    }

    fn numbered(fd: OwnedFd, at: usize, len: usize, anonymous: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        let made = Made { by: fork_stamp::current(), number, inode: OnceLock::new(), anonymous };
        Self { fd, at, len, made: Some(made) }
    }

    /// What another process needs to know to [`open`](Self::open) it.
    ///
    /// # Panics
    /// If it was not made here but opened.
    pub(crate) fn told(&self) -> Result<SegmentHandle> {
        let made = self.made.as_ref().expect("only who made a segment tells of it");
        let inode = match made.inode.get() {
            Some(inode) => *inode,
            None => {
                let inode = inode_of(&self.fd).map_err(Error::system("look at a segment"))?;
                *made.inode.get_or_init(|| inode)
            }
        };
        Ok(SegmentHandle { number: made.number, fd: self.fd.as_raw_fd() as u64, at: self.at, len: self.len, inode })
    }

    /// Opens what process `owner` has told of, to read or also to write.
    ///
    /// # Errors
    /// If it is not there, or something else is.
    pub(crate) fn open(told: &SegmentHandle, owner: u32, access: Access) -> Result<Self> {
        let fd = reopen(owner, told.fd, access == Access::Write).and_then(|fd| match inode_of(&fd)? {
            inode if inode == told.inode => Ok(fd),
            _ => Err(io::Error::other("another file has its descriptor")),
        });
        let fd = fd.map_err(|refused| why_closed(owner, refused));
        let fd = fd.map_err(Error::system("open an array that the coordinator has lent"))?;
        Ok(Self { fd, at: told.at, len: told.len, made: None })
    }

    /// Refuses what was made by the process that this one was forked from, and is that one's alone.
    ///
    /// # Errors
    /// Then.
    pub(crate) fn own(&self) -> Result<()> {
        match &self.made {
            Some(made) if !made.by.is_current() => Err(Error::NotOwner { what: "this array" }),
            _ => Ok(()),
        }
    }

    /// Its descriptor in this process.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Where in the file they begin.
    pub(crate) fn begins_at(&self) -> usize {
        self.at
    }

    /// Gives back the memory of some of the bytes, which are zero then: of the huge pages that lie in there whole, for to take a part
    /// out of one cuts it up.
    pub(crate) fn give_back_huge_pages(&self, bytes: Range<usize>) -> io::Result<()> {
        let whole = bytes.start.next_multiple_of(HUGE)..bytes.end / HUGE * HUGE;
        if whole.is_empty() { Ok(()) } else { punch(&self.fd, self.at + whole.start..self.at + whole.end) }
    }

    /// As [`attach`](Self::attach), to read, through a descriptor that allows nothing else: this process cannot make the mapping
    /// writable.
    pub(crate) fn attach_for_reading(&self) -> Result<Attached> {
        let refused = Error::system("open a lent array for reading, through /proc/self/fd");
        let reader = for_reading(&self.fd).map_err(refused)?;
        Self { fd: reader, at: self.at, len: self.len, made: None }.attach(MapMode::SharedToRead)
    }

    /// Maps the same bytes once more, in this process (a worker), at another address.
    pub(crate) fn attach(&self, keeping: MapMode) -> Result<Attached> {
        // A mapping begins with a page, an array in a file need not.
        let skip = self.at % page_size();
        let mapping = Mapping::with_guard_page(&self.fd, self.at - skip, self.len + skip, keeping);
        let mapping = mapping.map_err(Error::system("map a lent array in a worker"))?;
        Ok(Attached::new(mapping, skip))
    }

    /// Takes memory for all of it, as it is mapped there, of which nobody has touched any yet.
    pub(super) fn reserve(&self, mapped: &Attached) -> io::Result<()> {
        mapped.reserve(&self.fd, self.at)
    }

    /// Forbids all that would write to it, but through mappings that there are.
    pub(crate) fn seal(&self) -> io::Result<()> {
        seal(&self.fd)
    }

    /// Whether it is sealed against writers.
    pub(super) fn is_sealed(&self) -> bool {
        is_sealed(&self.fd)
    }

    /// A descriptor of its own for another program, to read or also to write.
    pub(crate) fn reopened(&self, access: Access) -> io::Result<OwnedFd> {
        reopen(std::process::id(), self.fd.as_raw_fd() as u64, access == Access::Write)
    }

    /// Writes these bytes to `at`, which takes memory if there is none there yet.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: a reference keeps writers away.
        unsafe { put(&self.fd, self.at + at, NonNull::from(bytes)) }
    }

    /// Reads the bytes from `at` on.
    pub(crate) fn read(&self, at: usize, into: &mut [u8]) -> io::Result<()> {
        get(&self.fd, self.at + at, into)
    }

    /// Gives back the memory of these bytes, which are zero then.
    pub(crate) fn give_back(&self, bytes: Range<usize>) -> io::Result<()> {
        punch(&self.fd, self.at + bytes.start..self.at + bytes.end)
    }

    /// Writes the bytes `run` of `from` to the same place of this segment.
    ///
    /// # Safety
    /// The bytes belong to this process on both sides, and nothing refers to them.
    ///
    /// # Panics
    /// If the run is not inside of both.
    pub(crate) unsafe fn put(&self, from: &Attached, run: Range<usize>) -> io::Result<()> {
        assert!(run.end <= self.len);
        // SAFETY: readable, as long as said, and passed on to the caller.
        unsafe { put(&self.fd, self.at + run.start, from.bytes(run.clone())) }
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        let Some(made) = &self.made else { return };
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).remove(&made.number);
        // Not in a fork of the process that made it, whose array it still is.
        if made.anonymous && KEPT_ELSEWHERE.load(Ordering::Relaxed) && made.by.is_current() {
            // What is kept if it fails is given back when the last who has it is gone.
            let _ = punch(&self.fd, 0..self.len);
        }
    }
}

/// A file as long as a segment, for what may not be written to that; memory is taken as it is written, and none is reserved.
pub(crate) fn scratch(like: &Backing) -> io::Result<OwnedFd> {
    memfd(c"parfork-scratch", like.len())
}
