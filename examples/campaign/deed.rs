//! What can befall a process: how it is done, and what the coordinator must make of it.

use std::hint::black_box;

use parfork::Cause;

use crate::offspring::{Child, ChildEnd, Daemon, Nest};
use crate::scribble::{After, Scribble};

/// A way to come to harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Kill,
    Terminate,
    WildWrite,
    BusError,
    Abort,
    Panic,
    ExitWith0,
    ExitWith3,
    LeaveAtOnce,
    StackOverflow,
    Stop,
    Loop,
    Refuse,
    /// A write to another's slice of the output; only where a guard is up.
    Stray,
    /// The control page is written over.
    Scribble(Scribble),
    /// A child is forked of which nobody takes care.
    Fork(Child),
    /// A child is forked that lives on.
    Leave(Daemon),
    /// A job is run.
    Nest(Nest),
}

/// What a body's panic says.
pub(crate) const WORDS: &str = "the campaign's own panic";

/// What a body that refuses says.
pub(crate) const REASON: &str = "the campaign's own error";

impl Deed {
    /// What a body can do to its own process, and whatever else ends its slice.
    pub(crate) const IN_A_BODY: [Self; 13] = [
        Self::Kill,
        Self::WildWrite,
        Self::BusError,
        Self::Abort,
        Self::Panic,
        Self::ExitWith0,
        Self::ExitWith3,
        Self::LeaveAtOnce,
        Self::StackOverflow,
        Self::Stop,
        Self::Loop,
        Self::Refuse,
        Self::Stray,
    ];

    /// What a program can do to itself.
    pub(crate) const IN_A_PROGRAM: [Self; 11] = [
        Self::Kill,
        Self::WildWrite,
        Self::BusError,
        Self::Abort,
        Self::Panic,
        Self::ExitWith0,
        Self::ExitWith3,
        Self::LeaveAtOnce,
        Self::Stop,
        Self::Loop,
        Self::Refuse,
    ];

    /// What can befall a body that is not in a process of its own.
    pub(crate) const IN_THE_COORDINATOR: [Self; 2] = [Self::Panic, Self::Refuse];

    /// What ends a process that has not come to its body yet.
    pub(crate) const AT_BIRTH: [Self; 3] = [Self::Kill, Self::Abort, Self::LeaveAtOnce];

    /// What somebody else can do to a worker.
    pub(crate) const FROM_OUTSIDE: [Self; 6] =
        [Self::Kill, Self::Terminate, Self::WildWrite, Self::BusError, Self::Abort, Self::Stop];

    /// What somebody else can do to the coordinator.
    pub(crate) const TO_THE_COORDINATOR: [Self; 2] = [Self::Kill, Self::Terminate];

    /// As a body does it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Terminate => "SIGTERM",
            Self::WildWrite => "SIGSEGV by a wild write",
            Self::BusError => "SIGBUS by a read past a file",
            Self::Abort => "abort",
            Self::Panic => "panic",
            Self::ExitWith0 => "exit(0)",
            Self::ExitWith3 => "exit(3)",
            Self::LeaveAtOnce => "_exit(5)",
            Self::StackOverflow => "stack overflow",
            Self::Stop => "SIGSTOP",
            Self::Loop => "endless loop",
            Self::Refuse => "error returned",
            Self::Stray => "stray write under a guard",
            Self::Scribble(scribble) => match scribble.after {
                After::GoesOn => "and goes on",
                After::Killed => "SIGKILL",
                After::Aborts => "abort",
                After::Exits => "exit(0)",
                After::Panics => "panic",
                After::WritesOn => "and writes on",
            },
            Self::Fork(child) => match child.end {
                ChildEnd::Returns => "a child that returns",
                ChildEnd::Fails => "a child that returns an error",
                ChildEnd::Panics => "a child that panics",
                ChildEnd::Exits | ChildEnd::LeavesAtOnce => "a child that exits",
                ChildEnd::Killed => "a child that is killed",
            },
            Self::Leave(_) => "a daemon",
            Self::Nest(_) => "a job",
        }
    }

    /// Whether what the library shares with the worker, or says through it, may be a lie from then on.
    pub(crate) fn lies(self) -> bool {
        let comes_back = |child: Child| matches!(child.end, ChildEnd::Returns | ChildEnd::Fails | ChildEnd::Panics);
        matches!(self, Self::Scribble(_)) || matches!(self, Self::Fork(child) if comes_back(child))
    }

    /// Whether the worker never comes to rest, so that nobody promises an end without a deadline.
    pub(crate) fn goes_on_for_ever(self) -> bool {
        matches!(self, Self::Scribble(scribble) if scribble.after == After::WritesOn)
    }

    /// Whether the process lives on, so that only a bounded job can end.
    pub(crate) fn stalls(self) -> bool {
        matches!(self, Self::Stop | Self::Loop)
    }

    /// Whether the process ends of it, and another worker may try the slice again.
    pub(crate) fn is_lethal(self) -> bool {
        !self.stalls()
            && !matches!(self, Self::Refuse | Self::Scribble(_) | Self::Fork(_) | Self::Leave(_) | Self::Nest(_))
    }

    /// The signal that does it from outside.
    pub(crate) fn signal(self) -> i32 {
        match self {
            Self::Terminate => libc::SIGTERM,
            Self::WildWrite => libc::SIGSEGV,
            Self::BusError => libc::SIGBUS,
            Self::Abort => libc::SIGABRT,
            Self::Stop => libc::SIGSTOP,
            _ => libc::SIGKILL,
        }
    }

    pub(crate) fn signal_name(self) -> &'static str {
        nix::sys::signal::Signal::try_from(self.signal()).map_or("a signal", |signal| signal.as_str())
    }

    /// Whether a death by this deed has this cause.
    pub(crate) fn is_cause(self, cause: &Cause) -> bool {
        match (self, cause) {
            // Nobody in the program looks at its faults as they come.
            (Self::WildWrite | Self::BusError, Cause::Program { cause, .. }) => {
                matches!(**cause, Cause::Signalled { signal } if signal == self.signal())
            }
            (_, Cause::Program { cause, .. }) => self.is_cause(cause),
            (Self::Panic, Cause::Panicked { message, location }) => {
                message == WORDS && location.contains("campaign/deed.rs")
            }
            (Self::ExitWith0, Cause::Exited { status }) => *status == 0,
            (Self::ExitWith3, Cause::Exited { status }) => *status == 3,
            (Self::LeaveAtOnce, Cause::Exited { status }) => *status == 5,
            (Self::StackOverflow | Self::Stray, Cause::Faulted(fault)) => fault.signal == libc::SIGSEGV,
            (Self::WildWrite | Self::BusError, Cause::Faulted(fault)) => fault.signal == self.signal(),
            (Self::Stop | Self::Loop, Cause::Stalled { .. }) => true,
            (Self::StackOverflow | Self::Stray | Self::Loop, _) => false,
            (Self::Panic | Self::ExitWith0 | Self::ExitWith3 | Self::LeaveAtOnce, _) => false,
            (_, Cause::Signalled { signal }) => *signal == self.signal(),
            _ => false,
        }
    }

    /// Does it to this process.
    ///
    /// # Errors
    /// The one deed that is nothing but an error.
    pub(crate) fn happen(self) -> Result<(), &'static str> {
        match self {
            Self::Kill | Self::Terminate | Self::Stop => raise(self.signal()),
            Self::WildWrite => {
                let nowhere = black_box(64 as *mut u64);
                // SAFETY: none: no page is there, and this is what must end the worker.
                unsafe { nowhere.write_volatile(1) };
            }
            Self::BusError => read_past_a_file(),
            Self::Abort => std::process::abort(),
            Self::Panic => panic!("{WORDS}"),
            Self::ExitWith0 => std::process::exit(0),
            Self::ExitWith3 => std::process::exit(3),
            // SAFETY: ends the process without touching its memory.
            Self::LeaveAtOnce => unsafe { libc::_exit(5) },
            Self::StackOverflow => assert_ne!(deeper(0), 0),
            Self::Loop => loop {
                std::hint::spin_loop();
            },
            Self::Refuse => return Err(REASON),
            Self::Stray | Self::Scribble(_) | Self::Fork(_) | Self::Leave(_) | Self::Nest(_) => {
                unreachable!("the body does it")
            }
        }
        Ok(())
    }
}

fn raise(signal: i32) {
    // SAFETY: sends this process a signal.
    unsafe { libc::raise(signal) };
}

fn read_past_a_file() {
    // SAFETY: the name is a C string; the new descriptor is used below and ends with this process.
    let file = unsafe { libc::memfd_create(c"empty".as_ptr(), libc::MFD_CLOEXEC) };
    // SAFETY: new memory at an address of the kernel's choice.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file, 0) };
    // SAFETY: none: the file is empty, and this is what must end the worker.
    black_box(unsafe { page.cast::<u8>().read_volatile() });
}

#[expect(unconditional_recursion, reason = "this is how a stack overflows")]
fn deeper(depth: u64) -> u64 {
    let room = black_box([depth; 200]);
    deeper(depth + 1) + room[199]
}
