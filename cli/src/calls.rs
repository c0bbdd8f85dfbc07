//! Which system calls a piece of code makes, it and all processes that it forks: for showing what a job asks of the system.
//!
//! The code runs in a child that is watched with ptrace(2), one stop before and one after each call, so that it takes many times
//! as long as it would alone; but what is written down are the calls of the real thing.

mod ptrace;
mod show;

use std::fmt;

use parfork::{Error, Result};
use ptrace::MARK;

/// What was seen, in the order in which it was. Calls stand where they began.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A process forked another.
    Born {
        /// The new process.
        pid: u32,
    },
    /// A process made a system call.
    Call(Call),
    /// A process called [`mark`].
    Mark {
        /// Which.
        pid: u32,
        /// What it said.
        text: String,
    },
    /// A process ended.
    Ended {
        /// Which.
        pid: u32,
        /// The status it left with; `None` if a signal ended it.
        status: Option<i32>,
    },
}

impl Event {
    /// The call, if it is one.
    pub fn call(&self) -> Option<&Call> {
        if let Self::Call(call) = self { Some(call) } else { None }
    }

    /// Which process it is about.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Born { pid, .. } | Self::Mark { pid, .. } | Self::Ended { pid, .. } => *pid,
            Self::Call(call) => call.pid,
        }
    }
}

/// A system call. Shown as strace would: `munmap(0x7f51c8e5c000, 128) = 0`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// Who made it.
    pub pid: u32,
    /// Its name; `call 449` if it is none that jobs are known to make.
    pub name: String,
    /// Its arguments, as many as there can be.
    pub arguments: [u64; 6],
    text: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Runs `code` in a child of this process and writes down what it and all that it forks do, until the last has ended. What it
/// has to tell it tells with [`mark`].
///
/// # Errors
/// If this process has other threads, as for a job; if it has other children, whose ends would be taken for those of `code`; if
/// the system does not let processes be watched (containers, `kernel.yama.ptrace_scope` of 2 or more, a debugger that watches
/// already). `code` was not run then.
pub fn record(code: impl FnOnce()) -> Result<Vec<Event>> {
    let system = |doing| move |source| Error::System { doing, source };
    let threads = std::fs::read_dir("/proc/self/task").map_err(system("count this process's threads"))?.count();
    if threads > 1 {
        return Err(Error::ThreadsRunning { threads });
    }
    // SAFETY: this process has one thread, which makes the fork.
    #[allow(unsafe_code)]
    let events = unsafe { ptrace::watch(show::wanted, code) };
    let events = events.map_err(system("let a process be watched (ptrace)"))?;
    Ok(events.into_iter().map(read).collect())
}

/// Says something to whoever [`record`]s this process. It is a system call that fails, and nothing else happens.
pub fn mark(text: &str) {
    ptrace::mark(text);
}

fn read(event: ptrace::Event) -> Event {
    match event {
        ptrace::Event::Born { pid } => Event::Born { pid },
        ptrace::Event::Ended { pid, status } => Event::Ended { pid, status },
        ptrace::Event::Call(call) if show::is_mark(&call) => {
            Event::Mark { pid: call.pid, text: String::from_utf8_lossy(&call.bytes).into_owned() }
        }
        ptrace::Event::Call(call) => Event::Call(Call {
            pid: call.pid,
            name: show::name(call.number),
            arguments: call.arguments,
            text: show::text(&call),
        }),
    }
}
