//! Which segments there are, what is known of each, and taking away: one by name, or those that nobody will miss.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::header::{HEADER, Header, Owner};
use super::name::Name;
use super::owner::Liveness;
use super::segment_folder::SegmentFolder;
use super::state::SegmentState;
use super::{Order, open_file};
use crate::dtype::Dtype;
use crate::error::{Error, Result, SegmentErrorKind};
use crate::sys::holders;
use crate::sys::lock::{self, Lock};

/// A name in a folder of segments.
#[derive(Debug)]
pub struct Found {
    /// As one attaches it.
    pub name: String,
    /// What it is, or why it is none.
    pub what: Result<Info>,
}

/// What is known of a segment.
#[derive(Debug)]
#[non_exhaustive]
pub struct Info {
    /// As it was asked for.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// The type of its elements.
    pub dtype: Dtype,
    /// The lengths of its axes.
    pub shape: Vec<usize>,
    /// The order of its elements in memory.
    pub order: Order,
    /// Bytes of all elements, and where in the file they begin.
    pub bytes: u64,
    /// See `bytes`.
    pub data_at: u64,
    /// Bytes of memory that it takes.
    pub allocated: u64,
    /// Whether it stays when its creator ends.
    pub kept: bool,
    /// When it was made.
    pub created: SystemTime,
    /// Who made it.
    pub owner: Owner,
    /// What has become of that process.
    pub liveness: Liveness,
    /// The group that it is shared with.
    pub group: Option<u32>,
    /// The permissions of its file.
    pub mode: u32,
    /// How often it has been written whole.
    pub generation: u64,
    /// Whether its last writer died, or gave up, in the middle.
    pub unfinished: bool,
    /// Whether it is locked for writing (`true`) or reading.
    pub locked: Option<bool>,
    inode: Metadata,
}

/// A process that has a segment open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Whether it holds the lock for writing (`true`) or reading.
    pub lock: Option<bool>,
    /// Whether it has it attached to be written.
    pub writes: bool,
    /// Bytes of the segment that it has mapped, each page divided by how many have it; `None` where the kernel does not tell.
    pub proportional: Option<u64>,
}

impl Info {
    fn of(place: &SegmentFolder, name: &Name) -> Result<Self> {
        let (file, header) = open_file(place, name, false)?;
        let inode = file.metadata().map_err(Error::system("look at a segment"))?;
        let (generation, writer) = live(&file)?;
        let locked = locked(lock::of_others(&file, 0..1).map_err(Error::system("look at the lock of a segment"))?);
        let Header { kept, data_at, bytes, dtype, shape, order, owner, group, created, .. } = header;
        Ok(Self {
            name: name.to_string(),
            path: place.path().join(name.file()),
            dtype,
            shape,
            order,
            bytes,
            data_at,
            allocated: inode.blocks() * 512,
            kept,
            created: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(created)).unwrap_or(SystemTime::UNIX_EPOCH),
            owner,
            liveness: owner.liveness(&Owner::this()?),
            group,
            mode: inode.mode() & 0o7777,
            generation,
            unfinished: writer != 0 && locked != Some(true),
            locked,
            inode,
        })
    }

    /// Who has it open, as far as this user may look.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn holders(&self) -> Result<Vec<Holder>> {
        let found = holders::of(&self.inode).map_err(Error::system("list the processes of this machine"))?;
        let ours = |holder: holders::Holder| {
            let holders::Holder { pid, lock, writes, proportional } = holder;
            Holder { pid, lock: locked(lock), writes, proportional }
        };
        Ok(found.into_iter().map(ours).collect())
    }
}

fn locked(lock: Option<Lock>) -> Option<bool> {
    lock.map(|lock| lock == Lock::Alone)
}

/// Generation and writer, copied.
fn live(file: &File) -> Result<(u64, u32)> {
    let mut words = [0; 12];
    file.read_exact_at(&mut words, HEADER as u64).map_err(Error::system("read a segment"))?;
    let (mut generation, mut writer) = ([0; 8], [0; 4]);
    generation.copy_from_slice(&words[..8]);
    writer.copy_from_slice(&words[8..]);
    Ok((u64::from_ne_bytes(generation), u32::from_ne_bytes(writer)))
}

/// This user's segments, and those in folders that he shares with groups.
///
/// # Errors
/// If a folder is not only its owner's to change, or cannot be read.
pub fn list() -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for place in SegmentFolder::all()? {
        let (names, others) = place.names()?;
        all.extend(names.iter().map(|name| Found { name: name.to_string(), what: Info::of(&place, name) }));
        all.extend(others.into_iter().map(|other| {
            let (path, what) = (place.path().join(&other), "its name is none that segments have".to_owned());
            let error = Error::File { path, what, remedy: "see who put it there, and remove it".to_owned() };
            Found { name: other.to_string_lossy().into_owned(), what: Err(error) }
        }));
    }
    // One that went between the two looks.
    all.retain(|found| !matches!(found.what, Err(Error::Segment { kind: SegmentErrorKind::Absent, .. })));
    Ok(all)
}

/// What is known of one segment.
///
/// # Errors
/// As [`Named::open`](super::Named::open).
pub fn info(name: &str) -> Result<Info> {
    let name = Name::read(name)?;
    Info::of(&SegmentFolder::of(&name)?, &name)
}

/// Takes a name away, whatever it is the name of. Who has the segment attached keeps it so; its memory goes with the last of them.
///
/// # Errors
/// If there is none, or it is another user's.
pub fn remove(name: &str) -> Result<()> {
    let name = Name::read(name)?;
    let place = SegmentFolder::of(&name)?;
    if !place.is_own() {
        return Err(name.error(SegmentErrorKind::NotOwner));
    }
    let inode = place.inode(name.file()).ok_or_else(|| name.error(SegmentErrorKind::Absent))?;
    // Who waits for it is told at once, if it is one.
    let state = open_file(&place, &name, true).and_then(|(file, _)| SegmentState::of(&file, true, false)).ok();
    if !place.remove(name.file(), inode)? {
        return Err(name.error(SegmentErrorKind::Absent));
    }
    state.iter().for_each(SegmentState::ring);
    Ok(())
}

/// What [`gc`] made of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcEntry {
    /// As one attaches it.
    pub name: String,
    /// Whether it was removed, or would be.
    pub removed: bool,
    /// Bytes of memory that it takes.
    pub bytes: u64,
    /// Why.
    pub why: String,
}

/// Removes this user's segments that were to go with their creators and whose creators are provably dead; with `dry_run` only
/// says which. What is kept on purpose stays, and so does whatever cannot be proved, with the reason.
///
/// # Errors
/// As [`list`], or if one cannot be removed.
pub fn gc(dry_run: bool) -> Result<Vec<GcEntry>> {
    let mut all = Vec::new();
    for place in SegmentFolder::all()? {
        let (names, others) = place.names()?;
        for name in &names {
            match sweep(&place, name, dry_run) {
                Err(Error::Segment { kind: SegmentErrorKind::Absent, .. }) => {}
                swept => all.push(swept?),
            }
        }
        all.extend(others.into_iter().map(|other| {
            let name = other.to_string_lossy().into_owned();
            GcEntry { name, removed: false, bytes: 0, why: "its name is none that segments have".to_owned() }
        }));
        if !dry_run {
            place.tidy();
        }
    }
    Ok(all)
}

fn sweep(place: &SegmentFolder, name: &Name, dry_run: bool) -> Result<GcEntry> {
    let info = match Info::of(place, name) {
        Ok(info) => info,
        Err(error @ Error::File { .. }) => {
            return Ok(GcEntry { name: name.to_string(), removed: false, bytes: 0, why: error.to_string() });
        }
        Err(error) => return Err(error),
    };
    let (dead, why) = match &info.liveness {
        _ if info.kept => (false, "kept on purpose".to_owned()),
        liveness @ Liveness::Dead(_) => (true, format!("its creator, pid {}, is {liveness}", info.owner.pid)),
        liveness => (false, format!("its creator, pid {}, is {liveness}", info.owner.pid)),
    };
    let removed = dead && (dry_run || place.remove(name.file(), info.inode.ino())?);
    Ok(GcEntry { name: info.name, removed, bytes: info.allocated, why })
}
