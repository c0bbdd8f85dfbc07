//! Whether the process that made a segment is still there: provably so, provably not, or not to be known from here.

use std::fmt;

use super::header::Owner;
use crate::error::{Error, Result};
use crate::sys::{file, proc};

/// What is known of the process that made a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is there.
    Alive,
    /// It is not: why that is certain.
    Dead(&'static str),
    /// Nobody can know here: why.
    Unknown(&'static str),
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alive => write!(f, "alive"),
            Self::Dead(why) => write!(f, "dead ({why})"),
            Self::Unknown(why) => write!(f, "unknown ({why})"),
        }
    }
}

impl Owner {
    /// This process.
    pub(super) fn this() -> Result<Self> {
        let pid = std::process::id();
        let known = proc::started(pid).and_then(|start| Ok((start, proc::boot()?)));
        let (start, boot) = known.map_err(Error::system("tell when this process was started (/proc)"))?;
        let (pid_space, time_space) = (proc::namespace("pid"), proc::namespace("time"));
        Ok(Self { uid: file::user(), pid, start, boot, pid_space, time_space })
    }

    /// What has become of it, seen by `this` process.
    pub(super) fn liveness(&self, this: &Self) -> Liveness {
        match self {
            _ if self.boot != this.boot => Liveness::Dead("the machine was started anew since"),
            _ if self.pid_space != this.pid_space => Liveness::Unknown("it was in another pid namespace"),
            _ if self.time_space != this.time_space => Liveness::Unknown("it was in another time namespace"),
            _ => match proc::started(self.pid) {
                Ok(start) if start == self.start => Liveness::Alive,
                Ok(_) => Liveness::Dead("another process has its number"),
                Err(_) if !proc::is_there(self.pid) => Liveness::Dead("no process has its number"),
                Err(_) => Liveness::Unknown("/proc does not show the process that has its number"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_dead_is_provably_so() {
        let this = Owner::this().unwrap();
        assert_eq!(this.liveness(&this), Liveness::Alive);
        let reused = Owner { start: this.start.wrapping_sub(1), ..this };
        assert!(matches!(reused.liveness(&this), Liveness::Dead(_)));
        // Beyond the greatest number that Linux gives.
        let gone = Owner { pid: (1 << 22) + 1, ..this };
        assert!(matches!(gone.liveness(&this), Liveness::Dead(_)));
        let elsewhere = Owner { pid_space: 1, ..gone };
        assert!(matches!(elsewhere.liveness(&this), Liveness::Unknown(_)));
        let other_time = Owner { time_space: 1, ..reused };
        assert!(matches!(other_time.liveness(&this), Liveness::Unknown(_)));
        let before = Owner { boot: [0; 16], ..elsewhere };
        assert!(matches!(before.liveness(&this), Liveness::Dead(_)));
    }
}
