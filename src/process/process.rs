//! A handle of a worker process: a child of this process, or of the fork server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::sync::{ControlPage, WorkerSlot, held};
use crate::sys::child::{self, Child};
use crate::sys::exit::Exit;
use crate::sys::pidfd::{ForeignProcess, LEAVING, Obstacle, Remaining};
use crate::sys::robust_lock::RobustLock;
use crate::sys::usage::Usage;
use crate::sys::{futex, proc};

/// How often to ask the system for deaths that no robust lock can tell: of workers that died before they signed theirs,
/// and of those beyond the number of words that can be waited on at once (or all, before Linux 5.16).
pub(super) const ROUND: Duration = Duration::from_millis(10);

/// How soon after the birth of the last worker to ask first; then when as much time has passed again, and so on until
/// rounds are as long as above. Most have signed before the first.
pub(super) const FIRST_ROUND: Duration = Duration::from_millis(1);

/// A process that works.
pub(super) enum Process {
    /// This process made it.
    Own(Child),
    /// The fork server made it.
    Adopted(Adopted),
}

/// A child of the fork server, which reaps it and writes its end to the control page.
pub(super) struct Adopted {
    foreign: ForeignProcess,
    fork_server: u32,
    page: ControlPage,
    /// Whether this process may not kill it.
    refused: AtomicBool,
}

impl Process {
    /// How long the fork server may take to reap a worker that is dead, and to say so.
    const TOLD: Duration = Duration::from_secs(1);

    pub(super) fn adopted(foreign: ForeignProcess, fork_server: u32, page: &ControlPage) -> Self {
        Self::Adopted(Adopted { foreign, fork_server, page: page.clone(), refused: AtomicBool::new(false) })
    }

    /// Whether it has died with the fork server that had made it, if it was killed.
    pub(super) fn is_orphan(&self) -> bool {
        matches!(self, Self::Adopted(it) if it.is_server_gone())
    }

    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Own(child) => child.pid(),
            Self::Adopted(it) => it.foreign.pid(),
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Own(child) => child.usage(),
            Self::Adopted(it) => Usage::of_process(it.foreign.pid()).ok(),
        }
    }

    /// Sends SIGKILL. What this process may not end, because it has given up its privileges since it was started, the fork server
    /// may: it is told to leave, and to end all that it made.
    pub(super) fn kill(&self) {
        match self {
            Self::Own(child) => drop(child.kill()),
            Self::Adopted(it) => {
                let refused = !it.foreign.kill();
                it.refused.store(refused, Ordering::Relaxed);
                if refused {
                    held::tell(&it.page.head().fork_server.0.ordered, held::CLOSE);
                }
            }
        }
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self, slot: &WorkerSlot) -> Option<Exit> {
        match self {
            Self::Own(child) => child.ended(),
            Self::Adopted(it) => it.foreign.is_dead().then(|| it.told(slot)),
        }
    }

    /// How one that has ended did.
    pub(super) fn exit(&self, slot: &WorkerSlot) -> Exit {
        self.ended(slot).unwrap_or(Exit::Unknown)
    }

    /// How it will have ended, as soon as it can do nothing more.
    fn early_exit_status(&self) -> Option<Exit> {
        match self {
            Self::Own(child) => child.early_exit_status(),
            Self::Adopted(it) => it.foreign.early_exit_status(),
        }
    }

    /// How one that was killed will have ended, if it is known to be past its last instruction, with its robust lock written.
    /// Waits for that, which is a matter of microseconds, until then; but not for one that has not signed, or may not be killed.
    pub(super) fn past(&self, slot: &WorkerSlot, until: Instant) -> Option<Exit> {
        loop {
            let word = slot.lock.word().load(Ordering::Acquire);
            if RobustLock::says_dead(word) {
                return self.early_exit_status();
            }
            let refused = match self {
                Self::Own(child) => child.is_refused(),
                Self::Adopted(it) => it.refused.load(Ordering::Relaxed),
            };
            if refused || !RobustLock::says_signed(word) || self.ended(slot).is_some() || Instant::now() >= until {
                return None;
            }
            futex::wait(slot.lock.word(), word, Some(Instant::now() + FIRST_ROUND));
        }
    }

    /// Waits until then for the end of one that was killed, and reaps it if it is this process's; what is still there after that.
    pub(super) fn end_by(&self, until: Instant) -> Option<Remaining> {
        match self {
            Self::Own(child) => child.end_by(until),
            Self::Adopted(it) => {
                let obstacle = match it.refused.load(Ordering::Relaxed) {
                    false => (!it.foreign.ends_by(until)).then_some(Obstacle::Slow),
                    true => (!it.is_ended_by_server(until)).then_some(Obstacle::NotPermitted),
                };
                obstacle.map(|obstacle| Remaining { pid: self.pid(), obstacle })
            }
        }
    }
}

impl Adopted {
    /// Waits until then for the end of a worker that only the fork server may end, or for a moment after the end of that: it has
    /// ended by then whom it could.
    fn is_ended_by_server(&self, until: Instant) -> bool {
        while Instant::now() < until {
            if self.is_server_gone() {
                return self.foreign.ends_by(until.min(Instant::now() + LEAVING));
            }
            child::resume(self.fork_server);
            if self.foreign.ends_by(until.min(Instant::now() + ROUND)) {
                return true;
            }
        }
        false
    }

    /// Whether the fork server is dead: by its robust lock, or if somebody has written over that, by what the system says.
    fn is_server_gone(&self) -> bool {
        RobustLock::says_dead(self.page.head().fork_server.0.lock.word().load(Ordering::Acquire))
            || proc::state(self.fork_server).is_ok_and(|state| state == proc::ENDING)
    }

    /// What the fork server says of a worker that is dead. Only for the error's text: that it is dead is for its pidfd to say.
    fn told(&self, slot: &WorkerSlot) -> Exit {
        let until = Instant::now() + Process::TOLD;
        loop {
            // Asked for first: what it had said before its end is there then.
            let is_late = self.is_server_gone() || Instant::now() > until;
            match slot.exit() {
                Some(exit) => return exit,
                None if is_late => return Exit::Unknown,
                None => {
                    // Somebody may have stopped it.
                    child::resume(self.fork_server);
                    futex::wait(slot.exit_word().0, slot.exit_word().1, Some(Instant::now() + ROUND));
                }
            }
        }
    }
}
