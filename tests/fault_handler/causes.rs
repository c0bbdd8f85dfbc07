//! Why a worker ended: a stack that overflowed, an instruction that cannot be, a signal that was sent, want of memory.

use parfork::{Cause, Error, FaultLocation, Shared};

use crate::support::nothing_left;
use crate::{BAD, with_both};

#[expect(unconditional_recursion, reason = "this is how a stack overflows")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 100]);
    deeper(depth + 1) + room[99]
}

pub(crate) fn an_overflow_of_the_stack_is_told() {
    with_both(
        |_, _| assert_ne!(deeper(0), 0),
        |fault, text| {
            assert_eq!((fault.signal, &fault.place), (libc::SIGSEGV, &FaultLocation::Stack));
            // Which of the two functions has the last frame that fits is for chance to say.
            let named = ["deeper at ", "black_box at "].iter().any(|name| text.contains(name));
            assert!(text.contains("(SIGSEGV: its stack overflowed; in ") && named, "{text}");
            assert!(text.contains("Recurse less deeply"), "{text}");
        },
    );
}

pub(crate) fn an_overflow_in_a_thread_of_the_body_is_told() {
    with_both(
        |_, _| drop(std::thread::spawn(|| deeper(0)).join()),
        |fault, text| assert_eq!((fault.signal, &fault.place), (libc::SIGSEGV, &FaultLocation::Stack), "{text}"),
    );
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn instructions_that_cannot_be_are_told() {
    with_both(
        // SAFETY: none: this is what must end the worker.
        |_, _| unsafe { std::arch::asm!("ud2") },
        |fault, text| {
            assert_eq!((fault.signal, &fault.place), (libc::SIGILL, &FaultLocation::Elsewhere));
            let words = "was ended by signal 4 (SIGILL: it met an instruction that this CPU lacks; in ";
            assert!(text.contains(words) && text.contains("instructions_that_cannot_be_are_told"), "{text}");
        },
    );
    with_both(
        // SAFETY: none: this is what must end the worker.
        |_, _| unsafe {
            std::arch::asm!("div {zero:e}", zero = in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _);
        },
        |fault, text| {
            assert_eq!(fault.signal, libc::SIGFPE);
            assert!(text.contains("(SIGFPE: integer division by zero or overflow; in "), "{text}");
        },
    );
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn instructions_that_cannot_be_are_told() {}

/// What std's handler would let pass once: a fault comes again, a signal that was sent does not.
pub(crate) fn a_signal_that_was_sent_is_no_fault_and_ends_the_worker() {
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE] {
        let mut array = Shared::<u8, _>::zeros(24).unwrap();
        let error = nothing_left(|| {
            let run = parfork::fork(2, &mut array, |w, _| {
                if w.region().index() == BAD {
                    // SAFETY: a signal to this process.
                    unsafe { libc::raise(signal) };
                }
            });
            run.unwrap_err()
        });
        assert!(matches!(&error, Error::WorkerDied(death) if death.cause == Cause::Signalled { signal }), "{error}");
    }
}

/// A memory cgroup of the test's own, with this process in it.
struct Group {
    folder: std::path::PathBuf,
    before: std::path::PathBuf,
}

impl Group {
    /// Limited to this many bytes; `None` with the reason printed where there are none to be had.
    fn enter(limit: u64) -> Option<Self> {
        let membership = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path = |controller: &str| {
            let line = membership.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(controller));
            line.map(|path| path.trim_start_matches('/').to_owned())
        };
        let kinds = [
            ("/sys/fs/cgroup/memory", path("memory:"), "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", path(":"), "memory.max"),
        ];
        let mut reason = "no memory cgroup is mounted".to_owned();
        for (root, path, file) in kinds {
            let Some(before) = path.map(|path| std::path::Path::new(root).join(path)) else { continue };
            let folder = std::path::Path::new(root).join(format!("parfork-test-{}", std::process::id()));
            let made = std::fs::create_dir(&folder)
                .and_then(|()| std::fs::write(folder.join(file), limit.to_string()))
                .and_then(|()| std::fs::write(folder.join("cgroup.procs"), "0"));
            match made {
                Ok(()) => return Some(Self { folder, before }),
                Err(error) => reason = format!("{}: {error}", folder.display()),
            }
            let _ = std::fs::remove_dir(&folder);
        }
        eprintln!("not tested: {reason}");
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        std::fs::write(self.before.join("cgroup.procs"), "0").unwrap();
        std::fs::remove_dir(&self.folder).unwrap();
    }
}

pub(crate) fn a_kill_for_want_of_memory_is_told() {
    const LIMIT: u64 = 96 << 20;
    let Some(group) = Group::enter(LIMIT) else { return };
    let mut output = Shared::<u64, _>::zeros(24).unwrap();
    let mut greedy = |greed: &(dyn Fn() + Sync)| {
        let run = nothing_left(|| {
            parfork::fork(2, &mut output, |w, _| {
                if w.region().index() == BAD {
                    greed();
                }
            })
        });
        let error = run.unwrap_err();
        let text = error.to_string();
        let Error::WorkerDied(death) = error else { panic!("{text}") };
        (death.cause, text)
    };
    let eat = || drop(std::hint::black_box(vec![1_u8; 4 * LIMIT as usize]));
    for _ in 0..2 {
        let (cause, text) = greedy(&eat);
        assert_eq!(cause, Cause::OutOfMemory { limit: Some(LIMIT) }, "{text}");
        let words = "the kernel killed it for want of memory: the memory cgroup is limited to 100663296 bytes)";
        assert!(text.contains(words) && text.contains("Use fewer workers or smaller arrays"), "{text}");
    }
    // A kill that is somebody's own is not taken for the kernel's, though there were some.
    let (cause, text) = greedy(&|| {
        // SAFETY: a signal to this process.
        unsafe { libc::raise(libc::SIGKILL) };
    });
    assert_eq!(cause, Cause::Signalled { signal: libc::SIGKILL }, "{text}");
    drop(group);
}
