//! The process of a fork server, as the coordinator holds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fork_program::ForkProgram;
use crate::sys::child::Child;
use crate::sys::pidfd::{ENDING, ForeignProcess, LEAVING, Obstacle, Remaining};
use crate::sys::proc;

/// How soon to look again whether it has been reaped.
const SOON: Duration = Duration::from_micros(100);

/// The process of a fork server.
pub(super) enum Served {
    /// This process has forked it.
    Own(Child),
    /// A program has, with which it ends.
    Of { process: ForeignProcess, _program: Arc<ForkProgram> },
}

impl Served {
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Own(child) => child.pid(),
            Self::Of { process, .. } => process.pid(),
        }
    }

    pub(super) fn resume(&self) {
        match self {
            Self::Own(child) => child.resume(),
            Self::Of { process, .. } => process.resume(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Own(child) => child.ended().is_some(),
            Self::Of { process, .. } => process.is_dead(),
        }
    }

    pub(super) fn kill(&self) -> bool {
        match self {
            Self::Own(child) => child.kill(),
            Self::Of { process, .. } => process.kill(),
        }
    }

    /// Kills it if it is there; whether it still is after a time in which it should be gone.
    pub(super) fn end(&self) -> Option<Remaining> {
        if self.has_ended() {
            self.leave_to_program();
            return None;
        }
        let permitted = self.kill();
        match self {
            Self::Own(child) => child.end_by(Instant::now() + ENDING),
            Self::Of { process, .. } => {
                let (patience, obstacle) =
                    if permitted { (ENDING, Obstacle::Slow) } else { (LEAVING, Obstacle::NotPermitted) };
                let pid = process.pid();
                let ended = process.ends_by(Instant::now() + patience);
                self.leave_to_program();
                (!ended).then_some(Remaining { pid, obstacle })
            }
        }
    }

    /// Waits for a moment until the program has reaped it: nothing of a crew is left, if the program has not died too.
    fn leave_to_program(&self) {
        let until = Instant::now() + LEAVING;
        if let Self::Of { process, .. } = self {
            while process.is_dead()
                && proc::state(process.pid()).is_ok_and(|state| state == proc::ENDING)
                && Instant::now() < until
            {
                std::thread::sleep(SOON);
            }
        }
    }
}
