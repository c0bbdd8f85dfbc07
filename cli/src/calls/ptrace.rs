//! Watching the system calls that a process makes, and all that it forks: ptrace(2).
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

/// What was seen, in the order in which it was.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A process forked another.
    Born { pid: u32 },
    /// A process left with a status, or was ended by a signal.
    Ended { pid: u32, status: Option<i32> },
    /// A process entered a system call.
    Call(Call),
}

/// A system call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) pid: u32,
    pub(crate) number: i64,
    pub(crate) arguments: [u64; 6],
    /// Bytes that an argument points to, as they were when it began, if anybody wanted to know them.
    pub(crate) bytes: Vec<u8>,
    /// What came back; an error as its negative number; `None` if the process ended in it.
    pub(crate) result: Option<i64>,
}

/// What bytes are wanted of a call: the argument that is their address, and how many at most.
pub(crate) type Wanted = fn(number: i64, arguments: &[u64; 6]) -> Option<(usize, usize)>;

/// Says something to whoever watches the calls of this process, by a call that fails.
pub(crate) fn mark(text: &str) {
    // SAFETY: the kernel refuses the descriptor before it looks at the bytes, which are live.
    unsafe { libc::write(MARK, text.as_ptr().cast(), text.len()) };
}

/// The descriptor that no file has and marks are written to.
pub(crate) const MARK: i32 = -1;

/// Runs `life` in a child and writes down the calls of it and of all that it forks, until the last has ended.
///
/// # Errors
/// `PermissionDenied` and the like if it must not be watched; then `life` was not run. Also if this process has other children,
/// whose ends would be taken for those.
///
/// # Safety
/// This process has one thread: the child goes on with what another might have locked.
pub(crate) unsafe fn watch(wanted: Wanted, life: impl FnOnce()) -> io::Result<Vec<Event>> {
    // Looks and takes nothing.
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT | WaitPidFlag::__WALL;
    if waitid(Id::All, flags) != Err(Errno::ECHILD) {
        return Err(io::Error::other("this process has children of its own"));
    }
    let ready = || ptrace::traceme().and_then(|()| raise(Signal::SIGSTOP));
    let life = || match ready() {
        Ok(()) => {
            life();
            0
        }
        Err(refused) => refused as i32,
    };
    let parent = getpid();
    // SAFETY: the caller vouches for one thread; the child ends by _exit.
    let first = match unsafe { fork() }? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let _stop = LeaveOnUnwind;
            // Killed when its parent ends, unless that has happened already.
            leave(if set_pdeathsig(Signal::SIGKILL).is_ok() && getppid() == parent { life() } else { libc::ECHILD })
        }
    };
    match waitpid(first, Some(WaitPidFlag::WUNTRACED))? {
        WaitStatus::Stopped(..) => {}
        WaitStatus::Exited(_, refused) => return Err(io::Error::from_raw_os_error(refused)),
        _ => return Err(io::ErrorKind::Interrupted.into()),
    }
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(first, options)?;
    let mut watch = Watch { wanted, events: Vec::new(), open: BTreeMap::new(), known: BTreeSet::from([first]) };
    ptrace::syscall(first, None)?;
    while !watch.known.is_empty() {
        watch.next()?;
    }
    Ok(watch.events)
}

/// Dropped only by unwinding, which would go on in the parent's code a second time.
struct LeaveOnUnwind;

impl Drop for LeaveOnUnwind {
    fn drop(&mut self) {
        leave(101)
    }
}

/// Ends this process without running anything that it inherited.
fn leave(status: i32) -> ! {
    // SAFETY: _exit ends the process without touching its memory.
    unsafe { libc::_exit(status) }
}

struct Watch {
    wanted: Wanted,
    events: Vec<Event>,
    /// The call in which a process is, among the events.
    open: BTreeMap<Pid, usize>,
    /// Those that have not ended.
    known: BTreeSet<Pid>,
}

impl Watch {
    /// Waits for something to happen, writes it down, and lets its process go on.
    fn next(&mut self) -> io::Result<()> {
        let (pid, signal) = match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Exited(pid, status)) => {
                self.ended(pid, Some(status));
                return Ok(());
            }
            Ok(WaitStatus::Signaled(pid, ..)) => {
                self.ended(pid, None);
                return Ok(());
            }
            Ok(WaitStatus::PtraceSyscall(pid)) => {
                self.call(pid);
                (pid, None)
            }
            Ok(WaitStatus::PtraceEvent(pid, ..)) => {
                if let Ok(born) = ptrace::getevent(pid) {
                    self.events.push(Event::Born { pid: born as u32 });
                    self.known.insert(Pid::from_raw(born as i32));
                }
                (pid, None)
            }
            // The first thing that happens to who was just born, sometimes before its parent has said so.
            Ok(WaitStatus::Stopped(pid, Signal::SIGSTOP)) => {
                self.known.insert(pid);
                (pid, None)
            }
            Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
            Ok(_) | Err(Errno::EINTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // It may have been killed meanwhile; its end is told next.
        match ptrace::syscall(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn ended(&mut self, pid: Pid, status: Option<i32>) {
        self.known.remove(&pid);
        self.open.remove(&pid);
        self.events.push(Event::Ended { pid: pid.as_raw() as u32, status });
    }

    /// Writes down that a call begins or returns.
    fn call(&mut self, pid: Pid) {
        match look(pid) {
            Some(Stop::Entry { number, arguments }) => {
                let pointer = (self.wanted)(number, &arguments);
                let bytes = pointer.map(|(argument, most)| peek(pid, arguments[argument], most)).unwrap_or_default();
                self.open.insert(pid, self.events.len());
                let call = Call { pid: pid.as_raw() as u32, number, arguments, bytes, result: None };
                self.events.push(Event::Call(call));
            }
            Some(Stop::Exit { result }) => {
                if let Some(Event::Call(call)) = self.open.remove(&pid).map(|at| &mut self.events[at]) {
                    call.result = Some(result);
                }
            }
            None => {}
        }
    }
}

/// Where in a system call a process was stopped.
enum Stop {
    Entry { number: i64, arguments: [u64; 6] },
    Exit { result: i64 },
}

/// Asks why a process has stopped; the same on every architecture (Linux 5.3).
fn look(pid: Pid) -> Option<Stop> {
    /// PTRACE_GET_SYSCALL_INFO of linux/ptrace.h.
    const GET_SYSCALL_INFO: libc::c_uint = 0x420e;
    // `struct ptrace_syscall_info`: what kind (one byte), three words of no use here, and what belongs to the kind.
    let mut words = [0_u64; 16];
    // SAFETY: as many bytes as are said are live for the kernel to fill.
    let filled = unsafe { libc::ptrace(GET_SYSCALL_INFO as _, pid.as_raw(), size_of_val(&words), words.as_mut_ptr()) };
    let [kind, _, _, one, rest @ ..] = words;
    let arguments = std::array::from_fn(|i| rest[i]);
    match (filled, kind.to_ne_bytes()[0]) {
        (..0, _) => None,
        (_, 1) => Some(Stop::Entry { number: one as i64, arguments }),
        (_, 2) => Some(Stop::Exit { result: one as i64 }),
        _ => None,
    }
}

/// Bytes of another process, as far as they can be read.
fn peek(pid: Pid, address: u64, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; most];
    let read = File::open(format!("/proc/{pid}/mem")).and_then(|memory| memory.read_at(&mut bytes, address));
    bytes.truncate(read.unwrap_or(0));
    bytes
}
