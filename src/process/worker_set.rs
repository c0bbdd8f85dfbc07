//! The worker processes of a round, held by the coordinator. Dropping the set ends and reaps them all.

use std::cell::Cell;
use std::cmp::Reverse;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::process::{FIRST_ROUND, Process, ROUND};
use crate::error::Cause;
use crate::sync::{ControlPage, WorkerSlot};
use crate::sys::child::Child;
use crate::sys::exit::Exit;
use crate::sys::pidfd::{ENDING, ForeignProcess, Remaining};
use crate::sys::robust_lock::RobustLock;
use crate::sys::usage::Usage;
use crate::sys::{futex, proc};

/// Why a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WorkerEvent {
    /// A word may have changed, or it is time to look.
    Changed,
    /// This worker is dead.
    Died { rank: usize },
}

/// Whether all workers wait for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiting {
    /// One of them does something, or is stopped.
    No,
    /// Each is asleep and says so, and the system does not tell on what.
    Claimed,
    /// Each is asleep on a word of the control page.
    Asleep,
}

/// Workers in order of rank.
pub(crate) struct WorkerSet {
    page: ControlPage,
    members: Vec<WorkerHandle>,
    /// When all were last asked for.
    asked: Cell<Instant>,
    /// Those that were to end and have not.
    remaining: Vec<Remaining>,
    /// When the youngest was made.
    made: Instant,
}

/// One worker.
struct WorkerHandle {
    process: Process,
    /// Whether it is known to be dead, and was heard of.
    buried: bool,
    /// Whether nothing more is to be done for its end: it was reaped, or cannot be.
    ended: bool,
    /// Why it was ended, if it took too long or did what it may not.
    stalled: Option<Cause>,
}

impl WorkerSet {
    /// How often to ask for all others. The kernel writes an robust lock only if the dead worker's memory still tells it where:
    /// one that has unmapped the control page or scribbled on it dies unheard.
    const SLOW_ROUND: Duration = Duration::from_millis(500);

    pub(crate) fn new(page: &ControlPage) -> Self {
        let now = Instant::now();
        Self { page: page.clone(), members: Vec::new(), asked: Cell::new(now), remaining: Vec::new(), made: now }
    }

    /// Adds a child of this process as the next rank.
    pub(crate) fn add(&mut self, child: Child) {
        self.push(Process::Own(child));
    }

    /// Adds a child of the fork server as the next rank.
    ///
    /// # Errors
    /// If there is no such process, or it is not the fork server's.
    pub(crate) fn adopt(&mut self, pid: u32, fork_server: u32) -> io::Result<()> {
        self.push(Process::adopted(ForeignProcess::hold(pid, fork_server)?, fork_server, &self.page));
        Ok(())
    }

    fn push(&mut self, process: Process) {
        self.members.push(WorkerHandle { process, buried: false, ended: false, stalled: None });
        self.made = Instant::now();
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Sleeps until one of the words changes from the value beside it, a worker dies, or `until`. May return early: look
    /// again.
    pub(crate) fn wait(&self, for_words: &[(&AtomicU32, u32)], until: Option<Instant>) -> WorkerEvent {
        let mut words = Vec::with_capacity(futex::MOST_WORDS);
        words.extend_from_slice(for_words);
        let mut rounds = false;
        let slow = self.ask_all_again();
        for (rank, handle, slot) in self.living() {
            let lock = slot.lock.word();
            let value = lock.load(Ordering::Acquire);
            if RobustLock::says_dead(value) {
                // The kernel has woken one of those who wait for this: coordinator or fork server.
                futex::wake_all(lock);
                return WorkerEvent::Died { rank };
            }
            // Also if it has not signed yet: signing changes the word and wakes nobody, but whoever sleeps there by then is
            // woken by its death.
            let listening = words.len() < futex::MOST_WORDS;
            if listening {
                words.push((lock, value));
            }
            let heard = listening && RobustLock::says_signed(value);
            if (!heard || slow) && handle.process.ended(slot).is_some() {
                return WorkerEvent::Died { rank };
            }
            rounds |= !heard;
        }
        let round = |rounds: bool| {
            let round = self.made.elapsed().clamp(FIRST_ROUND, ROUND);
            let pause = if rounds { round } else { Self::SLOW_ROUND };
            until.into_iter().chain([Instant::now() + pause]).min()
        };
        if futex::wait_any(&words, round(rounds)).is_err() {
            futex::wait(for_words[0].0, for_words[0].1, round(true));
        }
        WorkerEvent::Changed
    }

    /// Those that are not known to be dead.
    fn living(&self) -> impl Iterator<Item = (usize, &WorkerHandle, &WorkerSlot)> {
        let all = self.members.iter().zip(self.page.slots()).enumerate();
        all.map(|(rank, (handle, slot))| (rank, handle, slot)).filter(|(_, handle, _)| !handle.buried)
    }

    /// Whether it is time to ask for all.
    fn ask_all_again(&self) -> bool {
        let again = self.asked.get().elapsed() >= Self::SLOW_ROUND;
        if again {
            self.asked.set(Instant::now());
        }
        again
    }

    /// Who has been at the same thing for longest, since when on the control page's clock. Those that will take no more slices
    /// have nothing that they could be late for.
    pub(crate) fn slowest(&self) -> Option<(usize, Duration)> {
        let since = self.living().filter_map(|(rank, _, slot)| Some((rank, slot.since()?)));
        since.min_by_key(|&(_, since)| since)
    }

    /// Whether those of the first `processes` that live all wait for others, or for the next job.
    pub(crate) fn all_wait(&self, processes: usize) -> Waiting {
        let waits = |pid, slot: &WorkerSlot| {
            let on = proc::sleeps_on(pid).and_then(|word| word.map_or(Ok(false), |word| self.page.is_at(pid, word)));
            let can_wait = match &on {
                Ok(is_word) => *is_word,
                Err(_) => slot.since().is_none(),
            };
            match can_wait && proc::state(pid).is_ok_and(|state| state == proc::ASLEEP) {
                true if on.is_ok() => Waiting::Asleep,
                true => Waiting::Claimed,
                false => Waiting::No,
            }
        };
        // One that works is an answer, and two reads of files; so those that say so are asked first, and the last that were born.
        let mut asked: Vec<_> = self.living().take_while(|(rank, ..)| *rank < processes).collect();
        // What a slot says changes meanwhile: each is looked at once.
        asked.sort_by_cached_key(|(rank, _, slot)| (slot.since().is_none(), Reverse(*rank)));
        let mut all = Waiting::Asleep;
        for (_, handle, slot) in asked {
            all = all.min(waits(handle.process.pid(), slot));
            if all == Waiting::No {
                break;
            }
        }
        all
    }

    /// A number that changes with whatever any of them does between slices and meetings.
    pub(crate) fn activity(&self) -> u64 {
        self.living().fold(0, |sum, (rank, _, slot)| sum.rotate_left(7) ^ slot.doing().wrapping_add(rank as u64))
    }

    /// Who keeps the others waiting though all seem to wait: one that was stopped, else whoever comes first.
    pub(crate) fn culprit(&self) -> Option<usize> {
        let stopped =
            |handle: &WorkerHandle| proc::state(handle.process.pid()).is_ok_and(|state| state == proc::STOPPED);
        let stopped = self.living().find(|(_, handle, _)| stopped(handle));
        stopped.or_else(|| self.living().next()).map(|(rank, ..)| rank)
    }

    /// What one has cost, if the system tells: not of one that the fork server has reaped.
    pub(crate) fn usage(&self, rank: usize) -> Option<Usage> {
        self.members.get(rank)?.process.usage()
    }

    /// Ends one that has kept the job waiting for longer than `limit`.
    pub(crate) fn end_stalled(&mut self, rank: usize, limit: Duration) {
        let handle = &mut self.members[rank];
        let pid = handle.process.pid();
        handle.stalled = match proc::settled_state(pid) {
            // What has ended it is its cause, though nobody was told in time.
            Err(_) | Ok(proc::ENDING) => None,
            Ok(proc::ASLEEP) if !proc::children(pid).is_empty() => Some("waiting for a program that it had started"),
            Ok(state) => Some(state),
        }
        .map(|state| Cause::Stalled { limit, state });
        handle.process.kill();
    }

    /// Ends one for something that it did, if it is that process.
    pub(crate) fn end_for(&mut self, rank: usize, pid: u32, cause: Cause) {
        if let Some(handle) = self.members.get_mut(rank).filter(|handle| handle.process.pid() == pid) {
            handle.stalled = Some(cause);
            handle.process.kill();
        }
    }

    /// Sends SIGKILL to them all. The end of those that may be killed is certain after this, but may take a moment.
    pub(crate) fn kill(&self) {
        self.members.iter().for_each(|handle| handle.process.kill());
    }

    /// Ends and reaps them all, as far as that is possible. Their ranks still stand for them.
    pub(crate) fn end(&mut self) {
        self.kill();
        let until = Instant::now() + ENDING;
        for handle in &mut self.members {
            if !handle.ended {
                self.remaining.extend(handle.process.end_by(until));
            }
            (handle.buried, handle.ended) = (true, true);
        }
    }

    /// As [`end`](Self::end), for good; those that are still there.
    pub(crate) fn dismiss(mut self) -> Vec<Remaining> {
        self.end();
        std::mem::take(&mut self.remaining)
    }

    /// Whether one of those that were to end has not, so that it may still write to what was lent.
    pub(crate) fn has_remaining(&self) -> bool {
        !self.remaining.is_empty()
    }

    /// Whether none of them is known or seen to be dead.
    pub(crate) fn is_whole(&self) -> bool {
        let lives = |slot: &WorkerSlot| !RobustLock::says_dead(slot.lock.word().load(Ordering::Acquire));
        self.members.iter().zip(self.page.slots()).all(|(handle, slot)| !handle.buried && lives(slot))
    }

    /// Ends them all, whose work is over, and returns those that may still have to give back their memory, which can take
    /// long, and those that cannot be ended. Of the former none can execute another instruction, and the kernel has written all
    /// robust locks.
    pub(crate) fn leave(mut self) -> (Vec<Exiting>, Vec<Remaining>) {
        self.kill();
        let until = Instant::now() + ENDING;
        let members = std::mem::take(&mut self.members);
        let mut leaving = Vec::new();
        for (handle, slot) in members.into_iter().zip(self.page.slots()).filter(|(handle, _)| !handle.ended) {
            match handle.process.past(slot, until) {
                Some(_) => leaving.push(Exiting(Some(handle.process))),
                None => self.remaining.extend(handle.process.end_by(until)),
            }
        }
        (leaving, std::mem::take(&mut self.remaining))
    }

    /// Hears no more of one that is dead or as good as that, and can do nothing more; its pid and what ended it. One that cannot
    /// be ended is [still there](Self::has_remaining) after that.
    pub(crate) fn retire(&mut self, rank: usize) -> (u32, Cause) {
        let slot = &self.page.slots()[rank];
        let handle = &mut self.members[rank];
        // One whose robust lock lies may still be alive.
        handle.process.kill();
        handle.buried = true;
        let until = Instant::now() + ENDING;
        let exit = handle.process.past(slot, until).or_else(|| {
            let remaining = handle.process.end_by(until);
            handle.ended = true;
            self.remaining.extend(remaining);
            remaining.is_none().then(|| handle.process.exit(slot))
        });
        let cause = match (handle.stalled.take(), exit) {
            (Some(stalled), None | Some(Exit::Signal(libc::SIGKILL))) => stalled,
            (_, Some(Exit::Signal(libc::SIGKILL) | Exit::Unknown)) if handle.process.is_orphan() => {
                Cause::ForkServerDied
            }
            (_, exit) => exit.map_or(Cause::Unknown, cause_of),
        };
        (handle.process.pid(), cause)
    }

    /// Hears no more of one that is dead, and will reap it.
    pub(super) fn note_dead(&mut self, rank: usize) {
        self.members[rank].buried = true;
    }

    /// Reaps those of the dead whose memory is gone; the ranks and ends of these, and whether there are others.
    pub(super) fn reap(&mut self) -> (Vec<(usize, Exit)>, bool) {
        let (mut reaped, mut more) = (Vec::new(), false);
        for (rank, handle) in self.members.iter_mut().enumerate().filter(|(_, handle)| handle.buried && !handle.ended) {
            match handle.process.ended(&self.page.slots()[rank]) {
                Some(exit) => {
                    handle.ended = true;
                    reaped.push((rank, exit));
                }
                None => more = true,
            }
        }
        (reaped, more)
    }
}

/// What an end says of itself.
pub(crate) fn cause_of(exit: Exit) -> Cause {
    match exit {
        Exit::Status(status) => Cause::Exited { status },
        Exit::Signal(signal) => Cause::Signalled { signal },
        Exit::Unknown => Cause::Unknown,
    }
}

impl Drop for WorkerSet {
    /// As [`dismiss`](WorkerSet::dismiss); who is still there is said on stderr, for nobody asks.
    fn drop(&mut self) {
        self.end();
        self.remaining.iter().for_each(|remaining| eprintln!("parfork: {remaining}"));
    }
}

/// A worker that can do nothing more and gives back its memory. Dropping it waits until that is done.
pub(crate) struct Exiting(Option<Process>);

impl Exiting {
    /// Waits until it is gone, or long enough.
    pub(crate) fn end(mut self) -> Option<Remaining> {
        self.0.take()?.end_by(Instant::now() + ENDING)
    }
}

impl Drop for Exiting {
    fn drop(&mut self) {
        if let Some(remaining) = self.0.take().and_then(|process| process.end_by(Instant::now() + ENDING)) {
            eprintln!("parfork: {remaining}");
        }
    }
}
