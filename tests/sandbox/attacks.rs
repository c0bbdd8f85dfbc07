//! What a worker that somebody has taken over tries against the job and the machine.

use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering;

use ndarray::Array1;
use nix::unistd::geteuid;
use parfork::{Cause, Error, Job, Sandbox, Shared};

use crate::support::{Page, nothing_left};

/// What a job in a sandbox ends with, whose only worker does that. Once for each kind of sandbox.
fn causes(body: impl Fn() + Sync) -> Vec<Cause> {
    let one = |strict| {
        let mut cells = Shared::<u8, _>::zeros(8).unwrap();
        let job = Job::new(&mut cells).workers(1).sandbox(Sandbox::new().strict(strict)).memory_limit(64 << 20);
        match nothing_left(|| job.run(|_, _| body())).map(drop) {
            Err(Error::WorkerDied(death)) => death.cause.clone(),
            other => panic!("{other:?}"),
        }
    };
    [true, false].map(one).to_vec()
}

fn forbidden(call: &str) -> Cause {
    Cause::Forbidden { call: Some(call.to_owned()) }
}

/// By no call, through no descriptor, also of workers without a sandbox.
pub(super) fn an_input_cannot_be_made_writable() {
    const LEN: usize = 1 << 16;
    let input = Shared::from_array(&Array1::<u8>::ones(LEN)).unwrap();
    let mut output = Shared::<u8, _>::zeros(1).unwrap();
    let both = libc::PROT_READ | libc::PROT_WRITE;
    for sandbox in [Some(Sandbox::new().strict(true)), Some(Sandbox::new()), None] {
        let is_confined = sandbox.is_some();
        let job = Job::new((&input, &mut output)).workers(1);
        let job = if let Some(sandbox) = sandbox { job.sandbox(sandbox) } else { job };
        let done = nothing_left(|| {
            job.run(|_, (input, _)| {
                let at = input.as_ptr().cast_mut();
                let mut ways = 0_u64;
                let mut tries = |address: *mut libc::c_void| {
                    // SAFETY: not sound, on purpose: it would write to what others refer to.
                    if unsafe { libc::mprotect(address, LEN, both) } == 0 {
                        // SAFETY: as above; writable, as the system has just said.
                        unsafe { address.cast::<u8>().write_volatile(99) };
                        ways += 1;
                    }
                };
                tries(at.cast());
                // SAFETY: a second mapping of the same pages, or none.
                let twin = unsafe { libc::mremap(at.cast(), 0, LEN, libc::MREMAP_MAYMOVE) };
                if twin != libc::MAP_FAILED {
                    tries(twin);
                }
                // SAFETY: not sound, on purpose: it would make a hole in what others refer to.
                ways += u64::from(unsafe { libc::madvise(at.cast(), LEN, libc::MADV_REMOVE) } == 0);
                for fd in if is_confined { 3..1024 } else { 0..0 } {
                    // SAFETY: a new mapping of whatever is open there.
                    let other = unsafe { libc::mmap(null_mut(), LEN, both, libc::MAP_SHARED, fd, 0) };
                    ways += u64::from(other != libc::MAP_FAILED);
                    // SAFETY: live bytes.
                    ways += u64::from(unsafe { libc::pwrite(fd, c"x".as_ptr().cast(), 1, 0) } == 1);
                }
                ways
            })
        });
        assert_eq!(done.unwrap().iter().sum::<u64>(), 0, "ways to change an input");
    }
    assert!(input.as_slice().iter().all(|&byte| byte == 1));
}

extern "C" fn go_on(_: i32) {}

/// Jumps over nothing: a fault would come again, so it leaves the faulting thread asleep and lets another go on.
extern "C" fn sleep_on(_: i32) {
    loop {
        std::hint::spin_loop();
    }
}

/// Whatever it has done before to what a process does at signals.
pub(super) fn who_has_been_refused_gets_no_second_try() {
    let page = Page::new();
    // SAFETY: three integers; the kernel does not carry it out.
    let socket = || unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) };
    let again = || {
        for _ in 0..3 {
            socket();
            page[0].fetch_add(1, Ordering::Relaxed);
        }
    };
    let blocked = || {
        let mut all = nix::sys::signal::SigSet::all();
        all.add(nix::sys::signal::Signal::SIGSYS);
        all.thread_block().unwrap();
        again();
    };
    let handled = || {
        // SAFETY: a handler that does nothing, for signals of faults.
        unsafe { libc::signal(libc::SIGSEGV, go_on as *const () as usize) };
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGTRAP, go_on as *const () as usize) };
        again();
    };
    // The kernel finds no room for a handler, which is a fault, for which there is another handler.
    let without_stack = || {
        let stack = libc::stack_t { ss_sp: 4096 as *mut _, ss_flags: 0, ss_size: 1 << 20 };
        // SAFETY: a stack that no handler can stand on.
        unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
        // SAFETY: a handler that does nothing else.
        unsafe { libc::signal(libc::SIGSEGV, sleep_on as *const () as usize) };
        again();
    };
    let in_threads = || {
        let others = [(); 3].map(|()| std::thread::spawn(socket));
        others.into_iter().for_each(|other| drop(other.join()));
        page[0].fetch_add(1, Ordering::Relaxed);
    };
    let bodies: [&(dyn Fn() + Sync); 5] = [&again, &blocked, &handled, &without_stack, &in_threads];
    for (number, body) in bodies.into_iter().enumerate() {
        assert_eq!(causes(body), [forbidden("socket"), forbidden("socket")], "body {number}");
        assert_eq!(page[0].load(Ordering::Relaxed), 0, "body {number} went on");
    }
}

pub(super) fn a_handler_for_refused_calls_cannot_be_set() {
    // Also by a number that is the signal's to the kernel alone.
    for signal in [i64::from(libc::SIGSYS), 1 << 32 | i64::from(libc::SIGSYS)] {
        let action = [0_u64; 4];
        // SAFETY: a live record of the kernel's.
        let set = || unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), null::<u8>(), 8) };
        assert_eq!(causes(|| assert_ne!(set(), 0)), [forbidden("rt_sigaction"), forbidden("rt_sigaction")]);
    }
}

/// Anonymous memory.
fn map(len: usize, flags: i32) -> *mut u8 {
    let both = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: new memory.
    unsafe { libc::mmap(null_mut(), len, both, libc::MAP_ANONYMOUS | flags, -1, 0) }.cast()
}

pub(super) fn memory_that_no_limit_counts_cannot_be_had() {
    for flags in [
        libc::MAP_SHARED,
        libc::MAP_SHARED_VALIDATE,
        libc::MAP_SHARED | libc::MAP_NORESERVE,
        libc::MAP_PRIVATE | libc::MAP_GROWSDOWN,
    ] {
        let causes = causes(|| {
            map(1 << 30, flags);
        });
        assert_eq!(causes, [forbidden("mmap"), forbidden("mmap")], "{flags:#x}");
    }
    // SAFETY: a live name.
    let memfd = || unsafe { libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0) };
    assert_eq!(causes(|| assert_eq!(memfd(), 0))[0], forbidden("memfd_create"));
    // SAFETY: integers.
    let shm = || unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, 0o1600) };
    assert_eq!(causes(|| assert_eq!(shm(), 0))[0], forbidden("shmget"));
}

/// Memory that was written to and may only be read since is memory too, and so is what was a promise of addresses.
pub(super) fn memory_cannot_be_parked_beyond_the_limit() {
    const PIECE: usize = 8 << 20;
    for way in 0..3 {
        let mut cells = Shared::<u8, _>::zeros(1).unwrap();
        let job = Job::new(&mut cells).workers(1).sandbox(Sandbox::new().strict(true)).memory_limit(64 << 20);
        let done = nothing_left(|| {
            job.run(move |_, _| {
                let mut pieces = 0_u64;
                let mut grown = map(4096, libc::MAP_PRIVATE).cast::<libc::c_void>();
                for number in 1..100 {
                    let piece = match way {
                        0 => map(PIECE, libc::MAP_PRIVATE).cast(),
                        1 => {
                            let (none, flags) =
                                (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
                            // SAFETY: new addresses.
                            unsafe { libc::mmap(null_mut(), PIECE, none, flags, -1, 0) }
                        }
                        _ => {
                            // SAFETY: own memory, to which nothing refers.
                            grown = unsafe {
                                libc::mremap(
                                    grown,
                                    4096.max((number - 1) * PIECE),
                                    number * PIECE,
                                    libc::MREMAP_MAYMOVE,
                                )
                            };
                            if grown == libc::MAP_FAILED {
                                grown
                            } else {
                                grown.wrapping_byte_add((number - 1) * PIECE)
                            }
                        }
                    };
                    // SAFETY: addresses that this body has just been given, or an error.
                    let opened = unsafe { libc::mprotect(piece, PIECE, libc::PROT_READ | libc::PROT_WRITE) };
                    if piece == libc::MAP_FAILED || opened != 0 {
                        break;
                    }
                    // SAFETY: mapped and writable.
                    (0..PIECE)
                        .step_by(4096)
                        .for_each(|at| unsafe { piece.cast::<u8>().wrapping_add(at).write_volatile(1) });
                    // SAFETY: as before; nothing refers to it.
                    unsafe { libc::mprotect(piece, PIECE, libc::PROT_READ) };
                    pieces += 1;
                }
                pieces
            })
        });
        let pieces = done.unwrap().iter().sum::<u64>();
        assert!(pieces <= 8, "way {way}: {pieces} pieces of {PIECE} bytes");
    }
}

/// As the coordinator sees it from outside, while the worker waits for it.
pub(super) fn capabilities_are_gone_also_from_root() {
    let (page, mut cells) = (Page::new(), Shared::<u8, _>::zeros(1).unwrap());
    let mut seen = String::new();
    let job = Job::new(&mut cells).workers(1).sandbox(Sandbox::new().strict(true)).progress(|_, _| {
        let pid = page[0].load(Ordering::Relaxed);
        if pid != 0 && seen.is_empty() {
            seen = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            page[1].store(1, Ordering::Relaxed);
        }
    });
    job.run(|_, _| {
        page[0].store(std::process::id().into(), Ordering::Relaxed);
        while page[1].load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
    })
    .unwrap();
    let sets: Vec<_> = seen.lines().filter(|line| line.starts_with("Cap")).collect();
    let is_none =
        |line: &&str| line.ends_with("0000000000000000") || (line.starts_with("CapBnd") && !geteuid().is_root());
    assert!(sets.len() == 5 && sets.iter().all(is_none), "{sets:?}");
    assert!(seen.contains("NoNewPrivs:\t1") && seen.contains("Seccomp:\t2"), "{seen}");
}
