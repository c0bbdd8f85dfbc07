//! Looking at the jobs that run on this machine, from outside: who works on what, how far they are.
//!
//! A job's control page is anonymous memory that its coordinator has open; `/proc` leads to it, for processes of the same user. It is
//! opened for reading and copied, a few kilobytes a look: nothing is mapped, no lock is taken and nobody in the job notices. What
//! a control page says is believed only as far as it can be: a process is one of a job if it has that job's control page open.
//!
//! ```
//! use parfork::{Job, Shared, watch};
//! let mut cells = Shared::<u64, _>::zeros(4)?;
//! Job::new(&mut cells).workers(2).name("a job that looks at itself").run(|w, mut slice| {
//!     let list = watch::list().expect("/proc can be read");
//!     let own = Some(std::process::id());
//!     let job = list.jobs.iter().find(|job| job.workers.iter().any(|worker| worker.pid == own)).expect("this one");
//!     assert_eq!(job.name, "a job that looks at itself");
//!     assert_eq!(job.workers[w.rank()].slice, Some(w.region().index()));
//!     slice.fill(job.slices as u64);
//! })?;
//! assert_eq!(cells.as_slice(), [4, 4, 4, 4]);
//! # Ok::<(), parfork::Error>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::shared::CONTROL_PAGE;
use crate::slices::Schedule;
use crate::sync::{self, Bytes, Snapshot, Unreadable};
use crate::sys::memory::{inode_of, reopen};
use crate::sys::pidfd::ForeignProcess;
use crate::sys::proc::{self, Memory};

/// All jobs there were at one moment.
#[derive(Clone, Debug, Default)]
pub struct JobList {
    /// Jobs, and crews between two jobs, in the order of their coordinators' numbers.
    pub jobs: Vec<WatchedJob>,
    /// Coordinators whose control pages cannot be read, and why.
    pub unreadable: Vec<(u32, String)>,
}

/// A job that somebody runs, as it was when the list was made.
#[derive(Clone, Debug)]
pub struct WatchedJob {
    /// The coordinator.
    pub pid: u32,
    /// What is running: [`Job::name`](crate::Job::name), or else the name of the program.
    pub name: String,
    /// Who works.
    pub engine: Engine,
    /// How slices are given out.
    pub schedule: Schedule,
    /// Whether a job runs now. A crew is there between jobs too; the numbers are those of its last one then.
    pub running: bool,
    /// How many jobs have begun: 1, or more for a crew.
    pub jobs: u64,
    /// How many slices the job has.
    pub slices: usize,
    /// How many of them are done.
    pub done: usize,
    /// How many workers have at the moment.
    pub taken: usize,
    /// How many are not to be tried again, for workers died on them.
    pub aside: usize,
    /// How many [steps](crate::Job::steps) each slice has; 0 in a job without.
    pub steps: u32,
    /// How many steps all slices together have done.
    pub steps_done: u64,
    /// How long ago the job began.
    pub elapsed: Duration,
    /// Bytes of all arrays that are lent: memory that coordinator and workers share.
    pub shared: u64,
    /// In order of rank.
    pub workers: Vec<WatchedWorker>,
    /// The inode of its control page: no other job has the same.
    pub page: u64,
}

/// A worker of a job that somebody runs.
#[derive(Clone, Debug)]
pub struct WatchedWorker {
    /// Its number in the job.
    pub rank: usize,
    /// Its process, if it is one.
    pub pid: Option<u32>,
    /// What it does.
    pub state: State,
    /// The slice that it works on.
    pub slice: Option<usize>,
    /// For how long it has been at that slice.
    pub since: Duration,
    /// How many slices it has done; those of a dead worker of this rank too.
    pub done: usize,
    /// Time spent in bodies, without the slice that it works on.
    pub busy: Duration,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It works on a slice.
    Working,
    /// It waits for others in the middle of one ([`Worker::barrier`](crate::Worker::barrier)).
    Meeting,
    /// It is between two slices, or begins.
    Between,
    /// It has no more slices to do in this job, and waits for its end.
    Finished,
    /// It stays and waits for a job.
    Idle,
    /// Somebody has stopped its process (SIGSTOP, a debugger).
    Stopped,
    /// It is dead or about to be, and nobody has taken its place yet.
    Gone,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Working => "working",
            Self::Meeting => "meeting",
            Self::Between => "between",
            Self::Finished => "finished",
            Self::Idle => "idle",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
        })
    }
}

impl WatchedJob {
    /// How many slices are neither done nor set aside.
    pub fn left(&self) -> usize {
        self.slices.saturating_sub(self.done).saturating_sub(self.aside)
    }

    /// How much is done and how much there is to do: slices, or in a job of [steps](crate::Job::steps) all steps of all slices. What
    /// was set aside is not to be done.
    pub fn progress(&self) -> (u64, u64) {
        let run = self.slices.saturating_sub(self.aside) as u64;
        match self.steps {
            0 => (self.done as u64, run),
            steps => (self.steps_done, run.saturating_mul(steps.into())),
        }
    }

    /// Slices a second, or steps of slices, from the job's beginning until now.
    pub fn rate(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.progress().0 as f64 / self.elapsed.as_secs_f64() }
    }

    /// How long it will take still if what is left takes as long as what is done; `None` before the first slice is done, and
    /// between jobs.
    pub fn time_left(&self) -> Option<Duration> {
        let rate = Some(self.rate()).filter(|&rate| rate > 0.0 && self.running)?;
        let (done, all) = self.progress();
        Duration::try_from_secs_f64(all.saturating_sub(done) as f64 / rate).ok()
    }

    /// The coordinator's memory. See [`WatchedWorker::memory`].
    pub fn memory(&self) -> Option<Memory> {
        Memory::of(self.pid).ok()
    }

    /// Kills the process of a worker, to see what the job makes of it.
    ///
    /// It is made sure before that the process is still the one that the look was at: a child of the coordinator (or of the
    /// process that forks for it) that has the job's control page open.
    ///
    /// # Errors
    /// If there is no such process any more.
    ///
    /// # Panics
    /// If the job has no such worker.
    pub fn kill(&self, rank: usize) -> Result<()> {
        let kill = || {
            let pid = self.workers[rank].pid.ok_or(io::ErrorKind::NotFound)?;
            let parent = proc::parent(pid)?;
            if parent != self.pid && proc::parent(parent)? != self.pid {
                return Err(io::Error::other("it is no child of the coordinator any more"));
            }
            // From here on the number is this process's, whatever happens to it.
            let ward = ForeignProcess::hold(pid, parent)?;
            if !control_pages_of(pid)?.iter().any(|&(_, inode)| inode == self.page) {
                return Err(io::Error::other("it has no part in the job any more"));
            }
            ward.kill();
            Ok(())
        };
        kill().map_err(Error::system("kill a worker"))
    }
}

impl WatchedWorker {
    /// Its memory now, if it is a process. It takes the kernel as long as the process has pages; meanwhile the process can run,
    /// but not change its mappings.
    pub fn memory(&self) -> Option<Memory> {
        Memory::of(self.pid?).ok()
    }
}

/// Looks at all jobs of this user on this machine.
///
/// # Errors
/// If /proc cannot be read.
pub fn list() -> Result<JobList> {
    let found = find().map_err(Error::system("look for jobs in /proc"))?;
    let mut list = JobList::default();
    for (inode, opened) in found {
        let page = opened.iter().find_map(|opened| Some((opened, Reader::open(opened, inode).ok()?)));
        // Gone since.
        let Some((first, reader)) = page else { continue };
        match sync::snapshot(&reader) {
            Ok(seen) => list.jobs.extend(watched(seen, &opened, inode)),
            // Just made, or its processes are about to end.
            Err(Unreadable::Blank | Unreadable::System(_)) => {}
            Err(reason) => list.unreadable.push((first.pid, reason.to_string())),
        }
    }
    list.jobs.sort_by_key(|job| job.pid);
    Ok(list)
}

/// A process that has a control page open, under this descriptor.
struct OpenPage {
    pid: u32,
    /// As it calls itself.
    own_number: u32,
    fd: u64,
}

/// All control pages of this user, by inode, and who has them open.
fn find() -> io::Result<BTreeMap<u64, Vec<OpenPage>>> {
    let user = proc::owner(std::process::id())?;
    let mut found: BTreeMap<u64, Vec<OpenPage>> = BTreeMap::new();
    // Of processes that end meanwhile nothing can be read any more.
    for pid in proc::all()?.filter(|&pid| proc::owner(pid).is_ok_and(|owner| owner == user)) {
        let Ok(pages) = control_pages_of(pid) else { continue };
        for (fd, inode) in pages {
            let Ok(own_number) = proc::own_number(pid) else { break };
            found.entry(inode).or_default().push(OpenPage { pid, own_number, fd });
        }
    }
    Ok(found)
}

/// The control pages that a process has open: descriptor and inode of each.
fn control_pages_of(pid: u32) -> io::Result<Vec<(u64, u64)>> {
    proc::memory_named(pid, &CONTROL_PAGE.to_string_lossy())
}

/// A control page, to be read.
struct Reader {
    file: File,
    len: u64,
}

impl Reader {
    fn open(opened: &OpenPage, inode: u64) -> io::Result<Self> {
        let file = File::from(reopen(opened.pid, opened.fd, false)?);
        // The number may be another process's by now, or the descriptor lead elsewhere.
        match inode_of(&file)? == inode {
            true => Ok(Self { len: file.metadata()?.len(), file }),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Bytes for Reader {
    fn len(&self) -> u64 {
        self.len
    }

    /// Read and not mapped: a read takes no memory where there is none yet, and cannot fault if the file is not what it seems.
    fn copy(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, at)
    }
}

/// A job, if its coordinator is among those who have its control page open.
fn watched(seen: Snapshot, opened: &[OpenPage], inode: u64) -> Option<WatchedJob> {
    let with_number = |number| opened.iter().find(|opened| opened.own_number == number).map(|opened| opened.pid);
    let pid = with_number(seen.pid)?;
    let slices = seen.run.len();
    let workers = seen.slots.iter().enumerate().map(|(rank, seat)| {
        let pid = Some(seat.snapshot.pid).filter(|&number| number != 0).and_then(with_number);
        let slice = seat.snapshot.slice(seen.run.end).filter(|_| seen.runs);
        let is_process = seen.engine == Engine::Processes && seat.snapshot.pid != 0;
        let state = match pid.map(proc::state) {
            None | Some(Err(_)) if is_process => State::Gone,
            Some(Ok(proc::STOPPED)) => State::Stopped,
            Some(Ok(proc::ENDING)) => State::Gone,
            _ if seat.snapshot.dead => State::Gone,
            _ if !seen.runs => State::Idle,
            _ if seat.snapshot.has_left() => State::Finished,
            _ if slice.is_none() => State::Between,
            _ if seat.snapshot.waits => State::Meeting,
            _ => State::Working,
        };
        let since = if slice.is_some() { seat.since } else { Duration::ZERO };
        WatchedWorker { rank, pid, state, slice, since, done: seat.done, busy: seat.snapshot.busy }
    });
    let sum = |count: fn(&sync::WorkerSnapshot) -> usize| seen.slots.iter().map(count).sum::<usize>().min(slices);
    Some(WatchedJob {
        pid,
        engine: seen.engine,
        schedule: seen.schedule,
        running: seen.runs,
        jobs: seen.jobs,
        slices,
        done: sum(|seat| seat.done),
        taken: sum(|seat| seat.taken),
        aside: seen.aside,
        steps: seen.steps.0,
        steps_done: seen.steps.1,
        elapsed: seen.elapsed,
        shared: seen.lent,
        workers: workers.collect(),
        name: seen.name,
        page: inode,
    })
}
