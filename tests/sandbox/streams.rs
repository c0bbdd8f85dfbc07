//! What workers in a sandbox print and read: pipes, and what the coordinator makes of them.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::ptr::null_mut;

use std::time::{Duration, Instant};

use parfork::{Error, Job, Sandbox, Shared};

use crate::support::{self, nothing_left};

/// Lets one worker do something, in each kind of sandbox.
fn confined(body: impl Fn() -> u64 + Sync) -> u64 {
    let one = |strict| {
        let mut cells = Shared::<u8, _>::zeros(1).unwrap();
        let job = Job::new(&mut cells).workers(1).sandbox(Sandbox::new().strict(strict));
        job.run(|_, _| body()).unwrap().iter().sum::<u64>()
    };
    one(true) + one(false)
}

/// How many bytes can be read from the standard streams, in ways that would not wait for more.
fn readable() -> u64 {
    let mut bytes = [0_u8; 64];
    (0..3)
        .map(|fd| {
            let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one live record.
            let ready = unsafe { libc::poll(&raw mut poll, 1, 200) } == 1 && poll.revents & libc::POLLIN != 0;
            // SAFETY: room for as many bytes.
            let count = if ready { unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) } } else { 0 };
            u64::try_from(count).unwrap_or(0)
        })
        .sum()
}

/// The part of a process on a terminal into which something was typed.
pub(super) fn attack_a_terminal() {
    let done = confined(|| {
        println!("said by a worker");
        eprintln!("warned by a worker");
        // SAFETY: a live byte.
        let typed = |fd| unsafe { libc::ioctl(fd, libc::TIOCSTI, c"x".as_ptr()) } == 0;
        // SAFETY: an integer.
        let is_terminal = |fd| unsafe { libc::isatty(fd) } == 1;
        readable() + (0..3).filter(|&fd| typed(fd) || is_terminal(fd)).count() as u64
    });
    assert_eq!(done, 0);
}

pub(super) fn a_terminal_is_neither_read_nor_typed_into() {
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: two live integers to fill, no name wanted, nothing given.
    let failed = unsafe { libc::openpty(&mut master, &mut slave, null_mut(), std::ptr::null(), std::ptr::null()) } != 0;
    assert!(!failed, "no terminal to be had");
    // SAFETY: the call above has just made it for us alone.
    let mut master = unsafe { File::from_raw_fd(master) };
    // SAFETY: as above.
    let slave = unsafe { OwnedFd::from_raw_fd(slave) };
    // SAFETY: an integer and a flag.
    unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    master.write_all(b"a password\n").unwrap();
    let end = || Stdio::from(slave.try_clone().unwrap());
    let mut part = support::play("streams::attack_a_terminal");
    let mut child = part.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    drop((part, slave));
    let status = child.wait().unwrap();
    let mut shown = vec![0; 1 << 16];
    // What was printed is there, since its writer has ended.
    let count = master.read(&mut shown).unwrap();
    let mut text = String::from_utf8_lossy(&shown[..count]).into_owned();
    while !text.contains("warned") {
        let count = master.read(&mut shown).unwrap_or(0);
        assert!(count > 0, "{text}");
        text += &String::from_utf8_lossy(&shown[..count]);
    }
    assert!(status.success() && text.contains("said by a worker"), "{text}");
}

/// The part of a process whose output is a log, open for reading too.
pub(super) fn attack_a_log() {
    println!("first");
    let done = confined(|| {
        println!("added");
        let (bytes, both) = (c"FORGED".as_ptr(), libc::PROT_READ | libc::PROT_WRITE);
        let forge = |fd| {
            // SAFETY: live bytes.
            let wrote = unsafe { libc::pwrite(fd, bytes.cast(), 6, 0) } > 0;
            // SAFETY: integers.
            let sought = unsafe { libc::lseek(fd, 0, libc::SEEK_SET) } == 0;
            // SAFETY: a new mapping, of whatever is open there.
            let mapped = unsafe { libc::mmap(null_mut(), 6, both, libc::MAP_SHARED, fd, 0) } != libc::MAP_FAILED;
            wrote || sought || mapped
        };
        readable() + (0..3).filter(|&fd| forge(fd)).count() as u64
    });
    println!("last");
    assert_eq!(done, 0);
}

pub(super) fn a_log_is_added_to_and_never_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = File::options().read(true).write(true).create_new(true).open(folder.path().join("log")).unwrap();
    let end = || Stdio::from(log.try_clone().unwrap());
    let mut part = support::play("streams::attack_a_log");
    assert!(part.stdin(end()).stdout(end()).stderr(end()).status().unwrap().success());
    let mut text = String::new();
    log.rewind().unwrap();
    log.read_to_string(&mut text).unwrap();
    assert_eq!(text, "first\nadded\nadded\nlast\n");
}

/// As many bytes as no pipe holds.
const LINES: usize = 200_000;

/// The part of a process whose worker prints much.
pub(super) fn print_much() {
    println!("first");
    let mut cells = Shared::<u8, _>::zeros(1).unwrap();
    let job = Job::new(&mut cells).workers(1).sandbox(Sandbox::new().strict(true));
    job.run(|_, _| (0..LINES).for_each(|line| println!("line {line}"))).unwrap();
    println!("last");
}

pub(super) fn all_that_is_printed_arrives_in_order() {
    let output = support::play("streams::print_much").output().unwrap();
    assert!(output.status.success(), "{:?}", String::from_utf8_lossy(&output.stderr));
    let lines = (0..LINES).map(|line| format!("line {line}\n")).collect::<String>();
    assert!(output.stdout == format!("first\n{lines}last\n").into_bytes(), "{} bytes", output.stdout.len());
}

/// The job ends by its deadline, or because its reader is late.
pub(super) fn a_reader_that_takes_nothing_keeps_nobody_for_ever() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut part = support::play("streams::print_little");
    let mut child = part.stdout(writer).spawn().unwrap();
    drop(part);
    assert!(child.wait().unwrap().success());
    drop(reader);
}

/// What its workers have printed is a job's last, and has its deadline: a reader that takes nothing has 5 s otherwise.
pub(super) fn a_reader_that_takes_nothing_moves_no_deadline() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut part = support::play("streams::print_in_time");
    let mut child = part.stdout(writer).spawn().unwrap();
    drop(part);
    assert!(child.wait().unwrap().success());
    drop(reader);
}

/// The part of such a process whose job has a deadline.
pub(super) fn print_in_time() {
    fill_the_output();
    let mut cells = Shared::<u8, _>::zeros(1).unwrap();
    let (began, deadline) = (Instant::now(), Duration::from_millis(500));
    let job = Job::new(&mut cells).workers(1).sandbox(Sandbox::new().strict(true)).deadline(deadline);
    let done = job.run(|_, _| println!("lost"));
    assert!(matches!(done, Ok(_) | Err(Error::Deadline { .. })));
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// The part of a process whose output is a pipe that is full.
pub(super) fn print_little() {
    fill_the_output();
    let mut cells = Shared::<u8, _>::zeros(1).unwrap();
    let job = Job::new(&mut cells).workers(1).sandbox(Sandbox::new().strict(true));
    job.run(|_, _| println!("lost")).unwrap();
}

/// The kernel counts what a user has sent and nobody has received yet, and refuses to send more than the sender may have open.
pub(super) fn descriptors_that_are_on_their_way_are_no_obstacle() {
    let (here, _there) = UnixStream::pair().unwrap();
    (0..50).for_each(|_| send_a_descriptor(&here));
    let mut cells = Shared::<u8, _>::zeros(8).unwrap();
    let job = Job::new(&mut cells).workers(8).sandbox(Sandbox::new().strict(true));
    nothing_left(|| job.run(|_, mut slice| slice.fill(1)).unwrap());
    assert!(cells.as_slice().iter().all(|&cell| cell == 1));
}

fn send_a_descriptor(stream: &UnixStream) {
    #[repr(C)]
    struct Control {
        header: libc::cmsghdr,
        fd: libc::c_int,
    }
    // SAFETY: numbers and addresses, all of which may be zero.
    let (mut message, mut control): (libc::msghdr, Control) = unsafe { std::mem::zeroed() };
    control.header.cmsg_len = (size_of::<libc::cmsghdr>() + size_of::<libc::c_int>()) as _;
    (control.header.cmsg_level, control.header.cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
    control.fd = stream.as_raw_fd();
    let mut byte = 0_u8;
    let mut data = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    (message.msg_iov, message.msg_iovlen) = (&raw mut data, 1);
    (message.msg_control, message.msg_controllen) = ((&raw mut control).cast(), size_of::<Control>() as _);
    // SAFETY: a message whose parts are live.
    assert_eq!(unsafe { libc::sendmsg(stream.as_raw_fd(), &raw const message, 0) }, 1);
}

fn fill_the_output() {
    // SAFETY: an integer and two flags.
    unsafe { libc::fcntl(1, libc::F_SETFL, libc::O_NONBLOCK) };
    while nix::unistd::write(std::io::stdout(), &[b'x'; 4096]).is_ok() {}
    // SAFETY: as above.
    unsafe { libc::fcntl(1, libc::F_SETFL, 0) };
}
