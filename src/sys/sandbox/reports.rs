//! How the coordinator hears which call a worker made that its filter does not let through.
//!
//! The kernel holds the thread that makes it, and tells whoever has the filter's listener. A worker sends that to the coordinator before it
//! begins, which kills a worker that it hears of and never answers. So nothing that a worker can do to itself (handlers, masks, stacks, its own
//! code) gives it a second try, and the call's number comes from the kernel.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::null_mut;

use nix::errno::Errno;

/// A socket through which workers send the coordinator their listeners.
#[derive(Debug)]
pub(crate) struct Reports {
    coordinators: OwnedFd,
    workers: OwnedFd,
}

/// A worker that was heard to make a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) rank: usize,
    pub(crate) pid: u32,
    /// The call's number.
    pub(crate) call: u32,
}

/// What comes with a listener, and the listener as the control message that it is sent in.
#[repr(C)]
#[derive(Clone, Copy)]
struct ListenerMessage {
    rank: u32,
    pid: u32,
}

#[repr(C)]
struct Control {
    header: libc::cmsghdr,
    fd: c_int,
}

impl Reports {
    pub(crate) fn new() -> io::Result<Self> {
        let mut ends: [RawFd; 2] = [-1; 2];
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        // SAFETY: three integers, and room for two descriptors, which the kernel fills.
        Errno::result(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
        // SAFETY: the kernel has just made these for us alone.
        let [coordinators, workers] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Self { coordinators, workers })
    }

    /// The end that a worker needs until it has sent its listener.
    pub(super) fn descriptor(&self) -> RawFd {
        self.workers.as_raw_fd()
    }

    /// In a worker: hands its listener over.
    pub(super) fn send(&self, rank: usize, listener: &OwnedFd) -> io::Result<()> {
        let mut letter = ListenerMessage { rank: rank as u32, pid: std::process::id() };
        let mut control = Control::empty();
        control.header.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<c_int>()) as _;
        (control.header.cmsg_level, control.header.cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        control.fd = listener.as_raw_fd();
        with_message(&mut letter, &mut control, |message| {
            // SAFETY: a message whose parts are live, which the kernel reads.
            Errno::result(unsafe { libc::sendmsg(self.workers.as_raw_fd(), message, libc::MSG_NOSIGNAL) })
        })?;
        Ok(())
    }

    /// The next listener that a worker has sent.
    fn receive(&self) -> Option<Listener> {
        let (mut letter, mut control) = (ListenerMessage { rank: 0, pid: 0 }, Control::empty());
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let count = with_message(&mut letter, &mut control, |message| {
            // SAFETY: a message whose parts are live and as long as it says, which the kernel fills.
            Errno::result(unsafe { libc::recvmsg(self.coordinators.as_raw_fd(), message, flags) })
        });
        let is_whole = count.ok()? == size_of::<ListenerMessage>() as isize;
        let has_rights = control.header.cmsg_level == libc::SOL_SOCKET && control.header.cmsg_type == libc::SCM_RIGHTS;
        // SAFETY: a control message of this kind has come, and with it a descriptor that is ours alone.
        let fd = has_rights.then(|| unsafe { OwnedFd::from_raw_fd(control.fd) })?;
        is_whole.then_some(Listener { rank: letter.rank as usize, pid: letter.pid, fd })
    }
}

impl Control {
    fn empty() -> Self {
        // SAFETY: integers, for which all zero is a value.
        unsafe { zeroed() }
    }
}

/// Lets a call have a message of these two parts.
fn with_message<R>(
    letter: &mut ListenerMessage,
    control: &mut Control,
    call: impl FnOnce(*mut libc::msghdr) -> R,
) -> R {
    let mut part = libc::iovec { iov_base: (&raw mut *letter).cast::<c_void>(), iov_len: size_of::<ListenerMessage>() };
    // SAFETY: integers and pointers, for which all zero is a value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = ((&raw mut *control).cast(), size_of::<Control>() as _);
    message.msg_name = null_mut();
    call(&raw mut message)
}

/// The listener of a worker's filter.
#[derive(Debug)]
struct Listener {
    rank: usize,
    pid: u32,
    fd: OwnedFd,
}

impl Listener {
    /// The call that a thread of the worker waits in, if one does.
    fn call(&self) -> Option<u32> {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live record, and its number.
        let comes = unsafe { libc::poll(&raw mut poll, 1, 0) } == 1 && poll.revents & libc::POLLIN != 0;
        // SAFETY: integers, for which all zero is a value; the kernel wants it so.
        let mut told: libc::seccomp_notif = unsafe { zeroed() };
        // SAFETY: the address of a live record of the kind that this command fills. One that came does not let this wait.
        let heard =
            comes && unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut told) } == 0;
        heard.then_some(told.data.nr as u32)
    }
}

/// The coordinator's side, for one round of workers: their listeners.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    listeners: Vec<Listener>,
}

impl Receiver {
    /// A worker that waits in a call which is not let through, and was not told of before.
    pub(crate) fn next(&mut self, reports: &Reports) -> Option<Report> {
        self.listeners.extend(std::iter::from_fn(|| reports.receive()));
        let found = self.listeners.iter().enumerate().find_map(|(number, listener)| Some((number, listener.call()?)));
        let (number, call) = found?;
        let Listener { rank, pid, .. } = self.listeners[number];
        Some(Report { rank, pid, call })
    }
}
