//! Shared memory as the kernel gives it: an anonymous file ([`memfd`]) and maps of it ([`Mapping`]).
//!
//! A mapping of 2 MiB or more starts on a 2 MiB boundary, so that its pages can be collapsed into huge ones:
//! see `reserve.rs`.
#![allow(unsafe_code)]

mod huge;

use std::ffi::CStr;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr::NonNull;
use std::sync::OnceLock;

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MmapAdvise, ProtFlags, madvise, mprotect};
use nix::unistd::ftruncate;

use super::fork_exclusions::Entry;
use super::fork_stamp::{self, Stamp};
use huge::HugeAligned;
pub(crate) use huge::put_apart;

/// Size of a huge page on x86-64, and on aarch64 with 4 KiB base pages.
pub(crate) const HUGE: usize = 2 << 20;

/// What may be done with some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// A write is a segmentation fault.
    Read,
    /// Reads and writes.
    Write,
}

/// How a worker keeps a segment that it attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapMode {
    /// The segment's bytes, to read.
    SharedToRead,
    /// The segment's bytes, to read and write.
    SharedToWrite,
    /// The segment's bytes, to read; should writes be allowed later, they go to private copies of the pages.
    PrivateToRead,
}

/// What a child made by `fork` gets of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inheritance {
    /// Nothing: the addresses are unmapped there.
    Withheld,
    /// The same bytes at the same address.
    Inherited,
}

/// Makes an anonymous file of `len` bytes, all zero, that can no longer change its size.
///
/// It lives in memory, has no name in any file system and is gone with its last descriptor and mapping.
/// The size is that of RAM and swap, not of /dev/shm.
pub(crate) fn memfd(name: &CStr, len: usize) -> io::Result<OwnedFd> {
    super::limits::check_file_length(len as u64)?;
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    ftruncate(&fd, i64::try_from(len).map_err(io::Error::other)?)?;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW))?;
    Ok(fd)
}

/// Lets nobody make a writable mapping of an anonymous file, write to it or open it for that, from now on; mappings that there are
/// stay as they are.
pub(crate) fn seal(fd: impl AsFd) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_ADD_SEALS(SealFlag::from_bits_retain(libc::F_SEAL_FUTURE_WRITE)))?;
    Ok(())
}

/// Whether an anonymous file was sealed so.
pub(crate) fn is_sealed(fd: impl AsFd) -> bool {
    seals(fd) & libc::F_SEAL_FUTURE_WRITE != 0
}

/// Whether a file cannot become shorter, so that no mapping of it can lose what it shows.
pub(crate) fn keeps_its_length(fd: impl AsFd) -> bool {
    seals(fd) & libc::F_SEAL_SHRINK != 0
}

/// None of a file that has no seals.
fn seals(fd: impl AsFd) -> i32 {
    fcntl(fd, FcntlArg::F_GET_SEALS).unwrap_or(0)
}

/// An anonymous file with these bytes, that nobody can change any more; what is read first is its first byte.
pub(crate) fn document(name: &CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    super::limits::check_file_length(bytes.len() as u64)?;
    let mut file = growing(name)?;
    std::io::Write::write_all(&mut file, bytes)?;
    finish(&file)?;
    Ok(file.into())
}

/// An anonymous file that grows as it is written to.
pub(crate) fn growing(name: &CStr) -> io::Result<std::fs::File> {
    Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?.into())
}

/// From now on nobody can change an anonymous file any more; what is read next is its first byte.
pub(crate) fn finish(mut file: &std::fs::File) -> io::Result<()> {
    std::io::Seek::rewind(&mut file)?;
    let all = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(file, FcntlArg::F_ADD_SEALS(all))?;
    Ok(())
}

/// Reads bytes of a file from `offset` on, as many as there is room for.
pub(crate) fn get(fd: impl AsFd, offset: usize, room: &mut [u8]) -> io::Result<()> {
    // SAFETY: open for as long as `fd` is borrowed, and never closed by this.
    let file = ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(fd.as_fd().as_raw_fd()) });
    std::os::unix::fs::FileExt::read_exact_at(&*file, room, offset as u64)
}

/// Makes the kernel give memory for these bytes of a file, where it has none yet.
pub(crate) fn allocate(fd: impl AsFd, bytes: Range<usize>) -> io::Result<()> {
    let (start, len) = (i64::try_from(bytes.start), i64::try_from(bytes.len()));
    let (start, len) = (start.map_err(io::Error::other)?, len.map_err(io::Error::other)?);
    Ok(fallocate(fd, FallocateFlags::empty(), start, len)?)
}

/// Gives back the memory of these bytes of a file, which are zero then.
pub(crate) fn punch(fd: impl AsFd, bytes: Range<usize>) -> io::Result<()> {
    let (start, len) = (i64::try_from(bytes.start), i64::try_from(bytes.len()));
    let (start, len) = (start.map_err(io::Error::other)?, len.map_err(io::Error::other)?);
    let how = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    Ok(fallocate(fd, how, start, len)?)
}

/// Opens once more what another process of this user has open.
pub(crate) fn reopen(pid: u32, fd: u64, write: bool) -> io::Result<OwnedFd> {
    // Somebody else's file may be there by now, and be a pipe that nobody writes to, or a terminal.
    let how = libc::O_NONBLOCK | libc::O_NOCTTY;
    let path = format!("/proc/{pid}/fd/{fd}");
    let file = std::fs::File::options().read(true).write(write).custom_flags(how).open(path)?;
    Ok(file.into())
}

/// A descriptor of the same file that allows reading alone. One that is so already is copied: opening a file that its holder has leased would break
/// the lease.
pub(crate) fn for_reading(fd: &OwnedFd) -> io::Result<OwnedFd> {
    match fcntl(fd, FcntlArg::F_GETFL)? & libc::O_ACCMODE {
        libc::O_RDONLY => fd.try_clone(),
        _ => reopen(std::process::id(), fd.as_raw_fd() as u64, false),
    }
}

/// The number that tells a file from all others of its file system.
pub(crate) fn inode_of(fd: impl AsFd) -> io::Result<u64> {
    Ok(nix::sys::stat::fstat(fd)?.st_ino)
}

/// Writes bytes to a file at `offset`, all of them.
///
/// # Safety
/// `bytes` can be read, and nobody writes to them meanwhile.
pub(crate) unsafe fn put(fd: impl AsFd, offset: usize, bytes: NonNull<[u8]>) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    let mut done = 0;
    while done < bytes.len() {
        // SAFETY: below the length.
        let rest = unsafe { bytes.cast::<u8>().add(done) };
        // SAFETY: as many bytes as are left, for the kernel to read, as the caller vouches.
        let wrote = unsafe { libc::pwrite(fd, rest.as_ptr().cast(), bytes.len() - done, (offset + done) as i64) };
        match wrote {
            1.. => done += wrote as usize,
            0 => return Err(io::ErrorKind::WriteZero.into()),
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
    Ok(())
}

/// A map of a whole file, unmapped on drop.
///
/// It hands out addresses, never references: who may touch which byte when is for the rooms above to prove.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: ManuallyDrop<Map>,
    /// If forks do not get it.
    exclusions: Option<Entry>,
    /// Whose it is, if others have it as well.
    lent_to_forks_by: Option<Stamp>,
}

#[derive(Debug)]
enum Map {
    /// Anywhere.
    Plain(MmapRaw),
    /// On a 2 MiB boundary, which memmap2 cannot ask for.
    Aligned(HugeAligned),
}

impl Mapping {
    /// Maps the first `len` bytes of `fd`.
    pub(crate) fn new(fd: impl AsFd, len: usize, keeping: MapMode, child: Inheritance) -> io::Result<Self> {
        let small = || (MmapOptions::new().len(len).to_owned(), fd.as_fd().as_raw_fd());
        let map = match keeping {
            MapMode::SharedToRead if len < HUGE => Map::Plain(small().0.map_raw_read_only(small().1)?),
            MapMode::SharedToWrite if len < HUGE => Map::Plain(small().0.map_raw(small().1)?),
            // A private mapping that may become writable, memmap2 has as a reference to bytes only.
            _ => Map::Aligned(HugeAligned::new(fd, 0, len, keeping, 0)?),
        };
        let mut mapping = Self { map: ManuallyDrop::new(map), exclusions: None, lent_to_forks_by: None };
        mapping.keep_from_dumps();
        if child == Inheritance::Withheld {
            mapping.exclude_from_forks()?;
        }
        Ok(mapping)
    }

    /// Maps `len` bytes of `fd` from `at` on, which is where a page begins: withheld from children, and with addresses after the
    /// end that nothing else is mapped to. Mappings stand side by side otherwise, and who writes past the end of one array writes
    /// to the next.
    pub(crate) fn with_guard_page(fd: impl AsFd, at: usize, len: usize, keeping: MapMode) -> io::Result<Self> {
        let map = Map::Aligned(HugeAligned::new(fd, at, len, keeping, super::page::page_size())?);
        let mut mapping = Self { map: ManuallyDrop::new(map), exclusions: None, lent_to_forks_by: None };
        mapping.keep_from_dumps();
        mapping.exclude_from_forks()?;
        Ok(mapping)
    }

    /// Keeps it out of core files: a crash is told when the core is written, and 1 GiB takes seconds. With the variable
    /// PARFORK_DUMP_ARRAYS in this process's environment, when it maps the first, they are in it.
    fn keep_from_dumps(&self) {
        static DUMPED: OnceLock<bool> = OnceLock::new();
        if !DUMPED.get_or_init(|| std::env::var_os("PARFORK_DUMP_ARRAYS").is_some()) {
            // Where it fails dumps are larger, and nothing else.
            // SAFETY: the range is this mapping; DONTDUMP changes nothing for this process.
            let _ = unsafe { madvise(self.base().cast(), self.len(), MmapAdvise::MADV_DONTDUMP) };
        }
    }

    fn exclude_from_forks(&mut self) -> io::Result<()> {
        // SAFETY: the range is this mapping; DONTFORK changes nothing in this process.
        unsafe { madvise(self.base().cast(), self.len(), MmapAdvise::MADV_DONTFORK) }?;
        self.exclusions = Some(Entry::new(self.base().addr().get(), self.len()));
        Ok(())
    }

    /// Lets forks have it from now on, at the same address. It stays this process's.
    pub(crate) fn share_with_forks(&mut self) -> io::Result<()> {
        // SAFETY: the range is this mapping; DOFORK changes nothing in this process.
        unsafe { madvise(self.base().cast(), self.len(), MmapAdvise::MADV_DOFORK) }?;
        self.lent_to_forks_by = Some(fork_stamp::current());
        self.exclusions = None;
        Ok(())
    }

    /// Whether forks have it although it is this process's.
    pub(crate) fn is_shared_with_forks(&self) -> bool {
        self.lent_to_forks_by.is_some()
    }

    /// Whether it is this process's: not in a fork from which it was withheld, or that only looks at it.
    pub(crate) fn is_here(&self) -> bool {
        self.exclusions.as_ref().is_none_or(Entry::is_own) && self.lent_to_forks_by.is_none_or(Stamp::is_current)
    }

    /// The first byte; on a page boundary.
    pub(crate) fn base(&self) -> NonNull<u8> {
        match &*self.map {
            Map::Plain(map) => NonNull::new(map.as_mut_ptr()).expect("no mapping starts at address 0"),
            Map::Aligned(map) => map.base.cast(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.map {
            Map::Plain(map) => map.len(),
            Map::Aligned(map) => map.len.get(),
        }
    }

    /// Allows or forbids writes to the pages that `range` lies in.
    ///
    /// # Panics
    /// If the range is not inside.
    pub(crate) fn protect(&self, range: Range<usize>, access: Access) -> io::Result<()> {
        let (first, len) = self.pages(range);
        let prot = match access {
            Access::Read => ProtFlags::PROT_READ,
            Access::Write => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        };
        // SAFETY: pages of this mapping. A write that is forbidden is a fault, which ends the process and is no access.
        Ok(unsafe { mprotect(first.cast(), len, prot) }?)
    }

    /// Forbids all access, until it is allowed again.
    pub(crate) fn close(&self) -> io::Result<()> {
        // SAFETY: this mapping. A use of it is a fault, which ends the process and is no access.
        Ok(unsafe { mprotect(self.base().cast(), self.len(), ProtFlags::PROT_NONE) }?)
    }

    /// Throws away the private copies of the pages that `range` lies in; what is read there next are the file's bytes.
    ///
    /// # Safety
    /// Nothing refers to these pages.
    ///
    /// # Panics
    /// If the range is not inside.
    pub(crate) unsafe fn drop_copies(&self, range: Range<usize>) -> io::Result<()> {
        let (first, len) = self.pages(range);
        // SAFETY: pages of this mapping, to which nothing refers as the caller vouches.
        Ok(unsafe { madvise(first.cast(), len, MmapAdvise::MADV_DONTNEED) }?)
    }

    /// The pages that a range lies in: the first byte, and how many bytes.
    fn pages(&self, range: Range<usize>) -> (NonNull<u8>, usize) {
        assert!(range.start < range.end && range.end <= self.len(), "{range:?} in {} bytes", self.len());
        let start = range.start - range.start % super::page::page_size();
        // SAFETY: inside of the mapping, as just checked.
        (unsafe { self.base().add(start) }, range.end - start)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let is_here = self.is_here();
        // Struck off before the addresses can become another's.
        self.exclusions = None;
        if is_here {
            // SAFETY: dropped nowhere else. In a fork that does not have it, what is at these addresses is not its own.
            unsafe { ManuallyDrop::drop(&mut self.map) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reserve::never;
    use super::*;
    use crate::sys::fork_exclusions::reserve_no_access;

    fn mapped(len: usize) -> (OwnedFd, Mapping) {
        let fd = memfd(c"test", len).unwrap();
        let mapping = Mapping::new(&fd, len, MapMode::SharedToWrite, Inheritance::Withheld).unwrap();
        (fd, mapping)
    }

    #[test]
    fn large_mappings_start_on_a_huge_page_and_are_zero() {
        for len in [1, 4096, HUGE - 1, HUGE, HUGE + 1, 5 * HUGE + 12345] {
            let (fd, mapping) = mapped(len);
            mapping.reserve(&fd, 0, &never).unwrap();
            assert!(len < HUGE || mapping.base().addr().get() % HUGE == 0);
            // SAFETY: the mapping is this test's alone and `len` bytes long.
            let bytes = unsafe { std::slice::from_raw_parts(mapping.base().as_ptr(), len) };
            assert!(bytes.iter().all(|&b| b == 0), "{len} bytes");
        }
    }

    #[test]
    fn a_segment_cannot_change_its_size() {
        let (fd, _mapping) = mapped(4096);
        assert!(ftruncate(&fd, 0).is_err());
        assert!(ftruncate(&fd, 8192).is_err());
    }

    #[test]
    fn two_mappings_show_the_same_bytes() {
        let (fd, one) = mapped(3 * HUGE);
        let two = Mapping::new(&fd, 3 * HUGE, MapMode::SharedToRead, Inheritance::Withheld).unwrap();
        assert_ne!(one.base(), two.base());
        // SAFETY: an offset below the length of both.
        let [one, two] = [&one, &two].map(|map| unsafe { map.base().as_ptr().add(2 * HUGE + 7) });
        // SAFETY: mapped writable, for this test alone.
        unsafe { one.write_volatile(42) };
        // SAFETY: as above, for reading.
        assert_eq!(unsafe { two.read_volatile() }, 42);
    }

    #[test]
    fn nothing_is_mapped_after_a_fenced_mapping() {
        let page = super::super::page::page_size();
        for len in [1, page, page + 1, HUGE, HUGE + 1] {
            let (fd, _mapping) = mapped(len);
            let with_guard_page: Vec<_> =
                (0..4).map(|_| Mapping::with_guard_page(&fd, 0, len, MapMode::SharedToRead).unwrap()).collect();
            for mapping in &with_guard_page {
                let end = mapping.base().addr().get() + len.next_multiple_of(page);
                let taken = |other: &Mapping| other.base().addr().get() == end;
                assert!(!with_guard_page.iter().any(taken));
                assert_eq!(reserve_no_access(end, page).unwrap_err().raw_os_error(), Some(libc::EEXIST));
            }
        }
    }
}
