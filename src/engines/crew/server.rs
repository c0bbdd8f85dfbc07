//! Where a crew's fork server comes from: it is a fork of the coordinator, or beside threads of a program that the coordinator starts,
//! which forks those of all crews that share it.

use std::io;
use std::mem::ManuallyDrop;
use std::process::Command;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::super::worker_main::PreFork;
use super::body_fn::BodyFn;
use super::persistent_worker::{self, WorkerInit};
use crate::error::{CrewError, Error, Result};
use crate::process::{self, ForkProgram, ForkServer, SpawnOrder, WorkerSet};
use crate::spec::JobSpec;
use crate::sync::{ControlPage, PageHandle};
use crate::sys::image::Image;
use crate::sys::reserve::Late;
use crate::sys::{child, server_program};

/// How long another thread may look for this program.
const PATIENCE: Duration = Duration::from_millis(100);

/// How the fork server is made, as often as one is needed.
pub(crate) enum ServerSource {
    /// It is forked, whenever this says that this process may.
    Fork(fn() -> Result<()>),
    /// This program forks it, which has the code in common with this one.
    Program(SharedProgram),
}

/// A program that forks the fork servers of crews, and the code that it has in common with this one.
#[derive(Clone, Debug)]
pub(crate) struct SharedProgram {
    program: Arc<ForkProgram>,
    image: Image,
}

impl SharedProgram {
    /// One that calls [`serve`] before it has threads, and has this crate's code from the same file. It is started when it is needed.
    ///
    /// # Errors
    /// If the system does not tell which file that is.
    pub(crate) fn new(command: Command) -> Result<Self> {
        let image = Image::own().map_err(Error::system("look for this program's code"))?;
        Ok(Self { program: Arc::new(ForkProgram::new(command, image.file().to_vec())), image })
    }

    /// This program, started once more: the same for all crews as long as there is one.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn this() -> Result<Self> {
        static THIS: Mutex<Weak<ForkProgram>> = Mutex::new(Weak::new());
        // In a fork of a process with threads it may be locked for ever: that has one of its own then.
        let mut this = THIS.try_lock();
        let until = Instant::now() + PATIENCE;
        while this.is_err() && Instant::now() < until {
            std::thread::yield_now();
            this = THIS.try_lock();
        }
        let found = this.as_ref().ok().and_then(|this| this.upgrade()).filter(|program| program.is_own());
        match (found, &mut this) {
            (Some(program), _) => Ok(Self { program, ..Self::new(server_program::this())? }),
            (None, this) => {
                let made = Self::new(server_program::this())?;
                if let Ok(this) = this {
                    **this = Arc::downgrade(&made.program);
                }
                Ok(made)
            }
        }
    }

    /// Whether this process has it, and not one from which this one was forked.
    pub(crate) fn is_own(&self) -> bool {
        self.program.is_own()
    }
}

impl ServerSource {
    /// Refuses a body that workers would look for where it is not.
    ///
    /// # Errors
    /// Then.
    pub(super) fn check(&self, body_fn: BodyFn) -> Result<()> {
        match self {
            Self::Program(program) if !body_fn.is_in(&program.image) => Err(CrewError::BodyElsewhere.into()),
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
                let mut words = vec![cpus as u64];
                words.extend(page.told()?.words());
                spec.write(&mut words);
                Ok(ForkServer::of_program(page, &program.program, &words, late))
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

/// In a program that was started for it: forks fork servers, and does not come back. Nothing in any other.
///
/// # Errors
/// If there are threads already, or this program has other code than the one that has started it.
pub(crate) fn serve() -> Result<()> {
    if !server_program::is_asked() {
        return Ok(());
    }
    process::ensure_single_threaded()?;
    child::name("parfork-program");
    let own = Image::own().map_err(Error::system("look for this program's code"))?.file();
    let unread = |source| Error::system("read what this program is to serve")(source);
    // SAFETY: this process has one thread, as was just seen.
    #[allow(unsafe_code)]
    let (asker, file) = unsafe { server_program::listen() }.map_err(unread)?;
    if file != own {
        return Err(CrewError::OtherProgram.into());
    }
    let mut fork_servers: Vec<child::Child> = Vec::new();
    let this = std::process::id();
    loop {
        if let Some(words) = asker.wait(&fork_servers).map_err(unread)? {
            let life = || match server_program::let_go_of_socket()
                .map_err(unread)
                .and_then(|()| serve_as(&words, asker.pid(), this))
            {
                Ok(status) => status,
                Err(error) => {
                    eprintln!("parfork: {error}");
                    1
                }
            };
            child::flush_buffers();
            // SAFETY: this process has one thread for ever.
            #[allow(unsafe_code)]
            let forked = unsafe { child::spawn(life) };
            asker.tell(forked.as_ref().map_or(0, |child| child.pid().into())).map_err(unread)?;
            fork_servers.extend(forked);
        }
        fork_servers.retain(|child| child.ended().is_none());
    }
}

/// The life of a crew's fork server, and the status to leave with.
fn serve_as(words: &[u64], coordinator: u32, parent: u32) -> Result<i32> {
    let (&cpus, words) = words.split_first().ok_or(CrewError::OtherProgram)?;
    let (page, words) = words.split_first_chunk::<{ PageHandle::WORDS }>().ok_or(CrewError::OtherProgram)?;
    let spec = JobSpec::read(&mut words.iter().copied()).ok_or(CrewError::OtherProgram)?;
    // Mapped to this process's very end, which its lock there tells.
    let page = ManuallyDrop::new(ControlPage::open(&PageHandle::of_words(*page), coordinator)?);
    // SAFETY: this process has one thread.
    #[allow(unsafe_code)]
    let ways = unsafe { PreFork::of(&spec, false) };
    Ok(process::serve(&page, parent, spawn_workers(&page, &ways, coordinator, cpus as usize)))
}
