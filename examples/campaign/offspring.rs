//! Processes that a body starts: children that come back from it beside their parent, daemons that live on, jobs of its own.

use std::sync::atomic::Ordering::SeqCst;

use parfork::{Crew, Job, Shared};

use crate::page::Words;
use crate::rng::TrialRng;

/// A child that a body forks, of which nobody takes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    /// Whether it is made by the system call itself, so that no library is told.
    raw: bool,
    pub(crate) end: ChildEnd,
    /// How long it waits before its end, in microseconds.
    delay: u32,
}

/// What becomes of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildEnd {
    /// It comes back from the body, with another answer than its parent's.
    Returns,
    /// It comes back with an error.
    Fails,
    Panics,
    Exits,
    LeavesAtOnce,
    Killed,
}

/// Who a process is after a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Parent,
    Child(ChildEnd),
}

impl Child {
    pub(crate) fn new(rng: &mut TrialRng) -> Self {
        let end = rng.one(&[
            ChildEnd::Returns,
            ChildEnd::Returns,
            ChildEnd::Returns,
            ChildEnd::Fails,
            ChildEnd::Panics,
            ChildEnd::Exits,
            ChildEnd::LeavesAtOnce,
            ChildEnd::Killed,
        ]);
        Self { raw: rng.in_a_hundred(50), end, delay: rng.one(&[0, 0, 100, 1000, 5000]) }
    }

    /// Forks. The child comes back only if it is to come back from the body.
    pub(crate) fn fork(self) -> Who {
        if !forks(self.raw) {
            return Who::Parent;
        }
        std::thread::sleep(std::time::Duration::from_micros(self.delay.into()));
        match self.end {
            ChildEnd::Exits => std::process::exit(0),
            // SAFETY: ends the process without touching its memory.
            ChildEnd::LeavesAtOnce => unsafe { libc::_exit(0) },
            // SAFETY: sends this process a signal.
            ChildEnd::Killed => drop(unsafe { libc::raise(libc::SIGKILL) }),
            ChildEnd::Returns | ChildEnd::Fails | ChildEnd::Panics => {}
        }
        Who::Child(self.end)
    }
}

/// A process that a body leaves running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Daemon {
    raw: bool,
    /// Whether it is a child of nobody's, in a session of its own, as daemon(3) makes it.
    alone: bool,
    /// Whether it has closed all that it inherited.
    closed: bool,
}

impl Daemon {
    pub(crate) fn new(rng: &mut TrialRng) -> Self {
        Self { raw: rng.in_a_hundred(50), alone: rng.in_a_hundred(50), closed: rng.in_a_hundred(30) }
    }

    /// Starts it. It tells its number, by which the harness ends it after the trial.
    pub(crate) fn start(self, words: &Words) {
        if !forks(self.raw) {
            return;
        }
        if self.alone {
            // SAFETY: a call without arguments.
            unsafe { libc::setsid() };
            if !forks(self.raw) {
                words.tell_daemon(std::process::id());
                self.stay();
            }
            // SAFETY: ends the process without touching its memory.
            unsafe { libc::_exit(0) };
        }
        words.tell_daemon(std::process::id());
        self.stay();
    }

    fn stay(self) -> ! {
        if self.closed {
            // SAFETY: nothing here uses a descriptor any more.
            unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) };
        }
        loop {
            // SAFETY: a call without arguments.
            unsafe { libc::pause() };
        }
    }
}

/// Forks; whether this is the child.
fn forks(raw: bool) -> bool {
    let child = match raw {
        // SAFETY: as fork(2), but that no library is told; the child runs on with a copy of everything.
        true => unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) },
        // SAFETY: the child of a process with one thread, or one that only waits and ends.
        false => unsafe { libc::fork() }.into(),
    };
    assert!(child >= 0, "a fork within limits");
    child == 0
}

/// A job that a body runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nest {
    Job,
    /// One of its workers dies, and what it has changed is put back.
    Retries,
    Crew,
}

impl Nest {
    pub(crate) fn new(rng: &mut TrialRng) -> Self {
        rng.one(&[Self::Job, Self::Retries, Self::Crew])
    }

    /// Runs it; each job adds 1 to every cell.
    ///
    /// # Errors
    /// If it fails, or is not right.
    pub(crate) fn run(self) -> Result<(), String> {
        let mut cells = Shared::<u64, ndarray::Ix1>::zeros(40).map_err(|error| error.to_string())?;
        let jobs = self.add(&mut cells).map_err(|error| format!("a job within a body: {error}"))?;
        match cells.as_slice().iter().all(|&cell| cell == jobs) {
            true => Ok(()),
            false => Err(format!("a job within a body has made {:?}", cells.as_slice())),
        }
    }

    /// How many jobs have added 1.
    fn add(self, cells: &mut Shared<u64, ndarray::Ix1>) -> parfork::Result<u64> {
        match self {
            Self::Job => Job::new(cells).workers(2).run(|_, mut slice| *slice += 1).map(|_| 1),
            Self::Retries => {
                let tries = crate::support::Page::new();
                let job = Job::new(cells).workers(2).retries(1).restore_outputs();
                let done = job.run(|w, mut slice| {
                    *slice += 1;
                    if w.region().index() == 7 && tries[0].fetch_add(1, SeqCst) == 0 {
                        std::process::abort();
                    }
                });
                done.map(|_| 1)
            }
            Self::Crew => {
                let mut crew = Crew::start(2)?;
                (0..3).try_for_each(|_| crew.run(&mut *cells, (), |_, (), mut slice| *slice += 1).map(drop))?;
                Ok(3)
            }
        }
    }
}
