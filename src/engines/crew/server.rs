//! Where a crew's fork server comes from: it is a fork of the coordinator, or beside threads a program that the coordinator starts.

use std::io;
use std::process::Command;

use super::super::worker_main::PreFork;
use super::body_fn::BodyFn;
use super::persistent_worker::{self, WorkerInit};
use crate::error::{CrewError, Error, Result};
use crate::process::{self, ForkServer, SpawnOrder, WorkerSet};
use crate::spec::JobSpec;
use crate::sync::{ControlPage, PageHandle};
use crate::sys::image::Image;
use crate::sys::reserve::Late;
use crate::sys::{child, server_program};

/// How the fork server is made, as often as one is needed.
pub(crate) enum ServerSource {
    /// It is forked, whenever this says that this process may.
    Fork(fn() -> Result<()>),
    /// This program is started, with the code that it has in common with this one.
    Program(Box<(Command, Image)>),
}

impl ServerSource {
    /// A program that calls [`serve`] before it has threads, and has this crate's code from the same file.
    ///
    /// # Errors
    /// If the system does not tell which file that is.
    pub(crate) fn program(command: Command) -> Result<Self> {
        let image = Image::own().map_err(Error::system("look for this program's code"))?;
        Ok(Self::Program(Box::new((command, image))))
    }

    /// Refuses a body that workers would look for where it is not.
    ///
    /// # Errors
    /// Then.
    pub(super) fn check(&self, body_fn: BodyFn) -> Result<()> {
        match self {
            Self::Program(program) if !body_fn.is_in(&program.1) => Err(CrewError::BodyElsewhere.into()),
            _ => Ok(()),
        }
    }

    /// Makes a fork server, for workers with what is set for all jobs of a crew.
    ///
    /// # Errors
    /// If this process may not fork, or the inner one if there is none for another reason.
    ///
    /// # Safety
    /// As for [`child::spawn`], if this process may fork.
    #[allow(unsafe_code)]
    pub(super) unsafe fn open(
        &mut self,
        page: &ControlPage,
        spec: &JobSpec,
        cpus: usize,
        late: Late<'_>,
    ) -> Result<io::Result<ForkServer>> {
        match self {
            Self::Fork(may_fork) => {
                may_fork()?;
                // SAFETY: passed on to the caller.
                let ways = unsafe { PreFork::of(spec, false) };
                let bear = spawn_workers(page, &ways, std::process::id(), cpus);
                // SAFETY: passed on to the caller.
                Ok(unsafe { ForkServer::open(page, bear) })
            }
            Self::Program(program) => {
                process::ensure_children_live_here()?;
                let (command, image) = &mut **program;
                let mut words = image.file().to_vec();
                words.extend([u64::from(std::process::id()), cpus as u64]);
                words.extend(page.told()?.words());
                spec.write(&mut words);
                Ok(ForkServer::start(page, command, &words, late))
            }
        }
    }
}

/// What the fork server calls for each order: it forks as many workers as are wanted, and says whether it has.
fn spawn_workers<'s>(
    page: &'s ControlPage,
    ways: &'s PreFork,
    coordinator: u32,
    cpus: usize,
) -> impl FnMut(&mut WorkerSet, SpawnOrder<'_>) -> bool + 's {
    move |worker_set, held| {
        let head = page.head();
        let wanted = head.fork_server.0.wanted.load(std::sync::atomic::Ordering::Acquire) as usize;
        let workers = wanted.min(page.slots().len());
        let (ticket, job) = (head.call.last_ticket(), head.job.load(std::sync::atomic::Ordering::Acquire));
        for rank in 0..workers {
            let init = WorkerInit { page, rank, ways, coordinator, workers, cpus, ticket, job };
            let life = || {
                held.wait();
                persistent_worker::worker_main(init)
            };
            // SAFETY: the fork server has one thread.
            #[allow(unsafe_code)]
            let Ok(child) = (unsafe { child::spawn(life) }) else { return false };
            page.slots()[rank].enter(child.pid());
            worker_set.add(child);
        }
        true
    }
}

/// In a program that was started for it: the fork server's life, and the status to leave with. `None` in any other.
///
/// # Errors
/// If there are threads already, or this program has other code than the one that has started it.
pub(crate) fn serve() -> Option<Result<i32>> {
    server_program::is_asked().then(|| {
        process::ensure_single_threaded()?;
        // SAFETY: as was just seen.
        #[allow(unsafe_code)]
        let words = unsafe { server_program::listen() };
        serve_as(&words.map_err(Error::system("read what this program is to serve"))?)
    })
}

fn serve_as(words: &[u64]) -> Result<i32> {
    let own = Image::own().map_err(Error::system("look for this program's code"))?.file();
    let (file, words) = words.split_first_chunk::<4>().ok_or(CrewError::OtherProgram)?;
    let (&[coordinator, cpus], words) = words.split_first_chunk().ok_or(CrewError::OtherProgram)?;
    let (page, words) = words.split_first_chunk::<{ PageHandle::WORDS }>().ok_or(CrewError::OtherProgram)?;
    let spec = JobSpec::read(&mut words.iter().copied()).filter(|_| *file == own).ok_or(CrewError::OtherProgram)?;
    let coordinator = coordinator as u32;
    server_program::ensure_started_by(coordinator);
    let page = ControlPage::open(&PageHandle::of_words(*page), coordinator)?;
    // SAFETY: this process has one thread.
    #[allow(unsafe_code)]
    let ways = unsafe { PreFork::of(&spec, false) };
    Ok(process::serve(&page, coordinator, spawn_workers(&page, &ways, coordinator, cpus as usize)))
}
