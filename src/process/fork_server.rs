//! A process that does nothing but fork: replacements for workers that died, when the coordinator may have threads by then.
//!
//! It is forked when the job begins, while that is safe, sleeps, and has one thread for ever. An order is a number on the
//! control page. The fork server forks the workers of the round, notes their pids and says done; the coordinator takes hold of them and
//! says so, before which none is reaped, so that a pid means what it says, and none has anything to do with arrays
//! ([`SpawnOrder::wait`]). From then on the fork server reaps who dies and notes how it ended.
//!
//! Beside threads it cannot be forked; there a program is started, this one again or another that has the same code, which forks those
//! of all crews ([`ForkServer::of_program`]).
//!
//! Should it die itself, its workers die with it. Those that the coordinator holds are waited for; those that it does not hold
//! have attached nothing, and leave.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::fork_program::ForkProgram;
use super::served::Served;
use super::worker_set::{WorkerEvent, WorkerSet};
use crate::sync::{ControlPage, WorkerSlot, held};
use crate::sys::child;
use crate::sys::exit;
use crate::sys::futex;
use crate::sys::pidfd::{ENDING, Remaining};
use crate::sys::reserve::Late;
use crate::sys::robust_lock::RobustLock;

/// The fork server of a job, as the coordinator holds it. Dropping it ends it. Whoever it made is to be dropped before.
pub(crate) struct ForkServer {
    page: ControlPage,
    process: Served,
    orders: u32,
    /// What it has said of the last one.
    answered: u32,
}

/// The order by which a worker is forked: number `order` of this page's job.
#[derive(Clone, Copy)]
pub(crate) struct SpawnOrder<'b> {
    page: &'b ControlPage,
    order: u32,
}

impl SpawnOrder<'_> {
    /// In a worker just born: waits until the coordinator holds it, and so would wait for its end. Without that it leaves: the fork
    /// server has died, or was told to.
    pub(crate) fn wait(self) {
        if !held::wait_until_held(&self.page.head().fork_server.0.ordered, self.order) {
            exit::leave(1);
        }
    }
}

/// How long the fork server may take to fork one more worker: it may have gigabytes of its own, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take even when time is up. It needs some milliseconds, and another one cannot be made beside threads.
const GRACE: Duration = Duration::from_millis(300);

/// How long it may take to leave: no longer than those that it ends.
const CLOSING: Duration = ENDING.saturating_add(Duration::from_secs(1));

/// What came of asking for workers.
pub(crate) enum Spawned {
    /// They are there, and have begun.
    All(WorkerSet),
    /// The system makes no more processes. Those that it had made, so many, have been ended.
    TooFew(usize),
    /// They are there and have begun, but the fork server has died, and they end with it.
    Orphans(WorkerSet),
}

/// Beside the number of an order that is done: that not all could be made, and none is there.
const TOO_FEW: u32 = 1 << 31;

/// How soon to look again for the end of a process that is about to end.
const SOON: Duration = Duration::from_millis(1);

/// How often to look whether it is still there.
const ROUND: Duration = Duration::from_millis(10);

impl ForkServer {
    /// Forks it. For each order it calls `bear` with an empty worker set to be filled, and with what each of these must
    /// [wait](SpawnOrder::wait) for before it attaches anything. `bear` says whether it has made them all.
    ///
    /// # Safety
    /// As for [`child::spawn`].
    #[allow(unsafe_code)]
    pub(crate) unsafe fn open(
        page: &ControlPage,
        bear: impl FnMut(&mut WorkerSet, SpawnOrder<'_>) -> bool,
    ) -> io::Result<Self> {
        // What the one before it was told and said is not for this one.
        // SAFETY: who had it before, if anybody, was dropped; whoever that had made and nobody held only reads the word, and
        // leaves.
        unsafe { page.clear_fork_server() };
        child::flush_buffers();
        let coordinator = std::process::id();
        let life = || serve(page, coordinator, bear);
        // SAFETY: passed on to the caller.
        let child = unsafe { child::spawn(life) }?;
        Ok(Self { page: page.clone(), process: Served::Own(child), orders: 0, answered: 0 })
    }

    /// Has it forked by a program that is told these words and calls [`serve()`] in the fork, and waits until it does.
    ///
    /// # Errors
    /// If there is no such program, or it cannot fork; if the fork ends instead, or takes too long.
    pub(crate) fn of_program(
        page: &ControlPage,
        program: &Arc<ForkProgram>,
        words: &[u64],
        late: Late<'_>,
    ) -> io::Result<Self> {
        // SAFETY: as in `open`.
        #[allow(unsafe_code)]
        unsafe {
            page.clear_fork_server();
        }
        let process = Served::Of { process: program.fork(words, late)?, _program: program.clone() };
        let server = Self { page: page.clone(), process, orders: 0, answered: 0 };
        let lock = &page.head().fork_server.0.lock;
        let begun = Instant::now();
        while !lock.is_held_by(server.process.pid()) {
            if server.process.has_ended() {
                return Err(io::Error::other("the process that was to fork them ended before it did"));
            }
            server.process.resume();
            if begun.elapsed() > GRACE && late() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if begun.elapsed() > PATIENCE {
                return Err(server.is_silent());
            }
            futex::wait(lock.word(), 0, Some(Instant::now() + SOON));
        }
        Ok(server)
    }

    fn is_silent(&self) -> io::Error {
        let pid = self.process.pid();
        io::Error::other(format!("process {pid}, which was to fork them, does not answer"))
    }

    /// Lets it fork the workers of a round, and waits for that until it is `late`, a little longer.
    ///
    /// # Errors
    /// If it is gone, or does not answer, or not in time: to be dropped then, and whoever it made is gone with it.
    pub(crate) fn spawn(&mut self, workers: usize, late: Late<'_>) -> io::Result<Spawned> {
        self.page.head().fork_server.0.wanted.store(workers as u32, Ordering::Relaxed);
        let is_complete = self.order(late)?;
        let pids = self.page.slots()[..workers].iter().map_while(|slot| slot.pid());
        let mut worker_set = WorkerSet::new(&self.page);
        if !is_complete {
            let started = pids.count();
            self.order(late)?;
            return Ok(Spawned::TooFew(started));
        }
        for pid in pids {
            worker_set.adopt(pid, self.process.pid())?;
        }
        if worker_set.len() != workers {
            return Err(written_over());
        }
        let orders = self.orders;
        match self.order(late) {
            Ok(_) => Ok(Spawned::All(worker_set)),
            Err(error) if self.orders == orders => Err(error),
            Err(_) => {
                self.process.kill();
                Ok(Spawned::Orphans(worker_set))
            }
        }
    }

    /// Whether the control page says of it what it should between two orders: else it may have taken what somebody wrote there for
    /// one, and have forked whoever was not asked for; or nobody would be told of its end.
    pub(crate) fn is_intact(&self) -> bool {
        let post = &self.page.head().fork_server.0;
        let words = [(&post.ordered, self.orders), (&post.done, self.answered)];
        // It signs before it looks for the first one.
        let has_signed = self.answered == 0 || post.lock.is_held_by(self.process.pid());
        has_signed && words.into_iter().all(|(word, known)| word.load(Ordering::Acquire) == known)
    }

    /// Gives the next order and waits until it is carried out; whether it could be.
    fn order(&mut self, late: Late<'_>) -> io::Result<bool> {
        let post = &self.page.head().fork_server.0;
        if !self.is_intact() {
            return Err(written_over());
        }
        self.orders += 1;
        held::tell(&post.ordered, self.orders);
        let begun = Instant::now();
        let (mut made, mut until) = (0, begun + PATIENCE);
        loop {
            // Somebody may have stopped it, or may do so now.
            self.process.resume();
            let done = post.done.load(Ordering::Acquire);
            if done & !TOO_FEW == self.orders {
                self.answered = done;
                return Ok(done & TOO_FEW == 0);
            }
            if post.ordered.load(Ordering::Acquire) != self.orders || done != self.answered {
                return Err(written_over());
            }
            let end = post.lock.word().load(Ordering::Acquire);
            if RobustLock::says_dead(end) || self.process.has_ended() {
                return Err(io::Error::other("the process that was to fork them was killed"));
            }
            if begun.elapsed() > GRACE && late() {
                self.process.kill();
                return Err(io::ErrorKind::TimedOut.into());
            }
            let makes = self.page.slots().iter().filter(|slot| slot.pid().is_some()).count();
            if makes > made {
                (made, until) = (makes, Instant::now() + PATIENCE);
            }
            if Instant::now() > until {
                return Err(self.is_silent());
            }
            let round = Some(Instant::now() + ROUND);
            if futex::wait_any(&[(&post.done, done), (post.lock.word(), end)], round).is_err() {
                futex::wait(&post.done, done, round);
            }
        }
    }
}

fn written_over() -> io::Error {
    io::Error::other("somebody has written over the control page")
}

impl ForkServer {
    /// Lets it reap whom it made and leave, and ends it if it does not; whether it is still there.
    pub(crate) fn close(self) -> Option<Remaining> {
        self.shut_down();
        self.process.end()
    }

    /// What it does not reap would be left to nobody knows whom.
    fn shut_down(&self) {
        let post = &self.page.head().fork_server.0;
        held::tell(&post.ordered, held::CLOSE);
        let until = Instant::now() + CLOSING;
        while !self.process.has_ended() && Instant::now() < until {
            self.process.resume();
            let end = post.lock.word().load(Ordering::Acquire);
            if RobustLock::says_dead(end) {
                break;
            }
            futex::wait(post.lock.word(), end, Some(Instant::now() + ROUND));
        }
    }
}

impl Drop for ForkServer {
    /// As [`close`](ForkServer::close); says on stderr if it is still there.
    fn drop(&mut self) {
        self.shut_down();
        if let Some(remaining) = self.process.end() {
            eprintln!("parfork: {remaining}");
        }
    }
}

/// The fork server's own life; the status to leave with.
pub(crate) fn serve(
    page: &ControlPage,
    parent: u32,
    mut bear: impl FnMut(&mut WorkerSet, SpawnOrder<'_>) -> bool,
) -> i32 {
    child::name("parfork-server");
    let post = &page.head().fork_server.0;
    post.lock.acquire();
    let (mut served, mut said, mut worker_set) = (0, 0, WorkerSet::new(page));
    // Of earlier rounds: dead, but the kernel may still be taking their memory apart.
    let mut leaving: Vec<WorkerSet> = Vec::new();
    loop {
        let ordered = post.ordered.load(Ordering::Acquire);
        let met = served % 2 == 0;
        // The kernel does not end it with a coordinator that may not do so: one that has given up its privileges.
        if ordered == held::CLOSE || !exit::is_child_of(parent) {
            // Who cannot be ended is for the coordinator to tell.
            leaving.into_iter().chain([worker_set]).for_each(|worker_set| drop(worker_set.dismiss()));
            return 0;
        } else if ordered != served {
            if ordered != served + 1 {
                // Nobody orders that. Who has written over the control page has a part in it; let all be replaced.
                return 1;
            }
            served = ordered;
            said = served;
            if served % 2 == 1 {
                // None is left, unless somebody has lied to the coordinator of how many there were.
                worker_set.kill();
                leaving.push(std::mem::replace(&mut worker_set, WorkerSet::new(page)));
                // The end of one before may have been noted just after the coordinator had made the slots new.
                page.slots().iter().for_each(WorkerSlot::forget_exit);
                if !bear(&mut worker_set, SpawnOrder { page, order: served }) {
                    worker_set.kill();
                    said |= TOO_FEW;
                }
            }
            post.done.store(said, Ordering::Release);
            futex::wake_all(&post.done);
        } else if !met {
            futex::wait(&post.ordered, served, Some(Instant::now() + ROUND));
            // Those that were just born are at work, and one of them may have written over it.
            if post.ordered.load(Ordering::Acquire) == served && post.done.swap(said, Ordering::Release) != said {
                futex::wake_all(&post.done);
            }
        } else {
            let (ended, more) = worker_set.reap();
            ended.into_iter().for_each(|(rank, exit)| page.slots()[rank].note_exit(exit));
            let soon = more.then(|| Instant::now() + SOON);
            if let WorkerEvent::Died { rank } = worker_set.wait(&[(&post.ordered, served)], soon) {
                worker_set.note_dead(rank);
            }
        }
    }
}
